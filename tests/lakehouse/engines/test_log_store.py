"""Our log store for Spark: beside other drivers and our own committer, on S3 and on folders, no commit is lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pytest
from py4j.protocol import Py4JJavaError

from lakehouse.delta import committer, feed, log
from lakehouse.delta.committer import ConflictError, Target
from lakehouse.engines import jvm
from lakehouse.engines.protocol import Change
from lakehouse.store import minio, storage
from tests import faulty_s3, racing
from tests.faulty_s3 import LOG, FaultyS3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lakehouse.engines.spark import Spark
    from lakehouse.store.minio import Account, Server

CLASS = jvm._settings_of_results()["spark.delta.logStore.s3a.impl"]  # noqa: SLF001
SCHEMA = pa.schema({"id": pa.int64(), "n": pa.int64()})
WRITES = ["append", "overwrite", "units"]
WRITERS, VERSIONS = 4, 10  # of Spark's, and as many of our own


@pytest.mark.slow
def test_the_jar_is_made_from_its_source_byte_by_byte(tmp_path: Path) -> None:
    found = shutil.which("javac")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=True).stdout if found else "none"
    if not re.match(rf"javac {jvm.OLDEST_JAVA}\b", said):
        pytest.skip(f"another JDK compiles to other bytes; this one is: {said.strip()}")
    jvm.compile_log_store(tmp_path / "again.jar")
    assert (tmp_path / "again.jar").read_bytes() == jvm.LOG_STORE.read_bytes()


def test_the_jar_is_the_one_that_is_locked() -> None:
    assert jvm._read_lock()[jvm.LOG_STORE.name] == jvm._sha256(jvm.LOG_STORE)  # noqa: SLF001


# S3, as both see it


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Hadoop keeps a bucket's connection for the process."""
    name = f"spark-{uuid4().hex[:12]}"
    minio.ensure_bucket(server, name)
    become(server, monkeypatch)
    return name


def become(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def store(server: Server) -> Iterator[FaultyS3]:
    with faulty_s3.before(server.endpoint) as proxy:
        yield proxy


def turn_on(bucket: str, at: str, server: Server, spark: Spark) -> Spark:
    """A turn of Spark's that finds the bucket there."""
    turn = spark.for_a_turn(0)
    facts = {"endpoint": at, "access.key": server.access_key, "secret.key": server.secret_key}
    for name, value in facts.items():
        turn.spark.conf.set(f"fs.s3a.bucket.{bucket}.{name}", value)
    return turn


# The class itself


class Writing:
    """What a log store writes with: Java, and the configuration of a turn."""

    def __init__(self, turn: Spark, name: str = CLASS) -> None:
        self.java: Any = turn.spark.sparkContext._jvm  # noqa: SLF001
        self.conf: Any = turn.spark._jsparkSession.sessionState().newHadoopConf()  # noqa: SLF001
        package, _, simple = name.rpartition(".")
        self.store: Any = getattr(getattr(self.java, package), simple)(self.conf)

    def write(self, address: str, version: int, actions: Any) -> bool:  # noqa: ANN401  Java's
        """Whether the commit is written; else its file was there."""
        path = self.java.org.apache.hadoop.fs.Path(storage.for_spark(f"{address}/{log.commit_path(version)}"))
        try:
            self.store.write(path, actions, False, self.conf)  # noqa: FBT003  as it is called in Java
        except Py4JJavaError as error:
            if error.java_exception.getClass().getName() == "java.nio.file.FileAlreadyExistsException":
                return False
            raise
        return True

    def actions(self, *actions: str) -> Any:  # noqa: ANN401
        return self.java.java.util.Arrays.asList(self.java.PythonUtils.toArray(list(actions))).iterator()

    def behind(self, address: str, version: int, content: bytes) -> bool:
        """The same, where another writer lands it after the store has begun to read what it is to write."""
        pipe = self.java.java.io.PipedOutputStream()
        begun = self.java.java.io.PipedInputStream(pipe)
        pipe.write(bytearray(b"ours\n"))
        with ThreadPoolExecutor(1) as pool:
            told = pool.submit(self.write, address, version, self.java.java.util.Scanner(begun))
            while begun.available() and not told.done():
                pass
            assert storage.put_if_absent(address, log.commit_path(version), content)
            pipe.close()
            return told.result()


def assert_none_is_overwritten(writing: Writing, address: str) -> None:
    assert not writing.behind(address, 0, b"theirs")
    assert storage.read_bytes(address, log.commit_path(0)) == b"theirs"


def assert_one_wins(writing: Writing, address: str) -> None:
    """Of so many log stores and so many of our own committers, for each of the versions."""
    together = Barrier(2 * WRITERS)

    def try_all(who: int) -> list[bool]:
        won = []
        for version in range(1, 1 + VERSIONS):
            actions = writing.actions(f"{who}")
            together.wait()
            if who % 2:
                won.append(writing.write(address, version, actions))
            else:
                won.append(storage.put_if_absent(address, log.commit_path(version), f"{who}\n".encode()) is True)
        return won

    with ThreadPoolExecutor(2 * WRITERS) as pool:
        won = list(pool.map(try_all, range(2 * WRITERS)))
    for version in range(1, 1 + VERSIONS):
        (winner,) = (who for who in range(2 * WRITERS) if won[who][version - 1])
        assert storage.read_bytes(address, log.commit_path(version)) == f"{winner}\n".encode()


@pytest.mark.spark
def test_on_s3_one_of_many_writers_of_a_version_wins(bucket: str, server: Server, on_spark: Spark) -> None:
    writing = Writing(turn_on(bucket, server.endpoint, server, on_spark))
    assert_none_is_overwritten(writing, f"s3://{bucket}/table")
    assert_one_wins(writing, f"s3://{bucket}/table")


@pytest.mark.spark
def test_on_a_folder_one_of_many_writers_of_a_version_wins(tmp_path: Path, on_spark: Spark) -> None:
    (tmp_path / "_delta_log").mkdir()
    writing = Writing(on_spark.for_a_turn(0))
    assert_none_is_overwritten(writing, str(tmp_path))
    assert_one_wins(writing, str(tmp_path))
    assert {one.suffix for one in (tmp_path / "_delta_log").iterdir()} == {".json"}


# Spark's commits


def appended(turn: Spark, target: Target, n: int) -> None:
    turn.write(target, n - 1, Change("append", turn.frame(counted(n))), "")


def overwritten(turn: Spark, target: Target, n: int) -> None:
    turn.write(target, n - 1, Change("overwrite", turn.frame(counted(newest(target) + 1))), "")


def increased(turn: Spark, target: Target, n: int) -> None:
    change = Change("units", turn.frame(counted(newest(target) + 1)), unit=("id",), grain=("id",))
    turn.write(target, n - 1, change, "")


def counted(n: int) -> pa.Table:
    return pa.table({"id": [1], "n": [n]}, SCHEMA)


def numbers(target: Target) -> list[int]:
    return sorted(feed.read(target.address).column("n").to_pylist())


def newest(target: Target) -> int:
    return max(numbers(target))


def assert_once(turn: Spark, store: FaultyS3, target: Target, times: int, *writes: Callable[..., None]) -> None:
    """The answer of each commit is lost."""
    committer.overwrite(target, -1, counted(0), None)
    begun = store.met()["lost"]
    store.fail("lost", method="PUT", path=LOG, times=times)
    for n in range(1, times + 1):
        writes[(n - 1) % len(writes)](turn, target, n)
    assert store.met()["lost"] - begun == times
    assert len(log.history(target.address)) == 1 + times


@pytest.mark.spark
def test_a_commit_of_spark_whose_answer_was_lost_is_there_once(
    bucket: str, server: Server, store: FaultyS3, on_spark: Spark
) -> None:
    target = Target(f"s3://{bucket}/table", SCHEMA, vectors=True)
    turn = turn_on(bucket, store.endpoint, server, on_spark)
    assert_once(turn, store, target, 3, overwritten, increased, appended)
    assert numbers(target) == [2, 3]


@pytest.mark.spark
def test_spark_is_told_of_another_writer_and_nothing_of_its_own_is_there(tmp_path: Path, on_spark: Spark) -> None:
    turn, target = on_spark.for_a_turn(0), Target(str(tmp_path), SCHEMA, vectors=True)
    committer.overwrite(target, -1, counted(0), None)
    committer.append(target, 0, counted(1), None)
    for write in (appended, overwritten, increased):
        with pytest.raises(ConflictError, match=r"Another writer made version 1 of .* it reads the new version"):
            write(turn, target, 1)
    assert numbers(target) == [0, 1]
    appended(turn, target, 2)
    assert numbers(target) == [0, 1, 2]


@pytest.mark.long
@pytest.mark.spark
@pytest.mark.parametrize(
    ("write", "left"), [(appended, [*range(101)]), (overwritten, [100]), (increased, [100])], ids=WRITES
)
def test_a_hundred_commits_of_spark_whose_answers_were_lost_are_there_once(
    bucket: str, server: Server, store: FaultyS3, on_spark: Spark, write: Callable[..., None], left: list[int]
) -> None:
    target = Target(f"s3://{bucket}/table", SCHEMA, vectors=True)
    assert_once(turn_on(bucket, store.endpoint, server, on_spark), store, target, 100, write)
    assert numbers(target) == left


@pytest.mark.long
@pytest.mark.spark
@pytest.mark.parametrize("engines", [4 * ["spark"], ["spark", "native", "spark", "native"]], ids=["spark", "mixed"])
@pytest.mark.parametrize("on_s3", [True, False], ids=["s3", "folder"])
def test_of_four_drivers_every_commit_lands_once(
    bucket: str, tmp_path: Path, engines: list[str], *, on_s3: bool
) -> None:
    address = f"s3://{bucket}/{os.getpid()}" if on_s3 else str(tmp_path / "table")
    racing.race(address, tmp_path, *engines, times=25)
