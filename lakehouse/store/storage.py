"""Files and objects: list, read and write them on a local folder or on S3, without a JVM."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial, wraps
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from random import uniform
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, ParamSpec, TypeVar
from urllib.parse import unquote
from uuid import uuid4

from lakehouse.conf import HOME
from lakehouse.errors import LakehouseError, refusal
from lakehouse.store.cache import plain_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from botocore.client import BaseClient


P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
AT_ONCE, SEVERAL = 8, 3
TRIES, LIMIT = 4, 120.0  # of a question whose answer broke off; seconds after which none begins
CONNECT, ANSWER = 5, 30  # seconds until a store counts as gone, as for delta-rs and Sail
PUTS = 4  # of one object, until the store says what a second one does
DAMAGED = (
    "it is damaged. Bring that file back from a copy; where it is a computed table's (silver, gold), it may be deleted "
    "instead: the next run builds the table anew."
)
ETAG = "etag:"
WAIT = "The store is not well: start again when it is."
OF_ARROW = re.compile(r"AWS Error (NETWORK|SLOW|SERVICE|INTERNAL|REQUEST_TIMEOUT|UNKNOWN \(HTTP status (429|5\d\d))")
# What delta-rs makes no address of: it ends in a panic, or looks in another folder.
UNREACHABLE = re.compile(r"[\[\]|^\\\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")
_asking, _conditional = Lock(), set[tuple[str | None, str]]()  # buckets of which it is known, with their endpoints


@dataclass(frozen=True)
class StoredFile:
    """One file below a root: `path` is relative to it, `size` in bytes, `etag` only where the store gives one.

    `problem` says why it cannot be opened at all.
    """

    path: str
    size: int
    modified_at: datetime
    etag: str | None = None
    problem: str = ""


class MissingFileError(LakehouseError):
    """A file that was expected is not there."""


class BrokenOffError(LakehouseError):
    """A store's connection ended within an answer, or before one."""


class RefusedFileError(LakehouseError):
    """A file that is there and that this machine does not read."""


def patiently(function: Callable[[], T], *broken: type[Exception], tries: int = TRIES) -> T:
    """The answer, asked for again a little later where it broke off; no try begins after LIMIT."""
    until = time.monotonic() + LIMIT
    try:
        return function()
    except broken:
        if (left := until - time.monotonic()) < 0:
            raise
    import tenacity  # noqa: PLC0415  70 ms, which what does not fail does not pay for

    again = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(broken),
        stop=tenacity.stop_after_attempt(tries - 1) | tenacity.stop_before_delay(left),
        wait=tenacity.wait_random_exponential(0.2, max=2),
        reraise=True,
    )
    return again(function)


def asked_again(read: Callable[P, T]) -> Callable[P, T]:
    """What is read of a file, anew where the store broke off: Arrow gives up at the first answer that is cut off."""

    @wraps(read)
    def again(*arguments: P.args, **named: P.kwargs) -> T:
        return patiently(partial(read, *arguments, **named), BrokenOffError)

    return again


def each(function: Callable[[T], R], items: Iterable[T], files_of: str = "") -> list[R]:
    """The answers in order; several requests or files side by side, since starting threads for two takes longer.

    `files_of` a table, that are read or written whole: in a folder that is work of the cores, and more threads than
    there are hinder each other (measured: 0.6 s for 1.5 s on two).
    """
    every = list(items)
    if len(every) < SEVERAL:
        return [function(one) for one in every]
    is_waiting = not files_of or is_s3(files_of)
    with ThreadPoolExecutor(AT_ONCE if is_waiting else min(AT_ONCE, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, every))


def is_s3(root: str) -> bool:
    return root.startswith(("s3://", "s3a://"))


def normalise(root: str) -> str:
    """One spelling per place: an absolute local path, or s3://bucket/prefix without a slash at the end."""
    _, is_address, place = root.partition("://")
    if is_address and set("@:") & set(place.partition("/")[0]):
        raise LakehouseError(
            "An address of a lake or landing has an account in it, and would be shown, and stand in logs. Write "
            "s3://bucket/prefix, and put the account into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if is_s3(root):
        return "s3://" + root.split("://", 1)[1].rstrip("/")
    if "://" in root:
        raise LakehouseError(
            f"{root!r} is neither a local folder nor an S3 address. Give a path or s3://bucket/prefix."
        )
    return str(Path(root).expanduser().resolve())


def at_home(place: str) -> str:
    """What conf/lake.yml names: its folders are the project's."""
    return place if is_s3(place) else str(HOME / place)


def for_spark(path: str) -> str:
    """Hadoop's connector for S3 is s3a; a local path gets its scheme, so that a cluster's default does not matter."""
    return "s3a://" + path.removeprefix("s3://") if is_s3(path) else "file://" + path


@contextmanager
def reachable(address: str) -> Iterator[str]:
    """The address as delta-rs takes it, which resolves a link: of others a folder of links to what is in the table's.

    To read it and to write into its log; what is written beside the log would stay in that folder.
    """
    if is_s3(address) or not UNREACHABLE.search(address):
        yield address
        return
    with TemporaryDirectory(prefix="links-", dir=plain_folder()) as made:
        for one in Path(address).iterdir():
            Path(made, one.name).symlink_to(one)
        yield made


@contextmanager
def _reading(full: Path, missing: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise MissingFileError(missing) from error
    except OSError as error:
        raise RefusedFileError(f"{full} cannot be read: {refusal(error) or error.strerror}") from error


def for_deltalake(path: str) -> dict[str, str] | None:
    """Options for the deltalake package; commits by conditional put, so two writers cannot both win."""
    if not is_s3(path):
        return None
    options = {"conditional_put": "etag", "aws_region": region()}
    if endpoint := endpoint_url():
        options |= {"aws_endpoint": endpoint, "aws_virtual_hosted_style_request": "false"}
        options["allow_http"] = str(endpoint.startswith("http://")).lower()
    return options


def for_sail() -> dict[str, str]:
    """The environment by which Sail finds the store, from the usual AWS_* variables."""
    settings = {"AWS_REGION": region()}
    if endpoint := endpoint_url():
        settings |= {"AWS_ENDPOINT": endpoint, "AWS_ALLOW_HTTP": str(endpoint.startswith("http://")).lower()}
    return settings


def endpoint_url() -> str | None:
    """Raises LakehouseError where an account stands in it, since errors name the store by it."""
    found = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
    if found and "@" in found:
        raise LakehouseError(
            "AWS_ENDPOINT_URL has an account in it. Write http://host:9000, and put the account into AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY."
        )
    return found


def region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


@cache
def _client(endpoint: str | None, region_name: str, *identity: str | None) -> BaseClient:
    """One client per address and identity; importing boto3 costs half a second, so only S3 pays for it."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    for logger in ("botocore", "s3transfer"):
        logging.getLogger(logger).setLevel(logging.INFO)  # below it they print requests, with the session's token
    config = Config(
        connect_timeout=CONNECT, read_timeout=ANSWER, retries={"max_attempts": 3}, s3={"addressing_style": "path"}
    )
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    known = {name: value for name, value in zip(names, identity, strict=True) if value}
    # A session of its own: boto3's default one keeps the identity that it found first.
    session = boto3.session.Session(**known)
    made = session.client("s3", endpoint_url=endpoint, region_name=region_name, config=config)
    made.meta.events.register("needs-retry.s3", _busy)
    return made


def _busy(response: Any, attempts: int, **_: object) -> float | None:  # noqa: ANN401  botocore has no types
    """Seconds until a store that is in the midst of another write is asked again: boto3 takes that for an answer."""
    is_busy = response is not None and response[0].status_code == HTTPStatus.CONFLICT
    return uniform(0, 0.2 * 2**attempts) if is_busy and attempts < TRIES else None  # noqa: S311  no secret


def client() -> Any:  # noqa: ANN401  boto3 makes its methods at run time
    identity = (os.environ.get(f"AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"))
    return _client(endpoint_url(), region(), *identity)


def _bucket_and_prefix(path: str) -> tuple[str, str]:
    bucket, _, prefix = path.removeprefix("s3://").partition("/")
    return bucket, prefix.strip("/")


def check(root: str, *, role: str, must_exist: bool) -> None:
    """Fail early, with words: before a JVM is started and before anything is written."""
    option, variable = ("--landing", "LAKEHOUSE_LANDING") if role == "landing" else ("--lake", "LAKEHOUSE_ROOT")
    if is_s3(root):
        if role == "lake" and (odd := UNREACHABLE.search(root)):
            raise LakehouseError(
                f"The lake {root} cannot be reached on S3 for its {odd[0]!r}: delta-rs makes no address of it. Give "
                f"another prefix, of letters, digits and -_.=+~@, with {option} or {variable}."
            )
        _check_s3(root, role)
    elif not (there := next(one for one in (Path(root), *Path(root).parents) if one.exists())).is_dir():
        raise LakehouseError(f"The {role} folder cannot be {root}: {there} is a file. Name a folder with {option}.")
    elif must_exist and not Path(root).is_dir():
        raise LakehouseError(
            f"The {role} folder {root} does not exist. Give the folder with {option}, {variable} or conf/lake.yml; "
            "`lakehouse demo` makes one of sample exports."
        )


def _check_s3(root: str, role: str) -> None:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    bucket, _ = _bucket_and_prefix(root)
    where = f"the {role} {root} at {endpoint_url() or 'AWS'}"
    try:
        client().list_objects_v2(Bucket=bucket, MaxKeys=1)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"NoSuchBucket", "404"}:
            raise LakehouseError(
                f"There is no bucket {bucket!r} for {where}. Create it, or correct the name."
            ) from error
        advice = "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the policy."
        raise LakehouseError(
            f"S3 refused access to {where}: {code}. {WAIT if _is_unwell(error) else advice}"
        ) from error
    except BotoCoreError as error:
        raise LakehouseError(
            f"S3 does not answer for {where}: {error}. Check AWS_ENDPOINT_URL and that the store is running, "
            "and that AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set."
        ) from error


def list_files(root: str, without: str = "") -> Iterator[StoredFile]:
    """Every file below `root`, in no order; `without` what lies in this folder of it, at which nothing looks."""
    if is_s3(root):
        bucket, prefix = _bucket_and_prefix(root)
        start = f"{prefix}/" if prefix else ""
        for item in _items(root, bucket, start, f"{start}{without}/" if without else ""):
            path = item["Key"][len(start) :]
            if path and not path.endswith("/"):
                yield StoredFile(path, item["Size"], item["LastModified"], item["ETag"].strip('"'))
        return
    for full in _local_files(Path(root), without):
        with suppress(FileNotFoundError):  # taken away since its folder was listed
            yield _local_file(root, full)


def list_folders(root: str) -> set[str]:
    """The names of the folders right below `root`; of a bucket, what keys go on with until their next slash."""
    if is_s3(root):
        bucket, prefix = _bucket_and_prefix(root)
        start = f"{prefix}/" if prefix else ""
        pages = _pages(root, Bucket=bucket, Prefix=start, Delimiter="/")
        return {item["Prefix"][len(start) : -1] for page in pages for item in page.get("CommonPrefixes", [])}
    try:
        return {one.name for one in os.scandir(root) if one.is_dir()}
    except OSError as error:
        _refused(error)
        return set()


def _items(root: str, bucket: str, start: str, without: str) -> Iterator[dict[str, Any]]:
    """S3 lists in the order of names, so behind a folder it goes on at what its names cannot reach."""
    for page in _pages(root, Bucket=bucket, Prefix=start):
        for item in page.get("Contents", []):
            if without and item["Key"].startswith(without):
                behind = f"{without}\U0010ffff"
                for rest in _pages(root, Bucket=bucket, Prefix=start, StartAfter=behind):
                    yield from rest.get("Contents", [])
                return
            yield item


def _pages(root: str, **of: str) -> Iterator[dict[str, Any]]:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        with _in_words(f"list {root}"):
            yield from client().get_paginator("list_objects_v2").paginate(**of)
    except ClientError as error:
        raise _refusal("list", root, "", error) from error


def _local_files(root: Path, without: str = "") -> Iterator[Path]:
    """Files below root by their own names. A link counts where it leads outside, to what no other link led to.

    So `latest -> 2022-01-06` is no second name of what lies there, whatever order a folder is listed in.
    """
    inside, seen, waiting = root.resolve(), list[Path](), [root]
    while waiting:
        links = list[tuple[Path, Path]]()
        for folder, folders, names in os.walk(waiting.pop(0), onerror=_refused):
            left_out = {without} if without and Path(folder) == root else set()
            folders[:] = [name for name in folders if name not in left_out and Path(folder, name).resolve() != inside]
            files = frozenset(names)
            for full in sorted(Path(folder, name) for name in (*folders, *names)):
                if full.is_symlink():
                    links.append((full.resolve(), full))
                elif full.name in files:
                    yield full
        for target, full in sorted(links, key=lambda link: (len(link[0].parts), link)):
            if not target.exists() or any(target.is_relative_to(one) for one in (inside, *seen)):
                continue
            seen.append(target)
            if target.is_dir():
                waiting.append(full)
            else:
                yield full


def _local_file(root: str, full: Path) -> StoredFile:
    facts = full.stat()
    path = os.fsencode(full.relative_to(root)).decode("utf-8", "backslashreplace")
    problem = "" if path == full.relative_to(root).as_posix() else "has a name that is not UTF-8; rename it."
    problem = problem if stat.S_ISREG(facts.st_mode) else "is no file but a pipe, socket or device."
    return StoredFile(path, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC), problem=problem)


def _refused(error: OSError) -> None:
    if isinstance(error, FileNotFoundError):  # taken away since its folder was listed
        return
    raise LakehouseError(f"{error.filename} cannot be listed: {error.strerror}. Let this user read it.") from error


def read_bytes(root: str, path: str, *, first: int | None = None, last: int | None = None) -> bytes:
    """A file's content, or only its `first` or `last` bytes. Raises MissingFileError where there is no such file."""
    if is_s3(root):
        part = {"Range": f"bytes=0-{first - 1}"} if first else {"Range": f"bytes=-{last}"} if last else {}
        with _in_words(f"read {root}/{path}"):
            return patiently(lambda: _whole_object(root, path, part), *_breaks())
    full = Path(root, path)
    with _reading(full, f"There is no {root}/{path}."), full.open("rb") as file:
        if last:
            file.seek(max(0, full.stat().st_size - last))
        return file.read(first or -1)


def read_with_token(root: str, path: str) -> tuple[bytes, str | None]:
    """A file's content, and its `token`: one request for both. Raises MissingFileError."""
    if not is_s3(root):
        before = token(root, path)  # where the file is written anew in between, the next look sees another one
        return read_bytes(root, path), before

    def whole() -> tuple[bytes, str]:
        answer = _object(root, path)
        return bytes(answer["Body"].read()), str(answer["ETag"])

    with _in_words(f"read {root}/{path}"):
        return patiently(whole, *_breaks())


def _whole_object(root: str, path: str, part: dict[str, str]) -> bytes:
    answer = _object(root, path, **part)
    return bytes(answer["Body"].read()) if answer else b""


def _object(root: str, path: str, **part: str) -> dict[str, Any]:
    """The store's answer; empty where a part of an empty object was asked for."""
    import urllib3  # noqa: PLC0415
    from botocore.exceptions import ClientError  # noqa: PLC0415

    bucket, prefix = _bucket_and_prefix(root)
    try:
        with _in_words(f"read {root}/{path}"):
            key = f"{prefix}/{path}".lstrip("/")
            # What boto3 itself asks for again is not the page that says what it refuses, where that is cut off.
            answer: dict[str, Any] = patiently(
                lambda: client().get_object(Bucket=bucket, Key=key, **part), urllib3.exceptions.HTTPError
            )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "InvalidRange":
            return {}
        if code in {"NoSuchKey", "404"}:
            raise MissingFileError(f"There is no {root}/{path}.") from error
        if code in {"PreconditionFailed", "412"}:
            raise MissingFileError(f"{root}/{path} was replaced since it was listed.") from error
        raise _refusal("read", root, path, error) from error
    return answer


@contextmanager
def open_file(root: str, path: str, content: str = "") -> Iterator[BinaryIO]:
    """The file's bytes as a stream, so that a large one is never in memory; only of this content, where S3 tells it.

    Raises MissingFileError, and LakehouseError where the connection breaks off: half a file is never taken for whole.
    """
    if not is_s3(root):
        try:
            with Path(root, path).open("rb") as file:
                yield file
        except FileNotFoundError as error:
            raise MissingFileError(f"There is no {root}/{path}.") from error
        return
    tag = content.removeprefix(ETAG) if content.startswith(ETAG) else ""
    body = _object(root, path, **({"IfMatch": tag} if tag else {}))["Body"]
    # Not `with body`, which hands out the connection itself, and that does not count its bytes.
    with closing(body), _in_words(f"read {root}/{path}"):
        yield body


def look(root: str, path: str) -> StoredFile | None:
    """The file as it is now; None where it is gone, or no longer ours to see."""
    if is_s3(root):
        from botocore.exceptions import ClientError  # noqa: PLC0415

        bucket, prefix = _bucket_and_prefix(root)
        try:
            with _in_words(f"look at {root}/{path}"):
                answer = client().head_object(Bucket=bucket, Key=f"{prefix}/{path}".lstrip("/"))
        except ClientError:
            return None
        return StoredFile(path, answer["ContentLength"], answer["LastModified"], answer["ETag"].strip('"'))
    try:
        facts = Path(root, path).stat()
    except OSError:
        return None
    return StoredFile(path, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))


def is_still(root: str, file: StoredFile) -> bool:
    """Whether the file is what it was when it was listed."""
    now = look(root, file.path)
    if now is None or is_s3(root):
        return now is not None and now.etag == file.etag
    return (now.size, now.modified_at) == (file.size, file.modified_at)


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    """What a store does when its connection breaks; its refusals (ClientError) are for the caller."""
    try:
        yield
    except _breaks() as error:
        raise BrokenOffError(
            f"S3 at {endpoint_url() or 'AWS'} broke off while it was asked to {what}: {error}. Start the run again; it "
            "goes on where it stopped."
        ) from error


def _breaks() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, HTTPClientError  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    return BotoCoreError, HTTPClientError, HTTPError


def etag_content(file: StoredFile) -> str:
    """S3's own word for the content, which is there without reading it; empty for a local file."""
    return f"{ETAG}{file.etag}" if file.etag else ""


def content_hash(root: str, file: StoredFile) -> str:
    """What two files of the same content share: S3's ETag, else the SHA-256."""
    if file.etag:
        return etag_content(file)
    with Path(root, file.path).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


# What the tables' own log and files need (log.py, parquet.py, committer.py) -------------------------------------------


def located(address: str, path: str) -> tuple[str, str]:
    """Root and plain path of a file that a Delta log names: %-encoded, and below the table unless it is a whole URI."""
    plain = unquote(path)
    if "://" in plain:
        scheme, rest = plain.split("://", 1)
        bucket, _, key = rest.partition("/")
        return ("/", rest.lstrip("/")) if scheme == "file" else (f"s3://{bucket}", key)
    if plain.startswith(("file:/", "/")):
        return "/", plain.removeprefix("file:").lstrip("/")
    return address, plain


def token(root: str, path: str) -> str | None:
    """What changes when a file is written anew, without reading it; None where there is no such file."""
    if not is_s3(root):
        full = Path(root, path)
        try:
            with _reading(full, ""):
                facts = full.stat()
        except MissingFileError:
            return None
        return f"{facts.st_mtime_ns}-{facts.st_size}-{facts.st_ino}"
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        with _in_words(f"look at {root}/{path}"):
            return str(client().head_object(**_at(root, path))["ETag"])
    except ClientError as error:
        if _status(error) == HTTPStatus.NOT_FOUND:
            return None
        raise _refusal("look at", root, path, error) from error


@contextmanager
def random_access(root: str, path: str) -> Iterator[Any]:
    """The file for Arrow, which reads the parts that it needs. Raises MissingFileError where there is none."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        with _arrow_s3().open_input_file(_key(root, path)) if is_s3(root) else pa.OSFile(f"{root}/{path}") as file:
            yield file
    except FileNotFoundError as error:
        raise MissingFileError(f"There is no {root}/{path}.") from error
    except (OSError, pa.ArrowInvalid) as error:
        if OF_ARROW.search(str(error)):
            raise BrokenOffError(f"{root}/{path} cannot be read: {error}. {WAIT}") from error
        why = refusal(error) or (f"{error}. Check the file and the store." if is_s3(root) else DAMAGED)
        raise LakehouseError(f"{root}/{path} cannot be read: {why}") from error


def _arrow_s3() -> Any:  # noqa: ANN401  pyarrow has no types
    identity = (os.environ.get(f"AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"))
    return _arrow_s3_as(endpoint_url(), region(), *identity)


@cache
def _arrow_s3_as(endpoint: str | None, region_name: str, *identity: str | None) -> Any:  # noqa: ANN401
    from pyarrow.fs import S3FileSystem  # noqa: PLC0415

    known = dict(zip(("access_key", "secret_key", "session_token"), identity, strict=True)) if identity[0] else {}
    scheme, _, host = (endpoint or "https://").partition("://")
    place = {"endpoint_override": host, "scheme": scheme} if host else {}
    return S3FileSystem(region=region_name, connect_timeout=CONNECT, request_timeout=ANSWER, **place, **known)


def put(root: str, path: str, content: Any) -> None:  # noqa: ANN401  bytes, or a buffer of Arrow's
    """Write a file that nobody else writes (its name is random); it is on the disk when this returns."""
    check_conditional_puts(root)
    if not is_s3(root):
        full = Path(root, path)
        with _writing(full):
            _make_folder(full.parent)
            try:
                _write_through(full, content)
            except OSError:  # what is there of it would take the room that is missing
                full.unlink(missing_ok=True)
                raise
            _sync_folder(full.parent)
        return
    from boto3.exceptions import S3UploadFailedError  # noqa: PLC0415
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        with _in_words(f"write {root}/{path}"):
            client().upload_fileobj(BytesIO(content), *_key(root, path).split("/", 1))
    except (ClientError, S3UploadFailedError) as error:
        raise _refusal("write", root, path, error) from error


def delete(root: str, path: str) -> None:
    """The file goes; nothing happens where there is none."""
    if not is_s3(root):
        Path(root, path).unlink(missing_ok=True)
        return
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        with _in_words(f"delete {root}/{path}"):
            client().delete_object(**_at(root, path))
    except ClientError as error:
        raise _refusal("delete", root, path, error) from error


def delete_all(root: str) -> None:
    """Every file below `root`, and the folders."""
    if not is_s3(root):
        shutil.rmtree(root, ignore_errors=True)
        return
    each(lambda file: delete(root, file.path), list_files(root))


def copy(root: str, path: str, to: str) -> None:
    """The file, under the same path below another root of the same store; on one disk its bytes are there once."""
    if is_s3(root):
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            with _in_words(f"copy {root}/{path}"):
                client().copy(_at(root, path), **_at(to, path))
        except ClientError as error:
            raise _refusal("copy", root, path, error) from error
        return
    link(to, path, str(Path(root, path)))


def link(root: str, path: str, file: str) -> None:
    """A file of this machine as one of the folder's, by a copy only where they lie on different disks."""
    full = Path(root, path)
    with _writing(full):
        _make_folder(full.parent)
        try:
            os.link(file, full)
        except OSError:
            shutil.copyfile(file, full)
        with full.open("rb") as stored:
            os.fsync(stored.fileno())
        _sync_folder(full.parent)


def replace(root: str, path: str, content: bytes) -> None:
    """Write the file over the one that is there; readers see this one or that, whole."""
    if is_s3(root):
        put(root, path, content)
        return
    full = Path(root, path)
    begun = full.with_name(f".{uuid4()}.tmp")
    with _writing(full):
        _make_folder(full.parent)
        try:
            _write_through(begun, content)
            begun.replace(full)
        finally:
            begun.unlink(missing_ok=True)
        _sync_folder(full.parent)


def put_if_absent(root: str, path: str, content: bytes) -> bool | None:
    """Write the file where there is none: True. False where one is there or on its way; None where no answer came."""
    check_conditional_puts(root)
    return _put_if_absent(root, path, content) if is_s3(root) else _link_if_absent(Path(root, path), content)


def check_conditional_puts(root: str) -> None:
    """Before the first write of this process: a store whose second put overwrites the first would lose commits.

    Asked by putting one object twice and deleting it. Raises LakehouseError where both are taken, or none is answered.
    """
    if not is_s3(root):
        return
    bucket = (endpoint_url(), _bucket_and_prefix(root)[0])
    with _asking:
        if bucket not in _conditional:
            _ask_for_conditional_puts(root)
            _conditional.add(bucket)


def _ask_for_conditional_puts(root: str) -> None:
    probe = f"_put_twice_{uuid4()}"
    answers = [_put_if_absent(root, probe, b""), _put_if_absent(root, probe, b"")]
    while not (answers[-1] is False or answers.count(True) > 1 or len(answers) == PUTS):
        answers.append(_put_if_absent(root, probe, b""))
    with suppress(LakehouseError):  # it is empty, and not everybody may delete
        delete(root, probe)
    if answers.count(True) > 1:
        raise _overwrites(root)
    if answers[-1] is not False:
        raise LakehouseError(f"S3 at {endpoint_url() or 'AWS'} did not say whether it took an object. {WAIT}")


def _overwrites(root: str) -> LakehouseError:
    return LakehouseError(
        f"Nothing was written to {root}: the store at {endpoint_url() or 'AWS'} knows no conditional puts "
        "(If-None-Match), so of two runs one could overwrite what the other committed. Take a store that knows them "
        "(AWS, MinIO and most others of today do; upgrade yours), or keep the lake in a folder."
    )


def _put_if_absent(root: str, path: str, content: bytes) -> bool | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        client().put_object(**_at(root, path), Body=content, IfNoneMatch="*")
    except ClientError as error:
        if _status(error) in {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT}:
            return False
        if _status(error) == HTTPStatus.NOT_IMPLEMENTED:
            raise _overwrites(root) from error
        if _is_unwell(error):
            return None
        raise _refusal("write", root, path, error) from error
    except _breaks():
        return None
    return True


def _link_if_absent(full: Path, content: bytes) -> bool:
    """A link appears with the whole file or not at all, and never over another file; a rename would."""
    begun = full.with_name(f".{uuid4()}.tmp")
    with _writing(full, " The lake needs a file system that knows hard links."):
        _make_folder(full.parent)
        try:
            _write_through(begun, content)
            os.link(begun, full)
        except FileExistsError:
            return False
        finally:
            begun.unlink(missing_ok=True)
        _sync_folder(full.parent)
    return True


@contextmanager
def _writing(full: Path, advice: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = refusal(error) or f"{error.strerror}.{advice}"
        raise LakehouseError(f"{full} cannot be written: {why}") from error


def _write_through(full: Path, content: bytes) -> None:
    with full.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in new:
        _sync_folder(one.parent)


def _sync_folder(folder: Path) -> None:
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


def _key(root: str, path: str) -> str:
    """bucket/prefix/path."""
    return f"{root}/{path}".split("://", 1)[1]


def _at(root: str, path: str) -> dict[str, str]:
    bucket, _, key = _key(root, path).partition("/")
    return {"Bucket": bucket, "Key": key}


def _status(error: Any) -> int:  # noqa: ANN401  botocore has no types
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _is_unwell(error: Any) -> bool:  # noqa: ANN401  as above
    """Whether it is the store's own trouble, which no key or policy changes."""
    if not hasattr(error, "response"):
        return False
    return _status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR or _status(error) == HTTPStatus.TOO_MANY_REQUESTS


def _refusal(what: str, root: str, path: str, error: Exception) -> LakehouseError:
    advice = WAIT if _is_unwell(error) else "Check the AWS_* variables and the policy."
    return LakehouseError(f"S3 refused to {what} {root}/{path}: {error}. {advice}")
