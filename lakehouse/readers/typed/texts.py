"""Typed values as text, in one way for Parquet, database rows and spreadsheets; how a cell is displayed never counts.

A number is the shortest decimal that reads back, without an exponent; a decimal keeps its scale. Days and times are ISO
8601, an instant is in UTC with its Z. true and false; bytes as base64; lists, structs and maps as JSON. What is not a
number is NaN, Infinity, -Infinity. Nothing is nothing: null.
"""

from __future__ import annotations

import datetime as dt
import json
from base64 import b64encode
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lakehouse.readers import records
from lakehouse.readers.records import Record, text_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

PARTS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of a second, by Arrow's units
NO_NUMBER = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def text_of(value: object) -> str:
    """Of a spreadsheet's cell: text, number, truth, day, time, or how long something takes."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return NO_NUMBER.get(repr(value)) or plain(repr(value).removesuffix(".0"))
        case dt.datetime() | dt.time():
            return _short(value.isoformat())
        case dt.date():
            return value.isoformat()
        case dt.timedelta():
            return seconds(value // dt.timedelta(microseconds=1), 10**6)
    return str(value)


def plain(number: str) -> str:
    """Without an exponent: readers of tables take `1e3` for no number."""
    return format(Decimal(number), "f") if "e" in number.lower() else number


def seconds(count: int, parts: int) -> str:
    """ISO 8601 of how long something takes, `parts` of a second each."""
    whole, rest = divmod(abs(count), parts)
    text = f"{whole}.{rest:0{len(str(parts)) - 1}d}".rstrip("0").rstrip(".") if rest else f"{whole}"
    return f"{'-' if count < 0 else ''}PT{text}S"


def _short(clock: str) -> str:
    """Without zeros at the end of a fraction."""
    return clock.rstrip("0").rstrip(".") if "." in clock else clock


def judge(cells: Sequence[str | None], header: tuple[str, ...] = ()) -> Record:
    """A row with what is wrong with it, by the names that rows of other files have; its text is that of its cells."""
    whole = "".join(cell for cell in cells if cell)
    if 4 * len(whole) > records.LARGEST and len(whole.encode("utf-8", "surrogatepass")) > records.LARGEST:
        return Record((None,) * len(cells), "row_is_too_large", records.shown(whole[: records.SHOWN]))
    holds = (
        ("row_has_invalid_bytes", records.has_surrogates(whole)),
        ("row_has_a_nul", "\0" in whole),
        ("row_repeats_the_header", tuple(cells) == header),
    )
    problem = next((name for name, is_so in holds if is_so), None)
    if problem is None:
        return Record(tuple(cells))
    shown = [cell and records.shown(cell) for cell in cells]
    return Record(tuple(shown), problem, json.dumps(shown, ensure_ascii=False))


def texts_of(array: pa.Array) -> pa.Array:
    """The array's values as text. Raises TypeError for a type that has none."""
    import pyarrow as pa  # noqa: PLC0415  with numpy a quarter of a second, which only reading files pays

    array = _stored(array)
    kind, is_a = array.type, pa.types
    if is_a.is_nested(kind):
        values = zip(_json(array), array.is_valid().to_pylist(), strict=True)
        return text_array([text if is_valid else None for text, is_valid in values])
    if is_a.is_floating(kind) or is_a.is_decimal(kind):
        return _without_exponents(array.cast(pa.float32()) if is_a.is_float16(kind) else array)
    if is_a.is_time(kind) or is_a.is_timestamp(kind) or is_a.is_duration(kind):
        return _clocks(array)
    if "binary" in str(kind):
        return _each(array, lambda value: b64encode(value).decode())
    try:
        return array.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise TypeError(str(kind)) from error


def _stored(array: pa.Array) -> pa.Array:
    """Without what Arrow wraps round the values: a dictionary, a type of its own. A UUID is read as its text."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_dictionary(array.type):
        return _stored(array.dictionary_decode())
    if not isinstance(array.type, pa.BaseExtensionType):
        return array
    is_uuid = array.type == pa.uuid()
    return _each(array.storage, lambda value: str(UUID(bytes=value))) if is_uuid else _stored(array.storage)


def _each(array: pa.Array, text: Callable[[Any], str]) -> pa.Array:
    return text_array([None if value is None else text(value) for value in array.to_pylist()])


def _without_exponents(array: pa.Array) -> pa.Array:
    """Arrow writes numbers as the shortest that read back, but large and small ones with an exponent."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute as pc  # noqa: PLC0415

    texts = array.cast(pa.string())
    odd = pc.match_substring_regex(texts, "[a-zE]")
    if not pc.any(odd).as_py():
        return texts
    return _each(texts, lambda text: NO_NUMBER.get(text) or plain(text))


def _clocks(array: pa.Array) -> pa.Array:
    """Arrow writes `2022-01-31 10:00:00.500000Z`, and the local time in another zone than UTC."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute as pc  # noqa: PLC0415

    unit, zone = array.type.unit, ""
    if pa.types.is_duration(array.type):
        return _each(array.cast(pa.int64()), lambda value: seconds(value, PARTS[unit]))
    if pa.types.is_timestamp(array.type) and array.type.tz is not None:
        array, zone = array.cast(pa.timestamp(unit, "UTC")).cast(pa.timestamp(unit)), "Z"
    texts = pc.replace_substring(array.cast(pa.string()), " ", "T")
    if unit != "s":
        texts = pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), ".")
    return pc.binary_join_element_wise(texts, text_array([zone])[0], text_array([""])[0])


def _json(array: pa.Array) -> Iterator[str]:
    """Each value as JSON; numbers have the digits that they have as text."""
    import pyarrow as pa  # noqa: PLC0415

    array = _stored(array)
    kind, is_a = array.type, pa.types
    if is_a.is_struct(kind):
        names = [json.dumps(field.name, ensure_ascii=False) for field in kind]
        members = zip(*map(_json, array.flatten()), strict=True) if names else iter([()] * len(array))
        for values, is_valid in zip(members, array.is_valid().to_pylist(), strict=True):
            pairs = ",".join(f"{name}:{value}" for name, value in zip(names, values, strict=True))
            yield f"{{{pairs}}}" if is_valid else "null"
    elif is_a.is_nested(kind):
        yield from _lists(array)
    else:
        is_bare = is_a.is_boolean(kind) or is_a.is_integer(kind) or is_a.is_floating(kind) or is_a.is_decimal(kind)
        for text in texts_of(array).to_pylist():
            is_plain = text is not None and is_bare and text not in NO_NUMBER.values()
            yield text if is_plain else json.dumps(text, ensure_ascii=False)


def _lists(array: pa.Array) -> Iterator[str]:
    """A map is a list of pairs to Arrow, and an object to JSON where its keys are texts."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute as pc  # noqa: PLC0415

    kind = array.type
    is_map = pa.types.is_map(kind)
    if is_map:  # Arrow looks into lists only
        array = array.cast(pa.list_(pa.struct([kind.key_field.with_name("key"), kind.item_field])))
    members = _pairs(array.flatten()) if is_map else _json(array.flatten())
    begin, end = "{}" if is_map else "[]"
    for length in pc.list_value_length(array).to_pylist():
        yield "null" if length is None else begin + ",".join(next(members) for _ in range(length)) + end


def _pairs(members: pa.StructArray) -> Iterator[str]:
    for key, value in zip(_json(members.field(0)), _json(members.field(1)), strict=True):
        name = key if key.startswith('"') else json.dumps(key)
        yield f"{name}:{value}"
