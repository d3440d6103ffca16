"""The two engines, each the other's proof: equal lakes of the real exports, also where one continued the other's."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse import engines, graph
from lakehouse.delta import feed, log, progress
from lakehouse.proof import verify
from lakehouse.proof.verify import OTHER, Scope
from tests.alike import assert_alike

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.engines.spark import Spark
    from lakehouse.writes.lake import Lake
    from tests.real import Built, Continued

pytestmark = [pytest.mark.spark, pytest.mark.slow]
TABLES = list(graph.load())
# Each way of writing on each layer, with and without vectors, a unit of one input and of several.
BY_SPARK = (
    "bronze.orders",
    "silver.exchange_rates",
    "silver.order_lines",
    "silver.customer_versions",
    "silver.orders",
    "silver.sales",
    "gold.daily_sales",
    "gold.customer_metrics",
    "gold.fact_sales",
    "gold.basket_pairs",
)
OF_A_RUN = "_batch"


@pytest.mark.parametrize("name", TABLES)
def test_both_engines_make_the_same_table(name: str, lake_by_native: Built, lake_by_spark: Built) -> None:
    assert_equal(name, lake_by_native.lake, lake_by_spark.lake)


@pytest.mark.parametrize("name", TABLES)
def test_what_one_engine_began_the_other_continues(name: str, continued: Continued) -> None:
    assert_equal(name, continued.by_native.lake, continued.by_spark.lake)


def test_a_day_more_is_no_rebuild_for_either(continued: Continued) -> None:
    """So each reads what the other's commits say of progress and of changes."""
    natively, by_spark = (
        {one.decision.table: one.decision.path for one in built.report.done}
        for built in (continued.by_native, continued.by_spark)
    )
    assert natively == by_spark
    paths = Counter(natively.values())
    assert paths["first"] == 0
    tables = continued.by_native.tables
    assert {tables[name].contract.write for name, path in natively.items() if path == "whole"} <= {"replace"}
    assert paths["incremental"] > 20


def test_what_one_engine_wrote_the_other_proves(continued: Continued, on_spark: Spark) -> None:
    """All of what Spark wrote natively; of the day more that was written natively, by Spark, one table of each kind.

    For Spark takes its time, and that both engines make each table alike the tests above say.
    """
    scopes = ((continued.by_native, Scope("since"), BY_SPARK), (continued.by_spark, Scope(), TABLES))
    for built, scope, names in scopes:
        chosen = [built.tables[name] for name in names]
        verdicts = verify.verify(OTHER, built.lake, str(built.landing), built.tables, chosen, scope)
        assert [(one.table, one.reason, one.differing) for one in verdicts if not one.is_right] == []
        assert [one.table for one in verdicts if one.comparisons] == list(names)
        assert {one.written_by.split()[0] for one in verdicts} == {engines.NATIVE, on_spark.name}
        assert all(one.written_by.split()[0] != one.rebuilt_by.split()[0] for one in verdicts)


def assert_equal(name: str, one: Lake, other: Lake) -> None:
    """All that a reader can see of a table, and what the note says of its inputs; not its files, versions and runs."""
    assert facts(one, name) == facts(other, name)
    assert_alike(rows(one, name), rows(other, name), name)
    rejected = progress.rejected(name)
    assert (one.state(rejected) is None) == (other.state(rejected) is None)
    if one.state(rejected):
        assert facts(one, rejected) == facts(other, rejected)
        assert distinct(one, rejected) == distinct(other, rejected)


def facts(lake: Lake, name: str) -> dict[str, Any]:
    """Of the log: columns with types, nullability and comments, how it is stored, and what it includes."""
    stored, state = log.snapshot(lake.address(name)), lake.state(name)
    assert stored
    assert state
    note = state.progress
    inputs = {one: of.version for one, of in note.inputs.items() if one.startswith("conf.")} if note else {}
    return {
        "schema": json.loads(stored.metadata["schemaString"]),
        "partitions": stored.partition_by,
        "properties": stored.configuration,
        "definition": note and note.fingerprint,
        "inputs": note and set(note.inputs),
        "conf": inputs,
        "has_quarantine": bool(note and note.rejected),
    }


def rows(lake: Lake, name: str) -> pa.Table:
    found = feed.read(lake.address(name))
    return found.drop_columns([OF_A_RUN]) if OF_A_RUN in found.column_names else found


def distinct(lake: Lake, name: str) -> set[str]:
    found = rows(lake, name).to_pylist()
    return {str(row | {"rules": sorted(row["rules"])}) for row in found}
