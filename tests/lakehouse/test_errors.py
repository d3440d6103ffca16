"""What the machine refuses, made to happen: each is a sentence, whoever met it, and never a page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs import printed
from lakehouse.conf import HOME
from lakehouse.delta import committer, feed, log, ops, progress
from lakehouse.delta.committer import Target
from lakehouse.engines import protocol
from lakehouse.errors import LakehouseError, refusal
from lakehouse.store import cache, storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FULL = "the disk is full. Make room"
MOUNT = shutil.which("mount") or "mount"
TYPES: dict[str, ops.Kind] = {"a": "whole"}


def a_full_disk(_: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as file:
        file.write("x")


def a_file_for_a_folder(folder: Path) -> None:
    (folder / "file").touch()
    (folder / "file" / "table").mkdir()


def a_file_for_a_folder_in_rust(folder: Path) -> None:
    (folder / "file").touch()
    write_deltalake(str(folder / "file" / "table"), pa.table({"a": [1]}))


def a_folder_for_a_file(folder: Path) -> None:
    folder.read_bytes()


def no_memory(_: Path) -> None:
    pa.allocate_buffer(1 << 60)


def a_link_that_leads_to_itself_is_no_refusal_known(folder: Path) -> None:
    (folder / "a").symlink_to(folder / "a")
    (folder / "a").read_bytes()


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (a_full_disk, FULL),
        (a_file_for_a_folder, "a file stands where a folder is needed"),
        (a_file_for_a_folder_in_rust, "a file stands where a folder is needed"),
        (a_folder_for_a_file, "a folder stands where a file is needed"),
        (no_memory, "there is not enough memory"),
        (a_link_that_leads_to_itself_is_no_refusal_known, ""),
    ],
)
def test_what_the_machine_refuses_has_words(happens: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    with pytest.raises(Exception) as met:  # noqa: PT011  of whatever kind
        happens(tmp_path)
    assert refusal(met.value).startswith(words)
    assert bool(words) == bool(refusal(met.value))
    with pytest.raises(SystemExit), printed.errors(printed.Terminal(stderr=True)):
        raise met.value


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)", FULL),
        ("org.apache.hadoop.security.AccessControlException: Permission denied: user=a", "this user may not do that"),
        ("Generic LocalFileSystem error: Read-only file system (os error 30)", "the file system is read only"),
        ("java.lang.OutOfMemoryError: Java heap space", "there is not enough memory"),
        (
            "Resources exhausted: Failed to allocate additional 1 MB for GroupedHashAggregate",
            "there is not enough memo",
        ),
        ("An error occurred while calling o1.count: Answer from Java side is empty", "Java ended while it computed"),
        ("column `a` cannot be resolved", ""),
    ],
)
def test_what_rust_and_java_say_is_said_in_the_same_words(said: str, words: str) -> None:
    error = ValueError("something else")
    error.__cause__ = RuntimeError(said)
    assert refusal(error).startswith(words)
    assert protocol.words(error) == (refusal(error) if words else "something else")


def test_an_engine_gives_no_advice_to_switch_a_safety_off_and_lets_our_workers_speak() -> None:
    ansi = 'Division by zero. If necessary set "spark.sql.ansi.enabled" to "false" to bypass this error.'
    assert protocol.words(RuntimeError(f"{ansi} SQLSTATE: 22012")) == "Division by zero. SQLSTATE: 22012"
    page = "Traceback (most recent call last):\n  File x\nlakehouse.errors.LakehouseError: a.csv changed. Start again."
    assert protocol.said_by_a_worker(RuntimeError(f"{page}\n\n SQLSTATE: 38000")) == "a.csv changed. Start again."
    assert protocol.words(RuntimeError(f"{page}\n\n SQLSTATE: 38000")) == "a.csv changed. Start again."


def test_an_error_without_words_is_a_sentence_that_names_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path))
    with pytest.raises(SystemExit), printed.errors(printed.Terminal(stderr=True)):
        raise KeyError("market")
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "KeyError: 'market'" in said
    assert str(tmp_path / "error.log") in said
    assert "Traceback" in (tmp_path / "error.log").read_text()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """60 KB: a ledger fits, a lake does not."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run([MOUNT, "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run([f"{MOUNT[:-5]}umount", str(disk)], check=True)


def test_a_full_disk_is_one_sentence_and_names_no_other_run(small_disk: Path) -> None:
    root = str(small_disk)
    ops.create(root, "ops.some", TYPES, [{"a": 1}])
    with suppress(OSError), (small_disk / "filled").open("wb", buffering=0) as filled:
        while filled.write(b"x" * 1024):
            pass
    written = r"ops/some/.* cannot be written: the disk is full\. Make room"
    with pytest.raises(LakehouseError, match=written):
        ops.append(root, "ops.some", TYPES, [{"a": 1}])
    with pytest.raises(LakehouseError, match=written):
        ops.replace(root, "ops.some", TYPES, [{"a": 1}], 0, ["a"])
    with pytest.raises(LakehouseError, match=r"x\.json cannot be written: the disk is full\. Make room"):
        storage.put_if_absent(root, "x.json", b"x" * (40 << 10))
    (small_disk / "filled").unlink()
    ops.append(root, "ops.some", TYPES, [{"a": 2}])
    assert len(ops.query(progress.address(root, "ops.some"), "select * from t")) == 2


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, as a person starts it."""
    command = [sys.executable, "-c", "from jobs.cli import main; main()", *arguments]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False, cwd=HOME)


def test_a_lake_below_a_file_is_a_sentence_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "landing" / "market_1").mkdir(parents=True)
    (tmp_path / "landing" / "market_1" / "Market 1 Orders.csv").write_text("Order ID\n1\n")
    (tmp_path / "file").touch()
    done = run("run", "--lake", str(tmp_path / "file" / "lake"), "--landing", str(tmp_path / "landing"))
    assert done.returncode == 1
    assert "a file stands where a folder is needed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("cut", [b"{", b'{"add": {"path": "a', b"\x00\x00\x00", b"[1"])
def test_a_commit_that_was_cut_off_is_named_with_what_helps(cut: bytes, tmp_path: Path) -> None:
    target = Target(progress.address(str(tmp_path), "gold.some"), pa.schema({"a": pa.int64()}))
    committer.overwrite(target, -1, pa.table({"a": [1]}), None)
    (tmp_path / "gold" / "some" / log.commit_path(1)).write_bytes(cut)
    with pytest.raises(LakehouseError, match=r"gold/some/_delta_log/0+1\.json is damaged: .* builds it anew"):
        log.snapshot(target.address)
    shutil.rmtree(tmp_path / "gold" / "some")
    assert committer.overwrite(target, -1, pa.table({"a": [1]}), None) == 0


NAMES = [
    "my lake",
    "größe 日本",
    "a#b",
    "what?",
    "50%",
    "100% & {x} #1+O'Brien",
    "a@b;c",
    "<a>",
    'q"q',
    "*",
    "`x`",
    "~",
    "[x]",
    "a%20b",
    "%5B%2F",
    "a|b",
    "a^b",
    "back\\slash",
    "a\nb",
    "a\x1bb",
    "😀",
    *(f"a{''.join(map(chr, range(first, first + 8))).replace('/', '')}" for first in range(1, 128, 8)),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_lake_may_have_a_name_as_people_give_it(name: str, tmp_path: Path) -> None:
    root = storage.normalise(str(tmp_path / name))
    storage.check(root, role="lake", must_exist=False)
    ops.create(root, "ops.some", TYPES, [{"a": 1}])
    ops.append(root, "ops.some", TYPES, [{"a": 2}])
    ops.replace(root, "ops.some", TYPES, [{"a": 3}], 1, ["a"])
    assert sorted(row["a"] for row in ops.query(progress.address(root, "ops.some"), "select * from t")) == [1, 2, 3]
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_checkpoint_of_a_lake_in_an_odd_folder_lies_in_its_own_log(tmp_path: Path) -> None:
    target = Target(f"{tmp_path}/[x]%20\\/gold/some", pa.schema({"a": pa.int64()}))
    for version in range(committer.CHECKPOINT_EVERY + 1):
        committer.append(target, version - 1, pa.table({"a": [version]}), None)
    assert (Path(target.address) / "_delta_log" / f"{committer.CHECKPOINT_EVERY:020}.checkpoint.parquet").exists()
    (Path(target.address) / log.commit_path(0)).unlink()
    log.forget(target.address)
    assert len(feed.read(target.address)) == committer.CHECKPOINT_EVERY + 1


def test_on_s3_a_lake_that_nobody_could_reach_is_refused_before_it_is_asked_for() -> None:
    with pytest.raises(LakehouseError, match=r"cannot be reached on S3 for its '\['.*Give another prefix"):
        storage.check("s3://bucket/a[b]", role="lake", must_exist=False)


@pytest.mark.parametrize("name", ["größe [1]", "a%20b"])
def test_scratch_lies_elsewhere_where_the_cache_has_no_plain_path(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_CACHE", f"{tmp_path}/{name}")
    assert cache.plain_folder() == Path(f"/tmp/lakehouse-{os.getuid()}")  # noqa: S108
    assert cache.plain_folder().stat().st_mode & 0o077 == 0
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    try:
        with pytest.raises(LakehouseError, match=r"belongs to another user. .*LAKEHOUSE_CACHE"):
            cache.plain_folder()
    finally:
        Path("/tmp/lakehouse-4000000").rmdir()  # noqa: S108
