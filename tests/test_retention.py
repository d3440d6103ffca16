"""Rows of bronze and files of landing go after the days of their contract, and no number is another one for it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from lakehouse.intake import retracted
from lakehouse.proof import verify
from lakehouse.recovery import retention
from tests.toy import HEADER, SOURCES, Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native import Native
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


def removed(toy: Toy, *, dry_run: bool = False, **released: list[int]) -> list[Removed]:
    versions = {name.replace("_", ".", 1): numbers for name, numbers in released.items()}
    root, landing, tables = toy.lake.root, str(toy.landing), toy.tables()
    return retention.remove(root, landing, tables, versions, lambda: toy.engine, dry_run=dry_run)


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
    return sorted({f"{file.rpartition('/')[2]}" for (file,) in toy.rows(BRONZE, "_file")})


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
    random, gone = Random(seed), 0
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
    assert sum(histories(tmp_path / f"{seed}", engine, seed) for seed in range(5))


@pytest.mark.long
@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("seed", range(5, 65))
def test_more_histories(tmp_path: Path, engine: Native, seed: int) -> None:
    histories(tmp_path, engine, seed)
