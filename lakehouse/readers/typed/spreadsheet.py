"""A sheet of a workbook (xlsx, xls, ods) as exact text; where its rows begin and end its source's contract says.

It is read by workbook.py in a process of its own, which bounds its memory; here its rows come one by one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from tempfile import TemporaryFile
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

from lakehouse.errors import LackingExtraError
from lakehouse.readers import records
from lakehouse.readers.records import Batch, HalfWrittenError, Layout, Record, UnreadableError
from lakehouse.readers.typed.texts import judge

if TYPE_CHECKING:
    from collections.abc import Iterator

READER = "lakehouse.readers.typed.workbook"
ONE = Lock()  # looked at one after the other: each may be large
MOST_LOOKED_AT = 100  # rows in which a header is looked for
TOO_LARGE = (
    "is too large: it needs more than 2 GB of memory, or broke its reader. (A letter in a far cell makes a sheet of "
    "all cells before it.) Save its sheet as CSV, and deliver that to a source of that format."
)


def inspect(
    stream: BinaryIO, layout: Layout, sheet: str | int | None, preamble: int | str
) -> tuple[Layout, tuple[str, ...], dict[str, str], int]:
    """What sheet it is and where its header stands; the header, each column's kind, and the number of rows.

    `sheet` and `preamble` as the contract says them. An empty sheet has no header.
    """
    with ONE, _sheet(stream, sheet) as (name, rows):
        before, header = _header(rows, preamble)
        layout = dataclasses.replace(layout, sheet=name, preamble=before)
        kinds, count, width = dict.fromkeys(range(len(header)), "nothing"), 0, len(header)
        for row in _counted(rows, layout):
            filled = _without_blanks(row)
            width = max(width, len(filled))
            if count < records.SAMPLED:
                for place, text in enumerate(filled):
                    kinds[place] = records.join_kinds(kinds.get(place, "nothing"), records.kind_of(text))
            count += 1
    header += [""] * (width - len(header) if header else 0)
    records.check_columns(len(header))
    return layout, tuple(header), {text: kinds.get(place, "nothing") for place, text in enumerate(header)}, count


def batches(stream: BinaryIO, layout: Layout, header: tuple[str, ...], rows_per_batch: int = 1000) -> Iterator[Batch]:
    """The rows behind the header as arrays, in its order. A blank row is none, as a blank line of a CSV."""
    with _sheet(stream, layout.sheet) as (_, rows):
        _, found = _header(rows, layout.preamble)
        if (*found, *[""] * (len(header) - len(found))) != header:
            raise HalfWrittenError("has another header than a moment ago: it changed while it was read.")
        wide = ([*row, *[""] * (len(header) - len(row))][: len(header)] for row in _counted(rows, layout))
        judged = (judge(row, header) for row in wide)
        while some := list(islice(judged, rows_per_batch)):
            yield _to_batch(some)


def _to_batch(rows: list[Record]) -> Batch:
    return records.to_batch(zip(*(row.cells for row in rows), strict=True), rows)


def first_rows(stream: BinaryIO, sheet: str | None = None) -> list[list[str]]:
    """The rows among which a header is looked for, as they stand."""
    with ONE, _sheet(stream, sheet) as (_, rows):
        return list(islice(rows, MOST_LOOKED_AT))


def _header(rows: Iterator[list[str]], preamble: int | str) -> tuple[int, list[str]]:
    """How many rows stand before it, and its texts, up to the last; none where the sheet ends first."""
    before = 0
    for row in rows:
        texts = _without_blanks(row)
        is_before = before < preamble if isinstance(preamble, int) else re.fullmatch(preamble, ",".join(texts))
        if texts and not is_before:
            return before, texts
        before += 1
    return before, []


def _counted(rows: Iterator[list[str]], layout: Layout) -> Iterator[list[str]]:
    """The rows behind the header that count: without blank ones, and those that the last ones are by `footer`."""
    held = list[list[str]]()
    for row in islice(rows, layout.skip_rows, None):
        texts = _without_blanks(row)
        if not texts:
            continue
        held.append(row)
        if not (layout.footer and re.fullmatch(layout.footer, ",".join(texts))):
            yield from held
            held.clear()


def _without_blanks(row: list[str]) -> list[str]:
    """Without what is blank at its end: how wide a sheet is says nothing."""
    width = len(row)
    while width and not row[width - 1]:
        width -= 1
    return row[:width]


@contextmanager
def _sheet(stream: BinaryIO, wanted: str | int | None) -> Iterator[tuple[str, Iterator[list[str]]]]:
    """What the sheet is called, and its rows."""
    if find_spec("python_calamine") is None:
        raise UnreadableError(str(LackingExtraError("is a workbook, and these are read by python-calamine", "sources")))
    known = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-P", "-m", READER, json.dumps(wanted)]
    with (
        _as_file(stream) as file,
        subprocess.Popen(
            command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=known, encoding="utf-8"
        ) as process,
    ):
        lines = _lines(process)
        try:
            yield next(lines)[0], lines
        finally:
            process.kill()


def _lines(process: subprocess.Popen[str]) -> Iterator[list[str]]:
    """First the sheet's name alone, then its rows."""
    for line in process.stdout or ():
        said = json.loads(line)
        if isinstance(said, list):
            yield said
        elif "waits" in said:
            raise HalfWrittenError(said["waits"])
        elif "refused" in said:
            raise UnreadableError(said["refused"])
        else:
            return
    raise UnreadableError(TOO_LARGE)


@contextmanager
def _as_file(stream: BinaryIO) -> Iterator[BinaryIO]:
    """What another process can read: a file of this machine, or a copy of what a store sends."""
    try:
        stream.fileno()
    except OSError:
        with TemporaryFile() as copy:
            for part in records.unpacked_blocks(stream, ""):
                copy.write(part)
            copy.seek(0)
            yield copy
    else:
        yield stream
