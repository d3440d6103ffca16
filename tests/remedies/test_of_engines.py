"""An engine that does not start or ends says why, and starts when what the words ask for is done."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lakehouse.engines.native import guard, reading
from lakehouse.engines.spark import jvm
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SCHEMA = pa.schema({"n": pa.int64()})
NEW, OLD = 'openjdk version "17.0.15" 2025-04-15', 'openjdk version "11.0.21"'


def a_program(file: Path, script: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


@pytest.fixture(autouse=True)
def no_java_known() -> Iterator[None]:
    jvm.check_java.cache_clear()
    yield
    jvm.check_java.cache_clear()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "exit 1",
            r"Spark needs Java, and there is none that works in JAVA_HOME=.*\. Install Java 17 or newer \(Debian",
        ),
        (
            f"echo '{OLD}' >&2",
            r"Spark needs Java 17 or newer; this one is: openjdk version .*\. Install Java 17 or newer",
        ),
    ],
)
def test_a_java_that_is_new_enough_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    a_program(tmp_path / "bin" / "java", script)
    with pytest.raises(LakehouseError, match=words):
        jvm.check_java()
    a_program(tmp_path / "bin" / "java", f"echo '{NEW}' >&2")
    assert NEW in jvm.check_java()


def test_jars_are_fetched_when_maven_answers_and_again_when_they_are_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, submit = tmp_path / "jars.lock", tmp_path / "spark" / "bin" / "spark-submit"
    lock.write_text("".join(f"{hashlib.sha256(one).hexdigest()}  {one.decode()}.jar\n" for one in (b"a", b"ours")))
    (tmp_path / "ours.jar").write_bytes(b"ours")
    monkeypatch.setattr(jvm, "LOCK", lock)
    monkeypatch.setattr(jvm, "LOG_STORE", tmp_path / "ours.jar")
    monkeypatch.setattr(jvm, "_spark_home", lambda: tmp_path / "spark")
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    a_program(tmp_path / "java" / "bin" / "java", f"echo '{NEW}' >&2")
    a_program(submit, "echo ':: unresolved dependency: io.delta' >&2; exit 1")
    words = r"could not be fetched from Maven Central: :: unresolved dependency: io\.delta Check the network, or copy"
    with pytest.raises(LakehouseError, match=words):
        jvm.jars(lambda _: None)
    fetch = 'ivy="${2#spark.jars.ivy=}"; mkdir -p "$ivy/jars"; printf a > "$ivy/jars/a.jar"'
    a_program(submit, fetch)
    jar, ours = jvm.jars(lambda _: None)
    jar.write_bytes(b"b")
    words = r"are not those of jars\.lock: a\.jar is damaged or different\. Delete that folder to fetch them again"
    with pytest.raises(LakehouseError, match=words):
        jvm.jars(lambda _: None)
    shutil.rmtree(jar.parent)
    assert jvm.jars(lambda _: None) == [jar, ours]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a pipe that PySpark leaves open
def test_a_java_that_ends_at_once_is_shown_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_program(tmp_path / "bin" / "java", "echo Unrecognized option: -Xbogus >&2; exit 1")
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    monkeypatch.delenv("LAKEHOUSE_LOG", raising=False)
    for name, value in {"JAVA_HOME": tmp_path, "LAKEHOUSE_CACHE": tmp_path, "SPARK_CONF_DIR": tmp_path}.items():
        monkeypatch.setenv(name, str(value))
    words = r"Java did not start: .*Unrecognized option: -Xbogus.* See .*spark\.log, and LAKEHOUSE_JAVA_OPTIONS\."
    with pytest.raises(LakehouseError, match=words):
        jvm._launch({})  # noqa: SLF001  without what comes before it: jars, a master


def test_a_port_that_somebody_took_is_given_back() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        at = stranger.getsockname()
        with pytest.raises(
            LakehouseError, match=rf"Someone took port {at[1]} while the engine started\. Start again\."
        ):
            guard._keep(at)  # noqa: SLF001  a server that starts again has another port
    guard._keep(at).close()  # noqa: SLF001


def killed(_: Iterable[int]) -> Iterator[pa.RecordBatch]:
    os._exit(9)
    yield


def done(numbers: Iterable[int]) -> Iterator[pa.RecordBatch]:
    yield pa.record_batch({"n": pa.array([*numbers], pa.int64())})


@pytest.mark.slow
def test_a_run_whose_reader_was_killed_is_started_again(tmp_path: Path) -> None:
    words = r"A process that read delivered files ended before it was done: it was killed, perhaps because memory was"
    with pytest.raises(LakehouseError, match=words):
        reading.side_by_side(1, killed, SCHEMA, tmp_path, 10)
    assert len(reading.side_by_side(1, done, SCHEMA, tmp_path, 10)) == 1
