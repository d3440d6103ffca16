"""gold.active_users: one row per day, week and month in which a known user did something.

Users are counted once in each, so that days do not add up to weeks, nor weeks to months.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import month_start, week_start

PERIOD = ["period", "period_start"]


def build(silver_user_days: DataFrame, silver_event_users: DataFrame) -> DataFrame:
    active = in_periods(silver_user_days, "event_date").distinct()
    new = in_periods(silver_event_users, "first_date").withColumn("is_new", F.lit(True))  # noqa: FBT003
    users = active.join(new, on=[*PERIOD, "user_id"], how="left")
    counts = users.groupBy(*PERIOD).agg(F.count("*").alias("active_users"), F.count("is_new").alias("new_users"))
    return counts.select(
        # ids
        "period",
        "period_start",
        # counts
        "active_users",
        "new_users",
        (F.col("active_users") - F.col("new_users")).alias("returning_users"),
    )


def in_periods(days: DataFrame, day: str) -> DataFrame:
    """`user_id` in the periods that a day lies in."""
    starts = {"day": F.col(day), "week": week_start(day), "month": month_start(day)}
    periods = F.array(
        *(F.struct(F.lit(name).alias("period"), start.alias("period_start")) for name, start in starts.items())
    )
    return days.select("user_id", F.inline(periods))
