"""The types that contracts name, and those that logs name, as Arrow's."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


@cache
def arrow_type(text: str) -> pa.DataType:
    """`bigint` is int64, `timestamp` an instant in microseconds UTC, `array<string>` a list of texts."""
    import pyarrow as pa  # noqa: PLC0415  a question to the log does not pay for it

    if decimal := DECIMAL.fullmatch(text):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    return {
        "boolean": pa.bool_(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "string": pa.string(),
        "binary": pa.binary(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "array<string>": pa.list_(pa.string()),
    }[text]


def arrow_schema(columns: dict[str, str]) -> pa.Schema:
    """Columns by name with the types that contracts name; all of them nullable."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.schema([pa.field(name, arrow_type(text)) for name, text in columns.items()])


# Those of a log


def stored_type(said: Any) -> pa.DataType:  # noqa: ANN401  a name, or an object for a nested type
    """Raises LakehouseError for a type that the lake does not know, such as variant."""
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(said, dict) and said["type"] == "struct":
        return pa.struct([pa.field(one["name"], stored_type(one["type"])) for one in said["fields"]])
    if isinstance(said, dict) and said["type"] == "array":
        return pa.list_(pa.field("element", stored_type(said["elementType"])))
    if isinstance(said, dict) and said["type"] == "map":
        return pa.map_(stored_type(said["keyType"]), stored_type(said["valueType"]))
    if isinstance(said, str) and (digits := re.fullmatch(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)", said)):
        return pa.decimal128(int(digits[1]), int(digits[2]))
    if isinstance(said, str) and said in (simple := _simple_types()):
        return simple[said]
    raise LakehouseError(f"The lake does not know the column type {said!r}. Rewrite it in one that it knows.")


def delta_type(kind: pa.DataType) -> Any:  # noqa: ANN401
    """The inverse of `stored_type`."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_struct(kind):
        return {"type": "struct", "fields": [_field(one.name, one.type, None) for one in kind]}
    if pa.types.is_list(kind):
        return {"type": "array", "elementType": delta_type(kind.value_type), "containsNull": True}
    if pa.types.is_map(kind):
        key, value = delta_type(kind.key_type), delta_type(kind.item_type)
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
    if pa.types.is_decimal128(kind):
        return f"decimal({kind.precision},{kind.scale})"
    for name, simple in _simple_types().items():
        if simple == kind:
            return name
    raise LakehouseError(f"Delta has no column type for Arrow's {kind}. Cast the column first.")


def _simple_types() -> dict[str, pa.DataType]:
    import pyarrow as pa  # noqa: PLC0415

    return {
        "boolean": pa.bool_(), "byte": pa.int8(), "short": pa.int16(), "integer": pa.int32(), "long": pa.int64(),
        "float": pa.float32(), "double": pa.float64(), "string": pa.string(), "binary": pa.binary(),
        "date": pa.date32(), "timestamp": pa.timestamp("us", "UTC"), "timestamp_ntz": pa.timestamp("us"),
    }  # fmt: skip


def schema_text(columns: pa.Schema, comments: Mapping[str, str]) -> str:
    """metaData.schemaString: every column nullable, with its comment."""
    fields = [_field(one.name, one.type, comments.get(one.name)) for one in columns]
    return json.dumps({"type": "struct", "fields": fields}, separators=(",", ":"), ensure_ascii=False)


def _field(name: str, kind: pa.DataType, comment: str | None) -> dict[str, Any]:
    said = {"comment": comment} if comment else {}
    return {"name": name, "type": delta_type(kind), "nullable": True, "metadata": said}
