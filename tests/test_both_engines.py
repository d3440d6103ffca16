"""The two engines, each the other's proof: equal lakes of the real exports, also where one continued the other's.

A table of each kind, of every tenth order and task, since Spark takes its time; all tables of all that is real behind
`-m long`. That both compute every table alike `test_tables.py` says, of fewer rows and without a lake.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from lakehouse import engines, graph
from lakehouse.proof import verify
from lakehouse.proof.verify import OTHER, Scope
from tests import real
from tests.alike import assert_equal, rows
from tests.real import OF_EACH_KIND

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.spark.engine import Spark
    from tests.real import Built, Continued

pytestmark = [pytest.mark.spark, pytest.mark.slow]
ALL = real.filled()
TABLES = list(graph.selected(graph.load(), OF_EACH_KIND))
PROVED_BY_SPARK = ("silver.order_lines", "gold.daily_sales")  # by what is delivered, and by what units are made from


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
    wrote: set[str] = set()
    for built, scope, names in (
        (continued.by_native, Scope("since"), PROVED_BY_SPARK),
        (continued.by_spark, Scope(), TABLES),
    ):
        chosen = [built.tables[name] for name in names]
        verdicts = verify.verify(OTHER, built.lake, str(built.landing), built.tables, chosen, scope)
        assert [(one.table, one.reason, one.differing) for one in verdicts if not one.is_right] == []
        assert [one.table for one in verdicts if one.comparisons] == list(names)
        assert all(one.written_by.split()[0] != one.rebuilt_by.split()[0] for one in verdicts)
        wrote |= {one.written_by.split()[0] for one in verdicts}
    assert wrote == {engines.NATIVE, on_spark.name}
