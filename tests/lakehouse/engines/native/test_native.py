"""The native engine at size, on few rows: slices, files instead of Arrow, processes that read, scratch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import functions as F

from lakehouse.delta.commits.committer import Target
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log
from lakehouse.documents.judgement import judging
from lakehouse.engines.native import engine as native
from lakehouse.engines.native import sail
from lakehouse.engines.native.engine import Native
from lakehouse.engines.native.scratch import Scratch
from lakehouse.engines.protocol import FEW_BYTES, Change
from lakehouse.errors import LakehouseError
from tests.toy import Toy, with_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LARGE = 1 << 20  # bytes of a turn, where FEW_BYTES is nothing
ROUNDS: list[dict[str, tuple[str, ...]]] = [
    {"1 a.csv": ("7,A,2,10.00", "7,A,2,10.00", "8,B,1,5.00", "9,C,two,3.00", ",D,1,1.00")},
    {"2 b.csv": ("8,B,1,5.00", "9,C,2,3.00", "10,E,4,1.50", "11,F,1,2.00")},
    {"1 late.csv": ("8,B,4,5.00", "7,A,1,10.00", "12,G,1,2.00")},
]


def test_what_was_executed_the_server_forgets(engine: Native) -> None:
    way_in = engine.spark.client._channel  # noqa: SLF001
    engine.spark.interruptAll()
    assert engine.arrow(engine.frame(pa.table({"id": [1, 2]})).where(F.col("id") > 1)).num_rows == 1
    until = time.monotonic() + 60
    while way_in._forgetting and time.monotonic() < until:  # noqa: SLF001
        time.sleep(0.01)
    assert engine.spark.interruptAll() == []


def test_a_process_that_holds_too_much_is_spent(engine: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_MEMORY", "2g")
    assert not engine.spent()
    monkeypatch.setattr(sail, "held", lambda: 3_500_000_000)
    assert engine.spent() == (
        "This process holds 3,337 MB of memory, and may 3,072 (LAKEHOUSE_MEMORY and 1 GiB; with more it lasts longer)."
    )


def test_an_engine_without_a_session_is_spent(engine: Native) -> None:
    def get(_: str) -> str:
        raise LakehouseError("session 1 is not running")

    without = Native(SimpleNamespace(conf=SimpleNamespace(get=get)), engine.scratch)  # type: ignore[arg-type]
    assert without.spent() == (
        "The engine's session is gone, as after minutes in which this process stood still (session 1 is not running)."
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("few", "slices", "most"),
    [(FEW_BYTES, 1, native.MOST), (-1, 1, 9.0), (-1, 3, native.MOST)],
    ids=["few", "many", "slices"],
)
def test_however_many_rows_and_slices_the_tables_are_the_same(
    few: int, slices: int, most: float, tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tables(folder: Path) -> list[object]:
        toy, found = Toy(folder, engine), list[object]()
        toy.sources = with_vectors(toy.sources)
        for files in ROUNDS:
            for name, rows in files.items():
                toy.deliver(name[2:], *rows, day=int(name[0]))
            toy.run()
            found.append([toy.rows(name) for name in ("silver.order_lines", "silver.orders", "gold.totals")])
            found.append(toy.rejected())
        return found

    expected = tables(tmp_path / "expected")
    monkeypatch.setattr(native, "FEW_BYTES", few)
    monkeypatch.setattr(native, "MOST", most)  # of the toy's units a turn mostly touches half
    monkeypatch.setattr(judging, "MANY", few)
    monkeypatch.setattr(Native, "slices", lambda *_: slices)
    assert tables(tmp_path / "found") == expected


def test_rows_of_few_units_are_copied_those_of_most_read_where_they_are(
    engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "FEW_BYTES", -1)
    turn = engine.for_a_turn(LARGE)
    with ExitStack() as until:
        some = engine.frame(pa.table({"n": [1, 2, 3]})).where("n < 3")
        copied, read = turn.narrow(some, lambda: 0.01, until), turn.narrow(some, lambda: 0.5, until)
        assert read is some
        assert copied is not some
        assert sorted(turn.arrow(copied)["n"].to_pylist()) == [1, 2]


@pytest.mark.parametrize("few", [FEW_BYTES, -1], ids=["few", "many"])
@pytest.mark.parametrize("partition_by", [(), ("market",)], ids=["plain", "partitions"])
def test_columns_that_are_the_same_in_all_rows_are_hashed(
    few: int, partition_by: tuple[str, ...], tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sail knows from a file's bounds that they are; its hash of constants alone ends in a panic."""
    market, name, nothing = pa.array([1] * 3, pa.int32()), pa.array(["a"] * 3), pa.array([None] * 3, pa.string())
    rows = pa.table({"market": market, "name": name, "nothing": nothing, "n": pa.array([1, 2, 3], pa.int64())})
    target = Target(str(tmp_path / "t"), rows.schema, {}, partition_by)
    engine.write(target, -1, Change("overwrite", engine.frame(rows)), "{}")
    monkeypatch.setattr(native, "FEW_BYTES", few)
    turn = engine.for_a_turn(LARGE)
    stored = turn.read(target.address, 0)
    with ExitStack() as until:
        for one in (engine.frame(rows), stored, turn.once(stored.where("n < 3"), until)):
            hashes = one.select(
                F.xxhash64("market").alias("of_one"),
                F.xxhash64("market", "name", "nothing", F.col("nothing").isNull()).alias("of_all"),
            )
            answer = turn.arrow(hashes).to_pylist()
            assert len(answer) > 1
            assert all(row == {"of_one": -6698625589789238999, "of_all": -1771785051822675751} for row in answer)


def test_a_column_of_which_only_the_largest_value_is_asked_is_used(engine: Native) -> None:
    """By the statistics of a file it is known without a scan, and of an empty one as well."""
    rows = engine.spark.createDataFrame([], "day date, at timestamp, other string")
    used = engine.used(
        lambda frames: frames["orders"].agg(F.max("day"), F.max(F.coalesce("at", "day"))), {"orders": rows}
    )
    assert used == {"orders": {"day", "at"}}


def test_less_memory_means_more_slices(engine: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for memory in ("64g", "4g", "1g", "256m"):
        monkeypatch.setenv("LAKEHOUSE_MEMORY", memory)
        found.append(engine.slices(150 << 20))
    assert found[0] == 1
    assert found == sorted(set(found))


@pytest.mark.parametrize(("partition_by", "most"), [((), 400), (("kind",), 1600)])
def test_many_rows_are_files_beside_the_table(
    partition_by: tuple[str, ...], most: int, tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "FEW_BYTES", -1)
    monkeypatch.setattr(native, "MOST_ROWS_OF_A_FILE", 400)
    schema = pa.schema({"id": pa.int64(), "kind": pa.string(), "at": pa.timestamp("us", "UTC")})
    target = Target(str(tmp_path / "t"), schema, partition_by=partition_by, vectors=most == 400)
    texts = ["id", "if(id % 3 = 0, 'a b', nullif('c', if(id % 3 = 1, 'c', ''))) as kind", "timestamp_micros(id) as at"]
    rows = engine.spark.range(5000).selectExpr(*texts)
    large = engine.for_a_turn(LARGE)
    assert large.write(target, -1, Change("overwrite", rows), "a note") == 0
    found = log.snapshot(target.address)
    assert found is not None
    assert all(0 < json.loads(file["stats"])["numRecords"] <= most for file in found.files.values())
    groups = [pq.read_metadata(file).num_row_groups for file in (tmp_path / "t").rglob("*.parquet")]
    assert set(groups) == {1}  # delta-rs's feed panics at a vector over several
    stored = feed.read(target.address)
    assert stored.schema == schema
    assert stored.sort_by("id").equals(engine.arrow(rows).cast(schema).sort_by("id"))
    if not target.vectors:  # which delta-rs does not read as Arrow
        assert sorted(DeltaTable(target.address).to_pyarrow_table().column("id").to_pylist()) == list(range(5000))
    assert large.arrow(large.read(target.address, 0).selectExpr("count(distinct id)"))[0][0].as_py() == 5000


def test_files_of_other_columns_are_refused(tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "FEW_BYTES", -1)
    target = Target(str(tmp_path / "t"), pa.schema({"id": pa.int64()}))
    rows = engine.spark.range(5).selectExpr("cast(id as int) as id")
    with pytest.raises(LakehouseError, match=r"'id': 'integer'.*'id': 'long'"):
        engine.for_a_turn(LARGE).write(target, -1, Change("overwrite", rows), "")
    assert log.snapshot(target.address) is None


def three_rows(numbers: Iterable[int]) -> Iterator[pa.RecordBatch]:
    for number in numbers:
        yield pa.record_batch({"id": pa.array(range(3 * number, 3 * number + 3))})


def killed(numbers: Iterable[int]) -> Iterator[pa.RecordBatch]:
    yield from three_rows(numbers)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_delivered_files_are_read_by_processes_where_they_are_many(
    engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "FEW_DELIVERED", 0)
    rows = engine.delivered(3, three_rows, pa.schema({"id": pa.int64()}))
    assert sorted(row.id for row in rows.collect()) == list(range(9))


@pytest.mark.slow
def test_a_reading_process_that_is_killed_is_said_in_words_and_nothing_stays(
    engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "FEW_DELIVERED", 0)
    before = set(engine.scratch.root.iterdir())
    with pytest.raises(LakehouseError, match=r"it was killed.*Nothing was written"):
        engine.delivered(3, killed, pa.schema({"id": pa.int64()}))
    assert set(engine.scratch.root.iterdir()) <= before


def test_the_next_start_takes_away_what_a_killed_process_left(tmp_path: Path) -> None:
    text = "import os, pathlib, sys; from lakehouse.engines.native.scratch import Scratch; "
    text += "print(Scratch.make(pathlib.Path(sys.argv[1])).folder(), flush=True); os.kill(os.getpid(), 9)"
    ended = subprocess.run([sys.executable, "-c", text, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    left = tmp_path / ended.stdout.strip()
    assert left.exists()
    mine = Scratch.make(tmp_path)
    try:
        assert list(tmp_path.iterdir()) == [mine.root]
    finally:
        mine.remove()


def test_an_answer_that_does_not_come_is_asked_for_again(engine: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    """GRPC ends a stream of which it failed to parse a message as if there was none, which Connect does not expect."""
    rows, asked = engine.spark.range(3), list[bool]()
    to_table: Any = rows._to_table  # noqa: SLF001

    def answer() -> object:
        asked.append(True)
        assert len(asked) > 1
        return to_table()

    monkeypatch.setattr(rows, "_to_table", answer)
    assert engine.arrow(rows).column("id").to_pylist() == [0, 1, 2]
    assert len(asked) == 2
