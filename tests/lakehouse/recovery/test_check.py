"""Each kind of damage, by its cause: it is found, said with what to do, repaired where it can be, and all is right."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lakehouse.delta.commits import committer
from lakehouse.delta.tables import log
from lakehouse.errors import LakehouseError
from lakehouse.recovery import check
from tests.toy import SOURCES, Toy, with_vectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakehouse.engines.native.engine import Native
    from lakehouse.recovery.check import Finding

pytestmark = pytest.mark.slow
BRONZE, LINES, ORDERS, TOTALS = "bronze.orders", "silver.order_lines", "silver.orders", "gold.totals"
REJECTED = f"{LINES}__rejected"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Toy:
    """Three deliveries, a row of the last one is rejected; behind the checkpoint of the lines there is a commit."""
    toy = Toy(tmp_path_factory.mktemp("made"), engine, with_vectors(SOURCES))
    for day in (1, 2):
        toy.deliver("orders.csv", "7,A,2,1.00", f"8,B,{day},5.00", day=day)
        toy.run()
    state = toy.lake.state(LINES)
    assert state
    assert state.progress
    for base in range(state.version, 10):
        committer.note_only(toy.lake.address(LINES), base, state.progress.to_json())
    toy.deliver("orders.csv", "8,B,5,5.00", "9,C,1,1.00", "10,C,two,1.00", day=3)
    toy.run()
    return toy


@pytest.fixture
def toy(made: Toy, tmp_path: Path) -> Toy:
    return made.copied(tmp_path / "toy")


def folder(toy: Toy, name: str) -> Path:
    return Path(toy.lake.address(name))


def a_file(toy: Toy, name: str) -> Path:
    now = log.snapshot(str(folder(toy, name)))
    assert now
    return folder(toy, name) / min(now.files)


def found(toy: Toy, *, deep: bool = False) -> list[Finding]:
    return check.check(toy.lake.root, toy.tables(), deep=deep)


def told(toy: Toy, *, deep: bool = False) -> list[tuple[str, str]]:
    return [(one.table, one.what) for one in found(toy, deep=deep)]


def repaired(toy: Toy, findings: list[Finding]) -> None:
    if check.prepare(toy.lake.root, findings):
        toy.run()


def is_right(toy: Toy) -> bool:
    assert toy.rows(ORDERS) == [(1, 7, 2), (1, 8, 5), (1, 9, 1)]
    assert toy.rows(TOTALS) == [(1, 8)]
    assert [row[0] for row in toy.rejected()] == [10]
    return found(toy, deep=True) == []


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_nothing_is_wrong_with_a_lake_that_is_right(toy: Toy) -> None:
    assert is_right(toy)


# Files


def a_vector(toy: Toy, name: str) -> Path:
    return next(folder(toy, name).glob("deletion_vector_*.bin"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"7")


def without_footer(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize(
    ("name", "harm", "why"),
    [
        (LINES, Path.unlink, "is gone"),
        (ORDERS, Path.unlink, "is gone"),
        (ORDERS, cut, "is cut"),
        (TOTALS, longer, "is larger than its log says"),
        (REJECTED, without_footer, "is damaged"),
    ],
)
def test_a_file_of_a_computed_table_is_made_anew(toy: Toy, name: str, harm: Callable[[Path], None], why: str) -> None:
    path = a_file(toy, name)
    harm(path)
    findings = found(toy)
    assert [(one.table, one.what) for one in findings] == [(name, f"{path.name} {why}")]
    assert "`lakehouse check --repair`" in findings[0].remedy
    repaired(toy, findings)
    assert is_right(toy)


@pytest.mark.parametrize("harm", [Path.unlink, without_footer, cut])
def test_a_vector_is_made_anew_with_its_table(toy: Toy, harm: Callable[[Path], None]) -> None:
    harm(a_vector(toy, LINES))
    findings = found(toy)
    assert [one.table for one in findings] == [LINES]
    repaired(toy, findings)
    assert is_right(toy)


@pytest.mark.parametrize("harm", [Path.unlink, without_footer])
def test_of_bronze_the_way_back_is_told_and_nothing_is_repaired(toy: Toy, harm: Callable[[Path], None]) -> None:
    path = a_file(toy, BRONZE)
    content = path.read_bytes()
    harm(path)
    (finding,) = found(toy)
    assert finding.remedy.startswith("Bring it back from a copy; or ")
    assert "with these files in landing: market_1/2024-01-0" in finding.remedy
    assert (finding.is_rebuilt, finding.delete) == (False, ())
    path.write_bytes(content)
    assert is_right(toy)


@pytest.mark.parametrize("name", [BRONZE, LINES])
def test_every_single_bit_of_a_data_file_counts(toy: Toy, name: str) -> None:
    random, path = Random(1), a_file(toy, name)  # noqa: S311
    content = path.read_bytes()
    for _ in range(8):
        flip(path, random.randrange(8 * len(content)))
        assert [one for one, _ in told(toy, deep=True)] == [name]
        path.write_bytes(content)
    assert is_right(toy)


def test_a_file_without_our_checksum_is_read_page_by_page(toy: Toy) -> None:
    path = folder(toy, LINES) / "of-spark.parquet"
    pq.write_table(pq.read_table(a_file(toy, LINES)), path, write_page_checksum=True, compression="none")
    now, file = log.snapshot(str(folder(toy, LINES))), {"path": path.name}
    assert now
    assert check._of_rows(now, file, deep=True) == ""  # noqa: SLF001
    flip(path, 8 * path.read_bytes().index(b"market_1/"))
    assert check._of_rows(now, file, deep=True) == check.DAMAGED  # noqa: SLF001


def test_a_flipped_bit_of_a_computed_table_is_repaired(toy: Toy) -> None:
    path = a_file(toy, LINES)
    flip(path, 8 * 200)
    findings = found(toy, deep=True)
    assert findings[0].remedy.endswith("deletes it, and builds the table anew.")
    repaired(toy, findings)
    assert is_right(toy)


# Logs


@pytest.mark.parametrize("version", [4, 11])
def test_every_single_bit_of_a_commit_counts(toy: Toy, version: int) -> None:
    random, path = Random(2), folder(toy, LINES) / log.commit_path(version)  # noqa: S311
    content = path.read_bytes()
    for _ in range(10):
        flip(path, random.randrange(8 * 40, 8 * len(content)))  # before stands the checksum itself
        with pytest.raises(LakehouseError, match=r"its checksum is another one|a line of it is no"):
            log.actions(str(folder(toy, LINES)), version)
        assert [name for name, _ in told(toy, deep=True)] == [LINES]
        path.write_bytes(content)
    assert is_right(toy)


def test_every_single_bit_of_a_checkpoint_counts_and_no_question_is_answered_by_it(toy: Toy) -> None:
    random, path = Random(3), folder(toy, LINES) / "_delta_log" / f"{10:020}.checkpoint.parquet"  # noqa: S311
    content = path.read_bytes()
    for _ in range(8):
        flip(path, random.randrange(8 * len(content)))
        log.forget(str(folder(toy, LINES)))
        with pytest.raises(LakehouseError, match=r"checkpoint\.parquet is damaged"):
            log.snapshot(str(folder(toy, LINES)))
        assert told(toy) == [(LINES, f"of its log {path.name} is damaged")]
        path.write_bytes(content)
    flip(path, 999)
    repaired(toy, found(toy))
    assert is_right(toy)


def test_a_checkpoint_that_says_something_else_than_the_commits_is_found(toy: Toy) -> None:
    last = folder(toy, LINES) / log.LAST
    last.write_text(json.dumps({name: value for name, value in json.loads(last.read_text()).items() if name != "tags"}))
    path = folder(toy, LINES) / "_delta_log" / f"{10:020}.checkpoint.parquet"
    held = pq.read_table(path)
    pq.write_table(held.filter(pc.is_null(pc.struct_field(held["add"], "path"))), path)
    assert told(toy, deep=True)[0] == (LINES, f"of its log {path.name} is damaged")
    repaired(toy, found(toy, deep=True))
    assert is_right(toy)


@pytest.mark.parametrize("name", [ORDERS, TOTALS, REJECTED])
def test_a_gap_in_the_log_of_a_computed_table_is_repaired(toy: Toy, name: str) -> None:
    now = log.snapshot(str(folder(toy, name)))
    assert now
    if now.version == 0:
        committer.note_only(now.address, 0, None)
    (folder(toy, name) / log.commit_path(max(0, now.version - 1))).unlink()
    findings = found(toy)
    assert [one.table for one in findings] == [name]
    assert "is gone" in findings[0].what
    repaired(toy, findings)
    assert is_right(toy)


def test_a_gap_before_a_checkpoint_is_told_and_stops_nothing(toy: Toy) -> None:
    (folder(toy, LINES) / log.commit_path(4)).unlink()
    assert told(toy) == [(LINES, f"of its log {4:020}.json is gone: some older versions cannot be read")]
    assert {one.decision.path for one in toy.run().values()} == {"nothing"}


def test_a_damaged_log_of_bronze_is_told(toy: Toy) -> None:
    path = folder(toy, BRONZE) / log.commit_path(1)
    content = path.read_bytes()
    path.write_bytes(b"{")
    (finding, *_) = found(toy)
    assert (finding.table, finding.is_rebuilt, finding.delete) == (BRONZE, False, ())
    assert "load all deliveries into a new lake" in finding.remedy
    path.write_bytes(content)
    assert is_right(toy)


# Notes


def test_progress_ahead_of_an_input_is_repaired(toy: Toy) -> None:
    state = toy.lake.state(ORDERS)
    assert state
    (folder(toy, ORDERS) / log.commit_path(state.version)).unlink()
    found_by = {one.table: one for one in found(toy)}
    assert f"it includes version {state.version} of {ORDERS}, which ends at version" in found_by[TOTALS].what
    repaired(toy, list(found_by.values()))
    assert is_right(toy)


def test_a_quarantine_without_its_table_and_a_table_without_its_quarantine_are_repaired(toy: Toy) -> None:
    for name in (LINES, REJECTED):
        shutil.move(folder(toy, name), toy.folder / "away")
        findings = found(toy)
        assert {LINES, REJECTED, ORDERS} & {one.table for one in findings}
        repaired(toy, findings)
        assert is_right(toy)
        shutil.rmtree(toy.folder / "away")


def test_what_somebody_else_wrote_is_repaired(toy: Toy) -> None:
    toy.opened(TOTALS).delete()
    findings = found(toy)
    assert [(one.table, one.what) for one in findings] == [(TOTALS, "somebody else's DELETE made version 3")]
    repaired(toy, findings)
    assert is_right(toy)


def test_what_the_core_noted_is_told_with_what_becomes_of_it(toy: Toy) -> None:
    a_file(toy, "ops.runs").unlink()
    (finding,) = found(toy)
    assert (finding.table, finding.is_rebuilt, finding.delete) == ("ops.runs", False, ())
    assert "no number needs it" in finding.remedy
    shutil.move(folder(toy, "ops.runs"), toy.folder / "away")
    assert is_right(toy)


def test_a_ledger_that_is_lost_is_noted_again_by_a_run(toy: Toy) -> None:
    a_file(toy, "ops.files").unlink()
    (finding, *_) = found(toy)
    assert (finding.table, finding.is_rebuilt, finding.delete) == ("ops.files", False, ())
    assert "the next run notes again what bronze holds" in finding.remedy
    shutil.move(folder(toy, "ops.files"), toy.folder / "away")
    assert [one.table for one in found(toy)] == [BRONZE]
    toy.run()
    assert is_right(toy)
