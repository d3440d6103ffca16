"""Which columns of its inputs a table reads: never one less than it depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from lakehouse.writes import needed
from tests.promises import a_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table

pytestmark = pytest.mark.slow
AGREE = {
    "agrees_with": "silver.lines", "this": "count(*)", "that": "sum(cost)", "severity": "warn", "why": "a test"
}  # fmt: skip
SCHEMA = "market int, order_id int, price int, cost int, note string, city string"
Build = Any


def a_totals(build: Build) -> Table:
    return a_table(
        "gold.totals",
        "refresh",
        "silver.lines",
        columns={"market": "int"},
        checks={"sums_agree": AGREE},
        build=build,
        fingerprint=f"{id(build)}",
    )


@pytest.fixture
def columns(engine: Native, spark: SparkSession) -> Callable[[Build], set[str]]:
    def of(build: Build) -> set[str]:
        table = a_totals(build)
        return set(needed.columns(engine, table, {"silver.lines": spark.createDataFrame([], SCHEMA)})["silver.lines"])

    return of


def totals(lines: DataFrame) -> DataFrame:
    named = lines.where("note is not null").withColumn("unused", F.upper("city"))
    return named.groupBy("market").agg(F.sum("price").alias("price"))


def with_itself(lines: DataFrame) -> DataFrame:
    return lines.select("market", "order_id").join(lines.groupBy("order_id").agg(F.max("note")), on="order_id")


def test_a_filter_counts_and_a_column_that_nothing_depends_on_does_not(columns: Callable[[Build], set[str]]) -> None:
    assert columns(totals) == {"market", "price", "note", "cost"}


def test_an_input_used_twice_is_needed_for_both(columns: Callable[[Build], set[str]]) -> None:
    assert columns(with_itself) == {"market", "order_id", "note", "cost"}


@pytest.mark.parametrize(
    "build", [lambda lines: lines, lambda lines: lines.union(lines), lambda lines: lines.distinct()]
)
def test_what_takes_all_needs_all(columns: Callable[[Build], set[str]], build: Build) -> None:
    assert columns(build) == {"market", "order_id", "price", "cost", "note", "city"}


def test_what_is_not_needed_is_null_and_everything_else_is_as_it_was(engine: Native, spark: SparkSession) -> None:
    table = a_totals(totals)
    lines = spark.createDataFrame([(1, 7, 10, 9, "x", "Nairobi"), (2, 7, 3, 1, None, "Lagos")], SCHEMA)
    inputs = {"silver.lines": lines}
    pruned = needed.pruned(inputs, needed.columns(engine, table, inputs))["silver.lines"]
    assert [tuple(row) for row in pruned.collect()] == [(1, None, 10, 9, "x", None), (2, None, 3, 1, None, None)]
    assert pruned.dtypes == lines.dtypes
    assert [tuple(row) for row in totals(pruned).collect()] == [tuple(row) for row in totals(lines).collect()]
