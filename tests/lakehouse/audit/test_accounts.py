"""What a run says of files, rows and quality, and what it says when it stops, breaks off or has nothing to do."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from jobs.runs import ran
from lakehouse import conf, engines, graph
from lakehouse.audit import accounts
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.documents import latest
from lakehouse.errors import LakehouseError
from lakehouse.formula import PLACES
from lakehouse.intake.deliveries import landing
from lakehouse.intake.records import ledger, schema_changes
from lakehouse.runs.run import Run
from lakehouse.serving.questions import sql
from tests.toy import HEADER, SOURCES, Toy

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakehouse.audit.turns import Report
    from lakehouse.engines.native.engine import Native
    from lakehouse.intake.deliveries.landing import Found

    Ask = Callable[[str], list[tuple[object, ...]]]

pytestmark = pytest.mark.slow
BRONZE, LINES, ORDERS = "bronze.orders", "silver.order_lines", "silver.orders"
PROMISES = """
        score: 100 * (1 - rejected / rows)
        document: {_units: sum(quantity)}
        rules:
          order_is_small: {check: "_units <= 20", severity: reject, why: a test}
          price_is_known: {check: price is not null, severity: warn, why: a test}
          quantity_is_possible: {check: quantity < 500, severity: stop, why: a test}
        """
MONDAY = ("7,A,2,10.00", "7,A,2,10.00", "8,B,two,1", "9,C,15,1", "9,D,6,1", "10,E,1,-")


def promising(toy: Toy, more: str = PROMISES, source: str = "") -> Toy:
    """The lake's lines with rules, and its source with what it promises of deliveries."""
    contract, code = SOURCES[LINES]
    toy.sources[LINES] = (f"{contract.rstrip()}{more}", code)
    contract, code = SOURCES[BRONZE]
    toy.sources[BRONZE] = (contract.replace("format: csv,", f"format: csv, {source}"), code)
    return toy


def a_run(toy: Toy, *, starts: bool = True) -> Run:
    return Run(toy.lake.root, str(toy.landing), toy.tables(), engine=toy.engine if starts else engines.NATIVE)


def deliver(toy: Toy, path: str, content: str) -> Path:
    market, name = path.split("/")
    file = toy.deliver(name, market=int(market[-1]))
    file.write_text(content, encoding="utf-8")
    os.utime(file, (toy.clock, toy.clock))
    return file


def files(toy: Toy) -> dict[str, tuple[object, ...]]:
    """Of each file in the ledger: status, rows, and where they went; none is taken back here."""
    entries = ledger.read(toy.lake.root).entries
    assert not any(one.counts.get("retracted") for one in entries)
    names = ("rows", *(name for name in PLACES if name != "retracted"))
    return {one.delivery.path: (one.status, *(one.counts.get(name) for name in names)) for one in entries}


def reasons(toy: Toy) -> dict[str, str]:
    return {one.delivery.path: one.reason for one in ledger.read(toy.lake.root).entries}


def measured(toy: Toy, kind: str, *columns: str) -> list[tuple[object, ...]]:
    """What ops.quality says, over all runs."""
    rows = ops.query(progress.address(toy.lake.root, "ops.quality"), f"select * from t where measure = '{kind}'")
    return sorted((tuple(row[name] for name in columns) for row in rows), key=str)


def commits(toy: Toy) -> set[str]:
    """Every commit of every table below the lake's root."""
    return {str(path) for path in Path(toy.lake.root).rglob("_delta_log/*.json")}


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Native:
        raise AssertionError("an engine was started")

    monkeypatch.setattr(engines, "start", refuse)


# One lake and its life -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Toy:
    """Two markets with the same rows, and files of every other status."""
    lake = promising(Toy(tmp_path_factory.mktemp("accounts"), engine), source="fresh_within_hours: 24, ")
    lake.deliver("monday.csv", *MONDAY)
    lake.deliver("same.csv", *MONDAY, market=2)
    lake.deliver("header.csv")
    deliver(lake, "market_1/nothing.csv", "")
    deliver(lake, "market_1/_temporary.csv", "order_id\n")
    os.utime(deliver(lake, "market_1/half.csv", f"{HEADER}\n11,A,1,1.00\n12,B"))  # just now, so it waits
    deliver(lake, "market_1/twice.csv", "order_id,Order ID\n1,2\n")
    return lake


@pytest.fixture(scope="module")
def first(toy: Toy) -> Report:
    """What the first run reported."""
    run = a_run(toy)
    return run.execute(run.tables)


@pytest.mark.usefixtures("first")
def test_every_file_has_its_status_and_its_sums_close(toy: Toy) -> None:
    assert files(toy) == {
        "market_1/monday.csv": ("loaded", 6, 2, 0, 3, 1, 0),
        "market_2/same.csv": ("loaded", 6, 2, 0, 3, 1, 0),
        "market_1/header.csv": ("empty", 0, None, None, None, None, None),
        "market_1/nothing.csv": ("empty", 0, None, None, None, None, None),
        "market_1/_temporary.csv": ("waiting", *[None] * 6),
        "market_1/half.csv": ("waiting", *[None] * 6),
        "market_1/twice.csv": ("unreadable", *[None] * 6),
    }


@pytest.mark.usefixtures("first")
def test_the_reason_of_a_file_says_what_it_equals_or_why_it_is_not_loaded(toy: Toy) -> None:
    found = reasons(toy)
    # Written at the same moment, which is the day before in Lagos.
    assert found["market_1/monday.csv"] == "holds the same as market_2/same.csv, of another market"
    assert found["market_1/_temporary.csv"] == "its name says that it is being written"
    assert "without line break: its writer is not done" in found["market_1/half.csv"]
    assert (
        found["market_1/twice.csv"]
        == "has two columns that both fold to order_id: 'order_id' and 'Order ID'. Rename one of them."
    )
    assert found["market_2/same.csv"] == ""


@pytest.mark.usefixtures("first")
def test_every_rule_is_measured_by_market_with_what_it_broke(toy: Toy) -> None:
    found = measured(toy, "rule", "name", "market", "severity", "checked", "broken", "table_name")
    broken = {row[:2]: row[2:] for row in found}
    for market in (1, 2):
        assert broken["order_is_small", market] == ("reject", 5, 2, LINES)
        assert broken["price_is_known", market] == ("warn", 5, 1, LINES)
        assert broken["quantity_is_possible", market] == ("stop", 5, 0, LINES)
        assert broken["quantity_is_readable", market] == ("reject", 5, 1, LINES)
        assert broken["quantity_is_present", market] == ("reject", 5, 0, LINES)


@pytest.mark.usefixtures("first")
def test_scores_reconciliation_freshness_and_volume_are_measured_by_market(toy: Toy) -> None:
    assert measured(toy, "score", "market", "value") == [(1, 50.0), (2, 50.0)]
    assert measured(toy, "freshness", "market", "broken") == [(1, 1), (2, 1)]  # delivered in 2023
    assert measured(toy, "volume", "market", "checked", "broken") == [(1, 3, 2), (2, 1, 0)]
    assert {row[-1] for row in measured(toy, "reconciliation", "table_name", "market", "broken")} == {0}


def test_an_empty_delivery_where_rows_are_expected_is_named(toy: Toy, first: Report) -> None:
    notes = [str(note) for market, note in measured(toy, "volume", "market", "note") if market == 1]
    assert all("market_1/nothing.csv has no rows" in note and "header.csv has no rows" in note for note in notes)
    console = Console(record=True, width=500, file=StringIO())
    ran.summary(console, first)
    assert "market_1/nothing.csv has no rows" in console.export_text()


@pytest.mark.usefixtures("first", "no_engine")
def test_an_idle_run_makes_no_commit_and_starts_no_engine(toy: Toy) -> None:
    """Although two files wait and one cannot be read: that is said once."""
    before = commits(toy)
    run = a_run(toy, starts=False)
    report = run.execute(run.tables)
    assert commits(toy) == before
    assert [one.delivery.path for one in report.found.by_status("unreadable")] == ["market_1/twice.csv"]
    assert len(report.found.by_status("waiting")) == 2
    late = [(one.market, one.broken) for one in report.measures if one.measure == "freshness"]
    assert late == [(1, 1), (2, 1)]  # that nothing comes is what it is for


@pytest.mark.usefixtures("first", "no_engine")
def test_a_touched_file_is_noted_as_duplicate_without_an_engine(toy: Toy) -> None:
    before = commits(toy)
    os.utime(toy.landing / "market_1/monday.csv", (toy.clock + 100, toy.clock + 100))
    for _ in range(2):
        run = a_run(toy, starts=False)
        run.execute(run.tables)
    assert {Path(one).parts[-3] for one in commits(toy) - before} == {"files"}
    assert len(commits(toy) - before) == 1
    statuses = [one.status for one in ledger.read(toy.lake.root).entries if one.delivery.path == "market_1/monday.csv"]
    assert sorted(statuses) == ["duplicate", "loaded"]


@pytest.mark.usefixtures("first")
def test_a_whole_rebuild_writes_the_counts_anew_and_a_new_column_is_noted_once(toy: Toy) -> None:
    promising(toy, PROMISES.replace("<= 20", "<= 21"), source="fresh_within_hours: 24, ")
    toy.deliver("tuesday.csv", "10,E,1,2.00,red", header=f"{HEADER},colour")
    toy.run(LINES)
    taken = {one.delivery.path: one.counts for one in ledger.read(toy.lake.root).taken()}
    assert tuple(taken["market_1/monday.csv"].values()) == (6, 2, 1, 1, 1, 1, 0, 0)
    assert tuple(taken["market_1/tuesday.csv"].values()) == (1, 1, 0, 0, 0, 0, 0, 0)
    a_run(toy, starts=False)._take(toy.tables())  # noqa: SLF001
    changes = [(one.column_name, one.change, one.file) for one in schema_changes.read(toy.lake.root)]
    assert changes == [("colour", "new", "market_1/tuesday.csv")]


# The views of conf/ops ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Ask:
    """Answers over a lake with two runs: two markets first, then more of the first one alone."""
    lake = promising(Toy(tmp_path_factory.mktemp("views"), engine))
    contract, code = SOURCES[ORDERS]
    rule = 'rules: {order_is_usual: {check: "units < 5", severity: warn, why: a test}}'
    lake.sources[ORDERS] = (f"{contract.rstrip()}\n        {rule}\n        ", code)
    lake.deliver("first.csv", "7,A,2,1", "8,B,two,1", "9,C,6,1", "10,D,1,1", day=2)
    lake.deliver("first.csv", "7,A,3,1", market=2)
    lake.run(ORDERS)
    lake.deliver("second.csv", "8,B,2,1", "11,C,two,1", day=3)
    lake.run(ORDERS)
    reader = engines.reader()
    return lambda statement: [
        tuple(row.values()) for row in sql.query(reader, lake.lake.root, statement).arrow().to_pylist()
    ]


def test_shares_and_scores_stand_beside_those_of_the_run_before(asked: Ask) -> None:
    named = "rule in ('quantity_is_readable', 'order_is_usual', 'score')"
    columns = "source, rule, market, checked, broken, share, share_before, score"
    assert asked(f"select {columns} from ops.data_quality where {named} order by at, source, rule, market") == [
        (LINES, "quantity_is_readable", 1, 4, 1, 0.25, None, None),
        (LINES, "quantity_is_readable", 2, 1, 0, 0.0, None, None),
        (LINES, "score", 1, 4, None, None, None, 75.0),
        (LINES, "score", 2, 1, None, None, None, 100.0),
        (ORDERS, "order_is_usual", None, 4, 1, 0.25, None, None),
        (LINES, "quantity_is_readable", 1, 2, 1, 0.5, 0.25, None),
        (LINES, "score", 1, 2, None, None, None, 50.0),
        (ORDERS, "order_is_usual", None, 1, 0, 0.0, 0.25, None),  # of the one order that the second run computed
    ]


def test_each_market_of_a_source_has_its_newest_delivery_and_its_age(asked: Ask) -> None:
    columns = "source, market, cast(newest_delivery_at as string), newest_file, files, rows"
    first, second = asked(f"select {columns} from ops.freshness order by market")
    assert first == (BRONZE, 1, "2024-01-03 00:00:00", "market_1/2024-01-03/second.csv", 2, 6)
    assert second == (BRONZE, 2, "2023-11-14 22:13:22", "market_2/first.csv", 1, 1)
    ((hours,),) = asked("select hours_old from ops.freshness where market = 1")
    assert hours == pytest.approx(
        (datetime.now(UTC) - datetime(2024, 1, 3, tzinfo=UTC)).total_seconds() / 3600, abs=0.2
    )


def test_a_view_may_name_itself_in_its_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "ops").mkdir(parents=True)
    (tmp_path / "conf" / "ops" / "things.sql").write_text("-- ops.things: one row.\nselect 1 as a -- One\n")
    monkeypatch.setattr(conf, "HOME", tmp_path)
    answer = sql.query(engines.reader(), str(tmp_path), "select a from ops.things")
    assert answer.arrow().to_pylist() == [{"a": 1}]


# Runs that stop ------------------------------------------------------------------------------------------------------


def test_a_rule_that_stops_stops_before_the_commit_until_its_rows_are_right(tmp_path: Path, engine: Native) -> None:
    lake = promising(Toy(tmp_path, engine), PROMISES.replace("_units <= 20", "_units < 9999"))
    contract, code = SOURCES[ORDERS]
    rule = 'rules: {order_is_possible: {check: "units < 100", severity: stop, why: a test}}'
    lake.sources[ORDERS] = (f"{contract.rstrip()}\n        {rule}\n        ", code)
    lake.deliver("monday.csv", "7,A,2,1")
    lake.run(ORDERS)
    before = {name: lake.versions()[name] for name in (LINES, ORDERS)}

    lake.deliver("tuesday.csv", "7,A,500,1")
    with pytest.raises(LakehouseError, match=r"silver\.order_lines was not written: 1 rows break quantity_is_possible"):
        lake.run(ORDERS)
    assert {name: lake.versions()[name] for name in (LINES, ORDERS)} == before

    lake.deliver("tuesday.csv", "7,A,400,1")
    with pytest.raises(LakehouseError, match=r"order_is_possible: 1 of 1 rows, e\.g\. market 1, order_id 7"):
        lake.run(ORDERS)
    assert lake.rows(LINES, "quantity") == [(400,)]
    assert lake.versions()[ORDERS] == before[ORDERS]
    assert (1, ORDERS) in measured(lake, "rule", "broken", "table_name")


# Runs that break off -------------------------------------------------------------------------------------------------


class StoppedError(Exception):
    """The process ends here."""


def stop(*_: object, **__: object) -> Any:  # noqa: ANN401
    raise StoppedError


def broken_off(folder: Path, engine: Native, monkeypatch: pytest.MonkeyPatch, *steps: str) -> Toy:
    """A lake whose first run ended at these steps."""
    lake = Toy(folder, engine)
    lake.deliver("monday.csv", "7,A,2,1", "8,B,two,1")
    with monkeypatch.context() as broken:
        for step in steps:
            broken.setattr(Run, step, stop)
        with pytest.raises(StoppedError):
            lake.run(LINES)
    return lake


def test_what_a_run_that_broke_off_did_not_note_is_noted_by_the_next(
    tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = broken_off(tmp_path, engine, monkeypatch, "_latest", "_close")
    assert files(lake)["market_1/monday.csv"][0] == "claimed"
    lake.run(LINES)
    assert files(lake)["market_1/monday.csv"] == ("loaded", 2, 1, 0, 1, 0, 0)


@pytest.mark.parametrize(("noted", "went"), [(1000, (1, 0)), (0, (0, 1))], ids=["few files", "many"])
def test_a_run_that_broke_off_after_its_last_table_leaves_no_file_without_its_sums(
    noted: int, went: tuple[int, int], tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table's note says them; of more files than it takes all rows are judged again, which the table has then."""
    monkeypatch.setattr(latest, "MOST_NOTED", noted)
    lake = broken_off(tmp_path, engine, monkeypatch, "_close")
    path = lake.run(LINES)[LINES].decision.path
    assert path == ("nothing" if noted else "whole")
    assert files(lake)["market_1/monday.csv"] == ("loaded", 2, *went, 1, 0, 0)


# Runs at the same moment ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_a_ledger", [False, True])
def test_of_two_runs_that_look_at_the_same_moment_one_takes_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_a_ledger: bool
) -> None:
    lake = Toy(tmp_path, None)  # type: ignore[arg-type] # nothing here computes
    tables = lake.tables()
    one, other = (Run(lake.lake.root, str(lake.landing), tables) for _ in range(2))
    if has_a_ledger:
        lake.deliver("sunday.csv", "6,A,1,1")
        Run(lake.lake.root, str(lake.landing), tables)._take(tables)  # noqa: SLF001
    lake.deliver("monday.csv", "7,A,2,1")
    find, looks = landing.find, []

    def find_and_be_overtaken(*arguments: Any) -> Found:  # noqa: ANN401
        found = find(*arguments)
        looks.append(found)
        if len(looks) == 1:
            one._take(tables)  # noqa: SLF001
        return found

    monkeypatch.setattr(landing, "find", find_and_be_overtaken)
    found = other._take(tables)  # noqa: SLF001
    assert [len(look.new) for look in looks] == [1, 1, 0]
    assert found.new == ()
    paths = [entry.delivery.path for entry in ledger.read(lake.lake.root).entries]
    assert sorted(paths) == [*["market_1/monday.csv"], *["market_1/sunday.csv"] * has_a_ledger]
    assert {entry.delivery.path for entry in other.taken} == set(paths)


def test_a_file_that_still_grows_is_one_delivery_when_it_is_whole(tmp_path: Path) -> None:
    lake = Toy(tmp_path, None)  # type: ignore[arg-type]
    tables = lake.tables()
    lake.deliver("sunday.csv", "6,A,1,1")
    for content in ("7,A", "7,A,2,1\n8"):
        deliver(lake, "market_1/monday.csv", f"{HEADER}\n{content}")
        a_run(lake, starts=False)._take(graph.selected(tables, []))  # noqa: SLF001
    lake.deliver("monday.csv", "7,A,2,1", "8,B,1,1\n")
    a_run(lake, starts=False)._take(tables)  # noqa: SLF001
    taken = [one.delivery.path for one in ledger.read(lake.lake.root).taken()]
    assert sorted(taken) == ["market_1/monday.csv", "market_1/sunday.csv"]


@pytest.mark.usefixtures("first")
def test_the_time_of_a_measure_is_that_of_its_run(toy: Toy) -> None:
    rows = ops.query(progress.address(toy.lake.root, "ops.quality"), "select distinct run, at from t")
    assert len({row["run"] for row in rows}) == len(rows)
    assert all(abs((datetime.now(UTC) - row["at"]).total_seconds()) < 3600 for row in rows)


def test_old_deliveries_are_told_also_when_nothing_moves(tmp_path: Path, engine: Native) -> None:
    toy = promising(Toy(tmp_path, engine), source="fresh_within_hours: 24, ")
    toy.deliver("monday.csv", *MONDAY)
    toy.run()
    report = a_run(toy, starts=False).execute(toy.tables())
    assert not [one for one in report.done if one.decision.does_something]
    assert [(one.measure, one.broken) for one in report.measures] == [("freshness", 1)]


def test_a_row_of_bronze_that_ends_nowhere_breaks_the_reconciliation(tmp_path: Path, engine: Native) -> None:
    toy = Toy(tmp_path, engine)
    file = toy.deliver("monday.csv", *MONDAY)
    done = toy.run()
    taken = ledger.read(toy.lake.root).taken()
    place = (file.relative_to(toy.landing).as_posix(), taken[0].batch)
    for lost in ({"kept": 1}, {}):
        one = replace(done[LINES], by_file={place: lost})
        measures = accounts.measures(toy.tables(), taken, {}, [one], datetime.now(UTC))
        found = {measure.name: (measure.checked, measure.broken) for measure in measures}
        assert found["rows_end_in_one_place"] == (6, 6 - sum(lost.values()))


MIDDLE, LAST, ALL = "_row <> 2", "not _is_last", "_file not like '%monday%'"


@pytest.mark.parametrize(
    ("changed", "counted"),
    [
        ("landing", (9, 0)),
        (f'landing.where("{MIDDLE}")', (9, 2)),
        (f'landing.where("{LAST}")', (2, 5)),  # how many there were is not known
        (f'landing.where("{ALL}")', (4, 1)),
        ("landing.unionByName(landing)", (9, 9)),
    ],
)
def test_a_row_that_is_lost_or_doubled_between_a_file_and_bronze_is_missed(
    tmp_path: Path, engine: Native, changed: str, counted: tuple[int, int]
) -> None:
    toy = Toy(tmp_path, engine)
    toy.sources["bronze.orders"] = (toy.sources["bronze.orders"][0], f"def build(landing):\n    return {changed}\n")
    toy.deliver("monday.csv", *MONDAY)
    toy.deliver("tuesday.csv", "7,A,2,10.00", "8,A,2,10.00", "9,A,2,10.00")
    toy.deliver("header.csv")
    run = a_run(toy)
    report = run.execute({"bronze.orders": run.tables["bronze.orders"]})
    (one,) = [one for one in report.measures if one.name == "file_rows_are_bronze_rows"]
    assert (one.checked, one.broken) == counted


def test_a_run_says_which_columns_a_file_lacks_that_the_file_before_it_had(tmp_path: Path, engine: Native) -> None:
    toy = Toy(tmp_path, engine)
    toy.deliver("monday.csv", "7,A,2,10.00")
    toy.run()
    toy.deliver("tuesday.csv", "7,2", header="order_id,quantity")
    toy.deliver("other.csv", "7,A,2,10.00", market=2)
    report = a_run(toy).execute(toy.tables())
    console = Console(record=True, width=500, file=StringIO())
    ran.summary(console, report)
    said = [line.strip() for line in console.export_text().splitlines() if "columns" in line]
    lost = "has no price, product any more: the documents that it brings again are without, but for columns whose "
    lost += "contract says `lacking: keep`"
    assert said == [f"columns market_1/tuesday.csv {lost}"]
    assert a_run(toy, starts=False).execute(toy.tables()).changes == ()
