"""Delivered files read by several processes of this machine into Parquet files: memory is bounded, cores are used."""

from __future__ import annotations

import os
import uuid
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

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
    import pyarrow.parquet as pq  # noqa: PLC0415

    paths: list[str] = []
    writer: pq.ParquetWriter | None = None
    rows = 0
    for batch in read([number]):
        if writer is None or rows + batch.num_rows > most_rows:
            if writer is not None:
                writer.close()
            paths.append(f"{folder}/{uuid.uuid4().hex}.parquet")
            writer, rows = pq.ParquetWriter(paths[-1], schema, compression="snappy", store_schema=False), 0
        writer.write_batch(batch)
        rows += batch.num_rows
    if writer is not None:
        writer.close()
    return paths
