"""A delivery of a document held against the last accepted one before it, in the order of sequences.

It is a fold: never against what the table holds, nor by arrival, so that a late file judges its units' later deliveries
again. Only of a unit that is in no doubt is what the table holds all that there is to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse.contract import IDENTITY_IS_KEPT, KEEPS_TOTALS
from lakehouse.documents.judgement.parsing import has_key
from lakehouse.documents.judgement.rules import RULES_OF
from lakehouse.writes import units

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from lakehouse.graph import Table

DAYS = 3  # on which a document said the same, that it is believed


def in_doubt(table: Table, rows: DataFrame, stored: DataFrame) -> DataFrame | None:
    """The units of which new rows lack the totals, or say another identity than the table holds.

    These are judged from all their deliveries; None where a table has nothing to be in doubt about.
    """
    promise, unit = table.contract, list(table.contract.unit)
    comes_back = promise.removes_vanished and bool(promise.keeps_lacking)
    if promise.totals is None and promise.identity is None and not comes_back:
        return None
    says = {"_least": F.min(identity(table)), "_most": F.max(identity(table))}
    documents = rows.where(has_key(table)).groupBy(*unit, "_sequence")
    now = documents.agg(F.max(has_totals(table)).alias("_has"), *(one.alias(name) for name, one in says.items()))
    was = stored.groupBy(*unit).agg(F.count("*").alias("_was"), *(o.alias(f"{name}_was") for name, o in says.items()))
    # A table that forgot its identity, in a delivery that did not say it, knows nothing.
    is_kept = (F.col("_least") == F.col("_least_was")) & (F.col("_most") == F.col("_most_was"))
    is_other = F.col("_least").isNotNull() & ~F.coalesce(is_kept, F.lit(False))  # noqa: FBT003
    lacks = ~F.col("_has") if promise.totals else F.lit(False)  # noqa: FBT003
    # A document that a dump removed is stored no more, and held against what it was when it comes back.
    how = "left" if promise.removes_vanished else "inner"
    is_back = F.col("_was").isNull() if comes_back else F.lit(False)  # noqa: FBT003
    return now.join(was, on=unit, how=how).where(lacks | is_other | is_back).select(*unit).distinct()


def has_totals(table: Table) -> Column:
    return F.coalesce(F.expr(table.contract.totals or "false"), F.lit(False))  # noqa: FBT003


def without_lost_totals(table: Table, rows: DataFrame) -> DataFrame:
    """`_accepted`: right by itself, and not without the totals that an earlier right delivery of its unit has."""
    if table.contract.totals is None:
        return rows.withColumn("_accepted", F.col("_right"))
    of_unit, of_delivery = Window.partitionBy(*table.contract.unit), [*table.contract.unit, "_sequence"]
    rows = rows.withColumn("_has_totals", F.max(has_totals(table)).over(Window.partitionBy(*of_delivery)))
    first = F.min(F.when(F.col("_right") & F.col("_has_totals"), F.col("_sequence"))).over(of_unit)
    is_later = F.coalesce(first < F.col("_sequence"), F.lit(False))  # noqa: FBT003
    rows = rows.withColumn("_lost", ~F.col("_has_totals") & is_later)
    broken = F.when(F.col("_lost"), F.array_append("_broken", KEEPS_TOTALS)).otherwise(F.col("_broken"))
    accepted = {"_broken": broken, "_accepted": F.col("_right") & ~F.col("_lost")}
    return rows.withColumns(accepted).drop("_has_totals", "_lost")


def identity(table: Table) -> Column:
    """What must not change, as one number; null where a part of it is unknown, or the contract names nothing."""
    names = list(table.contract.identity.columns) if table.contract.identity else []
    is_known = F.lit(bool(names))
    for name in names:
        is_known = is_known & F.col(name).isNotNull()
    return F.when(is_known, units.row_hash(names or list(table.contract.unit)))


def changes(table: Table) -> Column:
    """Whether the rows of a unit do not all have the same identity: of few units."""
    if table.contract.identity is None:
        return F.lit(False)  # noqa: FBT003
    of_unit = Window.partitionBy(*table.contract.unit)
    least, most = F.min(identity(table)).over(of_unit), F.max(identity(table)).over(of_unit)
    return F.coalesce(least != most, F.lit(False))  # noqa: FBT003


def keeping_identity(table: Table, rows: DataFrame) -> DataFrame:
    """A delivery that changes the identity of its document breaks a rule; where that rejects, it is not accepted."""
    delivery = [*table.contract.unit, "_sequence"]
    changing = _changing(table, rows.where("_accepted and _changes")).select(
        *delivery, F.lit(IDENTITY_IS_KEPT).alias("_changed")
    )
    rows = rows.join(changing, on=delivery, how="left")
    severity = table.contract.identity.on_change if table.contract.identity else "warn"
    found = RULES_OF[severity]
    is_changed = F.col("_changed").isNotNull()
    named = F.when(is_changed, F.array_append(found, F.col("_changed"))).otherwise(F.col(found))
    accepted = F.col("_accepted") & ~is_changed if severity == "reject" else F.col("_accepted")
    return rows.withColumns({found: named, "_accepted": accepted}).drop("_changed")


def _changing(table: Table, rows: DataFrame) -> DataFrame:
    """The deliveries with another identity than the last accepted one before them, which do not establish theirs.

    All do where changes are only told of. Else these do: the first, one whose file is accepted, and one that is of the
    third day in a row on which the same was said; with all that say it after them.
    """
    unit = list(table.contract.unit)
    of_unit = Window.partitionBy(*unit).orderBy("_sequence")
    of_run = Window.partitionBy(*unit, "_run").orderBy("_sequence")
    is_named = F.col("_file").isin(*table.accepted) if table.accepted else F.lit(False)  # noqa: FBT003
    says = F.xxhash64(F.min(identity(table)), F.max(identity(table)))
    documents = (
        rows.where(identity(table).isNotNull())
        .groupBy(*unit, "_sequence")
        .agg(
            says.alias("_says"),
            F.max(F.col("_delivered_at").cast("date")).alias("_day"),
            F.max(is_named).alias("_is_named"),
        )
    )
    is_first, is_new_day = F.col("_says") != F.col("_last"), F.col("_day") != F.col("_last_day")
    documents = documents.withColumn("_last", F.lag("_says").over(of_unit))
    documents = documents.withColumn("_begins", F.coalesce(is_first, F.lit(True)).cast("int"))  # noqa: FBT003
    documents = documents.withColumn("_run", F.sum("_begins").over(of_unit))
    documents = documents.withColumn("_last_day", F.lag("_day").over(of_run))
    documents = documents.withColumn("_is_new_day", F.coalesce(is_new_day, F.lit(True)).cast("int"))  # noqa: FBT003
    documents = documents.withColumns(
        {"_days": F.sum("_is_new_day").over(of_run), "_is_named": F.max("_is_named").over(of_run)}
    )
    is_believed = (F.col("_run") == 1) | F.col("_is_named") | (F.col("_days") >= DAYS)
    establishes = is_believed if table.contract.rejects_changes else F.lit(True)  # noqa: FBT003
    before = F.last(F.when(establishes, F.col("_says")), ignorenulls=True).over(
        of_unit.rowsBetween(Window.unboundedPreceding, -1)
    )
    changed = documents.withColumn("_before", before).where("_before <> _says")
    return changed.where(~is_believed) if table.contract.rejects_changes else changed
