"""silver.dated_deliveries: one row per delivery task, with the day and the status of its order.

Most tasks belong to orders that are older than the order export: they have no day, and are kept.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

NO_ORDER = "no order"


def build(silver_deliveries: DataFrame, silver_orders: DataFrame) -> DataFrame:
    orders = silver_orders.select("market", "order_id", "order_date", "order_status")
    day = F.coalesce(F.col("order_date").cast("string"), F.lit(NO_ORDER))
    month = F.coalesce(F.date_format("order_date", "yyyy-MM"), F.lit(NO_ORDER))
    return silver_deliveries.join(orders, on=["market", "order_id"], how="left").select(
        # ids
        "market",
        "task_id",
        "order_id",
        # attributes
        "task_type",
        "task_status",
        "order_status",
        day.alias("day"),
        month.alias("year_month"),
        # amounts
        "minutes",
        # times
        "order_date",
    )
