"""gold.hourly_demand: one row per market, weekday and local hour in which an order was ever placed.

The hour is the market's own: the same instant is another hour in Lagos than in Nairobi.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import SALES_AMOUNTS, SALES_COUNTS, average, sales_measures, weekday

HOUR = ("market", "weekday", "order_hour")


def build(silver_orders: DataFrame, silver_customer_orders: DataFrame, conf_markets: DataFrame) -> DataFrame:
    days = F.count_distinct("order_date").alias("days")
    hours = sales_measures(with_weekday(silver_orders), with_weekday(silver_customer_orders), conf_markets, HOUR, days)
    return hours.select(
        *HOUR,
        "currency",
        "days",
        average(F.col("orders"), F.col("days")).alias("orders_per_day"),
        *SALES_COUNTS,
        *SALES_AMOUNTS,
        "average_order_value",
    )


def with_weekday(orders: DataFrame) -> DataFrame:
    return orders.withColumn("weekday", weekday("order_date"))
