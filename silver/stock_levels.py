"""silver.stock_levels: one row per branch, product and day of a count.

Every count stays, since gold asks how often nothing was there; what is there now says the newest one.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import (
    calendar_day,
    exact_decimal,
    facts_of_today,
    first_day,
    spelled_alike,
    stripped,
    whole_number,
    with_market,
)


def build(bronze_stock: DataFrame, conf_markets: DataFrame) -> DataFrame:
    facts = facts_of_today(
        conf_markets,
        F.col("currency").alias("_currency"),
        F.col("largest_amount").alias("_largest_amount"),
        first_day(conf_markets),
    )
    rows = spelled_alike(
        with_market(bronze_stock), conf_markets, numbers=["on_hand", "unit_price"], days=["counted_on"]
    )
    return rows.join(facts, on="market", how="left").select(
        "market",
        whole_number("branch_id").alias("branch_id"),
        stripped("sku").alias("sku"),
        calendar_day("counted_on").alias("counted_on"),
        whole_number("on_hand", "int").alias("on_hand"),
        exact_decimal("unit_price", 18, 2).alias("unit_price"),
        # for rules and evidence
        "_are_numbers_certain",
        "_are_days_certain",
        "_currency",
        "_largest_amount",
        "_first_day",
        "_delivered_at",
        "_source",
    )
