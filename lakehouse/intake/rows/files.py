"""Delivered files as rows of text, read where the engine says: nothing is guessed or dropped."""

from __future__ import annotations

import heapq
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from lakehouse.delta.tables.types import arrow_schema
from lakehouse.errors import LakehouseError
from lakehouse.intake.deliveries import fetched
from lakehouse.readers import csv_records, records
from lakehouse.readers.columns import AS_MEANT, DEFUSED, OF_CORRECTIONS
from lakehouse.readers.rows import batches
from lakehouse.readers.typed import parquet
from lakehouse.store import archives, storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from pyspark.sql import DataFrame

    from lakehouse.contract import Contract
    from lakehouse.engines.protocol import Engine
    from lakehouse.intake.records.ledger import Delivery, Entry
    from lakehouse.readers.records import Batch

CORE_COLUMNS: Mapping[str, str] = {
    "_file": "string",
    "_row": "bigint",
    "_batch": "bigint",
    "_sequence": "string",
    "_delivered_at": "timestamp",
    "_is_last": "boolean",
    "_problem": "string",
    "_raw": "string",
}
RESCUED = "_rescued"
ROWS_AT_ONCE = 8192
BYTES_AT_ONCE = 32 << 20


@dataclass(frozen=True)
class Delivered:
    """The rows of a batch of files; their columns with their types, and what each was called when it was delivered."""

    rows: DataFrame
    types: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Work:
    """What a worker needs: where the files are, how to reach them, and the columns that all files together have."""

    root: str
    environment: Mapping[str, str] = field(repr=False)  # the account at the store
    schema: pa.Schema
    rescued: frozenset[str]
    groups: Sequence[Sequence[Entry]]


def rows(engine: Engine, root: str, contract: Contract, batch: list[Entry]) -> Delivered:
    """All rows of the batch: CORE_COLUMNS, the contract's columns, then those of the files that it does not name.

    `_row` counts a file's records from 1, without the header. `_problem` is one of contract.PROBLEMS where a record is
    not what its file announces; `_raw` then has its text. A column is null where its file has no such column.
    """
    texts: dict[str, list[str]] = {}
    for entry in batch:
        for text, name in entry.delivery.columns.items():
            if text not in texts.setdefault(name, []):
                texts[name].append(text)
    mode = contract.source.unknown_columns if contract.source else "add"
    known = {*contract.columns, *OF_CORRECTIONS}
    rescued = frozenset(name for name in texts if mode == "rescue" and name not in known)
    types = _types(contract, batch, [name for name in texts if name not in rescued])
    types |= {RESCUED: "string"} if mode == "rescue" else {}
    groups = _groups(batch, 2 * engine.parallelism)
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    work = Work(root, environment, arrow_schema(types), rescued, groups)
    headers = {name: " or ".join(found) for name, found in texts.items() if name in types}
    return Delivered(engine.delivered(len(groups), partial(_read, work), work.schema), types, headers)


def _types(contract: Contract, batch: list[Entry], columns: list[str]) -> dict[str, str]:
    """What a path says is a number, unless other deliveries say it as text; whatever a file says is text."""
    parts = {part for entry in batch for part in entry.delivery.parts}
    promised = {name: column.type for name, column in contract.columns.items()}
    return {**CORE_COLUMNS, **dict.fromkeys(sorted(parts), "int"), **promised, **dict.fromkeys(columns, "string")}


def _groups(batch: list[Entry], most: int) -> list[list[Entry]]:
    """Files of about the same number of bytes together: the largest first, each to the group that has least.

    So that thousands of small files cost no more than a few large ones.
    """
    groups: list[list[Entry]] = [[] for _ in range(min(most, len(batch)))]
    sizes = [(0, place) for place in range(len(groups))]
    for entry in sorted(batch, key=lambda one: one.delivery.size, reverse=True):
        size, place = heapq.heappop(sizes)
        groups[place].append(entry)
        heapq.heappush(sizes, (size + entry.delivery.size, place))
    return groups


def _read(work: Work, numbers: Iterable[int]) -> Iterator[pa.RecordBatch]:
    """In a worker: the rows of the groups with these numbers, in batches of a useful size."""
    import pyarrow as pa  # noqa: PLC0415

    os.environ.update(work.environment)  # the driver's identity at the store
    kinds = {field.name: field.type for field in work.schema}
    waiting, rows, size = list[pa.RecordBatch](), 0, 0
    for group in (work.groups[number] for number in numbers):
        for entry in group:
            with _as_claimed(work, entry):
                for part in _rows_of(work, kinds, entry):
                    if waiting and (rows + part.num_rows > ROWS_AT_ONCE or size + part.nbytes > BYTES_AT_ONCE):
                        yield pa.concat_batches(waiting)
                        waiting, rows, size = [], 0, 0
                    waiting.append(part)
                    rows, size = rows + part.num_rows, size + part.nbytes
    if waiting:
        yield pa.concat_batches(waiting)


@contextmanager
def _as_claimed(work: Work, entry: Entry) -> Iterator[None]:
    """What the run claimed is what it loads: a file that is another by now, or gone, is the next run's."""
    path, what = entry.delivery.path, ""
    try:
        yield
        what = "" if fetched.is_still(work.root, entry.delivery) else "was replaced"
    except (records.UnreadableError, records.HalfWrittenError):
        what = "was replaced"
    except storage.MissingFileError:
        what = "was replaced or taken away"
    if what:
        raise LakehouseError(f"{path} {what} while it was loaded. Start the run again.")


def _rows_of(work: Work, kinds: Mapping[str, pa.DataType], entry: Entry) -> Iterator[pa.RecordBatch]:
    """A delivery's records in the columns that all files of the batch have together; `kinds` are their types."""
    import pyarrow as pa  # noqa: PLC0415

    place = 0
    for file, batch in _batches(work.root, entry.delivery):
        names = list(file.columns.values())
        unknown = {text: name for text, name in file.columns.items() if name in work.rescued}
        is_csv = file.layout is not None and file.layout.format == records.CSV
        is_exported = is_csv and bool(set(OF_CORRECTIONS) & set(names))
        cells = _as_meant(batch.columns) if is_exported else batch.columns
        columns = dict(zip(dict.fromkeys(names), cells, strict=True)) | _facts(entry, batch, place)
        if unknown:
            columns[RESCUED] = _rescued(columns, unknown)
        place += batch.rows
        yield pa.RecordBatch.from_arrays(
            [columns.get(name, pa.nulls(batch.rows, kind)).cast(kind) for name, kind in kinds.items()],
            names=list(kinds),
        )


def _batches(root: str, delivery: Delivery) -> Iterator[tuple[Delivery, Batch]]:
    """Records with the file that they are read from; of a window page by page, as if all were one file."""
    if not fetched.is_window(delivery.path):
        yield from ((delivery, batch) for batch in _of_file(root, delivery))
        return
    held: tuple[Delivery, Batch] | None = None
    for part in fetched.complete(root, delivery.path)[0].parts:
        page = _page(root, delivery, part)
        for batch in _of_file(root, page):
            if held:
                yield held[0], replace(held[1], is_last=False)
            held = page, batch
    if held:
        yield held


def _of_file(root: str, delivery: Delivery) -> Iterator[Batch]:
    layout = delivery.layout
    if layout is None or not delivery.header:
        return
    names = list(delivery.columns.values())
    with archives.unpacked(root, delivery.path, delivery.content) as (place, path):
        yield from batches(place, path, layout, delivery.header, names, delivery.content)


def _page(root: str, window: Delivery, part: fetched.Part) -> Delivery:
    """One page as if it were a file of its own: it has its own header, but JSON's keys are those of all pages."""
    path, layout, header = f"{window.path}/{part.name}", window.layout, window.header
    if layout is None:
        return window
    if layout.format == records.PARQUET:
        with storage.random_access(root, path) as file:
            header = parquet.columns(file)
    else:
        head = storage.read_bytes(root, path, first=records.HEAD)
        layout = replace(layout, compression=records.compression_of(head))
        header = csv_records.csv_header(head, layout) if layout.format == records.CSV else header
    return replace(window, path=path, size=part.size, header=header, layout=layout)


def _as_meant(columns: list[pa.Array]) -> list[pa.Array]:
    """Without the apostrophes that our export gave to what looks like a formula."""
    from pyarrow import compute as pc  # noqa: PLC0415

    return [pc.replace_substring_regex(one, DEFUSED, AS_MEANT) for one in columns]


def _facts(entry: Entry, batch: Batch, place: int) -> dict[str, Any]:
    """The core's columns, and what the path says.

    By Arrow's own functions: for the first Python value that it converts it imports pandas, 0.65 s in every worker.
    """
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute as pc  # noqa: PLC0415

    delivery = entry.delivery
    delivered_at = (delivery.delivered_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    texts = {"_file": delivery.path, "_sequence": delivery.sequence}
    numbers = {"_batch": entry.batch, "_delivered_at": delivered_at, **delivery.parts}
    ones = {name: records.text_array([text]) for name, text in texts.items()}
    ones |= {name: pa.arange(number, number + 1) for name, number in numbers.items()}
    rows = pa.arange(place + 1, place + batch.rows + 1)
    zeros = pc.subtract(rows, rows)
    end = place + (_last_right(batch) if delivery.layout and delivery.layout.ends_open else batch.rows)
    last = pa.arange(end, end + 1).take(zeros)
    facts = {name: one.take(zeros) for name, one in ones.items()}
    facts |= {"_row": rows, "_is_last": pc.greater_equal(rows, last) if batch.is_last else pc.less(zeros, zeros)}
    return facts | {"_problem": batch.problem, "_raw": batch.raw}


def _last_right(batch: Batch) -> int:
    """Of a cut file's last batch the place of its last right record: a cut one behind it may name another document."""
    place = batch.rows
    while place > 1 and batch.problem[place - 1].is_valid:
        place -= 1
    return place


def _rescued(columns: Mapping[str, Any], names: Mapping[str, str]) -> Any:  # noqa: ANN401
    """The columns that the contract does not name, as one JSON object of texts."""
    values = zip(*(columns[name].to_pylist() for name in names.values()), strict=True)
    return records.text_array([json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in values])
