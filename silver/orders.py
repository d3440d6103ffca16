"""silver.orders: one row per order.

The export has no order row: these are the header facts of the first line, checked against the others.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import expected_surcharge, paid_now

HEADER = (
    "customer_id", "order_status", "payment_method", "currency", "customer_note", "review", "order_total", "sub_total",
    "redeemed_points", "earned_points", "rating", "ordered_at", "order_date", "pickup_at", "promised_at",
)  # fmt: skip


def build(silver_order_lines: DataFrame, conf_markets: DataFrame) -> DataFrame:
    facts = conf_markets.select("market", "point_value", "points_per", "pay_later_rate", "time_zone")
    header = F.struct(*HEADER)
    orders = silver_order_lines.groupBy("market", "order_id").agg(
        F.min_by(header, "line_number").alias("header"),
        F.count_distinct(F.to_json(header)).alias("_headers"),
        F.count("*").alias("line_count"),
        F.sum("quantity").alias("units"),
        F.coalesce(F.sum(F.col("line_total") - F.col("line_cost")), F.lit(0)).alias("line_margin"),
    )
    flat = orders.select("*", "header.*").join(F.broadcast(facts), on="market", how="left")
    return flat.select(
        # ids
        "market",
        "order_id",
        "customer_id",
        # attributes
        "order_status",
        "payment_method",
        "currency",
        "customer_note",
        "review",
        # amounts
        "order_total",
        "sub_total",
        "redeemed_points",
        "earned_points",
        "line_count",
        "units",
        F.col("line_margin").cast("decimal(18,2)").alias("line_margin"),
        "rating",
        # times
        "ordered_at",
        "order_date",
        F.hour(F.from_utc_timestamp("ordered_at", F.col("time_zone"))).alias("order_hour"),
        "pickup_at",
        "promised_at",
        # for rules
        "_headers",
        expected_total().alias("_expected_total"),
        F.floor(F.col("sub_total") / F.col("points_per")).cast("bigint").alias("_expected_points"),
    )


def expected_total() -> Column:
    return paid_now() + expected_surcharge(paid_now())
