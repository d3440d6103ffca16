"""Two states of one table, row by row and value by value: equal, or the first rows that differ, with both sides."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse.writes import units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame, Row

SHOWN = 10
NTH = "_nth"
NEW, OLD = "_rebuilt_", "_stored_"
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

    One full join by the key, column beside column: structs of whole rows take an engine 10 GB for 50,000 rows. Where a
    key repeats, its rows are numbered in the order of their values, so that each has one partner.
    """
    if not (_is_unique(rebuilt, key) and _is_unique(stored, key)):
        key = [*key, NTH]
        rebuilt, stored = _numbered(rebuilt, key), _numbered(stored, key)
    kinds = {name: kind for name, kind in rebuilt.dtypes if name != NTH}
    pairs = _pairs(rebuilt, stored, kinds, key)
    totals = _totals(pairs, kinds)
    first = _first(pairs, kinds, key) if totals["differing"] else ()
    return Comparison(totals["rows"], totals["stored"], int(totals["hash"] or 0), totals["differing"], first)


def _is_unique(rows: DataFrame, key: Sequence[str]) -> bool:
    return rows.groupBy(*_columns(key)).agg(F.count("*").alias("_times")).where("_times > 1").isEmpty()


def _numbered(rows: DataFrame, key: Sequence[str]) -> DataFrame:
    place = Window.partitionBy(*(F.col(f"`{name}`") for name in key if name != NTH)).orderBy(*_columns(rows.columns))
    return rows.withColumn(NTH, F.row_number().over(place))


def _columns(names: Sequence[str]) -> list[Column]:
    return [F.col(f"`{name}`") for name in names]


def _pairs(rebuilt: DataFrame, stored: DataFrame, kinds: Mapping[str, str], key: Sequence[str]) -> DataFrame:
    """Rows beside each other, the columns of each side with its name before them; null where a side has no such row."""
    wide = [name for name, kind in kinds.items() if kind.startswith("decimal")]
    hashed = units.row_hash(list(kinds), wide).alias("_hash")
    new = rebuilt.select(*_named(rebuilt, NEW), hashed, F.lit(True).alias(NEW))  # noqa: FBT003
    old = stored.select(*_named(rebuilt, OLD), F.lit(True).alias(OLD))  # noqa: FBT003
    same = [F.col(f"`{NEW}{name}`").eqNullSafe(F.col(f"`{OLD}{name}`")) for name in key]
    return new.join(old, on=reduce(operator.and_, same), how="full")


def _named(like: DataFrame, side: str) -> list[Column]:
    return [F.col(f"`{name}`").alias(f"{side}{name}") for name in like.columns]


def _totals(pairs: DataFrame, kinds: Mapping[str, str]) -> Row:
    return pairs.agg(
        F.count(NEW).alias("rows"),
        F.count(OLD).alias("stored"),
        units.hash_sum(F.col("_hash")).alias("hash"),
        F.count_if(_differs(kinds)).alias("differing"),
    ).collect()[0]


def _differs(kinds: Mapping[str, str]) -> Column:
    is_alone = F.col(NEW).isNull() | F.col(OLD).isNull()
    return _any_of([is_alone, *(~_is_same(name, kind) for name, kind in kinds.items())])


def _any_of(conditions: list[Column]) -> Column:
    """As a tree and not as a chain, of which a plan may only have a hundred links."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return _any_of(conditions[:half]) | _any_of(conditions[half:])


def _is_same(name: str, kind: str) -> Column:
    new, old = (F.col(f"`{side}{name}`") for side in (NEW, OLD))
    if kind == "double":  # adding 0.0 takes the sign from a zero; what NaN equals, engines do not agree on
        new, old = (F.when(~F.isnan(one), one + F.lit(0.0)) for one in (new, old))
        are_nan = [F.coalesce(F.isnan(f"`{side}{name}`"), F.lit(False)) for side in (NEW, OLD)]  # noqa: FBT003
        return new.eqNullSafe(old) & (are_nan[0] == are_nan[1])
    return new.eqNullSafe(old)


def _first(pairs: DataFrame, kinds: Mapping[str, str], key: Sequence[str]) -> tuple[Difference, ...]:
    """The first by key; a second pass over both sides, which only a difference costs."""
    keys = {name: F.coalesce(f"`{NEW}{name}`", f"`{OLD}{name}`") for name in key}
    texts = [F.col(f"`{side}{name}`").cast("string").alias(f"{side}{name}") for name in kinds for side in (NEW, OLD)]
    same = [_is_same(name, kind).alias(f"_same_{name}") for name, kind in kinds.items()]
    wrong = pairs.where(_differs(kinds)).withColumns({f"_key_{name}": value for name, value in keys.items()})
    shown = wrong.orderBy(*_columns([f"_key_{name}" for name in key])).limit(SHOWN)
    named = [F.col(f"`_key_{name}`").cast("string").alias(f"_key_{name}") for name in key]
    return tuple(_difference(row, kinds, key) for row in shown.select(*named, *texts, *same, NEW, OLD).collect())


def _difference(row: Row, kinds: Mapping[str, str], key: Sequence[str]) -> Difference:
    only_in = "rebuilt" if row[OLD] is None else "stored" if row[NEW] is None else ""
    differing = [name for name in kinds if only_in or not row[f"_same_{name}"]]
    values = {name: (row[f"{NEW}{name}"], row[f"{OLD}{name}"]) for name in differing}
    values = {name: both for name, both in values.items() if both != (None, None)}
    return Difference({name: row[f"_key_{name}"] for name in key if name != NTH}, values, only_in)
