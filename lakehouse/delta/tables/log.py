"""A table's log as we read it (Delta protocol): its files, its schema, and what each commit says. No JVM.

What was read once is kept for the process: a later call costs a look at the newest commit and the commits since.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from itertools import count
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lakehouse.delta.tables.types import stored_type
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

Action = dict[str, Any]

AT_ONCE = 8  # requests
KEPT_TABLES, KEPT_VERSIONS, KEPT_COMMITS = 256, 4, 512
CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10})|\.[0-9a-f-]{36})?\.(?:parquet|json)")
PARTS = ("path", "partitionValues", "size", "modificationTime", "dataChange", "stats", "tags", "deletionVector")
KINDS = (*(f"add.{part}" for part in PARTS), "metaData", "protocol", "txn", "domainMetadata", "sidecar")
UUID_LENGTH = 20  # in base 85
_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_TO_Z85, _FROM_Z85 = bytes.maketrans(_B85, _Z85), bytes.maketrans(_Z85, _B85)
LAST = "_delta_log/_last_checkpoint"
RETENTION = "retention"  # a parameter of a DELETE: rows that nothing follows from any more
CRC = "lakehouse.crc32"  # a tag of what we write: of a file of rows, and of a checkpoint
SEAL = re.compile(rb'.{15}"checksum":"([^"]{8})"')  # behind {"commitInfo":{
MAPS = {"partitionValues", "configuration", "options", "tags"}
BACK = (
    "Bring the file back from a copy. The folder of a computed table (silver, gold) may be deleted instead: the next "
    "run builds it anew."
)


class NoVersionError(LakehouseError):
    """A table has no such version, or its log no longer reaches back to it."""


class DamagedLogError(LakehouseError):
    """A file of a log that was cut off, by a crash or a full disk, or written over: it says nothing that counts."""

    def __init__(self, place: str, what: str) -> None:
        super().__init__(
            f"{place} is damaged: {what}. Bring that file back from a copy; a computed table (silver, gold) needs "
            "none, the next run builds it anew."
        )
        self.file = place.rpartition("/")[2]


UNREADABLE = (storage.MissingFileError, DamagedLogError)  # a commit
NO_SNAPSHOT = (NoVersionError, DamagedLogError)  # a version, or the whole table


@dataclass(frozen=True)
class Snapshot:
    """A table at one version. `files`: its `add` actions by path, as the log has them; the other dicts likewise."""

    address: str
    version: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    files: dict[str, Action] = field(default_factory=dict)
    txn: dict[str, int] = field(default_factory=dict)
    domain: dict[str, Action] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.metadata["id"])

    @property
    def partition_by(self) -> tuple[str, ...]:
        return tuple(self.metadata.get("partitionColumns") or ())

    @property
    def configuration(self) -> dict[str, str]:
        return dict(self.metadata.get("configuration") or {})

    def features(self, whose: str) -> set[str]:
        """`whose`: reader or writer."""
        return set(self.protocol.get(f"{whose}Features") or ())


@dataclass(frozen=True)
class Commit:
    """What a commit says of itself; `timestamp` in milliseconds since 1970, `user_metadata` is its note."""

    version: int
    timestamp: int
    operation: str
    user_metadata: str | None
    metrics: Mapping[str, str]


class _Kept:
    """One table's newest snapshots, each with the token of its commit's file."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.snapshots: dict[int, tuple[str, Snapshot]] = {}


_tables: OrderedDict[str, _Kept] = OrderedDict()
_commits: OrderedDict[tuple[str, int], tuple[str, list[Action]]] = OrderedDict()
_lock = Lock()


def commit_path(version: int) -> str:
    return f"_delta_log/{version:020}.json"


def snapshot(address: str, version: int | None = None) -> Snapshot | None:
    """The table at its newest version or another; None where there is no table.

    Raises NoVersionError for a version that is not there (any more), DamagedLogError where a file of the log is no log.
    """
    with _lock:
        kept = _tables.setdefault(address, _Kept())
        _tables.move_to_end(address)
        if len(_tables) > KEPT_TABLES:
            _tables.popitem(last=False)
    with kept.lock:
        known = _kept_at(address, kept, version)
        now, seen = _replay(known or _from_checkpoint(address, version), version)
        if now.version < 0 and (begin := _by_listing(address, version)):
            now, seen = _replay(begin, version)
        if now.version < 0:
            return None
        if not {"id", "schemaString"} <= now.metadata.keys():
            raise DamagedLogError(f"{address}/{commit_path(now.version)}", "no commit says what the table is")
        if version is not None and now.version != version:
            raise NoVersionError(f"{address} has no version {version}, its newest is {now.version}. Read that one.")
        seen = seen or (storage.token(address, commit_path(now.version)) if now is not known else None)
        if seen:
            kept.snapshots[now.version] = (seen, now)
            for oldest in sorted(kept.snapshots)[:-KEPT_VERSIONS]:
                del kept.snapshots[oldest]
        return now


def forget(address: str) -> None:
    """Read the table from its beginning the next time."""
    with _lock:
        _tables.pop(address, None)


def _kept_at(address: str, kept: _Kept, version: int | None) -> Snapshot | None:
    """The nearest kept snapshot; none of them counts once the newest commit's file is not the one that was read."""
    if kept.snapshots:
        newest = max(kept.snapshots)
        if storage.token(address, commit_path(newest)) != kept.snapshots[newest][0]:
            kept.snapshots.clear()
    fitting = [one for one in kept.snapshots if version is None or one <= version]
    return kept.snapshots[max(fitting)][1] if fitting else None


def _replay(begin: Snapshot, until: int | None) -> tuple[Snapshot, str | None]:
    """The table after the commits since, and the token of the last of them."""
    now, seen = begin, None
    for version in count(begin.version + 1) if until is None else range(begin.version + 1, until + 1):
        try:
            seen, done = _read(begin.address, version)
        except storage.MissingFileError:
            break
        now = _after(now, version, done, is_shared=now is begin)
    return now, seen


def _after(before: Snapshot, version: int, done: Iterable[Action], *, is_shared: bool = True) -> Snapshot:
    """The table after a commit: one path leaves with its old vector and comes with its new one, in any order.

    A snapshot that nobody else has is changed, not copied.
    """
    now = (
        replace(before, files=dict(before.files), txn=dict(before.txn), domain=dict(before.domain))
        if is_shared
        else before
    )
    files, txn, domain, metadata, protocol = now.files, now.txn, now.domain, now.metadata, now.protocol
    actions = [(kind, fact) for action in done for kind, fact in action.items()]
    for kind, fact in actions:
        if kind == "remove":
            files.pop(fact["path"], None)
    for kind, fact in actions:
        if kind == "add":
            files[fact["path"]] = fact
        elif kind == "txn":
            txn[fact["appId"]] = fact["version"]
        elif kind == "domainMetadata":
            domain[fact["domain"]] = fact
        elif kind == "metaData":
            metadata = fact
        elif kind == "protocol":
            protocol = fact
    return Snapshot(before.address, version, metadata, protocol, files, txn, domain)


def sealed(text: bytes) -> bytes:
    """A commit with a checksum of all that it says: one other bit, and it is damaged."""
    open_ = text.replace(b'{"commitInfo":{', b'{"commitInfo":{"checksum":"00000000",', 1)
    return open_.replace(b"00000000", crc(open_).encode(), 1)


def crc(content: Any) -> str:  # noqa: ANN401  bytes, or a buffer of Arrow's
    return f"{zlib.crc32(content):08x}"


def _is_as_sealed(text: bytes) -> bool:
    """Whether it is what its checksum says, where it has one: others' commits have none."""
    seal = SEAL.match(text)
    return not seal or crc(text[: seal.start(1)] + b"00000000" + text[seal.end(1) :]) == seal[1].decode(
        errors="replace"
    )


def _parsed(text: bytes, place: str) -> list[Action]:
    try:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise DamagedLogError(place, "a line of it is no JSON") from error
    if not found:
        raise DamagedLogError(place, "nothing stands in it")
    if not all(isinstance(one, dict) and all(isinstance(fact, dict) for fact in one.values()) for one in found):
        raise DamagedLogError(place, "a line of it is no action of Delta's")
    if not _is_as_sealed(text):
        raise DamagedLogError(place, "its checksum is another one")
    return found


# Checkpoints ----------------------------------------------------------------------------------------------------------


def _from_checkpoint(address: str, version: int | None) -> Snapshot:
    """Where a replay begins: the last checkpoint, or before the first commit; a list of the log is the last resort."""
    try:
        hint = _hint(storage.read_bytes(address, LAST))
    except storage.MissingFileError:
        return Snapshot(address, -1)
    if hint and (version is None or hint[0] <= version):
        try:
            return checkpoint(address, *hint)
        except storage.MissingFileError:
            pass
    return _by_listing(address, version) or Snapshot(address, -1)


def _hint(text: bytes) -> tuple[int, list[str], str | None] | None:
    """The last checkpoint's version, files, and checksum if it is ours.

    None for what does not say them: then the log itself is looked at.
    """
    try:
        said = json.loads(text)
        return int(said["version"]), _names(said), (said.get("tags") or {}).get(CRC)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def last_checkpoint(address: str) -> int:
    """The version of the newest checkpoint, as the log's own hint says; -1 where it says none."""
    try:
        hint = _hint(storage.read_bytes(address, LAST))
    except storage.MissingFileError:
        return -1
    return hint[0] if hint else -1


def _names(hint: Mapping[str, Any]) -> list[str]:
    begin, parts = f"{hint['version']:020}.checkpoint", hint.get("parts")
    if path := (hint.get("v2Checkpoint") or {}).get("path"):
        return [path.rsplit("/", 1)[-1]]
    if parts:
        return [f"{begin}.{part:010}.{parts:010}.parquet" for part in range(1, parts + 1)]
    return [f"{begin}.parquet"]


def _by_listing(address: str, version: int | None) -> Snapshot | None:
    names = {file.path for file in storage.list_files(f"{address}/_delta_log")}
    made = [one for one in checkpoints(names) if version is None or one[0] <= version]
    if made:
        return checkpoint(address, *made[-1])
    if f"{0:020}.json" in names:
        return Snapshot(address, -1)
    if any(re.fullmatch(r"\d{20}\.(json|checkpoint.*)", name) for name in names):
        if version is None:
            raise NoVersionError(f"{address} cannot be read: a part of its log is gone. {BACK}")
        raise NoVersionError(
            f"Version {version} of {address} cannot be read: the log before it is gone. Read a newer version."
        )
    return None


def checkpoints(names: Iterable[str]) -> list[tuple[int, list[str]]]:
    """Of the files of a log the checkpoints of which all parts are there, with their versions, the oldest first."""
    found: dict[tuple[int, str], list[str]] = {}
    for name in sorted(names):
        if match := CHECKPOINT.fullmatch(name):
            found.setdefault((int(match[1]), match[3] or name), []).append(name)
    whole = [key for key, parts in found.items() if not key[1].isdigit() or len(parts) == int(key[1])]
    return [(key[0], found[key]) for key in sorted(whole)]


def replayed(address: str, version: int, names: Iterable[str]) -> Snapshot:
    """The table at a version by its commits, from the checkpoint before that one; `names`: the files of its log."""
    before = [one for one in checkpoints(names) if one[0] < version]
    return _replay(checkpoint(address, *before[-1]) if before else Snapshot(address, -1), version)[0]


def damaged_checkpoint(address: str) -> str:
    """The name of the last checkpoint where it is damaged; else empty."""
    try:
        if hint := _hint(storage.read_bytes(address, LAST)):
            checkpoint(address, *hint)
    except DamagedLogError as error:
        return error.file
    except storage.MissingFileError:
        pass
    return ""


def tagged_checkpoint(address: str) -> bytes:
    """What the log says of its last checkpoint, with the checksum of its one file."""
    said = json.loads(storage.read_bytes(address, LAST))
    content = storage.read_bytes(address, f"_delta_log/{_names(said)[0]}")
    return json.dumps(said | {"tags": {CRC: crc(content)}}, separators=(",", ":")).encode()


def checkpoint(address: str, version: int, names: list[str], checksum: str | None = None) -> Snapshot:
    """The table as these files of its log say it. Raises DamagedLogError."""
    parts = storage.each(lambda name: _stored_actions(address, f"_delta_log/{name}", checksum), names)
    aside = [action["sidecar"]["path"] for part in parts for action in part if "sidecar" in action]
    paths = [path if "/" in path else f"_delta_log/_sidecars/{path}" for path in aside]
    parts += storage.each(lambda path: _stored_actions(*storage.located(address, path)), paths)
    return _after(Snapshot(address, -1), version, [action for part in parts for action in part])


def _stored_actions(root: str, path: str, checksum: str | None = None) -> list[Action]:
    if path.endswith(".json"):
        return _parsed(storage.read_bytes(root, path), f"{root}/{path}")
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    content = storage.read_bytes(root, path)  # first: what the store does not give is not damaged
    try:
        stored = pq.ParquetFile(pa.BufferReader(content)).read(columns=list(KINDS))
    except (pa.ArrowException, OSError) as error:
        what = "it is no Parquet. If all commits before it are there, it and _last_checkpoint may be deleted instead"
        raise DamagedLogError(f"{root}/{path}", what) from error
    if checksum and crc(content) != checksum:  # other readers believe it, so nobody may ask them
        what = "it is not what was written. If all commits before it are there, it and _last_checkpoint may be deleted"
        raise DamagedLogError(f"{root}/{path}", f"{what} instead")
    return [
        {kind: _plain(fact)} for kind in stored.column_names for fact in stored.column(kind).drop_null().to_pylist()
    ]


def _plain(fact: Mapping[str, Any]) -> Action:
    """A struct of a checkpoint as JSON would have it: maps are dicts, what is null is not there."""
    said = {name: value for name, value in fact.items() if value is not None}
    return {
        name: dict(value) if name in MAPS else _plain(value) if isinstance(value, dict) else value
        for name, value in said.items()
    }


# Commits --------------------------------------------------------------------------------------------------------------


def actions(address: str, version: int) -> list[Action]:
    """What one commit did, as the log has it. Raises UNREADABLE where its file is gone, or damaged."""
    with _lock:
        kept = _commits.get((address, version))
    if kept and kept[0] == storage.token(address, commit_path(version)):
        return kept[1]
    return _read(address, version)[1]


def _read(address: str, version: int) -> tuple[str | None, list[Action]]:
    """A commit's token and what it did, from its file."""
    text, seen = storage.read_with_token(address, commit_path(version))
    done = _parsed(text, f"{address}/{commit_path(version)}")
    if seen:
        with _lock:
            _commits[address, version] = (seen, done)
            while len(_commits) > KEPT_COMMITS:
                _commits.popitem(last=False)
    return seen, done


def is_retention(done: Iterable[Action]) -> bool:
    """Whether a commit took rows of which nothing follows any more, by the contract of the table."""
    info: Action = next((one["commitInfo"] for one in done if "commitInfo" in one), {})
    return RETENTION in (info.get("operationParameters") or {})


def history(address: str, most: int | None = None, until: int | None = None) -> list[Commit]:
    """The newest commits (of version `until` and before), newest first; it ends where older are gone or damaged."""
    if until is None:
        now = snapshot(address)
        until = now.version if now else -1
    first = 0 if most is None else max(0, until + 1 - most)
    found: list[Commit] = []
    for newest in range(until, first - 1, -AT_ONCE):
        for commit in storage.each(lambda version: _commit(address, version), _down(newest, first)):
            if commit is None:
                return found
            found.append(commit)
    return found


def _down(newest: int, first: int) -> range:
    return range(newest, max(first, newest - AT_ONCE + 1) - 1, -1)


def _commit(address: str, version: int) -> Commit | None:
    try:
        done = actions(address, version)
    except UNREADABLE:
        return None
    said: Action = next((action["commitInfo"] for action in done if "commitInfo" in action), {})
    metrics = said.get("operationMetrics") or {}
    return Commit(version, said.get("timestamp", 0), said.get("operation", ""), said.get("userMetadata"), metrics)


# What a table is ------------------------------------------------------------------------------------------------------


def schema(snapshot: Snapshot) -> pa.Schema:
    """Its columns as Arrow has them, all nullable; their comments are in `comments`."""
    import pyarrow as pa  # noqa: PLC0415

    fields = json.loads(snapshot.metadata["schemaString"])["fields"]
    return pa.schema([pa.field(one["name"], stored_type(one["type"])) for one in fields])


def place_of_vector(address: str, descriptor: Mapping[str, Any]) -> tuple[str, str] | None:
    """Root and path of the file of a deletion vector; None for one that stands in the log itself."""
    kind, text = descriptor["storageType"], descriptor["pathOrInlineDv"]
    if kind == "i":
        return None
    if kind != "u":
        return storage.located(address, text)
    name = f"deletion_vector_{UUID(bytes=from_z85(text[-UUID_LENGTH:]))}.bin"
    return address, f"{text[:-UUID_LENGTH]}/{name}".lstrip("/")


def to_z85(data: bytes) -> str:
    return base64.b85encode(data).translate(_TO_Z85).decode()


def from_z85(text: str) -> bytes:
    return base64.b85decode(text.encode().translate(_FROM_Z85))


def comments(snapshot: Snapshot) -> dict[str, str]:
    fields = json.loads(snapshot.metadata["schemaString"])["fields"]
    return {one["name"]: one["metadata"]["comment"] for one in fields if "comment" in (one.get("metadata") or {})}


def columns(metadata: Mapping[str, Any]) -> tuple[list[tuple[str, Any]], list[str]]:
    """Names and types, and what it is partitioned by: what a reader of rows depends on. Comments are not."""
    fields = json.loads(metadata["schemaString"])["fields"]
    return [(one["name"], one["type"]) for one in fields], list(metadata.get("partitionColumns") or ())


def harm(address: str, *, is_read: bool = False, files: Iterable[str] | None = None) -> str:
    """What of the log is gone or damaged, so that nobody can read the table; empty where all is there.

    `is_read`: it was read a moment ago, so that only a gap can hide what came behind it. `files`: what lies below the
    table's folder, where somebody has looked since then.
    """
    if (lost := _lost_version(address, files)) is not None:
        return f"{lost:020}.json is gone"
    try:
        if not is_read:
            snapshot(address)
    except DamagedLogError as error:
        return f"{error.file} is damaged"
    except NoVersionError:
        return "its beginning is gone"
    return ""


def commits(address: str) -> set[int]:
    """The versions whose commits are there."""
    files = storage.list_files(f"{address}/_delta_log")
    return {int(found[1]) for one in files if (found := re.fullmatch(r"(\d{20})\.json", one.path))}


def _lost_version(address: str, files: Iterable[str] | None) -> int | None:
    """The commit that is gone although later ones are there."""
    if files is None:
        names = [file.path for file in storage.list_files(f"{address}/_delta_log")]
    else:
        names = [path.removeprefix("_delta_log/") for path in files if path.startswith("_delta_log/")]
    there = {int(name[:20]) for name in names if re.fullmatch(r"\d{20}\.json", name)}
    begin = max((int(match[1]) for name in names if (match := CHECKPOINT.fullmatch(name))), default=-1)
    later = [version for version in range(begin + 1, max(there, default=-1)) if version not in there]
    return min(later, default=None)


def drop(address: str) -> None:
    """The log goes, so that the next commit makes the table anew; VACUUM takes its files."""
    for file in list(storage.list_files(f"{address}/_delta_log")):
        storage.delete(address, f"_delta_log/{file.path}")
    forget(address)


def other_comments(snapshot: Snapshot, wanted: Mapping[str, str]) -> dict[str, str]:
    """Those of the comments that its columns do not have."""
    fields = json.loads(snapshot.metadata["schemaString"])["fields"]
    stored = {one["name"]: (one.get("metadata") or {}).get("comment") for one in fields}
    return {name: comment for name, comment in wanted.items() if name in stored and stored[name] != comment}
