"""Small files become few and hidden rows leave their files; nobody who reads the table sees another row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lakehouse.delta.commits import committer, conflicts
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.commits.conflicts import ConflictError
from lakehouse.delta.files import feed, parquet
from lakehouse.delta.tables import log, progress
from lakehouse.delta.upkeep import compaction
from tests.logs import a_note

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.spark.engine import Spark

SCHEMA = pa.schema({"n": pa.int64(), "market": pa.int32()})


def numbers(*values: int, market: int = 1) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64()), "market": pa.array([market] * len(values), pa.int32())})


def piled_up(folder: Path, files: int = 8, *, vectors: bool = False, partition_by: tuple[str, ...] = ()) -> Target:
    """A table of small files, of two rows each; each market has every second of them."""
    target = Target(str(folder), SCHEMA, vectors=vectors, partition_by=partition_by)
    for one in range(files):
        rows = numbers(2 * one, 2 * one + 1, market=1 + one % 2)
        committer.append(target, one - 1, rows, a_note(one - 1).to_json())
    return target


def files(target: Target) -> list[log.Action]:
    now = log.snapshot(target.address)
    assert now
    return list(now.files.values())


def test_eight_small_files_become_one_and_rows_keep_their_order(tmp_path: Path) -> None:
    target = piled_up(tmp_path)
    done = compaction.compact(target.address)
    assert done
    assert (done.old, done.new) == (8, 1)
    assert feed.read(target.address).column("n").to_pylist() == list(range(16))
    assert DeltaTable(target.address).to_pyarrow_table().num_rows == 16
    assert compaction.compact(target.address) is None


def test_fewer_files_are_left_as_they_are(tmp_path: Path) -> None:
    assert compaction.compact(piled_up(tmp_path, 7).address) is None


def test_progress_is_copied_and_no_reader_of_changes_sees_any(tmp_path: Path) -> None:
    target = piled_up(tmp_path)
    compaction.compact(target.address)
    state = progress.state(target.address)
    assert state
    assert (state.version, state.progress) == (8, a_note(7))
    assert not progress.moved(target.address, 7, 8)
    assert feed.changes(target.address, 7, 8).num_rows == 0
    assert pa.table(DeltaTable(target.address).load_cdf(8, 8).read_all()).num_rows == 0


def test_what_somebody_else_wrote_stays_in_doubt(tmp_path: Path) -> None:
    target = piled_up(tmp_path)
    DeltaTable(target.address).delete("n = 3")
    compaction.compact(target.address)
    state = progress.state(target.address)
    assert state
    assert (state.progress, state.doubt) == (None, "somebody else's DELETE made version 8")


def test_what_the_cores_own_tables_note_is_said_again(tmp_path: Path) -> None:
    target = Target(str(tmp_path), SCHEMA)
    for base in range(-1, 8):
        committer.append(target, base, numbers(base), f'{{"release": {base}}}')
    compaction.compact(target.address)
    assert [one.user_metadata for one in log.history(target.address, 2)] == ['{"release": 7}'] * 2


def test_each_partition_has_files_of_its_own(tmp_path: Path) -> None:
    target = piled_up(tmp_path, 16, partition_by=("market",))
    compaction.compact(target.address)
    assert sorted(one["partitionValues"]["market"] for one in files(target)) == ["1", "2"]
    assert sorted(feed.read(target.address).column("n").to_pylist()) == list(range(32))


@pytest.mark.parametrize("gone", [1, 4])
def test_hidden_rows_leave_their_files_and_their_vectors_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: int
) -> None:
    monkeypatch.setattr(compaction, "MANY_HIDDEN", 1)
    target = Target(str(tmp_path), SCHEMA, vectors=True)
    committer.overwrite(target, -1, numbers(1, 2, 3, 4), None)
    for base in range(gone):
        committer.replace_units(target, base, ["n"], None, numbers(base + 1), None)
    before = feed.read(target.address)
    done = compaction.compact(target.address)
    assert done
    assert (done.hidden, done.new) == (gone, 1 if gone < 4 else 0)
    assert not [one for one in files(target) if one.get("deletionVector")]
    assert feed.read(target.address).equals(before)
    assert feed.changes(target.address, gone, gone + 1).num_rows == 0


def test_a_file_that_has_grown_is_not_copied_for_each_few_that_pile_up_beside_it() -> None:
    grown, small = ({"size": 1} for _ in range(2))
    sizes = [compaction._File(grown, 1000, 0), *(compaction._File(small, 1, 0) for _ in range(8))]  # noqa: SLF001
    assert {one.rows for one in compaction._piled_up(sizes)} == {1}  # noqa: SLF001
    sizes += [compaction._File(small, 500, 0), compaction._File(small, 500, 0)]  # noqa: SLF001
    assert 1000 in {one.rows for one in compaction._piled_up(sizes)}  # noqa: SLF001


def test_a_group_has_no_more_rows_than_a_file_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = piled_up(tmp_path)
    monkeypatch.setattr(parquet, "LARGEST", 4)
    done = compaction.compact(target.address)
    assert done
    assert done.new == 4
    assert feed.read(target.address).column("n").to_pylist() == list(range(16))


def test_a_run_that_is_quicker_wins_and_no_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, copy = piled_up(tmp_path), compaction._copy  # noqa: SLF001

    def beside_a_run(*given: object) -> list[log.Action]:
        committer.append(target, 7, numbers(99), None)
        return copy(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(compaction, "_copy", beside_a_run)
    with pytest.raises(ConflictError):
        compaction.compact(target.address)
    assert len(list(tmp_path.glob("*.parquet"))) == 9
    assert feed.read(target.address).num_rows == 17


@pytest.mark.parametrize("vectors", [True, False])
def test_a_run_that_read_before_the_compaction_writes_after_it(tmp_path: Path, *, vectors: bool) -> None:
    target = piled_up(tmp_path, vectors=vectors)
    compaction.compact(target.address)
    note = a_note(7, run="tuesday").to_json()
    conflicts.beside_maintenance(
        target.address, 7, lambda base: committer.replace_units(target, base, ["n"], numbers(3), None, note)
    )
    assert sorted(feed.read(target.address).column("n").to_pylist()) == list(range(16))
    state = progress.state(target.address)
    assert state
    assert (state.version, state.progress) == (9, a_note(7, run="tuesday"))


def test_after_anything_but_maintenance_a_run_writes_nothing(tmp_path: Path) -> None:
    target = piled_up(tmp_path)
    committer.append(target, 7, numbers(99), None)
    with pytest.raises(ConflictError):
        conflicts.beside_maintenance(target.address, 7, lambda base: committer.overwrite(target, base, None, None))


@pytest.mark.spark
def test_spark_reads_what_we_compacted_sees_no_change_and_goes_on(tmp_path: Path, on_spark: Spark) -> None:
    target = piled_up(tmp_path, 10, vectors=True)
    committer.replace_units(target, 9, ["n"], numbers(3), None, None)  # the tenth version has a checkpoint
    compaction.compact(target.address)
    committer.set_properties(target.address, 11, {"delta.deletedFileRetentionDuration": "interval 60 days"}, None)
    spark, table = on_spark.for_a_turn(0).spark, f"delta.`{tmp_path}`"
    assert spark.sql(f"select count(*), sum(n) from {table}").first()[:] == (20, 190)  # type: ignore[index]
    feed_of = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 11)
    assert feed_of.load(str(tmp_path)).count() == 0
    spark.sql(f"delete from {table} where n = 7")
    assert sorted(feed.read(target.address).column("n").to_pylist()) == [one for one in range(20) if one != 7]
