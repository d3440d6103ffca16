"""gold.event_volume: one row per UTC minute, name of event and platform with at least one event.

Events of users who are not known are in it, and in no session.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import platform_known

MINUTE = 60 * 10**6


def build(silver_events: DataFrame) -> DataFrame:
    minute = F.call_function("div", F.unix_micros("event_datetime"), F.lit(MINUTE).cast("bigint")) * 60
    events = silver_events.select(
        "event_date",
        minute.cast("timestamp").alias("event_minute"),
        F.coalesce("event_name", F.lit("unknown")).alias("event_name"),
        platform_known().alias("platform"),
        "user_id",
    )
    return events.groupBy("event_date", "event_minute", "event_name", "platform").agg(
        F.count("*").alias("events"),
        F.count_if(F.col("user_id").isNull()).alias("events_without_user"),
    )
