"""What a table's commits say it includes; read from the Delta logs without a JVM (design: rules of progress)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from lakehouse import storage

# Commits that leave rows and their order of arrival as they were.
MAINTENANCE = {
    "OPTIMIZE",
    "VACUUM START",
    "VACUUM END",
    "SET TBLPROPERTIES",
    "UNSET TBLPROPERTIES",
    "REORG",
    "COMPUTE STATS",
}


RECENT = 16  # commits that are read first


@dataclass(frozen=True)
class Input:
    """A version of one input: of a table (`id` is Delta's), of a conf file (its hash), or of the ledger (its batch).

    `batch` is the last batch of deliveries in that version, where the input is bronze.
    """

    version: int | str
    id: str | None = None
    batch: int | None = None


@dataclass(frozen=True)
class Progress:
    """What one commit includes. `base` is the version of the table itself that the writer had read, -1 for none."""

    table: str
    run: str
    fingerprint: str
    base: int
    inputs: dict[str, Input]

    def to_json(self) -> str:
        return json.dumps({"lakehouse": asdict(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> Progress | None:
        """The note of a commit; None for somebody else's words, and for a note of another version of this project."""
        try:
            stored = json.loads(text or "{}")["lakehouse"]
            inputs = {name: Input(**value) for name, value in stored.pop("inputs").items()}
            return cls(**stored, inputs=inputs)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


@dataclass(frozen=True)
class State:
    """A table as it stands. `progress` is None where its commits cannot be trusted; `doubt` then says why."""

    id: str
    version: int
    progress: Progress | None
    doubt: str = ""


def address(root: str, name: str) -> str:
    """Where a table is: its name is its path below the lake's root."""
    return f"{root}/{name.replace('.', '/')}"


def rejected(name: str) -> str:
    """The name of a table's quarantine."""
    return f"{name}__rejected"


def open_table(address: str, version: int | None = None) -> DeltaTable | None:
    """The table's log, at its newest version or another; None where there is no table yet."""
    try:
        return DeltaTable(address, version=version, storage_options=storage.for_deltalake(address))
    except TableNotFoundError:
        return None


def state(address: str, at: int | None = None) -> State | None:
    """The table's newest progress, or that of its version `at`; only maintenance may stand between it and that version.

    The newest commits nearly always tell; a year of them, each a request on S3, is read only where they do not.
    """
    log = open_table(address)  # never opened at the older version: its history would number the newest commits by it
    if log is None or (at is not None and at > log.version()):
        return None
    identity, version = str(log.metadata().id), log.version() if at is None else at
    newer = log.version() - version
    recent = _judge(identity, version, [_commit(entry) for entry in log.history(newer + RECENT)[newer:]])
    reaches_back = recent.progress is not None and recent.progress.base > version - RECENT
    if reaches_back or version < RECENT:
        return recent
    return _judge(identity, version, [_commit(entry) for entry in log.history()[newer:]])


def _judge(identity: str, version: int, commits: list[tuple[int, str, Progress | None]]) -> State:
    for index, (at, operation, progress) in enumerate(commits):
        if progress is None:
            if operation in MAINTENANCE:
                continue
            return State(identity, version, None, f"somebody else's {operation} made version {at}")
        between = commits[index + 1 : index + at - progress.base]
        foreign = [
            a for a, op, other in between if op not in MAINTENANCE and (other is None or other.run != progress.run)
        ]
        if foreign:
            return State(identity, version, None, f"version {foreign[0]} came between reading and writing version {at}")
        return State(identity, version, progress)
    return State(identity, version, None, "none of its commits says what it includes")


def _commit(entry: dict[str, Any]) -> tuple[int, str, Progress | None]:
    return int(entry["version"]), str(entry.get("operation")), Progress.from_json(entry.get("userMetadata"))


def moved(address: str, since: int, now: int) -> bool:
    """Whether a commit in (since, now] changed data or schema; a log file that is gone counts as a change."""
    return any(_changes_data(address, version) for version in range(now, since, -1))


def _changes_data(address: str, version: int) -> bool:
    try:
        log = storage.read_bytes(address, f"_delta_log/{version:020}.json").decode()
    except storage.MissingFileError:
        return True
    actions = [json.loads(line) for line in log.splitlines() if line]
    facts = [action.get("add") or action.get("remove") or {} for action in actions]
    if any(fact.get("dataChange") for fact in facts):
        return True
    operation = next((action["commitInfo"].get("operation") for action in actions if "commitInfo" in action), None)
    return operation not in MAINTENANCE and any("metaData" in action for action in actions)


def last_metrics(address: str) -> dict[str, int]:
    """What the newest commit says it did, e.g. numOutputRows."""
    log = open_table(address)
    metrics = log.history(1)[0].get("operationMetrics", {}) if log else {}
    return {name: int(value) for name, value in metrics.items() if str(value).isdigit()}


def size(address: str) -> int:
    """Bytes of the table's files at its newest version; 0 where there is no table."""
    log = open_table(address)
    return sum(log.get_add_actions()["size_bytes"].to_pylist()) if log else 0


def rows(address: str, version: int) -> int:
    """Rows of an append-only table from its log alone: deletion vectors are not seen, so it is for bronze only."""
    log = DeltaTable(address, version=version, storage_options=storage.for_deltalake(address))
    return int(log.count())
