"""A stranger's file, read as a run would read it: its layout, its columns, and every row's texts."""

from __future__ import annotations

import codecs
import dataclasses
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import compute as pc

from lakehouse.errors import LakehouseError
from lakehouse.readers import csv_records, json_records, records, rows, signatures
from lakehouse.readers.columns import column_name, column_names
from lakehouse.readers.records import HalfWrittenError, Layout, UnreadableError
from lakehouse.readers.typed import parquet, spreadsheet
from lakehouse.store import storage
from lakehouse.transforms import BLANK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from lakehouse.readers.records import Batch

MOST_ROWS = 200_000  # that are looked at: what more would say is said by the run that rejects them
FEWEST_ALIKE = 3  # lines of the same number of cells, that say where the rows are
LARGEST_PAGE = 64 << 20  # bytes of a JSON file that may be the page of an API
LOOKED_AT = 30  # lines, for a header behind a preamble
QUOTED = re.compile(r'"[^"]*"')
JSON_BEGINS = re.compile(r"\s*[\[{]")
# How exports spell nothing; which of them a file has goes into its contract.
NOTHING = (
    "-", "--", "null", "NULL", "None", "nil", "NaN", "nan", "N/A", "n/a", "#N/A", r"\N", "(null)", "k. A.", "k.A.",
)  # fmt: skip


@dataclass(frozen=True)
class Export:
    """`texts`: one array per column, as the file has them; `headers`: what it calls each; `problems` by row.

    What the contract must say: `preamble`, lines before the header, and `encoding`, with the `evidence`, where a run
    does not find it by itself.
    """

    path: Path
    layout: Layout
    headers: dict[str, str]
    texts: dict[str, pa.Array]
    problems: dict[int, str]
    is_whole: bool
    preamble: int
    encoding: str = ""
    evidence: str = ""

    @property
    def rows(self) -> int:
        return len(next(iter(self.texts.values())))

    @property
    def row(self) -> str:
        """What it calls one."""
        return "object" if self.layout.format == records.JSON else "row"

    @cached_property
    def blank(self) -> tuple[str, ...]:
        """The spellings of nothing that the file has, beside the empty text."""
        found = set().union(*(self._values(name) for name in self.texts))
        return tuple(one for one in NOTHING if one in found)

    def _values(self, name: str) -> set[str]:
        return set(pc.unique(pc.utf8_trim(self.texts[name], BLANK)).to_pylist())

    @cached_property
    def clean(self) -> pa.Table:
        """The right rows as silver will see them: without blanks at their ends, null where nothing is said."""
        blanks = pa.array(["", *self.blank], pa.string())
        right = pa.array([row not in self.problems for row in range(1, self.rows + 1)], pa.bool_())
        columns = {}
        for name, texts in self.texts.items():
            stripped = pc.utf8_trim(texts, BLANK)
            columns[name] = pc.if_else(pc.is_in(stripped, blanks), pa.scalar(None, pa.string()), stripped)
        numbers = pa.array(range(1, self.rows + 1), pa.int64())
        return pa.table({**columns, "_row": numbers}).filter(right)

    def spellings(self, name: str) -> dict[str, int]:
        """How often a column says nothing, by how it is spelled; null is a column or key that the row does not have."""
        stripped = pc.utf8_trim(self.texts[name], BLANK).to_pylist()
        return dict(Counter("(not there)" if text is None else text for text in stripped if text in self._nothing))

    @cached_property
    def _nothing(self) -> set[str | None]:
        return {None, "", *self.blank}


def read(path: Path, of_path: Collection[str] = ()) -> Export:
    """Raises LakehouseError where a run could not read the file, with what it would say.

    `of_path`: columns that its path says, and so no header does.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(records.HEAD)
    except OSError as error:
        raise LakehouseError(f"{path} cannot be read: {error.strerror}. Name a file of rows.") from error
    try:
        return _read(path, head, of_path)
    except (UnreadableError, HalfWrittenError) as error:
        raise LakehouseError(f"{path} {error}") from error


def _read(path: Path, head: bytes, of_path: Collection[str]) -> Export:
    form = signatures.format_of(head)
    encoding, evidence = ("", "") if form else _told_encoding(path, head)
    layout, header, preamble = _typed(path, form) if form else _of_text(path, head, encoding)
    columns = list(column_names(header, of_path).values())
    headers: dict[str, str] = {}
    for column, text in zip(columns, header, strict=True):
        headers.setdefault(column, text)
    found = rows.batches(str(path.parent), path.name, layout, header, columns)
    parts, is_whole = _first(found) if header else ([], True)
    if not parts:
        raise LakehouseError(f"{path} has no rows, so it says nothing of its columns. Name a file with rows.")
    problems = pa.concat_arrays([part.problem for part in parts]).to_pylist()
    texts = {name: pa.concat_arrays([part.columns[at] for part in parts]) for at, name in enumerate(headers)}
    wrong = {row: problem for row, problem in enumerate(problems, start=1) if problem}
    return Export(path, layout, headers, texts, wrong, is_whole, preamble, encoding, evidence)


def _told_encoding(path: Path, head: bytes) -> tuple[str, str]:
    """What the contract must say, and why; nothing where a run finds it by itself."""
    layout = records.detect(head, records.JSON)
    return ("", "") if layout.encoding != "utf-8" or _is_utf8(path, layout) else _encoding_of(path, layout)


def _of_text(path: Path, head: bytes, encoding: str) -> tuple[Layout, tuple[str, ...], int]:
    """The layout, the header or keys, and how many lines stand before a header."""
    layout = records.detect(head, records.JSON)
    layout = dataclasses.replace(layout, encoding=codecs.lookup(encoding).name) if encoding else layout
    text = records.unpack_head(head, layout)[0]
    if JSON_BEGINS.match(text):
        layout = records.detect(head, records.JSON, encoding=encoding or None)
        layout = dataclasses.replace(layout, rows=_place_of_rows(path, layout))
        with path.open("rb") as stream:
            return layout, json_records.inspect_json(stream, layout)[0], 0
    preamble = _preamble(text)
    layout = records.detect(head, records.CSV, encoding=encoding or None, preamble=preamble)
    return layout, csv_records.csv_header(head, layout, column_name), preamble


def _place_of_rows(path: Path, layout: Layout) -> str:
    """Of an object, as a page of an API is one, the keys of the only array of objects in it; empty where there is none.

    Of objects one a line, and of an array, the rows are these themselves.
    """
    if path.stat().st_size > LARGEST_PAGE:
        return ""
    try:
        with path.open("rb") as stream:
            said = json.loads(b"".join(records.unpacked_blocks(stream, layout.compression)).decode(layout.encoding))
    except (ValueError, RecursionError):
        return ""
    places = [*_arrays_of_objects(said)] if isinstance(said, dict) else []
    return ".".join(places[0]) if len(places) == 1 else ""


def _arrays_of_objects(said: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in said.items():
        if isinstance(value, dict):
            yield from _arrays_of_objects(value, (*above, key))
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            yield (*above, key)


def _typed(path: Path, form: str) -> tuple[Layout, tuple[str, ...], int]:
    """The same of a file whose cells have types."""
    layout = Layout(form)
    if form == records.PARQUET:
        with storage.random_access(str(path.parent), path.name) as file:
            header = parquet.columns(file)
    else:
        with path.open("rb") as stream:
            cells = [len(list(filter(None, row))) - 1 for row in spreadsheet.first_rows(stream)[:LOOKED_AT]]
        with path.open("rb") as stream:
            layout, header, _, _ = spreadsheet.inspect(stream, layout, None, _before(cells, len(cells)))
    records.check_names(header, column_name)
    return layout, header, layout.preamble


def _first(batches: Iterator[Batch]) -> tuple[list[Batch], bool]:
    """The batches of the first rows, and whether they are all."""
    parts, rows = list[records.Batch](), 0
    for batch in batches:
        if rows >= MOST_ROWS:
            return parts, False
        parts.append(batch)
        rows += batch.rows
    return parts, True


def _is_utf8(path: Path, layout: Layout) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        try:
            for part in records.unpacked_blocks(stream, layout.compression):
                decoder.decode(part)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _encoding_of(path: Path, layout: Layout) -> tuple[str, str]:
    """What a file that is no UTF-8 most likely is, and the first word that says so."""
    with path.open("rb") as stream:
        for part in records.unpacked_blocks(stream, layout.compression):
            if found := re.search(rb"[A-Za-z]{0,20}[\x80-\xff][A-Za-z\x80-\xff]{0,20}", part):
                word = found[0]
                break
        else:
            return "windows-1252", "bytes that are no UTF-8"
    try:
        return "windows-1252", f"its first word that is no UTF-8 reads {word.decode('windows-1252')!r} so"
    except UnicodeDecodeError:
        return "latin-1", f"its first word that is no UTF-8 reads {word.decode('latin-1')!r} so"


def _preamble(text: str) -> int:
    """How many lines stand before the header: they have less than half as many cells as most lines have."""
    lines = [QUOTED.sub("", line) for line in text.split("\n", LOOKED_AT)[:LOOKED_AT]]
    first = 1 if records.SEP.match(text) else 0
    sign = max(records.DELIMITERS, key=lambda one: sum(one in line for line in lines[first:]))
    cells = [line.count(sign) for line in lines[first:]]
    return _before(cells, sum(map(bool, lines)))


def _before(cells: list[int], lines: int) -> int:
    """How many lines have less than half as many delimiters as most lines have."""
    with_cells = [count for count in cells if count > 0]
    if len(with_cells) < max(FEWEST_ALIKE, lines / 2):
        return 0
    usual = Counter(with_cells).most_common(1)[0][0]
    return next(place for place, count in enumerate(cells) if 2 * count >= usual)
