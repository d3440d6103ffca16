"""Rows that leave a table: where they stand, and the actions that hide them or take their files.

A file that has a vector is never removed bare (delta-rs's change feed is wrong then): it stays, with all rows hidden.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap64

from lakehouse.delta.files import parquet, vectors
from lakehouse.delta.tables import log, progress
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lakehouse.delta.tables.log import Action, Snapshot

PLACE = "_place"


@dataclass(frozen=True)
class Touched:
    """A file of which rows leave: `rows` it has in all, which were hidden `before`, which are `after`."""

    file: Action
    rows: int
    before: BitMap64
    after: BitMap64

    @property
    def left(self) -> int:
        return self.rows - len(self.after)

    @property
    def partition(self) -> frozenset[tuple[str, str | None]]:
        return frozenset((self.file.get("partitionValues") or {}).items())


def find(stored: Snapshot, schema: pa.Schema, keys: pa.Table) -> list[Touched]:
    """The files that hold rows of these units, and where; read are the unit's columns of files that may hold some."""
    known = [name for name in keys.column_names if not keys.column(name).null_count]
    values = {name: sorted(keys.column(name).unique().to_pylist()) for name in known}
    candidates = [file for file in stored.files.values() if _may_hold(file, values, schema)]
    found = storage.each(lambda file: _touched(stored.address, file, schema, keys), candidates, stored.address)
    return [one for one in found if one]


def _touched(address: str, file: Action, schema: pa.Schema, keys: pa.Table) -> Touched | None:
    rows = parquet.read(address, file, schema, keys.column_names)
    if _is_used_up(file, rows.num_rows):
        return None
    hits = BitMap64(places_of(keys, rows).to_numpy())
    hidden = vectors.read(address, file.get("deletionVector"))
    return Touched(file, rows.num_rows, hidden, hits | hidden) if hits - hidden else None


def places_of(keys: pa.Table, rows: pa.Table) -> pa.Array:
    """The places of the rows whose values are among the keys; null is a value like any other."""
    return _places_of(keys, rows.select(keys.column_names).append_column(PLACE, pa.array(np.arange(rows.num_rows))))


def _places_of(keys: pa.Table, placed: pa.Table) -> pa.Array:
    if not keys.column_names:
        return placed.column(PLACE).combine_chunks()
    empty = next((name for name in keys.column_names if keys.column(name).null_count), None)
    if empty is None:
        return placed.join(keys, keys.column_names, join_type="left semi").column(PLACE).combine_chunks()
    # Arrow's joins take no null for another: keys with one are looked for among the rows that have none there either.
    without, rest = (keys.filter(of(keys.column(empty))) for of in (pc.is_null, pc.is_valid))
    nulls = placed.filter(pc.is_null(placed.column(empty)))
    return pa.concat_arrays([_places_of(without.drop_columns([empty]), nulls), _places_of(rest, placed)])


def _may_hold(file: Action, values: Mapping[str, list[Any]], schema: pa.Schema) -> bool:
    """Whether, by its partition and its bounds, some unit's values can be in the file; in doubt they can."""
    constant = file.get("partitionValues") or {}
    for name, sought in values.items():
        low, high = _bounds(file, name, schema.field(name).type)
        if low is None and name in constant:
            return False
        if low is None or high is None:
            continue
        nearest = bisect_left(sought, low)
        if nearest == len(sought) or sought[nearest] > high:
            return False
    return True


def may_be_within(file: Action, name: str, kind: pa.DataType, least: Any, most: Any) -> bool:  # noqa: ANN401
    """Whether a row of the file can have a value from the least to the most; in doubt it can, and null is none."""
    low, high = _bounds(file, name, kind)
    if low is None and name in (file.get("partitionValues") or {}):
        return False
    return low is None or high is None or (low <= most and high >= least)


def _bounds(file: Action, name: str, kind: pa.DataType) -> tuple[Any, Any]:
    """The least and the greatest value of a column in a file, as the log says; None where it does not."""
    constant = file.get("partitionValues") or {}
    if name in constant:
        return (parquet.value(constant[name], kind).as_py(),) * 2
    said = json.loads(file.get("stats") or "{}")
    low, high = (_bound((said.get(side) or {}).get(name), kind) for side in ("minValues", "maxValues"))
    return low, high


def _bound(said: Any, kind: pa.DataType) -> Any:  # noqa: ANN401
    """A stored bound as a value that compares as the column's do; None for types whose bounds are not whole."""
    if pa.types.is_integer(kind) and isinstance(said, int):
        return said
    if pa.types.is_string(kind) and isinstance(said, str):
        return said  # cut off or raised where it is long, in the order of code points, which is that of UTF-8
    if pa.types.is_date32(kind) and isinstance(said, str):
        try:
            return date.fromisoformat(said)
        except ValueError:
            return None
    return None


def left_out(
    stored: Snapshot, files: Sequence[Action], schema: pa.Schema, partition_by: tuple[str, ...], *, has_vectors: bool
) -> list[Action]:
    """These files leave a table that then is as said; one with a vector by hiding all its rows.

    Not where the table loses its vectors or its partitions, nor where a column goes or changes its type: a reader would
    open the hidden file by the new schema. Nor where the file is lost. Then it leaves bare, and its changes can not be
    read anyway.
    """
    kept = {one.name: one.type for one in schema}
    is_bare = not has_vectors or stored.partition_by != partition_by
    is_bare = is_bare or any(kept.get(one.name) != one.type for one in log.schema(stored))
    hidden = {} if is_bare else {file["path"]: file for file in files if file.get("deletionVector")}
    for path in progress.lost_files(stored) if hidden else ():
        hidden.pop(path, None)
    bare = [remove(file) for file in files if file["path"] not in hidden]
    whole = [_whole(stored.address, file) for file in hidden.values()]
    return [*bare, *hide(stored.address, [one for one in whole if not _is_used_up(one.file, one.rows)])]


def _whole(address: str, file: Action) -> Touched:
    rows = parquet.rows_in(address, file)
    return Touched(file, rows, BitMap64(), all_of(rows))


def _is_used_up(file: Action, rows: int) -> bool:
    """Whether all rows of the file were hidden before."""
    return bool((file.get("deletionVector") or {}).get("cardinality") == rows)


def hide(address: str, touched: Sequence[Touched]) -> list[Action]:
    """The rows leave by vectors; a file without one of which nothing is left leaves itself."""
    hidden = [one for one in touched if one.left or one.file.get("deletionVector")]
    descriptors = vectors.write(address, [one.after for one in hidden])
    again = [
        dict(one.file)
        | {"dataChange": True, "stats": parquet.loosened(one.file, one.rows), "deletionVector": descriptor}
        for one, descriptor in zip(hidden, descriptors, strict=True)
    ]
    return [*(remove(one.file) for one in touched), *({"add": file} for file in again)]


def remove(file: Action) -> Action:
    said = {name: file[name] for name in ("partitionValues", "size", "tags", "deletionVector") if file.get(name)}
    rows = parquet.parsed(file).get("numRecords")
    counted = {} if rows is None else {"stats": json.dumps({"numRecords": rows}, separators=(",", ":"))}
    begin = {
        "path": file["path"],
        "deletionTimestamp": int(time.time() * 1000),
        "dataChange": True,
        "extendedFileMetadata": True,
    }
    return {"remove": begin | {"partitionValues": {}} | said | counted}


def all_of(rows: int) -> BitMap64:
    return BitMap64(range(rows))
