"""DuckDB 1.5 with its Delta extension, in an environment of its own: 2.0, which the tests have, has none on PyPI."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.store.cache import cache_folder

VERSION = "1.5.5"
PACKAGES = (
    f"duckdb=={VERSION}",
    f"duckdb-extension-delta=={VERSION}",
    f"duckdb-extension-httpfs=={VERSION}",
    f"pyarrow=={pa.__version__}",
)


@cache
def python() -> Path:
    """Its Python, made at the first call; the test is skipped where that cannot be."""
    folder = cache_folder() / "tests" / f"duckdb-{VERSION}-py{sys.version_info.major}{sys.version_info.minor}"
    uv = shutil.which("uv")
    if not folder.exists() and uv is None:
        pytest.skip("needs uv, to make an environment for DuckDB 1.5")
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            made = Path(scratch, "made")
            try:
                _run(str(uv), "venv", "--python", sys.executable, str(made))
                _run(str(uv), "pip", "install", "--python", str(made / "bin" / "python"), *PACKAGES)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"DuckDB {VERSION} cannot be fetched: {error.stderr[-200:]}")
            if not folder.exists():  # nobody else made it meanwhile
                made.rename(folder)
    return folder / "bin" / "python"


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True)
