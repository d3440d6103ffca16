"""The types that contracts name, as Arrow's."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "array<string>": pa.list_(pa.string()),
    }[text]


def arrow_schema(columns: dict[str, str]) -> pa.Schema:
    """Columns by name with the types that contracts name; all of them nullable."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.schema([pa.field(name, arrow_type(text)) for name, text in columns.items()])
