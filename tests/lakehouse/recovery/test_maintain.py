"""A small lake after maintenance: the same rows, runs that go on where they were, readers behind that still read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakehouse import engines
from lakehouse.conf import Retention
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log
from lakehouse.delta.upkeep import compaction, vacuum
from lakehouse.recovery import check, maintain, releases
from tests.lakehouse.delta.upkeep.test_vacuum import aged
from tests.toy import SOURCES, Toy, with_vectors

if TYPE_CHECKING:
    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.protocol import Engine
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.recovery.maintain import Maintained

pytestmark = pytest.mark.slow
BRONZE, LINES, ORDERS, TOTALS = "bronze.orders", "silver.order_lines", "silver.orders", "gold.totals"
REJECTED = f"{LINES}__rejected"
DAY = Retention(1, 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Toy:
    """Nine deliveries, of which the last five are read by the lines alone: the orders are behind.

    Of each file of the lines rows are hidden twice: those of order 1 the next day, others two days later.
    """
    toy = Toy(tmp_path_factory.mktemp("made"), engine, with_vectors(SOURCES))
    for day in range(1, 10):
        rejected = f"90,C,{'two' if day % 2 else 2},1.00"
        toy.deliver(
            "orders.csv", f"{day},A,1,1.00", f"1,B,{day},1.00", f"{80 + day % 3},D,{day},1.00", rejected, day=day
        )
        toy.run(*((LINES,) if day > 4 else ()))
    return toy


@pytest.fixture
def toy(made: Toy, tmp_path: Path) -> Toy:
    copy = made.copied(tmp_path / "toy")
    aged(copy.folder / "lake")
    return copy


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small files are many, and one hidden row is."""
    monkeypatch.setattr(compaction, "PILED_UP", 2)
    monkeypatch.setattr(compaction, "MANY_HIDDEN", 1)


def maintained(toy: Toy, retention: Retention = DAY, **released: list[int]) -> dict[str, Maintained]:
    versions = {name.replace("_", ".", 1): numbers for name, numbers in released.items()}
    done = maintain.maintain(toy.lake.root, toy.tables(), retention, versions)
    assert [one.problem for one in done if one.problem] == []
    return {one.table: one for one in done}


def rows_of(toy: Toy, name: str, version: int | None = None) -> list[str]:
    return sorted(map(str, feed.read(toy.lake.address(name), version).to_pylist()))


def newest(toy: Toy, name: str) -> int:
    return toy.versions()[name]


@pytest.mark.usefixtures("eager")
def test_rows_are_the_same_and_the_next_run_goes_on_where_the_last_one_was(toy: Toy) -> None:
    before = {name: rows_of(toy, name) for name in (*toy.versions(), REJECTED)}
    done = maintained(toy)
    assert {BRONZE, LINES, REJECTED, "ops.files", "ops.runs"} <= done.keys()
    assert done[LINES].compacted
    assert done[LINES].freed
    assert {name: rows_of(toy, name) for name in before} == before
    toy.deliver("orders.csv", "1,B,33,1.00", day=10)
    decisions = {name: one.decision for name, one in toy.run().items()}
    assert (decisions[BRONZE].path, decisions[LINES].path) == ("load", "new")
    assert decisions[ORDERS].path == "incremental", decisions[ORDERS].reason
    assert {one.decision.path for one in toy.run().values()} == {"nothing"}
    assert (1, 1, 33) in toy.rows(ORDERS)


def test_versions_of_releases_are_read_as_before_and_others_are_gone(toy: Toy) -> None:
    before = {version: rows_of(toy, LINES, version) for version in range(newest(toy, LINES) + 1)}
    maintained(toy, silver_order_lines=[0, 2])
    state = toy.lake.state(ORDERS)
    assert state
    assert state.progress
    behind = int(state.progress.inputs[LINES].version)
    assert behind == 3
    kept = {0, 2, *range(behind, newest(toy, LINES))}
    assert {version: rows_of(toy, LINES, version) for version in kept} == {one: before[one] for one in kept}
    assert vacuum.lost(toy.lake.root, {LINES: [0, 2, behind]}) == {}
    maintained(toy)
    assert vacuum.lost(toy.lake.root, {LINES: [0, 2, behind]}).keys() == {(LINES, 2)}


def test_kept_releases_are_read_as_before_and_older_ones_expire(toy: Toy) -> None:
    root, tables = toy.lake.root, toy.tables()
    for day in (10, 11, 12):
        toy.deliver("orders.csv", f"1,B,{day},1.00", f"{80 + day % 3},D,{day},1.00", day=day)
        toy.run()
        releases.publish(root, tables)
    aged(toy.folder / "lake")
    first, *_ = known = releases.releases(root)
    before = {name: rows_of(toy, name, version) for name, version in first.tables.items()}
    maintain.maintain(root, tables, DAY, maintain.released(root, DAY))
    assert {name: rows_of(toy, name, version) for name, version in first.tables.items()} == before
    assert (releases.expired(root, known, 0), check.check(root, tables)) == ({}, [])
    maintain.maintain(root, tables, Retention(1, 0), maintain.released(root, Retention(1, 0)))
    assert "is gone" in releases.expired(root, known, 0)[1]
    assert 3 not in releases.expired(root, known, 0)
    assert (releases.expired(root, known, 1), check.check(root, tables, days=0)) == ({}, [])
    assert "cannot be read: " in check.check(root, tables, days=1)[0].what


def test_tables_say_how_long_others_must_keep_what_releases_hold(toy: Toy) -> None:
    maintained(toy, Retention(7, 60))
    for name in (BRONZE, LINES, REJECTED, "ops.files"):
        now = log.snapshot(toy.lake.address(name))
        assert now
        assert now.configuration[maintain.DELETED] == "interval 60 days"
        assert now.configuration[maintain.LOGS] == "interval 400 days"
    before = toy.versions()
    maintained(toy, Retention(7, 30))
    assert toy.versions() == before
    assert {toy.run()[name].decision.path for name in (BRONZE, LINES)} == {"nothing"}


@pytest.mark.parametrize(
    ("said", "days"),
    [("interval 1 week", 7), ("168 hours", 7), ("INTERVAL 1 YEAR", 365), ("interval 2 days 3 hours", 0)],
)
def test_what_a_property_says_is_read_in_days(said: str, days: int) -> None:
    assert maintain._days(said, 30) == days  # noqa: SLF001
    assert maintain._days(None, 30) == 30  # noqa: SLF001


def test_a_dry_run_says_the_same_and_changes_nothing(toy: Toy) -> None:
    files = {path: path.stat().st_size for path in (toy.folder / "lake").rglob("*")}
    would = maintain.maintain(toy.lake.root, toy.tables(), DAY, {}, dry_run=True)
    assert {path: path.stat().st_size for path in (toy.folder / "lake").rglob("*")} == files
    did = maintained(toy)
    assert [one.freed for one in would if one.table == LINES] == [did[LINES].freed]
    assert {one.table for one in would if one.compacted} == {name for name, one in did.items() if one.compacted}


def assert_maintenance_stops_no_run(toy: Toy, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Each table is maintained after it was read, just before its commit; by the engine these, natively the others."""
    of_engine = type(toy.engine)
    write = of_engine.write

    def beside_maintenance(engine: Engine, *given: object) -> int:
        maintained(replace(toy, engine=engine))
        return write(engine, *given)  # type: ignore[arg-type]

    toy.deliver("orders.csv", "1,B,33,1.00", "91,C,two,1.00", day=10)
    with monkeypatch.context() as patch:
        patch.setattr(of_engine, "write", beside_maintenance)
        done = {name: one.decision.path for name, one in toy.run(*names).items()}
    toy.engine = engines.start(engines.NATIVE)
    done |= {name: one.decision.path for name, one in toy.run().items() if one.decision.does_something}
    assert done == {BRONZE: "load", LINES: "new", ORDERS: "incremental", TOTALS: "whole"}
    assert (1, 1, 33) in toy.rows(ORDERS)
    assert {one.decision.path for one in toy.run().values()} == {"nothing"}


@pytest.mark.usefixtures("eager")
def test_maintenance_in_the_middle_of_a_run_stops_neither(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_maintenance_stops_no_run(toy, monkeypatch)


@pytest.mark.spark
@pytest.mark.usefixtures("eager")
def test_maintenance_in_the_middle_of_a_run_by_spark_stops_neither(
    toy: Toy, on_spark: Spark, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_maintenance_stops_no_run(replace(toy, engine=on_spark), monkeypatch, LINES)


def test_a_table_that_cannot_be_maintained_is_told_and_stops_no_other(toy: Toy) -> None:
    lines = Path(toy.lake.address(LINES))
    (lines / log.commit_path(newest(toy, LINES))).write_text("{")
    done = maintain.maintain(toy.lake.root, toy.tables(), DAY, {})
    problems = {one.table: one.problem for one in done if one.problem}
    assert list(problems) == [LINES]
    assert "is damaged" in problems[LINES]
