"""silver.event_users: one row per user who ever did something: since when, and how much.

Who is new on a day is not to be seen on that day: it takes the user's whole life.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import whole_sum


def build(silver_user_days: DataFrame) -> DataFrame:
    return silver_user_days.groupBy("user_id").agg(
        # times
        F.min("first_event_at").alias("first_event_at"),
        F.max("last_event_at").alias("last_event_at"),
        F.min("event_date").alias("first_date"),
        F.max("event_date").alias("last_date"),
        # counts
        F.count("*").alias("active_days"),
        whole_sum("events").alias("events"),
        whole_sum("purchases").alias("purchases"),
    )
