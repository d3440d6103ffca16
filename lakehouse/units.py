"""Which units differ between two states of a table: by the count and the sum of row hashes, so that repeats count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame


def row_hash(columns: Sequence[str]) -> Column:
    """64 bits of a row. Spark's hash skips nulls, so (a, null) would equal (null, a) without the flags at the end."""
    values = [F.col(name) for name in columns]
    return F.xxhash64(*values, *(value.isNull() for value in values))


def hash_sum(hashes: Column) -> Column:
    """Wide enough never to overflow, and unlike XOR not cancelled by two equal rows."""
    return F.sum(hashes.cast("decimal(20,0)"))


def sums(rows: DataFrame, unit: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """Per unit: `_rows` and `_sum`."""
    hashed = rows.select(*unit, row_hash(columns).alias("_hash"))
    return hashed.groupBy(*unit).agg(F.count("*").alias("_rows"), hash_sum(F.col("_hash")).alias("_sum"))


def differing(new: DataFrame, stored: DataFrame, unit: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """The units that are not the same in both, `_gone` where only `stored` has them. Unit columns are never null."""
    before = sums(stored, unit, columns).withColumnsRenamed({"_rows": "_stored_rows", "_sum": "_stored_sum"})
    both = sums(new, unit, columns).join(before, on=list(unit), how="full")
    is_same = F.col("_rows").eqNullSafe(F.col("_stored_rows")) & F.col("_sum").eqNullSafe(F.col("_stored_sum"))
    return both.where(~is_same).select(*unit, F.col("_rows").isNull().alias("_gone"))
