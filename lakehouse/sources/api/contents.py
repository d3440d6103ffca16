"""What a page holds: its rows, and what it says of the next page. The page itself lands as it was received."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lakehouse.readers import csv_records, records
from lakehouse.readers.records import HalfWrittenError, UnreadableError
from lakehouse.sources.windows import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lakehouse.contract import Source

LARGEST = 256 << 20  # bytes of a page when it is unpacked
ABSENT = object()


@dataclass(frozen=True)
class Content:
    """`said` is a JSON page as a whole; a number is text, with the digits that were sent, or what was asked for."""

    rows: Sequence[Mapping[str, Any]]
    said: Any
    suffix: str  # of a file that holds the page


def read(
    body: bytes,
    source: Source,
    number: Callable[[str], Any] = str,
    look: Callable[[bytes], None] = lambda _: None,
) -> Content:
    """`look` is shown the page's text first.

    Raises ValueError where the page is damaged, as a sentence that follows `gives a page that`.
    """
    try:
        compression = "gzip" if body.startswith(b"\x1f\x8b") else ""
        text = _unpacked(body, compression)
        look(text)
        suffix = f".{source.format}" + (".gz" if compression else "")
        return _json(text, source.rows, suffix, number) if source.format == records.JSON else _csv(text, source, suffix)
    except (HalfWrittenError, UnreadableError) as error:
        raise ValueError(str(error)) from None


def _unpacked(body: bytes, compression: str) -> bytes:
    text = bytearray()
    for block in records.unpacked_blocks(io.BytesIO(body), compression):
        text += block
        if len(text) > LARGEST:
            raise ValueError(f"has more than {LARGEST >> 20} MiB when it is unpacked.")
    return bytes(text)


def _json(text: bytes, place: str, suffix: str, number: Callable[[str], Any]) -> Content:
    try:
        said = json.loads(text, parse_float=number, parse_int=number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON ({error}).") from None
    rows = at(said, place) if place else said
    if not isinstance(rows, list):
        there = f": {', '.join(sorted(said))}" if isinstance(said, dict) else ""
        raise SourceError(
            f"A page has no array of rows {f'at `{place}`' if place else 'as a whole'}{there}. Say by `rows:` of the "
            "source where they stand."
        )
    return Content([row if isinstance(row, dict) else {} for row in rows], said, suffix)


def _csv(text: bytes, source: Source, suffix: str) -> Content:
    layout = records.detect(
        text[: records.HEAD],
        records.CSV,
        encoding=source.encoding,
        delimiter=source.delimiter,
        quote=source.quote,
        preamble=source.preamble,
    )
    layout = replace(layout, footer=source.footer)
    header = csv_records.csv_header(text[: records.HEAD], layout)
    csv_records.check_end(text, layout, header)
    rows = csv_records.read_csv(io.BytesIO(text), layout, header)
    return Content([dict(zip(header, row.cells, strict=True)) for row in rows], None, suffix)


def at(said: Any, place: str) -> Any:  # noqa: ANN401  JSON
    """What stands under these keys, with points between; ABSENT where nothing does."""
    for key in place.split("."):
        if not isinstance(said, dict) or key not in said:
            return ABSENT
        said = said[key]
    return said


def digest(rows: Sequence[Mapping[str, Any]]) -> int:
    """The same for the same rows in any order and on any pages: a sum, so that digests of pages can be added."""
    texts = (json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)
    return sum(int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()) for text in texts)
