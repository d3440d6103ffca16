"""gold.product_conversion: one row per UTC day, platform and product that was in a session of the day.

As gold.funnel, of each product alone.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import conversions, share

DAY = ["session_date", "platform", "sku"]


def build(gold_session_products: DataFrame, conf_events: DataFrame) -> DataFrame:
    names = gold_session_products.groupBy(*DAY).agg(F.max("product_name").alias("product_name"))
    days = conversions(gold_session_products, conf_events, "sku").join(names, on=DAY, how="inner")
    return days.select(
        # ids
        F.col("session_date").alias("conversion_date"),
        "platform",
        "sku",
        "product_name",
        # within a session
        "sessions",
        "sessions_viewed",
        "sessions_clicked",
        "sessions_purchased",
        share(F.col("sessions_purchased"), F.col("sessions_viewed")).alias("purchase_share"),
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
