"""Messages of a topic as rows of bronze: what a message says as text, beside the message itself.

Nearly all messages are JSON objects of texts and numbers, and Arrow reads these, a million in a few seconds. What it
does not take it is not asked about again: `json_records.one_object`, which judges the objects of files too, says what
it is. So Arrow must never take what that would refuse, nor read another text; tests hold one against the other.
A key counts for a column of just that name. Of keys that belong to no column a second one is not looked for.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.delta.tables.types import arrow_schema
from lakehouse.readers import json_records, records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from lakehouse.contract import Contract

# What a consumer gives: the partition and the offset, when it was sent, its key, its value and its headers (as_json).
OF_A_MESSAGE: Mapping[str, str] = {
    "partition": "int",
    "offset": "bigint",
    "time": "timestamp",
    "key": "binary",
    "value": "binary",
    "headers": "string",
}
CORE_COLUMNS: Mapping[str, str] = {
    "_file": "string",
    "_row": "bigint",
    "_batch": "bigint",
    "_sequence": "string",
    "_ingested_at": "timestamp",
    "_problem": "string",
    "_raw": "string",
    "_key": "binary",
    "_value": "binary",
    "_headers": "string",
    "_time": "timestamp",
}
AT_ONCE = 50_000  # messages, whose texts then stay near the processor: more take nearly twice as long
FEW = 256  # messages: to read them one by one takes as long as to ask Arrow twice
BLANK = r"[ \t\r\n]*"
# What Arrow's reader takes and JSON does not know, ends at, or that a table cannot hold.
DOUBTFUL = rf"\x00|\\u0000|[:,\[]{BLANK}-?(?:NaN|Inf)"
# An object of more than so many levels has more brackets; most have one.
MANY_BRACKETS = rf"^(?:[^\[{{]*[\[{{]){{{json_records.MOST_LEVELS + 1}}}"
NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
TEXT = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
VALUE = rf"(?:{TEXT}|{NUMBER}|true|false|null)"


def _several(one: str) -> str:
    return rf"{BLANK}(?:{one}(?:{BLANK},{BLANK}{one})*)?{BLANK}"


def _object(value: str) -> str:
    member = rf"{TEXT}{BLANK}:{BLANK}{value}"
    return rf"\{{{_several(member)}\}}"


# An object whose values are at most lists or objects of values: what is more is rare.
SIMPLE = rf"^{_object(rf'(?:{VALUE}|[[]{_several(VALUE)}[]]|{_object(VALUE)})')}$"


def file_of(topic: str, partition: int) -> str:
    """What stands for a file: a partition, whose messages have their offsets as rows."""
    return f"kafka/{topic}/{partition}"


def types(contract: Contract) -> dict[str, str]:
    """The columns of such a bronze table with their types."""
    return {**CORE_COLUMNS, **{name: column.type for name, column in contract.columns.items()}}


@dataclass(frozen=True)
class Sent:
    """Messages (columns OF_A_MESSAGE) and, row by row, the `texts` that they say, with `_problem` and `_raw`."""

    messages: pa.Table
    texts: pa.Table


def read(messages: pa.Table, columns: Sequence[str]) -> Sent:
    """What messages say of these columns.

    A message that is no JSON object has its `_problem`, one of contract.PROBLEMS, and is shown in `_raw`. One without a
    value (null) has neither, and all columns are null.
    """
    import pyarrow as pa  # noqa: PLC0415

    parts = [_table([], columns)]
    for some in messages.select(["value"]).combine_chunks().to_batches(max_chunksize=AT_ONCE):
        texts, problem, raw = parsed(some["value"], columns)
        parts.append(pa.table({**texts, "_problem": problem, "_raw": raw}))
    return Sent(messages, pa.concat_tables(parts))


def rows(kinds: Mapping[str, str], topic: str, batch: int, at: datetime, sent: Sent) -> pa.Table:
    """Each message as a row, in their order, with the columns that `types` has. `at`: when the round began."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute as pc  # noqa: PLC0415

    messages = sent.messages
    places = messages["partition"].combine_chunks().dictionary_encode()
    partitions = places.dictionary.to_pylist()
    files = [file_of(topic, one) for one in partitions]
    instant = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    sequences = [f"{instant[:10]}T00:00:00.000000Z {instant} {file} {batch:012}" for file in files]
    count = messages.num_rows
    facts: dict[str, Any] = {
        "_file": records.text_array(files).take(places.indices),
        "_row": messages["offset"],
        "_batch": pa.repeat(pa.scalar(batch, pa.int64()), count),
        "_sequence": records.text_array(sequences).take(places.indices),
        "_ingested_at": pa.repeat(pa.scalar(at, pa.timestamp("us", "UTC")), count),
        "_key": messages["key"],
        "_value": messages["value"],
        "_headers": messages["headers"],
        "_time": pc.cast(messages["time"], pa.timestamp("us", "UTC")),
    }
    schema = arrow_schema(dict(kinds))
    columns = facts | dict(zip(sent.texts.column_names, sent.texts.columns, strict=True))
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def rows_of_source(
    kinds: Mapping[str, str], topic: str, batch: int, at: datetime, parts: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """In workers: `rows` of what protocol.Engine.sent gives."""
    import pyarrow as pa  # noqa: PLC0415

    schema, columns = arrow_schema(dict(OF_A_MESSAGE)), [name for name in kinds if name not in CORE_COLUMNS]
    for part in parts:
        given: dict[str, Any] = {name: part[name] for name in schema.names} | {"headers": _texts_of(part["headers"])}
        messages = pa.Table.from_arrays([given[name] for name in schema.names], schema=schema)
        yield from rows(kinds, topic, batch, at, read(messages, columns)).combine_chunks().to_batches()


def _texts_of(headers: pa.Array) -> pa.Array:
    import pyarrow as pa  # noqa: PLC0415

    if headers.null_count == len(headers):
        return pa.nulls(len(headers), pa.string())
    lists: list[Any] = headers.to_pylist()
    return pa.array([one and as_json([(each["key"], each["value"]) for each in one]) for one in lists], pa.string())


def as_json(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """A list of [name, text]; what is no text is in base64, as {"base64": ...}. A name may stand there twice."""
    return json.dumps([[name, _said(value)] for name, value in headers], ensure_ascii=False)


def _said(value: bytes | None) -> str | Mapping[str, str] | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value or b"").decode()}


def read_again(columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of bronze with what their messages say, whatever they said before."""
    for batch in batches:
        texts, problem, raw = parsed(batch["_value"], columns)
        found = texts | {"_problem": problem, "_raw": raw}
        named = zip(batch.schema.names, batch.columns, strict=True)
        yield type(batch).from_arrays([found.get(name, column) for name, column in named], schema=batch.schema)


def parsed(values: pa.Array, columns: Sequence[str]) -> tuple[dict[str, pa.Array], pa.Array, pa.Array]:
    """By column what the values (binary) say as text, their problems, and the text of those that have one."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute as pc  # noqa: PLC0415

    texts = _texts(values)
    is_plain = pc.and_(pc.starts_with(texts, "{"), pc.ends_with(texts, "}"))
    for doubt in _doubts(texts, pc.sum(is_plain).as_py() or 0):
        is_plain = pc.and_not(is_plain, pc.match_substring_regex(texts, doubt))
    is_plain = pc.and_(is_plain, pc.less_equal(pc.binary_length(texts), records.LARGEST))
    is_plain = pc.fill_null(is_plain, fill_value=False)
    places = pc.indices_nonzero(is_plain)
    parts, odd = list[pa.Table](), pc.indices_nonzero(pc.and_(pc.invert(is_plain), values.is_valid())).to_pylist()
    plain = _quoted(texts if len(places) == len(texts) else texts.take(places), columns)
    good = list[pa.Array]()
    for some, found in _read(plain, places, columns):
        if found is None:
            odd += some.to_pylist()
        else:
            parts.append(found)
            good.append(some)
    judged = [json_records.one_object(values[place].as_py()) for place in odd]
    parts.append(_table(judged, columns))
    nothing = pc.indices_nonzero(values.is_null())
    parts.append(_table([records.Record({})] * len(nothing), columns))
    order = pc.sort_indices(pa.chunked_array([*good, pa.array(odd, pa.uint64()), nothing], pa.uint64()))
    together = pa.concat_tables([_with_problems(one) for one in parts]).combine_chunks()
    if odd or len(nothing):
        together = together.take(order)
    found = {name: together[name].combine_chunks() for name in (*columns, "_problem", "_raw")}
    return {name: found[name] for name in columns}, found["_problem"], found["_raw"]


def _doubts(texts: pa.Array, objects: int) -> list[str]:
    """The patterns that any of the texts can fit, by what all of them together hold: of most rounds none is there.

    `objects`: so many begin with a bracket at least.
    """
    import numpy as np  # noqa: PLC0415

    if not len(texts):
        return []
    _, ends, content = texts.buffers()
    begin, end = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1][[0, -1]].tolist()
    whole = content.slice(begin, end - begin).to_pybytes() if content else b""
    letters = np.frombuffer(whole, np.uint8)
    doubts = [DOUBTFUL] if any(sign in whole for sign in (b"\0", rb"\u0000", b"NaN", b"Inf")) else []
    brackets = sum(int(np.count_nonzero(letters == ord(one))) for one in "{[")
    return doubts + ([MANY_BRACKETS] if brackets >= objects + json_records.MOST_LEVELS else [])


def _texts(values: pa.Array) -> pa.Array:
    """The values as text; null for what is none."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_text(one) for one in values.to_pylist()], pa.string())


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _quoted(texts: pa.Array, columns: Sequence[str]) -> pa.Array:
    """Numbers, true and false of these columns as texts, since Arrow would read numbers, and lose their digits.

    Where such a key with a right value follows is either a key, or no JSON at all: then it is none with quotes either.
    """
    from pyarrow import compute as pc  # noqa: PLC0415

    keys = "|".join(map(re.escape, columns))
    is_bare = pc.match_substring_regex(texts, rf'"(?:{keys})"{BLANK}:{BLANK}[-0-9tf]')
    if not pc.any(is_bare).as_py():
        return texts
    bare = rf'("(?:{keys})"{BLANK}:{BLANK})({NUMBER}|true|false)({BLANK}[,}}])'
    quoted = pc.replace_substring_regex(texts.filter(is_bare), bare, r'\1"\2"\3')
    return pc.replace_with_mask(texts, is_bare, quoted)


def _read(texts: pa.Array, places: pa.Array, columns: Sequence[str]) -> Iterator[tuple[pa.Array, pa.Table | None]]:
    """The places of some texts with their columns; None where Arrow does not take one of them.

    What looks wrong is set aside where something is, and what Arrow refuses all the same is found by halves.
    """
    from pyarrow import compute as pc  # noqa: PLC0415

    if (found := _objects(texts, columns)) is not None:
        yield places, found
        return
    nested = rf'"(?:{"|".join(map(re.escape, columns))})"{BLANK}:{BLANK}[\[{{]'
    is_right = pc.and_not(pc.match_substring_regex(texts, SIMPLE), pc.match_substring_regex(texts, nested))
    yield places.filter(pc.invert(is_right)), None
    yield from _halves(texts.filter(is_right), places.filter(is_right), columns)


def _halves(texts: pa.Array, places: pa.Array, columns: Sequence[str]) -> Iterator[tuple[pa.Array, pa.Table | None]]:
    count = len(texts)
    if (found := _objects(texts, columns)) is not None or count <= FEW:
        yield places, found
        return
    for begin, end in ((0, count // 2), (count // 2, count)):
        yield from _halves(texts.slice(begin, end - begin), places.slice(begin, end - begin), columns)


def _objects(texts: pa.Array, columns: Sequence[str]) -> pa.Table | None:
    """The texts' columns, one row each; None where Arrow does not take one of them.

    Each text begins with { and ends with }. So none can leave anything open: what follows begins with {, which nothing
    open goes on with. Then each has one object at least, and where there are as many rows as texts, one alone.
    """
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute as pc  # noqa: PLC0415
    from pyarrow import json as pj  # noqa: PLC0415

    schema = pa.schema([(name, pa.string()) for name in columns])
    if not len(texts):
        return schema.empty_table()
    lines = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    block = pc.binary_join(lines, "\n").view(pa.binary())[0].as_buffer()
    how = pj.ReadOptions(use_threads=False, block_size=block.size + 1)
    asked = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        found = pj.read_json(pa.BufferReader(block), read_options=how, parse_options=asked)
    except pa.ArrowInvalid:
        return None
    return found.select(columns) if found.num_rows == len(texts) else None


def _table(judged: Sequence[records.Record], columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415

    cells: list[Any] = [one.cells for one in judged]
    arrays = {name: records.text_array([one.get(name) for one in cells]) for name in columns}
    arrays["_problem"] = records.text_array([one.problem for one in judged])
    arrays["_raw"] = records.text_array([one.raw for one in judged])
    return pa.table(arrays)


def _with_problems(some: pa.Table) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415

    if "_problem" in some.column_names:
        return some
    for name in ("_problem", "_raw"):
        some = some.append_column(name, pa.nulls(some.num_rows, pa.string()))
    return some
