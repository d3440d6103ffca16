"""A table, or a view of `ops`, as one file for other programs: streamed, so that its size is no matter of memory.

`csv` has the texts of `lakehouse sql --format csv`, in which no cell is a formula. `parquet` keeps every type. `xlsx`
has numbers, days and times that a spreadsheet knows; what would not be exact there is a text: a number of more than 15
digits, a day before 1900.
"""

from __future__ import annotations

import csv
import json
import math
import re
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LackingExtraError, LakehouseError, refusal
from lakehouse.readers.columns import defused
from lakehouse.serving.questions import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lakehouse.engines.protocol import Reader
    from lakehouse.serving.questions.sql import Answer, Point

ROWS_OF_A_GROUP = 131_072  # of Parquet
MOST_ROWS, MOST_LETTERS = 1_048_576, 32_767  # of a sheet, its header among them, and of a cell
EXACT = 10**15  # what a double holds with all its digits
FIRST_DAY = date(1900, 1, 1)


def export(reader: Reader, root: str, table: str, kind: str, to: Path, point: Point = None) -> int:
    """Write the file, over one that is there, and only once it is whole; how many rows it has.

    `kind`: csv, parquet or xlsx. Raises LakehouseError where a limit of the format is in the way.
    """
    if not re.fullmatch(r"\w+\.\w+", table):
        raise LakehouseError(
            f"{table!r} is no name of a table. Write it with its layer, as `lakehouse status` lists them."
        )
    answer = sql.query(reader, root, f"select * from {table}", point)  # noqa: S608  a name
    if kind == "xlsx":
        _check_rows(sql.query(reader, root, f"select count(*) as n from {table}", point), table)  # noqa: S608
    with _whole(to) as part:
        return WRITERS[kind](answer, part)


@contextmanager
def _whole(to: Path) -> Iterator[Path]:
    """A file beside it that takes its place at the end, or is taken away."""
    part = to.with_name(f".{to.name}.part")
    try:
        yield part
        part.replace(to)
    except OSError as error:
        why = refusal(error) or error.strerror
        raise LakehouseError(
            f"{to} cannot be written: {why} Name a file by --to, in a folder that is there."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _csv(answer: Answer, to: Path) -> int:
    rows = 0
    with to.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(defused, answer.columns))
        for rows, row in enumerate(answer.cells(), start=1):  # noqa: B007  the last number is the count
            writer.writerow(row)
    return rows


def _parquet(answer: Answer, to: Path) -> int:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    written, waiting = 0, list[pa.RecordBatch]()
    with pq.ParquetWriter(to, answer.schema, compression="zstd") as writer:

        def write() -> None:
            writer.write_table(pa.Table.from_batches(waiting, answer.schema))
            waiting.clear()

        for batch in answer.batches():
            waiting.append(batch)
            written += batch.num_rows
            if sum(one.num_rows for one in waiting) >= ROWS_OF_A_GROUP:
                write()
        write()
    return written


# Spreadsheets ---------------------------------------------------------------------------------------------------------


def _check_rows(counted: Answer, table: str) -> None:
    rows = counted.arrow()["n"][0].as_py()
    if rows >= MOST_ROWS:
        raise LakehouseError(
            f"{table} has {rows:,} rows, and a sheet of Excel ends at {MOST_ROWS:,} with its header. Take --format csv "
            "or parquet, or ask for a part by `lakehouse sql ... --format csv`."
        )


def _xlsx(answer: Answer, to: Path) -> int:
    try:
        import xlsxwriter  # noqa: PLC0415
    except ImportError as error:
        raise LackingExtraError("Sheets of Excel are written by XlsxWriter", "xlsx") from error
    rows = 0
    with xlsxwriter.Workbook(to, {"constant_memory": True}) as book:  # a row is on the disk before the next one
        sheet = book.add_worksheet()
        sheet.freeze_panes(1, 0)
        looks = _Looks(book.add_format)
        for place, name in enumerate(answer.columns):
            sheet.write_string(0, place, name, looks.of(bold=True, quote_prefix=_is_formula(name)))
        for batch in answer.batches():
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                rows += 1
                for place, value in enumerate(row):
                    if value is not None:
                        _put(sheet, rows, place, value, answer.columns[place], looks)
    return rows


class _Looks:
    """Formats of the book, each made once."""

    def __init__(self, add: Callable[[dict[str, Any]], Any]) -> None:
        self.add = add
        self.made: dict[tuple[tuple[str, Any], ...], Any] = {}

    def of(self, **said: Any) -> Any:  # noqa: ANN401  XlsxWriter's own
        key = tuple(said.items())
        if key not in self.made:
            self.made[key] = self.add(said)
        return self.made[key]


def _put(sheet: Any, row: int, place: int, value: Any, column: str, looks: _Looks) -> None:  # noqa: ANN401
    """A value in its cell, by its type."""
    match value:
        case bool():
            sheet.write_boolean(row, place, value)
        case int() | float() | Decimal() if _is_exact(value):
            decimals = -int(value.as_tuple().exponent) if isinstance(value, Decimal) else 0
            look = looks.of(num_format=f"0.{'0' * decimals}") if decimals else None
            sheet.write_number(row, place, value, look)
        case datetime() if value.date() >= FIRST_DAY:
            in_utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            sheet.write_datetime(row, place, in_utc, looks.of(num_format="yyyy-mm-dd hh:mm:ss"))
        case date() if not isinstance(value, datetime) and value >= FIRST_DAY:
            sheet.write_datetime(row, place, value, looks.of(num_format="yyyy-mm-dd"))
        case _:
            _put_text(sheet, row, place, _text(value), column, looks)


def _is_exact(value: float | Decimal) -> bool:
    if isinstance(value, Decimal):
        return len(value.as_tuple().digits) <= 15  # noqa: PLR2004  as EXACT has
    return math.isfinite(value) and (isinstance(value, float) or abs(value) < EXACT)


def _text(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, Decimal):
        return format(value, "f")
    return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def _put_text(sheet: Any, row: int, place: int, text: str, column: str, looks: _Looks) -> None:  # noqa: ANN401
    """As it is; one that would be a formula is marked as a text, so that it is none after somebody edits it either."""
    if len(text) > MOST_LETTERS:
        raise LakehouseError(
            f"{column} has a text of {len(text):,} letters in row {row:,}, and a cell of Excel ends at "
            f"{MOST_LETTERS:,}. Take --format csv or parquet."
        )
    sheet.write_string(row, place, text, looks.of(quote_prefix=True) if _is_formula(text) else None)


def _is_formula(text: str) -> bool:
    return defused(text) != text


WRITERS: dict[str, Callable[[Answer, Path], int]] = {"csv": _csv, "parquet": _parquet, "xlsx": _xlsx}
