"""`write: refresh` and `write: replace`: computed from other tables. Only the units that differ are written.

Which units to compute is all of them as yet: the incremental choice is a later issue; what is written is exact already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse import units
from lakehouse.lake import conform, with_meanings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.graph import Table
    from lakehouse.lake import Lake
    from lakehouse.progress import Progress


def rebuild(
    spark: SparkSession,
    lake: Lake,
    table: Table,
    inputs: Mapping[str, DataFrame],
    note: Progress,
    before: Progress | None,
) -> dict[str, dict[str, int]]:
    """Compute the table from its inputs and write what differs from what is stored; rows in the table, and warnings."""
    built = conform(table, table.build(*(inputs[name] for name in table.inputs))).persist()
    try:
        counts = _count(table, built)
        _write(spark, lake, table, with_meanings(table, built.select(*table.contract.columns)), note, before)
    finally:
        built.unpersist()
    return counts


def _count(table: Table, built: DataFrame) -> dict[str, dict[str, int]]:
    """One pass, which also fills the cache that the write reads."""
    warned = {
        name: F.count_if(~F.coalesce(F.expr(rule.check), F.lit(True)))  # noqa: FBT003
        for name, rule in table.contract.rules.items()
    }
    row = built.agg(F.count("*").alias("_rows"), *(count.alias(name) for name, count in warned.items())).collect()[0]
    return {"rows": {"kept": row["_rows"]}, "warned": {name: row[name] for name in warned if row[name]}}


def _write(
    spark: SparkSession, lake: Lake, table: Table, built: DataFrame, note: Progress, before: Progress | None
) -> None:
    unit, columns = list(table.contract.unit), list(table.contract.columns)
    if table.contract.write == "replace" or lake.state(table.name) is None:
        lake.overwrite(spark, table, built, note)
        return
    stored = lake.read(spark, table.name)
    if sorted(stored.dtypes) != sorted(built.dtypes):
        lake.overwrite(spark, table, built, note)
        return
    differing = units.differing(built, stored, unit, columns).persist()
    try:
        kinds = {row["_gone"] for row in differing.select("_gone").distinct().collect()}
        if not kinds:
            lake.note(spark, table, note)
            return
        gone = differing.where("_gone").select(*unit) if True in kinds else None
        changed = built.join(differing.where("not _gone").select(*unit), on=unit, how="left_semi").select(
            *built.columns
        )
        lake.replace_units(spark, table, changed, gone, note, before)
    finally:
        differing.unpersist()
