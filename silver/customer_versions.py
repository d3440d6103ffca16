"""silver.customer_versions: one row per customer and delivery, as delivered then.

When a version was delivered is a part of its name, so that a later one does not take its place.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import customer_facts


def build(bronze_customers: DataFrame, conf_markets: DataFrame) -> DataFrame:
    return customer_facts(bronze_customers, conf_markets).select(
        "market",
        "customer_id",
        F.col("_delivered_at").alias("delivered_at"),
        "last_used_platform",
        "language",
        "is_blocked",
        "outstanding_amount",
        "loyalty_points",
        "number_of_employees",
        "created_at",
        "_are_numbers_certain",
        "_are_days_certain",
        "_currency",
        "_source",
    )
