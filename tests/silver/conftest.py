"""Tables from literal rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests import rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.graph import Table
    from tests.rows import Built, Judged, Parsed


@pytest.fixture(scope="session")
def built(spark: SparkSession, tables: dict[str, Table]) -> Built:
    return partial(rows.built, spark, tables)


@pytest.fixture(scope="session")
def parsed(spark: SparkSession, tables: dict[str, Table]) -> Parsed:
    return partial(rows.parsed, spark, tables)


@pytest.fixture(scope="session")
def judged(spark: SparkSession, tables: dict[str, Table]) -> Judged:
    return partial(rows.judged, spark, tables)
