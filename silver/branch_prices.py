"""silver.branch_prices: one row per branch, product and day from which a price is valid.

Prices stay when the next one is delivered, since a receipt is held against the one of its day.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import calendar_day, exact_decimal, facts_of_today, spelled_alike, stripped, whole_number


def build(bronze_branch_prices: DataFrame, conf_markets: DataFrame) -> DataFrame:
    facts = facts_of_today(
        conf_markets, F.col("currency").alias("_currency"), F.col("largest_amount").alias("_largest_amount")
    )
    rows = spelled_alike(bronze_branch_prices, conf_markets, numbers=["list_price"], days=["valid_from"])
    return rows.join(facts, on="market", how="left").select(
        "market",
        whole_number("branch_id").alias("branch_id"),
        stripped("sku").alias("sku"),
        calendar_day("valid_from").alias("valid_from"),
        exact_decimal("list_price", 18, 2).alias("list_price"),
        # for rules and evidence
        "_are_numbers_certain",
        "_are_days_certain",
        "_currency",
        "_largest_amount",
        "_source",
    )
