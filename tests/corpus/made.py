"""Workbooks, Parquet files and archives of the corpus, made of the text beside their YAML: by these functions' names.

The text is CSV. Where cells have types `'007` is a text, `=A2*2` a formula, `#N/A` an error, and what looks like a
number, a day or a time is one; an empty cell is none.
"""

from __future__ import annotations

import csv
import io
import re
import struct
import warnings
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

Rows = list[list[Any]]
STAMP = (2022, 2, 1, 12, 0, 0)


def rows_of(text: str) -> Rows:
    return [[_typed(cell) for cell in row] for row in csv.reader(io.StringIO(text))]


def _typed(cell: str) -> Any:  # noqa: ANN401  what a workbook holds
    if cell.startswith("'"):
        return cell[1:]
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", cell):
        return float(cell) if "." in cell else int(cell)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", cell):
        return date.fromisoformat(cell)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}", cell):
        return datetime.fromisoformat(cell)
    return cell or None


# Workbooks ------------------------------------------------------------------------------------------------------------


def xlsx(text: str, change: Callable[[Any], Any] = id) -> bytes:
    """`change` is done to openpyxl's workbook, of one sheet."""
    import openpyxl  # noqa: PLC0415

    book, content = openpyxl.Workbook(), io.BytesIO()
    book.active.title = "Orders"
    for row in rows_of(text):
        book.active.append(row)
    change(book)
    book.save(content)
    return content.getvalue()


def rewritten(content: bytes, part: str, old: bytes, new: bytes) -> bytes:
    """One part of the workbook with other bytes where a pattern fits."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as book, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in book.namelist():
            packed.writestr(name, re.sub(old, new, book.read(name)) if name == part else book.read(name))
    return made.getvalue()


def computed(text: str) -> bytes:
    """Each formula has the value 20, as a program that computes would store it."""
    return rewritten(xlsx(text), "xl/worksheets/sheet1.xml", rb"</f><v ?/?>(</v>)?", b"</f><v>20</v>")


def merged(text: str) -> bytes:
    return xlsx(text, lambda book: book.active.merge_cells("A1:M1"))


def two_sheets(text: str) -> bytes:
    return xlsx(text, lambda book: book.create_sheet("Returns").append(["Order ID"]))


def hidden_sheet(text: str) -> bytes:
    def hide(book: Any) -> None:  # noqa: ANN401  openpyxl's
        book.create_sheet("Lists").append(["COMPLETED"])
        book["Lists"].sheet_state = "hidden"

    return xlsx(text, hide)


def far_cell(text: str) -> bytes:
    return xlsx(text, lambda book: book.active.cell(1_048_576, 16_384, "x"))


def since_1904(text: str) -> bytes:
    def count(book: Any) -> None:  # noqa: ANN401  openpyxl's
        from openpyxl.utils.datetime import CALENDAR_MAC_1904  # noqa: PLC0415

        book.epoch = CALENDAR_MAC_1904

    return xlsx(text, count)


def macro(text: str) -> bytes:
    """An xlsm: nobody runs what is in it."""
    kind, other = rb"openxmlformats-officedocument\.spreadsheetml\.sheet", b"ms-excel.sheet.macroEnabled"
    content = rewritten(xlsx(text), "[Content_Types].xml", kind, other)
    made = io.BytesIO(content)
    with zipfile.ZipFile(made, "a") as packed:
        packed.writestr("xl/vbaProject.bin", b"\xd0\xcf\x11\xe0 not run")
    return made.getvalue()


def password(text: str) -> bytes:
    """As Office encrypts: a compound file, here without its cipher, of which the stream is called EncryptedPackage."""
    name, other = ("Workbook".encode("utf-16-le"), "EncryptedPackage".encode("utf-16-le"))
    content = xls(text)
    assert content.count(name + b"\0" * 48) == 1
    longer = content.replace(name + b"\0" * 48, other + b"\0" * 32)
    at = longer.index(other)
    return longer[: at + 64] + struct.pack("<H", len(other) + 2) + longer[at + 66 :]


def cut(text: str) -> bytes:
    return xlsx(text)[:-100]


def xls(text: str) -> bytes:
    import xlwt  # noqa: PLC0415

    book, content = xlwt.Workbook(), io.BytesIO()
    sheet = book.add_sheet("Orders")
    for number, row in enumerate(rows_of(text)):
        for column, cell in enumerate(row):
            style = xlwt.easyxf(num_format_str="DD.MM.YY") if isinstance(cell, date) else xlwt.Style.default_style
            if isinstance(cell, str) and cell.startswith("#"):
                sheet.row(number).set_cell_error(column, {"#N/A": 0x2A, "#DIV/0!": 0x07}[cell])
            elif cell is not None:
                is_formula = isinstance(cell, str) and cell.startswith("=")
                sheet.write(number, column, xlwt.Formula(cell[1:]) if is_formula else cell, style)
    book.save(content)
    return content.getvalue()


def ods(text: str) -> bytes:
    from odf import opendocument, table  # noqa: PLC0415
    from odf.text import P  # noqa: PLC0415

    document, content = opendocument.OpenDocumentSpreadsheet(), io.BytesIO()
    sheet = table.Table(name="Orders")
    for cells in rows_of(text):
        row = table.TableRow()
        for cell in cells:
            row.addElement(_cell_of_ods(table, P, cell))
        sheet.addElement(row)
    document.spreadsheet.addElement(sheet)
    document.save(content)
    return content.getvalue()


def _cell_of_ods(table: Any, paragraph: Any, cell: Any) -> Any:  # noqa: ANN401  odfpy has no types
    """What is shown is another text than the value."""
    if cell is None:
        return table.TableCell()
    if isinstance(cell, int | float):
        made = table.TableCell(valuetype="float", value=cell)
    elif isinstance(cell, date):
        made = table.TableCell(valuetype="date", datevalue=cell.isoformat())
    else:
        made = table.TableCell(valuetype="string")
    made.addElement(paragraph(text=cell if isinstance(cell, str) else "about that"))
    return made


# Parquet --------------------------------------------------------------------------------------------------------------


def table_of(text: str) -> pa.Table:
    """All columns as text; an empty cell is null."""
    import pyarrow as pa  # noqa: PLC0415

    header, *rows = csv.reader(io.StringIO(text))
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    arrays = [pa.array([cell or None for cell in column], pa.string()) for column in columns]
    return pa.table(arrays, names=header)


def parquet(text: str, change: Callable[[pa.Table], pa.Table] = lambda table: table, **settings: Any) -> bytes:  # noqa: ANN401
    from pyarrow import parquet as pq  # noqa: PLC0415

    content = io.BytesIO()
    pq.write_table(change(table_of(text)), content, **settings)
    return content.getvalue()


def _with(table: pa.Table, name: str, values: Any) -> pa.Table:  # noqa: ANN401  an array of Arrow's
    place = table.column_names.index(name) if name in table.column_names else None
    return table.append_column(name, values) if place is None else table.set_column(place, name, values)


def typed(text: str) -> bytes:
    """A whole number, a decimal, a dictionary, and a truth."""
    import pyarrow as pa  # noqa: PLC0415

    def change(table: pa.Table) -> pa.Table:
        table = _with(table, "Task_Details_QTY", table["Task_Details_QTY"].cast(pa.int32()))
        table = _with(table, "Subtotal", table["Subtotal"].cast(pa.decimal128(10, 2)))
        table = _with(table, "Task_Status", table["Task_Status"].combine_chunks().dictionary_encode())
        return _with(table, "Paid", pa.array([True] * table.num_rows))

    return parquet(text, change, row_group_size=1)


def nested(text: str) -> bytes:
    import pyarrow as pa  # noqa: PLC0415

    item = {"sku": "A", "price": Decimal("1.50"), "seen": [datetime(2022, 1, 31, 10, tzinfo=UTC)], "photo": b"\xff"}
    return parquet(text, lambda table: _with(table, "Items", pa.array([[item]] * table.num_rows)))


def int96(text: str) -> bytes:
    import pyarrow as pa  # noqa: PLC0415

    times = [datetime(9999, 12, 31, 23, 59, 59, 500_000), datetime(2022, 1, 31, 10)]  # noqa: DTZ001  it knows no zone
    change = lambda table: _with(table, "Seen At", pa.array(times[: table.num_rows], pa.timestamp("us")))  # noqa: E731
    return parquet(text, change, use_deprecated_int96_timestamps=True)


def not_utf8(text: str) -> bytes:
    """Of the second row, in a column that says that it is text."""
    import pyarrow as pa  # noqa: PLC0415

    def change(table: pa.Table) -> pa.Table:
        notes = pa.array([b"-", b"caf\xe9"][: table.num_rows], pa.binary())
        return _with(table, "Notes", pa.Array.from_buffers(pa.string(), len(notes), notes.buffers()))

    return parquet(text, change, write_statistics=False)


def cut_parquet(text: str) -> bytes:
    return parquet(text)[:-6]


def damaged_parquet(text: str) -> bytes:
    """A byte of its first page is another."""
    content = bytearray(parquet(text, compression="zstd", write_page_checksum=True))
    content[content.index(b"\x28\xb5\x2f\xfd") + 6] ^= 0xFF  # of what zstd packed
    return bytes(content)


def encrypted_parquet(text: str) -> bytes:
    """Its footer is encrypted: nothing of it can be told."""
    return b"PARE" + parquet(text)[4:-4] + b"PARE"


# Archives -------------------------------------------------------------------------------------------------------------


def in_a_zip(text: str) -> bytes:
    return _packed("Orders.csv", text.encode())


def cut_zip(text: str) -> bytes:
    return in_a_zip(text)[:-30]


def _packed(name: str, content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo(name, STAMP), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def pack(archive: Path, name: str, content: bytes, how: str | None) -> None:
    """Into an archive, which may hold others. `how`: what is wrong with the member, by the name of a function."""
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr(zipfile.ZipInfo(name, STAMP), content, zipfile.ZIP_DEFLATED)
    if how:
        globals()[how](archive, name)


def twice(archive: Path, name: str) -> None:
    with zipfile.ZipFile(archive, "a") as packed, warnings.catch_warnings(action="ignore"):
        packed.writestr(zipfile.ZipInfo(name, STAMP), b"other")


def of_a_mac(archive: Path, name: str) -> None:
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr(f"__MACOSX/._{name}", b"\0\x05\x16\x07")


def link(archive: Path, name: str) -> None:
    _patch(archive, name, 38, struct.pack("<I", 0o120777 << 16))


def encrypted(archive: Path, name: str) -> None:
    _patch(archive, name, 8, struct.pack("<H", 1))


def bomb(archive: Path, name: str) -> None:
    """As large unpacked as its directory says: 4,000 MiB."""
    _patch(archive, name, 24, struct.pack("<I", 4_000 << 20))


def damaged(archive: Path, name: str) -> None:
    """Its bytes are not those of which the directory has the sum."""
    _patch(archive, name, 16, b"\0\0\0\0")


def odd_method(archive: Path, name: str) -> None:
    """As Windows packs what is larger than 2 GB: Deflate64."""
    _patch(archive, name, 10, struct.pack("<H", 9))


def _patch(archive: Path, name: str, place: int, instead: bytes) -> None:
    """In the member's entry of the archive's directory."""
    content = bytearray(archive.read_bytes())
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(name.encode())) + place
    content[at : at + len(instead)] = instead
    archive.write_bytes(content)
