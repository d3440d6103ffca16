"""silver.exchange_rates: one row per pair of currencies and day, as the newest right delivery says.

A rate holds for its own day alone: the day after has none until one is delivered.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import calendar_day, exact_decimal


def build(bronze_exchange_rates: DataFrame) -> DataFrame:
    return bronze_exchange_rates.select(
        F.upper("currency").alias("currency"),
        F.upper("reporting_currency").alias("reporting_currency"),
        calendar_day("rate_date").alias("rate_date"),
        exact_decimal("rate", 18, 12).alias("rate"),
        "_source",
    )
