"""gold.daily_sales: one row per market and local day with at least one order.

The day is the market's own; an order placed at 00:30 in Nairobi is still yesterday in UTC.
"""

from pyspark.sql import DataFrame

from lakehouse.transforms import SALES_AMOUNTS, SALES_COUNTS, month_start, sales_measures

DAY = ("market", "order_date")


def build(silver_orders: DataFrame, silver_customer_orders: DataFrame, conf_markets: DataFrame) -> DataFrame:
    days = sales_measures(silver_orders, silver_customer_orders, conf_markets, DAY)
    return days.select(
        *DAY,
        month_start("order_date").alias("order_month"),
        "currency",
        *SALES_COUNTS,
        *SALES_AMOUNTS,
        "average_order_value",
    )
