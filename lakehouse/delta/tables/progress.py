"""What a table's commits say it includes; read from the Delta logs without a JVM (design: rules of progress)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from lakehouse.delta.tables import log
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lakehouse.delta.tables.log import Commit, Snapshot

FORMAT = 2  # of notes: 1 had no number, no engine and no quarantine
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
RESTORE, DELETE = "RESTORE", "DELETE"
REJECTED = "__rejected"

VECTORS = "delta.enableDeletionVectors"
RECENT = 16  # commits that are read first


@dataclass(frozen=True)
class Input:
    """A version of one input: of a table (`id` is Delta's), of a conf file (its hash), or of the ledger (its batch).

    `batch` is the last batch of deliveries in that version, where the input is bronze; `content` what a conf file said,
    as JSON, so that a later run can say what changed.
    """

    version: int | str
    id: str | None = None
    batch: int | None = None
    content: str | None = field(default=None, compare=False)


class Offsets(NamedTuple):
    """What of a topic's partition is included: the committed messages from `first` to before `next`."""

    partition: int
    first: int
    next: int


@dataclass(frozen=True)
class Progress:
    """What one commit includes. `base` is the version of the table itself that the writer had read, -1 for none.

    `engine` names who computed it, with its version; `rejected` is the quarantine that belongs to it. `refused`: the
    sequences of the deliveries that were kept out whole, since too much of them is wrong; `retracted`: of those that
    somebody took back, or such messages; `accepted`: the messages that count although they break a rule, with that.
    `went`: of the files that the turn judged, with their batches, how many rows went where, for a run that ended before
    the ledger said so; none where they were many. `offsets`: of a topic, whose id its input has, by partition which
    offsets it includes.
    """

    table: str
    run: str
    fingerprint: str
    base: int
    inputs: dict[str, Input]
    rejected: Input | None = None
    refused: tuple[str, ...] = ()
    retracted: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    went: tuple[tuple[str, int, Mapping[str, int]], ...] = field(default=(), compare=False)
    engine: str = ""
    offsets: tuple[Offsets, ...] = ()
    format: int = FORMAT

    def to_json(self) -> str:
        said = asdict(self, dict_factory=lambda facts: {k: v for k, v in facts if (k, v) != ("content", None)})
        return json.dumps({"lakehouse": said}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> Progress | None:
        """The note of a commit; None for somebody else's words. What it does not know of a note it leaves out.

        Raises LakehouseError for a note of a later format, whose meaning is not known here.
        """
        try:
            stored = json.loads(text or "{}")["lakehouse"]
            number = stored.setdefault("format", 1)
            if number > FORMAT:
                raise LakehouseError(
                    f"{stored.get('table')} was written by a later lakehouse (its notes have format {number}, this one "
                    f"knows {FORMAT}). Use that version, or a newer one, for this lake."
                )
            inputs = {name: _input(one) for name, one in stored["inputs"].items()}
            rejected = _input(stored["rejected"]) if stored.get("rejected") else None
            known = {one.name: stored[one.name] for one in fields(cls) if one.name in stored}
            lists = {name: tuple(stored.get(name, ())) for name in ("refused", "retracted", "accepted", "went")}
            offsets = {"offsets": tuple(Offsets(*one) for one in stored.get("offsets", ()))}
            return cls(**known | {"inputs": inputs, "rejected": rejected} | lists | offsets)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def _input(stored: Mapping[str, Any]) -> Input:
    return Input(**{one.name: stored[one.name] for one in fields(Input) if one.name in stored})


@dataclass(frozen=True)
class State:
    """A table as it stands. `progress` is None where its commits cannot be trusted; `doubt` then says why.

    `snapshot`: its newest version when that was read, for who asks more of it.
    """

    id: str
    version: int
    progress: Progress | None
    doubt: str = ""
    snapshot: Snapshot | None = field(default=None, compare=False, repr=False)

    @property
    def has_vectors(self) -> bool:
        """Whether its rows may be hidden by deletion vectors."""
        return self.snapshot is not None and self.snapshot.configuration.get(VECTORS) == "true"


def address(root: str, name: str) -> str:
    """Where a table is: its name is its path below the lake's root."""
    return f"{root}/{name.replace('.', '/')}"


def rejected(name: str) -> str:
    """The name of a table's quarantine."""
    return f"{name}{REJECTED}"


def is_quarantine(name: str) -> bool:
    return name.endswith(REJECTED)


def version_at(root: str, name: str, point: Mapping[str, Input]) -> int | None:
    """The table's version at a point of the lake, which says that of every table; None where it was not there then.

    Raises LakehouseError where the table was made anew since, whose versions are others.
    """
    then = point.get(name)
    if then is None:
        return None
    now = log.snapshot(address(root, name))
    if now is None or now.id != then.id:
        raise LakehouseError(
            f"{name} can no longer be read as it was: it is gone, or was made anew since. Read it as it is now, or at "
            "a newer release (`lakehouse releases`)."
        )
    return int(then.version)


def state(address: str, at: int | None = None) -> State | None:
    """The table's newest progress, or that of its version `at`; only maintenance may stand between it and that version.

    The newest commits nearly always tell; a year of them, each a request on S3, is read only where they do not.
    """
    now = log.snapshot(address)
    if now is None or (at is not None and at > now.version):
        return None
    version = now.version if at is None else at
    for most in (1, RECENT, None):
        found = _judge(address, now.id, version, log.history(address, most, until=version))
        is_told = found.progress is not None and (most is None or found.progress.base >= version - most)
        if is_told or most is None or version < most:
            return replace(found, snapshot=now)
    raise AssertionError


def _judge(address: str, identity: str, version: int, commits: list[Commit]) -> State:
    notes = [(one.version, one.operation, Progress.from_json(one.user_metadata)) for one in commits]
    for index, (at, operation, progress) in enumerate(notes):
        if progress is None:
            if _is_harmless(address, at, operation):
                continue
            doubtful = State(identity, version, None, f"somebody else's {operation} made version {at}")
            before = _restored(address, at) if operation == RESTORE else None
            return doubtful if before is None else replace(state(address, before) or doubtful, version=version)
        between = notes[index + 1 : index + at - progress.base]
        foreign = [
            a
            for a, op, other in between
            if (other is None or other.run != progress.run) and not _is_harmless(address, a, op)
        ]
        if foreign:
            return State(identity, version, None, f"version {foreign[0]} came between reading and writing version {at}")
        return State(identity, version, progress)
    return State(identity, version, None, "none of its commits says what it includes")


def _is_harmless(address: str, version: int, operation: str) -> bool:
    """Whether another commit left all that counts alone: maintenance, a comment, a property."""
    return operation in MAINTENANCE or (operation != RESTORE and not _changes_data(address, version, is_news=True))


def _restored(address: str, version: int) -> int | None:
    """The newest version before a RESTORE that holds what it brought back; None where the log no longer tells."""
    wanted, found = held(address, version), None
    for before in range(version):
        try:
            found = before if held(address, before) == wanted else found
        except log.NO_SNAPSHOT:  # cleaned away, or lost
            continue
    return found


def held(address: str, version: int) -> tuple[dict[str, Any], Any]:
    """The files of a version that have rows to see, with their vectors, and its columns."""
    now = log.snapshot(address, version)
    if now is None:
        return {}, ()
    seen = {path: file.get("deletionVector") for path, file in now.files.items() if live_rows(file) != 0}
    return seen, log.columns(now.metadata)


def was_restored(address: str, since: int, now: int) -> bool:
    """Whether a RESTORE stands in (since, now]; what was cleaned away is no answer."""
    commits = log.history(address, now - since, until=now) if now > since else []
    return any(one.operation == RESTORE for one in commits)


def listed(address: str) -> dict[str, int]:
    """What lies below a table's folder, its log too, with the sizes in bytes."""
    return {file.path: file.size for file in storage.list_files(address)}


def lost_files(now: Snapshot | None, there: Mapping[str, int] | None = None) -> list[str]:
    """Files of rows and of vectors that are not below the table's folder any more, or cut, as its log names them.

    `there`: what was `listed` since `now` was read, where it was.
    """
    if now is None or not now.files:
        return []
    address = now.address
    there = listed(address) if there is None else there
    named = [(path, *storage.located(address, path), int(file["size"])) for path, file in now.files.items()]
    vectors = (file["deletionVector"] for file in now.files.values() if file.get("deletionVector"))
    placed = [
        (log.place_of_vector(address, one), int(one.get("offset") or 0) + int(one["sizeInBytes"])) for one in vectors
    ]
    named += [(place[1], *place, size) for place, size in placed if place]
    return sorted({name for name, root, path, size in named if root == address and there.get(path, -1) < size})


def never_landed(address: str, table: str, before: Input | None, now: State) -> bool:
    """Whether all that came to a quarantine since `before`, which its table's note names, is of turns of that table.

    They ended before the table's own commit, so the quarantine counts as it was `before`, which is still there.
    """
    since = -1 if before is None else int(before.version)
    if now.version <= since or (before is not None and before.id != now.id):
        return False
    if before is not None and (not moved(address, since, now.version) or lost_files(log.snapshot(address, since))):
        return False  # it is only maintained, or can no longer be read as it was
    notes = [Progress.from_json(one.user_metadata) for one in log.history(address, now.version - since, now.version)]
    return len(notes) == now.version - since and all(note is not None and note.table == table for note in notes)


def moved(address: str, since: int, now: int) -> bool:
    """Whether a commit in (since, now] is news to who reads the table: one that is gone or damaged counts as such.

    News are other data and another schema; not that rows left of which nothing follows any more.
    """
    return any(_changes_data(address, version, is_news=True) for version in range(now, since, -1))


def changed(address: str, since: int, now: int) -> bool:
    """As `moved`; and rows that left are a change, too."""
    return any(_changes_data(address, version) for version in range(now, since, -1))


def after_maintenance(address: str, since: int) -> int | None:
    """The newest version, which has the rows of `since` in their order of arrival; None where others may have come.

    But for those that left since nothing follows from them: by a DELETE that is no news. -1 is the version of no table.
    """
    stored = log.snapshot(address)
    now = stored.version if stored else -1
    if now == since:
        return now
    commits = log.history(address, now - since, until=now) if 0 <= since < now else []
    is_maintenance = len(commits) == now - since and all(one.operation in {*MAINTENANCE, DELETE} for one in commits)
    return now if is_maintenance and not moved(address, since, now) else None


def written_at(address: str) -> datetime | None:
    """When somebody last did more than maintain the table; None where the log does not tell."""
    for most in (1, RECENT, None):
        written = (one for one in log.history(address, most) if one.operation not in MAINTENANCE)
        if newest := next(written, None):
            return datetime.fromtimestamp(newest.timestamp / 1000, UTC)
    return None


def copied(address: str, base: int) -> str | None:
    """The note of a commit upon `base` that leaves all rows as they are: what the table said before it.

    Of progress that cannot be trusted nothing is said again.
    """
    found, newest = state(address, base), log.history(address, 1, until=base)
    if found and found.progress:
        return replace(found.progress, base=base).to_json()
    said = newest[0].user_metadata if newest else None
    return None if Progress.from_json(said) else said


def _changes_data(address: str, version: int, *, is_news: bool = False) -> bool:
    try:
        actions = log.actions(address, version)
    except log.UNREADABLE:
        return True
    if is_news and log.is_retention(actions):
        return False
    facts = [action.get("add") or action.get("remove") or {} for action in actions]
    if any(fact.get("dataChange") for fact in facts):
        return True
    new = [log.columns(action["metaData"]) for action in actions if "metaData" in action]
    return any(columns != _columns_at(address, version - 1) for columns in new)


def _columns_at(address: str, version: int) -> Any:  # noqa: ANN401  names, types and partitions; None for no table
    try:
        now = log.snapshot(address, version) if version >= 0 else None
    except log.NO_SNAPSHOT:
        return None
    return log.columns(now.metadata) if now else None


def size(address: str) -> int:
    """Bytes of the table's files at its newest version; 0 where there is no table."""
    now = log.snapshot(address)
    return sum(int(file["size"]) for file in now.files.values()) if now else 0


def rows(address: str, version: int) -> int | None:
    """Rows of the table at a version, by its log: those that deletion vectors hide are not there. None: not known."""
    now = log.snapshot(address, version)
    return together(live_rows(file) for file in now.files.values()) if now else 0


def live_rows(file: Mapping[str, Any]) -> int | None:
    """Rows of a file of the log, less those that its vector hides."""
    found = json.loads(file.get("stats") or "{}").get("numRecords")
    return None if found is None else int(found) - int((file.get("deletionVector") or {}).get("cardinality", 0))


def together(counts: Iterable[int | None]) -> int | None:
    """The sum; None where one of them is not known."""
    known = list(counts)
    return None if None in known else sum(one for one in known if one is not None)


def rows_of(root: str, inputs: Mapping[str, Input]) -> int | None:
    """The rows of these inputs in all, by their logs; None where one of them does not say."""
    tables = {name: int(one.version) for name, one in inputs.items() if one.id is not None}
    return together(rows(address(root, name), version) for name, version in tables.items())
