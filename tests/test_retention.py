"""Rows of bronze and files of landing go after the days of their contract, and no number is another one for it."""

from __future__ import annotations

import re
import sys
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from jobs import cli
from lakehouse import graph
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.engines.native.engine import Native
from lakehouse.intake.records import ledger, retracted
from lakehouse.proof import verify
from lakehouse.recovery import releases, retention
from lakehouse.recovery import rewind as back
from tests.toy import HEADER, SOURCES, Toy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lakehouse.recovery.retention import Removed

pytestmark = pytest.mark.slow
BRONZE, LINES, ORDERS, TOTALS = "bronze.orders", "silver.order_lines", "silver.orders", "gold.totals"
CORRECTING = f"{HEADER},_replaces_file,_replaces_row"


def sources(bronze: str = "30d", landing: str = "30d", lines: str = "") -> dict[str, tuple[str, str]]:
    """The toy's, whose files are of years ago."""
    kept = ", ".join(f"{name}: {days}" for name, days in (("bronze", bronze), ("landing", landing)) if days)
    contract, code = SOURCES[BRONZE]
    judging, build = SOURCES[LINES]
    return SOURCES | {
        BRONZE: (f"{contract.rstrip()}\n        retention: {{{kept}}}\n        ", code),
        LINES: (f"{judging.rstrip()}\n        {lines}\n        ", build),
    }


@pytest.fixture
def toy(tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setattr(retracted, "FILE", tmp_path / "retracted.yml")
    return Toy(tmp_path, engine, sources())


def removed(toy: Toy, released: Mapping[str, list[int]] | None = None, *, dry_run: bool = False) -> list[Removed]:
    root, landing, tables = toy.lake.root, str(toy.landing), toy.tables()
    return retention.remove(root, landing, tables, released or {}, lambda: toy.engine, dry_run=dry_run)


def state(toy: Toy) -> list[list[tuple[object, ...]]]:
    rejected = toy.rejected() if toy.lake.state(f"{LINES}__rejected") else []
    return [*(toy.rows(name) for name in (LINES, ORDERS, TOTALS)), rejected]


def is_equal(toy: Toy) -> bool:
    tables = toy.tables()
    wanted = verify.chosen(toy.lake, tables, [])
    found = verify.verify(toy.engine.name, toy.lake, str(toy.landing), tables, wanted, verify.Scope())
    assert [one.reason for one in found if one.reason] == []
    return not sum(one.differing for one in found)


def files_of_bronze(toy: Toy) -> list[str]:
    return sorted({str(file).rpartition("/")[2] for (file,) in toy.rows(BRONZE, "_file")})


def test_what_newer_deliveries_replaced_leaves_and_nothing_else_moves(toy: Toy) -> None:
    toy.deliver("first.csv", "7,A,1,1.00", "8,A,1,1.00", day=1)
    toy.deliver("stays.csv", "9,A,1,1.00", "7,A,5,1.00", day=2)
    toy.deliver("wrong.csv", "10,A,two,1.00", day=2)
    toy.deliver("newest.csv", "7,A,2,1.00", "8,A,2,1.00", day=3)
    toy.run()
    before, versions = state(toy), toy.versions()
    would = removed(toy, dry_run=True)
    assert (toy.versions(), len([*toy.landing.rglob("*.csv")])) == (versions, 4)
    done = removed(toy)
    assert done == would
    assert [(one.rows, one.deliveries, one.files) for one in done] == [(2, 1, 0), (0, 0, 4)]
    assert files_of_bronze(toy) == ["newest.csv", "stays.csv", "wrong.csv"]
    assert [one.decision.path for one in toy.run().values()] == ["nothing"] * 4
    assert (state(toy), toy.versions() | {BRONZE: 0}) == (before, versions | {BRONZE: 0})
    assert is_equal(toy)
    assert removed(toy) == []
    toy.deliver("late.csv", "7,A,9,1.00", "8,B,9,1.00", "11,A,1,1.00", day=1)
    done_by_run = toy.run()
    assert done_by_run[LINES].decision.path == "late"
    assert (done_by_run[LINES].rows_in, sum(done_by_run[LINES].counts["rows"].values())) == (3, 3)
    assert [row[:2] for row in toy.rows(ORDERS)] == [(1, 11), (1, 7), (1, 8), (1, 9)]
    assert toy.rows(ORDERS)[1:3] == before[1][:2]
    assert is_equal(toy)


def test_an_older_version_of_a_file_leaves_and_the_newer_one_is_the_evidence(toy: Toy) -> None:
    toy.deliver("orders.csv", "7,A,1,1.00", "8,A,1,1.00", "9,A,1,1.00", day=1)
    toy.run()
    toy.deliver("orders.csv", "7,A,1,1.00", "8,A,2,1.00", "9,A,1,1.00", day=1)  # 7 and 9 stand where they stood
    toy.run()
    assert [(one.rows, one.deliveries) for one in removed(toy) if one.rows] == [(3, 1)]
    (batch,) = {row[0] for row in toy.rows(BRONZE, "_batch")}
    assert [one.status for one in ledger.read(toy.lake.root).entries if one.batch == batch] == ["loaded"]
    assert {*toy.rows(LINES, "_file", "_row")} <= {*toy.rows(BRONZE, "_file", "_row")}
    toy.deliver("orders.csv", "9,A,1,1.00", "7,A,1,1.00", "8,A,2,1.00", day=1)  # nobody stands where he stood
    toy.run()
    assert [one.rows for one in removed(toy) if one.rows] == []
    assert is_equal(toy)


def deliver_at_random(toys: list[Toy], random: Random) -> None:
    """The same in each lake: new and late files, files that say more or other, corrections, copies under new names."""
    for _ in range(random.randint(1, 3)):
        name, day, market = f"{random.choice('abcd')}.csv", random.randint(1, 6), random.randint(1, 2)
        rows = [
            f"{random.choice(['', *range(1, 7)])},{random.choice('ABC')},{random.choice([1, 2, 3, 'two'])},"
            f"{random.choice(['1.00', '2.00', ''])}"
            for _ in range(random.randint(1, 5))
        ]
        header = HEADER
        if random.random() < 0.15:
            old = f"market_{market}/2024-01-0{random.randint(1, 6)}/{random.choice('abcd')}.csv"
            rows, header = [f"{one},{old},{random.randint(1, 4)}" for one in rows], CORRECTING
        copied = sorted(toys[0].landing.rglob("*.csv")) if random.random() < 0.15 else []
        if copied:
            header, *rows = random.choice(copied).read_text(encoding="utf-8").split("\n")
        for toy in toys:
            toy.deliver(name, *rows, day=day, market=market, header=header)


REJECTING = "reject_limit: 0.6\n        reject_limit_rows: 3"
TOTALLED = "totals: price is not null"
KINDS = ("", REJECTING, TOTALLED, "identity: {columns: [product]}", "repeats: keep")


def histories(folder: Path, engine: Native, seed: int) -> int:
    """A lake that keeps all, and one from which a random part goes at random; how many deliveries left bronze."""
    random, gone = Random(seed), 0  # noqa: S311  not a secret
    kept, toy = (Toy(folder / name, engine, sources(lines=KINDS[seed % len(KINDS)])) for name in ("kept", "let_go"))
    for one in (kept, toy):
        one.landing.mkdir(parents=True)
    for step in range(5):
        deliver_at_random([kept, toy], random)
        for one in (kept, toy):
            one.run()
        assert state(toy) == state(kept), f"after step {step}"
        if random.random() < 0.6:
            before = toy.versions()
            done = removed(toy)
            assert [one.problem for one in done if one.problem] == []
            gone += sum(one.deliveries for one in done)
            assert {name for name, version in toy.versions().items() if version != before[name]} <= {BRONZE}
    # A definition of other fingerprint, of the same rows, judges all that bronze still has.
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (contract, f"{code.rstrip()}\n\n        UNUSED = {seed}\n        ")
    assert toy.run()[LINES].decision.path == "whole"
    assert state(toy) == state(kept)
    assert is_equal(toy)
    return gone


@pytest.mark.usefixtures("toy")
def test_late_files_after_a_removal_and_a_rebuild_give_what_they_give_without_it(
    tmp_path: Path, engine: Native
) -> None:
    assert histories(tmp_path, engine, 0)


@pytest.mark.long
@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("seed", range(1, 61))
def test_more_histories(tmp_path: Path, engine: Native, seed: int) -> None:
    histories(tmp_path, engine, seed)


def test_what_can_be_done_no_more_is_said_by_every_command(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.deliver("first.csv", "7,A,1,1.00", day=1)
    toy.deliver("newest.csv", "7,A,2,1.00", day=2)
    toy.run()
    releases.publish(toy.lake.root, toy.tables())

    def lakehouse(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["lakehouse", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        said = capsys.readouterr()
        return " ".join((said.out + said.err).split())

    monkeypatch.setattr(graph, "load", toy.tables)
    monkeypatch.setenv("LAKEHOUSE_ROOT", toy.lake.root)
    monkeypatch.setenv("LAKEHOUSE_LANDING", str(toy.landing))
    would = lakehouse("maintain", "--dry-run")
    assert "1 rows of 1 deliveries that newer ones replaced would leave bronze" in would
    said = lakehouse("maintain")
    assert "bronze.orders 1 rows of 1 deliveries that newer ones replaced left bronze, as its contract's reten" in said
    assert "bronze.orders 2 files that were loaded (84 bytes) left landing, as its contract's retention says" in said
    words = "bronze.orders no longer holds the rows of 1 older deliveries, whose documents newer ones had replaced"
    for command in (["maintain"], ["check"], ["verify"], ["retract", "market_1/2024-01-02/newest.csv", "--why", "no"]):
        assert words in lakehouse(*command), command
    assert "so there is nothing to take back" in lakehouse("retract", "market_1/2024-01-01/first.csv", "--why", "no")
    retracted.FILE.unlink()
    assert "taken from it" not in lakehouse("run")
    assert "taken from it" not in lakehouse("status")
    assert re.search(r"bronze\.orders \d 0 1 2 0 1 3 tables hold the same", lakehouse("rewind", "--to-release", "1"))


def test_a_copy_of_what_landing_let_go_is_a_delivery_and_no_move(toy: Toy) -> None:
    """A, then B, then A again under another name must end as A, whoever deleted the first."""
    text = toy.deliver("a.csv", "7,A,1,1.00", day=1).read_text(encoding="utf-8")
    toy.deliver("b.csv", "7,A,2,1.00", day=2)
    toy.run()
    assert [one.files for one in removed(toy) if one.files] == [2]
    toy.deliver("c.csv", *text.split("\n")[1:], day=3)
    toy.run()
    assert toy.rows(ORDERS) == [(1, 7, 1)]


def test_an_old_file_that_somebody_moves_before_it_goes_is_moved_and_no_delivery(toy: Toy) -> None:
    file = toy.deliver("a.csv", "7,A,1,1.00", day=1)
    toy.deliver("b.csv", "7,A,2,1.00", day=2)
    toy.run()
    moved = toy.deliver("c.csv", day=3)
    moved.write_bytes(file.read_bytes())
    file.unlink()
    assert toy.run()[LINES].decision.path == "nothing"
    assert [one.files for one in removed(toy) if one.files] == [1]
    assert moved.exists()  # it was written today
    assert toy.rows(ORDERS) == [(1, 7, 2)]


def test_a_file_that_is_put_back_is_not_loaded_again_and_one_that_was_written_since_is_kept(toy: Toy) -> None:
    file = toy.deliver("a.csv", "7,A,1,1.00", day=1)
    toy.run()
    there = file.read_bytes()
    assert removed(toy) != []
    file.write_bytes(there)
    assert {one.decision.path for one in toy.run().values()} == {"nothing"}
    assert removed(toy) == []  # it was written today
    other = toy.deliver("b.csv", "7,A,1,1.00", day=2)
    toy.run()
    toy.deliver("b.csv", "7,A,3,1.00", day=2)  # as old, and not loaded yet
    assert removed(toy) == []
    assert file.exists()
    assert other.exists()


def test_what_a_kept_release_does_not_include_stays_and_a_rewind_to_it_finds_all(toy: Toy) -> None:
    toy.deliver("first.csv", "7,A,1,1.00", day=1)
    toy.run()
    point = toy.point()
    toy.deliver("second.csv", "7,A,2,1.00", day=2)
    toy.deliver("third.csv", "7,A,3,1.00", day=3)
    toy.run()
    present = state(toy)
    released = {name: [int(one.version)] for name, one in point.items()}
    assert [(one.rows, one.files) for one in removed(toy, released)] == [(1, 0), (0, 1)]
    assert files_of_bronze(toy) == ["second.csv", "third.csv"]
    back.go(toy.lake.root, back.look(toy.lake.root, str(toy.landing), toy.tables(), "there", point))
    assert (toy.rows(ORDERS), files_of_bronze(toy)) == ([(1, 7, 1)], ["first.csv"])
    toy.run()
    assert state(toy) == present
    assert is_equal(toy)


def test_a_rewind_to_before_a_removal_brings_the_rows_back(toy: Toy) -> None:
    toy.deliver("first.csv", "7,A,1,1.00", day=1)
    toy.deliver("newest.csv", "7,A,2,1.00", day=2)
    toy.run()
    point, before = toy.point(), state(toy)
    removed(toy)
    back.go(toy.lake.root, back.look(toy.lake.root, str(toy.landing), toy.tables(), "there", point))
    assert files_of_bronze(toy) == ["first.csv", "newest.csv"]
    assert {one.status for one in ledger.read(toy.lake.root).entries} == {"loaded"}
    assert {one.decision.path for one in toy.run().values()} == {"nothing"}
    assert state(toy) == before


def test_the_sums_of_a_rebuild_close_after_a_removal_also_one_that_broke_off(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.deliver("first.csv", "7,A,1,1.00", "8,A,1,1.00", day=1)
    toy.deliver("newest.csv", "7,A,2,1.00", "8,A,2,1.00", day=2)
    toy.run()
    toy.deliver("late.csv", "7,A,1,1.00", day=1)
    toy.run()
    monkeypatch.setattr(retention, "_note", lambda *_, **__: None)
    assert [one.deliveries for one in removed(toy)][:1] == [2]
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (contract, f"{code.rstrip()}\n\n        UNUSED = 1\n        ")
    assert toy.run()[LINES].decision.path == "whole"
    assert Counter(one.status for one in ledger.read(toy.lake.root).entries) == {"removed": 2, "loaded": 1}
    quality = progress.address(toy.lake.root, "ops.quality")
    found = ops.query(quality, "select checked, broken from t where name = 'rows_end_in_one_place' order by at")
    assert [(row["checked"], row["broken"]) for row in found] == [(4, 0), (1, 0), (2, 0)]


@pytest.mark.parametrize("before", ["bronze", "ledger"])
def test_a_removal_that_breaks_off_is_finished_by_the_next(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    toy.deliver("first.csv", "7,A,1,1.00", day=1)
    toy.deliver("newest.csv", "7,A,2,1.00", "8,A,1,1.00", day=2)
    toy.run()
    present, whole = state(toy), {"bronze": "_take_out", "ledger": "_note"}[before]
    with monkeypatch.context() as patch:
        patch.setattr(retention, whole, lambda *_, **__: sys.exit("killed"))
        with pytest.raises(SystemExit):
            removed(toy)
    assert {one.decision.path for one in toy.run().values()} == {"nothing"}
    assert state(toy) == present
    assert [(one.rows, one.deliveries) for one in removed(toy) if one.rows] == [(1, 1)][: before == "bronze"]
    assert files_of_bronze(toy) == ["newest.csv"]
    assert {one.status for one in ledger.read(toy.lake.root).entries} == {"loaded", "removed"}
    assert [one for one in removed(toy) if one.deliveries] == []
    assert is_equal(toy)


def test_a_run_that_meets_a_removal_goes_on(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.deliver("first.csv", "7,A,1,1.00", day=1)
    toy.deliver("newest.csv", "7,A,2,1.00", day=2)
    toy.run()
    write = Native.write

    def beside(engine: Native, *given: object) -> int:
        monkeypatch.setattr(Native, "write", write)
        gone = {("market_1/2024-01-01/first.csv", 0)}
        retention._take_out(toy.lake.address(BRONZE), progress.state(toy.lake.address(BRONZE)), gone)  # type: ignore[arg-type]  # noqa: SLF001
        return write(engine, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Native, "write", beside)
    toy.deliver("late.csv", "7,A,9,1.00", "8,A,3,1.00", day=1)
    done = toy.run()
    assert (done[BRONZE].rows_in, done[LINES].rows_in) == (2, 2)
    assert toy.rows(ORDERS) == [(1, 7, 2), (1, 8, 3)]
    assert files_of_bronze(toy) == ["late.csv", "newest.csv"]
    assert is_equal(toy)


def test_where_a_table_is_behind_all_rows_stay(toy: Toy) -> None:
    toy.deliver("first.csv", "7,A,1,1.00", day=1)
    toy.run()
    toy.deliver("newest.csv", "7,A,2,1.00", day=2)
    toy.run(BRONZE)
    (found,) = (one for one in removed(toy) if one.problem)
    assert found.problem == f"{LINES} is not up to date, so all rows stay: `lakehouse run`"
    assert files_of_bronze(toy) == ["first.csv", "newest.csv"]


def test_evidence_stays_and_so_do_corrections_and_what_is_taken_back(toy: Toy) -> None:
    toy.deliver("evidence.csv", "7,A,1,1.00", day=1)
    toy.run()
    toy.deliver("again.csv", "7,A,1,1.00", day=2)
    toy.deliver("wrong.csv", ",A,1,1.00", "8,A,1,1.00", day=1)
    toy.deliver("fixed.csv", "8,A,2,1.00,market_1/2024-01-01/wrong.csv,1", day=2, header=CORRECTING)
    toy.deliver("newest.csv", "8,A,3,1.00", day=3)
    toy.deliver("retracted.csv", "8,A,4,1.00", day=4)
    toy.run()
    entries = ledger.read(toy.lake.root).entries
    retracted.add(retracted.of_file(entries, "market_1/2024-01-04/retracted.csv"), "a test")
    toy.run()
    before = state(toy)
    removed(toy)
    assert files_of_bronze(toy) == ["again.csv", "evidence.csv", "fixed.csv", "newest.csv", "retracted.csv"]
    assert state(toy) == before
    assert {*toy.rows(LINES, "_file", "_row")} <= {*toy.rows(BRONZE, "_file", "_row")}
    retracted.FILE.write_text("[]", encoding="utf-8")
    toy.run()
    assert toy.rows(ORDERS)[1] == (1, 8, 4)
