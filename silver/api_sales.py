"""silver.api_sales: one row per line of a sale of the sales API.

A sale is a document with its lines, on whatever pages they lie; its times are instants, unlike those of the exports.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import begin_of, exact_decimal, facts_of_today, first_day, whole_number, written_time


def build(bronze_api_sales: DataFrame, conf_markets: DataFrame) -> DataFrame:
    facts = facts_of_today(
        conf_markets,
        F.col("market").alias("_market"),
        F.col("currency").alias("_currency"),
        F.col("largest_amount").alias("_largest_amount"),
        first_day(conf_markets),
        F.col("time_zone").alias("_zone"),
    ).drop("market")
    lines = bronze_api_sales.withColumns(
        {"market": whole_number("market", "int"), "sold_at": written_time("sold_at", "ymd")}
    )
    zone = F.col("_zone")
    return lines.join(facts, on=F.col("market") == F.col("_market"), how="left").select(
        # ids
        "market",
        whole_number("sale_id").alias("sale_id"),
        whole_number("line", "int").alias("line_number"),
        whole_number("customer_id").alias("customer_id"),
        "sku",
        # attributes
        "channel",
        F.col("status").alias("order_status"),
        "product_name",
        F.upper("currency").alias("currency"),
        # amounts
        whole_number("quantity", "int").alias("quantity"),
        exact_decimal("unit_price", 18, 2).alias("unit_price"),
        exact_decimal("total_price", 18, 2).alias("line_total"),
        exact_decimal("sale_total", 18, 2).alias("sale_total"),
        # times
        "sold_at",
        F.to_date(F.from_utc_timestamp("sold_at", zone)).alias("sale_date"),
        # for rules and evidence
        "_currency",
        "_largest_amount",
        begin_of("_first_day", zone).alias("_opened_at"),
        "_delivered_at",
        "_source",
    )
