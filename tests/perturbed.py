"""Inputs of tables with one column changed, and what that changes in the table: what influences what, by trying."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from random import Random

    Row = Mapping[str, Any]
    Rows = Sequence[Row]


def variants(rows: pa.Table, column: str, random: Random) -> Iterator[pa.Table]:
    """The rows with other values in a column: those of other rows, nulls in half of them, and values near theirs."""
    values, nothing = rows[column].to_pylist(), _any(rows.schema.field(column).type)
    yield _with(rows, column, random.sample(values, len(values)))
    yield _with(rows, column, [one if random.random() < 0.5 else None for one in values])
    yield _with(rows, column, [_other(one, nothing, random) if random.random() < 0.5 else one for one in values])


def nullable(rows: pa.Table) -> pa.Table:
    return rows.cast(pa.schema([one.with_nullable(True) for one in rows.schema]))  # noqa: FBT003


def ordered(rows: pa.Table, evidence: Collection[str]) -> pa.Table:
    """In an order that the values say: a query gives them in any, and random places are to be the same each time."""
    told = rows.drop_columns([one for one in rows.column_names if one in evidence]).to_pylist()
    places = sorted(range(len(told)), key=lambda place: repr(told[place]))
    return rows.take(pa.array(places, pa.int64()))


def _with(rows: pa.Table, column: str, values: list[Any]) -> pa.Table:
    place = rows.schema.get_field_index(column)
    return rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))


def _any(kind: pa.DataType) -> object:
    """In the place of a null."""
    if pa.types.is_string(kind):
        return "1"
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return datetime(2022, 1, 1, tzinfo=UTC)
    if pa.types.is_boolean(kind):
        return True
    return 1 if pa.types.is_integer(kind) else Decimal(1) if pa.types.is_decimal(kind) else None


def _other(value: object, nothing: object, random: Random) -> object:
    value = nothing if value is None else value
    number = random.choice([1, 2, 7])
    sign = random.choice([-1, 1])
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        digits = [at for at, one in enumerate(value) if one.isdigit()]
        at, replaced = (
            (random.choice(digits), 1) if digits and random.random() < 0.5 else (random.randint(0, len(value)), 0)
        )
        return f"{value[:at]}{number}{value[at + replaced :]}"
    if isinstance(value, date):
        return value + (timedelta(hours=9) if isinstance(value, datetime) else timedelta(days=1)) * sign * number
    return value + sign * number if isinstance(value, int | float | Decimal) else value


def mixed(rows: pa.Table, columns: Sequence[str], random: Random) -> pa.Table:
    """With nulls and values of other rows here and there: cases that samples are too orderly for."""
    for column in columns:
        values = rows[column].to_pylist()
        others = random.sample(values, len(values))
        kept = [random.choices([one, other, None], [6, 3, 1])[0] for one, other in zip(values, others, strict=True)]
        rows = _with(rows, column, kept)
    return rows


def changed(before: Rows, after: Rows, grain: Sequence[str]) -> tuple[set[str], set[str], bool]:
    """The columns that differ in rows of the same key, those whose values do, and whether other keys are there."""
    first, second = (_by_key(rows, grain) for rows in (before, after))
    names = before[0].keys() if before else ()
    once = [key for key in first.keys() & second.keys() if len(first[key]) == len(second[key]) == 1]
    in_rows = {name for key in once for name in names if first[key][0][name] != second[key][0][name]}
    values = {name for name in names if Counter(row[name] for row in before) != Counter(row[name] for row in after)}
    keys = [Counter({key: len(rows) for key, rows in one.items()}) for one in (first, second)]
    return in_rows, in_rows | values, keys[0] != keys[1]


def _by_key(rows: Rows, grain: Sequence[str]) -> Mapping[tuple[Any, ...], list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in grain)].append(row)
    return found
