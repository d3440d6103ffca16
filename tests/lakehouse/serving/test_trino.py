"""How a Trino of this machine is found, unpacked and set up; test_trino_answers.py asks a real one (`-m long`)."""

from __future__ import annotations

import hashlib
import io
import stat
import subprocess
import sys
import tarfile
import threading
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from jobs.serving import trino
from lakehouse.engines.spark import jvm
from lakehouse.errors import LakehouseError
from lakehouse.serving.trino import schemas, server
from lakehouse.serving.trino.schemas import Trino

if TYPE_CHECKING:
    from pathlib import Path


def a_java(home: Path, script: str) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def of_version(number: str) -> str:
    return f"echo 'openjdk version \"{number}\" 2025-01-01' >&2"


def test_a_java_is_found_that_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_java(tmp_path / "17", of_version("17.0.15"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "17"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(server, "HOMES", (f"{tmp_path}/*",))
    with pytest.raises(
        LakehouseError, match=r"Java 24 or newer, and there is none in JAVA_HOME, on PATH or in .*to it"
    ):
        server.java()
    newer = a_java(tmp_path / "25", of_version("25.0.1"))
    assert server.java() == newer


# Ivy's last argument says where to put the file.
FETCHES = 'for last; do :; done; printf "%s" whole > "$(dirname "$last")/server-1.tar.gz"'


def test_the_archive_is_fetched_when_maven_answers_and_again_when_it_was_damaged(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"whole").hexdigest()
    java = a_java(tmp_path, "echo ':: a.b#server;1: not found'; exit 1")
    with pytest.raises(
        LakehouseError, match=r"a\.b:server:1 is not to be had from Maven Central: :: a\.b#server;1: not f"
    ):
        jvm.fetched(java, {"a.b:server:1": digest}, "tar.gz", tmp_path)
    a_java(tmp_path, FETCHES.replace("whole", "half"))
    with pytest.raises(LakehouseError, match=r"is not the file that was locked\. It was damaged .*: start"):
        jvm.fetched(java, {"a.b:server:1": digest}, "tar.gz", tmp_path)
    a_java(tmp_path, FETCHES)
    (file,) = jvm.fetched(java, {"a.b:server:1": digest}, "tar.gz", tmp_path)
    assert file.read_bytes() == b"whole"


def test_of_the_archive_what_is_needed_is_kept_also_where_it_is_a_link_to_another_plugin(tmp_path: Path) -> None:
    archive, folder = tmp_path / "trino.tar.gz", tmp_path / "made"
    with tarfile.open(archive, "w:gz") as made:
        for name in ("lib/a.jar", "plugin/hive/b.jar", "plugin/delta-lake/c.jar", "plugin/delta-lake/hdfs/d.jar"):
            one = tarfile.TarInfo(f"trino-server-476/{name}")
            one.size = len(name)
            made.addfile(one, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("trino-server-476/plugin/delta-lake/b.jar")
        link.type, link.linkname = tarfile.LNKTYPE, "trino-server-476/plugin/hive/b.jar"
        made.addfile(link)
    server.unpack(archive, folder)
    found = {str(one.relative_to(folder)): one.read_text() for one in folder.rglob("*") if one.is_file()}
    assert found == {
        "lib/a.jar": "lib/a.jar",
        "plugin/delta-lake/c.jar": "plugin/delta-lake/c.jar",
        "plugin/delta-lake/b.jar": "plugin/hive/b.jar",
    }


S3 = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_REGION": "r",
    "AWS_ACCESS_KEY_ID": "k",
    "AWS_SECRET_ACCESS_KEY": "s",
}
OF_A_SERVER = {"TRINO_PORT": "1", "TRINO_ETC": "/etc", "TRINO_FILES": "/files"}


def test_settings_are_nobody_elses_and_hold_no_secret_of_the_store(tmp_path: Path) -> None:
    server.write_settings(tmp_path, OF_A_SERVER | S3, "publisher-1f2e")
    files = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
    assert "s3.aws-secret-key=${ENV:AWS_SECRET_ACCESS_KEY}" in (tmp_path / "catalog" / "lake.properties").read_text()
    rules = (tmp_path / "rules.json").read_text()
    assert rules.count('"publisher-1f2e"') == 5
    assert '"publisher"' not in rules


def test_a_lake_in_a_folder_needs_no_store(tmp_path: Path) -> None:
    server.write_settings(tmp_path, OF_A_SERVER, "publisher-1f2e")
    assert "s3" not in (tmp_path / "catalog" / "lake.properties").read_text()
    assert "local.location=${ENV:TRINO_FILES}" in (tmp_path / "catalog" / "lake.properties").read_text()


def test_a_server_that_does_not_start_is_told_of_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = a_java(tmp_path, "echo 'Address already in use'; exit 1")
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path))
    monkeypatch.setattr(server, "java", lambda: java)
    (tmp_path / "trino" / server.VERSION).mkdir(parents=True)
    said = r"Trino did not start: Address already in use\. See .*trino\.log, and whether its port is free\."
    with pytest.raises(LakehouseError, match=said), server.running(str(tmp_path / "lake"), 9, print):
        pass
    assert not list(tmp_path.glob("trino-*"))


def test_a_server_that_ended_by_itself_is_told_of(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "--version"], stdout=subprocess.DEVNULL)
    process.wait()
    with pytest.raises(LakehouseError, match=r"Trino ended by itself\. trino\.log in the cache folder says why"):
        trino.follow(Console(), Trino("http://127.0.0.1:9", "x"), str(tmp_path), threading.Event(), process)


def test_where_no_trino_answers_is_said_how_to_start_one() -> None:
    nobody = Trino("http://127.0.0.1:9", schemas.PUBLISHER)
    with pytest.raises(
        LakehouseError, match=r"There is no Trino that answers at .*`lakehouse serve trino` starts one\."
    ):
        nobody.ask("select 1")


def test_an_account_in_the_address_of_a_trino_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match="Trino is asked without an account, and arguments are seen by all") as no:
        trino.trino(Console(), str(tmp_path), 1, "http://me:s3cr3t@127.0.0.1:1")
    assert "s3cr3t" not in str(no.value)
