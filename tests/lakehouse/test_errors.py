"""What the machine refuses, made to happen: each is a sentence, whoever met it, and never a page."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyspark
import pytest
from deltalake import write_deltalake

from jobs import printed
from lakehouse.conf import HOME
from lakehouse.delta.commits import committer, ops
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log, progress
from lakehouse.engines import protocol
from lakehouse.engines.native import sail
from lakehouse.engines.native.scratch import Scratch
from lakehouse.errors import MEMORY, LakehouseError, refusal
from lakehouse.store import cache, storage
from lakehouse.writes import refresh
from tests import disks
from tests.toy import Toy, of_monday

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lakehouse.engines.native.engine import Native

FULL = "the disk is full. Make room"
UNWELL = "S3 did not answer as it should. Start again once it does"
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
        ("An error occurred while calling o117.newSession", "Java ended while it computed"),
        ("An error occurred while calling o117.save.\n: java.lang.ArithmeticException: / by zero", ""),
        (
            "software.amazon.awssdk.services.s3.model.S3Exception: (Service: S3, Status Code: 503, Request ID: 1)",
            UNWELL,
        ),
        ("java.net.SocketException: Connection reset\n\tat sun.Net\n\tat org.apache.hadoop.fs.s3a.Invoker", UNWELL),
        ("java.io.IOException: The store did not say whether s3a://b/0.json was written. Start again.", UNWELL),
        ("java.net.SocketException: Connection reset\n\tat org.apache.spark.api.python.PythonRDD", ""),
        (
            "org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. Call: describe",
            "the topic's brokers did not answer Spark's workers",
        ),
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


def _messages(said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Of Spark's list of errors, each with the sentences of those below it; its settings are placeholders."""
    for name, one in said.items():
        begin = " ".join(one["message"])
        below = one.get("subClass") or {"": {"message": []}}
        yield from ((f"{name}.{key}", " ".join([begin, *more["message"]])) for key, more in below.items())


@pytest.mark.slow
def test_no_error_of_sparks_passes_on_which_safety_to_switch_off() -> None:
    """All that its jar has; a setting's name stands where Spark puts it, and all else says what it is about."""
    (jar,) = (Path(pyspark.__file__).parent / "jars").glob("spark-common-utils_*.jar")
    with zipfile.ZipFile(jar) as stored:
        every = dict(_messages(json.loads(stored.read("error/error-conditions.json"))))
    assert len(every) > 1000
    placeholder = re.compile(r"<(?:\w*[cC]onf(?:ig)?(?:Key|Name)?|key|autoBroadcastJoinThreshold|broadcastTimeout)>")
    told = {name: placeholder.sub("spark.sql.ansi.enabled", text) for name, text in every.items()}
    said = {name: protocol.words(RuntimeError(f"[{name}] {text} SQLSTATE: 22012")) for name, text in told.items()}
    switches = re.compile(r"spark\.sql\.\w+|\bset \S+ to \"?(?:false|legacy)|bypass this error", re.IGNORECASE)
    assert [text for text in said.values() if switches.search(text)] == []
    assert said["DIVIDE_BY_ZERO."].startswith("[DIVIDE_BY_ZERO.] Division by zero. Use `try_divide`")
    assert [text for name, text in said.items() if not text.startswith(f"[{name}] ")] == [MEMORY]


def test_a_panic_of_rust_is_a_sentence_and_an_end_that_somebody_asked_for_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real one: delta-rs cannot make an address of brackets. It is no Exception."""
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path))
    with pytest.raises(SystemExit), printed.errors(printed.Terminal(stderr=True)):
        write_deltalake(str(tmp_path / "[x]"), pa.table({"a": [1]}))
    assert "Error: What happened has no words here yet: PanicException" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt), printed.errors(printed.Terminal(stderr=True)):
        raise KeyboardInterrupt


@pytest.mark.slow
def test_a_panic_while_a_table_is_written_is_that_tables(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    def panics(*_: object) -> None:
        write_deltalake(str(toy.folder / "[x]"), pa.table({"a": [1]}))

    toy.deliver("tuesday.csv", "8,B,5,5.00")
    with monkeypatch.context() as broken:
        broken.setattr(refresh, "update", panics)
        with pytest.raises(LakehouseError, match=r"^silver\.orders could not be written"):
            toy.run()
    turns = ops.query(toy.lake.address("ops.runs"), "select table_name from t where error is not null")
    assert turns == [{"table_name": "silver.orders"}]
    assert toy.run()["silver.orders"].decision.path == "incremental"


def test_a_checkpoint_that_ends_in_a_panic_takes_no_commit_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "UNREACHABLE", re.compile("(?!)"))
    target = Target(f"{tmp_path}/[x]", pa.schema({"a": pa.int64()}))
    for version in range(committer.CHECKPOINT_EVERY + 1):
        assert committer.append(target, version - 1, pa.table({"a": [version]}), None) == version


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
def toy(tmp_path: Path, engine: Native) -> Toy:
    return of_monday(tmp_path, engine)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A ledger fits, a lake does not."""
    with disks.of("60k", tmp_path / "disk") as disk:
        yield disk


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


@pytest.mark.parametrize("role", ["lake", "landing"])
@pytest.mark.parametrize("must_exist", [False, True])
@pytest.mark.parametrize("below", ["", "/a", "/a/b"])
def test_a_path_that_is_a_file_is_named(role: str, below: str, tmp_path: Path, *, must_exist: bool) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        LakehouseError, match=rf"^The {role} folder cannot be {tmp_path}/file{below}: \S+/file is a file"
    ):
        storage.check(f"{tmp_path}/file{below}", role=role, must_exist=must_exist)


@pytest.mark.slow
def test_a_lake_below_a_file_is_a_sentence_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "landing" / "market_1").mkdir(parents=True)
    (tmp_path / "landing" / "market_1" / "Market 1 Orders.csv").write_text("Order ID\n1\n")
    (tmp_path / "file").touch()
    done = run("run", "--lake", str(tmp_path / "file" / "lake"), "--landing", str(tmp_path / "landing"))
    assert done.returncode == 1
    assert f"The lake folder cannot be {tmp_path}/file/lake: {tmp_path}/file is a file." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_below_scratch_is_named_with_another_place(small_disk: Path) -> None:
    scratch = Scratch.make(small_disk)
    rows = pa.table({"a": np.random.default_rng(0).random(20_000)})
    with pytest.raises(
        LakehouseError, match=rf"^{small_disk}/\S+ cannot be written: the disk is full.* LAKEHOUSE_CACHE"
    ):
        scratch.write(rows)
    scratch.remove()


# What this user may not do: root may all, so the process gives that up ------------------------------------------------

MODES = """
import contextlib, io, json, os, sys
from jobs import cli
answers = []
for place, mode, *arguments in json.load(sys.stdin):
    was, said, sys.argv = os.stat(place).st_mode, io.StringIO(), ["lakehouse", *arguments]
    os.chmod(place, mode)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        try:
            cli.main()
        except SystemExit as ended:
            said.write(f"[exit {ended.code or 0}]")
    os.chmod(place, was)
    answers.append(said.getvalue())
json.dump(answers, sys.stdout)
"""
ORDERS_HEADER = (
    "Order ID,Order Status,SKU,Quantity,Unit Price,Total Price,Order Total,Sub Total,Payment Method,Currency Symbol,"
    "Customer ID,Description,Order Time"
)
AN_ORDER = "{},COMPLETED,A,1,100,100,100,100,CASH,KSh,42,,2022-01-05T10:00:00.000Z"
NOT_ALLOWED = "this user may not do that there. Give the user the right to read and write"
NOTHING, READ_ONLY, ALL = 0, 0o500, 0o755
AN_ANSWER = ["sql", "select count(*) as n from silver.orders"]


def deliver(landing: Path, day: int, orders: range) -> Path:
    file = landing / "market_1" / f"2022-01-{day:02}" / "Market 1 Orders.csv"
    file.parent.mkdir(parents=True)
    file.write_text("\n".join([ORDERS_HEADER, *map(AN_ORDER.format, orders)]) + "\n")
    return file


@pytest.mark.slow
def test_what_this_user_may_not_do_is_said_with_the_place_and_the_rest_is_done(tmp_path: Path) -> None:
    lake, landing, cache_home = (tmp_path / name for name in ("lake", "landing", "cache"))
    lake.mkdir()
    cache_home.mkdir()
    file = deliver(landing, 5, range(1, 4))
    deliver(shutil.copytree(landing, tmp_path / "more"), 6, range(4, 6))
    run_orders, run_more = ["run", "silver.orders"], ["run", "silver.orders", "--landing", f"{tmp_path}/more"]
    steps: list[tuple[Path, int, list[str], str]] = [
        (
            cache_home,
            READ_ONLY,
            run_orders,
            rf"cache/scratch/\S+ cannot be written: {NOT_ALLOWED}.*LAKEHOUSE_CACHE.*1\]",
        ),
        (landing, NOTHING, run_orders, r"landing cannot be listed: Permission denied\. Let this user read it.*1\]"),
        (file.parent, NOTHING, run_orders, r"2022-01-05 cannot be listed: Permission denied.*1\]"),
        (lake, ALL, run_orders, r"silver.orders +3 rows.*0\]"),
        (lake, NOTHING, ["status"], rf"lake/ops/files/\S+ cannot be read: {NOT_ALLOWED}"),
        (lake, NOTHING, AN_ANSWER, rf"lake/silver/orders/\S+ cannot be read: {NOT_ALLOWED}.*1\]"),
        (lake / "silver" / "orders", NOTHING, AN_ANSWER, rf"lake/silver/orders/\S+ cannot be read: {NOT_ALLOWED}.*1\]"),
        (lake / "silver" / "orders", NOTHING, ["status"], r"silver\.order_lines +0 +3 .*silver\.orders stops: .*0\]"),
        (lake / "silver" / "orders", NOTHING, ["status"], r"silver\.customer_orders .*silver\.orders cannot be read"),
        (lake / "ops" / "files", NOTHING, ["status"], r"ledger.*not counted.*silver\.orders +0 +3 .*0\]"),
        (lake / "ops" / "files", READ_ONLY, AN_ANSWER, r"n\s+3\s+\[exit 0\]"),
        (lake / "ops" / "runs", READ_ONLY, run_orders, r"Nothing new.*0\]"),
        (lake / "ops" / "files", READ_ONLY, run_more, rf"lake/ops/files/\S+ cannot be written: {NOT_ALLOWED}.*1\]"),
        (
            lake / "silver" / "orders",
            READ_ONLY,
            run_more,
            rf"lake/silver/orders/\S+ cannot be written: {NOT_ALLOWED}.*1\]",
        ),
        (lake, ALL, run_more, r"silver.orders +2 rows.*0\]"),
    ]
    answers = _as_a_user(
        steps, LAKEHOUSE_ROOT=str(lake), LAKEHOUSE_LANDING=str(landing), LAKEHOUSE_CACHE=str(cache_home)
    )
    for (place, _, arguments, words), said in zip(steps, answers, strict=True):
        assert re.search(words, said, re.DOTALL), (place, arguments, said)
        assert "Traceback" not in said


def _as_a_user(steps: Sequence[tuple[Path, int, list[str], str]], **variables: str) -> list[str]:
    without = "--bounding-set=-dac_override,-dac_read_search"
    command = [sys.executable, "-c", MODES]
    if os.getuid() == 0:
        command = [shutil.which("setpriv") or pytest.skip("root may all, without setpriv"), without, *command]
    given = json.dumps([(str(place), mode, *arguments) for place, mode, arguments, _ in steps])
    done = subprocess.run(
        command, input=given, env=os.environ | variables, capture_output=True, text=True, check=True, cwd=HOME
    )
    answers: list[str] = json.loads(done.stdout)
    return answers


@pytest.mark.slow
def test_an_engine_out_of_memory_is_a_sentence_and_the_next_run_goes_on(tmp_path: Path) -> None:
    deliver(tmp_path / "landing", 5, range(1, 501))
    places = {"LAKEHOUSE_ROOT": f"{tmp_path}/lake", "LAKEHOUSE_LANDING": f"{tmp_path}/landing"}
    done = run("run", "silver.orders", SAIL_RUNTIME__MEMORY_POOL__GREEDY__MAX_SIZE="20000", **places)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "could not be written: there is not enough memory. Give more (LAKEHOUSE_MEMORY=4g" in done.stderr
    done = run("run", "silver.orders", **places)
    assert done.returncode == 0
    assert "500 in = 500 kept" in done.stderr


@pytest.mark.parametrize("said", ["0m", "4", "4k", "-1g", "1.5g", "much"])
def test_a_memory_that_is_no_size_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_MEMORY", said)
    with pytest.raises(LakehouseError, match=rf"^LAKEHOUSE_MEMORY='{said}' is no size\. Give megabytes or gigabytes"):
        sail.memory()


@pytest.mark.spark
def test_java_that_is_killed_in_the_middle_of_a_run_is_a_sentence_and_the_next_run_goes_on(tmp_path: Path) -> None:
    deliver(tmp_path / "landing", 5, range(1, 4))
    places = {"LAKEHOUSE_ROOT": f"{tmp_path}/lake", "LAKEHOUSE_LANDING": f"{tmp_path}/landing"}
    command = [sys.executable, "-c", "from jobs.cli import main; main()", "run", "silver.orders", "--engine", "spark"]
    with subprocess.Popen(command, env=os.environ | places, stderr=subprocess.PIPE, text=True, cwd=HOME) as started:
        loaded = tmp_path / "lake" / "bronze" / "orders" / log.commit_path(0)
        while started.poll() is None and not loaded.exists():
            time.sleep(0.05)
        os.kill(_java_of(started.pid), signal.SIGKILL)
        _, said = started.communicate(timeout=120)
    assert (started.returncode, "Traceback" in said) == (1, False), said
    assert re.search(r"Error: .*Java ended while it computed.*Start again\.\n\Z", said), said
    done = run("run", "silver.orders", **places)
    assert done.returncode == 0, done.stderr
    assert re.search("silver.orders +3 rows", done.stderr), done.stderr
    verified = run("verify", "silver.orders", **places)
    assert "1 of 1 tables are equal" in verified.stdout, verified


def _java_of(process: int) -> int:
    """Below it, its own children and theirs."""
    children = [
        int(one) for task in Path(f"/proc/{process}/task").iterdir() for one in (task / "children").read_text().split()
    ]
    for one in children:
        if Path(f"/proc/{one}/comm").read_text() == "java\n":
            return one
    return next(found for one in children if (found := _java_of(one)))


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


def test_what_the_environment_keeps_secret_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SHOP_API_KEY": "0123456789ab",
        "SHOP_DATABASE": "postgresql://me:of%2Ftwelve-letters@host/shop",
        "KEYBOARD_LAYOUT": "no-secret-at-all",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/run/secrets/token",
        "POSTGRES_PASSWORD": "postgres",
        "HTTPS_PROXY": "http://me:x@host:no-port",
    }.items():
        monkeypatch.setenv(name, value)
    said = "0123456789ab of/twelve-letters of%2Ftwelve-letters no-secret-at-all /run/secrets/token postgres"
    assert str(LakehouseError(said)) == "*** *** *** no-secret-at-all /run/secrets/token postgres"
