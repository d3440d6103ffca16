"""Documents of which nothing is to be decided: each delivery right by itself, and none at odds with another.

Nearly all are. The newest delivery is kept, as the rules of judging.py would find by sorting all rows several times;
aggregates tell these documents apart in a tenth of that time, so that only the others are judged one by one.
"""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse.documents.judgement.predecessors import has_totals, identity
from lakehouse.documents.judgement.rules import document_rules
from lakehouse.writes import units

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

    from lakehouse.graph import Table


def settled(table: Table, rows: DataFrame, once: Callable[[DataFrame], DataFrame]) -> tuple[DataFrame, DataFrame]:
    """Rows that name their unit -> those of certain documents, judged; and those of the others, as they are."""
    unit = list(table.contract.unit)
    deliveries = once(_deliveries(table, rows))
    certain = deliveries.join(_newest(table, deliveries), on=unit, how="inner")
    odd = [one.select(*unit) for one in (_repeating(table, rows), _breaking(table, rows, certain)) if one is not None]
    if odd:
        certain = certain.join(once(units.together(odd).distinct()), on=unit, how="left_anti")
    certain = once(certain.select(*unit, "_sequence", "_newest"))
    mine = rows.join(certain, on=[*unit, "_sequence"], how="inner")
    others = rows.join(certain.select(*unit).distinct(), on=unit, how="left_anti")
    return _judged(table, mine), others


def _judged(table: Table, rows: DataFrame) -> DataFrame:
    """With the columns that any judged row has."""
    if position := table.contract.position:
        of_delivery = Window.partitionBy(*table.contract.unit, "_sequence")
        rows = rows.withColumn(position, F.row_number().over(of_delivery.orderBy("_row")))
    marks = {"_right": True, "_accepted": True, "_repeat": False}
    status = F.when(F.col("_sequence") == F.col("_newest"), "kept").otherwise("superseded")
    return rows.withColumns({name: F.lit(mark) for name, mark in marks.items()} | {"_status": status}).drop("_newest")


def _deliveries(table: Table, rows: DataFrame) -> DataFrame:
    """What each delivery of a document says as a whole."""
    promise = table.contract
    said = {
        "_is_wrong": F.max(F.size("_broken")) > 0,
        "_rows": F.count("*"),
        "_has_totals": F.max(has_totals(table)),
        "_least": F.min(identity(table)),
        "_most": F.max(identity(table)),
    }
    said |= {_of_document(name): F.expr(text) for name, text in promise.document.items()}
    return rows.groupBy(*promise.unit, "_sequence").agg(*(one.alias(name) for name, one in said.items()))


def _newest(table: Table, deliveries: DataFrame) -> DataFrame:
    """The newest delivery of each document whose deliveries are all right, and agree with each other."""
    said = {"_newest": F.max("_sequence"), "_is_odd": F.max("_is_wrong"), "_most_rows": F.max("_rows")}
    said |= {"_all_have_totals": F.min("_has_totals"), "_any_has_totals": F.max("_has_totals")}
    said |= {"_first_said": F.min("_least"), "_last_said": F.max("_most")}
    documents = deliveries.groupBy(*table.contract.unit).agg(*(one.alias(name) for name, one in said.items()))
    agrees = F.coalesce(F.col("_first_said") == F.col("_last_said"), F.lit(True))  # noqa: FBT003
    is_certain = ~F.col("_is_odd") & agrees
    if table.contract.totals is not None:
        is_certain &= F.col("_all_have_totals") == F.col("_any_has_totals")
    if table.contract.unit_is_one_row:
        is_certain &= F.col("_most_rows") == 1
    return documents.where(is_certain).select(*table.contract.unit, "_newest")


def _repeating(table: Table, rows: DataFrame) -> DataFrame | None:
    """Rows of units of which two rows of one delivery may say the same, or be of the same grain where the last counts.

    None where those count like any others. They do unless a rule breaks by them (_breaking), or the contract says
    otherwise.
    """
    if table.contract.repeats == "keep":
        return None
    same = table.contract.grain if table.contract.repeats == "last" else (*table.contract.unit, "_hash")
    said = F.xxhash64(*same, "_sequence").alias("_said")
    repeated = rows.select(said).groupBy("_said").agg(F.count("*").alias("_times")).where("_times > 1")
    return rows.withColumn("_said", said).join(repeated.select("_said"), on="_said", how="left_semi")


def _breaking(table: Table, rows: DataFrame, certain: DataFrame) -> DataFrame | None:
    """Rows that break a rule of their document; None where it has none."""
    rules = document_rules(table)
    if not rules:
        return None
    of_document = [F.col(_of_document(name)).alias(name) for name in table.contract.document]
    told = rows.join(
        certain.select(*table.contract.unit, "_sequence", *of_document),
        on=[*table.contract.unit, "_sequence"],
        how="inner",
    )
    holds = [F.coalesce(check, F.lit(True)) for check, _ in rules.values()]  # noqa: FBT003
    return told.where(~reduce(operator.and_, holds))


def _of_document(name: str) -> str:
    """A contract may call a column of its document as the core calls one of its own."""
    return f"_document_{name}"
