"""gold.conversation_daily: one row per branch, topic and local day on which a conversation was opened or resolved.

Openings minus resolutions of a day say how the pile grew, not how much of that day's is open.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import percentiles

DAY = ["market", "branch_id", "event_date", "topic"]
PERCENTILES = {"p50_hours": 50, "p90_hours": 90, "longest_hours": 100}


def build(silver_conversation_events: DataFrame, silver_branches: DataFrame) -> DataFrame:
    days = silver_conversation_events.groupBy(*DAY).agg(
        F.count_if(F.col("event") == "opened").alias("opened"),
        F.count_if(F.col("event") == "resolved").alias("resolved"),
    )
    hours = percentiles(silver_conversation_events, DAY, "hours_to_resolution", PERCENTILES)
    names = silver_branches.select("market", "branch_id", "branch_name")
    known = days.join(hours, on=DAY, how="left").join(names, on=["market", "branch_id"], how="left")
    return known.select(
        # ids
        "market",
        "branch_id",
        "branch_name",
        "event_date",
        "topic",
        # counts
        "opened",
        "resolved",
        # hours
        *PERCENTILES,
    )
