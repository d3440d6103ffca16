"""Files of a folder and objects of a store are listed and read alike; what is wrong with a place is said early."""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
import pytest

from lakehouse.errors import LakehouseError
from lakehouse.store import minio, storage
from lakehouse.store.storage import MissingFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lakehouse.store.minio import Account, Server


def forget() -> None:
    """Clients keep who they are for the process."""
    storage._client.cache_clear()  # noqa: SLF001
    boto3.DEFAULT_SESSION = None


class Store:
    """The house's MinIO as its lakehouse user sees it; `become` another one or point elsewhere."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def become(self, account: Account, **changed: str) -> None:
        self.monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
        for name, value in (account.environment() | changed).items():
            self.monkeypatch.setenv(name, value)
        forget()

    def put(self, key: str, body: bytes = b"") -> None:
        storage.client().put_object(Bucket="lakehouse", Key=key, Body=body)


@pytest.fixture
def store(reader_and_writer: tuple[Account, Account], monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    one = Store(monkeypatch)
    one.become(reader_and_writer[1])
    yield one
    forget()


def refusal(root: str, role: str = "lake") -> str:
    with pytest.raises(LakehouseError) as refused:
        storage.check(root, role=role, must_exist=True)
    return str(refused.value)


def paths(root: str) -> list[str]:
    return sorted(file.path for file in storage.list_files(root))


# spelling


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("s3://bucket/prefix/", "s3://bucket/prefix"),
        ("s3a://bucket/prefix", "s3://bucket/prefix"),
        ("s3://bucket/", "s3://bucket"),
        ("/data/../lake/", "/lake"),
    ],
)
def test_a_place_has_one_spelling(given: str, place: str) -> None:
    assert storage.normalise(given) == place


def test_a_relative_folder_and_the_home_folder_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert storage.normalise("lake/tables") == storage.normalise("~/lake/tables") == f"{tmp_path}/lake/tables"


def test_a_linked_folder_is_the_folder_it_links_to(tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(tmp_path / "there")
    assert storage.normalise(str(tmp_path / "here")) == f"{tmp_path}/there"


@pytest.mark.parametrize("root", ["gs://bucket/prefix", "https://host/lake", "file:///data"])
def test_another_kind_of_place_is_refused(root: str) -> None:
    with pytest.raises(LakehouseError, match=r"neither a local folder nor an S3 address\. Give a path or s3://"):
        storage.normalise(root)


def test_spark_gets_the_scheme_it_knows() -> None:
    assert storage.for_spark("s3://bucket/prefix") == "s3a://bucket/prefix"
    assert storage.for_spark("/data/lake") == "file:///data/lake"


def test_deltalake_commits_to_s3_by_conditional_put(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert storage.for_deltalake("/data/lake") is None
    assert storage.for_deltalake("s3://bucket/prefix") == {
        "conditional_put": "etag",
        "aws_region": "eu-west-1",
        "aws_endpoint": "http://127.0.0.1:9000",
        "aws_virtual_hosted_style_request": "false",
        "allow_http": "true",
    }


# a folder


def test_files_of_a_folder_are_listed_with_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    file = tmp_path / "a" / "b" / "Orders (1).csv"
    file.write_bytes(b"12345")
    os.utime(file, (1_704_067_200, 1_704_067_200))
    (found,) = storage.list_files(str(tmp_path))
    assert (found.path, found.size, found.etag) == ("a/b/Orders (1).csv", 5, None)
    assert found.modified_at == datetime(2024, 1, 1, tzinfo=UTC)


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert paths(f"{tmp_path}/nowhere") == []


def test_a_link_to_elsewhere_is_listed_and_a_second_name_is_not(tmp_path: Path) -> None:
    inside, elsewhere = tmp_path / "landing", tmp_path / "elsewhere"
    for file in (elsewhere / "a.csv", elsewhere / "below" / "b.csv", inside / "2024-01-05" / "c.csv"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"123")
    links: dict[str, str | Path] = {
        "0 first by name": "2024-01-05",
        "latest": "2024-01-05",
        "latest.csv": "2024-01-05/c.csv",
        "2024-01-05/again": "..",
        "market_1": elsewhere,
        "0 below": elsewhere / "below",
        "a.csv": elsewhere / "a.csv",
        "all": tmp_path,
        "nothing": tmp_path / "nowhere",
    }
    for name, target in links.items():
        (inside / name).symlink_to(target)
    (tmp_path / "other").symlink_to(inside)
    for root in (inside, tmp_path / "other"):
        listed = {file.path: file.size for file in storage.list_files(str(root))}
        assert listed == {"2024-01-05/c.csv": 3, "all/elsewhere/a.csv": 3, "all/elsewhere/below/b.csv": 3}
    (inside / "all").unlink()
    listed = {file.path: file.size for file in storage.list_files(str(inside))}
    assert listed == {"2024-01-05/c.csv": 3, "market_1/a.csv": 3, "market_1/below/b.csv": 3}
    assert storage.read_bytes(str(inside), "market_1/a.csv") == b"123"


def test_a_file_is_read_whole_or_by_its_first_or_last_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"0123456789")
    root = str(tmp_path)
    assert storage.read_bytes(root, "a.csv") == b"0123456789"
    assert storage.read_bytes(root, "a.csv", first=3) == b"012"
    assert storage.read_bytes(root, "a.csv", last=3) == b"789"
    assert storage.read_bytes(root, "a.csv", first=64) == storage.read_bytes(root, "a.csv", last=64) == b"0123456789"


def test_a_file_that_is_not_there_is_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"x/a\.csv"):
        storage.read_bytes(str(tmp_path), "x/a.csv")


def test_content_is_told_by_its_hash(tmp_path: Path) -> None:
    for name, content in (("a.csv", b"1"), ("b.csv", b"1"), ("c.csv", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (storage.content_hash(str(tmp_path), storage.StoredFile(n, 1, datetime.now(UTC))) for n in
               ("a.csv", "b.csv", "c.csv"))  # fmt: skip
    assert a == b == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    assert a != c


def test_a_landing_folder_must_exist_and_a_lakes_need_not(tmp_path: Path) -> None:
    storage.check(f"{tmp_path}/nowhere", role="lake", must_exist=False)
    storage.check(str(tmp_path), role="landing", must_exist=True)
    words = f"The landing folder {tmp_path}/nowhere does not exist. Give the folder with --landing, LAKEHOUSE_LANDING"
    assert (
        refusal(f"{tmp_path}/nowhere", "landing")
        == f"{words} or conf/lake.yml; `lakehouse demo` makes one of sample exports."
    )
    assert "--lake, LAKEHOUSE_ROOT or conf/lake.yml" in refusal(f"{tmp_path}/nowhere")


def test_a_file_is_no_landing_folder(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").touch()
    assert "orders.csv is a file. Name a folder with --landing." in refusal(f"{tmp_path}/orders.csv", "landing")


# a store


@pytest.mark.slow
def test_more_objects_than_a_page_holds_are_all_listed(store: Store) -> None:
    asked = list[dict[str, object]]()

    def by_twos(params: dict[str, object], **_: object) -> None:
        params["MaxKeys"] = 2  # by themselves pages have a thousand
        asked.append(params)

    for number in range(5):
        store.put(f"many/{number}")
    store.put("many_more/0")
    storage.client().meta.events.register("before-parameter-build.s3.ListObjectsV2", by_twos)
    assert paths("s3://lakehouse/many") == [f"{number}" for number in range(5)]
    assert len(asked) == 3


@pytest.mark.slow
def test_an_objects_path_size_time_and_tag_are_listed_and_folders_are_not(store: Store) -> None:
    store.put("listed/")
    store.put("listed/market_1/")
    store.put("listed/market_1/Orders (1).csv", b"12345")
    (found,) = storage.list_files("s3://lakehouse/listed")
    assert (found.path, found.size, found.etag) == ("market_1/Orders (1).csv", 5, "827ccb0eea8a706c4c34a16891f84e7b")
    assert found.modified_at.utcoffset() is not None
    assert storage.content_hash("s3://lakehouse/listed", found) == f"etag:{found.etag}"
    assert "listed/market_1/Orders (1).csv" in paths("s3://lakehouse")


@pytest.mark.slow
def test_a_prefix_without_objects_has_no_files(store: Store) -> None:  # noqa: ARG001
    assert paths("s3://lakehouse/nothing/here") == []


@pytest.mark.slow
def test_an_object_is_read_whole_or_by_its_first_or_last_bytes(store: Store) -> None:
    store.put("read/ten bytes", b"0123456789")
    root = "s3://lakehouse/read"
    assert storage.read_bytes(root, "ten bytes") == b"0123456789"
    assert storage.read_bytes(root, "ten bytes", first=3) == b"012"
    assert storage.read_bytes(root, "ten bytes", last=3) == b"789"
    assert storage.read_bytes(root, "ten bytes", last=64) == b"0123456789"


@pytest.mark.slow
def test_an_empty_object_has_no_first_and_no_last_bytes(store: Store) -> None:
    store.put("read/empty")
    for part in ({}, {"first": 64}, {"last": 64}):
        assert storage.read_bytes("s3://lakehouse/read", "empty", **part) == b""


@pytest.mark.slow
def test_an_object_that_is_not_there_is_its_own_error(store: Store) -> None:  # noqa: ARG001
    with pytest.raises(MissingFileError):
        storage.read_bytes("s3://lakehouse/read", "nothing")


@pytest.mark.slow
def test_a_bucket_that_answers_is_right_whatever_its_prefix_holds(store: Store) -> None:  # noqa: ARG001
    storage.check("s3://lakehouse/not/there/yet", role="lake", must_exist=True)


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_said_so(store: Store, server: Server) -> None:
    store.become(server)
    words = f"There is no bucket 'nowhere' for the lake s3://nowhere/tables at {server.endpoint}."
    assert refusal("s3://nowhere/tables") == f"{words} Create it, or correct the name."


@pytest.mark.parametrize("place", ["s3://me:s3cr3t@lakehouse/tables", "s3://me:s3/cr3t@lakehouse", "gs://me:s3cr3t@x"])
def test_an_account_in_an_address_is_refused_and_not_shown(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LakehouseError, match="An address of a lake or landing has an account in it") as error:
        storage.normalise(place)
    assert "cr3t" not in str(error.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://me:s3cr3t@127.0.0.1:9000")
    with pytest.raises(LakehouseError, match=r"AWS_ENDPOINT_URL has an account in it. Write http://host:9000") as error:
        storage.check("s3://lakehouse/tables", role="lake", must_exist=True)
    assert "cr3t" not in str(error.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    assert storage.normalise("s3://lakehouse/me@home/") == "s3://lakehouse/me@home"
    assert storage.endpoint_url() == "http://127.0.0.1:9000"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "no-secret"}, "SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "who"}, "InvalidAccess"),
    ],
)
def test_wrong_keys_are_refused_with_words_and_without_the_secret(
    store: Store, server: Server, wrong: dict[str, str], code: str
) -> None:
    store.become(server, **wrong)
    words = refusal("s3://lakehouse/tables")
    assert words.startswith(f"S3 refused access to the lake s3://lakehouse/tables at {server.endpoint}: {code}")
    assert "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the policy." in words
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in words


@pytest.mark.slow
def test_a_bucket_of_others_is_refused(store: Store, server: Server) -> None:  # noqa: ARG001
    minio.ensure_bucket(server, "payroll")
    assert "S3 refused access to the lake s3://payroll at" in refusal("s3://payroll")


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_said_so_within_seconds(store: Store, server: Server) -> None:
    with socket.socket() as probe:  # bound and not listening: nobody answers there
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
        store.become(server, AWS_ENDPOINT_URL=closed)
        begin = time.monotonic()
        words = refusal("s3://lakehouse/exports", "landing")
    assert time.monotonic() - begin < 10
    assert words.startswith(f"S3 does not answer for the landing s3://lakehouse/exports at {closed}: Could not connect")
    assert "Check AWS_ENDPOINT_URL and that the store is running" in words


@pytest.mark.slow
def test_without_keys_it_is_said_which_variables_to_set(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        store.monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # elsewhere it takes seconds to find nothing
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    forget()
    assert "that AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set" in refusal("s3://lakehouse/tables")


# what is not right yet


@pytest.mark.slow
def test_another_identity_of_the_environment_is_another_client(store: Store, server: Server) -> None:
    storage.check("s3://lakehouse", role="lake", must_exist=True)
    for name, value in server.environment().items():
        store.monkeypatch.setenv(name, value)
    assert storage.client()._request_signer._credentials.access_key == server.access_key  # noqa: SLF001


@pytest.mark.slow
def test_an_object_that_may_not_be_read_is_not_called_missing(store: Store, server: Server) -> None:
    store.put("read/ten bytes", b"0123456789")
    store.become(server, AWS_SECRET_ACCESS_KEY="no-secret")
    with pytest.raises(LakehouseError, match=r"refused|SignatureDoesNotMatch") as refused:
        storage.read_bytes("s3://lakehouse/read", "ten bytes")
    assert not isinstance(refused.value, MissingFileError)


@pytest.mark.slow
def test_a_prefix_may_hold_a_hash_or_a_question_mark(store: Store) -> None:
    store.put("odd#1/a.csv")
    assert paths("s3://lakehouse/odd#1") == ["a.csv"]
