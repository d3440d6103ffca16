"""gold.blocked_customers: one row per customer who is blocked now.

Most of them never ordered: an inner join with orders would lose those.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import facts_of_today, sum_where

CUSTOMER = ["market", "customer_id"]


def build(silver_customers: DataFrame, silver_orders: DataFrame, conf_markets: DataFrame) -> DataFrame:
    completed = F.col("order_status") == "COMPLETED"
    is_open = ~F.col("order_status").isin("COMPLETED", "CANCELLED")
    orders = silver_orders.groupBy(*CUSTOMER).agg(
        F.count("*").alias("orders"),
        F.count_if(completed).alias("completed_orders"),
        F.count_if(is_open).alias("open_orders"),
        sum_where(completed, "order_total").alias("revenue"),
        sum_where(is_open, "order_total").alias("open_value"),
        F.max("order_date").alias("last_order_date"),
    )
    blocked = silver_customers.where("is_blocked").select(*CUSTOMER, F.col("created_at").alias("registered_at"))
    facts = facts_of_today(conf_markets, "currency")
    both = blocked.join(orders, on=CUSTOMER, how="left").join(facts, on="market", how="left").na.fill(0)
    return both.select(
        *CUSTOMER,
        "registered_at",
        "orders",
        "completed_orders",
        "open_orders",
        "currency",
        "revenue",
        "open_value",
        "last_order_date",
    )
