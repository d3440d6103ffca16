"""gold.market_comparison: one row per market and local day with at least one order.

Midnights differ: what happened at one time in two markets can stand on two days. See gold.market_comparison_utc.
"""

from pyspark.sql import DataFrame

from lakehouse.transforms import COMPARED, day_by_day


def build(
    silver_orders: DataFrame, silver_judged_rates: DataFrame, conf_markets: DataFrame, conf_reporting: DataFrame
) -> DataFrame:
    days = day_by_day(silver_orders, conf_markets, silver_judged_rates, conf_reporting, "order_date")
    return days.select("market", "currency", "order_date", *COMPARED)
