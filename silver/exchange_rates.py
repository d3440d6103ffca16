"""silver.exchange_rates: one row per pair of currencies and day, as the newest right delivery says.

A rate holds for its own day alone: the day after has none until one is delivered.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import calendar_day, exact_decimal, first_day


def build(bronze_exchange_rates: DataFrame, conf_markets: DataFrame) -> DataFrame:
    first = conf_markets.select(first_day(conf_markets)).agg(F.min("_first_day").alias("_first_day"))
    return bronze_exchange_rates.crossJoin(F.broadcast(first)).select(
        F.upper("currency").alias("currency"),
        F.upper("reporting_currency").alias("reporting_currency"),
        calendar_day("rate_date").alias("rate_date"),
        exact_decimal("rate", 18, 12).alias("rate"),
        "_first_day",
        "_source",
    )
