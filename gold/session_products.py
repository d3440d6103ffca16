"""gold.session_products: one row per session and product that an event of it is about.

Steps are those of the product alone: a click on another one follows no view of this one.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import in_sessions, so_far, steps_of_session, with_first, with_steps


def build(silver_events: DataFrame, conf_events: DataFrame) -> DataFrame:
    events = with_first(in_sessions(silver_events, conf_events))
    started_at = F.max(F.when(F.col("_is_first"), F.col("event_datetime"))).over(so_far())
    events = events.withColumn("session_started_at", started_at).where("sku is not null")
    products = with_steps(events, "sku").groupBy("user_id", "platform", "session_started_at", "sku")
    of_sessions = products.agg(
        F.max("product_name").alias("product_name"),
        *steps_of_session(),
        *(F.min(name).alias(name) for name in ("_gap_minutes", "_longest_hours")),
    )
    return of_sessions.select(
        # ids
        "user_id",
        "platform",
        F.to_date("session_started_at").alias("session_date"),
        F.col("session_started_at").alias("started_at"),
        "sku",
        "product_name",
        # counts
        "views",
        "clicks",
        "purchases",
        # flags
        "is_clicked",
        "is_purchased",
        "is_purchased_after_click",
        # for rules
        "_gap_minutes",
        "_longest_hours",
    )
