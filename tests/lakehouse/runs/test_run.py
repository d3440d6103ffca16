"""Runs on a small lake: progress in commits, what is rebuilt and why, what a crash or a foreign commit leads to."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lakehouse import engines, graph
from lakehouse.delta.files import parquet
from lakehouse.delta.tables import log
from lakehouse.documents import latest
from lakehouse.errors import LakehouseError
from lakehouse.intake.deliveries import landing
from lakehouse.intake.records import ledger
from lakehouse.runs import plan, run
from lakehouse.writes.lake import Writer
from tests.toy import Toy, of_monday

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.protocol import Engine
    from lakehouse.engines.spark.engine import Spark

pytestmark = pytest.mark.slow
LINES, ORDERS, TOTALS = "silver.order_lines", "silver.orders", "gold.totals"


@pytest.fixture
def toy(tmp_path: Path, engine: Native) -> Toy:
    return of_monday(tmp_path, engine)


def test_every_commit_carries_the_progress_of_its_own_table(toy: Toy) -> None:
    for name, inputs in ((LINES, {"bronze.orders"}), (ORDERS, {LINES}), (TOTALS, {ORDERS})):
        state = toy.lake.state(name)
        assert state is not None
        assert state.progress is not None
        assert (state.progress.table, set(state.progress.inputs)) == (name, inputs)
        assert state.progress.inputs[min(inputs)].version == toy.versions()[min(inputs)]


def test_a_change_runs_through_latest_refresh_and_replace(toy: Toy) -> None:
    toy.deliver("tuesday.csv", "8,B,5,5.00")
    done = toy.run()
    assert {name: one.decision.path for name, one in done.items()} == {
        "bronze.orders": "load",
        LINES: "new",
        ORDERS: "incremental",
        TOTALS: "whole",
    }
    assert toy.rows(ORDERS) == [(1, 7, 3), (1, 8, 5)]
    assert toy.rows(TOTALS) == [(1, 8)]


def test_a_unit_that_is_rejected_by_a_new_rule_vanishes_downstream(toy: Toy) -> None:
    contract, code = toy.sources[LINES]
    rule = 'rules: {no_eight: {check: "order_id <> 8", severity: reject, why: a test}}\n'
    toy.sources[LINES] = (f"{contract.rstrip()}\n        {rule}", code)
    toy.run()
    assert (toy.rows(ORDERS), toy.rows(TOTALS)) == ([(1, 7, 3)], [(1, 3)])
    assert {one.decision.path for one in toy.run().values()} == {"nothing"}


def test_a_definition_that_changes_no_row_wakes_no_reader(toy: Toy) -> None:
    contract, code = toy.sources[ORDERS]
    toy.sources[ORDERS] = (contract, code.replace('"market", "order_id"', '"order_id", "market"').replace(
        '.alias("units"))', '.alias("units")).select("market", "order_id", "units")'
    ))  # fmt: skip
    done = toy.run()
    assert done[ORDERS].decision.reason == "its definition changed"
    assert done[TOTALS].decision.path == "nothing"
    assert toy.run()[ORDERS].decision.path == "nothing"


@pytest.mark.parametrize(("much", "is_long"), [(0, True), (1 << 30, False)])
def test_an_engine_for_much_that_is_computed_whole_prepares_its_code_well(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, much: int, *, is_long: bool
) -> None:
    contract, code = toy.sources[ORDERS]
    toy.sources[ORDERS] = (contract, code.replace('.alias("units"))', '.alias("units")).distinct()'))
    asked = list[bool]()

    def start(_: str, *, long: bool) -> Engine:
        asked.append(long)
        return toy.engine

    monkeypatch.setattr(run, "MUCH_STORED", much)
    monkeypatch.setattr(engines, "start", start)
    tables = toy.tables()
    run.Run(str(toy.folder / "lake"), str(toy.landing), tables).execute(tables)
    assert asked == [is_long]


def test_somebody_elses_commit_is_noticed_and_undone(toy: Toy) -> None:
    toy.opened(ORDERS).delete("order_id = 7")
    done = toy.run()
    assert done[ORDERS].decision.reason == "somebody else's DELETE made version 1"
    assert toy.rows(ORDERS) == [(1, 7, 3), (1, 8, 1)]


def test_optimize_is_no_news_for_anybody(toy: Toy) -> None:
    toy.deliver("tuesday.csv", "9,B,5,5.00")
    toy.run()
    before = toy.versions()
    for name in ("bronze.orders", LINES, ORDERS):
        toy.opened(name).optimize.compact()
    after = toy.versions()
    assert {name for name in after if after[name] == before[name] + 1} == {"bronze.orders", LINES, ORDERS}
    assert {one.decision.path for one in toy.run().values()} == {"nothing"}


def described(toy: Toy) -> dict[str, int]:
    """After the contract says in other words, with quotes in them, what the columns of silver.orders mean."""
    contract, code = toy.sources[ORDERS]
    toy.sources[ORDERS] = (contract.replace("how many", "\"how many 'units'\""), code)
    before = toy.versions()
    assert toy.run()[ORDERS].decision.path == "describe"
    now = log.snapshot(toy.lake.address(ORDERS))
    assert now is not None
    assert log.comments(now)["units"] == "how many 'units'"
    assert {one.decision.path for one in toy.run().values()} == {"nothing"}
    return before


def test_other_words_for_a_column_reach_the_stored_table_and_compute_nothing(toy: Toy) -> None:
    before = described(toy)
    assert toy.versions() == before | {ORDERS: before[ORDERS] + 1}


@pytest.mark.spark
def test_spark_describes_columns_as_the_native_engine_does(toy: Toy, on_spark: Spark) -> None:
    described(replace(toy, engine=on_spark))


def test_other_partitions_reach_the_stored_table(toy: Toy) -> None:
    contract, code = toy.sources[ORDERS]
    toy.sources[ORDERS] = (contract.replace("owner: tests", "owner: tests\n        partition_by: [market]"), code)
    assert toy.run()[ORDERS].decision.path == "whole"
    now = log.snapshot(toy.lake.address(ORDERS))
    assert now is not None
    assert now.partition_by == ("market",)
    assert toy.rows(ORDERS) == [(1, 7, 3), (1, 8, 1)]


@pytest.mark.spark
def test_what_spark_says_of_itself_is_understood(toy: Toy, on_spark: Spark) -> None:
    """Its names of operations are others than delta-rs's; files of one commit it optimizes, of several it does."""
    engines.start(engines.NATIVE)
    toy.deliver("tuesday.csv", "9,B,5,5.00")
    toy.run()
    engines.start(on_spark.name)
    spark, tables = on_spark.for_a_turn(0).spark, toy.tables()
    before = toy.versions()
    for statement in ("optimize TABLE", "alter table TABLE set tblproperties ('a' = 'b')", "vacuum TABLE"):
        spark.sql(statement.replace("TABLE", f"delta.`{toy.lake.address(LINES)}`"))
    assert toy.versions()[LINES] > before[LINES]
    for name in (LINES, ORDERS):
        assert plan.decide(toy.lake.root, tables[name], []).path == "nothing"
    spark.sql(f"delete from delta.`{toy.lake.address(LINES)}` where order_id = 9")
    assert plan.decide(toy.lake.root, tables[LINES], []).reason.startswith("somebody else's DELETE made version")


def test_bronze_changed_by_somebody_else_stops_with_the_way_back(toy: Toy) -> None:
    toy.opened("bronze.orders").delete("order_id = '7'")
    with pytest.raises(LakehouseError, match=r"outside of the lakehouse: somebody else's DELETE made version 1\."):
        toy.run()


def test_a_run_that_stopped_after_its_claim_is_taken_up_by_the_next(toy: Toy) -> None:
    toy.deliver("tuesday.csv", "9,C,1,1.00")
    root, tables = toy.lake.root, toy.tables()
    found = landing.find(str(toy.landing), tables.values(), ledger.read(root))
    ledger.claim(root, ledger.read(root), found.entries)
    assert toy.run()["bronze.orders"].rows_in == 1
    assert (1, 9, 1) in toy.rows(ORDERS)


def test_a_claimed_file_that_is_replaced_before_it_was_loaded_is_lost_and_its_successor_is_loaded(toy: Toy) -> None:
    file = toy.deliver("tuesday.csv", "9,C,1,1.00")
    before = ledger.read(toy.lake.root)
    ledger.claim(toy.lake.root, before, landing.find(str(toy.landing), toy.tables().values(), before).entries)
    toy.deliver(file.name, "10,D,1,1.00")
    assert toy.run()["bronze.orders"].rows_in == 1
    assert {line[1] for line in toy.rows(ORDERS)} >= {10}
    assert 9 not in {line[1] for line in toy.rows(ORDERS)}
    versions = [one for one in ledger.read(toy.lake.root).entries if one.delivery.path.endswith(file.name)]
    assert sorted((one.status, one.counts.get("rows")) for one in versions) == [("loaded", 1), ("lost", None)]


def test_a_run_that_broke_off_between_quarantine_and_table_leaves_no_row_there_twice(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.deliver("tuesday.csv", ",C,1,1.00", "11,C,two,1.00")
    with monkeypatch.context() as broken:
        broken.setattr(latest, "_write", lambda *_, **__: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            toy.run()
    toy.run()
    assert len(toy.rejected()) == len(set(map(str, toy.rejected())))
    assert sum(row[0] is None for row in toy.rejected()) == 1


def test_maintenance_of_a_quarantine_is_no_work_and_the_next_run_goes_on_from_it(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.deliver("tuesday.csv", *(f"{order},C,two,1.00" for order in range(10, 14)))
    with monkeypatch.context() as small:
        small.setattr(parquet, "LARGEST", 2)
        toy.run()
    quarantine = toy.opened(f"{LINES}__rejected")
    quarantine.optimize.compact()
    quarantine.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert [one["operation"] for one in quarantine.history(3)] == ["VACUUM END", "VACUUM START", "OPTIMIZE"]
    assert not [one for one in toy.run().values() if one.decision.does_something]
    toy.deliver("wednesday.csv", "10,C,2,1.00", "14,C,two,1.00")
    assert toy.run()[LINES].decision.path == "new"
    assert [row[0] for row in toy.rejected()] == [11, 12, 13, 14]
    assert not [one for one in toy.run().values() if one.decision.does_something]


def test_a_quarantine_that_somebody_changed_becomes_what_it_was(toy: Toy) -> None:
    toy.deliver("tuesday.csv", "10,C,two,1.00", "11,C,two,1.00")
    toy.run()
    before = toy.rejected()
    toy.opened(f"{LINES}__rejected").delete("order_id = 10")
    assert toy.run()[LINES].decision.path == "whole"
    assert toy.rejected() == before


def test_the_same_batch_is_appended_once_even_when_it_is_tried_twice(toy: Toy) -> None:
    before, state = toy.rows("bronze.orders", "order_id"), toy.lake.state("bronze.orders")
    assert state is not None
    assert state.progress is not None
    rows = toy.lake.read(toy.engine, "bronze.orders", state.version)
    note = replace(state.progress, base=state.version)
    writer = Writer(toy.lake, toy.engine, toy.tables()["bronze.orders"], note, state.progress)
    writer.append(rows, dict(rows.dtypes), {}, 0)
    assert toy.rows("bronze.orders", "order_id") == before


def test_a_table_that_fails_leaves_itself_and_its_readers_as_they_were(toy: Toy) -> None:
    contract, code = toy.sources[ORDERS]
    toy.sources[ORDERS] = (contract, code.replace('"quantity"', '"kwantity"'))
    toy.deliver("tuesday.csv", "9,C,1,1.00")
    before = toy.versions()
    with pytest.raises(LakehouseError, match=r"silver\.orders could not be written"):
        toy.run()
    after = toy.versions()
    assert {name for name in before if after[name] != before[name]} == {"bronze.orders", LINES}
    toy.sources[ORDERS] = (contract, code)
    toy.run()
    assert toy.rows(TOTALS) == [(1, 5)]


def test_a_build_of_other_types_than_promised_is_an_error_with_both(toy: Toy) -> None:
    contract, code = toy.sources[ORDERS]
    toy.sources[ORDERS] = (contract.replace("bigint, meaning: how many", "int, meaning: how many"), code)
    with pytest.raises(LakehouseError, match=r"promises \{'units': 'int'\}, but .* returned \{'units': 'bigint'\}"):
        toy.run()


def test_only_what_is_named_and_what_it_is_made_from_is_run(toy: Toy) -> None:
    toy.deliver("tuesday.csv", "9,C,1,1.00")
    assert set(toy.run(ORDERS)) == {"bronze.orders", LINES, ORDERS}
    assert toy.run()[TOTALS].decision.path == "whole"


def test_a_source_without_files_gives_empty_tables_and_not_an_error(tmp_path: Path, engine: Native) -> None:
    lake = Toy(tmp_path, engine)
    contract, code = lake.sources["bronze.orders"]
    lake.sources["bronze.returns"] = (contract.replace("*.csv", "*returns*.csv"), code)
    lake.deliver("monday.csv", "7,A,2,10.00")
    lake.run()
    assert lake.rows("bronze.returns") == []


def test_spark_is_imported_before_there_are_threads() -> None:
    """Two threads that import it at once see halves of it. The process of the tests has it, so a fresh one is asked."""
    code = """
import sys
from lakehouse.runs import run
assert "pyspark.sql" not in sys.modules
run.ThreadPoolExecutor = lambda threads: sys.exit(0 if "pyspark.sql" in sys.modules else 1)
run.Run("lake", "landing", {})._turns({}, [], print)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=graph.HOME)
