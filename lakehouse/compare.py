"""Two states of one table, row by row and value by value: equal, or the first rows that differ, with both sides."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse import units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame, Row

SHOWN = 10
NTH = "_nth"
Text = str | None


@dataclass(frozen=True)
class Difference:
    """A row by its key. `values`: by column what was rebuilt and what is stored, only those that differ.

    Of a row that one side lacks `only_in` names the other one, whose values they are.
    """

    key: Mapping[str, Text]
    values: Mapping[str, tuple[Text, Text]]
    only_in: str = ""


@dataclass(frozen=True)
class Comparison:
    """`rows` were rebuilt, `stored` are stored, `differing` are those that differ or stand on one side only.

    `hash` is the sum of the rebuilt rows' hashes, which does not depend on their order. `first` are at most SHOWN.
    """

    rows: int
    stored: int
    hash: int
    differing: int = 0
    first: tuple[Difference, ...] = ()

    @property
    def is_equal(self) -> bool:
        return not self.differing


def compare(rebuilt: DataFrame, stored: DataFrame, key: Sequence[str]) -> Comparison:
    """Compare frames of the same columns. Repeated rows count, null equals null, NaN equals NaN, and 0.0 equals -0.0.

    One full join by the key: at 500,000 rows of 38 columns it took 18 s where grouping both sides by all columns took
    37 s, and exceptAll both ways 94 s. Where a key repeats, its rows are numbered in the order of their values, so that
    each has one partner.
    """
    columns = rebuilt.columns
    pairs = _pairs(rebuilt, stored, columns, key)
    totals = _totals(pairs, key)
    if totals["pairs"] > totals["keys"]:
        key = [*key, NTH]
        pairs = _pairs(_numbered(rebuilt, key), _numbered(stored, key), columns, key)
        totals = _totals(pairs, key)
    first = _first(pairs, columns, key) if totals["differing"] else ()
    return Comparison(totals["rows"], totals["stored"], int(totals["hash"] or 0), totals["differing"], first)


def _numbered(rows: DataFrame, key: Sequence[str]) -> DataFrame:
    place = Window.partitionBy(*(F.col(f"`{name}`") for name in key if name != NTH)).orderBy(*_columns(rows.columns))
    return rows.withColumn(NTH, F.row_number().over(place))


def _columns(names: Sequence[str]) -> list[Column]:
    return [F.col(f"`{name}`") for name in names]


def _pairs(rebuilt: DataFrame, stored: DataFrame, columns: Sequence[str], key: Sequence[str]) -> DataFrame:
    """`_rebuilt` and `_stored`, whole rows beside each other; null where a side has no such row."""
    new = rebuilt.select(F.struct(*_columns(rebuilt.columns)).alias("_rebuilt"), units.row_hash(columns).alias("_hash"))
    old = stored.select(F.struct(*_columns(rebuilt.columns)).alias("_stored"))
    same = [F.col(f"_rebuilt.`{name}`").eqNullSafe(F.col(f"_stored.`{name}`")) for name in key]
    return new.join(old, on=reduce(operator.and_, same), how="full")


def _totals(pairs: DataFrame, key: Sequence[str]) -> Row:
    return pairs.agg(
        F.count("*").alias("pairs"),
        F.count_distinct(F.struct(*_keys(key))).alias("keys"),
        F.count("_rebuilt").alias("rows"),
        F.count("_stored").alias("stored"),
        units.hash_sum(F.col("_hash")).alias("hash"),
        F.count_if(_differs()).alias("differing"),
    ).collect()[0]


def _differs() -> Column:
    return ~F.col("_rebuilt").eqNullSafe(F.col("_stored"))


def _keys(key: Sequence[str]) -> list[Column]:
    return [F.coalesce(F.col(f"_rebuilt.`{name}`"), F.col(f"_stored.`{name}`")).alias(name) for name in key]


def _first(pairs: DataFrame, columns: Sequence[str], key: Sequence[str]) -> tuple[Difference, ...]:
    """The first by key; a second pass over both sides, which only a difference costs."""
    values = F.array(*(_value(name) for name in columns))
    differing = F.filter(values, lambda one: one["differs"])
    only_in = F.when(F.col("_stored").isNull(), "rebuilt").when(F.col("_rebuilt").isNull(), "stored").otherwise("")
    wrong = pairs.where(_differs()).select(*_keys(key), differing.alias("_values"), only_in.alias("_only_in"))
    shown = (
        wrong.orderBy(*_columns(key))
        .limit(SHOWN)
        .select(*(F.col(f"`{name}`").cast("string").alias(name) for name in key), "_values", "_only_in")
    )
    return tuple(
        Difference(
            {name: row[name] for name in key if name != NTH},
            {one["name"]: (one["rebuilt"], one["stored"]) for one in row["_values"]},
            row["_only_in"],
        )
        for row in shown.collect()
    )


def _value(name: str) -> Column:
    new, old = F.col(f"_rebuilt.`{name}`"), F.col(f"_stored.`{name}`")
    return F.struct(
        F.lit(name).alias("name"),
        new.cast("string").alias("rebuilt"),
        old.cast("string").alias("stored"),
        (~new.eqNullSafe(old)).alias("differs"),
    )
