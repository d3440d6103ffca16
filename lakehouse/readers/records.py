"""What the readers of CSV and JSON share: a file's layout, its bytes as text, the records' problems, the errors.

The readers (csv_records.py, json_records.py) hold one exact grammar each, need no Spark, and read streams piece by
piece: memory is bounded however large a file, a record or a gzip bomb is. A row is never dropped and never guessed:
what is not right keeps its best-effort cells, the name of its problem and its text.
"""

from __future__ import annotations

import codecs
import dataclasses
import gzip
import io
import re
import sys
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import zstandard

from lakehouse.errors import LakehouseError
from lakehouse.readers import signatures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

HEAD = 256 * 1024  # what `detect`, `csv_header` and `sample` want: the first bytes of the file as it is stored
BLOCK = 1 << 20  # bytes read and parsed at a time
LARGEST = 16 * 1024 * 1024  # of a record: bytes of a CSV record as UTF-8, characters of a JSON object
MOST_COLUMNS = 1000
SAMPLED = 1000  # records whose values say a column's kind
SHOWN = 1000  # characters of a too large record that `_raw` keeps
CSV, JSON, PARQUET, SPREADSHEET = "csv", "json", "parquet", "spreadsheet"
TYPED = (PARQUET, SPREADSHEET)  # their cells are no text yet
DELIMITERS = (",", ";", "\t", "|")
# Excel's own first line, which says what separates the cells: `sep=;`.
SEP = re.compile(r"""\A"?sep=([^\w\s"']|\t)"?[ \t]*\r?(?:\n|\Z)""", re.IGNORECASE)
MOST_HELD = 16  # batches: what is cut at a file's end is a record, not half of the file
MOST_LINES_BEFORE = 1000  # of a preamble


class UnreadableError(LakehouseError):
    """The file as a whole cannot be read. The message is a sentence that follows the file's name."""


class HalfWrittenError(LakehouseError):
    """The file looks as if its writer is not done. The message is a sentence that follows the file's name."""


class OpenEndError(HalfWrittenError):
    """Only the last row looks cut: the file can be read as it is, once nobody writes to it any more."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a file's bytes become records; `encoding` is a Python codec, a BOM is removed in any case.

    `preamble`: how many lines stand before the header. `footer`: the pattern of lines that stand behind the last row.
    `rows`: the keys, with points between, under which a JSON object holds the array of its rows.
    `ends_open`: the last record looked cut, and was taken as it is. A spreadsheet has a `sheet`, and `skip_rows` rows
    between the header and the first one that counts; its lines are the rows of the sheet.
    """

    format: str
    compression: str = ""
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    preamble: int = 0
    footer: str = ""
    rows: str = ""
    ends_open: bool = False
    sheet: str = ""
    skip_rows: int = 0

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Layout:
        return cls(**values)


class Record(NamedTuple):
    """CSV: one cell per column of the header. JSON: key to text. `raw` only stands beside a problem."""

    cells: tuple[str | None, ...] | dict[str, str | None]
    problem: str | None = None
    raw: str | None = None


@dataclasses.dataclass(frozen=True)
class Batch:
    """Consecutive records as Arrow arrays of text, all of one length; null means: the row has no such cell."""

    columns: list[pa.Array]
    problem: pa.Array
    raw: pa.Array
    is_last: bool = False  # it ends with the file's last record; of a cut file: has its last right one, or follows it

    @property
    def rows(self) -> int:
        return len(self.problem)


def detect(
    head: bytes,
    format: str,  # noqa: A002  as the contract calls it
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    quote: str = '"',
    preamble: int | str = 0,
    is_known: Callable[[str], bool] = bool,
) -> Layout:
    """The layout by content, never by name: magic bytes, BOM, the delimiter that gives most of the known headers.

    Raises UnreadableError for what is a file of another kind, whatever its name says.
    """
    compression = compression_of(head)
    begin = _unpack_head(head, compression)[:HEAD]
    marks = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
    marked = (codec for mark, codec in marks.items() if begin.startswith(mark))
    layout = Layout(format, compression, next(marked, None) or _codec(encoding or "utf-8"), "", "")
    text = decoder(layout.encoding).decode(begin).removeprefix("\ufeff")
    if refusal := signatures.refusal(begin, text, format):
        raise UnreadableError(refusal)
    if format != CSV:
        return layout
    said = SEP.match(text)
    lines = text.split("\n", MOST_LINES_BEFORE + 1)
    before = _lines_before(lines, preamble, 1 if said else 0)
    first = next((line.rstrip("\r") for line in lines[before:] if line.strip("\r")), "")

    def known(sign: str) -> int:
        return sum(is_known(cell.strip(quote or None)) for cell in first.split(sign))

    sign = said[1] if said else delimiter or max(DELIMITERS, key=known)
    return dataclasses.replace(layout, delimiter=sign, quote=quote, preamble=before)


def compression_of(head: bytes) -> str:
    return {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}.get(head[:2], "")


def _lines_before(lines: Sequence[str], preamble: int | str, before: int) -> int:
    """`before` lines and the preamble: so many lines, or those that the pattern fits or that have no character."""
    if isinstance(preamble, int):
        return before + preamble
    while before < len(lines) and (not (line := lines[before].rstrip("\r")) or re.fullmatch(preamble, line)):
        before += 1
    return before


def _codec(encoding: str) -> str:
    """Python's utf-16 guesses the byte order and its utf-8-sig is utf-8 here, because a BOM is removed in any case."""
    name = codecs.lookup(encoding).name
    return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name)


# --- bytes


def _unpack_head(head: bytes, compression: str) -> bytes:
    """As much as the cut head gives, at most twice HEAD: a bomb may wait behind it."""
    unpacked = bytearray()
    if not compression:
        return head
    reader: BinaryIO = io.BytesIO(head)
    try:
        if compression == "gzip":
            reader = gzip.GzipFile(fileobj=reader)  # type: ignore[assignment]
        else:
            reader = zstandard.ZstdDecompressor().stream_reader(reader, read_across_frames=True)
        while len(unpacked) < 2 * HEAD and (part := reader.read1(HEAD)):  # type: ignore[attr-defined]
            unpacked += part
    except EOFError:
        pass  # the head is cut by its reader; whether the file is, `check_compressed` and `inspect_json` say
    except (gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise _corrupt(compression, error) from error
    return bytes(unpacked)


def unpack_head(head: bytes, layout: Layout) -> tuple[str, bool]:
    """The head's text, and whether it is the whole file; a character that the head's end cuts is left out."""
    unpacked = _unpack_head(head, layout.compression)
    is_whole = len(head) < HEAD and len(unpacked) < 2 * HEAD
    return decoder(layout.encoding).decode(unpacked, final=is_whole).removeprefix("\ufeff"), is_whole


def decode_tail(tail: bytes, layout: Layout, start: int) -> str:
    """The file's last bytes, which begin at its byte `start`, perhaps inside a character."""
    unit = {"utf-16": 2, "utf-32": 4}.get(layout.encoding[:6], 1)
    return decoder(layout.encoding).decode(tail[-start % unit :], final=True).removeprefix("\ufeff")


class _Source(io.RawIOBase):
    """A stream for Arrow, which would turn the stream's own errors (a lost connection) into those of bad data."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return self.stream.read(size)
        except Exception as error:  # noqa: BLE001  kept and raised by `unpacked_blocks`
            self.failure = error
            return b""


def unpacked_blocks(stream: BinaryIO, compression: str, block: int = BLOCK) -> Iterator[bytes]:
    """The stored bytes unpacked, at most `block` at a time; a cut stream is half-written, a corrupt one unreadable."""
    source = _Source(stream)
    reader: BinaryIO = stream
    if compression == "gzip":
        reader = gzip.GzipFile(fileobj=stream)  # type: ignore[assignment]
    elif compression == "zstd":
        import pyarrow as pa  # noqa: PLC0415  with numpy a quarter of a second, which only reading files pays

        reader = pa.CompressedInputStream(pa.PythonFile(source, mode="r"), "zstd")  # zstandard is silent about a cut
    while True:
        try:
            part = reader.read(block)
        except EOFError as error:
            raise _cut(compression) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise _corrupt(compression, error) from error
        except OSError as error:
            if source.failure or compression != "zstd":
                raise source.failure or error from None
            raise (_cut(compression) if "Truncated" in str(error) else _corrupt(compression, error)) from error
        if source.failure:
            raise source.failure
        if not part:
            return
        yield part


def _cut(compression: str) -> HalfWrittenError:
    return HalfWrittenError(f"ends in the middle of its {compression} stream: its writer is not done, or was stopped.")


def _corrupt(compression: str, error: Exception) -> UnreadableError:
    return UnreadableError(f"is a corrupt {compression} stream ({error}). Deliver it again.")


# --- text


INVALID = 0xDC00  # a byte that is no text is the lone surrogate of this code plus the byte


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Every byte that is no text becomes a lone surrogate; Python's surrogateescape does so above 127 only."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(INVALID + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("lakehouse.mark", _mark)


def decoder(encoding: str) -> codecs.IncrementalDecoder:
    # surrogateescape is C: a large file of noise stays fast
    return codecs.getincrementaldecoder(encoding)("surrogateescape" if encoding == "utf-8" else "lakehouse.mark")


def text_blocks(stream: BinaryIO, layout: Layout, block: int = BLOCK) -> Iterator[str]:
    """The text without BOM; bytes that are no text are lone surrogates in it, which `shown` makes visible."""
    reader, is_first = decoder(layout.encoding), True
    for part in unpacked_blocks(stream, layout.compression, block):
        text = reader.decode(part)
        if text and is_first:
            text, is_first = text.removeprefix("\ufeff"), False
        if text:
            yield text
    if text := reader.decode(b"", final=True):
        yield text


def utf8_blocks(stream: BinaryIO, layout: Layout, block: int = BLOCK) -> Iterator[bytes]:
    """The text as UTF-8. Invalid bytes of UTF-8 stay as they are; those of other encodings are encoded surrogates."""
    if layout.encoding != "utf-8":
        yield from (text.encode("utf-8", utf8_errors(layout)) for text in text_blocks(stream, layout, block))
        return
    begin = b""
    blocks = unpacked_blocks(stream, layout.compression, block)
    for part in blocks:
        begin += part
        if len(begin) >= len(codecs.BOM_UTF8):
            break
    yield begin.removeprefix(codecs.BOM_UTF8)
    yield from blocks


def utf8_errors(layout: Layout) -> str:
    """How the bytes of `utf8_blocks` are decoded and encoded without loss."""
    return "surrogateescape" if layout.encoding == "utf-8" else "surrogatepass"


def has_surrogates(text: str) -> bool:
    """Faster than a search: most texts are ASCII, and encoding is C."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


SURROGATE = re.compile("[\ud800-\udfff]")


def shown(text: str) -> str:
    r"""Lone surrogates, which Arrow cannot hold, as what they stand for: the byte `\xE9` or the escape `\ud83d`."""
    return SURROGATE.sub(lambda found: _escape(ord(found[0])), text)


def _escape(code: int) -> str:
    byte = code - INVALID
    return f"\\x{byte:02X}" if byte in range(256) else f"\\u{code:04x}"


def check_columns(count: int) -> None:
    """Raises UnreadableError where a file has more columns than a table should."""
    if count > MOST_COLUMNS:
        raise UnreadableError(f"has {count:,} columns; at most {MOST_COLUMNS:,} are read. Deliver it with fewer.")


def check_names(header: Iterable[str], fold: Callable[[str], str]) -> None:
    """Raises UnreadableError where two columns have one name."""
    names: dict[str, str] = {}
    for column in header:
        name = fold(column)
        if name and name in names:
            raise UnreadableError(
                f"has two columns that both fold to {name}: {names[name]!r} and {column!r}. Rename one of them."
            )
        names[name] = column


# --- kinds

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE = "(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4})"
_CLOCK = "[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?[AaPp][Mm])?(?: ?Z| ?UTC| ?[+-][0-9]{2}:?[0-9]{2})?"
_TIME = re.compile(f"{_DATE}(?:[T ]+{_CLOCK})?")


def kind_of(text: str | None) -> str:
    """What a value looks like: integer, decimal, time, text, or nothing (blank or `-`)."""
    value = (text or "").strip()
    if value in {"", "-"}:
        return "nothing"
    kinds = {"integer": _INTEGER, "decimal": _DECIMAL, "time": _TIME}
    return next((kind for kind, pattern in kinds.items() if pattern.fullmatch(value)), "text")


def join_kinds(one: str, other: str) -> str:
    """The kind of a column that has values of both kinds."""
    kinds = {one, other} - {"nothing"}
    if len(kinds) > 1:
        return "decimal" if kinds == {"integer", "decimal"} else "text"
    return next(iter(kinds), "nothing")


# --- batches


def text_array(texts: Sequence[str | None]) -> pa.Array:
    """`pa.array` is 3 times faster, but imports pandas when it first sees a list: 0.65 s in every new process."""
    import pyarrow as pa  # noqa: PLC0415

    if "pandas" in sys.modules:
        return pa.array(texts, pa.string())
    builder = pa.lib.StringBuilder()
    builder.append_values(texts)
    return builder.finish()


def to_batch(columns: Iterable[Sequence[str | None]], rows: list[Record]) -> Batch:
    """These columns beside their records' problems."""
    problem, raw = text_array([row.problem for row in rows]), text_array([row.raw for row in rows])
    return Batch([text_array(column) for column in columns], problem, raw)


def slices(batch: Batch, rows: int) -> Iterator[Batch]:
    """The batch in parts of at most so many rows, without copying."""
    if batch.rows <= rows:
        yield batch
        return
    for at in range(0, batch.rows, rows):
        columns = [column.slice(at, rows) for column in batch.columns]
        yield Batch(columns, batch.problem.slice(at, rows), batch.raw.slice(at, rows))


def mark_last(batches: Iterator[Batch], layout: Layout) -> Iterator[Batch]:
    """Whether a batch has the last record is known when the next one is found, or at the end."""
    held: list[Batch] = []
    for batch in batches:
        ends_held = not layout.ends_open or batch.problem.null_count > 0
        while held and (ends_held or len(held) == MOST_HELD):
            yield held.pop(0)
        held.append(batch)
    yield from (dataclasses.replace(batch, is_last=True) for batch in held)
