"""Our log store for Spark: beside other drivers and our own committer, on S3 and on folders, no commit is lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pytest
from py4j.protocol import Py4JJavaError

from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.commits.conflicts import ConflictError
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log
from lakehouse.engines.protocol import Change
from lakehouse.engines.spark import jvm
from lakehouse.engines.spark.engine import BASE
from lakehouse.store import minio, storage
from tests import disks, faulty_s3, racing
from tests.faulty_s3 import LOG, FaultyS3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lakehouse.engines.spark.engine import Spark
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
    """A log store, of a mutants' jar or the session's, and what it writes with: Java, and a turn's configuration."""

    def __init__(self, turn: Spark, name: str = CLASS, jar: Path | None = None) -> None:
        java: Any = turn.spark.sparkContext._jvm  # noqa: SLF001
        self.java, self.gateway = java, turn.spark.sparkContext._gateway  # noqa: SLF001
        self.conf: Any = turn.spark._jsparkSession.sessionState().newHadoopConf()  # noqa: SLF001
        loader = java.Thread.currentThread().getContextClassLoader()
        if jar:
            here = self._array(java.java.net.URL, java.java.io.File(str(jar)).toURI().toURL())
            loader = java.java.net.URLClassLoader(here, loader)
        of = self._array(java.Class, java.Class.forName("org.apache.hadoop.conf.Configuration"))
        made = loader.loadClass(name).getConstructor(of)
        self.store: Any = made.newInstance(self._array(java.Object, self.conf))

    def _array(self, kind: Any, value: Any) -> Any:  # noqa: ANN401
        found: Any = self.gateway.new_array(kind, 1)  # type: ignore[union-attr]
        found[0] = value
        return found

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


@dataclass(frozen=True)
class Place:
    """Where a log store writes: an address, the turn of Spark's that can, and what stands before S3."""

    turn: Spark
    address: str
    store: FaultyS3 | None = None

    @property
    def folder(self) -> Path:
        return Path(self.address) / "_delta_log"

    def holds(self, version: int) -> bytes:
        return storage.read_bytes(self.address, log.commit_path(version))


@pytest.fixture
def on_a_folder(tmp_path: Path, on_spark: Spark) -> Place:
    place = Place(on_spark.for_a_turn(0), str(tmp_path / "table"))
    place.folder.mkdir(parents=True)
    return place


@pytest.fixture
def on_s3(bucket: str, server: Server, on_spark: Spark) -> Place:
    return Place(turn_on(bucket, server.endpoint, server, on_spark), f"s3://{bucket}/table")


@pytest.fixture
def on_faulty_s3(bucket: str, server: Server, store: FaultyS3, on_spark: Spark) -> Place:
    return Place(turn_on(bucket, store.endpoint, server, on_spark), f"s3://{bucket}/table", store)


@pytest.fixture
def on_s3_without_room(on_s3: Place, bucket: str, tmp_path: Path) -> Iterator[Place]:
    """What is written waits on a disk that has room for one part of 5 MB."""
    with disks.of("6m", tmp_path / "disk") as disk:
        for name, value in {"buffer.dir": str(disk), "multipart.size": "5M"}.items():
            on_s3.turn.spark.conf.set(f"fs.s3a.bucket.{bucket}.{name}", value)
        yield on_s3


def assert_none_is_overwritten(writing: Writing, place: Place) -> None:
    """Neither where the store says so at once nor, behind a proxy, where it does not look or its answer is lost."""
    for version, fault in enumerate(("409", "lost") if place.store else ("",)):
        if place.store:
            place.store.fail(fault, method="PUT", path=LOG, times=1)
        assert not writing.behind(place.address, version, b"theirs"), fault
        assert place.holds(version) == b"theirs"


def assert_its_own_is_known(writing: Writing, place: Place) -> None:
    """What the store did not take is put again, and what it took without an answer is there once."""
    assert place.store
    for version, fault in enumerate(("409", "lost")):
        place.store.fail(fault, method="PUT", path=LOG, times=1)
        assert writing.write(place.address, version, writing.actions("ours")), fault
        assert place.holds(version) == b"ours\n"


def assert_what_broke_off_is_not_there(writing: Writing, place: Place) -> None:
    """The second part has no room."""
    with pytest.raises(Py4JJavaError, match=r"The store did not say whether .*json was written"):
        writing.write(place.address, 0, writing.actions("x" * (6 << 20)))
    assert [*storage.list_files(place.address)] == []
    assert writing.write(place.address, 0, writing.actions("x"))


def assert_a_name_is_taken_where_a_look_says_that_it_is_free(writing: Writing, place: Place) -> None:
    """A link to nowhere holds still what is a moment in a race: who looks, and then renames, takes the name."""
    commit = Path(place.address) / log.commit_path(0)
    commit.symlink_to("nowhere")
    assert not writing.write(place.address, 0, writing.actions("ours"))
    assert commit.is_symlink()


def assert_only_the_version_after_its_base_is_written(writing: Writing, place: Place) -> None:
    writing.conf.set(BASE, "0")
    with pytest.raises(Py4JJavaError, match="Another writer made the version after 0"):
        writing.write(place.address, 2, writing.actions("ours"))
    assert writing.write(place.address, 1, writing.actions("ours"))
    assert [one.name for one in place.folder.iterdir()] == [f"{1:020}.json"]


def assert_one_wins(writing: Writing, place: Place) -> None:
    """Of so many log stores and so many of our own committers, for each of the versions."""
    together, address = Barrier(2 * WRITERS), place.address

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
        assert place.holds(version) == f"{winner}\n".encode()


@pytest.mark.spark
def test_on_s3_one_of_many_writers_of_a_version_wins(on_s3: Place) -> None:
    writing = Writing(on_s3.turn)
    assert_none_is_overwritten(writing, on_s3)
    assert_one_wins(writing, on_s3)


@pytest.mark.spark
def test_on_s3_a_write_that_was_not_told_of_another_asks_whose_it_is(on_faulty_s3: Place) -> None:
    assert_none_is_overwritten(Writing(on_faulty_s3.turn), on_faulty_s3)


@pytest.mark.spark
def test_on_s3_a_write_without_an_answer_knows_its_own(on_faulty_s3: Place) -> None:
    assert_its_own_is_known(Writing(on_faulty_s3.turn), on_faulty_s3)


@pytest.mark.spark
def test_on_s3_a_write_that_broke_off_is_not_there(on_s3_without_room: Place) -> None:
    assert_what_broke_off_is_not_there(Writing(on_s3_without_room.turn), on_s3_without_room)


@pytest.mark.spark
def test_on_a_folder_one_of_many_writers_of_a_version_wins(on_a_folder: Place) -> None:
    writing = Writing(on_a_folder.turn)
    assert_none_is_overwritten(writing, on_a_folder)
    assert_one_wins(writing, on_a_folder)
    assert {one.suffix for one in on_a_folder.folder.iterdir()} == {".json"}


@pytest.mark.spark
def test_on_a_folder_a_name_is_taken_where_a_look_says_that_it_is_free(on_a_folder: Place) -> None:
    assert_a_name_is_taken_where_a_look_says_that_it_is_free(Writing(on_a_folder.turn), on_a_folder)


@pytest.mark.spark
@pytest.mark.parametrize("name", ["LocalLogStore", "HDFSLogStore"])
def test_the_log_stores_of_delta_look_and_then_take_the_name(name: str, on_a_folder: Place) -> None:
    """So that the test before would see one that loses commits."""
    theirs = Writing(on_a_folder.turn, f"io.delta.storage.{name}")
    with pytest.raises(AssertionError):
        assert_a_name_is_taken_where_a_look_says_that_it_is_free(theirs, on_a_folder)


@pytest.mark.spark
def test_only_the_version_after_its_base_is_written(on_a_folder: Place) -> None:
    assert_only_the_version_after_its_base_is_written(Writing(on_a_folder.turn), on_a_folder)


# What must not be taken out of it


@dataclass(frozen=True)
class Mutant:
    """Java that is taken out, what stands there instead, and what sees it where."""

    gone: str
    instead: str
    test: Callable[[Writing, Place], None]
    place: str


IS_OURS, LINKED = "ours.equals(found)", "Files.createLink(file, begun);"
RENAMED = """if (Files.exists(file)) { throw new FileAlreadyExistsException(null); }
    Files.move(begun, file, StandardCopyOption.ATOMIC_MOVE);"""
MUTANTS = {
    "puts over another's": Mutant(
        'object.must("fs.option.create.conditional.overwrite", true);', "", assert_none_is_overwritten, "on_s3"
    ),
    "takes another's for its own": Mutant(IS_OURS, "found != null", assert_none_is_overwritten, "on_s3"),
    "takes another's for its own without an answer": Mutant(
        IS_OURS, "found != null", assert_none_is_overwritten, "on_faulty_s3"
    ),
    "takes its own for another's": Mutant(IS_OURS, "false", assert_its_own_is_known, "on_faulty_s3"),
    "does not ask again": Mutant("ATTEMPTS = 4", "ATTEMPTS = 1", assert_its_own_is_known, "on_faulty_s3"),
    "publishes what broke off": Mutant(
        "stream.abort();", "stream.close();", assert_what_broke_off_is_not_there, "on_s3_without_room"
    ),
    "looks, then renames": Mutant(
        LINKED, RENAMED, assert_a_name_is_taken_where_a_look_says_that_it_is_free, "on_a_folder"
    ),
    "writes behind another's version": Mutant(
        "check(path.getName(), conf.get(BASE));", "", assert_only_the_version_after_its_base_is_written, "on_a_folder"
    ),
}


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The jar of all of them: `Mutant0`, `Mutant1` and so on."""
    if not shutil.which("javac"):
        pytest.skip("needs a JDK, by which mutants are compiled")
    folder, whole = tmp_path_factory.mktemp("mutants"), jvm.LOG_STORE_SOURCE.read_text(encoding="utf-8")
    sources = [folder / f"Mutant{number}.java" for number in range(len(MUTANTS))]
    for source, mutant in zip(sources, MUTANTS.values(), strict=True):
        assert whole.count(mutant.gone) == 1, f"not once in the source: {mutant.gone}"
        mutated = whole.replace(mutant.gone, mutant.instead).replace(jvm.LOG_STORE_SOURCE.stem, source.stem)
        source.write_text(mutated, encoding="utf-8")
    jvm.compile_log_store(folder / "mutants.jar", *sources)
    return folder / "mutants.jar"


@pytest.mark.usefixtures("on_spark")  # named, so that the process does them that has it
@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_taken_out_turns_its_test_red(name: str, mutants: Path, request: pytest.FixtureRequest) -> None:
    mutant, place = MUTANTS[name], request.getfixturevalue(MUTANTS[name].place)
    writing = Writing(place.turn, f"lakehouse.Mutant{[*MUTANTS].index(name)}", mutants)
    with pytest.raises((AssertionError, Py4JJavaError, pytest.fail.Exception)):
        mutant.test(writing, place)


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


def assert_once(place: Place, target: Target, times: int, write: Callable[..., None]) -> None:
    """The answer of each commit is lost."""
    turn, store = place.turn, place.store
    assert store
    committer.overwrite(target, -1, counted(0), None)
    begun = store.met()["lost"]
    store.fail("lost", method="PUT", path=LOG, times=times)
    for n in range(1, times + 1):
        write(turn, target, n)
    assert store.met()["lost"] - begun == times
    assert len(log.history(target.address)) == 1 + times


@pytest.mark.spark
def test_a_commit_of_spark_whose_answer_was_lost_is_there_once(on_faulty_s3: Place) -> None:
    target = Target(on_faulty_s3.address, SCHEMA, vectors=True)
    assert_once(on_faulty_s3, target, 1, increased)
    assert numbers(target) == [1]


@pytest.mark.spark
def test_spark_notes_its_progress_where_a_table_stays_empty(tmp_path: Path, on_spark: Spark) -> None:
    """Else the table were behind for ever, and there were no release."""
    turn, target = on_spark.for_a_turn(0), Target(str(tmp_path), SCHEMA)
    nothing = Change("overwrite", turn.frame(SCHEMA.empty_table()))
    assert [turn.write(target, base, nothing, f"after {base}") for base in (-1, 0, 1)] == [0, 1, 2]
    assert [one.user_metadata for one in log.history(target.address)] == ["after 1", "after 0", "after -1"]


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
    on_faulty_s3: Place, write: Callable[..., None], left: list[int]
) -> None:
    target = Target(on_faulty_s3.address, SCHEMA, vectors=True)
    assert_once(on_faulty_s3, target, 100, write)
    assert numbers(target) == left


@pytest.mark.long
@pytest.mark.spark
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_commits_of_spark_on_a_store_that_is_ten_seconds_late_are_there_once(on_faulty_s3: Place, rate: float) -> None:
    target = Target(on_faulty_s3.address, SCHEMA, vectors=True)
    committer.overwrite(target, -1, counted(0), None)
    assert on_faulty_s3.store
    on_faulty_s3.store.fail("late", rate=rate, seed=3)
    for n, write in enumerate((overwritten, increased, appended), 1):
        write(on_faulty_s3.turn, target, n)
    assert numbers(target) == [2, 3]
    assert len(log.history(target.address)) == 4


@pytest.mark.long
@pytest.mark.spark
@pytest.mark.parametrize("engines", [4 * ["spark"], ["spark", "native", "spark", "native"]], ids=["spark", "mixed"])
@pytest.mark.parametrize("on_s3", [True, False], ids=["s3", "folder"])
def test_of_four_drivers_every_commit_lands_once(
    bucket: str, tmp_path: Path, engines: list[str], *, on_s3: bool
) -> None:
    address = f"s3://{bucket}/{os.getpid()}" if on_s3 else str(tmp_path / "table")
    racing.race(address, tmp_path, *engines, times=25)
