"""A rewind: every table is what it was, with its progress, wherever it breaks off; a run takes up what came since."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse.audit import history
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.ops import query
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.recovery import rewind as back
from lakehouse.runs import plan
from lakehouse.runs.run import Run
from lakehouse.writes import rewind
from tests import histories
from tests.histories import DiedError, History
from tests.toy import SOURCES, Toy, with_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lakehouse.delta.tables.progress import Input
    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
BRONZE, LINES, ORDERS, TOTALS = "bronze.orders", "silver.order_lines", "silver.orders", "gold.totals"
Rows = dict[str, list[str]]


def rows_of(root: str, point: Mapping[str, Input]) -> Rows:
    """All that these tables hold, with the evidence."""
    return {name: sorted(map(str, query(progress.address(root, name), "select * from t"))) for name in point}


# Random points --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Past:
    """A lake at the end of a day."""

    point: Mapping[str, Input]
    rows: Rows
    changes: frozenset[str]


# A file that was written over is in landing no more, and its first version could not come again.
EVENTS = [one for one in histories.EVENTS if one not in (histories.rewritten_file, histories.touched_file)]
EVENTS.remove(histories.repeated_file)
EVENTS.remove(histories.our_maintenance)  # it keeps what releases name, and these points are none


def a_life(begun: History, folder: Path, seed: int, days: int) -> tuple[History, list[Past]]:
    """A lake that lived some days, and what it was at the end of each."""
    history, random = begun.continued(folder, seed), Random(seed)  # noqa: S311
    lived = []
    for _ in range(days):
        history.step(random.sample(EVENTS, 2), histories.run)
        point = history.toy.point()
        lived.append(Past(point, rows_of(history.toy.lake.root, point), frozenset(history.changes)))
    return history, lived


@pytest.fixture(scope="module")
def begun(engine: Native, tmp_path_factory: pytest.TempPathFactory) -> History:
    return History.begin(tmp_path_factory.mktemp("begun"), engine, Random(0))  # noqa: S311


@pytest.fixture(scope="module")
def life(begun: History, tmp_path_factory: pytest.TempPathFactory) -> tuple[History, list[Past]]:
    return a_life(begun, tmp_path_factory.mktemp("life"), 7, 3)


def assert_all_comes_back(history: History, past: Past, layer: str) -> None:
    """What was saved then; progress of today's versions; and after a run what there was before the rewind."""
    root, present, changes = history.toy.lake.root, history.content(), set(history.changes)
    prospect = back.look(root, str(history.toy.landing), history.tables(), "to then", past.point, layer)
    back.go(root, prospect)
    assert rows_of(root, prospect.point) == {name: past.rows.get(name, []) for name in prospect.point}, history.story()
    history.changes = set(past.changes)
    of_then = [one for name, one in history.tables().items() if {name, *one.parents} <= prospect.point.keys()]
    decided = plan.decide_all(root, of_then, ledger.read(root).taken())
    assert {name: one.reason for name, one in decided.items() if one.does_something} == {}, history.story()
    history.changes = changes
    history.run()
    assert (history.content(), history.wrong()) == (present, {}), history.story()


LAYERS = ("bronze", "bronze", "silver", "gold")


@pytest.mark.parametrize("seed", [0, *(pytest.param(one, marks=pytest.mark.long) for one in range(1, 5))])
def test_a_random_point_comes_back_and_after_a_run_the_present(
    life: tuple[History, list[Past]], tmp_path: Path, seed: int
) -> None:
    history, lived = life
    random = Random(seed)  # noqa: S311
    copy = history.continued(tmp_path, seed)
    copy.changes = set(history.changes)
    assert_all_comes_back(copy, random.choice(lived[:-1]), random.choice(LAYERS))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_in_a_life_of_its_own_two_random_points_come_back(begun: History, tmp_path: Path, seed: int) -> None:
    """The second after the first, so that a rewind is rewound too."""
    history, lived = a_life(begun, tmp_path, 100 + seed, 6)
    random = Random(seed)  # noqa: S311
    for _ in range(2):
        assert_all_comes_back(history, random.choice(lived), random.choice(LAYERS))


# Where it breaks off --------------------------------------------------------------------------------------------------

COMMITS = 7  # that it is begun; bronze, the lines' quarantine, the lines, orders, totals; that it is done


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> tuple[Toy, dict[str, Input]]:
    """Tuesday's lake, whose rows leave by deletion vectors, and Monday's point."""
    toy = Toy(tmp_path_factory.mktemp("made"), engine, with_vectors(SOURCES))
    toy.deliver("monday.csv", "7,A,2,10.00", "7,B,1,1.00", "8,B,1,5.00")
    toy.run()
    then = toy.point()
    toy.deliver("tuesday.csv", "8,B,5,5.00", "9,C,1,1.00", "10,C,two,1.00")
    toy.run()
    return toy, then


@pytest.fixture
def tuesday(made: tuple[Toy, dict[str, Input]], tmp_path: Path) -> Toy:
    return made[0].copied(tmp_path / "toy")


@pytest.fixture
def monday(made: tuple[Toy, dict[str, Input]]) -> dict[str, Input]:
    return made[1]


def look(toy: Toy, then: Mapping[str, Input], layer: str = "bronze") -> back.Prospect:
    return back.look(toy.lake.root, str(toy.landing), toy.tables(), "to monday", then, layer)


def dies_after(commits: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    number, land = iter(range(1, 100)), committer.land

    def mortal(*arguments: Any) -> None:  # noqa: ANN401
        now = next(number)
        if now <= commits:
            land(*arguments)
        if now >= commits:
            raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(committer, "land", mortal)
        with pytest.raises(DiedError):
            work()


def facts_of(toy: Toy) -> list[object]:
    """The rows, versions and progress of all tables; of the notes not which rewind wrote them."""
    point = toy.point()
    states = {name: toy.lake.state(name) for name in toy.sources}
    notes = [replace(one.progress, run="") for one in states.values() if one and one.progress]
    versions = {name: one.version for name, one in point.items()}
    return [rows_of(toy.lake.root, point), versions, notes]


def test_a_rewind_that_is_killed_between_any_two_commits_ends_like_one_that_is_not(
    tuesday: Toy, monday: dict[str, Input], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = tuesday.copied(tmp_path / "undisturbed")
    back.go(undisturbed.lake.root, look(undisturbed, monday))
    expected = facts_of(undisturbed)
    for commits in range(1, COMMITS):
        toy = tuesday.copied(tmp_path / str(commits))
        prospect = look(toy, monday)
        dies_after(commits, monkeypatch, partial(back.go, toy.lake.root, prospect))
        assert ledger.read(toy.lake.root).rewind is not None
        done = rewind.finish(toy.lake.root)
        assert done
        assert (done[0].where, [one.table for one in done[1]]) == ("to monday", [BRONZE, LINES, ORDERS, TOTALS])
        assert facts_of(toy) == expected, commits
        assert ledger.read(toy.lake.root).rewind is None


def test_a_run_finishes_a_rewind_that_broke_off_says_so_and_takes_up_what_came_since(
    tuesday: Toy, monday: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    present = {name: tuesday.rows(name) for name in tuesday.sources}
    prospect = look(tuesday, monday)
    dies_after(4, monkeypatch, partial(back.go, tuesday.lake.root, prospect))
    report = Run(tuesday.lake.root, str(tuesday.landing), tuesday.tables(), engine=tuesday.engine).execute(
        tuesday.tables()
    )
    assert report.rewound == "to monday"
    assert {one.decision.table: one.decision.path for one in report.done} == {
        BRONZE: "load", LINES: "new", ORDERS: "incremental", TOTALS: "whole",
    }  # fmt: skip
    assert {name: tuesday.rows(name) for name in tuesday.sources} == present
    turns = [one.path for one in history.History(tuesday.lake.root).of(ORDERS)]
    assert turns == ["incremental", history.REWIND, "incremental", "first"]
    assert not [one for one in tuesday.run().values() if one.decision.does_something]


def test_two_processes_finish_one_rewind(tuesday: Toy, monday: dict[str, Input]) -> None:
    rewind.begin(tuesday.lake.root, "to monday", look(tuesday, monday).point)

    with ThreadPoolExecutor(2) as pool:
        done = [one for one in pool.map(rewind.finish, [tuesday.lake.root] * 2) if one]
    assert [[one.table for one in restored] for _, restored in done] == [[BRONZE, LINES, ORDERS, TOTALS]]
    assert tuesday.rows(ORDERS) == [(1, 7, 3), (1, 8, 1)]
    assert ledger.read(tuesday.lake.root).rewind is None


# What is said, and what stays -----------------------------------------------------------------------------------------


def test_a_dry_run_says_what_leaves_and_what_is_taken_again_and_changes_nothing(
    tuesday: Toy, monday: dict[str, Input]
) -> None:
    before = facts_of(tuesday)
    prospect = look(tuesday, monday)
    assert [(one.table, one.rows, one.lost, one.back) for one in prospect.steps] == [
        (BRONZE, (6, 3), 3, 0), (LINES, (4, 3), 2, 1), (ORDERS, (3, 2), 2, 1), (TOTALS, (1, 1), 1, 1),
    ]  # fmt: skip
    assert [one.delivery.path for one in prospect.again] == ["market_1/tuesday.csv"]
    assert (prospect.missing, prospect.touched) == ((), ())
    assert facts_of(tuesday) == before


def test_gold_alone_goes_back_and_the_next_run_makes_it_from_silver(tuesday: Toy, monday: dict[str, Input]) -> None:
    versions = tuesday.versions()
    back.go(tuesday.lake.root, look(tuesday, monday, "gold"))
    assert tuesday.rows(TOTALS) == [(1, 4)]
    assert tuesday.versions() == versions | {TOTALS: versions[TOTALS] + 1}
    done = tuesday.run()
    assert [name for name, one in done.items() if one.decision.does_something] == [TOTALS]
    assert tuesday.rows(TOTALS) == [(1, 9)]


def test_a_point_before_a_table_leaves_it_empty(tuesday: Toy, monday: dict[str, Input]) -> None:
    then = {name: one for name, one in monday.items() if name in {BRONZE, LINES, ledger.FILES}}
    back.go(tuesday.lake.root, look(tuesday, then))
    assert (tuesday.rows(LINES, "order_id"), tuesday.rows(ORDERS), tuesday.rows(TOTALS)) == ([(7,), (7,), (8,)], [], [])
    assert tuesday.rejected() == []
    done = tuesday.run()
    assert done[ORDERS].decision.reason == "a rewind went back to before it was there"
    assert (tuesday.rows(ORDERS), tuesday.rows(TOTALS)) == ([(1, 7, 3), (1, 8, 5), (1, 9, 1)], [(1, 9)])
    nothing = {ledger.FILES: monday[ledger.FILES]}
    back.go(tuesday.lake.root, look(tuesday, nothing))
    assert [tuesday.rows(name, "market") for name in tuesday.sources] == [[], [], [], []]
    tuesday.run()
    assert tuesday.rows(TOTALS) == [(1, 9)]


def test_a_table_that_was_behind_what_it_is_made_from_comes_back_so_and_follows_in_the_next_run(tuesday: Toy) -> None:
    tuesday.deliver("wednesday.csv", "7,A,5,10.00", "11,A,1,1.00")
    tuesday.run(LINES)
    then, before, root = tuesday.point(), tuesday.rows(ORDERS), tuesday.lake.root
    saved = rows_of(root, then)
    tuesday.run()
    present = tuesday.rows(ORDERS)
    back.go(root, look(tuesday, then))
    assert (rows_of(root, then), tuesday.rows(ORDERS)) == (saved, before)
    assert tuesday.run()[ORDERS].decision.path == "incremental"
    assert tuesday.rows(ORDERS) == present != before


def test_a_rewind_can_be_rewound(tuesday: Toy, monday: dict[str, Input]) -> None:
    then = tuesday.point()
    before = rows_of(tuesday.lake.root, then)
    back.go(tuesday.lake.root, look(tuesday, monday))
    back.go(tuesday.lake.root, look(tuesday, then))
    assert rows_of(tuesday.lake.root, then) == before
    assert not [one for one in tuesday.run().values() if one.decision.does_something]


def test_where_nothing_moved_only_the_ledger_says_that_there_was_a_rewind(tuesday: Toy) -> None:
    now = tuesday.point()
    assert back.go(tuesday.lake.root, look(tuesday, now)) == []
    assert tuesday.point() == now | {
        ledger.FILES: replace(now[ledger.FILES], version=int(now[ledger.FILES].version) + 2)
    }


def test_a_file_that_landing_lost_is_named_and_put_back_or_bronze_stays(tuesday: Toy, monday: dict[str, Input]) -> None:
    file, orders = tuesday.landing / "market_1" / "tuesday.csv", tuesday.rows(ORDERS)
    file.rename(tuesday.folder / "kept")
    words = "market_1/tuesday.csv would be lost, .* Put them back .*, or keep bronze as it is: --layer silver"
    with pytest.raises(LakehouseError, match=words):
        back.go(tuesday.lake.root, look(tuesday, monday))
    back.go(tuesday.lake.root, look(tuesday, monday, "silver"))
    assert tuesday.rows(ORDERS) == [(1, 7, 3), (1, 8, 1)]
    tuesday.run()
    assert tuesday.rows(ORDERS) == orders
    file.write_bytes((tuesday.folder / "kept").read_bytes())
    assert [one.delivery.path for one in look(tuesday, monday).touched] == ["market_1/tuesday.csv"]
    back.go(tuesday.lake.root, look(tuesday, monday))
    tuesday.run()
    assert tuesday.rows(ORDERS) == orders


# Remedies -------------------------------------------------------------------------------------------------------------


def test_a_version_that_does_not_say_what_it_includes_is_no_point(tuesday: Toy, monday: dict[str, Input]) -> None:
    tuesday.opened(TOTALS).delete("market = 1")
    strange = tuesday.point()
    words = r"Version 2 of gold\.totals does not say what it includes, .*\. Rewind to another release"
    with pytest.raises(LakehouseError, match=words):
        look(tuesday, strange)
    back.go(tuesday.lake.root, look(tuesday, monday))
    assert tuesday.rows(TOTALS) == [(1, 4)]


def test_a_ledger_that_is_gone_is_noted_again_by_a_run_and_then_gold_goes_back(
    tuesday: Toy, monday: dict[str, Input]
) -> None:
    prospect = look(tuesday, monday, "gold")
    shutil.rmtree(tuesday.folder / "lake" / "ops" / "files")
    with pytest.raises(LakehouseError, match=r"is gone\. `lakehouse run` notes again what was delivered; then rewind"):
        back.go(tuesday.lake.root, prospect)
    tuesday.run()
    back.go(tuesday.lake.root, look(tuesday, monday, "gold"))
    assert tuesday.rows(TOTALS) == [(1, 4)]


def test_a_table_that_is_gone_in_the_midst_of_a_rewind_is_brought_back_and_the_rewind_finished(
    tuesday: Toy, monday: dict[str, Input]
) -> None:
    root, totals = tuesday.lake.root, tuesday.folder / "lake" / "gold" / "totals"
    rewind.begin(root, "to monday", look(tuesday, monday).point)
    totals.rename(tuesday.folder / "totals")
    with pytest.raises(LakehouseError, match=r"no table at \S+ to be restored\. Bring its folder back from a copy"):
        rewind.finish(root)
    (tuesday.folder / "totals").rename(totals)
    rewind.finish(root)
    assert tuesday.rows(TOTALS) == [(1, 4)]


def test_a_rewind_that_another_one_takes_the_place_of_is_left_and_the_other_is_done(
    tuesday: Toy, monday: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, present, land = tuesday.lake.root, tuesday.point(), committer.land
    before = rows_of(root, present)
    rewind.begin(root, "to monday", look(tuesday, monday).point)

    def land_beside_another(*arguments: Any) -> None:  # noqa: ANN401
        land(*arguments)
        monkeypatch.undo()
        prospect = look(tuesday, present)
        assert prospect.unfinished
        rewind.begin(root, "to tuesday", prospect.point)

    monkeypatch.setattr(committer, "land", land_beside_another)
    done = rewind.finish(root)
    assert done
    assert (done[0].where, [one.table for one in done[1]]) == ("to tuesday", [BRONZE, LINES])
    assert rows_of(root, present) == before
    assert rewind.finish(root) is None
