"""gold.market_comparison_utc: one row per market and UTC day with at least one order.

The same stretch of time in all markets, which cuts through the local days of each.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import COMPARED, day_by_day


def build(
    silver_orders: DataFrame, silver_judged_rates: DataFrame, conf_markets: DataFrame, conf_reporting: DataFrame
) -> DataFrame:
    orders = silver_orders.withColumn("utc_date", F.to_date("ordered_at"))
    days = day_by_day(orders, conf_markets, silver_judged_rates, conf_reporting, "utc_date")
    return days.select("market", "currency", "utc_date", *COMPARED)
