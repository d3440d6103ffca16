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

    from pyspark.sql import DataFrame

    from lakehouse.graph import Table
    from lakehouse.lake import Writer


def rebuild(writer: Writer, inputs: Mapping[str, DataFrame]) -> dict[str, dict[str, int]]:
    """Compute the table from its inputs and write what differs from what is stored; rows in the table, and warnings."""
    table = writer.table
    built = conform(table, table.build(*(inputs[name] for name in table.inputs))).persist()
    try:
        counts = _count(table, built)
        _write(writer, with_meanings(table, built.select(*table.contract.columns)))
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


def _write(writer: Writer, built: DataFrame) -> None:
    promise = writer.table.contract
    stored = None if promise.write == "replace" else writer.stored(like=built)
    if stored is None:
        writer.overwrite(built)
        return
    unit = list(promise.unit)
    differing = units.differing(built, stored, unit, list(promise.columns)).persist()
    try:
        kinds = {row["_gone"] for row in differing.select("_gone").distinct().collect()}
        if not kinds:
            writer.note_progress()
            return
        gone = differing.where("_gone").select(*unit) if True in kinds else None
        changed = built.join(differing.where("not _gone").select(*unit), on=unit, how="left_semi")
        writer.replace_units(changed.select(*built.columns), gone)
    finally:
        differing.unpersist()
