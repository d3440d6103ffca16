"""What is checked before a JVM starts: Java, the jars against their lock, and the settings of S3. None starts here."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lakehouse.engines.spark import jvm
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lakehouse.engines.spark.engine import Spark

SECRET = "do-not-show-this-to-anybody"  # noqa: S105


@pytest.fixture(autouse=True)
def _java_is_asked_again() -> Iterator[None]:
    jvm.check_java.cache_clear()
    yield
    jvm.check_java.cache_clear()


def a_java(folder: Path, says: str, code: int = 0) -> Path:
    """A `java` that answers this on standard error, as the real one does."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{says}\nEND\nexit {code}\n")
    java.chmod(0o755)
    return java


def java_refusal() -> str:
    with pytest.raises(LakehouseError) as refused:
        jvm.check_java()
    return str(refused.value)


# Java


def test_the_java_of_this_machine_is_new_enough() -> None:
    assert re.search(r'version "\d+', jvm.check_java())


def test_without_java_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    words = java_refusal()
    assert words.startswith("Spark needs Java, and there is none that works in PATH. Install Java 17 or newer")
    assert "apt install openjdk-17-jre-headless" in words


def test_a_java_home_without_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert f"there is none that works in JAVA_HOME={tmp_path}. Install" in java_refusal()


def test_a_java_that_ends_with_an_error_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_java(tmp_path, "Unable to locate a Java Runtime.", code=1)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    assert "there is none that works in PATH" in java_refusal()


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.21", "16.0.2"])
def test_a_java_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    a_java(tmp_path, f'openjdk version "{version}"\nOpenJDK Runtime Environment')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    words = f'Spark needs Java 17 or newer; this one is: openjdk version "{version}". Install Java 17'
    assert java_refusal().startswith(words)


@pytest.mark.parametrize("version", ["17", "17.0.15", "25-ea"])
def test_java_home_comes_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    a_java(tmp_path / "new", f'openjdk version "{version}" 2025-04-15')
    a_java(tmp_path / "old", 'openjdk version "11.0.21"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "new"))
    monkeypatch.setenv("PATH", f"{tmp_path}/old/bin:/usr/bin:/bin")
    assert f'version "{version}"' in jvm.check_java()


def test_a_java_that_says_nothing_is_an_error_on_purpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_java(tmp_path, "").write_text("#!/bin/sh\n")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "Spark needs Java 17 or newer" in java_refusal()


# jars


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with two jars as their lock has them; their folder."""
    lock = tmp_path / "jars.lock"
    contents = {"a-1.jar": b"a", "b-2.jar": b"b"}
    lock.write_text("".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in contents.items()))
    monkeypatch.setattr(jvm, "LOCK", lock)
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "jars" / hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder.mkdir(parents=True)
    for name, body in contents.items():
        (folder / name).write_bytes(body)
    return folder


def jars_refusal() -> str:
    with pytest.raises(LakehouseError) as refused:
        jvm.jars()
    return str(refused.value)


def test_jars_that_are_as_locked_are_given_in_order(jars: Path) -> None:
    said: list[str] = []
    assert jvm.jars(said.append) == [jars / "a-1.jar", jars / "b-2.jar"]
    assert said == []


def test_a_damaged_a_missing_and_an_extra_jar_are_named(jars: Path) -> None:
    (jars / "a-1.jar").write_bytes(b"x")
    (jars / "b-2.jar").rename(jars / "c-3.jar")
    wrong = "a-1.jar is damaged or different; b-2.jar is missing; c-3.jar is not in the lock"
    assert jars_refusal().startswith(f"The jars in {jars} are not those of jars.lock: {wrong}. Delete that folder")


@pytest.mark.parametrize("content", [b"", b"aa"])
def test_a_jar_that_was_cut_or_grew_is_damaged(jars: Path, content: bytes) -> None:
    (jars / "a-1.jar").write_bytes(content)
    assert "a-1.jar is damaged or different" in jars_refusal()


def test_what_is_no_jar_is_left_alone(jars: Path) -> None:
    (jars / "README").touch()
    assert len(jvm.jars()) == 2


def test_another_lock_is_another_folder(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a new version never meets the jars of the old one; without Java they cannot be fetched either."""
    jvm.LOCK.write_text(jvm.LOCK.read_text().replace("b-2", "b-3"))
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    said: list[str] = []
    with pytest.raises(LakehouseError, match="Spark needs Java"):
        jvm.jars(said.append)
    assert said[0].startswith("Fetching 2 jars (37 MB, once) into ")
    assert str(jars) not in said[0]


# the real lock


def test_the_real_lock_has_every_pinned_package_in_its_version() -> None:
    locked = set(jvm._read_lock())  # noqa: SLF001
    pinned = {"{}_{}-{}.jar".format(*coordinates.split(":")) for coordinates in jvm.PACKAGES}
    assert pinned <= locked


def test_the_real_lock_holds_each_library_once_and_with_a_whole_hash() -> None:
    locked = jvm._read_lock()  # noqa: SLF001
    libraries = [re.sub(r"-\d.*", "", name) for name in locked]
    assert len(set(libraries)) == len(libraries) == len(jvm.LOCK.read_text().splitlines())
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in locked.values())


def test_the_real_lock_has_nothing_that_spark_ships_itself() -> None:
    excluded = [re.escape(one.replace(":", "_")).replace(r"\*", ".*") for one in jvm.EXCLUDES]
    pattern = re.compile(f"({'|'.join(excluded)})-\\d")
    assert [name for name in jvm._read_lock() if pattern.match(name)] == []  # noqa: SLF001


def test_the_libraries_of_one_maker_have_one_version() -> None:
    """Parts of the SDK or of Delta in two versions fail late, and far from the cause."""
    for maker in ("software.amazon.awssdk_", "io.delta_"):
        names = [name for name in jvm._read_lock() if name.startswith(maker)]  # noqa: SLF001
        assert len({re.sub(r".*-(\d+\.\d+\.\d+)\.jar", r"\1", name) for name in names}) == 1, names


# settings


def test_settings_of_s3_come_from_the_usual_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for name, value in (("ACCESS_KEY_ID", "who"), ("SECRET_ACCESS_KEY", SECRET), ("SESSION_TOKEN", "token")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    settings = jvm._settings_of_s3()  # noqa: SLF001
    assert settings["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:9000"
    assert settings["spark.hadoop.fs.s3a.endpoint.region"] == "eu-west-1"
    keys = [settings[f"spark.hadoop.fs.s3a.{key}"] for key in ("access.key", "secret.key", "session.token")]
    assert keys == ["who", SECRET, "token"]


def test_variables_that_are_not_set_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT_URL", "ENDPOINT_URL_S3", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION",
                 "DEFAULT_REGION"):  # fmt: skip
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    settings = jvm._settings_of_s3()  # noqa: SLF001
    assert settings["spark.hadoop.fs.s3a.endpoint.region"] == "us-east-1"
    assert not {key for key in settings if key.endswith(("endpoint", ".key", ".token"))}


def test_the_size_of_a_local_session_comes_from_outside(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MASTER", "local[1]"), ("DRIVER_MEMORY", "7g"), ("JAVA_OPTIONS", "-Xss4m -XX:+UseZGC")):
        monkeypatch.setenv(f"LAKEHOUSE_{name}", value)
    settings = jvm._settings_of_a_local_jvm(long=False)  # noqa: SLF001
    assert (settings["spark.master"], settings["spark.driver.memory"]) == ("local[1]", "7g")
    assert settings["spark.driver.extraJavaOptions"].endswith("-Xss4m -XX:+UseZGC")
    assert settings["spark.driver.extraClassPath"] == f"{jars}/a-1.jar:{jars}/b-2.jar"


def test_a_local_session_listens_to_this_machine_only_and_hands_no_secret_to_java(
    jars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (jars / "README").touch()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    settings = jvm._settings_of_a_local_jvm(long=False)  # noqa: SLF001
    assert settings["spark.driver.bindAddress"] == settings["spark.driver.host"] == "127.0.0.1"
    assert settings["spark.ui.enabled"] == "false"
    assert SECRET not in repr(settings) + repr(jvm._settings_of_results())  # noqa: SLF001


ASKED = """
import os
from contextlib import suppress
from pathlib import Path
from lakehouse.engines.spark.engine import Spark
spark = Spark.start().spark
print(spark.sql("select '${env:AWS_SECRET_ACCESS_KEY}'").first()[0])
print(spark.sparkContext._jsc.hadoopConfiguration().get("fs.s3a.secret.key") == os.environ["AWS_SECRET_ACCESS_KEY"])
lines = []
for one in Path("/proc").glob("[0-9]*/cmdline"):
    with suppress(OSError):  # it ended since
        lines += [one.read_bytes()] if one.stat().st_uid == os.getuid() else []
print(sum(b"spark.driver.host" in one for one in lines) > 0)
print([one for one in lines if os.environ["AWS_SECRET_ACCESS_KEY"].encode() in one])
"""


FOREIGN = """
import os, re, sys
from pyspark.sql import SparkSession
from lakehouse.engines.spark import jvm
from lakehouse.engines.spark.engine import BASE, Spark
from lakehouse.errors import LakehouseError

def started(*settings):
    others = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    for name, value in (("spark.driver.extraClassPath", ":".join(map(str, jvm.jars()))), *settings):
        others = others.config(name, value)
    return others.getOrCreate()

others = started()
try:
    Spark.start()
except LakehouseError as error:
    print(error)
    others.stop()
    others = started(*re.findall(r"(spark\\.\\S+)=(\\S+)", str(error)))
turn = Spark.start().for_a_turn(0)
print(turn.spark.sparkContext is others.sparkContext, turn.spark.conf.get("spark.sql.session.timeZone"))
turn.spark.conf.set(BASE, "6")
try:
    turn.spark.range(1).write.format("delta").save(sys.argv[1])
except Exception as error:
    print(*re.findall("Another writer made the version after 6", str(error))[:1])
"""


FORKS = """
import os
import sys
from lakehouse import engines
print("grpc" in sys.modules, os.environ["GRPC_ENABLE_FORK_SUPPORT"])
"""


def test_grpc_is_told_before_it_is_loaded_to_leave_the_fork_alone_that_starts_java() -> None:
    """Its handlers crashed 2 of 100 forks of a process in which the native engine runs."""
    without = {key: value for key, value in os.environ.items() if key != "GRPC_ENABLE_FORK_SUPPORT"}
    said = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, env=without)
    assert said.stdout.split() == ["False", "false"]


@pytest.mark.long
@pytest.mark.spark
def test_a_spark_that_others_started_serves_when_it_has_the_settings_of_the_words(tmp_path: Path) -> None:
    """Then our log store writes its commits."""
    said = subprocess.run(
        [sys.executable, "-c", FOREIGN, str(tmp_path / "table")], capture_output=True, text=True, check=True
    )
    words, *then = said.stdout.splitlines()
    assert words.startswith("This process's Spark was started without the settings by which no commit is lost")
    assert "spark.delta.logStore.file.impl=lakehouse.ConditionalLogStore" in words
    assert then == ["True UTC", "Another writer made the version after 6"]


@pytest.mark.spark
def test_a_spark_that_others_started_is_refused_in_words(on_spark: Spark, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = jvm._settings_of_results()  # noqa: SLF001
    monkeypatch.setattr(jvm, "_settings_of_results", lambda: ours | {"spark.delta.logStore.file.impl": "of.the.Next"})
    words = r"was started without the settings by which no commit .*: spark\.delta\.logStore\.\S+=of\.the\.Next$"
    with pytest.raises(LakehouseError, match=words):
        on_spark.start()
    monkeypatch.undo()
    assert on_spark.start().spent() == ""


@pytest.mark.spark
def test_no_key_stands_in_the_arguments_of_java_nor_in_an_answer() -> None:
    """Spark's connector has them all the same."""
    keys = {"AWS_ACCESS_KEY_ID": "who", "AWS_SECRET_ACCESS_KEY": SECRET, "LAKEHOUSE_MASTER": "local[1]"}
    said = subprocess.run(
        [sys.executable, "-c", ASKED], env=os.environ | keys, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == ["${env:AWS_SECRET_ACCESS_KEY}", "True", "True", "[]"]


def test_no_error_of_the_start_shows_a_secret(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark import SparkContext  # noqa: PLC0415

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    monkeypatch.setattr(SparkContext, "_active_spark_context", None)  # that of other tests
    (jars / "a-1.jar").unlink()
    with pytest.raises(LakehouseError) as without_jars:
        jvm.start()
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    jvm.check_java.cache_clear()
    with pytest.raises(LakehouseError) as without_java:
        jvm.start()
    for refused in (without_jars.value, without_java.value):
        assert SECRET not in str(refused) + repr(refused)
