"""`ops.runs`: what a run notes of its tables, and what later ones remember of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse.audit import history
from lakehouse.audit.history import History, Ran
from lakehouse.audit.turns import Decision, Done
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Input, State
from lakehouse.errors import LakehouseError
from lakehouse.runs import plan
from tests.logs import commit, deleted, rows
from tests.toy import of_monday

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from tests.toy import Toy

NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)
ORDERS = "silver.orders"


def a_turn(**facts: Any) -> Ran:  # noqa: ANN401
    return Ran(**{"table": ORDERS, "path": "incremental"} | facts)


def remembered(root: Path, table: str = ORDERS) -> list[Ran]:
    return list(History(str(root)).of(table))


def test_what_is_written_is_remembered(tmp_path: Path) -> None:
    facts = {"rows_in": 1, "rows_changed": 2, "rows_of_inputs": 3, "rows_written": 4, "rows_deleted": 5, "units": 6}
    where = {"files": 7, "bytes": 8, "commits": 9, "version": 10, "error": "no room", "engine": "spark"}
    one = a_turn(reason="lines moved", seconds=2.5, phases={"waiting": 0.25}, **facts, **where)
    history.write(str(tmp_path), "monday", NOON, [one])
    assert remembered(tmp_path) == [replace(one, run="monday", at=NOON)]


def test_nothing_is_remembered_of_a_lake_without_runs_and_a_run_without_work_makes_no_commit(tmp_path: Path) -> None:
    history.note(
        str(tmp_path), "monday", NOON, "native", [Done(Decision(ORDERS, "nothing", "its inputs did not move"))]
    )
    assert remembered(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_lake_whose_runs_did_not_say_their_engine_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(history, "TYPES", {name: kind for name, kind in history.TYPES.items() if name != "engine"})
        history.write(str(tmp_path), "monday", NOON, [a_turn()])
    assert [one.engine for one in remembered(tmp_path)] == [""]
    history.write(str(tmp_path), "tuesday", NOON + timedelta(days=1), [a_turn(engine="native")])
    assert [one.engine for one in remembered(tmp_path)] == ["native", ""]
    assert [one.run for one in History(str(tmp_path), "native").comparable(ORDERS)] == ["tuesday"]


def test_the_last_twenty_turns_of_each_table_are_remembered_the_newest_first(tmp_path: Path) -> None:
    for hour in range(0, 24, 3):
        turns = [a_turn(version=hour + place) for place in range(3)]
        history.write(str(tmp_path), f"hour {hour}", NOON + timedelta(hours=hour), turns)
    history.write(str(tmp_path), "other", NOON, [Ran("gold.totals", "first")])
    assert len(remembered(tmp_path)) == 20
    assert [one.run for one in remembered(tmp_path)][:4] == ["hour 21"] * 3 + ["hour 18"]
    assert [one.path for one in remembered(tmp_path, "gold.totals")] == ["first"]


def test_of_many_runs_only_the_last_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "RECENT", 3)
    for day in range(6):
        history.write(str(tmp_path), f"day {day}", datetime.now(UTC), [a_turn()])
    assert {one.run for one in remembered(tmp_path)} <= {"day 5", "day 4", "day 3"}
    assert len(remembered(tmp_path)) >= 2


def test_the_cost_of_a_turn_is_without_the_start_of_the_session() -> None:
    assert a_turn(seconds=9.0, phases={"waiting": 7.0, "writing": 1.0}).cost == 2.0


def test_a_turn_says_what_its_commits_did(tmp_path: Path) -> None:
    commit(tmp_path / "silver/lines", rows(50))
    for actions in ([rows(10, path="first")], [rows(2, path="new", size=9), rows(10, path="first", hidden=1)]):
        commit(tmp_path / "silver/orders", *actions, *([deleted(10, path="first")] if len(actions) > 1 else []))
    decision = Decision(ORDERS, "incremental", "lines moved", {"silver.lines": Input(0, "one")}, State("one", 0, None))
    one = history.ran(str(tmp_path), Done(decision, 3.0, 1, units=2, phases={"waiting": 1.0}))
    assert (one.rows_written, one.rows_deleted, one.files, one.bytes, one.commits) == (2, 1, 1, 9, 1)
    assert (one.rows_of_inputs, one.units, one.version, one.seconds, one.cost) == (50, 2, 1, 3.0, 2.0)


# beside a run


@pytest.fixture
def toy(tmp_path: Path, engine: Native) -> Toy:
    return of_monday(tmp_path, engine)


def noted(toy: Toy, *columns: str) -> dict[str, tuple[object, ...]]:
    """Of the newest run, by table."""
    found = ops.query(
        progress.address(toy.lake.root, history.RUNS), "select * from t where at = (select max(at) from t)"
    )
    return {row["table_name"]: tuple(row[column] for column in columns) for row in found}


@pytest.mark.slow
def test_each_run_notes_its_tables_in_one_commit_and_an_idle_one_none(toy: Toy) -> None:
    assert set(noted(toy)) == set(toy.sources)
    toy.deliver("tuesday.csv", "8,B,5,5.00")
    toy.run()
    toy.run()
    now = log.snapshot(progress.address(toy.lake.root, history.RUNS))
    assert now
    assert now.version == 1


@pytest.mark.slow
def test_a_run_notes_path_reason_rows_and_units(toy: Toy) -> None:
    toy.deliver("tuesday.csv", "8,B,5,5.00")
    toy.run()
    lines = "silver.order_lines"
    found = noted(toy, "path", "rows_in", "rows_changed", "rows_of_inputs", "rows_written", "rows_deleted", "units")
    assert found["bronze.orders"] == ("load", 1, None, 0, 1, 0, None)
    assert found[lines] == ("new", 1, 1, 4, 1, 1, None)
    assert found[ORDERS] == ("incremental", None, 1, 3, 1, 1, 1)
    reasons = noted(toy, "reason", "version", "error", "engine")
    assert reasons[ORDERS] == (f"{lines} moved 0 -> 1", 1, None, "native")


@pytest.mark.slow
def test_a_table_that_fails_is_noted_with_its_error(toy: Toy) -> None:
    contract, code = toy.sources[ORDERS]
    toy.sources[ORDERS] = (contract, code.replace('"quantity"', '"kwantity"'))
    with pytest.raises(LakehouseError):
        toy.run()
    found = noted(toy, "path", "version", "error", "engine")
    assert found.keys() == {ORDERS}
    path, version, error, engine = found[ORDERS]
    assert (path, version, engine) == ("whole", None, "native")
    assert "silver.orders could not be written" in str(error)


@pytest.mark.slow
def test_a_run_that_was_asked_to_stop_begins_no_table(toy: Toy) -> None:
    from lakehouse.runs.run import Run, StoppedError  # noqa: PLC0415

    toy.deliver("tuesday.csv", "8,B,5,5.00")
    run = Run(toy.lake.root, str(toy.landing), toy.tables(), engine=toy.engine)
    with pytest.raises(StoppedError, match=r"^Stopped before silver\.order_lines\. The next run goes on from there\.$"):
        run.execute(run.tables, lambda _: run.stopping.set())
    assert toy.versions() == {"bronze.orders": 1, "silver.order_lines": 0, ORDERS: 0, "gold.totals": 0}
    assert set(noted(toy)) == {"bronze.orders"}
    assert plan.decide(toy.lake.root, toy.tables()[ORDERS], []).path == "nothing"
    toy.run()
    assert toy.rows("gold.totals") == [(1, 8)]
