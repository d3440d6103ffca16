"""Rows on their way to Parquet files of this machine, in bounded memory; delivered files by several processes."""

from __future__ import annotations

import math
import os
import uuid
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError

ROWS_OF_A_GROUP, BYTES_OF_A_GROUP = 100_000, 64 << 20

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    Read = Callable[[Iterable[int]], Iterator[pa.RecordBatch]]


def side_by_side(groups: int, read: Read, schema: pa.Schema, folder: Path, most_rows: int) -> list[str]:
    """The files with the rows of all groups, at most `most_rows` in each.

    By `spawn`, since a fork of a process with threads may hang. Raises LakehouseError where a process was killed.
    """
    processes = min(groups, os.cpu_count() or 1)
    try:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            parts = [pool.submit(_write, read, number, schema, str(folder), most_rows) for number in range(groups)]
            return [path for part in parts for path in part.result()]
    except BrokenProcessPool as error:
        raise LakehouseError(
            "A process that read delivered files ended before it was done: it was killed, perhaps because memory was "
            "used up. Nothing was written; start the run again, with more memory or with fewer new files at a time."
        ) from error


def _write(read: Read, number: int, schema: pa.Schema, folder: str, most_rows: int) -> list[str]:
    """In a process of its own: the rows of one group as files of no more than so many rows."""
    groups = _groups(read([number]), min(most_rows, ROWS_OF_A_GROUP), BYTES_OF_A_GROUP)
    return _files(groups, schema, folder, most_rows)


def _files(groups: Iterable[pa.Table], schema: pa.Schema, folder: str, most_rows: int) -> list[str]:
    """Files of at most so many rows, in these groups, of which one is in memory at a time."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    paths: list[str] = []
    writer: pq.ParquetWriter | None = None
    room = 0
    for group in groups:
        if writer is None or group.num_rows > room:
            if writer is not None:
                writer.close()
            paths.append(f"{folder}/{uuid.uuid4().hex}.parquet")
            writer, room = pq.ParquetWriter(paths[-1], schema, compression="snappy", store_schema=False), most_rows
        writer.write_table(group)
        room -= group.num_rows
    if writer is not None:
        writer.close()
    return paths


def _groups(batches: Iterable[pa.RecordBatch], most: int, most_bytes: float = math.inf) -> Iterator[pa.Table]:
    import pyarrow as pa  # noqa: PLC0415

    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        for start in range(0, batch.num_rows, most):
            part = batch.slice(start, most)
            if waiting and sum(one.num_rows for one in waiting) + part.num_rows > most:
                yield pa.Table.from_batches(waiting)
                waiting = []
            waiting.append(part)
            if sum(one.nbytes for one in waiting) > most_bytes:
                yield pa.Table.from_batches(waiting)
                waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def few(groups: int, read: Read, schema: pa.Schema, most: int) -> pa.Table | None:
    """The rows of all groups, read in this process; None, and no more is read, where they have more bytes."""
    import pyarrow as pa  # noqa: PLC0415

    batches, size = list[pa.RecordBatch](), 0
    if not most:
        return None
    for batch in read(range(groups)):
        batches.append(batch)
        size += batch.nbytes
        if size > most:
            return None
    return pa.Table.from_batches(batches, schema)


def together(files: Iterable[str]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    tables = [pq.ParquetFile(file).read() for file in files]
    return pa.concat_tables([one.select(tables[0].column_names) for one in tables])


def columns(file: str) -> list[str]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    return list(pq.read_schema(file).names)


def cut(file: str, most_rows: int) -> list[str]:
    """The file, or its rows in files beside it that have no more than so many; an engine may make larger ones."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    with pq.ParquetFile(file) as whole:
        if whole.metadata.num_rows <= most_rows:
            return [file]
        pieces = _groups(whole.iter_batches(), most_rows)  # one in each file: see native's settings
        return _files(pieces, whole.schema_arrow, str(Path(file).parent), most_rows)
