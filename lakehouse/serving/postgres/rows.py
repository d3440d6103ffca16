"""How rows of the lake get into PostgreSQL: by COPY, in its text format, each value with all its digits."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg.sql import SQL, Identifier

from lakehouse.delta.files import feed

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection

    from lakehouse.serving.postgres.shape import Shape

AT_ONCE = 1 << 16  # rows that are sent together
FROZEN = "(freeze)"  # seen by whoever finds the table, whenever he began


def days(one: Shape) -> list[int]:
    """Of a table that is cut by months the days that it has rows of; none of any other."""
    if one.by_month is None:
        return []
    found = feed.of_each_file(one.address, lambda rows: pc.unique(rows[one.by_month]), one.version, [one.by_month])
    return [day for each in found for day in each.to_pylist()]


def each_file(one: Shape, send: Callable[[pa.Table], None]) -> None:
    """The files of a table are read side by side, and sent one after another."""
    sending = Lock()

    def alone(rows: pa.Table) -> None:
        with sending:
            send(rows)

    feed.of_each_file(one.address, alone, one.version, list(one.columns))


def copy(connection: Connection[Any], table: Identifier, rows: pa.Table, options: str = "") -> None:
    with connection.cursor().copy(SQL("copy {} from stdin " + options).format(table)) as sent:
        for batch in rows.to_batches(AT_ONCE):
            sent.write(_text(batch))


def _text(rows: pa.RecordBatch) -> bytes:
    r"""PostgreSQL's text format, a line for each row: \N is null, and every value has all its digits."""
    cells = [pc.fill_null(_escaped(column), r"\N") for column in rows.columns]
    lines = pc.binary_join_element_wise(pc.binary_join_element_wise(*cells, "\t"), "", "\n").cast(pa.large_string())
    _, ends, text = lines.buffers()
    first, last = (int.from_bytes(ends[8 * at : 8 * at + 8].to_pybytes(), "little") for at in (0, len(lines)))
    return text[first:last].to_pybytes() if text else b""


def _escaped(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column.cast(pa.string())
    for said, written in (("\\", r"\\"), ("\t", r"\t"), ("\n", r"\n"), ("\r", r"\r")):
        column = pc.replace_substring(column, said, written)
    return column
