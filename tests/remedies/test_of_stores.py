"""What a folder, an S3 and a MinIO refuse is told, and goes on when what the words ask for is done."""

from __future__ import annotations

import errno
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from jobs import cli
from lakehouse.delta.commits.committer import Target
from lakehouse.engines.native.scratch import Scratch
from lakehouse.engines.protocol import Change
from lakehouse.engines.spark.engine import Spark
from lakehouse.errors import LakehouseError
from lakehouse.store import cache as cache_of_files
from lakehouse.store import minio, storage
from lakehouse.store.storage import MissingFileError
from tests.lakehouse.store.test_minio import a_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A folder


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"The landing folder .* does not exist\. Give the folder with --landing"):
        storage.check(f"{tmp_path}/exports", role="landing", must_exist=True)
    (tmp_path / "exports").mkdir()
    storage.check(f"{tmp_path}/exports", role="landing", must_exist=True)


def test_a_folder_that_may_not_be_listed_is_opened_to_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may list what it likes, so the system is asked to say what it says to others."""
    (tmp_path / "a.csv").touch()

    def closed(folder: Path) -> Iterator[os.DirEntry[str]]:
        raise PermissionError(13, "Permission denied", str(folder))

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", closed)
        with pytest.raises(LakehouseError, match=r"cannot be listed: Permission denied\. Let this user read it\."):
            list(storage.list_files(str(tmp_path)))
    assert [one.path for one in storage.list_files(str(tmp_path))] == ["a.csv"]


def test_a_file_is_written_when_nothing_stands_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"x")
    (tmp_path / "a").mkdir()
    with pytest.raises(LakehouseError, match=r"/a cannot be written: a folder stands where a file is needed"):
        storage.link(str(tmp_path), "a", str(tmp_path / "from"))
    (tmp_path / "a").rmdir()
    storage.link(str(tmp_path), "a", str(tmp_path / "from"))
    assert (tmp_path / "a").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "this user may not do that there. Give the user the right to read and write, or name another"),
        (errno.EROFS, "the file system is read only. Name another folder, or mount it so that it can be written."),
        (errno.EMFILE, "too many files are open. Raise the limit (ulimit -n), and start again."),
        (errno.EIO, "the file system did not do it. Look for room on the disk, and whether this user may write there"),
        (errno.EOPNOTSUPP, "Operation not supported. The lake needs a file system that knows hard links."),
    ],
)
def test_a_commit_is_written_where_the_system_lets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """Root may write where it likes, so the system is asked to say what it says to others."""

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", refused)
        with pytest.raises(LakehouseError, match=rf"/a cannot be written: {re.escape(words)}"):
            storage.put_if_absent(str(tmp_path), "a", b"x")
    assert storage.put_if_absent(str(tmp_path), "a", b"x")


def test_a_folder_below_a_file_gets_another_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        LakehouseError, match=r"The lake folder cannot be .*: \S+/file is a file\. Name a folder with --l"
    ):
        storage.check(f"{tmp_path}/file/lake", role="lake", must_exist=False)
    storage.check(f"{tmp_path}/lake", role="lake", must_exist=False)


def test_a_file_that_may_not_be_read_is_opened_to_the_user(tmp_path: Path) -> None:
    """Root may read what it likes: a folder stands where the file is to be."""
    (tmp_path / "a").mkdir()
    with pytest.raises(
        LakehouseError, match=r"/a cannot be read: a folder stands where a file is needed\. Move it away"
    ):
        storage.read_bytes(str(tmp_path), "a")
    (tmp_path / "a").rmdir()
    (tmp_path / "a").write_bytes(b"x")
    assert storage.read_bytes(str(tmp_path), "a") == b"x"


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (
            "a file",
            r"cannot be made: a file stands where a folder is needed\. .*Name another folder with LAKEHOUSE_CACHE",
        ),
        ("of another", r"belongs to another user\. Name another folder with LAKEHOUSE_CACHE\."),
    ],
)
def test_files_that_are_fetched_lie_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str, words: str
) -> None:
    (tmp_path / "file").touch()
    with monkeypatch.context() as patched:
        patched.setenv("LAKEHOUSE_CACHE", str(tmp_path / ("file/cache" if why == "a file" else "a%20b")))
        patched.setattr(os, "getuid", lambda: 4_000_001)
        try:
            with pytest.raises(LakehouseError, match=words):
                cache_of_files.plain_folder()
        finally:
            if why != "a file":
                Path("/tmp/lakehouse-4000001").rmdir()  # noqa: S108  made for that user
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    assert cache_of_files.plain_folder() == tmp_path / "cache"


def test_scratch_is_written_where_nothing_stands_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = r"cannot be written: a file stands where a folder is needed\. .* LAKEHOUSE_CACHE names another place for it"
    with pytest.raises(LakehouseError, match=words):
        Scratch.make(tmp_path / "file")
    Scratch.make(tmp_path / "folder").remove()


# S3


class Store:
    """It says what it is told to, one answer after the other, and then that all is well."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = []
        self.asked: list[str] = []
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                store.asked.append(f"{self.command} {self.path}")
                status, code = store.answers.pop(0) if store.answers else (200, "")
                if status == 0:  # it breaks off
                    self.close_connection = True
                    return
                right = {"PUT": "", "GET": "<ListBucketResult/>" if "list-type" in self.path else "0123"}
                said = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>" if code else ""
                body = (said or right.get(self.command, "")).encode()
                self.send_response(status)
                self.send_header("ETag", '"one"')
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815  as http.server calls them

            def log_message(self, *_: object) -> None:
                """Not on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    made = Store()
    serving = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    serving.start()
    facts = {"ENDPOINT_URL": made.endpoint, "ACCESS_KEY_ID": "who", "SECRET_ACCESS_KEY": "secret", "MAX_ATTEMPTS": "1"}
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name, value in facts.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))  # before it asks again
    storage._client.cache_clear()  # noqa: SLF001
    storage._conditional.add((made.endpoint, "bucket"))  # noqa: SLF001  it takes every put
    yield made
    made.server.shutdown()
    made.server.server_close()
    serving.join()
    storage._client.cache_clear()  # noqa: SLF001
    storage._conditional.discard((made.endpoint, "bucket"))  # noqa: SLF001


ROOT = "s3://bucket/lake"
FILE = storage.StoredFile("a", 4, None, "one")  # type: ignore[arg-type]  # its time is not asked for


def checked() -> None:
    storage._check_s3(ROOT, "lake")  # noqa: SLF001


def listed() -> None:
    assert not list(storage.list_files(ROOT))


def read() -> None:
    assert storage.read_bytes(ROOT, "a") == b"0123"


def opened_as_it_was() -> None:
    with storage.open_file(ROOT, "a", f"{storage.ETAG}one") as file:
        assert file.read() == b"0123"


def looked_at() -> None:
    assert storage.token(ROOT, "a") == '"one"'


def written() -> None:
    storage.put(ROOT, "a", b"0123")


def put_as_a_commit() -> None:
    assert storage.put_if_absent(ROOT, "a", b"0123")


BROKEN = 4 * [(0, "")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "asked", "words"),
    [
        ([(404, "NoSuchBucket")], checked, "There is no bucket 'bucket' for the lake s3://bucket/lake at http://127"),
        (
            [(403, "AccessDenied")],
            checked,
            r"S3 refused access to the lake .*AccessDenied\. Check AWS_ACCESS_KEY_ID, AWS_SEC",
        ),
        (
            BROKEN,
            checked,
            r"S3 does not answer for the lake .*Check AWS_ENDPOINT_URL and that the store is running, and",
        ),
        (4 * [(503, "SlowDown")], checked, r"SlowDown\. The store is not well: start again when it is\."),
        (4 * [(503, "SlowDown")], read, r"S3 refused to read .*SlowDown.*\. The store is not well: start again when"),
        (
            [(403, "AccessDenied")],
            listed,
            r"S3 refused to list s3://bucket/lake/: .*Check the AWS_\* variables and the",
        ),
        ([(404, "NoSuchKey")], read, r"There is no s3://bucket/lake/a\."),
        ([(403, "AccessDenied")], read, r"S3 refused to read s3://bucket/lake/a: .*Check the AWS_\* variables and the"),
        ([(412, "PreconditionFailed")], opened_as_it_was, r"s3://bucket/lake/a was replaced since it was listed\."),
        (
            BROKEN,
            read,
            r"broke off while it was asked to read s3://bucket/lake/a: .* Start the run again; it goes on wh",
        ),
        ([(403, "")], looked_at, r"S3 refused to look at s3://bucket/lake/a: .*Check the AWS_\* variables and the pol"),
        ([(403, "AccessDenied")], written, r"S3 refused to write s3://bucket/lake/a: .*Check the AWS_\* variables and"),
        ([(403, "AccessDenied")], put_as_a_commit, r"S3 refused to write s3://bucket/lake/a: .*Check the AWS_\* vari"),
    ],
)
def test_what_a_store_refuses_goes_on_when_it_lets_us(
    store: Store, answers: list[tuple[int, str]], asked: Callable[[], None], words: str
) -> None:
    store.answers += answers
    with pytest.raises(LakehouseError, match=words) as refused:
        asked()
    assert isinstance(refused.value, MissingFileError) == (answers[0][1] in {"NoSuchKey", "PreconditionFailed"})
    store.answers.clear()  # it is right now: the bucket, the keys, the policy, the connection
    asked()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (
            [],
            r"Nothing was written to s3://bucket/lake: the store at http://127\S+ knows no conditional puts \(If-None",
        ),
        ([(501, "NotImplemented")], r"knows no conditional puts .* Take a store that knows them"),
        (
            16 * [(503, "SlowDown")],
            r"did not say whether it took an object\. The store is not well: start again when it",
        ),
    ],
    ids=["takes both", "takes none", "is unwell"],
)
@pytest.mark.parametrize("write", [written, put_as_a_commit], ids=["file", "commit"])
def test_a_store_without_conditional_puts_gets_no_lake_until_it_knows_them(
    store: Store, answers: list[tuple[int, str]], words: str, write: Callable[[], None]
) -> None:
    storage._conditional.clear()  # noqa: SLF001
    store.answers += answers
    with pytest.raises(LakehouseError, match=words):
        write()
    assert all("/bucket/lake/_put_twice_" in one for one in store.asked)
    store.answers[:] = [(200, ""), (412, "PreconditionFailed")]
    for _ in range(2):  # the second does not ask
        store.asked.clear()
        write()
    assert store.asked == ["PUT /bucket/lake/a"]


def test_spark_is_kept_from_a_store_without_conditional_puts_too(store: Store) -> None:
    storage._conditional.clear()  # noqa: SLF001
    without_java = Spark(None)  # type: ignore[arg-type]
    with pytest.raises(LakehouseError, match="knows no conditional puts"):
        without_java.write(Target(ROOT, pa.schema({})), -1, Change("note"), "")
    assert all("/bucket/lake/_put_twice_" in one for one in store.asked)


@pytest.mark.slow
def test_a_lake_on_s3_that_delta_rs_cannot_reach_gets_another_prefix(store: Store) -> None:
    with pytest.raises(
        LakehouseError, match=r"cannot be reached on S3 for its '\['.* Give another prefix, of letters, dig"
    ):
        storage.check("s3://bucket/[lake]", role="lake", must_exist=False)
    storage.check("s3://bucket/lake", role="lake", must_exist=False)
    assert not store.answers


# MinIO

SERVER = f"""#!{sys.executable}
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
address = next(one for one in sys.argv if one.startswith("127."))
http.server.HTTPServer(("127.0.0.1", int(address.rpartition(":")[2])), Handler).serve_forever()
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and on PATH a Go that builds a server which answers."""
    (tmp_path / "server.py").write_text(SERVER)
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    path = a_go(tmp_path, f"cp {tmp_path}/server.py $GOBIN/minio; chmod +x $GOBIN/minio")
    monkeypatch.setenv("PATH", path)
    return tmp_path / "cache"


def silent(_: str) -> None:
    """Nobody reads how it is built."""


@pytest.mark.usefixtures("cache")
def test_minio_is_built_when_there_is_a_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setenv("PATH", "/nowhere")
        without.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(LakehouseError, match=r"MinIO is built with Go: there is no Go .* Install Go \(Debian: apt"):
            minio.binary(silent)
    assert minio.binary(silent).exists()


def test_minio_is_built_when_what_broke_the_build_is_mended(cache: Path, tmp_path: Path) -> None:
    go = tmp_path / "bin" / "go"
    right = go.read_text()
    go.write_text(right.replace("\ncp ", "\necho no route to the proxy >&2; exit 1; cp "))
    words = r"MinIO could not be built: `.*` ended with: no route to .*\nCheck the network, the room on the disk of"
    with pytest.raises(LakehouseError, match=words):
        minio.binary(silent)
    go.write_text(right)
    assert minio.binary(silent).is_relative_to(cache)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (
            "#!/bin/sh\necho no license\nexit 1\n",
            r"MinIO does not answer at .*no license\n\nThe rest is in .*minio\.log",
        ),
        ("no program", r"minio does not start: .*Exec format error.* Delete it, and it is built again"),
    ],
)
def test_a_minio_that_does_not_start_is_deleted_and_built_again(
    cache: Path, tmp_path: Path, broken: str, words: str
) -> None:
    program = minio.binary(silent)
    assert program.is_relative_to(cache)
    program.write_text(broken)
    with pytest.raises(LakehouseError, match=words):
        minio.start(tmp_path / "minio", silent)
    program.unlink()
    server = minio.start(tmp_path / "minio", silent)
    assert minio.status(tmp_path / "minio") == server
    assert minio.stop(tmp_path / "minio")


@pytest.mark.usefixtures("cache")
def test_a_state_of_minio_that_cannot_be_read_is_deleted(tmp_path: Path) -> None:
    state = tmp_path / "minio.json"
    state.write_text('{"endpoint": ')
    words = r"minio\.json cannot be read \(JSONDecodeError\), so MinIO's credentials are unknown\. End a MinIO that"
    with pytest.raises(LakehouseError, match=words):
        minio.status(tmp_path / "minio")
    state.unlink()
    assert minio.status(tmp_path / "minio") is None
    minio.start(tmp_path / "minio", silent)
    assert minio.stop(tmp_path / "minio")


@pytest.mark.usefixtures("cache")
def test_a_minio_that_is_not_running_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minio, "FOLDER", tmp_path / "minio")
    asked = CliRunner().invoke(cli.app, ["minio", "status"])
    assert str(asked.exception) == "MinIO is not running. Start it with `lakehouse minio start`."
    server = minio.start(minio.FOLDER, silent)  # what that does first
    assert f"MinIO is running at {server.endpoint}" in CliRunner().invoke(cli.app, ["minio", "status"]).output
    assert minio.stop(minio.FOLDER)
