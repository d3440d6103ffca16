"""What a kept version names stays, all else goes once it is old: by random histories, and two readers."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder

from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.files import feed, parquet
from lakehouse.delta.tables import log
from lakehouse.delta.upkeep import compaction, vacuum
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Collection


DAY = 24 * 3600
SCHEMA = pa.schema({"n": pa.int64(), "s": pa.string()})


def numbers(values: Collection[int], s: str = "x") -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64()), "s": pa.array([s] * len(values), pa.string())}, SCHEMA)


def aged(folder: Path | str, days: float = 2) -> None:
    """All that is there was written so long ago."""
    at = time.time() - days * DAY
    for path in Path(folder).rglob("*"):
        if path.is_file():
            os.utime(path, (at, at))


def a_history(folder: Path, random: Random, *, vectors: bool) -> Target:
    """Sixteen versions of every kind of commit; all files are old."""
    target = Target(str(folder), SCHEMA, vectors=vectors)
    committer.overwrite(target, -1, numbers(range(9)), None)
    for base in range(15):
        some = sorted(random.sample(range(12), 3))
        match random.randrange(5):
            case 0:
                committer.append(target, base, numbers(some, "appended"), None)
            case 1:
                committer.overwrite(target, base, numbers(range(9), f"{base}"), None)
            case 2:
                now = log.snapshot(target.address)
                assert now
                new = parquet.write(target.address, feed.read(target.address))
                committer.optimize(target.address, base, list(now.files.values()), new, None)
            case _:
                committer.replace_units(target, base, ["n"], numbers(some[:2], f"{base}"), numbers(some[2:]), None)
    aged(folder)
    return target


def by_delta_rs(address: str, version: int) -> list[str]:
    table = QueryBuilder().register("t", DeltaTable(address, version=version))
    return sorted(map(str, pa.table(table.execute("select n, s from t").read_all()).to_pylist()))


def by_us(address: str, version: int) -> list[str]:
    return sorted(map(str, feed.read(address, version).select(["n", "s"]).to_pylist()))


def swept(target: Target, since: int, versions: Collection[int] = ()) -> list[str]:
    gone = vacuum.unnamed(target.address, since, versions)
    for one in gone:
        storage.delete(target.address, one.path)
    return [one.path for one in gone]


def kept_versions_stay_readable(folder: Path, seed: int, *, vectors: bool) -> int:
    """How many files were deleted."""
    random = Random(seed)  # noqa: S311
    target = a_history(folder, random, vectors=vectors)
    since, versions = random.randrange(16), random.sample(range(16), 2)
    kept = sorted({*versions, *range(since, 16)})
    before = {one: by_us(target.address, one) for one in kept}
    changes = feed.changes(target.address, since, 15)
    gone = swept(target, since, versions)
    for one in kept:
        assert by_us(target.address, one) == before[one]
        assert by_delta_rs(target.address, one) == before[one]
    assert feed.changes(target.address, since, 15).equals(changes)
    return len(gone)


@pytest.mark.slow
@pytest.mark.parametrize("vectors", [True, False], ids=["vectors", "copies"])
def test_kept_versions_and_changes_since_the_oldest_reader_are_read_as_before(tmp_path: Path, *, vectors: bool) -> None:
    gone = [kept_versions_stay_readable(tmp_path / f"{seed}", seed, vectors=vectors) for seed in range(2)]
    assert sum(gone) > 4


def test_vectors_of_kept_versions_stay(tmp_path: Path) -> None:
    target = Target(str(tmp_path), SCHEMA, vectors=True)
    committer.overwrite(target, -1, numbers([1, 2, 3]), None)
    committer.replace_units(target, 0, ["n"], None, numbers([1]), None)
    committer.replace_units(target, 1, ["n"], None, numbers([2]), None)
    aged(tmp_path)
    assert swept(target, 2, [1]) == []
    assert len(swept(target, 2)) == 1
    assert feed.read(target.address).column("n").to_pylist() == [3]


def test_files_of_odd_partitions_are_known_by_their_names(tmp_path: Path) -> None:
    target = Target(str(tmp_path / "a lake, 100%"), SCHEMA, vectors=True, partition_by=("s",))
    committer.overwrite(target, -1, numbers([1, 2, 3], "a#b c=%/1"), None)
    committer.replace_units(target, 0, ["n"], numbers([1], "ü"), None, None)
    committer.replace_units(target, 1, ["n"], numbers([1], "ü"), None, None)
    aged(tmp_path)
    assert len(swept(target, 2)) == 1
    assert sorted(feed.read(target.address).column("n").to_pylist()) == [1, 2, 3]


def test_what_is_younger_than_a_day_may_be_of_a_run_in_flight(tmp_path: Path) -> None:
    target = Target(str(tmp_path), SCHEMA)
    committer.overwrite(target, -1, numbers([1]), None)
    (tmp_path / "part-of-a-run.parquet").write_bytes(b"rows")
    (tmp_path / "_delta_log" / ".0a1b.tmp").write_bytes(b"a commit that a crash left")
    (tmp_path / "notes.txt").write_text("somebody's")
    assert swept(target, 0) == []
    aged(tmp_path)
    assert sorted(swept(target, 0)) == ["_delta_log/.0a1b.tmp", "part-of-a-run.parquet"]


def test_checksums_that_hadoop_keeps_beside_files_go_with_them(tmp_path: Path) -> None:
    target = Target(str(tmp_path), SCHEMA, vectors=True, partition_by=("s",))
    committer.overwrite(target, -1, numbers([1]), None)
    (live,) = tmp_path.glob("s=*/*.parquet")
    lost = live.with_name("part-of-a-task.parquet")
    for one in (live, lost):
        one.with_name(f".{one.name}.crc").write_bytes(b"sums")
    lost.write_bytes(b"rows")
    aged(tmp_path)
    assert sorted(swept(target, 0)) == [f"s=x/.{lost.name}.crc", f"s=x/{lost.name}"]


def test_where_a_file_of_the_newest_version_is_gone_nothing_is_deleted(tmp_path: Path) -> None:
    target = Target(str(tmp_path), SCHEMA)
    committer.overwrite(target, -1, numbers([1]), None)
    committer.append(target, 0, numbers([2]), None)
    aged(tmp_path)
    (lost, _) = sorted(tmp_path.glob("*.parquet"))
    content = lost.read_bytes()
    lost.unlink()
    with pytest.raises(
        LakehouseError, match=rf"{lost.name} is gone, so nothing is deleted there. See `lakehouse check`"
    ):
        vacuum.unnamed(target.address, 1, ())
    lost.write_bytes(content)
    assert swept(target, 1) == []


def test_versions_that_the_log_no_longer_reaches_hold_nothing_up(tmp_path: Path) -> None:
    target = Target(str(tmp_path), SCHEMA)
    for base in range(-1, 11):
        committer.overwrite(target, base, numbers([base]), None)
    for version in range(5):
        (tmp_path / log.commit_path(version)).unlink()
    aged(tmp_path)
    log.forget(target.address)
    assert len(swept(target, 3, [1, 10])) == 10
    assert by_us(target.address, 10) == ["{'n': 9, 's': 'x'}"]
    assert by_us(target.address, 11) == ["{'n': 10, 's': 'x'}"]


def test_a_version_whose_files_went_is_told(tmp_path: Path) -> None:
    target = Target(str(tmp_path / "silver" / "orders"), SCHEMA)
    committer.overwrite(target, -1, numbers([1]), None)
    committer.overwrite(target, 0, numbers([2]), None)
    aged(tmp_path)
    assert vacuum.lost(str(tmp_path), {"silver.orders": [0, 1]}) == {}
    (gone,) = swept(target, 1)
    found = vacuum.lost(str(tmp_path), {"silver.orders": [0, 1, 7], "silver.none": [0]})
    assert found["silver.orders", 0] == f"{gone} is gone"
    assert "has no version 7" in found["silver.orders", 7]
    assert found.keys() == {("silver.orders", 0), ("silver.orders", 7), ("silver.none", 0)}


@pytest.mark.slow
@pytest.mark.usefixtures("as_writer")
def test_on_s3_files_are_compacted_and_deleted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum, "IN_FLIGHT", timedelta(0))
    target = Target("s3://lakehouse/swept/orders", SCHEMA, vectors=True)
    for base in range(-1, 8):
        committer.append(target, base, numbers([base]), None)
    committer.replace_units(target, 8, ["n"], None, numbers([0]), None)
    assert vacuum.current_at(target.address, datetime.now(UTC)) == 9
    done = compaction.compact(target.address)
    assert done
    assert (done.old, done.new) == (8, 1)
    assert len(swept(target, 10, [3])) == 5
    assert by_us(target.address, 3) == [f"{{'n': {one}, 's': 'x'}}" for one in (-1, 0, 1, 2)]
    assert feed.read(target.address).num_rows == 8
