"""Columns that a file lacks: by contract a row keeps what it said in the last accepted delivery of its document.

That one may have kept it, too; so it is a fold over the accepted deliveries, as long as each of them has the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse.documents.judgement.parsing import PLACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import Column, DataFrame

    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry


def kept_values(
    engine: Engine,
    table: Table,
    accepted: DataFrame,
    taken: Iterable[Entry],
    stored: DataFrame | None = None,
    said: Column | None = None,
) -> DataFrame | None:
    """By PLACE of accepted rows, the columns that keep what was known; None where no delivery lacks one.

    `stored`: what was accepted before these rows, of units that have no older ones among them. `said`: what of the row
    that said it is wanted, instead of the value.
    """
    promise, lacks = table.contract, _lacks(engine, table, taken)
    if lacks is None:
        return None
    unit, kept = list(promise.unit), list(promise.keeps_lacking)
    names = [*promise.grain, *PLACE, "_sequence", *kept]
    rows = accepted.select(*names).join(F.broadcast(lacks), on="_sequence", how="left")
    if stored is not None:
        older = accepted.where("not _new").select(*unit).distinct()
        before = stored.join(older, on=unit, how="left_anti").withColumn("_sequence", F.lit(""))
        before = before.withColumns({"_batch": F.lit(-1), "_lacks": F.lit(None).cast("array<string>")})
        batch = dict(rows.dtypes)["_batch"]
        rows = rows.unionByName(before.withColumn("_batch", F.col("_batch").cast(batch)).select(*rows.columns))
    in_order = Window.partitionBy(*unit).orderBy("_sequence")
    of_row = Window.partitionBy(*promise.grain).orderBy("_sequence")
    of_run = Window.partitionBy(*promise.grain, "_run").orderBy("_sequence")
    deliveries = rows.select(*unit, "_sequence").distinct().withColumn("_before", F.lag("_sequence").over(in_order))
    rows = rows.join(deliveries, on=[*unit, "_sequence"]).withColumn("_last", F.lag("_sequence").over(of_row))
    begins = F.coalesce(F.col("_last") != F.col("_before"), F.lit(True))  # noqa: FBT003
    rows = rows.withColumn("_begins", begins.cast("int")).withColumn("_run", F.sum("_begins").over(of_row))
    for name, source in promise.keeps_lacking.items():
        is_lacking = F.coalesce(F.array_contains("_lacks", source), F.lit(False))  # noqa: FBT003
        value = F.col(name) if said is None else said
        rows = rows.withColumn("_said", F.when(~is_lacking, F.struct(value.alias("value"))))
        rows = rows.withColumn("_said", F.last("_said", ignorenulls=True).over(of_run))
        rows = rows.withColumn(name, F.col("_said.value"))
    return rows.where("_sequence <> ''").select(*PLACE, *kept)


def _lacks(engine: Engine, table: Table, taken: Iterable[Entry]) -> DataFrame | None:
    """The delivered columns that files lack, by sequence."""
    wanted = set(table.contract.keeps_lacking.values())
    found = {one.delivery.sequence: sorted(wanted - set(one.delivery.columns.values())) for one in taken}
    lacking = {sequence: names for sequence, names in found.items() if names}
    if not lacking:
        return None
    columns = {"_sequence": pa.array(lacking.keys(), pa.string())}
    columns["_lacks"] = pa.array(lacking.values(), pa.list_(pa.string()))
    return engine.frame(pa.table(columns))


def with_kept(table: Table, rows: DataFrame, values: DataFrame) -> DataFrame:
    """The rows of which there are values, with these."""
    return rows.drop(*table.contract.keeps_lacking).join(values, on=list(PLACE))
