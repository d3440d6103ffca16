"""gold.daily_sales: one row per market and local day with at least one order.

The day is the market's own; an order placed at 00:30 in Nairobi is still yesterday in UTC.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def build(silver_orders: DataFrame) -> DataFrame:
    """Money counts once per order: the export repeats order totals on every line, silver.orders does not."""
    completed = F.col("order_status") == "COMPLETED"
    days = silver_orders.groupBy("market", "order_date", "currency").agg(
        # counts
        F.count("*").alias("orders"),
        F.count_if(completed).alias("completed_orders"),
        F.sum("line_count").alias("lines"),
        F.sum("units").alias("units"),
        # amounts, in the market's own currency
        F.sum(F.when(completed, F.col("order_total")).otherwise(0)).cast("decimal(18,2)").alias("revenue"),
        F.sum("order_total").cast("decimal(18,2)").alias("placed_value"),
    )
    return days.select(
        "market",
        "order_date",
        F.trunc("order_date", "month").alias("order_month"),
        "currency",
        "orders",
        "completed_orders",
        "revenue",
        "placed_value",
        "lines",
        "units",
    )
