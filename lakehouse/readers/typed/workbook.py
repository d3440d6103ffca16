"""A sheet's rows on standard output, in a process of its own that may use so much memory: of a workbook from the input.

calamine, which reads xlsx, xls and ods, holds a whole sheet, blank cells between two others too, and where memory ends
it ends its process: a letter in a sheet's last cell would end the run. Each line is JSON: an array with the sheet's
name, then one of texts for each row, and an object that ends them; or that says why there are none.
"""

from __future__ import annotations

import io
import json
import re
import resource
import struct
import sys
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import python_calamine as calamine

from lakehouse.readers.typed import xls
from lakehouse.readers.typed.texts import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_MEMORY = 2 << 30  # bytes of address space; 5 million cells took 0.4 GB
BLOCK = 1 << 20
ZIP = b"PK\x03\x04"
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
CELL = re.compile(rb"<(?:\w+:)?c\b([^>]*[^>/])>(.*?)</(?:\w+:)?c>", re.DOTALL)
END_OF_CELL = re.compile(rb"</(?:\w+:)?row>")
FORMULA = re.compile(rb"<(?:\w+:)?f\b")
VALUE = re.compile(rb"<(?:\w+:)?v\b[^>]*>([^<]+)<")
KIND = re.compile(rb"""\bt=["'](\w+)["']""")
PLACE = re.compile(rb"""\br=["']([A-Z]{1,3})([0-9]+)["']""")
ERROR_OF_ODS = b'calcext:value-type="error"'


COMPUTE = "the program that wrote it does not compute. Open it in a spreadsheet program, save it"


class RefusedError(Exception):
    """The workbook cannot be read; the message is a sentence that follows its name."""


def main() -> None:
    """`wanted`, the only argument, is JSON: a sheet's name, its number among those that are shown, or null."""
    with suppress(ValueError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    content = sys.stdin.buffer.read()
    try:
        for row in _rows(content, json.loads(sys.argv[1])):
            _say(row)
        _say({})
    except RefusedError as error:
        _say({"refused": str(error)})
    except (calamine.CalamineError, zipfile.BadZipFile, ET.ParseError, LookupError, OSError, struct.error) as error:
        if content.startswith(ZIP) and not zipfile.is_zipfile(io.BytesIO(content)):
            _say({"waits": "is a workbook without its end: its writer is not done, or was stopped."})
        else:
            _say(
                {"refused": f"is no workbook that can be read ({' '.join(str(error).split())}). Save it again as xlsx."}
            )


def _say(line: object) -> None:
    print(json.dumps(line, ensure_ascii=False, separators=(",", ":")))  # noqa: T201


def _rows(content: bytes, wanted: str | int | None) -> Iterator[list[str]]:
    """What the sheet is called, then its rows from its first one on."""
    if ENCRYPTED in content and not content.startswith(ZIP):  # calamine knows no such format
        raise RefusedError("has a password. Deliver it without one.")
    workbook = calamine.load_workbook(io.BytesIO(content))
    sheet = _chosen(workbook, wanted)
    odd = _odd_cells(content, sheet.name, [one.name for one in workbook.sheets_metadata])
    yield [sheet.name]
    if sheet.start is None:
        return
    left = sheet.start[1]
    for number, cells in enumerate(sheet.iter_rows()):
        row = [text_of(cell) for cell in cells]
        for column, text in odd.get(number, {}).items():
            row[column - left] = text
        yield row


def _chosen(workbook: calamine.CalamineWorkbook, wanted: str | int | None) -> calamine.CalamineSheet:
    kinds, hidden = calamine.SheetTypeEnum, calamine.SheetVisibleEnum
    sheets = [one for one in workbook.sheets_metadata if one.typ == kinds.WorkSheet]
    shown = [one.name for one in sheets if one.visible == hidden.Visible]
    named = ", ".join(map(repr, shown))
    is_there = wanted <= len(shown) if isinstance(wanted, int) else wanted in {None, *(one.name for one in sheets)}
    if not is_there:
        raise RefusedError(f"has no sheet {wanted!r}; it has {named}. Correct `sheet:` in its source's contract.")
    if isinstance(wanted, str):
        return workbook.get_sheet_by_name(wanted)
    if isinstance(wanted, int):
        return workbook.get_sheet_by_name(shown[wanted - 1])
    filled = [one for one in map(workbook.get_sheet_by_name, shown) if one.start is not None]
    if len(filled) > 1:
        raise RefusedError(f"has several sheets: {named}. Say in its source's contract which is meant, as `sheet:`.")
    return filled[0] if filled else workbook.get_sheet_by_name(shown[0])


# What calamine gives as blank --------------------------------------------------------------------------------------


def _odd_cells(content: bytes, sheet: str, sheets: list[str]) -> dict[int, dict[int, str]]:
    """Errors such as #N/A by row and column, from 0. Raises RefusedError for formulas whose value is not stored.

    calamine gives both as blank. An ods with errors is refused.
    """
    if not content.startswith(ZIP):
        found, is_not_computed = xls.odd_cells(content, sheets.index(sheet))
        if is_not_computed:
            raise RefusedError(f"has formulas, and none with a value: {COMPUTE}, as xlsx, and deliver that.")
        return found
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        if "content.xml" in packed.namelist():
            if any(ERROR_OF_ODS in block for block in _blocks(packed, "content.xml", b"</table:table-row>")):
                raise RefusedError("has cells that are errors, as #N/A. Correct them, or save it as xlsx.")
            return {}
        return _odd_of_xlsx(packed, sheet)


def _odd_of_xlsx(packed: zipfile.ZipFile, sheet: str) -> dict[int, dict[int, str]]:
    found: dict[int, dict[int, str]] = {}
    for block in _blocks(packed, _part(packed, sheet), b"row>"):
        if not (FORMULA.search(block) or b't="e"' in block or b"t='e'" in block):
            continue
        for cell in CELL.finditer(block):
            kind, value = KIND.search(cell[1]), VALUE.search(cell[2])
            place = PLACE.search(cell[1])
            name = (place[1] + place[2]).decode() if place else "some cell"
            is_text = kind is not None and kind[1] in {b"str", b"inlineStr"}
            if FORMULA.search(cell[2]) and not value and not is_text:
                raise RefusedError(f"has formulas without values, as in {name}: {COMPUTE}, and deliver that.")
            if kind and kind[1] == b"e" and place:
                row, column = int(place[2]) - 1, _number(place[1].decode()) - 1
                found.setdefault(row, {})[column] = value[1].decode() if value else "#N/A"
    return found


def _number(letters: str) -> int:
    """A is 1, AA is 27."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _part(packed: zipfile.ZipFile, sheet: str) -> str:
    """The file of a sheet within the workbook."""
    book = ET.fromstring(packed.read("xl/workbook.xml"))  # noqa: S314  expat bounds what entities may grow to
    ids = {one.get("name"): one.get(RELATION) for one in book.iter() if one.tag.endswith("}sheet")}
    links = ET.fromstring(packed.read("xl/_rels/workbook.xml.rels"))  # noqa: S314  as above
    target = next(str(one.get("Target")) for one in links if one.get("Id") == ids[sheet])
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _blocks(packed: zipfile.ZipFile, name: str, end: bytes) -> Iterator[bytes]:
    """Whole rows of a part, a block at a time."""
    rest = b""
    with packed.open(name) as part:
        while read := part.read(BLOCK):
            rest += read
            cut = rest.rfind(end) + len(end)
            if cut >= len(end):
                yield rest[:cut]
                rest = rest[cut:]
    yield rest


if __name__ == "__main__":
    main()
