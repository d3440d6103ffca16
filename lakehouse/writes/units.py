"""Units, what is replaced as a whole: which changed rows touch, which rows they need, and which differ in the end.

Two states are compared by the count and the sum of row hashes, so that repeats count.
"""

from __future__ import annotations

import operator
import re
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.contract import DIGEST
from lakehouse.engines.joins import semi

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence
    from datetime import date

    from pyspark.sql import Column, DataFrame

    from lakehouse.contract import Contract
    from lakehouse.graph import Table

FAR, MOST_SPANS = 7, 16  # days between two that are read apart; how often
OF_A_BLOCK = 10  # times as many days as a unit reads beside its own


def row_hash(columns: Sequence[str], as_texts: Container[str] = ()) -> Column:
    """64 bits of a row. The hash skips nulls, so (a, null) would equal (null, a) without the flags at the end.

    `as_texts` are hashed as texts: engines do not agree on the hash of decimals of more than 18 digits.
    """
    values = [F.col(f"`{name}`").cast("string") if name in as_texts else F.col(f"`{name}`") for name in columns]
    return F.xxhash64(*values, *(F.col(f"`{name}`").isNull() for name in columns))


def digest(promise: Contract) -> Column:
    """The hash of a row of the table, in the order of its columns."""
    return row_hash(list(promise.columns), promise.wide_decimals)


def hash_sum(hashes: Column) -> Column:
    """Wide enough not to overflow before 10^8 rows of a kind, and unlike XOR not cancelled by two equal rows."""
    return F.sum(hashes.cast("decimal(20,0)"))


def with_digest(promise: Contract, rows: DataFrame) -> DataFrame:
    """A wide table stores its rows' hashes, so that comparing with it reads one narrow column instead of all."""
    return rows.withColumn(DIGEST, digest(promise)) if promise.is_wide else rows


def _hash(promise: Contract, *, with_digest: bool) -> Column:
    """`_hash` of each row: the one that it is stored with, where it has one."""
    return (F.col(DIGEST) if with_digest and promise.is_wide else digest(promise)).alias("_hash")


def sums(promise: Contract, rows: DataFrame, *, with_digest: bool) -> DataFrame:
    """Per unit: `_rows` and `_sum`. `with_digest`: whether the rows have their hash, as those of a wide table do."""
    hashed = rows.select(*promise.unit, _hash(promise, with_digest=with_digest))
    return hashed.groupBy(*promise.unit).agg(F.count("*").alias("_rows"), hash_sum(F.col("_hash")).alias("_sum"))


def differing(promise: Contract, new: DataFrame, stored: DataFrame) -> DataFrame:
    """The grains whose rows are not the same in both, `_gone` where only `stored` has them.

    By grain, though units are computed whole: one order more leaves all other rows of its customer where they are.
    """
    hashes = _hash(promise, with_digest=True)
    marked = ((new, True), (stored, False))
    both = together(one.select(*promise.grain, hashes, F.lit(is_new).alias("_is")) for one, is_new in marked)
    side = {is_new: F.when(F.col("_is") == is_new, F.col("_hash")) for is_new in (True, False)}
    grouped = both.groupBy(*promise.grain).agg(
        F.count_if("_is").alias("_rows"),
        F.count_if(~F.col("_is")).alias("_stored_rows"),
        hash_sum(side[True]).alias("_sum"),
        hash_sum(side[False]).alias("_stored_sum"),
    )
    is_same = (F.col("_rows") == F.col("_stored_rows")) & F.col("_sum").eqNullSafe(F.col("_stored_sum"))
    return grouped.where(~is_same).select(*promise.grain, (F.col("_rows") == 0).alias("_gone"))


def net(changed: DataFrame, columns: Sequence[str]) -> DataFrame:
    """The rows of a change feed that are not there as often after as before, as far as these columns go.

    A unit is written whole, so most of its rows may say what they said before; and no table uses all columns.
    """
    came = F.col("_change_type").isin("insert", "update_postimage")
    rows = changed.groupBy(*columns).agg(F.sum(F.when(came, 1).otherwise(-1)).alias("_more"))
    return rows.where("_more <> 0").drop("_more")


def leading(table: Table, name: str, columns: Iterable[str]) -> list[str]:
    """Those of an input's columns that say to which units a row leads."""
    reach = table.contract.inputs.get(name)
    if reach and reach.through:
        return list(reach.on)
    words = {word for text in _texts(table, name).values() for word in re.findall(r"\w+", text)}
    return [one for one in columns if one in words]


def touched(table: Table, changed: Mapping[str, DataFrame], inputs: Mapping[str, DataFrame]) -> DataFrame:
    """The different units that changed rows belong to. `changed`: by input, the rows before and after each change.

    A row that reaches units through another input touches all units that the other one's rows lead to; the rows that
    lead there no longer are changes of that other input.
    """
    every = [_units_of(table, name, rows, inputs) for name, rows in changed.items()]
    return reduce(lambda some, more: some.unionByName(more), every).distinct()


def _units_of(table: Table, name: str, rows: DataFrame, inputs: Mapping[str, DataFrame]) -> DataFrame:
    reach = table.contract.inputs.get(name)
    if reach is None or reach.through is None:
        own = rows.select(*(value.alias(column) for column, value in _unit(table, name).items()))
        return _that_read(table.contract.day, reach.days, own) if reach and reach.days else own
    leading = semi(inputs[reach.through], rows.select(*reach.on))
    return _units_of(table, reach.through, leading, inputs)


def _that_read(day: str, days: tuple[int, int], own: DataFrame) -> DataFrame:
    """From the units whose day is that of a row to those that read it."""
    first, last = days
    if first == last == 0:
        return own
    around = F.sequence(F.date_add(day, -last), F.date_add(day, -first))
    return own.distinct().withColumn(day, F.explode(around))


def narrowed(
    table: Table,
    inputs: Mapping[str, DataFrame],
    some: DataFrame,
    small_side: Callable[[DataFrame], DataFrame] = lambda rows: rows,
    keep: Callable[[DataFrame], DataFrame] = lambda rows: rows,
) -> dict[str, DataFrame]:
    """Of each input the rows that belong to `some` units, or lead to them; conf as it is.

    Of an input of which units read several days there may be more, of these days: what is built of them is right for
    these alone (`only`). `small_side` marks keys that are few, which saves moving the inputs' rows to them; `keep` may
    compute what is narrow now, since an input can be used several times.
    """
    spans = _spans(table, some)

    def by_itself(name: str) -> DataFrame:
        reach, unit = table.contract.inputs.get(name), _unit(table, name)
        if reach is None or reach.days is None:
            return keep(semi(inputs[name], small_side(some), unit))
        rows = inputs[name].where(_within(unit[table.contract.day], spans, reach.days))
        if not reach.reads_other_days:
            return keep(semi(rows, small_side(some), unit))
        beside = {column: value for column, value in unit.items() if column != table.contract.day}
        return keep(semi(rows, small_side(some.select(*beside).distinct()), beside) if beside else rows)

    return _belonging(table, inputs, by_itself, lambda name, keys: keep(semi(inputs[name], small_side(keys))))


def only(table: Table, built: DataFrame, some: DataFrame) -> DataFrame:
    """What was built of `narrowed` rows, without units that were built of a part of theirs."""
    return semi(built, some) if table.contract.reads_other_days else built


def near(table: Table, stored: DataFrame, some: DataFrame) -> DataFrame:
    """The table's own rows of the days of `some` units, where it goes by days: others need not be read."""
    spans = _spans(table, some)
    return stored.where(_within(F.col(table.contract.day), spans, (0, 0))) if spans else stored


def _spans(table: Table, some: DataFrame) -> list[tuple[date, date]]:
    """The days of the units from the first to the last, in several spans where there are large gaps between them."""
    day = table.contract.day
    if not day:
        return []
    spans: list[tuple[date, date]] = []
    for one in sorted(row[0] for row in some.select(day).distinct().collect() if row[0]):
        if spans and ((one - spans[-1][1]).days <= FAR or len(spans) == MOST_SPANS):
            spans[-1] = (spans[-1][0], one)
        else:
            spans.append((one, one))
    return spans


def _within(day: Column, spans: Iterable[tuple[date, date]], days: tuple[int, int]) -> Column:
    """Whether a unit of these days reads the day; as literals, by which both engines leave out partitions."""
    first, last = (timedelta(days=number) for number in days)
    return reduce(operator.or_, (day.between(begin + first, end + last) for begin, end in spans), F.lit(False))  # noqa: FBT003


def of_slice(table: Table, inputs: Mapping[str, DataFrame], place: int, of: int) -> dict[str, DataFrame]:
    """Of each input the rows of one of so many slices of the units: few enough for the memory there is.

    As `narrowed`, there may be more (`only_of_slice`).
    """

    def by_itself(name: str) -> DataFrame:
        unit, (first, last) = _unit(table, name), _read(table, name)
        read = [_slice(table, unit, of, shift) == place for shift in sorted({-first, -last})]
        return inputs[name].where(reduce(operator.or_, read))

    return _belonging(table, inputs, by_itself, lambda name, keys: semi(inputs[name], keys))


def only_of_slice(table: Table, built: DataFrame, place: int, of: int) -> DataFrame:
    unit = {column: F.col(f"`{column}`") for column in table.contract.unit}
    return built.where(_slice(table, unit, of) == place) if table.contract.reads_other_days else built


def _slice(table: Table, unit: Mapping[str, Column], of: int, shift: int = 0) -> Column:
    """Of units that read other days by blocks of days, each so long that few days are read for two of them."""
    widest = max(last - first for first, last in (_read(table, name) for name in table.inputs))
    if not widest:
        return slice_of(unit.values(), of)
    day = F.unix_date(F.date_add(unit[table.contract.day], shift))
    block = F.call_function("div", day, F.lit(OF_A_BLOCK * widest))
    return slice_of([block if column == table.contract.day else value for column, value in unit.items()], of)


def _read(table: Table, name: str) -> tuple[int, int]:
    """The first and the last day of an input that a unit reads, beside its own."""
    reach = table.contract.inputs.get(name)
    return (reach.days if reach else None) or (0, 0)


def _belonging(
    table: Table,
    inputs: Mapping[str, DataFrame],
    by_itself: Callable[[str], DataFrame],
    by_keys: Callable[[str, DataFrame], DataFrame],
) -> dict[str, DataFrame]:
    """Of each input the wanted rows: found by its own columns, or by the keys of the input that it goes through."""
    narrow = {name: rows for name, rows in inputs.items() if name not in table.parents}

    def narrow_to(name: str) -> DataFrame:
        if name not in narrow:
            reach = table.contract.inputs.get(name)
            if reach is None or reach.through is None:
                narrow[name] = by_itself(name)
            else:
                narrow[name] = by_keys(name, narrow_to(reach.through).select(*reach.on).distinct())
        return narrow[name]

    for name in table.parents:
        narrow_to(name)
    return narrow


def slice_of(unit: Iterable[Column], of: int) -> Column:
    """By the hash of the unit, so that slices are about as large as each other."""
    return F.pmod(F.xxhash64(*unit), F.lit(of))


def together(parts: Iterable[DataFrame]) -> DataFrame:
    return reduce(lambda some, more: some.unionByName(more), parts)


def _unit(table: Table, name: str) -> dict[str, Column]:
    """The unit's columns as an input that reaches units by itself has them, in the types that the table promises."""
    types = table.contract.columns
    return {column: F.expr(text).cast(types[column].type) for column, text in _texts(table, name).items()}


def _texts(table: Table, name: str) -> dict[str, str]:
    reach = table.contract.inputs.get(name)
    return {column: f"`{column}`" for column in table.contract.unit} | (dict(reach.unit) if reach else {})
