"""Units, what is replaced as a whole: which changed rows touch, which rows they need, and which differ in the end.

Two states are compared by the count and the sum of row hashes, so that repeats count.
"""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.contract import DIGEST
from lakehouse.session import small_side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyspark.sql import Column, DataFrame

    from lakehouse.contract import Contract
    from lakehouse.graph import Table


def row_hash(columns: Sequence[str]) -> Column:
    """64 bits of a row. Spark's hash skips nulls, so (a, null) would equal (null, a) without the flags at the end."""
    values = [F.col(name) for name in columns]
    return F.xxhash64(*values, *(value.isNull() for value in values))


def hash_sum(hashes: Column) -> Column:
    """Wide enough never to overflow, and unlike XOR not cancelled by two equal rows."""
    return F.sum(hashes.cast("decimal(20,0)"))


def with_digest(promise: Contract, rows: DataFrame) -> DataFrame:
    """A wide table stores its rows' hashes, so that comparing with it reads one narrow column instead of all."""
    return rows.withColumn(DIGEST, row_hash(list(promise.columns))) if promise.is_wide else rows


def sums(rows: DataFrame, unit: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """Per unit: `_rows` and `_sum`."""
    hashed = rows.select(*unit, F.col(DIGEST) if DIGEST in rows.columns else row_hash(columns).alias(DIGEST))
    hashed = hashed.withColumnRenamed(DIGEST, "_hash")
    return hashed.groupBy(*unit).agg(F.count("*").alias("_rows"), hash_sum(F.col("_hash")).alias("_sum"))


def differing(new: DataFrame, stored: DataFrame, unit: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """The units that are not the same in both, `_gone` where only `stored` has them. Unit columns are never null."""
    before = sums(stored, unit, columns).withColumnsRenamed({"_rows": "_stored_rows", "_sum": "_stored_sum"})
    both = sums(new, unit, columns).join(before, on=list(unit), how="full")
    is_same = F.col("_rows").eqNullSafe(F.col("_stored_rows")) & F.col("_sum").eqNullSafe(F.col("_stored_sum"))
    return both.where(~is_same).select(*unit, F.col("_rows").isNull().alias("_gone"))


def net(changed: DataFrame, columns: Sequence[str]) -> DataFrame:
    """The rows of a change feed that are not there as often after as before, as far as these columns go.

    A unit is written whole, so most of its rows may say what they said before; and no table uses all columns.
    """
    came = F.col("_change_type").isin("insert", "update_postimage")
    rows = changed.groupBy(*columns).agg(F.sum(F.when(came, 1).otherwise(-1)).alias("_more"))
    return rows.where("_more <> 0").drop("_more")


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
        return rows.select(*(value.alias(column) for column, value in _unit(table, name).items()))
    leading = semi(inputs[reach.through], {column: F.col(column) for column in reach.on}, rows.select(*reach.on))
    return _units_of(table, reach.through, leading, inputs)


def narrowed(
    table: Table,
    inputs: Mapping[str, DataFrame],
    some: DataFrame,
    *,
    few: bool = True,
    keep: Callable[[DataFrame], DataFrame] = lambda rows: rows,
) -> dict[str, DataFrame]:
    """Of each input the rows that belong to `some` units, or lead to them; conf as it is.

    `few`: whether the units fit into the memory of every worker, which saves moving the inputs' rows to them. `keep`
    may cache what is narrow, since an input can be used several times.
    """
    narrow = {name: rows for name, rows in inputs.items() if name not in table.parents}

    def narrow_to(name: str) -> DataFrame:
        if name not in narrow:
            reach = table.contract.inputs.get(name)
            if reach is None or reach.through is None:
                values, keys = _unit(table, name), some
            else:
                values = {column: F.col(column) for column in reach.on}
                keys = narrow_to(reach.through).select(*reach.on).distinct()
            narrow[name] = keep(semi(inputs[name], values, small_side(keys) if few else keys))
        return narrow[name]

    for name in table.parents:
        narrow_to(name)
    return narrow


def _unit(table: Table, name: str) -> dict[str, Column]:
    """The unit's columns as an input that reaches units by itself has them, in the types that the table promises."""
    reach, promise = table.contract.inputs.get(name), table.contract
    texts = {column: f"`{column}`" for column in promise.unit} | (dict(reach.unit) if reach else {})
    return {column: F.expr(text).cast(promise.columns[column].type) for column, text in texts.items()}


def semi(rows: DataFrame, values: Mapping[str, Column], keys: DataFrame) -> DataFrame:
    """The rows whose values are among the keys; null is a value like any other."""
    renamed = keys.withColumnsRenamed({column: f"_key_{column}" for column in values})
    same = [value.eqNullSafe(F.col(f"_key_{column}")) for column, value in values.items()]
    return rows.join(renamed, on=reduce(operator.and_, same), how="left_semi")
