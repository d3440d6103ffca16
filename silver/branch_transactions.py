"""silver.branch_transactions: one row per line of a branch's receipt.

Unlike the times of orders those of tills say their distance from UTC; the day is the market's own.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import (
    begin_of,
    exact_decimal,
    export_time,
    facts_of_today,
    first_day,
    spelled_alike,
    stripped,
    whole_number,
)


def build(bronze_branch_transactions: DataFrame, conf_markets: DataFrame) -> DataFrame:
    facts = facts_of_today(
        conf_markets, "time_zone", "currency", F.col("largest_amount").alias("_largest_amount"), first_day(conf_markets)
    )
    sold_at, zone = export_time("sold_at"), F.col("time_zone")
    numbers = ("quantity", "unit_price", "line_total", "transaction_total")
    rows = spelled_alike(bronze_branch_transactions, conf_markets, numbers=numbers, instants=["sold_at"])
    return rows.join(facts, on="market", how="left").select(
        # ids
        "market",
        whole_number("branch_id").alias("branch_id"),
        whole_number("transaction_id").alias("transaction_id"),
        whole_number("customer_id").alias("customer_id"),
        stripped("sku").alias("sku"),
        # amounts
        "currency",
        whole_number("quantity", "int").alias("quantity"),
        exact_decimal("unit_price", 18, 2).alias("unit_price"),
        exact_decimal("line_total", 18, 2).alias("line_total"),
        exact_decimal("transaction_total", 18, 2).alias("transaction_total"),
        # times
        sold_at.alias("sold_at"),
        F.to_date(F.from_utc_timestamp(sold_at, zone)).alias("sale_date"),
        # for rules and evidence
        "_are_numbers_certain",
        "_are_days_certain",
        "_largest_amount",
        begin_of("_first_day", zone).alias("_opened_at"),
        "_delivered_at",
        "_source",
    )
