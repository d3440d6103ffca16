"""gold.customer_windows: one row per customer and tumbling window of 10 local days with an order.

Windows are counted from 1970-01-01, not from a customer's first order: a late older order would move all of them.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import TEN_MEASURES, classic_ten

WINDOW = ["market", "customer_id", "window_start"]
DAYS = 10
COUNTS = ["order_count", "total_quantity_ordered", "distinct_products"]


def build(silver_orders: DataFrame, silver_order_lines: DataFrame, silver_deliveries: DataFrame) -> DataFrame:
    into = F.pmod(F.unix_date("order_date"), F.lit(DAYS))
    orders = silver_orders.withColumn("window_start", F.date_sub("order_date", into))
    windows = orders.select(*WINDOW, "currency").distinct()
    completed = orders.where("order_status = 'COMPLETED'")
    measures = classic_ten(completed, silver_order_lines, silver_deliveries, by=WINDOW)
    both = windows.join(measures, on=WINDOW, how="left").na.fill(0, subset=COUNTS)
    return both.select(*WINDOW, F.date_add("window_start", DAYS - 1).alias("window_end"), "currency", *TEN_MEASURES)
