"""The one committer of native writes: a list of Delta actions becomes version `base + 1`, or nothing happens.

A commit says its changes in one way: by new files and deletion vectors, or by change files that hold all of them.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from lakehouse.delta.commits import leaving
from lakehouse.delta.commits.conflicts import ConflictError
from lakehouse.delta.files import parquet, vectors
from lakehouse.delta.tables import features, log, progress, types
from lakehouse.delta.tables.progress import DELETE, RESTORE, VECTORS
from lakehouse.errors import LakehouseError, is_failure, masked
from lakehouse.store import storage
from lakehouse.store.storage import BrokenOffError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyroaring import BitMap64

    from lakehouse.delta.tables.log import Action, Snapshot

CHECKPOINT_EVERY = 10  # versions
CHANGES = "_change_data"
CHANGE = "_change_type"
PROPERTIES = {
    "delta.enableChangeDataFeed": "true",
    # Progress and time travel are read from the log, so it is kept longer than Delta's 30 days.
    "delta.logRetentionDuration": "interval 400 days",
}


@dataclass(frozen=True)
class Target:
    """What a table is to be; `vectors`: replaced rows are hidden by deletion vectors, else their files are copied."""

    address: str
    schema: pa.Schema
    comments: Mapping[str, str] = field(default_factory=dict)
    partition_by: tuple[str, ...] = ()
    vectors: bool = False
    properties: Mapping[str, str] = field(default_factory=lambda: PROPERTIES)

    @property
    def configuration(self) -> dict[str, str]:
        return dict(self.properties) | ({VECTORS: "true"} if self.vectors else {})


Rows: TypeAlias = "pa.Table | list[Action] | None"  # or the `add` actions of files that are written already


# What a commit is -----------------------------------------------------------------------------------------------------


def commit(  # noqa: PLR0913  what a commit says of itself
    address: str,
    base: int,
    actions: Sequence[Action],
    *,
    operation: str,
    note: str | None,
    metrics: Mapping[str, int] | None = None,
    parameters: Mapping[str, str] | None = None,
    is_blind: bool = False,
) -> int:
    """Write version `base + 1`; its number. Raises ConflictError where another writer has made it."""
    info = {
        "timestamp": _now(),
        "operation": operation,
        "operationParameters": dict(parameters or {}),
        **({"readVersion": base} if base >= 0 else {}),
        "isolationLevel": "Serializable",
        "isBlindAppend": is_blind,
        "operationMetrics": {name: str(value) for name, value in (metrics or {}).items()},
        **({"userMetadata": note} if note is not None else {}),
        "engineInfo": "lakehouse",
        "txnId": str(uuid.uuid4()),
    }
    land(address, base + 1, [{"commitInfo": info}, *actions])
    if base > 0 and (base + 1) % CHECKPOINT_EVERY == 0:
        _checkpoint(address)
    return base + 1


def land(address: str, version: int, actions: Sequence[Action]) -> None:
    """Put the commit where none is; whose it is after a refusal or without an answer, its random `txnId` tells."""
    lines = [json.dumps(action, separators=(",", ":"), ensure_ascii=False) for action in actions]
    content = log.sealed(("\n".join(lines) + "\n").encode())
    ours = actions[0]["commitInfo"]["txnId"]
    storage.patiently(lambda: _land(address, version, content, ours), BrokenOffError)


def _land(address: str, version: int, content: bytes, ours: str) -> None:
    if storage.put_if_absent(address, log.commit_path(version), content):
        return
    try:
        found = log.actions(address, version)
    except LakehouseError as error:  # it is not there, or the store does not answer now either
        raise BrokenOffError(
            f"The store did not say whether version {version} of {address} was written. Start the run again once the "
            "store answers; it goes on from what is there."
        ) from error
    info: Action = next((one["commitInfo"] for one in found if "commitInfo" in one), {})
    if info.get("txnId") != ours:
        raise ConflictError(
            f"Another writer made version {version} of {address} ({info.get('operation')} by {info.get('engineInfo')}) "
            "after it was read here. Nothing was written; start the run again, it reads the new version."
        )


def _checkpoint(address: str) -> None:
    """It only saves reading: the commit before it stands, whatever becomes of it."""
    from deltalake import DeltaTable  # noqa: PLC0415

    try:
        with storage.reachable(address) as place:
            DeltaTable(place, storage_options=storage.for_deltalake(address)).create_checkpoint()
        storage.put(address, log.LAST, log.tagged_checkpoint(address))
    except BaseException as error:
        if not is_failure(error):
            raise
        words = "no checkpoint of %s (%s); the next tenth version tries again"
        logging.getLogger(__name__).warning(words, address, masked(str(error).partition("\n")[0]))


def _now() -> int:
    return int(time.time() * 1000)


# Whole tables, appends, notes -----------------------------------------------------------------------------------------


def overwrite(target: Target, base: int, rows: Rows, note: str | None, operation: str = "WRITE") -> int:
    """All rows leave, these come; `base` -1 makes the table. Schema, comments, partitions become the target's."""
    stored = _stored(target.address, base)
    definition, new = _definition(target, stored), _written(target, rows)
    removed = _removed(target, stored) if stored else []
    actions = [*definition, *removed, *_adds(new)]
    metrics = _metrics(new, numRemovedFiles=sum("remove" in one for one in removed))
    return commit(
        target.address, base, actions, operation=operation, note=note, metrics=metrics, parameters=_mode(target)
    )


def append(
    target: Target,
    base: int,
    rows: Rows,
    note: str | None,
    txn: tuple[str, int] | None = None,
    operation: str = "WRITE",
) -> int:
    """These rows come; new columns join the table at its end. `base` -1 makes the table.

    A version of an app's transaction (`txn`) that the table has seen is not written again: the version stays `base`.
    """
    stored = _stored(target.address, base)
    if stored and txn and stored.txn.get(txn[0], -1) >= txn[1]:
        return base
    definition = _definition(target, stored) if stored is None else _widened(target, stored)
    new = _written(target, rows)
    return commit(
        target.address,
        base,
        [*_seen(txn), *definition, *_adds(new)],
        operation=operation,
        note=note,
        metrics=_metrics(new),
        parameters=_mode(target, "Append"),
        is_blind=True,
    )


def note_only(
    table: Target | str, base: int, note: str | None, operation: str = "WRITE", txn: tuple[str, int] | None = None
) -> int:
    """A commit that changes no row and carries a note. `table`: what it is to be, comments too, or its address."""
    address = table if isinstance(table, str) else table.address
    stored = _stored(address, base)
    actions = _seen(txn) + ([] if stored is None or isinstance(table, str) else _commented(table, stored))
    return commit(
        address, base, actions, operation=operation, note=note, parameters={"mode": "Append", "partitionBy": "[]"}
    )


def restore(
    address: str,
    base: int,
    version: int,
    note: str | None,
    txn: tuple[str, int] | None = None,
    more: Sequence[Action] = (),
) -> int:
    """The table is again what it was at a version: rows, columns, partitions, protocol; at -1 it had no rows.

    Its commits stay, and so do the transactions that it has seen. `more` files come beside what it had. Raises
    LakehouseError, before anything is written, where that version cannot be read any more.
    """
    stored = there(address, _stored(address, base))
    then = replace(stored, files={}) if version < 0 else restorable(address, version)
    kept = {path: file for path, file in then.files.items() if path in stored.files or progress.live_rows(file) != 0}
    back = [file for path, file in kept.items() if not _is_there(stored, path, file)]
    left = [file for path, file in stored.files.items() if path not in kept]
    actions = [
        *_seen(txn),
        *_differing(stored, dict(then.protocol), then.metadata),
        *leaving.left_out(stored, left, log.schema(then), then.partition_by, has_vectors=features.has_vectors(then)),
        *(leaving.remove(stored.files[file["path"]]) for file in back if file["path"] in stored.files),
        *_adds([*(dict(file) | {"dataChange": True} for file in back), *more]),
    ]
    metrics = {"numRestoredFiles": len(back), "numRemovedFiles": sum("remove" in one for one in actions)}
    parameters = {"version": str(version)}
    return commit(address, base, actions, operation=RESTORE, note=note, metrics=metrics, parameters=parameters)


def restorable(address: str, version: int) -> Snapshot:
    """The table at a version. Raises LakehouseError where files of it are gone."""
    then = there(address, log.snapshot(address, version))
    if lost := progress.lost_files(then):
        more = f" (and {len(lost) - 1} more)" if lost[1:] else ""
        raise LakehouseError(
            f"{address} cannot go back to version {version}: {lost[0]}{more} is gone or cut. Bring it back from a "
            "copy, or choose a later version: files that only older ones need are cleaned away in time."
        )
    return then


def there(address: str, found: Snapshot | None) -> Snapshot:
    """What was found of a table that is to be restored. Raises LakehouseError where that is nothing."""
    if found is None:
        raise LakehouseError(f"There is no table at {address} to be restored. Bring its folder back from a copy.")
    return found


def _is_there(stored: Snapshot, path: str, file: Action) -> bool:
    """Whether the table has the file, and hides the same of its rows."""
    return path in stored.files and stored.files[path].get("deletionVector") == file.get("deletionVector")


def _seen(txn: tuple[str, int] | None) -> list[Action]:
    """An app's transaction, with its version, as what the table has seen."""
    return [{"txn": {"appId": txn[0], "version": txn[1], "lastUpdated": _now()}}] if txn else []


def optimize(address: str, base: int, old: Sequence[Action], new: Sequence[Action], note: str | None) -> int:
    """The same rows in other files, as far as vectors do not hide them: no reader of changes sees any."""
    _stored(address, base)
    gone = [{"remove": leaving.remove(file)["remove"] | {"dataChange": False}} for file in old]
    came = [{"add": dict(file) | {"dataChange": False}} for file in new]
    sizes = {"numRemovedBytes": sum(one["size"] for one in old), "numAddedBytes": sum(one["size"] for one in new)}
    metrics = {"numRemovedFiles": len(old), "numAddedFiles": len(new)} | sizes
    parameters = {"predicate": "[]", "zOrderBy": "[]", "auto": "false"}
    return commit(
        address, base, [*gone, *came], operation="OPTIMIZE", note=note, metrics=metrics, parameters=parameters
    )


def remove(address: str, base: int, old: Sequence[Action], new: Sequence[Action], note: str | None) -> int:
    """Rows leave of which nothing follows any more: the `new` files hold what stays of the `old` ones."""
    stored = there(address, _stored(address, base))
    has_vectors = features.has_vectors(stored)
    left = leaving.left_out(stored, old, log.schema(stored), stored.partition_by, has_vectors=has_vectors)
    actions = [*left, *_adds(new)]
    metrics = {"numRemovedFiles": len(old), "numAddedFiles": len(new)}
    parameters = {"predicate": "[]", log.RETENTION: "true"}
    return commit(address, base, actions, operation=DELETE, note=note, metrics=metrics, parameters=parameters)


def set_properties(address: str, base: int, properties: Mapping[str, str], note: str | None) -> int:
    """The table's properties become these, beside those that it has."""
    stored = _stored(address, base)
    metadata = dict(stored.metadata) | {"configuration": stored.configuration | dict(properties)} if stored else {}
    said = {"properties": json.dumps(dict(properties))}
    return commit(address, base, [{"metaData": metadata}], operation="SET TBLPROPERTIES", note=note, parameters=said)


def _stored(address: str, base: int) -> Snapshot | None:
    stored = log.snapshot(address, None if base < 0 else base)
    if stored and base < 0:
        raise ConflictError(
            f"{address} holds a table already, at version {stored.version}; nothing was written. Start the run again."
        )
    if stored is None and base >= 0:
        raise LakehouseError(f"There is no table at {address} any more. Start the run again: it is rebuilt.")
    if stored:
        features.check_writable(stored)
    return stored


def _written(target: Target, rows: Rows) -> list[Action]:
    """The `add` actions of the rows, which are stored now unless they are already."""
    if isinstance(rows, list):
        return rows
    if rows is None:
        return []
    ready = parquet.conformed(f"What is to be written to {target.address}", rows, target.schema)
    return parquet.write(target.address, ready, target.partition_by)


def _adds(files: Sequence[Action]) -> list[Action]:
    return [{"add": file} for file in files]


def _mode(target: Target, mode: str = "Overwrite") -> dict[str, str]:
    return {"mode": mode, "partitionBy": json.dumps(list(target.partition_by), separators=(",", ":"))}


def _metrics(new: Sequence[Action], **more: int) -> dict[str, int]:
    rows = sum(parquet.parsed(file).get("numRecords", 0) for file in new)
    return {"numFiles": len(new), "numOutputRows": rows, "numOutputBytes": sum(one["size"] for one in new), **more}


def _removed(target: Target, stored: Snapshot) -> list[Action]:
    """Everything that is stored leaves."""
    files = list(stored.files.values())
    return leaving.left_out(stored, files, target.schema, target.partition_by, has_vectors=target.vectors)


def _definition(target: Target, stored: Snapshot | None) -> list[Action]:
    """The protocol and metaData actions that make the table the target's; none where it is that already."""
    if any(pa.types.is_timestamp(one.type) and one.type.tz is None for one in target.schema):
        raise LakehouseError(f"A timestamp of {target.address} has no time zone. Let the build say UTC.")
    if missing := [name for name in (*target.partition_by, *target.comments) if name not in target.schema.names]:
        raise LakehouseError(f"{target.address} is described by columns that it has not: {missing}. See its contract.")
    known: Mapping[str, Any] = stored.metadata if stored else {}
    properties = {name: value for name, value in (stored.configuration if stored else {}).items() if name != VECTORS}
    metadata = {
        "id": str(uuid.uuid4()),
        "format": {"provider": "parquet", "options": {}},
        "createdTime": _now(),
        **known,
        "schemaString": types.schema_text(target.schema, target.comments),
        "partitionColumns": list(target.partition_by),
        "configuration": properties | target.configuration,
    }
    return _differing(stored, features.protocol(stored, has_vectors=target.vectors), metadata)


def _differing(stored: Snapshot | None, protocol: Action, metadata: Mapping[str, Any]) -> list[Action]:
    """The protocol and metaData actions of what is not stored like that already."""
    known: Mapping[str, Any] = stored.metadata if stored else {}
    actions = [] if stored and features.is_same(protocol, stored.protocol) else [{"protocol": protocol}]
    same = known and all(_value(known, key) == _value(metadata, key) for key in ("schemaString", "configuration"))
    if not same or list(known.get("partitionColumns") or ()) != list(metadata.get("partitionColumns") or ()):
        actions.append({"metaData": dict(metadata)})
    return actions


def _value(metadata: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401
    return json.loads(metadata[key]) if key == "schemaString" else dict(metadata.get(key) or {})


def _widened(target: Target, stored: Snapshot) -> list[Action]:
    """The table's schema with the target's new columns, where there are some."""
    known = {one.name: one.type for one in log.schema(stored)}
    new = [one for one in target.schema if one.name not in known]
    _check_same(target, stored, {one.name for one in target.schema} & known.keys())
    if not new:
        return []
    text = json.loads(stored.metadata["schemaString"])
    text["fields"] += json.loads(types.schema_text(pa.schema(new), target.comments))["fields"]
    schema = json.dumps(text, separators=(",", ":"), ensure_ascii=False)
    return [{"metaData": dict(stored.metadata) | {"schemaString": schema}}]


def _commented(target: Target, stored: Snapshot) -> list[Action]:
    """The table's schema with the target's comments, where it has others."""
    if not (new := log.other_comments(stored, target.comments)):
        return []
    text = json.loads(stored.metadata["schemaString"])
    for one in text["fields"]:
        if one["name"] in new:
            one["metadata"] = {**(one.get("metadata") or {}), "comment": new[one["name"]]}
    schema = json.dumps(text, separators=(",", ":"), ensure_ascii=False)
    return [{"metaData": dict(stored.metadata) | {"schemaString": schema}}]


def _check_same(target: Target, stored: Snapshot, names: Iterable[str]) -> None:
    """Raises LakehouseError where these columns are stored in other types, or not at all, or other partitions are."""
    wanted, known = ({one.name: one.type for one in schema} for schema in (target.schema, log.schema(stored)))
    other = [
        f"{name}: {known.get(name)} is stored, {wanted.get(name)} is to be written"
        for name in sorted(names)
        if known.get(name) != wanted.get(name)
    ]
    if stored.partition_by != target.partition_by:
        other.append(f"partitions: {list(stored.partition_by)} are stored")
    if other:
        raise LakehouseError(
            f"{target.address} has other columns than those to be written ({'; '.join(other)}). A column does not "
            "change its type in place: rebuild the table whole."
        )


# Units ----------------------------------------------------------------------------------------------------------------


def replace_units(
    target: Target, base: int, unit: Sequence[str], changed: Rows, gone: pa.Table | None, note: str | None
) -> int:
    """All stored rows of the units in `changed` and `gone` leave, the rows of `changed` come, in one commit.

    By deletion vectors, or by copying the touched files without those rows, with change files.
    """
    stored = _stored(target.address, base)
    if stored is None:
        raise LakehouseError(
            f"There is no table at {target.address}, so nothing can be replaced in it. Write it whole first."
        )
    _check_same(target, stored, {*target.schema.names, *log.schema(stored).names})
    if isinstance(changed, pa.Table):
        changed = parquet.conformed(f"What is to be written to {target.address}", changed, target.schema)
    keys = _keys(target, unit, changed, gone)
    touched = leaving.find(stored, target.schema, keys) if keys.num_rows else []
    tactic = _by_vectors if target.vectors and features.has_vectors(stored) else _by_copies
    new, actions = tactic(target, touched, changed)
    deleted = sum(len(one.after) - len(one.before) for one in touched)
    return commit(
        target.address,
        base,
        actions,
        operation="WRITE",
        note=note,
        metrics=_metrics(new, numDeletedRows=deleted),
        parameters=_mode(target) | {"replaceUsingCols": f"({','.join(unit)})"},
    )


def _keys(target: Target, unit: Sequence[str], changed: Rows, gone: pa.Table | None) -> pa.Table:
    """The different units of both."""
    schema = pa.schema([target.schema.field(name) for name in unit])
    parts = [schema.empty_table()]
    if isinstance(changed, pa.Table):
        parts.append(changed.select(list(unit)))
    elif changed:
        parts += [parquet.read(target.address, file, target.schema, unit) for file in changed]
    if gone is not None:
        parts.append(parquet.conformed(f"The units that leave {target.address}", gone.select(list(unit)), schema))
    keys = pa.concat_tables(parts).cast(schema)
    return keys.group_by(list(unit), use_threads=False).aggregate([])


def _by_vectors(target: Target, touched: list[leaving.Touched], changed: Rows) -> tuple[list[Action], list[Action]]:
    """New files and vectors. A file whose vector would be too large to read is copied, and hidden whole."""
    new, hidden = _written(target, changed), []
    for one in touched:
        is_large = vectors.is_too_large(one.after)
        new = [*new, *(parquet.write(target.address, _rest(target, one), target.partition_by) if is_large else ())]
        hidden.append(replace(one, after=leaving.all_of(one.rows)) if is_large else one)
    return new, [*_adds(new), *leaving.hide(target.address, hidden)]


def _by_copies(target: Target, touched: list[leaving.Touched], changed: Rows) -> tuple[list[Action], list[Action]]:
    """The touched files without the rows that leave, and change files with those and the new ones.

    New rows join the smallest copy of their partition, so that small commits make no small files.
    """
    if not touched:
        new = _written(target, changed)
        return new, _adds(new)
    came = changed if isinstance(changed, pa.Table) else _rows_of(target, changed or [])
    waiting = dict(_by_partition(target, came)) if isinstance(changed, pa.Table) else {}
    pairs = []
    for one in sorted(touched, key=lambda one: one.left):
        fitting = waiting.get(one.partition)
        fits = fitting is not None and one.left + fitting.num_rows <= parquet.LARGEST
        pairs.append((one, waiting.pop(one.partition) if fits else target.schema.empty_table()))
    copies = storage.each(lambda pair: _copied(target, pair[0], pair[1]), pairs, target.address)
    new = [*(changed if isinstance(changed, list) else []), *(file for _, files in copies for file in files)]
    new += [file for rows in waiting.values() for file in parquet.write(target.address, rows, target.partition_by)]
    changes = pa.concat_tables([*(_named(rows, "delete") for rows, _ in copies), _named(came, "insert")])
    said = [
        {"path": file["path"], "partitionValues": file["partitionValues"], "size": file["size"], "dataChange": False}
        for file in parquet.write(target.address, changes, target.partition_by, CHANGES)
    ]
    return new, [*(leaving.remove(one.file) for one in touched), *_adds(new), *({"cdc": file} for file in said)]


def _copied(target: Target, one: leaving.Touched, more: pa.Table) -> tuple[pa.Table, list[Action]]:
    """The rows that leave the file, and the files of those that stay, with more rows of its partition."""
    rows = parquet.read(target.address, one.file, target.schema)
    leave, stay = (rows.take(pa.array(vectors.positions(which))) for which in (one.after - one.before, _staying(one)))
    return leave, parquet.write(target.address, pa.concat_tables([stay, more]), target.partition_by)


def _by_partition(target: Target, rows: pa.Table) -> Iterator[tuple[frozenset[tuple[str, str | None]], pa.Table]]:
    """The rows by the values of their partition, all columns."""
    placed = rows.append_column(leaving.PLACE, pa.array(np.arange(rows.num_rows)))
    for values, part in parquet.split(placed, target.partition_by):
        if part.num_rows:
            yield frozenset(values.items()), rows.take(part.column(leaving.PLACE))


def _rows_of(target: Target, files: Sequence[Action]) -> pa.Table:
    parts = [parquet.read(target.address, file, target.schema) for file in files]
    return pa.concat_tables(parts) if parts else target.schema.empty_table()


def _rest(target: Target, one: leaving.Touched) -> pa.Table:
    """What still stands in the file."""
    return parquet.read(target.address, one.file, target.schema, only=vectors.positions(_staying(one)))


def _staying(one: leaving.Touched) -> BitMap64:
    return leaving.all_of(one.rows) - one.after


def _named(rows: pa.Table, change: str) -> pa.Table:
    return rows.append_column(CHANGE, pa.repeat(pa.scalar(change), rows.num_rows))
