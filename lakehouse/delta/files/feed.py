"""What commits changed and what a table holds, over Arrow: one reader for what both engines wrote.

Per commit (Delta protocol, "Reading Change Data Files"): its change files alone where it has some, else the files that
came and went, less what vectors hide; of a file that only got another vector, the difference.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap64

from lakehouse.delta.files import parquet, vectors
from lakehouse.delta.tables import features, log
from lakehouse.delta.tables.progress import together
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lakehouse.delta.tables.log import Action, Snapshot

T = TypeVar("T")
CHANGE, VERSION, SIGN = "_change_type", "_commit_version", "_sign"
MOST_KNOWN = 256 << 20  # bytes of changes that are kept
DELETE, INSERT = "delete", "insert"
BEFORE, AFTER = {DELETE, "update_preimage"}, {INSERT, "update_postimage"}


class UnreadableChangesError(LakehouseError):
    """What changed cannot be read: whoever reads the changes computes everything instead."""


@dataclass(frozen=True)
class Written:
    """What commits did: rows that came and rows that went, new files of rows and their bytes, how many commits.

    A row that changed came and went; `changed` counts it once. The counts are None where a log does not say them.
    """

    rows: int | None = 0
    deleted: int | None = 0
    changed: int | None = 0
    files: int = 0
    bytes: int = 0
    commits: int = 0


@dataclass(frozen=True)
class _Part:
    """Rows of one file that one commit changed; `change` is None where the file says it row by row."""

    version: int
    file: Action
    change: str | None
    but: Mapping[str, Any] | None = None  # the vector of rows that are not among them
    among: Mapping[str, Any] | None = None  # the vector of the only rows that are


# Rows -----------------------------------------------------------------------------------------------------------------


def read(
    address: str, version: int | None = None, columns: Sequence[str] | None = None, where: pc.Expression | None = None
) -> pa.Table:
    """The rows of a table at its newest version or another. Raises LakehouseError where there is no table."""
    return pa.concat_tables(of_each_file(address, lambda rows: rows, version, columns, where))


def of_each_file(
    address: str,
    use: Callable[[pa.Table], T],
    version: int | None = None,
    columns: Sequence[str] | None = None,
    where: pc.Expression | None = None,
) -> list[T]:
    """What `use` makes of the rows of each file, and of no rows first; those of few files are in memory at a time."""
    snapshot = _stored(address, version)
    schema = log.schema(snapshot)
    wanted = schema.names if columns is None else list(columns)
    files = snapshot.files.values()
    return [
        use(_none(schema, wanted)),
        *storage.each(lambda file: use(live(address, file, schema, wanted, where)), files, address),
    ]


def _none(schema: pa.Schema, columns: Iterable[str]) -> pa.Table:
    return pa.schema([schema.field(name) for name in columns]).empty_table()


def _stored(address: str, version: int | None) -> Snapshot:
    snapshot = log.snapshot(address, version)
    if snapshot is None:
        raise LakehouseError(f"There is no table at {address}. Build it first.")
    features.check_readable(snapshot)
    return snapshot


def live(
    address: str, file: Action, schema: pa.Schema, columns: Sequence[str], where: pc.Expression | None = None
) -> pa.Table:
    """The rows of one file that no vector hides."""
    asked = schema.names if where is not None else columns
    rows = _all_but(parquet.read(address, file, schema, asked), vectors.read(address, file.get("deletionVector")))
    return rows if where is None else rows.filter(where).select(list(columns))


def _all_but(rows: pa.Table, hidden: BitMap64) -> pa.Table:
    if not hidden:
        return rows
    return rows.take(pa.array(vectors.positions(BitMap64(range(rows.num_rows)) - hidden)))


def changes(address: str, since: int, until: int, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows before and after each change in the versions (since, until], with `_change_type` and `_commit_version`.

    Columns are those of version `until`. Raises UnreadableChangesError where a file is gone or holds other types.
    """
    try:
        return _changes(_stored(address, until), since, columns)
    except LakehouseError as error:
        what = f"The changes of {address} in the versions {since + 1} to {until} cannot be read: {error}"
        raise UnreadableChangesError(what) from error


def signed(address: str, since: int, until: int, columns: Sequence[str]) -> pa.Table:
    """As `changes`; SIGN says of each row whether it came (1) or went (-1)."""
    changed = changes(address, since, until, columns)
    return changed.append_column(SIGN, pc.if_else(pc.is_in(changed[CHANGE], pa.array(sorted(AFTER))), 1, -1))


def difference(address: str, since: int, until: int, columns: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """The rows that only version `since` has, and those that only `until` has: what came and went again is in neither.

    Raises UnreadableChangesError as `changes` does.
    """
    changed = signed(address, since, until, columns)
    return apart(changed.select(list(columns)), changed[SIGN])


def apart(rows: pa.Table, signs: pa.ChunkedArray) -> tuple[pa.Table, pa.Table]:
    """The rows that went (-1) more often than they came (1), and those that came more often."""
    net = rows.append_column(SIGN, signs).group_by(rows.column_names).aggregate([(SIGN, "sum")])
    sums = net[f"{SIGN}_sum"]
    return tuple(net.filter(which).select(rows.column_names) for which in (pc.less(sums, 0), pc.greater(sums, 0)))


class Known:
    """Changes as columns that were read before: several tables read the same, and finding few rows in files takes long.

    Of all that was read the last MOST_KNOWN bytes are kept. Threads may share it.
    """

    def __init__(self) -> None:
        self._rows: OrderedDict[tuple[str, str, int, int], pa.Table] = OrderedDict()
        self._lock = Lock()

    def changes(self, address: str, since: int, until: int, columns: Sequence[str] | None) -> pa.Table:
        """As the function `changes`."""
        found = log.snapshot(address, until)
        if found is None or columns is None:
            return changes(address, since, until, columns)
        key = (address, found.id, since, until)
        with self._lock:
            rows = self._rows.pop(key, None)
        missing = [name for name in columns if rows is None or name not in rows.column_names]
        if rows is None or missing:
            new = changes(address, since, until, missing)
            for name in rows.column_names if rows else ():
                new = new if name in new.column_names else new.append_column(rows.field(name), rows.column(name))
            rows = new
        with self._lock:
            self._rows[key] = rows
            while sum(one.nbytes for one in self._rows.values()) > MOST_KNOWN:
                self._rows.popitem(last=False)
        return rows.select([*columns, CHANGE, VERSION])


def _changes(snapshot: Snapshot, since: int, columns: Sequence[str] | None) -> pa.Table:
    address, schema = snapshot.address, log.schema(snapshot)
    wanted, versions = schema.names if columns is None else list(columns), range(since + 1, snapshot.version + 1)
    commits = storage.each(lambda version: (version, log.actions(address, version)), versions)
    parts = [part for version, done in commits for part in _parts(snapshot, version, done)]
    tables = storage.each(lambda part: _changed(address, part, schema, wanted), parts, address)
    fields = [*(schema.field(name) for name in wanted), pa.field(CHANGE, pa.string()), pa.field(VERSION, pa.int64())]
    return pa.concat_tables([pa.schema(fields).empty_table(), *tables])


def _parts(snapshot: Snapshot, version: int, done: Iterable[Action]) -> Iterator[_Part]:
    """What to read of a commit, and what it means."""
    done = list(done)
    if version > 0 and any("metaData" in action for action in done):
        _check_types(snapshot, log.snapshot(snapshot.address, version - 1))
    if files := [action["cdc"] for action in done if "cdc" in action]:
        yield from (_Part(version, file, None) for file in files)
        return
    came, went = _moved(done, "add"), _moved(done, "remove")
    for path in sorted(came.keys() | went.keys()):
        new, old = came.get(path), went.get(path)
        after, before = ((file or {}).get("deletionVector") for file in (new, old))
        if new is None:
            yield _Part(version, _whole(snapshot, version, went[path]), DELETE, but=before)
        elif old is None:
            yield _Part(version, new, INSERT, but=after)
        elif after != before:
            if after:
                yield _Part(version, new, DELETE, but=before, among=after)
            if before:
                yield _Part(version, new, INSERT, but=after, among=before)


def _moved(done: Iterable[Action], kind: str) -> dict[str, Action]:
    return {action[kind]["path"]: action[kind] for action in done if action.get(kind, {}).get("dataChange")}


def _whole(snapshot: Snapshot, version: int, removed: Action) -> Action:
    """A removed file with its partition, which old writers do not repeat."""
    if not snapshot.partition_by or removed.get("partitionValues"):
        return removed
    before = log.snapshot(snapshot.address, version - 1)
    return removed | {"partitionValues": before.files[removed["path"]].get("partitionValues") if before else {}}


def _check_types(now: Snapshot, before: Snapshot | None) -> None:
    """A column that had another type within these versions has values that no reader of today's type can take."""
    then = {one.name: one.type for one in log.schema(before)} if before else {}
    for one in log.schema(now):
        if then.get(one.name, one.type) != one.type:
            raise LakehouseError(f"{one.name} was {then[one.name]} then, and is {one.type} in version {now.version}.")


def _changed(address: str, part: _Part, schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    if part.change is None:
        said = pa.schema([*schema, pa.field(CHANGE, pa.string())])
        rows = parquet.read(address, part.file, said, [*columns, CHANGE])
    elif part.among is not None:
        # A vector mostly grows: no row of the old one came back.
        which = vectors.read(address, part.among) - vectors.read(address, part.but)
        some = vectors.positions(which)
        rows = parquet.read(address, part.file, schema, columns, only=some) if which else _none(schema, columns)
    else:
        rows = _all_but(parquet.read(address, part.file, schema, columns), vectors.read(address, part.but))
    if part.change is not None:
        rows = rows.append_column(pa.field(CHANGE, pa.string()), pa.repeat(pa.scalar(part.change), rows.num_rows))
    return rows.append_column(pa.field(VERSION, pa.int64()), pa.repeat(pa.scalar(part.version), rows.num_rows))


# Counts ---------------------------------------------------------------------------------------------------------------


def written(address: str, since: int, until: int) -> Written | None:
    """What the versions in (since, until] did; None where one of their log files is gone or damaged.

    Rows that were only rearranged did not change. Counted from change files, else from the files that came and went,
    less the rows that vectors hide: operationMetrics have other names for each statement.
    """
    try:
        done = storage.each(lambda version: log.actions(address, version), range(since + 1, until + 1))
    except log.UNREADABLE:
        return None
    commits = storage.each(lambda one: _counted(address, one), done, address)
    return Written(
        rows=together(one.rows for one in commits),
        deleted=together(one.deleted for one in commits),
        changed=together(one.changed for one in commits),
        files=sum(one.files for one in commits),
        bytes=sum(one.bytes for one in commits),
        commits=len(commits),
    )


def _counted(address: str, done: Sequence[Action]) -> Written:
    added, removed = _moved(done, "add"), _moved(done, "remove")
    if log.is_retention(done):  # the rows that its new files hold were there before
        left, there = (together(_rows(address, file) for file in files.values()) for files in (added, removed))
        return Written(0, _minus(there, left), 0, commits=1)
    new = [file for path, file in added.items() if path not in removed]
    if files := [action["cdc"] for action in done if "cdc" in action]:
        came, went = _counted_row_by_row(address, files)
    else:
        gone = [file for path, file in removed.items() if path not in added]
        moved = [_minus(_rows(address, removed[path]), _rows(address, added[path])) for path in added.keys() & removed]
        lost, back = ([_most(count, sign) for count in moved] for sign in (1, -1))
        came = together([*(_rows(address, file) for file in new), *back])
        went = together([*(_rows(address, file) for file in gone), *lost])
    changed = None if came is None or went is None else max(came, went)
    return Written(came, went, changed, len(new), sum(file["size"] for file in new), 1)


def _counted_row_by_row(address: str, files: Iterable[Action]) -> tuple[int | None, int | None]:
    schema = pa.schema([(CHANGE, pa.string())])
    try:
        kinds = [parquet.read(address, file, schema).column(CHANGE) for file in files]
    except storage.MissingFileError:
        return None, None
    said = [one for kind in kinds for one in pc.value_counts(kind).to_pylist()]
    return tuple(sum(one["counts"] for one in said if one["values"] in side) for side in (AFTER, BEFORE))


def _rows(address: str, file: Action) -> int | None:
    """The rows that one sees of a file; None where neither the log nor the file says how many it has."""
    try:
        rows = parquet.rows_in(address, file)
    except storage.MissingFileError:
        return None
    return rows - int((file.get("deletionVector") or {}).get("cardinality", 0))


def _minus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one - other


def _most(count: int | None, sign: int) -> int | None:
    return None if count is None else max(0, count * sign)
