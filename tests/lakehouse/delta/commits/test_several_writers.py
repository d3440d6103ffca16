"""Several writers of one table, and a store whose answers are lost or cut off: each commit is there once."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa
import pytest

from lakehouse.delta.commits import committer, ops
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.files import feed, parquet
from lakehouse.delta.tables import log
from lakehouse.errors import LakehouseError
from lakehouse.recovery import check
from lakehouse.runs.run import Run
from lakehouse.store import minio, storage
from lakehouse.store.minio import Account
from tests import faulty_s3, racing
from tests.faulty_s3 import FAULTS, LOG
from tests.toy import Toy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.protocol import Engine
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.store.minio import Server
    from tests.faulty_s3 import FaultyS3

pytestmark = pytest.mark.slow
SCHEMA = pa.schema({"id": pa.int64(), "n": pa.int64()})
TRIES = 50  # of a run, each after the last one's error
LIMIT = 900.0  # seconds of one, where others use the machine too: none hangs
RATES = [0.01, 0.05, 0.2]


@pytest.fixture
def bucket() -> str:
    """Sail keeps a bucket's address for the process, so each proxy has one of its own."""
    return f"faulty-{uuid4().hex[:12]}"


@pytest.fixture
def store(server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    minio.ensure_bucket(server, bucket)
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))  # before it asks again
    with faulty_s3.before(server.endpoint) as proxy:
        become(Account(proxy.endpoint, server.access_key, server.secret_key), monkeypatch)
        yield proxy


def become(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)


def counted(n: int, id_: int = 1) -> pa.Table:
    return pa.table({"id": [id_], "n": [n]}, SCHEMA)


def appended(target: Target, base: int) -> int:
    return committer.append(target, base, counted(base + 1), None)


def overwritten(target: Target, base: int) -> int:
    return committer.overwrite(target, base, counted(newest(target) + 1), None)


def increased(target: Target, base: int) -> int:
    return committer.replace_units(target, base, ["id"], counted(newest(target) + 1), None, None)


def numbers(target: Target) -> list[int]:
    return sorted(feed.read(target.address).column("n").to_pylist())


def newest(target: Target) -> int:
    return max(numbers(target))


def of_one_row(bucket: str) -> Target:
    target = Target(f"s3://{bucket}/table", SCHEMA)
    committer.overwrite(target, -1, counted(0), None)
    return target


@pytest.mark.parametrize(
    ("write", "left"),
    [(appended, [*range(11)]), (overwritten, [10]), (increased, [10])],
    ids=["append", "overwrite", "units"],
)
def test_a_commit_whose_answer_was_lost_is_there_once(
    store: FaultyS3, bucket: str, write: Callable[[Target, int], int], left: list[int]
) -> None:
    target = of_one_row(bucket)
    store.fail("lost", method="PUT", path=LOG, times=10)
    for base in range(10):
        assert write(target, base) == base + 1
    assert store.met()["lost"] == 10
    log.forget(target.address)
    assert numbers(target) == left
    assert len(log.history(target.address)) == 11


def test_a_store_that_refuses_or_cuts_off_each_fifth_request_loses_and_repeats_nothing(
    store: FaultyS3, bucket: str
) -> None:
    target = of_one_row(bucket)
    store.fail(*FAULTS, rate=0.2, seed=1, delay=0.02)
    for number in range(1, 4):
        until_it_is_done(partial(increase_to, target, number))
    assert faults(store) >= 3
    store.heal()
    log.forget(target.address)
    assert numbers(target) == [3]
    assert len(log.history(target.address)) == 4


def test_a_table_that_a_store_did_not_give_whole_is_read_when_it_does(store: FaultyS3, bucket: str) -> None:
    target = of_one_row(bucket)
    store.fail("short", method="GET", path="_last_checkpoint")
    with pytest.raises(LakehouseError, match=r"S3 did not answer whole when .*/table was asked\. Start the run again"):
        ops.query(target.address, "select n from t")
    store.heal()
    assert ops.query(target.address, "select n from t") == [{"n": 0}]


def test_a_file_that_a_store_cuts_off_is_read_anew_and_checked_as_right(store: FaultyS3, bucket: str) -> None:
    target = of_one_row(bucket)
    now = log.snapshot(target.address)
    assert now
    (file,) = now.files.values()
    for fault in ("short", "429"):
        store.fail(fault, method="GET", path=r"\.parquet$", times=1)
        assert parquet.read(target.address, file, SCHEMA).num_rows == 1
    store.fail("short", method="GET", path=r"\.parquet$")
    with pytest.raises(LakehouseError, match=r"cannot be read: AWS Error .*\. The store is not well"):
        check._of_rows(now, file, deep=False)  # noqa: SLF001
    store.heal()
    assert not check._of_rows(now, file, deep=True)  # noqa: SLF001


def test_a_write_that_a_store_is_too_busy_for_is_made_again(store: FaultyS3, bucket: str) -> None:
    store.fail("409", method="PUT", path="/a$", times=1)
    storage.put(f"s3://{bucket}", "a", b"x")
    assert store.met()["409"] == 1
    assert storage.read_bytes(f"s3://{bucket}", "a") == b"x"


def test_a_store_that_never_answers_is_no_hang(store: FaultyS3, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it may take is made short here: four times half a minute, and no other four when two are over."""
    for name, seconds in (("ANSWER", 0.1), ("LIMIT", 0.3)):
        monkeypatch.setattr(storage, name, seconds)
    storage._client.cache_clear()  # noqa: SLF001
    store.fail("late", delay=60)
    try:
        with pytest.raises(LakehouseError, match=r"broke off while it was asked to read s3://\S+/a: Read timeout on"):
            storage.read_bytes(f"s3://{bucket}", "a")
    finally:
        storage._client.cache_clear()  # noqa: SLF001
    assert store.met()["late"] == 4


def faults(store: FaultyS3) -> int:
    return sum(count for fault, count in store.met().items() if fault)


def increase_to(target: Target, number: int) -> None:
    """What a run does: it looks what is there, and goes on from it."""
    now = log.snapshot(target.address)
    assert now
    if newest(target) < number:
        increased(target, now.version)


def until_it_is_done(run: Callable[[], object]) -> list[str]:
    """Whatever fails says so in words, which come back, and is right after a rerun."""
    said = list[str]()
    while len(said) < TRIES:
        begin = time.monotonic()
        try:
            run()
        except LakehouseError as error:
            said.append(str(error))
            storage._client.cache_clear()  # noqa: SLF001  a rerun is another process: it may ask again as often
            continue
        finally:
            assert time.monotonic() - begin < LIMIT
        return said
    pytest.fail("\n".join(said))


def assert_runs_come_to_the_same(store: FaultyS3, bucket: str, folder: Path, engine: Engine, days: int) -> list[str]:
    """On each day one more order, and one less of order 0; each run until it says that it is done, and what it said."""
    toy, lake = Toy(folder, engine), f"s3://{bucket}/lake"
    tables, said = toy.tables(), list[str]()
    for day in range(1, days + 1):
        toy.deliver(f"{day}.csv", f"0,A,{9 - day},10.00", f"{day},B,1,5.00")
        said += until_it_is_done(lambda: Run(lake, str(toy.landing), tables, engine=engine).execute(tables))
    store.heal()
    lines = ops.query(f"{lake}/silver/order_lines", "select order_id, quantity from t order by order_id")
    assert [tuple(line.values()) for line in lines] == [(0, 9 - days), *((day, 1) for day in range(1, days + 1))]
    assert ops.query(f"{lake}/gold/totals", "select * from t") == [{"market": 1, "units": 9}]
    assert ops.query(f"{lake}/bronze/orders", "select count(*) as n from t") == [{"n": 2 * days}]
    return said


def test_runs_on_a_store_of_which_each_twentieth_request_fails_come_to_the_same(
    store: FaultyS3, bucket: str, tmp_path: Path, engine: Native
) -> None:
    store.fail(*FAULTS, rate=0.05, seed=2, delay=0.02)
    assert_runs_come_to_the_same(store, bucket, tmp_path, engine, days=1)
    assert faults(store) >= 3


@pytest.mark.long
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("fault", FAULTS)
def test_runs_on_a_store_that_fails_in_one_way_come_to_the_same(
    store: FaultyS3,
    bucket: str,
    tmp_path: Path,
    engine: Native,
    fault: str,
    rate: float,
    record_property: Callable[[str, object], None],
) -> None:
    store.fail(fault, rate=rate, seed=3)
    said = assert_runs_come_to_the_same(store, bucket, tmp_path, engine, days=1 if fault == "late" else 3)
    record_property("met", faults(store))
    record_property("runs that ended with words", said)


@pytest.mark.long
@pytest.mark.spark
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("fault", [one for one in FAULTS if one != "late"])
def test_runs_of_spark_on_a_store_that_fails_in_one_way_come_to_the_same(
    store: FaultyS3, server: Server, bucket: str, tmp_path: Path, on_spark: Spark, fault: str, rate: float
) -> None:
    """What ten seconds late make of it, engines/test_log_store.py says by fewer requests."""
    known = on_spark.spark.sparkContext._jsc.hadoopConfiguration()  # noqa: SLF001  all turns have it from there
    for name, value in asdict(Account(store.endpoint, server.access_key, server.secret_key)).items():
        known.set(f"fs.s3a.bucket.{bucket}.{name.replace('_', '.')}", value)
    store.fail(fault, rate=rate, seed=3)
    assert_runs_come_to_the_same(store, bucket, tmp_path, on_spark, days=2)


def test_of_four_processes_every_commit_lands_once(
    server: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minio.ensure_bucket(server, bucket)
    become(server, monkeypatch)
    racing.race(f"s3://{bucket}/table", tmp_path, *4 * ["native"], times=10)
