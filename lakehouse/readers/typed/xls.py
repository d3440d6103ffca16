"""Cells of an xls that calamine gives as blank: errors, and formulas whose value nobody computed.

Of its format (BIFF, in a compound file; [MS-XLS] 2.4.122, 2.4.127 and 2.5.133) only what these need.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import olefile

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN, END, SHEET, FORMULA, ERROR = 0x0809, 0x000A, 0x0085, 0x0006, 0x0205  # records
NO_NUMBER, OF_ERROR, OF_NOTHING = b"\xff\xff", 2, 3  # what a formula's value is
NAMES = {0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A"}


def odd_cells(content: bytes, place: int) -> tuple[dict[int, dict[int, str]], bool]:
    """Errors by row and column, from 0, of the sheet at this place; whether it has formulas, and none has a value.

    One whose value is an empty text looks as if it had none; that all do is how programs write that do not compute.
    """
    with olefile.OleFileIO(io.BytesIO(content)) as book:
        stream = book.openstream("Workbook" if book.exists("Workbook") else "Book").read()
    begins = [struct.unpack_from("<I", body)[0] for kind, body in _records(stream, 0) if kind == SHEET]
    found: dict[int, dict[int, str]] = {}
    formulas, without = 0, 0
    for kind, body in _records(stream, begins[place]):
        if kind == FORMULA:
            row, column, _, value, is_number = struct.unpack_from("<HHH6s2s", body)
            is_value = is_number != NO_NUMBER
            formulas, without = formulas + 1, without + (not is_value and value[0] == OF_NOTHING)
            code = value[2] if not is_value and value[0] == OF_ERROR else None
        elif kind == ERROR:
            row, column, _, said, is_error = struct.unpack_from("<HHHBB", body)
            code = said if is_error else None
        else:
            continue
        if code is not None:
            found.setdefault(row, {})[column] = NAMES.get(code, "#N/A")
    return found, 0 < formulas == without


def _records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Up to the end of what begins there; a chart within it has an end of its own."""
    depth = 0
    while at + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, at)
        depth += (kind == BEGIN) - (kind == END)
        yield kind, stream[at + 4 : at + 4 + size]
        if not depth:
            return
        at += 4 + size
