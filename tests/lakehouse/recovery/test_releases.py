"""Releases on a small lake: what they name, that they are closed, and what readers of one see while runs go on."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from lakehouse import engines, graph
from lakehouse.audit import quality
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.recovery.releases import NotClosedError
from lakehouse.runs import plan
from lakehouse.runs.run import Run
from lakehouse.serving import docs
from lakehouse.serving.questions import sql
from lakehouse.writes.lake import Lake
from tests.toy import SOURCES, Toy, of_monday

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.recovery.releases import Release

pytestmark = pytest.mark.slow
LINES, ORDERS, TOTALS, COUNTS = "silver.order_lines", "silver.orders", "gold.totals", "gold.counts"
FEW = """checks:
          few: {agrees_with: silver.orders, this: sum(units), that: 0 * sum(units) + 4, severity: stop, why: a test}
"""


@pytest.fixture
def toy(tmp_path: Path, engine: Native) -> Toy:
    return of_monday(tmp_path, engine)


def publish(toy: Toy, **despite: str) -> Release | None:
    return releases.publish(toy.lake.root, toy.tables(), despite)


def numbers(toy: Toy) -> list[int]:
    return [one.number for one in releases.releases(toy.lake.root)]


def test_a_release_names_every_table_its_quarantine_and_the_ledger(toy: Toy) -> None:
    toy.deliver("tuesday.csv", "9,C,two,1.00")
    toy.run()
    made = publish(toy)
    ledger = log.snapshot(progress.address(toy.lake.root, "ops.files"))
    assert made
    assert ledger
    assert made.tables == toy.versions() | {f"{LINES}__rejected": 0, "ops.files": ledger.version}
    assert (made.number, made.engine.split()[0], made.despite) == (1, "native", {})
    assert releases.releases(toy.lake.root) == [made] == [releases.newest(toy.lake.root)]


def test_what_moved_no_row_is_no_release(toy: Toy) -> None:
    publish(toy)
    toy.deliver("again.csv", "8,B,1,5.00")
    toy.run()
    assert publish(toy) is not None  # bronze moved
    toy.opened(LINES).optimize.compact()
    assert publish(toy) is None
    assert not releases.is_behind(toy.lake.root, {name: now for name in toy.sources if (now := toy.lake.state(name))})
    assert numbers(toy) == [1, 2]


def test_a_run_of_a_part_leaves_nothing_to_release(toy: Toy) -> None:
    publish(toy)
    toy.deliver("tuesday.csv", "9,C,5,1.00")
    toy.run(LINES)
    with pytest.raises(
        NotClosedError, match=r"silver.orders: .* moved 0 -> 1\. .* brings all tables up to date and releases them"
    ):
        publish(toy)
    toy.run()
    assert publish(toy)
    assert numbers(toy) == [1, 2]


def test_a_definition_is_released_with_the_rows_that_it_made(toy: Toy) -> None:
    with_counts(toy)
    toy.run()
    for name in (LINES, ORDERS, TOTALS, COUNTS):
        contract, code = toy.sources[name]
        toy.sources[name] = (contract, f"{code}\n        EACH = 1\n")
    with pytest.raises(NotClosedError, match=f"{ORDERS}: its definition changed; .*; and 1 more tables"):
        publish(toy)
    toy.run()
    assert publish(toy)


def test_a_table_that_was_never_built_disagrees_with_none(tmp_path: Path, engine: Native) -> None:
    toy = Toy(tmp_path, engine)
    with pytest.raises(LakehouseError, match=r"There is no table in .* yet, so nothing to release"):
        publish(toy)
    toy.deliver("monday.csv", "7,A,2,10.00")
    toy.run(ORDERS)
    made = publish(toy)
    assert made
    assert TOTALS not in made.tables


def stopped(toy: Toy) -> None:
    """A check of gold.totals holds of Monday, and not of Tuesday."""
    contract, code = toy.sources[TOTALS]
    toy.sources[TOTALS] = (f"{contract.rstrip()}\n        {FEW}", code)
    toy.run()
    publish(toy)
    toy.deliver("tuesday.csv", "9,C,5,1.00")
    with pytest.raises(LakehouseError, match="few"):
        toy.run()


def test_what_a_rule_stopped_is_released_as_it_was_and_why_is_kept(toy: Toy) -> None:
    stopped(toy)
    with pytest.raises(
        NotClosedError, match=r"gold.totals was stopped by few\. Correct that and run again; or release the others"
    ):
        publish(toy)
    with pytest.raises(LakehouseError, match=rf"many stopped no table in its last run\. few stopped {TOTALS}\."):
        publish(toy, many="typed wrong")
    made = publish(toy, few="the market is counted by hand")
    assert made
    assert (made.tables[ORDERS], made.tables[TOTALS]) == (1, toy.versions()[TOTALS])
    assert releases.newest(toy.lake.root) == made
    assert made.despite == {"few": "the market is counted by hand"}


def test_a_stopped_table_that_somebody_wrote_into_is_not_released(toy: Toy) -> None:
    stopped(toy)
    toy.opened(TOTALS).delete()
    with pytest.raises(NotClosedError, match=r"gold\.totals was stopped by few"):
        publish(toy, few="so be it")


def test_what_is_made_from_a_stopped_table_waits_with_it(toy: Toy) -> None:
    contract, code = SOURCES[TOTALS]
    last = (
        code.replace("silver_orders):", "silver_orders, gold_totals):")
        .replace("return ", "return gold_totals.select('market').join(")
        .replace('alias("units"))', 'alias("units")), on="market", how="left").select("market", "units")')
    )
    toy.sources["gold.last"] = (contract, last)
    stopped(toy)
    made = publish(toy, few="so be it")
    assert made
    assert made.tables["gold.last"] == toy.versions()["gold.last"]


@pytest.mark.parametrize(("module", "name"), [(plan, "states"), (quality, "newest")])
def test_one_who_publishes_beside_another_looks_again(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    publish(toy)
    toy.deliver("tuesday.csv", "9,C,5,1.00")
    toy.run()
    own, waiting = getattr(module, name), ["wednesday.csv"]

    def then_another(*arguments: object) -> object:
        """Between one's look and commit another publishes, and a run goes on."""
        found = own(*arguments)
        if waiting:
            toy.deliver(waiting.pop(), "10,D,1,1.00")
            publish(toy)
            toy.run()
        return found

    monkeypatch.setattr(module, name, then_another)
    made = publish(toy)
    assert made
    assert made.tables.items() >= toy.versions().items()
    assert numbers(toy) == [1, 2, 3]


def assert_closed(toy: Toy, made: Release) -> None:
    """Judged from the notes alone."""
    for name, version in made.tables.items():
        state = progress.state(toy.lake.address(name), version)
        for parent, read in (state.progress.inputs if state and state.progress else {}).items():
            if read.id:
                span = sorted((int(read.version), made.tables[parent]))
                assert not progress.moved(toy.lake.address(parent), *span), (made.number, name, parent)


def test_every_release_beside_two_writers_is_closed(toy: Toy) -> None:
    chance, tables = random.Random(15), toy.tables()  # noqa: S311

    def release() -> None:
        with suppress(LakehouseError):  # it is not closed
            releases.publish(toy.lake.root, tables)

    def write(who: int) -> None:
        for day in range(4):
            toy.deliver(f"{who}-{day}.csv", f"{who}{day},A,{day},1.00", f"7,A,{who + day},10.00")
            run = Run(toy.lake.root, str(toy.landing), tables, engine=toy.engine)
            with suppress(LakehouseError):  # the other was quicker
                run.execute(graph.selected(tables, [chance.choice([LINES, ORDERS, TOTALS])]))
            release()

    both = [Thread(target=write, args=(who,)) for who in (1, 2)]
    for writer in both:
        writer.start()
    while any(writer.is_alive() for writer in both):
        release()
    toy.run()
    publish(toy)
    made = releases.releases(toy.lake.root)
    assert [one.number for one in made] == [*range(1, len(made) + 1)]
    assert len(made) > 1
    for before, after in pairwise(made):
        assert all(version <= after.tables[name] for name, version in before.tables.items())
    for one in made:
        assert_closed(toy, one)


def with_counts(toy: Toy) -> None:
    """Another gold table of the same orders."""
    contract, code = SOURCES[TOTALS]
    toy.sources[COUNTS] = (contract, code)


def test_two_tables_of_one_release_never_show_two_silver_versions(toy: Toy) -> None:
    read_while_runs_go_on(toy, reads=40)


@pytest.mark.long
def test_a_thousand_reads_of_two_tables_never_show_two_silver_versions(toy: Toy) -> None:
    read_while_runs_go_on(toy, reads=1000)


def read_while_runs_go_on(toy: Toy, reads: int) -> None:
    with_counts(toy)
    toy.run()
    publish(toy)
    is_read = False

    def go_on() -> None:
        number = 0
        while not is_read:
            number += 1
            toy.deliver(f"{number}.csv", f"{100 + number},A,{number},1.00")
            toy.run()
            publish(toy)

    runs = Thread(target=go_on)
    runs.start()
    try:
        reader, question = (
            engines.reader(),
            f"select t.units, c.units from {TOTALS} t join {COUNTS} c on t.market = c.market",
        )
        for _ in range(reads):
            last = releases.newest(toy.lake.root)
            assert last
            (row,) = sql.query(reader, toy.lake.root, question, last.point).texts()
            assert row[0] == row[1]
    finally:
        is_read = True
        runs.join()


def test_a_lake_at_a_release_is_as_it_was(toy: Toy) -> None:
    before = publish(toy)
    assert before
    toy.deliver("tuesday.csv", "8,B,4,5.00")
    toy.run()
    publish(toy)
    then = Lake(toy.lake.root, before.point)
    assert {name: state.version for name in toy.sources if (state := then.state(name))} == dict.fromkeys(toy.sources, 0)
    answer = sql.query(engines.reader(), toy.lake.root, f"select units from {TOTALS}", before.point)
    assert [*answer.texts()] == [("4",)]
    rows = {one.table.name: one.stored for one in docs.gather(toy.lake.root, toy.tables(), point=before.point).entries}
    assert {name: one.version for name, one in rows.items() if one} == dict.fromkeys(toy.sources, 0)


def test_a_table_that_is_new_or_made_anew_is_not_read_as_it_was(toy: Toy) -> None:
    before = publish(toy)
    assert before
    with_counts(toy)
    log.drop(toy.lake.address(TOTALS))
    toy.run()
    with pytest.raises(LakehouseError, match=f"{TOTALS} can no longer be read as it was"):
        Lake(toy.lake.root, before.point).state(TOTALS)
    with pytest.raises(LakehouseError, match=r"was not there yet then\. Read it as it is now"):
        sql.query(engines.reader(), toy.lake.root, f"select * from {COUNTS}", before.point)
    assert Lake(toy.lake.root, before.point).state(COUNTS) is None
    made = publish(toy)
    assert made
    assert (made.moved, releases.newest(toy.lake.root)) == (2, made)


def test_a_release_is_named_by_its_number_or_by_a_time(toy: Toy) -> None:
    root, before = toy.lake.root, datetime.now(UTC)
    with pytest.raises(LakehouseError, match=r"There is no release 1\. .* has none yet: `lakehouse publish` makes"):
        releases.asked(root, 1, None)
    made = publish(toy)
    with pytest.raises(LakehouseError, match=r"There is no release 9\. There are: 1, published from"):
        releases.asked(root, 9, None)
    with pytest.raises(LakehouseError, match=r"There was no release yet at .*\. There are: 1, published"):
        releases.as_of(root, before)
    with pytest.raises(LakehouseError, match=r"A release is named by its number or by a time\."):
        releases.asked(root, 1, "2024-01-01")
    assert releases.asked(root, 1, None) == releases.asked(root, None, datetime.now(UTC).isoformat()) == made
    assert releases.asked(root, None, None) is None


def test_a_compacted_list_of_releases_goes_on(toy: Toy) -> None:
    made = publish(toy)
    toy.deliver("tuesday.csv", "9,C,5,1.00")
    toy.run()
    second = publish(toy)
    toy.opened("ops.releases").optimize.compact()
    assert releases.newest(toy.lake.root) == second
    assert releases.release(toy.lake.root, 1) == made
