"""Two Arrow tables held against each other: the same columns in order, the same types, the same rows any way round."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 5


def differences(found: pa.Table, expected: pa.Table) -> list[str]:
    """In words; none where they are alike. Nullability is not compared, 0.0 is -0.0, and NaN is NaN."""
    one, other = (_types(table) for table in (found, expected))
    if one != other:
        return [f"columns: {_only(one, other)} found, {_only(other, one)} expected"]
    rows, wanted = (Counter(_rows(table)) for table in (found, expected))
    more, less = rows - wanted, wanted - rows
    names = ", ".join(found.column_names)
    wrong = [f"{sum(more.values())} rows too many, {sum(less.values())} missing, of ({names})"] if more or less else []
    wrong += [f"found    {row}" for row in sorted(more)[:SHOWN]]
    return wrong + [f"expected {row}" for row in sorted(less)[:SHOWN]]


def assert_alike(found: pa.Table, expected: pa.Table, what: str = "") -> None:
    wrong = differences(found, expected)
    assert not wrong, "\n".join((what, *wrong))


def _only(some: list[tuple[str, pa.DataType]], others: list[tuple[str, pa.DataType]]) -> list[str]:
    return [f"{name} {kind}" for name, kind in some if (name, kind) not in others]


def _types(table: pa.Table) -> list[tuple[str, pa.DataType]]:
    return [(field.name, _plain(field.type)) for field in table.schema]


def _plain(kind: pa.DataType) -> pa.DataType:
    """What Spark's types are in Arrow, whatever an engine lays out otherwise: views, large texts, names of items."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz and "UTC")
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain(field.type)) for field in kind])
    return kind


def _rows(table: pa.Table) -> Iterable[tuple[str, ...]]:
    columns = [[_text(value) for value in _without_times(column).to_pylist()] for column in table.columns]
    return zip(*columns, strict=True)


def _without_times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """As microseconds or days, since some are of no year that Python knows."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return column.cast(pa.int32()) if pa.types.is_date32(column.type) else column


def _text(value: object) -> str:
    return repr(0.0 if isinstance(value, float) and value == 0 else value)
