"""Two Arrow tables held against each other: the same columns in order, the same types, the same rows any way round.

And a table of two lakes: all that a reader can see of it.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.delta.files import feed
from lakehouse.delta.tables import log, progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakehouse.writes.lake import Lake

SHOWN = 5
OF_A_RUN = "_batch"


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


def assert_equal(name: str, one: Lake, other: Lake) -> None:
    """All that a reader can see of a table, and what the note says of its inputs; not its files, versions and runs."""
    assert facts(one, name) == facts(other, name)
    assert_alike(rows(one, name), rows(other, name), name)
    rejected = progress.rejected(name)
    assert (one.state(rejected) is None) == (other.state(rejected) is None)
    if one.state(rejected):
        assert facts(one, rejected) == facts(other, rejected)
        assert distinct(one, rejected) == distinct(other, rejected)


def facts(lake: Lake, name: str) -> dict[str, Any]:
    """Of the log: columns with types, nullability and comments, how it is stored, and what it includes."""
    stored, state = log.snapshot(lake.address(name)), lake.state(name)
    assert stored
    assert state
    note = state.progress
    inputs = {one: of.version for one, of in note.inputs.items() if one.startswith("conf.")} if note else {}
    return {
        "schema": json.loads(stored.metadata["schemaString"]),
        "partitions": stored.partition_by,
        "properties": stored.configuration,
        "definition": note and note.fingerprint,
        "inputs": note and set(note.inputs),
        "conf": inputs,
        "has_quarantine": bool(note and note.rejected),
    }


def rows(lake: Lake, name: str) -> pa.Table:
    found = feed.read(lake.address(name))
    return found.drop_columns([OF_A_RUN]) if OF_A_RUN in found.column_names else found


def distinct(lake: Lake, name: str) -> set[str]:
    found = rows(lake, name).to_pylist()
    return {str(row | {"rules": sorted(row["rules"])}) for row in found}


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
