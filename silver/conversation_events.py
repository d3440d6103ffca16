"""silver.conversation_events: one row per conversation and what happened to it: opened, resolved.

A conversation counts on two days, so that gold finds the days that a change touches by one column.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import quotient

MICROSECONDS_PER_HOUR = 60 * 60 * 10**6


def build(silver_conversations: DataFrame) -> DataFrame:
    took = (F.unix_micros("resolved_at") - F.unix_micros("opened_at")).cast("decimal(20,0)")
    hours = quotient(took, F.lit(MICROSECONDS_PER_HOUR).cast("decimal(10,0)"), 2)
    none = F.lit(None).cast("decimal(18,2)")
    opened = silver_conversations.withColumns(
        {"event": F.lit("opened"), "event_date": F.col("opened_date"), "hours_to_resolution": none}
    )
    resolved = silver_conversations.where("resolved_at is not null").withColumns(
        {"event": F.lit("resolved"), "event_date": F.col("resolved_date"), "hours_to_resolution": hours}
    )
    return opened.unionByName(resolved).select(
        "market",
        "conversation_id",
        "event",
        "branch_id",
        "topic",
        "event_date",
        "hours_to_resolution",
    )
