"""Programs that only tests and workflows need, built once by Go: `python -m tests.tools helm actionlint`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lakehouse.store.cache import cache_folder

PROGRAMS = {
    "actionlint": ("github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12"),  # 6 to 21 s of the processor
    "helm": ("helm.sh/helm/v3/cmd/helm", "v3.22.0"),  # 160 s of the processor, too much for each machine of CI
}


def place(name: str) -> Path:
    return cache_folder() / name / PROGRAMS[name][1] / name


def needed(name: str) -> Path:
    """The program, or the test skips and says how to build it."""
    if not (program := place(name)).exists():
        pytest.skip(f"needs {name}, which `python -m tests.tools {name}` builds once, with Go")
    return program


def built(name: str) -> Path:
    """The program, built at the first call; the test skips where there is no Go."""
    program, (module, version) = place(name), PROGRAMS[name]
    if program.exists():
        return program
    if (go := shutil.which("go")) is None:
        pytest.skip(f"{name} is built by Go, and there is none")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
        environment = os.environ | {"GOBIN": scratch, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
        subprocess.run([go, "install", f"{module}@{version}"], env=environment, check=True)
        Path(scratch, name).rename(program)
    return program


def unpacked(name: str) -> str:
    """A program of Debian's Prometheus, installed or unpacked by .ci/run; without it the test skips."""
    place = cache_folder() / "prometheus" / "usr" / "bin"
    if not (found := shutil.which(name, path=f"{place}{os.pathsep}{os.environ['PATH']}")):
        pytest.skip(f"needs Debian's {name}, which .ci/run unpacks into {place}")
    return found


if __name__ == "__main__":
    for asked in sys.argv[1:]:
        print(built(asked))  # noqa: T201
