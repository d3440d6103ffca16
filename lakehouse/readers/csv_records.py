"""CSV as exact records, by one grammar, which the fast route (Arrow's C++ reader) shares wherever it is taken.

A line ends in LF or CRLF; a line without a character is no record. A cell that begins with a quote ends at the next
quote that is not doubled and may hold delimiters and line breaks; in any other cell a quote is a plain character. A
record may only span lines if it is right in its width and quotes, else its first line alone is a row with an open quote
and reading goes on with the next line: an open quote never swallows other rows.
"""

from __future__ import annotations

import codecs
import csv
import re
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from lakehouse.readers import records
from lakehouse.readers.records import Batch, HalfWrittenError, Layout, OpenEndError, Record, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import pyarrow as pa

# Bytes that are read record by record when the fast route refuses them; a call of Arrow costs 0.2 ms.
SMALL = 64 * 1024
MOST_CELLS = 2_000_000  # of such a piece, should every second byte begin a row that is padded to the header's width
MOST_LOOKED_AT = 100  # lines in which a header is looked for
BLANK_LINES = re.compile(r"(?:\r?\n)*")


def csv_header(head: bytes, layout: Layout, fold: Callable[[str], str] | None = None) -> tuple[str, ...]:
    """The header's texts, () for an empty file; with `fold`, two columns that fold to one name are an error, too."""
    text, is_whole = records.unpack_head(head, layout)
    header, _ = _read_header(text, layout, is_whole=is_whole)
    records.check_names(header if fold else (), fold or str)
    return header


def _read_header(text: str, layout: Layout, *, is_whole: bool) -> tuple[tuple[str, ...], int]:
    """The header's texts and where the rows begin."""
    at = 0
    for _ in range(layout.preamble):
        at = text.find("\n", at) + 1 or len(text)
    at = BLANK_LINES.match(text, at).end()  # type: ignore[union-attr]  # it matches everywhere
    if at == len(text) and is_whole:
        return (), at
    found = _Grammar(layout, ()).parse(text, at)
    is_cut = not is_whole and (found is None or found.is_open or (found.end == len(text) and text[-1:] != "\n"))
    if found is None or is_cut or len(text[at : found.end].encode("utf-8", "surrogatepass")) > records.HEAD:
        raise UnreadableError("has no header: its first row has no end within 256 KB. Deliver it with one.")
    _check_header(found, layout)
    return tuple(found.cells), found.end


def _check_header(found: _Found, layout: Layout) -> None:
    text = "".join(found.cells)
    if records.SURROGATE.search(text):
        bad = records.shown(next(cell for cell in found.cells if records.SURROGATE.search(cell)))[:100]
        raise UnreadableError(
            f"has a header that is not {layout.encoding}: '{bad}'. Say `encoding:` in the source's contract."
        )
    if "\0" in text:
        raise UnreadableError(
            "has a header with a NUL character: it is UTF-16 without BOM (say `encoding: utf-16-le`), or no CSV."
        )
    if "\r" in text.replace("\r\n", ""):
        raise UnreadableError("has a header with a CR that ends no line; lines must end in LF or CRLF.")
    if found.is_open or found.is_spoilt:
        raise UnreadableError(
            "has a header with a quote that is never closed, or with text after a closing one. Double quotes in quotes."
        )
    records.check_columns(len(found.cells))


def find_header(head: bytes, layout: Layout, required: Collection[str], fold: Callable[[str], str]) -> int | None:
    """How many lines, but for Excel's own first one, stand before the first that has all of the required columns."""
    lines = records.unpack_head(head, layout)[0].split("\n", MOST_LOOKED_AT)[:MOST_LOOKED_AT]
    for place, line in enumerate(lines):
        rows = ([cell.strip(layout.quote + "\r") for cell in line.split(sign)] for sign in records.DELIMITERS)
        if any(set(required) <= set(map(fold, cells)) for cells in rows):
            return place - bool(records.SEP.match(lines[0]))
    return None


def sample(head: bytes, layout: Layout, header: tuple[str, ...]) -> dict[str, str]:
    """The kind of each column by the first records of the head; a record that the head may cut does not count."""
    if not header:
        return {}
    text, is_whole = records.unpack_head(head, layout)
    start = _read_header(text, layout, is_whole=is_whole)[1]
    rows = text[start:] if is_whole else text[start : text.rfind("\n") + 1]
    rows_alone = _without_footer(iter([rows.encode("utf-8", records.utf8_errors(layout))]), layout)
    reader = _Reader(rows_alone, layout, header)
    kinds = dict.fromkeys(header, "nothing")
    for row in islice(reader.records(), records.SAMPLED):
        if row.problem is None:
            for column, value in zip(header, row.cells, strict=True):
                kinds[column] = records.join_kinds(kinds[column], records.kind_of(value))
    return kinds


def check_end(tail: bytes, layout: Layout, header: tuple[str, ...], start: int = 0) -> None:
    """OpenEndError if the last record of an uncompressed CSV looks cut. `tail`: the file's bytes from `start` on.

    Only a file without line break at its end can: then its last line must be whole, alone or as the end of a record
    that spans lines. The tail may begin anywhere, in a row or in quotes; one without any line break says nothing.
    """
    text = records.decode_tail(tail, layout, start)
    if layout.footer:
        whole = text.encode("utf-8", records.utf8_errors(layout))
        if _end_of_rows(whole, layout) < len(whole):
            return
    last_line = text.rfind("\n") + 1
    if not header or last_line == len(text) or (last_line == 0 and start > 0):
        return
    if text.endswith("\r") or records.SURROGATE.match(text, len(text) - 1):
        raise OpenEndError("ends inside a line break or a character: its writer is not done, or was stopped.")
    grammar = _Grammar(layout, header)
    last = grammar.parse(text, last_line)
    if last is None or (not last.is_open and len(last.cells) >= len(header)):
        return
    if not grammar.ends_with_a_long_record(text, last_line, is_whole=start == 0):
        what = "with an open quote" if last.is_open else f"after {len(last.cells)} of {len(header)} cells"
        raise OpenEndError(f"ends {what} and without line break: its writer is not done, or was stopped.")


def check_compressed(stream: BinaryIO, layout: Layout, header: tuple[str, ...] = ()) -> None:
    """Reads a compressed file to its end: a cut or corrupt stream is an error; then its last record is checked, too."""
    tail, size = b"", 0
    for part in records.unpacked_blocks(stream, layout.compression):
        size += len(part)
        tail = (tail + part)[-records.HEAD :]
    check_end(tail, layout, header, size - len(tail))


def read_csv(stream: BinaryIO, layout: Layout, header: tuple[str, ...], block: int = records.BLOCK) -> Iterator[Record]:
    """Every record in order, without the header's, by the exact route alone: the measure of `csv_batches`."""
    return _open(stream, layout, header, block).records()


def csv_batches(
    stream: BinaryIO,
    layout: Layout,
    header: tuple[str, ...],
    rows_per_batch: int = 10_000,
    block: int = records.BLOCK,
) -> Iterator[Batch]:
    """The same records as `read_csv`, as arrays in the header's order, and many times faster where they are clean."""
    parts = _open(stream, layout, header, block).batches(block)
    slices = (part for batch in parts for part in records.slices(batch, rows_per_batch))
    return records.mark_last(slices, layout)


def _open(stream: BinaryIO, layout: Layout, header: tuple[str, ...], block: int) -> _Reader:
    """A reader that stands behind the header."""
    reader = _Reader(_without_footer(records.utf8_blocks(stream, layout, block), layout), layout, header)
    reader.fill(records.HEAD + 1)
    text = reader.decode_begin(records.HEAD + 1)
    found, end = _read_header(text, layout, is_whole=reader.at_end and len(reader.data) <= records.HEAD)
    if found != header:
        raise HalfWrittenError("has another header than a moment ago: it changed while it was read.")
    reader.drop(len(text[:end].encode("utf-8", reader.errors)))
    return reader


def _without_footer(blocks: Iterator[bytes], layout: Layout) -> Iterator[bytes]:
    """What may be the footer is held back until the file's end says whether it is."""
    if not layout.footer:
        yield from blocks
        return
    held = b""
    for block in blocks:
        held += block
        if len(held) > 2 * records.HEAD:
            yield held[: -records.HEAD]
            held = held[-records.HEAD :]
    yield held[: _end_of_rows(held, layout)]


def _end_of_rows(tail: bytes, layout: Layout) -> int:
    """Where the footer begins in the file's last bytes, as UTF-8: the last lines that its pattern fits."""
    end = at = len(tail)
    while (at := tail.rfind(b"\n", 0, max(0, at - 1)) + 1) > 0:
        line = tail[at:end].decode("utf-8", records.utf8_errors(layout)).strip("\r\n")
        if line and not re.fullmatch(layout.footer, line):
            break
        end = at
    return end


# Characters that a file may cost in vain behind lines whose quote is open; then no record of it may span lines: a small
# file of nothing but open quotes is judged in seconds.
LOOK_AHEAD = 32 * 1024 * 1024


class _Found(NamedTuple):
    """A record as the text has it."""

    cells: list[str]
    end: int  # where the next line begins
    text: str  # without its line break
    is_spoilt: bool = False  # text follows a closing quote
    has_cr: bool = False  # outside of quotes
    is_open: bool = False  # the record spans lines and is not right: this is its first line alone
    is_large: bool = False


class _Cell(NamedTuple):
    quoted: str | None  # without its quotes
    plain: str
    end: int


class _Grammar:
    """How text falls into records."""

    def __init__(self, layout: Layout, header: tuple[str, ...]) -> None:
        self.header, self.width = list(header), len(header)
        self.delimiter, self.quote = layout.delimiter, layout.quote
        self.errors = records.utf8_errors(layout)
        self.looked_ahead = 0
        quote, delimiter = re.escape(layout.quote), re.escape(layout.delimiter)
        # Possessive, so a quote that is never closed fails in one pass.
        self.quoted = re.compile(f"{quote}([^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+){quote}" if quote else "(?!)")
        self.plain = re.compile(f"[^{delimiter}\n]*+")

    def parse(self, text: str, at: int, *, is_all: bool = True) -> _Found | None:
        """The record of the line that begins at `at`; None if a quote is open at the end of a text that goes on."""
        stop = text.find("\n", at)
        stop, end = (len(text), len(text)) if stop < 0 else (stop, stop + 1)
        if self._is_large(text, at, stop):
            return _Found([], end, text[at : at + records.SHOWN], is_large=True)
        line = text[at : stop - 1] if stop < end and text.endswith("\r", at, stop) else text[at:stop]
        if self.quote and self.quote in line:
            if cells := self._split_clean(line):
                return _Found(cells, end, line)
            return self._parse_quoted(text, at, stop, _Found([], end, line), is_all=is_all)
        return _Found(line.split(self.delimiter), end, line, has_cr="\r" in line)

    def _split_clean(self, line: str) -> list[str]:
        """What Python's C reader makes of a line whose quotes are all right, else nothing."""
        if "\r" in line or len(self.quote) + len(self.delimiter) > 2:  # noqa: PLR2004  one character each
            return []
        try:
            return next(csv.reader((line,), delimiter=self.delimiter, quotechar=self.quote, strict=True))
        except csv.Error:
            return []

    def _parse_quoted(self, text: str, begin: int, stop: int, line: _Found, *, is_all: bool) -> _Found | None:
        at, cells, is_spoilt, has_cr = begin, list[str](), False, False
        alone: _Found | None = None  # the first line by itself, once a cell goes on behind it
        while True:
            cell = self._cell(text, at)
            if alone is None and (cell is None or cell.end > stop):
                rest = line.text[at - begin :]
                plain = cells + rest.split(self.delimiter)
                alone = line._replace(cells=plain, has_cr=has_cr or "\r" in rest, is_open=True)
            if cell is None:
                return alone if is_all else None
            cells.append((cell.quoted or "") + cell.plain)
            is_spoilt = is_spoilt or (cell.quoted is not None and cell.plain != "")
            has_cr = has_cr or "\r" in cell.plain
            at = cell.end + len(self.delimiter)
            if alone and (is_spoilt or 0 < self.width < len(cells) or self.looked_ahead > LOOK_AHEAD):
                self.looked_ahead += at - stop
                return alone
            if not text.startswith(self.delimiter, cell.end):
                break
        if alone is None:
            return line._replace(cells=cells, is_spoilt=is_spoilt, has_cr=has_cr)
        if (self.width and len(cells) < self.width) or self._is_large(text, begin, cell.end):
            self.looked_ahead += cell.end - stop
            return alone
        end = cell.end
        whole = text[begin : end - 1] if text.endswith("\r", begin, end) and end < len(text) else text[begin:end]
        return _Found(cells, min(end + 1, len(text)), whole, has_cr=has_cr)

    def _cell(self, text: str, at: int) -> _Cell | None:
        """The cell that begins at `at`; None if its quote is never closed in this text."""
        quoted = None
        if text.startswith(self.quote, at):
            found = self.quoted.match(text, at)
            if found is None:
                return None
            quoted, at = found[1].replace(self.quote * 2, self.quote), found.end()
        plain = self.plain.match(text, at)[0]  # type: ignore[index]  # it matches everywhere
        end = at + len(plain)
        if plain.endswith("\r") and text.startswith("\n", end):
            plain = plain[:-1]
        return _Cell(quoted, plain, end)

    def _is_large(self, text: str, begin: int, end: int) -> bool:
        # A character has at most 4 bytes: encoding is rarely needed to know.
        return (end - begin) * 4 > records.LARGEST and len(
            text[begin:end].encode("utf-8", self.errors)
        ) > records.LARGEST

    def judge(self, found: _Found) -> Record:
        """The record with its first problem in the order of PROBLEMS, cut or padded to the header's width."""
        if found.is_large:
            return too_large(found.text, self.width)
        problem = self._problem(found)
        if problem is None:
            return Record(tuple(found.cells))
        cells = [records.shown(cell) for cell in found.cells[: self.width]]
        return Record((*cells, *[None] * (self.width - len(cells))), problem, records.shown(found.text))

    def _problem(self, found: _Found) -> str | None:
        holds = (
            ("row_has_invalid_bytes", records.has_surrogates(found.text)),
            ("row_has_a_nul", "\0" in found.text),
            ("row_has_a_lone_cr", found.has_cr),
            ("row_has_an_open_quote", found.is_open),
            ("row_has_text_after_a_quote", found.is_spoilt),
            ("row_is_too_short", len(found.cells) < self.width),
            ("row_is_too_long", len(found.cells) > self.width),
            ("row_repeats_the_header", found.cells == self.header),
        )
        return next((name for name, is_so in holds if is_so), None)

    def ends_with_a_long_record(self, text: str, last_line: int, *, is_whole: bool) -> bool:
        """Does a record that spans lines end with the text? Found backwards, because where records begin is unknown."""
        at = last_line
        while at > 0:
            at = text.rfind("\n", 0, at - 1) + 1
            if at == 0 and not is_whole:
                return False
            if self.quote and self.quote in text[at:last_line]:
                found = self.parse(text, at)
                if found and found.end == len(text) and not found.is_open and len(found.cells) == self.width:
                    return True
        return False


def too_large(text: str, width: int) -> Record:
    return Record((None,) * width, "row_is_too_large", records.shown(text[: records.SHOWN]))


class _Reader:
    """A stream of UTF-8 as records; its buffer always begins with a record."""

    def __init__(self, blocks: Iterator[bytes], layout: Layout, header: tuple[str, ...]) -> None:
        self.blocks, self.data, self.at_end = blocks, bytearray(), False
        self.grammar, self.errors = _Grammar(layout, header), records.utf8_errors(layout)
        self.fast = _Fast(layout, header)
        self.small = max(1024, min(SMALL, MOST_CELLS // max(1, len(header))))

    def fill(self, size: int) -> None:
        while len(self.data) < size and not self.at_end:
            part = next(self.blocks, None)
            self.at_end = part is None
            self.data += part or b""

    def drop(self, size: int) -> None:
        del self.data[:size]

    def piece(self, size: int) -> int:
        """The size of the next whole lines: at most `size`, or one line, or more than LARGEST; 0 at the file's end."""
        self.fill(size)
        if self.at_end and len(self.data) <= size:
            return len(self.data)
        end, searched = self.data.rfind(b"\n", 0, size) + 1, size
        while end == 0:
            end = self.data.find(b"\n", searched) + 1
            if end == 0 and (self.at_end or len(self.data) > records.LARGEST):
                return len(self.data)
            searched = len(self.data)
            self.fill(searched if end else 2 * searched)
        return end

    def records(self) -> Iterator[Record]:
        while end := self.piece(self.small):
            yield from self._read(end)

    def batches(self, block: int) -> Iterator[Batch]:
        """Fast pieces as long as they are clean, small ones around what is not."""
        import pyarrow as pa  # noqa: PLC0415  as in `records`: only reading files pays for it

        size = block
        while end := self.piece(size):
            self.fast.may_span = self.grammar.looked_ahead <= LOOK_AHEAD
            columns, used = self.fast.parse(bytes(self.data[:end]))
            if used:
                self.drop(used)
                size = min(size * 2, block)
            elif size > self.small:
                size = self.small
                continue
            elif rows := self._read(end):
                yield records.to_batch(zip(*(row.cells for row in rows), strict=True), rows)
            if used and columns:
                nothing = pa.nulls(len(columns[0]), pa.string())
                yield Batch(columns, nothing, nothing)

    def _read(self, end: int) -> list[Record]:
        """The records of these lines; one whose quote is open at their end waits for more lines."""
        if end > records.LARGEST and self.data.find(b"\n", 0, records.LARGEST + 1) < 0:
            return [self._skip_line()]
        text, at, rows = self._decode(end), 0, list[Record]()
        is_all = self.at_end and end == len(self.data)
        while at < len(text):
            found = self.grammar.parse(text, at, is_all=is_all)
            if found is None:
                break
            at = found.end
            if found.text:
                rows.append(self.grammar.judge(found))
        if at == 0:
            return [self._read_long(end)]
        self.drop(end if at == len(text) else self._size(text[:at]))
        return rows

    def _read_long(self, size: int) -> Record:
        """The one record at the buffer's begin, which spans more lines than were looked at."""
        found = None
        while found is None:
            size = min(size * 2, records.LARGEST + 2)  # with its CRLF
            end = self.piece(size)
            text = self._decode(end)
            is_all = size > records.LARGEST + 1 or (self.at_end and end == len(self.data))
            found = self.grammar.parse(text, 0, is_all=is_all)
        self.drop(self._size(text[: found.end]))
        return self.grammar.judge(found)

    def _skip_line(self) -> Record:
        text = self.decode_begin(4 * records.SHOWN)
        while (end := self.data.find(b"\n")) < 0 and not self.at_end:
            self.data.clear()
            self.fill(1)
        self.drop(end + 1 if end >= 0 else len(self.data))
        return too_large(text, self.grammar.width)

    def decode_begin(self, size: int) -> str:
        """Without a character that the cut goes through."""
        return codecs.getincrementaldecoder("utf-8")(self.errors).decode(bytes(self.data[:size]), self.at_end)

    def _decode(self, end: int) -> str:
        return self.data[:end].decode("utf-8", self.errors)

    def _size(self, text: str) -> int:
        return len(text.encode("utf-8", self.errors))


class _Fast:
    """Arrow's CSV reader for pieces of whole lines in which it provably sees what the grammar sees."""

    def __init__(self, layout: Layout, header: tuple[str, ...]) -> None:
        self.header = header
        self.delimiter, self.quote = layout.delimiter.encode(), layout.quote.encode()
        self.may_span = True
        self.can_parse = len(self.delimiter) == 1 and len(self.quote) <= 1 and bool(header)
        names = [str(place) for place in range(len(header))]
        self.types = dict.fromkeys(names, "string")
        self.names, self.layout = names, layout
        # The header as a row, each cell with or without quotes. pyarrow.compute would need 0.7 s in every new process.
        quote, texts = self.quote, [text.encode() for text in header]
        forms = ((re.escape(text), re.escape(quote + text.replace(quote, quote * 2) + quote)) for text in texts)
        cells = (b"(?:%b|%b)" % (plain, quoted) for plain, quoted in forms)
        parts = (part for text in texts for part in (text.split(quote) if quote else [text]))
        self.longest = max(parts, key=len, default=b"")
        self.repeated = re.compile(b"(?:\\A|\n)" + re.escape(self.delimiter).join(cells) + b"(?=\r?\n|\\Z)")

    def parse(self, piece: bytes) -> tuple[list[pa.Array], int]:
        """The columns and how many bytes they took: 0 if the piece is not clean, less than all if a quote is open."""
        is_clean = (
            self.can_parse
            and len(piece) <= records.LARGEST
            and b"\0" not in piece
            and piece.count(b"\r") == piece.count(b"\r\n")
            and not piece.startswith(codecs.BOM_UTF8)  # Arrow would take it for the file's
            and not (self.longest in piece and self.repeated.search(piece))
        )
        is_quoted = is_clean and self.quote != b"" and self.quote in piece
        end = 0 if not is_clean or (is_quoted and not self.may_span) else len(piece)
        end = self._quoted_end(piece) if end and is_quoted else end
        if end == 0:
            return [], 0
        import pyarrow as pa  # noqa: PLC0415

        try:
            columns = self._read(piece[:end], is_quoted=is_quoted)
        except pa.ArrowInvalid:  # a wrong width, bytes that are no UTF-8, or blank lines alone
            return [], 0
        return columns, end

    def _quoted_end(self, piece: bytes) -> int:
        """The end of the last record that is closed in the piece, 0 if any quote stands where the grammar is subtle.

        Split at every quote, every other part is outside of quotes: it must begin behind a quote and end before one, so
        with a delimiter or line break, or be empty (a doubled quote).
        """
        outside = piece.split(self.quote)[::2]
        is_open = piece.count(self.quote) % 2 == 1
        ends = set(outside if is_open else outside[:-1]) - {b""}
        begins = set(outside[1:]) - {b""}
        if not all(part[-1:] in {self.delimiter, b"\n"} for part in ends):
            return 0
        if not all(part[:1] in {self.delimiter, b"\n", b"\r"} for part in begins):
            return 0
        return self._last_break(piece) if is_open else len(piece)

    def _last_break(self, piece: bytes) -> int:
        """Behind the last line break outside of quotes, in a piece whose last quote opens a cell."""
        stop, is_inside = len(piece), True
        while stop > 0:
            begin = piece.rfind(self.quote, 0, stop) + 1
            end = piece.rfind(b"\n", begin, stop) + 1
            if end and not is_inside:
                return end
            stop, is_inside = begin - 1, not is_inside
        return 0

    def _read(self, piece: bytes, *, is_quoted: bool) -> list[pa.Array]:
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import csv as arrow_csv  # noqa: PLC0415

        table = arrow_csv.read_csv(
            pa.BufferReader(piece),
            arrow_csv.ReadOptions(use_threads=False, block_size=len(piece) + 1, column_names=self.names),
            arrow_csv.ParseOptions(
                delimiter=self.layout.delimiter,
                quote_char=self.layout.quote if is_quoted else False,
                newlines_in_values=is_quoted,
            ),
            arrow_csv.ConvertOptions(column_types=self.types, null_values=[], strings_can_be_null=False),
        )
        return [column.combine_chunks() for column in table.columns]
