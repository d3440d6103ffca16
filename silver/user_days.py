"""silver.user_days: one row per user and UTC day on which the user did something.

What later days need of a day, so that they need not read all of its events again. A touch is a view or a click.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

DAY = ["user_id", "event_date"]
TOUCH = {"at": "event_datetime", "platform": "platform", "sku": "sku", "product_name": "product_name"}


def build(silver_events: DataFrame) -> DataFrame:
    days = with_ends(silver_events.where("user_id is not null")).groupBy(*DAY)
    return days.agg(
        # times
        F.min("event_datetime").alias("first_event_at"),
        F.max("event_datetime").alias("last_event_at"),
        # counts
        F.count("*").alias("events"),
        *(F.count_if(F.col("event_name") == one).alias(f"{one}s") for one in ("view", "click", "purchase")),
        # touches
        *(F.max(F.when(F.col("_is_first"), F.col(name))).alias(f"first_touch_{part}") for part, name in TOUCH.items()),
        *(F.max(F.when(F.col("_is_last"), F.col(name))).alias(f"last_touch_{part}") for part, name in TOUCH.items()),
    )


def with_ends(events: DataFrame) -> DataFrame:
    """Which touch of a day is the first, and which the last."""
    order = [*TOUCH.values()]
    is_touch = F.coalesce(F.col("event_name").isin("view", "click"), F.lit(False))  # noqa: FBT003
    day = Window.partitionBy(*DAY, "_is_touch")
    last = [F.desc(name) for name in order]
    return events.withColumn("_is_touch", is_touch).withColumns(
        {
            "_is_first": F.col("_is_touch") & (F.row_number().over(day.orderBy(*order)) == 1),
            "_is_last": F.col("_is_touch") & (F.row_number().over(day.orderBy(*last)) == 1),
        }
    )
