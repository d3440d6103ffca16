"""gold.sessions: one row per session of a user on a platform.

A session that goes on over midnight is one, and belongs to the day of its first event; so a late event of yesterday may
join two sessions of two days.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import in_sessions, key_of, life_of_user, steps_of_session, with_first, with_steps

PRODUCT = ["sku", "product_name"]


def build(silver_events: DataFrame, conf_events: DataFrame) -> DataFrame:
    events = with_last(with_first(with_steps(in_sessions(silver_events, conf_events))))
    sessions = events.groupBy("user_id", "platform", "_since").agg(
        F.min("event_datetime").alias("session_started_at"),
        F.max("event_datetime").alias("ended_at"),
        F.count("*").alias("events"),
        *steps_of_session(),
        *(F.max(F.when(F.col("_is_first"), F.col(name))).alias(f"entry_{name}") for name in PRODUCT),
        *(F.max(F.when(F.col("_is_last"), F.col(name))).alias(f"exit_{name}") for name in PRODUCT),
        *(F.min(name).alias(name) for name in ("_gap_minutes", "_longest_hours")),
    )
    begin = F.unix_micros("session_started_at")
    seconds = F.call_function("div", F.unix_micros("ended_at") - begin, F.lit(10**6).cast("bigint"))
    return sessions.select(
        # ids
        key_of(begin, F.length("platform"), "platform", "user_id").alias("session_id"),
        "user_id",
        "platform",
        F.to_date("session_started_at").alias("session_date"),
        # times
        F.col("session_started_at").alias("started_at"),
        "ended_at",
        seconds.cast("int").alias("seconds"),
        # counts
        "events",
        "views",
        "clicks",
        "purchases",
        # attributes
        "entry_sku",
        "entry_product_name",
        "exit_sku",
        "exit_product_name",
        # flags
        "is_clicked",
        "is_purchased",
        "is_purchased_after_click",
        # for rules
        "_gap_minutes",
        "_longest_hours",
    )


def with_last(events: DataFrame) -> DataFrame:
    """Whether an event is the last of its session."""
    after = F.lead("_since").over(life_of_user())
    return events.withColumn("_is_last", F.coalesce(F.col("_since") != after, F.lit(True)))  # noqa: FBT003
