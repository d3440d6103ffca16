"""gold.merchants: one row per merchant that sold an order or is in the list of merchants.

What the list says is joined to what was sold: neither need be delivered, and neither loses a row of the other.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import facts_of_today, sum_where

MERCHANT = ["market", "merchant_id"]


def build(silver_orders: DataFrame, silver_merchants: DataFrame, conf_markets: DataFrame) -> DataFrame:
    is_completed = F.col("order_status") == "COMPLETED"
    sold = (
        silver_orders.where("merchant_id is not null")
        .groupBy(*MERCHANT)
        .agg(
            F.count("*").alias("orders"),
            F.count_if(is_completed).alias("completed_orders"),
            sum_where(is_completed, "order_total").alias("revenue"),
            F.sum(F.when(is_completed, F.col("commission"))).cast("decimal(18,2)").alias("commission"),
        )
    )
    listed = silver_merchants.select(*MERCHANT, "merchant_name", "commission_share", F.lit(True).alias("is_listed"))  # noqa: FBT003
    every = sold.join(listed, on=MERCHANT, how="full")
    revenue = F.coalesce("revenue", F.lit(0)).cast("decimal(18,2)")
    due = F.round(revenue * F.col("commission_share"), 2).cast("decimal(18,2)")
    return every.join(facts_of_today(conf_markets, "currency"), on="market", how="left").select(
        *MERCHANT,
        "merchant_name",
        F.col("is_listed").isNotNull().alias("is_listed"),
        "currency",
        # counts
        F.coalesce("orders", F.lit(0)).cast("bigint").alias("orders"),
        F.coalesce("completed_orders", F.lit(0)).cast("bigint").alias("completed_orders"),
        # amounts
        revenue.alias("revenue"),
        "commission",
        "commission_share",
        due.alias("commission_due"),
    )
