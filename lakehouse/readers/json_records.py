"""JSON as exact records: an array of objects, or objects one after the other (JSON lines, also pretty printed).

An array may also stand within an object, as in the pages of an API: `rows` of the layout says where.

Every value becomes text as it is written: numbers keep their digits, nested objects and arrays their text. Python's C
scanner parses; what it refuses is cut out by brackets and quotes alone. Where these do not close either, reading goes
on with the next line that begins like the first element's line: with the same blanks and `{`, unlike nested objects.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn

from lakehouse.readers import records
from lakehouse.readers.records import Batch, HalfWrittenError, Layout, Record, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BLOCK = 32 * 1024  # Python counts the lines before an error, so a file of errors wants short texts
MOST_LEVELS = 100
MOST_KEYS = 1000
NOT_JSON, TOO_DEEP, TOO_LARGE = "object_is_not_json", "object_is_too_deep", "row_is_too_large"
NEAR = 16  # an error so near to the end of the text may be a number, word or escape that goes on behind it
TEXTS = {str, type(None)}
BLANKS = re.compile(r"[ \t\r\n]*+")
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")  # whether it is alone, only decoding tells
# No possessive group holds a choice: Python before 3.11.5 matches such groups wrongly (python/cpython 106052).
STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
MEMBER = re.compile(rf"({STRING})\s*+(?::\s*+([\[{{])?)?")  # a key, or a text, and the bracket that opens its value
TOKEN = re.compile(r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"|[\[{]++|["\]},\n]')


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


SCANNER = json.JSONDecoder(object_pairs_hook=tuple, parse_float=str, parse_int=str, parse_constant=_no_constant)


def inspect_json(stream: BinaryIO, layout: Layout, block: int = BLOCK) -> tuple[tuple[str, ...], dict[str, str], int]:
    """The keys in order of first appearance, the kind of each by its first 1,000 values, and the number of records."""
    kinds: dict[str, str] = {}
    seen: dict[str, int] = {}
    known: set[str] = set()  # keys with enough values
    rows = 0
    for row in read_json(stream, layout, block=block):
        rows += 1
        cells: dict[str, str | None] = row.cells  # type: ignore[assignment]  # JSON's cells are a dict
        for key in [] if cells.keys() <= known else [key for key in cells if key not in known]:
            kinds[key] = records.join_kinds(kinds.get(key, "nothing"), records.kind_of(cells[key]))
            seen[key] = seen.get(key, 0) + 1
            if seen[key] == records.SAMPLED:
                known.add(key)
        if len(kinds) > MOST_KEYS:
            raise UnreadableError(
                f"has objects with more than {MOST_KEYS:,} different keys. Export values as rows, not as keys."
            )
    return tuple(kinds), kinds, rows


def read_json(
    stream: BinaryIO, layout: Layout, names: Mapping[str, str] | None = None, block: int = BLOCK
) -> Iterator[Record]:
    """Every element in order. `names`: key to column, so that two keys of one column in one object are seen."""
    return _Reader(stream, layout, names or {}, block).records()


def one_object(message: bytes) -> Record:
    """A message that should be one object and nothing else, as a topic has it; a BOM before it is no part of it."""
    text = records.decoder("utf-8").decode(message, final=True).removeprefix("\ufeff")
    if len(text) > records.LARGEST:
        return Record({}, TOO_LARGE, records.shown(text[: records.SHOWN]))
    reader = _Reader(io.BytesIO(), Layout(records.JSON), {}, BLOCK)
    reader.text, reader.at, reader.at_end = text, BLANKS.match(text).end(), True  # type: ignore[union-attr]  # as below
    try:
        value, end = SCANNER.raw_decode(text, reader.at)
    except (ValueError, RecursionError):
        end = -1
    if end < 0 or BLANKS.match(text, end).end() < len(text):  # type: ignore[union-attr]
        is_deep = text.count("{") + text.count("[") > MOST_LEVELS and _levels(text) > MOST_LEVELS
        return Record({}, TOO_DEEP if is_deep else NOT_JSON, records.shown(text))
    return reader._whole(value, end)  # noqa: SLF001  of this module


def json_batches(
    stream: BinaryIO,
    layout: Layout,
    names: Mapping[str, str],
    rows_per_batch: int = 10_000,
    block: int = BLOCK,
) -> Iterator[Batch]:
    """The records as arrays, one per different column of `names`, in its order; `names` must hold every key."""
    keys: dict[str, list[str]] = {}
    for key, column in names.items():
        keys.setdefault(column, []).append(key)

    def batches() -> Iterator[Batch]:
        rows, size = list[Record](), 0
        reader = _Reader(stream, layout, names, block)
        for row in reader.records():
            if not row.cells.keys() <= names.keys():  # type: ignore[union-attr]  # JSON's cells are a dict
                raise HalfWrittenError("has other keys than a moment ago: it changed while it was read.")
            rows.append(row)
            size += reader.size
            if len(rows) == rows_per_batch or size > records.LARGEST:
                yield _to_batch(rows, keys)
                rows, size = [], 0
        if rows:
            yield _to_batch(rows, keys)

    return records.mark_last(batches(), layout)


def _to_batch(rows: list[Record], keys: Mapping[str, list[str]]) -> Batch:
    cells: list[Any] = [row.cells for row in rows]
    columns = [
        [row.get(of_column[0]) for row in cells]
        if len(of_column) == 1
        else [next((row[key] for key in of_column if key in row), None) for row in cells]
        for of_column in keys.values()
    ]
    return records.to_batch(columns, rows)


class _Extent(NamedTuple):
    """How far an element goes that the scanner refused."""

    end: int
    levels: int = 0  # the deepest
    depth: int = 0  # at the end
    is_closed: bool = False  # what ends an element stands there
    has_fault: bool = False  # a quote is not closed in its line


class _Reader:
    """A stream of text as records; `at` is where the next element is looked for."""

    def __init__(self, stream: BinaryIO, layout: Layout, names: Mapping[str, str], block: int) -> None:
        self.blocks, self.encoding = records.text_blocks(stream, layout, block), layout.encoding
        self.text, self.at, self.at_end = "", 0, False
        self.names, self.has_namesakes = names, len(set(names.values())) < len(names)
        self.path = layout.rows.split(".") if layout.rows else []
        self.in_array = False
        self.marker = ""  # how a line begins that begins an element
        self.size = 0  # of the last record

    def more(self) -> None:
        """Forgets what is read and at least doubles the rest: looking again costs no more than the first time."""
        rest = self.text[self.at :]
        parts, wanted = [rest], max(len(rest), 1)
        while wanted > 0 and not self.at_end:
            part = next(self.blocks, None)
            self.at_end = part is None
            parts.append(part or "")
            wanted -= len(part or "")
        self.text, self.at = "".join(parts), 0

    def peek(self) -> str:
        """The next character that is no blank, "" at the end."""
        while (found := BLANKS.match(self.text, self.at).end()) == len(self.text) and not self.at_end:  # type: ignore[union-attr]
            if found - self.at > records.LARGEST:
                self.at = found  # a file of blanks must not fill the memory
            self.more()
        if not self.marker and self.text.startswith("{", found):
            line = self.text.rfind("\n", self.at, found)
            if line >= 0:
                self.marker = self.text[line : found + 1]
        self.at = found
        return self.text[found : found + 1]

    def records(self) -> Iterator[Record]:
        if self.path:
            self._enter()
            yield from self._array()
            return
        first = self.peek()
        while len(self.text) - self.at < NEAR and not self.at_end:
            self.more()
        begin = self.text[self.at : self.at + NEAR]
        if first not in {"", "[", "{"} or "\0" in begin:  # NULs: UTF-16 without BOM
            begin = records.shown(begin).replace("\0", "\\0")
            raise UnreadableError(
                f"is not JSON in {self.encoding}: it begins with '{begin}'. Correct `format:` or the file."
            )
        self.in_array = first == "["
        if self.in_array:
            self.at += 1
            yield from self._array()
            return
        self.marker = "\n{"
        while self.peek():
            yield self._element()

    def _enter(self) -> None:
        """Goes behind the bracket of the array that the layout's `rows` name; nothing beside it counts."""
        for key in self.path:
            if self._sign() != "{":
                raise self._has_no_rows()
            while self._key() != key:
                self._value()
                if self._sign() != ",":
                    raise self._has_no_rows()
        if self._sign() != "[":
            raise self._has_no_rows()
        self.in_array = True

    def _has_no_rows(self) -> UnreadableError:
        return UnreadableError(f"has no array at `{'.'.join(self.path)}`. Correct `rows:` in the source's contract.")

    def _sign(self) -> str:
        """The next character that is no blank; reading goes on behind it."""
        self._skip_blanks()
        self.at += 1
        return self.text[self.at - 1 : self.at]

    def _key(self) -> object:
        """The key that begins here; reading goes on behind its colon."""
        self._skip_blanks()
        key = self._value() if self.text.startswith('"', self.at) else None
        if key is None or self._sign() != ":":
            raise self._has_no_rows()
        return key

    def _value(self) -> object:
        """The value that begins here; reading goes on behind it."""
        self._skip_blanks()
        while True:
            try:
                value, end = SCANNER.raw_decode(self.text, self.at)
            except (ValueError, RecursionError):
                end = len(self.text)
            if end < len(self.text):
                self.at = end
                return value
            if self.at_end or len(self.text) - self.at > records.LARGEST:
                raise HalfWrittenError(f"is cut, or no JSON, before its array at `{'.'.join(self.path)}`.")
            self.more()

    def _skip_blanks(self) -> None:
        while (found := BLANKS.match(self.text, self.at).end()) == len(self.text) and not self.at_end:  # type: ignore[union-attr]
            self.more()
        self.at = found

    def _array(self) -> Iterator[Record]:
        after_comma = False
        while (sign := self.peek()) != "]":
            if sign == "":
                raise HalfWrittenError("is a JSON array without its end: its writer is not done, or was stopped.")
            if sign == ",":
                self.at += 1
                yield Record({}, NOT_JSON, ",")
                continue
            yield self._element()
            if not self.in_array:
                return
            after_comma = self.peek() == ","
            self.at += after_comma
        self.at += 1
        if after_comma:
            yield Record({}, NOT_JSON, ",")
        if not self.path and self.peek():  # whatever stands behind the array is one broken element
            self.in_array, self.marker = False, "\n{"
            while self.peek():
                yield self._broken()

    def _element(self) -> Record:
        while True:
            try:
                value, end = SCANNER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                is_open = error.pos >= len(self.text) - NEAR or error.msg.startswith("Unterminated string")
            except (ValueError, RecursionError):
                is_open = False
            else:
                follower = BLANKS.match(self.text, end).end()  # type: ignore[union-attr]  # it matches everywhere
                if (self.at_end or follower < len(self.text)) and self._may_follow(end, follower):
                    return self._whole(value, end)
                is_open = follower >= len(self.text) - NEAR
            if self.at_end or not is_open or len(self.text) - self.at > 2 * records.LARGEST:
                return self._broken()
            self.more()

    def _may_follow(self, end: int, follower: int) -> bool:
        sign = self.text[follower : follower + 1]
        if self.in_array:
            return sign in {",", "]"} or sign == ""
        return sign in {"", "{"} or "\n" in self.text[end:follower]

    def _whole(self, value: object, end: int) -> Record:
        if end - self.at > records.LARGEST:
            return self._skip()
        at, self.at, self.size = self.at, end, end - self.at
        raw = self.text[at:end]
        if not isinstance(value, tuple):
            return Record({}, "element_is_no_object", records.shown(raw))
        cells = dict(value)
        if not TEXTS.issuperset(map(type, cells.values())):
            if _levels(raw) > MOST_LEVELS:
                return Record({}, TOO_DEEP, records.shown(raw))
            cells |= _as_written(raw, cells)
        problem = self._problem(raw, value, cells)
        if problem is None:
            return Record(cells)
        cells = {records.shown(key): text and records.shown(text) for key, text in cells.items()}
        return Record(cells, problem, records.shown(raw))

    def _problem(self, raw: str, value: tuple[Any, ...], cells: dict[str, str | None]) -> str | None:
        if records.has_surrogates(json.dumps(value, ensure_ascii=False) if SURROGATE_ESCAPE.search(raw) else raw):
            return "row_has_invalid_bytes"
        if "\\u0000" in raw and any("\0" in text for pair in cells.items() for text in pair if text):
            return "row_has_a_nul"
        columns = len({self.names.get(key, key) for key in cells}) if self.has_namesakes else len(cells)
        return "object_repeats_a_key" if columns < len(value) else None

    def _broken(self) -> Record:
        while True:
            line = self.text.find(self.marker, self.at) if self.marker else -1
            extent = self._extent(len(self.text) if line < 0 else line)
            if extent.is_closed or line >= 0 or self.at_end:
                break
            if len(self.text) - self.at > records.LARGEST + len(self.marker):
                return self._skip()
            self.more()
        if extent.end - self.at > records.LARGEST:
            return self._skip()
        raw = self.text[self.at : extent.end].strip(" \t\r\n")
        if not extent.is_closed and line < 0:
            self._end_inside(extent, raw)
        elif self.in_array and not extent.is_closed:
            raw = raw.removesuffix(",")
        self.at, self.size = extent.end, len(raw)
        return Record({}, TOO_DEEP if extent.levels > MOST_LEVELS else NOT_JSON, records.shown(raw))

    def _end_inside(self, extent: _Extent, raw: str) -> None:
        """The text ends in a broken element, which is cut there or wrong in itself."""
        if self.in_array:
            if not (extent.has_fault and raw.endswith("]")):
                raise HalfWrittenError("is a JSON array without its end: its writer is not done, or was stopped.")
            self.in_array = False
        elif extent.depth > 0 and (not self.text.endswith("\n") or ("\n" in raw and not extent.has_fault)):
            raise HalfWrittenError("ends inside a JSON object: its writer is not done, or was stopped.")

    def _extent(self, stop: int) -> _Extent:
        depth = levels = 0
        for found in TOKEN.finditer(self.text, self.at, stop):
            begin, sign = found.start(), self.text[found.start()]
            if sign == '"' and found.end() == begin + 1:
                return _Extent(stop, levels, depth, has_fault=True)
            if depth <= 0 and sign in (",]" if self.in_array else "\n"):
                return _Extent(begin, levels, depth, is_closed=True)
            depth += found.end() - begin if sign in "[{" else -(sign in "]}")
            levels = max(levels, depth)
        return _Extent(stop, levels, depth)

    def _skip(self) -> Record:
        """A too large element; reading goes on with the next line that begins an element, if lines do."""
        raw, self.size = self.text[self.at : self.at + records.SHOWN], records.SHOWN
        end = "]"
        while (line := self.text.find(self.marker, self.at) if self.marker else -1) < 0 and not self.at_end:
            end = self.text.rstrip(" \t\r\n")[-1:] or end
            self.at = max(self.at, len(self.text) - len(self.marker))
            self.more()
        end = self.text.rstrip(" \t\r\n")[-1:] or end
        self.at = len(self.text) if line < 0 else line
        if line < 0 and self.in_array:
            if end != "]":
                raise HalfWrittenError("is a JSON array without its end: its writer is not done, or was stopped.")
            self.in_array = False
        return Record({}, TOO_LARGE, records.shown(raw))


def _levels(raw: str) -> int:
    depth = levels = 0
    if raw.count("{") + raw.count("[") <= MOST_LEVELS:
        return 1
    for found in TOKEN.finditer(raw):
        depth += len(found[0]) if found[0][0] in "[{" else -(found[0] in {"]", "}"})
        levels = max(levels, depth)
    return levels


def _as_written(raw: str, cells: dict[str, Any]) -> dict[str, str]:
    """The members of a right object that are no text, as the object's text has them."""
    words = {key: "true" if value else "false" for key, value in cells.items() if isinstance(value, bool)}
    nested, at = dict[str, str](), 0
    while found := MEMBER.search(raw, at):  # the scanner says no positions
        at = found.end()
        if found[2]:
            at = SCANNER.raw_decode(raw, found.start(2))[1]
            nested[json.loads(found[1])] = raw[found.start(2) : at]
    return words | {key: text for key, text in nested.items() if isinstance(cells[key], list | tuple)}
