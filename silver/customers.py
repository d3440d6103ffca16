"""silver.customers: one row per customer.

`Created At` really is UTC, unlike the times of orders.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import exact_decimal, export_time, whole_number


def build(bronze_customers: DataFrame, conf_markets: DataFrame) -> DataFrame:
    facts = conf_markets.select("market", F.col("currency").alias("_currency"))
    return bronze_customers.join(F.broadcast(facts), on="market", how="left").select(
        "market",
        whole_number("customer_id").alias("customer_id"),
        "last_used_platform",
        "language",
        F.when(F.col("is_blocked").isin("0", "1"), F.col("is_blocked") == "1").alias("is_blocked"),
        exact_decimal("outstanding_amount", 18, 2).alias("outstanding_amount"),
        whole_number("loyalty_points").alias("loyalty_points"),
        whole_number("number_of_employees").alias("number_of_employees"),
        export_time("created_at").alias("created_at"),
        "_currency",
        "_source",
    )
