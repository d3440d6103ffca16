"""The rows of a file in whatever format its layout says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.readers import csv_records, json_records, records
from lakehouse.readers.typed import parquet, spreadsheet
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lakehouse.readers.records import Batch, Layout


def batches(
    root: str, path: str, layout: Layout, header: tuple[str, ...], names: Sequence[str], content: str = ""
) -> Iterator[Batch]:
    """All rows in order, as arrays: one for each of the header's columns, of JSON one for each different name.

    `names`: what each text of the header is called. `content`: what the file is to hold, where a store can tell.
    """
    if layout.format == records.PARQUET:
        with storage.random_access(root, path) as file:
            yield from records.mark_last(parquet.batches(file, header), layout)
        return
    with storage.open_file(root, path, content) as stream:
        if layout.format == records.SPREADSHEET:
            yield from records.mark_last(spreadsheet.batches(stream, layout, header), layout)
        elif layout.format == records.JSON:
            yield from json_records.json_batches(stream, layout, dict(zip(header, names, strict=True)))
        else:
            yield from csv_records.csv_batches(stream, layout, header)
