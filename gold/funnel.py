"""gold.funnel: one row per UTC day and platform with a session that began on it.

Steps count in order: a click before the view, or a purchase without a click, leads nowhere.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import conversions, share

RATES = {"click_share": "clicked", "purchase_share": "purchased"}


def build(gold_sessions: DataFrame, conf_events: DataFrame) -> DataFrame:
    days = conversions(gold_sessions, conf_events)
    return days.select(
        # ids
        F.col("session_date").alias("funnel_date"),
        "platform",
        # within a session
        "sessions",
        "sessions_viewed",
        "sessions_clicked",
        "sessions_purchased",
        *(share(F.col(f"sessions_{step}"), F.col("sessions_viewed")).alias(name) for name, step in RATES.items()),
        "users",
        "users_viewed",
        "users_clicked",
        "users_purchased",
        # within days
        "users_clicked_within_days",
        "users_purchased_within_days",
        # for rules
        "_funnel_days",
    )
