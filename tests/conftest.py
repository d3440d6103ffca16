"""One Spark session for the whole run, the real exports where they are, and small lakes in temporary folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakehouse import graph, session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from lakehouse.graph import Table

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    started = session.start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def tables() -> dict[str, Table]:
    return graph.load()


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"needs the real exports in {SHARED}")
    return SHARED
