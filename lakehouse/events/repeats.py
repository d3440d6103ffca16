"""Which rows say again what was kept already: a fold in the order of arrival, as a few steps over all ids at once."""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse.contract import EVIDENCE
from lakehouse.events.judging import ID, KEY, seen
from lakehouse.writes import units

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame

    from lakehouse.contract import Deduplicate

ARRIVAL = ("_batch", *EVIDENCE)


def repeats(
    rows: DataFrame, kept: DataFrame | None, said: Deduplicate, once: Callable[[DataFrame], DataFrame]
) -> DataFrame | None:
    """Where the repeats among right rows stand (EVIDENCE); None for none. `kept`: what is `seen` of rows kept before.

    In the order of arrival a row is a repeat where a kept one of its id lies within the horizon. So of an id the first
    row is kept that no kept one is near to, and then again the first of those that are left; most ids come once, and
    are asked nothing.
    """
    named = rows.where(F.col(ID).isNotNull()).select(*seen(said), *ARRIVAL)
    ids = [named.groupBy(ID).agg(F.count("*").alias("_rows")).where(F.col("_rows") > 1).select(ID)]
    near = None
    if kept is not None:
        near = once(kept.join(named.select(ID), on=ID, how="left_semi"))  # the only look at all of them
        ids.append(near.select(ID))
    doubtful = once(units.together(ids).distinct())
    if doubtful.isEmpty():
        return None
    mine = once(named.join(doubtful, on=ID, how="left_semi"))
    left = mine if near is None else mine.join(_renamed(near), on=_is_near(said), how="left_anti")
    first: list[DataFrame] = []
    while True:
        # By windows, so that each step is made of the one before alone: of two that it keeps, Spark prints both.
        placed = left.withColumn("_place", F.row_number().over(Window.partitionBy(*KEY).orderBy(*ARRIVAL)))
        of_first = F.min(F.when(F.col("_place") == 1, F.col("_day"))).over(Window.partitionBy(*KEY))
        asked = once(placed.withColumn("_first_day", of_first))
        if asked.isEmpty():
            break
        first.append(asked.where(F.col("_place") == 1).select(*EVIDENCE))
        left = asked.where(F.abs(F.col("_day") - F.col("_first_day")) > said.horizon).drop("_place", "_first_day")
    places = mine.select(*EVIDENCE)
    return once(places.join(units.together(first), on=list(EVIDENCE), how="left_anti") if first else places)


def _renamed(near: DataFrame) -> DataFrame:
    return near.select(*(F.col(name).alias(f"{name}_kept") for name in (*KEY, "_day")))


def _is_near(said: Deduplicate) -> Column:
    is_same = reduce(operator.and_, (F.col(name) == F.col(f"{name}_kept") for name in KEY))
    return is_same & (F.abs(F.col("_day") - F.col("_day_kept")) <= said.horizon)
