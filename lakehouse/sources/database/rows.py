"""Rows of a query as Parquet files: by COPY, some megabytes at a time, so that memory holds little of them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from psycopg.sql import SQL, Composed
from pyarrow import csv, parquet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from psycopg import Connection, Copy

    from lakehouse.sources.database.columns import Column

BLOCK = 8 << 20  # bytes that are parsed together, and are a row group
BLOCKS = 8  # of a file, which is put and read as a whole


def to_parquet(
    connection: Connection[Any], columns: Sequence[Column], behind: Composed, folder: Path
) -> list[tuple[Path, int]]:
    """Files in this folder, and how many rows each has; at least one. `behind` is the query's end, from its `from` on.

    Raises pa.ArrowInvalid where a value does not fit its column's type.
    """
    selected = SQL(", ").join(one.select for one in columns)
    query = SQL("copy (select {} {}) to stdout (format csv)").format(selected, behind)
    schema = pa.schema([(one.name, one.type) for one in columns])
    files: list[tuple[Path, int]] = []
    # In a savepoint, so that the snapshot outlives a value that does not fit.
    with connection.transaction(), connection.cursor().copy(query) as sent:
        blocks = _blocks(sent)
        while (some := _written(blocks, schema, folder / f"{len(files):06}.parquet"))[1] or not files:
            files.append(some)
    return files


def _written(blocks: Iterator[bytearray], schema: pa.Schema, path: Path) -> tuple[Path, int]:
    """The next blocks as a file."""
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as file:
        for block in islice(blocks, BLOCKS):
            rows = _parsed(block, schema)
            count += rows.num_rows
            file.write_table(rows)
    return path, count


def _blocks(sent: Copy) -> Iterator[bytearray]:
    """Each piece that is sent is a whole row."""
    block = bytearray()
    for row in sent:
        block += row
        if len(block) >= BLOCK:
            yield block
            block = bytearray()
    if block:
        yield block


def _parsed(block: bytearray, schema: pa.Schema) -> pa.Table:
    """Nothing is null, and a quoted nothing an empty text: so COPY writes it."""
    texts = {one.name: pa.string() if pa.types.is_binary(one.type) else one.type for one in schema}
    rows = csv.read_csv(
        pa.BufferReader(block),
        csv.ReadOptions(column_names=schema.names, use_threads=False, block_size=len(block) + 1),
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types=texts,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
    for place, one in enumerate(schema):
        if pa.types.is_binary(one.type):
            rows = rows.set_column(place, one, _bytes(rows[one.name]))
    return rows


def _bytes(written: pa.ChunkedArray) -> pa.Array:
    r"""From `\x01ff`."""
    cells = (None if one is None else bytes.fromhex(one[2:]) for one in written.to_pylist())
    return pa.array(cells, pa.binary())
