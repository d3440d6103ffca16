"""What a delivered file is: its format and layout by its content, its columns, and whether its end is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from lakehouse.readers import csv_records, json_records, records, signatures
from lakehouse.readers.columns import NAMES_A_ROW, column_name
from lakehouse.readers.records import HalfWrittenError, Layout, OpenEndError, UnreadableError
from lakehouse.readers.typed import parquet, spreadsheet
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from lakehouse.contract import Contract, Source
    from lakehouse.intake.records.ledger import Delivery

Place: TypeAlias = "tuple[str, str]"  # where its bytes can be read: a root, and a path below it
# A writer that was stopped: what it did not touch for so long is taken, though its last row looks cut.
SETTLED = timedelta(hours=1)


def has_rows(place: Place, delivery: Delivery) -> bool:
    """A header alone says nothing of the source's columns: it may be all that has arrived of a file."""
    layout = delivery.layout
    if layout is not None and layout.format in records.TYPED:
        return bool(delivery.records)
    if layout is None or layout.format != records.CSV or delivery.size > records.HEAD:
        return True
    with storage.open_file(*place) as stream:
        return bool(delivery.header) and any(csv_records.read_csv(stream, layout, delivery.header))


def described(place: Place, contract: Contract, delivery: Delivery, now: datetime) -> tuple[Delivery, str]:
    """The delivery with its layout and columns, and what is odd about its end.

    A CSV that is not compressed is read at both ends, any other file whole.
    """
    source = contract.source
    if source is None:
        return delivery, ""
    head = storage.read_bytes(*place, first=records.HEAD)
    if source.format in records.TYPED:
        return _typed(place, source, delivery, head, now)
    layout = records.detect(
        head,
        source.format,
        encoding=source.encoding,
        delimiter=source.delimiter,
        quote=source.quote,
        preamble=source.preamble,
        is_known=lambda text: column_name(text) in contract.columns,
    )
    if source.format == records.JSON:
        layout = replace(layout, rows=source.rows)
        with storage.open_file(*place, delivery.content) as stream:
            keys, kinds, rows = json_records.inspect_json(stream, layout)
        if rows and not keys:
            raise UnreadableError("has no object with a key in it. Deliver it with rows.")
        return replace(delivery, header=keys, kinds=_by_name(kinds), layout=layout, records=rows), ""
    layout = replace(layout, footer=source.footer)
    header = csv_records.csv_header(head, layout)
    if header and missing(map(column_name, header), source.required):
        _refuse_preamble(delivery, csv_records.find_header(head, layout, source.required, column_name), "line")
    return _of_csv(place, replace(delivery, header=header, layout=layout), head, now)


def _of_csv(place: Place, delivery: Delivery, head: bytes, now: datetime) -> tuple[Delivery, str]:
    layout, header = delivery.layout, delivery.header
    if layout is None:
        return delivery, ""
    doubt = _doubt_of_end(place, delivery, layout, head, now)
    kinds = _by_name(csv_records.sample(head, layout, header))
    return replace(delivery, kinds=kinds, layout=replace(layout, ends_open=bool(doubt))), doubt


def _typed(place: Place, source: Source, delivery: Delivery, head: bytes, now: datetime) -> tuple[Delivery, str]:
    """Of a source whose cells have types a correction is CSV, as `lakehouse rejected --export` writes it."""
    if refusal := signatures.refusal(head, head.decode("utf-8", "replace"), source.format):
        raise UnreadableError(refusal)
    if not head:
        return delivery, ""
    if not signatures.is_binary(head):
        return _of_csv(place, _correction(source, delivery, head), head, now)
    layout = Layout(source.format, footer=source.footer, skip_rows=source.skip_rows)
    if source.format == records.PARQUET:
        with storage.random_access(*place) as file:
            header, kinds, rows = parquet.inspect(file)
    else:
        with storage.open_file(*place, delivery.content) as stream:
            layout, header, kinds, rows = spreadsheet.inspect(stream, layout, source.sheet, source.preamble)
        if header and missing(map(column_name, header), source.required):
            with storage.open_file(*place, delivery.content) as stream:
                first = spreadsheet.first_rows(stream, layout.sheet)
            there = (place for place, row in enumerate(first) if not missing(map(column_name, row), source.required))
            _refuse_preamble(delivery, next(there, None), "row")
    return replace(delivery, header=header, kinds=_by_name(kinds), layout=layout, records=rows), ""


def _correction(source: Source, delivery: Delivery, head: bytes) -> Delivery:
    try:
        layout = records.detect(head, records.CSV, is_known=NAMES_A_ROW.__contains__)
        header = csv_records.csv_header(head, layout)
    except UnreadableError:
        header = ()
    if not set(NAMES_A_ROW) <= set(map(column_name, header)):
        raise UnreadableError(
            f"is no {signatures.SAID[source.format]} file. Deliver it as one, or correct `format:` in its source's "
            "contract. (Of CSV only corrections are taken there, with the columns of `lakehouse rejected --export`.)"
        )
    return replace(delivery, header=header, layout=layout)


def missing(names: Iterable[str], required: Iterable[str]) -> list[str]:
    there = set(names)
    return [name for name in required if name not in there]


def _refuse_preamble(delivery: Delivery, before: int | None, what: str) -> None:
    """Raises UnreadableError where the header stands further down."""
    if before is not None:
        raise UnreadableError(
            f"has its header in its {what} {before + 1}. Say `preamble: {before}` in the source of "
            f"conf/{delivery.table.replace('.', '/')}.yml, or the pattern of such {what}s, where not all files have so "
            "many."
        )


def _doubt_of_end(place: Place, delivery: Delivery, layout: Layout, head: bytes, now: datetime) -> str:
    """Raises HalfWrittenError where the file's end looks cut; of one that nobody writes to any more it is only said."""
    size = delivery.size
    try:
        if layout.compression:
            with storage.open_file(*place, delivery.content) as stream:
                csv_records.check_compressed(stream, layout, delivery.header)
        else:
            tail = head if size <= len(head) else storage.read_bytes(*place, last=records.HEAD)
            csv_records.check_end(tail, layout, delivery.header, size - len(tail))
    except OpenEndError as error:
        if now < delivery.modified_at + SETTLED:
            raise HalfWrittenError(f"{error} It is taken as it is an hour after it was last written.") from error
        return f"{error} Nobody wrote to it for an hour, so it is taken, and its last row is judged as it is."
    return ""


def _by_name(kinds: Mapping[str, str]) -> dict[str, str]:
    return {column_name(text): kind for text, kind in kinds.items()}
