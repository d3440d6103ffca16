"""Data files of a table: written from Arrow, read back as the log describes them, and described for the log.

Bounds are exact or absent: a reader that skips a file by a wrong one loses rows in silence. Partition columns are not
in our files; delta-spark keeps them in its own, and what the log says counts.
"""

from __future__ import annotations

import json
import math
import re
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.delta.tables import log, types
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lakehouse.delta.tables.log import Action

LARGEST = 400_000  # rows of a file: its deletion vector then stays below 64 KB (vectors.LARGEST)
WITH_BOUNDS = 32  # columns; Delta's own default
LONGEST_TEXT = 32  # characters of a bound
AFTER_ALL_TEXT = "\U0010ffff"  # the last character: a prefix with it behind comes after every text with that prefix
OF_NO_PATH = re.compile(r"""[\x00-\x1f\x7f"#%'*/:=?\\{\[\]^]""")
NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
MANY_DIGITS = 60  # no decimal has them, a double may
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  in UTC, or in no zone at all
UTC_TIME = pa.timestamp("us", "UTC")
INT96 = {"coerce_int96_timestamp_unit": "us"}  # Spark's timestamps


# Written --------------------------------------------------------------------------------------------------------------


def write(address: str, rows: pa.Table, partition_by: Sequence[str] = (), folder: str = "") -> list[Action]:
    """Store rows as new files of at most 400,000; their `add` actions. No rows make no file."""
    pieces = [
        (values, part.slice(start, LARGEST))
        for values, part in split(rows, partition_by)
        for start in range(0, part.num_rows, LARGEST)
    ]
    return storage.each(lambda piece: _write(address, piece[0], piece[1], folder), pieces, address)


def _write(address: str, values: dict[str, str | None], rows: pa.Table, folder: str) -> Action:
    path = "/".join([folder, *folders(values), f"part-{uuid4()}.snappy.parquet"]).lstrip("/")
    content = pa.BufferOutputStream()
    pq.write_table(
        rows,
        content,
        compression="snappy",
        store_decimal_as_integer=True,
        coerce_timestamps="us",
        store_schema=False,
        write_page_checksum=True,
    )
    data = content.getvalue()
    storage.put(address, path, data)
    return _add(path, values, data.size, statistics(rows), log.crc(data))


def folders(values: Mapping[str, str | None]) -> list[str]:
    """`name=value` of each partition column."""
    return [f"{name}={_in_a_path(text)}" for name, text in values.items()]


def _in_a_path(text: str | None) -> str:
    """As Spark and Hive do it: the log says the values, but Polars believes the path.

    Where the log must write the path with `%`, Polars misses vectors, and delta-rs's feed finds no file.
    """
    return NULL_FOLDER if text is None else OF_NO_PATH.sub(lambda found: f"%{ord(found[0]):02X}", text)


def adopt(address: str, files: Mapping[str, Mapping[str, str | None]], schema: pa.Schema) -> list[Action]:
    """Files of this machine, each with its partition's values, as files of the table; their `add` actions.

    A folder gets them by links where it can, and has them on the disk when this returns. Raises LakehouseError where a
    file has other columns than the schema.
    """
    return storage.each(lambda pair: _adopt(address, pair[0], dict(pair[1]), schema), files.items(), address)


def _adopt(address: str, file: str, values: dict[str, str | None], schema: pa.Schema) -> Action:
    path = "/".join([*folders(values), f"part-{uuid4()}.snappy.parquet"])
    stats = _of_footer(file, schema, values)
    with pa.memory_map(file) as source:
        content = source.read_buffer()
        size, checksum = content.size, log.crc(content)
        if storage.is_s3(address):
            storage.put(address, path, content)
    if not storage.is_s3(address):
        storage.link(address, path, file)
    return _add(path, values, size, stats, checksum)


def _add(path: str, values: Mapping[str, str | None], size: int, stats: str, checksum: str) -> Action:
    return {
        "path": quote(path, safe="/=-_.~!$&'()*+,;@"),
        "partitionValues": dict(values),
        "size": size,
        "modificationTime": int(time.time() * 1000),
        "dataChange": True,
        "stats": stats,
        "tags": {log.CRC: checksum},
    }


def split(rows: pa.Table, partition_by: Sequence[str]) -> Iterator[tuple[dict[str, str | None], pa.Table]]:
    """The rows of each partition in their order, without its columns, and their values as the log writes them."""
    if not partition_by:
        yield {}, rows
        return
    if not rows.num_rows:
        return
    inside = rows.drop_columns(list(partition_by))
    whole = [rows.column(name).combine_chunks().dictionary_encode(null_encoding="encode") for name in partition_by]
    if all(len(one.dictionary) == 1 for one in whole):  # the copy of a file has one partition
        yield {name: _text(name, rows.column(name)[0]) for name in partition_by}, inside
        return
    codes = np.stack([one.indices.to_numpy() for one in whole], axis=1)
    _, first, group = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(group.ravel()))
    for example, start, end in zip(first, [0, *ends[:-1]], ends, strict=True):
        values = {name: _text(name, rows.column(name)[int(example)]) for name in partition_by}
        yield values, inside.take(pa.array(order[start:end]))


def _text(name: str, value: pa.Scalar) -> str | None:
    """A partition's value as the log writes it; a timestamp as Spark's newest writer does, which says its zone."""
    if not value.is_valid:
        return None
    if pa.types.is_string(value.type) and value.as_py() == "":
        raise LakehouseError(
            f"The column {name} divides the table into partitions and holds an empty text, which Delta would read as "
            "null. Let the build say null, or take the column out of `partition_by`."
        )
    text = str(value.cast(pa.string()).as_py())
    return text.replace(" ", "T") if value.type == UTC_TIME else text


def value(text: str | None, kind: pa.DataType) -> pa.Scalar:
    """The inverse: a partition's value, which Delta writes in two ways where it is a timestamp. Empty is null."""
    if not text:
        return pa.scalar(None, kind)
    if kind == UTC_TIME:
        text = f"{text.removesuffix('Z')}Z"
    return pa.scalar(text).cast(kind)


# Described ------------------------------------------------------------------------------------------------------------


def statistics(rows: pa.Table) -> str:
    """An `add` action's `stats`: rows, nulls and bounds of the first columns that are no lists, maps or structs."""
    columns = rows.column_names[:WITH_BOUNDS]
    plain = [name for name in columns if not pa.types.is_nested(rows.schema.field(name).type)]
    bounds = {name: found for name in plain if (found := _bounds(rows.column(name)))}
    return _stats(rows.num_rows, bounds, {name: rows.column(name).null_count for name in plain})


def _bounds(column: pa.ChunkedArray) -> tuple[Any, Any] | None:
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_binary(kind) or column.null_count == len(column):
        return None
    if pa.types.is_floating(kind) and pc.any(pc.is_nan(column)).as_py():
        return None
    found = pc.min_max(column)
    if pa.types.is_timestamp(kind):
        return _times(found["min"].value, found["max"].value, "Z" if kind.tz else "")
    try:
        return _said(found["min"].as_py(), found["max"].as_py())
    except (OverflowError, ValueError):  # a date that Python does not know
        return None


def _said(low: Any, high: Any) -> tuple[Any, Any] | None:  # noqa: ANN401
    """Both bounds as JSON has them; None where one cannot be said."""
    if isinstance(low, float):
        if math.isinf(low) or math.isinf(high):
            return None
        return (low or -0.0, high or 0.0)  # of the two zeros, that which is outside
    if isinstance(low, date):
        return low.isoformat(), high.isoformat()
    if isinstance(low, str):
        if len(high) > LONGEST_TEXT:
            if high[LONGEST_TEXT] == AFTER_ALL_TEXT:
                return None
            high = high[:LONGEST_TEXT] + AFTER_ALL_TEXT
        return low[:LONGEST_TEXT], high
    return low, high


def _times(low: int, high: int, zone: str) -> tuple[str, str] | None:
    """Microseconds since 1970 as Delta says bounds, in milliseconds: the lower cut off, the upper rounded up."""
    try:
        whole = [EPOCH + timedelta(milliseconds=ms) for ms in (low // 1000, -(-high // 1000))]
    except OverflowError:
        return None
    return whole[0].isoformat(timespec="milliseconds") + zone, whole[1].isoformat(timespec="milliseconds") + zone


def _stats(rows: int, bounds: Mapping[str, tuple[Any, Any]], nulls: Mapping[str, int]) -> str:
    low = {name: found[0] for name, found in bounds.items()}
    high = {name: found[1] for name, found in bounds.items()}
    said = {"numRecords": rows, "minValues": low, "maxValues": high, "nullCount": nulls, "tightBounds": True}
    return _json(said)


def _json(said: Any) -> str:  # noqa: ANN401
    """Decimals as numbers with all their digits, which json does not write."""
    if isinstance(said, dict):
        return "{" + ",".join(f"{_json(name)}:{_json(one)}" for name, one in said.items()) + "}"
    if isinstance(said, Decimal):
        return format(said, "f") if abs(said.adjusted()) < MANY_DIGITS else str(said)
    return json.dumps(said, ensure_ascii=False)


def parsed(action: Mapping[str, Any]) -> dict[str, Any]:
    """An action's statistics, numbers with all their digits."""
    said: dict[str, Any] = json.loads(action.get("stats") or "{}", parse_float=Decimal, parse_constant=str)
    return said


def loosened(action: Mapping[str, Any], rows: int) -> str:
    """The statistics of a file of which rows are hidden: its bounds still hold, but may be no row's any more."""
    return _json(parsed(action) | {"numRecords": rows, "tightBounds": False})


@storage.asked_again
def rows_in(address: str, action: Mapping[str, Any]) -> int:
    """All rows of a file, hidden ones too: from its statistics, else from its footer."""
    said = parsed(action).get("numRecords")
    if said is not None:
        return int(said)
    with storage.random_access(*storage.located(address, action["path"])) as source:
        return int(pq.read_metadata(source).num_rows)


def _of_footer(path: str, schema: pa.Schema, partition_values: Mapping[str, str | None]) -> str:
    """The statistics of a file that an engine wrote, from its footer alone; a file of other columns is refused.

    No bounds of texts, which writers cut, nor of floats, of which writers leave out NaN.
    """
    with pq.ParquetFile(path, **INT96) as file:
        same_columns(path, file.schema_arrow, schema, partition_values)
        stored, footer = file.schema_arrow, file.metadata
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    names = [footer.schema.column(index).path for index in range(min(WITH_BOUNDS, footer.num_columns))]
    found = {name: [group.column(index).statistics for group in groups] for index, name in enumerate(names)}
    kinds = {one.name: one.type for one in stored if not pa.types.is_nested(one.type)}
    known = {name: parts for name, parts in found.items() if name in kinds and all(parts)}
    bounds = {name: said for name, parts in known.items() if (said := _stored_bounds(parts, kinds[name]))}
    counted = {name: parts for name, parts in known.items() if all(part.has_null_count for part in parts)}
    nulls = {name: sum(part.null_count for part in parts) for name, parts in counted.items()}
    return _stats(footer.num_rows, bounds, nulls)


def of_folders(path: str) -> dict[str, str | None]:
    """The partition values in a file's path, as Hive writes them: market=1/part-0.parquet."""
    named = [folder.split("=", 1) for folder in path.split("/")[:-1] if "=" in folder]
    return {name: None if text == NULL_FOLDER else unquote(text) for name, text in named}


def _stored_bounds(parts: Sequence[Any], kind: pa.DataType) -> tuple[Any, Any] | None:
    is_exact = pa.types.is_integer(kind) or pa.types.is_date32(kind) or pa.types.is_decimal128(kind)
    full = [part for part in parts if part.num_values]  # a group of nulls alone has none
    if not full or not all(part.has_min_max for part in full) or not (is_exact or pa.types.is_timestamp(kind)):
        return None
    try:
        low, high = min(part.min for part in full), max(part.max for part in full)
        if not pa.types.is_timestamp(kind):
            return _said(low, high)
        start, end = (pa.scalar(one, pa.timestamp("us", kind.tz)).value for one in (low, high))
    except (OverflowError, ValueError):
        return None
    return _times(start, end, "Z" if kind.tz else "") if kind.unit == "us" else None


# Read -----------------------------------------------------------------------------------------------------------------


@storage.asked_again
def read(
    address: str,
    action: Mapping[str, Any],
    schema: pa.Schema,
    columns: Iterable[str] | None = None,
    only: np.ndarray[Any, Any] | None = None,
) -> pa.Table:
    """A file's rows in their order, or those at the positions `only`, hidden ones too, as columns of `schema`.

    A column that the file has not is null. Raises storage.MissingFileError where the file is gone, LakehouseError where
    it holds a column in another type.
    """
    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    constant = action.get("partitionValues") or {}
    inside = [name for name in wanted.names if name not in constant]
    root, path = storage.located(address, action["path"])
    with storage.random_access(root, path) as source:
        file = pq.ParquetFile(source, **INT96, page_checksum_verification=True)
        rows = file.metadata.num_rows
        stored = file.read(columns=inside) if inside else pa.table({})
    there = set(stored.column_names)
    arrays = [
        cast(stored.column(one.name), one, f"{root}/{path}")
        if one.name in inside and one.name in there
        else pa.repeat(value(constant.get(one.name), one.type), rows)
        for one in wanted
    ]
    found = pa.table(arrays, schema=wanted)
    # Behind the cast: delta-rs stores texts as views, of which Arrow cannot take some.
    return found if only is None else found.take(pa.array(only))


def conformed(what: str, rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows as the table stores them. Raises LakehouseError where they have other columns."""
    same_columns(what, rows.schema, schema)
    nullable = pa.schema([pa.field(one.name, one.type) for one in schema])
    return pa.table([cast(rows.column(one.name), one, what) for one in schema], schema=nullable)


def same_columns(what: str, given: pa.Schema, promised: pa.Schema, aside: Iterable[str] = ()) -> None:
    """Raises LakehouseError with all that differs in names and types; `aside`: columns that need not be there."""
    got = {one.name: kind_of(one.type) for one in given}
    wanted = {one.name: kind_of(one.type) for one in promised if one.name in got or one.name not in aside}
    if got != wanted or len(got) != len(given):
        more = {name: kind for name, kind in got.items() if wanted.get(name) != kind}
        less = {name: kind for name, kind in wanted.items() if got.get(name) != kind}
        raise LakehouseError(f"{what} holds the columns {more}, promised are {less}. Change the build or the contract.")


def kind_of(kind: pa.DataType) -> str:
    """A type's name in Delta, where it has one; Arrow has three types of a text."""
    if pa.types.is_dictionary(kind):
        return kind_of(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"array<{kind_of(kind.value_type)}>"
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        kind = pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        kind = pa.binary()
    if pa.types.is_timestamp(kind) and kind.tz:
        kind = pa.timestamp(kind.unit, "UTC")
    try:
        return str(types.delta_type(kind))
    except LakehouseError:
        return str(kind)


def cast(column: pa.ChunkedArray, to: pa.Field, where: str) -> pa.ChunkedArray:
    """The column in the table's type, where no value changes; Spark's INT96 timestamps have no zone and are UTC."""
    if column.type == to.type:
        return column
    if kind_of(column.type) == kind_of(to.type) or (
        pa.types.is_timestamp(column.type) and pa.types.is_timestamp(to.type)
    ):
        return column.cast(to.type)
    raise LakehouseError(
        f"{where} holds {to.name} as {column.type}, the table as {to.type}. Rebuild the table whole, or read a version "
        "from before its type changed."
    )
