"""The two engines, each the other's proof: equal lakes of the real exports, also where one continued the other's.

A table of each kind, of every tenth order and task, since Spark takes its time; all tables of all that is real behind
`-m long`. That both compute every table alike `test_tables.py` says, of fewer rows and without a lake.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse import engines, graph
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log, progress
from lakehouse.proof import verify
from lakehouse.proof.verify import OTHER, Scope
from tests import real
from tests.alike import assert_alike
from tests.real import OF_EACH_KIND

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from lakehouse.engines.spark.engine import Spark
    from lakehouse.writes.lake import Lake
    from tests.real import Built, Continued

pytestmark = [pytest.mark.spark, pytest.mark.slow]
ALL = real.filled()
TABLES = list(graph.selected(graph.load(), OF_EACH_KIND))
# Of each way of writing one, and one that the day more does not touch; each takes Spark seconds.
PROVED_BY_SPARK = ("silver.exchange_rates", "silver.order_lines", "gold.daily_sales", "gold.basket_pairs")
OF_A_RUN = "_batch"


def test_no_table_is_empty(few_by_native: Built) -> None:
    assert [name for name in ALL if not rows(few_by_native.lake, name).num_rows] == []


@pytest.mark.parametrize("name", TABLES)
def test_both_engines_make_the_same_table(name: str, few_by_native: Built, few_by_spark: Built) -> None:
    assert_equal(name, few_by_native.lake, few_by_spark.lake)


@pytest.mark.long
def test_both_engines_make_the_same_of_all_that_is_real(lake_by_native: Built, on_spark: Spark, tmp_path: Path) -> None:
    by_spark = real.built(on_spark, lake_by_native.landing, lake_by_native.tables, tmp_path / "lake")
    for name in ALL:
        assert_equal(name, lake_by_native.lake, by_spark.lake)


@pytest.mark.parametrize("name", TABLES)
def test_what_one_engine_began_the_other_continues(name: str, continued: Continued) -> None:
    for one in (continued.by_native, continued.by_spark):
        assert_equal(name, one.lake, continued.afresh.lake)


@pytest.mark.long
def test_every_table_that_one_engine_began_the_other_continues(
    few_by_native: Built, few_exports: Path, on_spark: Spark, tmp_path: Path
) -> None:
    by_spark = real.built(on_spark, few_by_native.landing, few_by_native.tables, tmp_path / "begun")
    continued = real.continued(few_by_native, by_spark, few_exports, tmp_path)
    for name in ALL:
        for one in (continued.by_native, continued.by_spark):
            assert_equal(name, one.lake, continued.afresh.lake)


def test_a_day_more_is_no_rebuild_for_either(continued: Continued) -> None:
    """So each reads what the other's commits say of progress and of changes."""
    natively, by_spark = (
        {one.decision.table: one.decision.path for one in built.report.done}
        for built in (continued.by_native, continued.by_spark)
    )
    assert by_spark == natively
    paths = Counter(natively.values())
    assert paths["first"] == 0
    tables = continued.by_native.tables
    assert {tables[name].contract.write for name, path in natively.items() if path == "whole"} <= {"replace"}
    assert paths["incremental"] > len(TABLES) // 3


def test_what_one_engine_wrote_the_other_proves(continued: Continued, on_spark: Spark) -> None:
    """Of the day more, a few; that both engines make each table alike the tests above say."""
    for built, scope, names in (
        (continued.by_native, Scope("since"), PROVED_BY_SPARK),
        (continued.by_spark, Scope(), TABLES),
    ):
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
