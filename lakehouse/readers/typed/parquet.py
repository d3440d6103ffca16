"""Parquet as exact text: batch by batch of each row group, so that memory is bounded however large the file is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakehouse.readers import records
from lakehouse.readers.records import Batch, HalfWrittenError, UnreadableError
from lakehouse.readers.typed.texts import judge, texts_of
from lakehouse.store.storage import OF_ARROW

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from pyarrow import parquet as pq

BEGIN, ENCRYPTED = b"PAR1", b"PARE"
ROWS = 1024  # read at a time: few, since a large value that the file holds once may be said by every row
LARGEST_GROUP = 4 << 30  # bytes unpacked


def inspect(file: Any) -> tuple[tuple[str, ...], dict[str, str], int]:  # noqa: ANN401  pyarrow has no types
    """The columns' names, the kind of each by its first 1,000 values, and the number of rows.

    All is read once, so that a damaged page is found before the file is claimed. `file`: Arrow's, of random access.
    """
    opened = _opened(file)
    header, kinds, count = _header(opened), dict[str, str](), 0
    for rows in _parts(opened):
        for name, column in zip(header, rows.columns, strict=True) if count < records.SAMPLED else ():
            for text in _marked(texts_of(column[: records.SAMPLED])):
                kinds[name] = records.join_kinds(kinds.get(name, "nothing"), records.kind_of(text))
        count += rows.num_rows
    return header, kinds, count


def columns(file: Any) -> tuple[str, ...]:  # noqa: ANN401  as above
    """The columns' names, by the footer alone."""
    return _header(_opened(file))


def batches(file: Any, header: tuple[str, ...]) -> Iterator[Batch]:  # noqa: ANN401  as above
    """The rows as arrays of text, in the header's order."""
    opened = _opened(file)
    if _header(opened) != header:
        raise HalfWrittenError("has other columns than a moment ago: it changed while it was read.")
    yield from map(_to_batch, _parts(opened))


def _parts(opened: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """All rows, typed, a few at a time."""
    import pyarrow as pa  # noqa: PLC0415  with numpy a quarter of a second, which only reading files pays

    try:
        for field in opened.schema_arrow:
            texts_of(pa.nulls(0, field.type))
        yield from opened.iter_batches(ROWS, use_threads=False)
    except (pa.ArrowException, OSError, TypeError) as error:
        raise _refused(error) from error


def _opened(file: Any) -> pq.ParquetFile:  # noqa: ANN401  as above
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet as pq  # noqa: PLC0415

    _check_ends(file)
    try:  # int96 in nanoseconds, Arrow's default, has no 9999-12-31
        found = pq.ParquetFile(
            file, pre_buffer=False, page_checksum_verification=True, coerce_int96_timestamp_unit="us"
        )
    except (pa.ArrowException, OSError) as error:
        raise _refused(error) from error
    largest = max((found.metadata.row_group(at).total_byte_size for at in range(found.num_row_groups)), default=0)
    if largest > LARGEST_GROUP:
        raise UnreadableError(
            f"has a row group of {largest >> 20:,} MiB, and at most {LARGEST_GROUP >> 20:,} are read. "
            "Write it with more row groups, of fewer rows each."
        )
    return found


def _check_ends(file: Any) -> None:  # noqa: ANN401  as above
    """Its footer stands at its end, and says where everything is: without it nothing can be read."""
    size = file.size()
    file.seek(0)
    begin = file.read(len(BEGIN))
    file.seek(max(0, size - len(BEGIN)))
    end = file.read(len(BEGIN))
    if ENCRYPTED in {begin, end}:
        raise UnreadableError("is an encrypted Parquet file. Deliver it without encryption.")
    if begin == BEGIN != end:
        raise HalfWrittenError("is a Parquet file without its end: its writer is not done, or was stopped.")


def _refused(error: Exception) -> Exception:
    """A lost connection stays what it is."""
    if OF_ARROW.search(str(error)):
        return error
    why = " ".join(str(error).split())[:200]
    return UnreadableError(f"cannot be read as Parquet ({why}). Write it again, with plain columns, and deliver that.")


def _header(opened: pq.ParquetFile) -> tuple[str, ...]:
    names = tuple(opened.schema_arrow.names)
    records.check_columns(len(names))
    return names


def _to_batch(rows: pa.RecordBatch) -> Batch:
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute as pc  # noqa: PLC0415

    columns = [texts_of(column) for column in rows.columns]
    is_small = sum(column.nbytes for column in columns) <= records.LARGEST
    is_right = is_small and all(_is_text_indeed(column) for column in columns)
    if is_right and not any(pc.any(pc.match_substring(column, "\0")).as_py() for column in columns):
        nothing = pa.nulls(rows.num_rows, pa.string())
        return Batch(columns, nothing, nothing)
    judged = [judge(cells) for cells in zip(*map(_marked, columns), strict=True)]
    return records.to_batch(zip(*(row.cells for row in judged), strict=True), judged)


def _is_text_indeed(texts: pa.Array) -> bool:
    """A writer may put any bytes where it says that text stands."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _marked(texts: pa.Array) -> list[str | None]:
    """Bytes that are no text are lone surrogates, as in other files."""
    import pyarrow as pa  # noqa: PLC0415

    stored = texts.cast(pa.binary()).to_pylist()
    return [None if one is None else one.decode("utf-8", "surrogateescape") for one in stored]
