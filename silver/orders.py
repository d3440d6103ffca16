"""silver.orders: one row per order.

The export has no order row: these are the header facts of the first line, checked against the others. That line is
found by a join: whole lines in an aggregate cost ten times as much (270,000 lines on Sail: 2.1 s, now 0.2).
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import expected_surcharge, paid_now, row_hash, with_facts

ORDER = ["market", "order_id"]
HEADER = (
    "customer_id", "merchant_id", "order_status", "payment_method", "currency", "customer_note", "review",
    "order_total", "sub_total", "commission", "redeemed_points", "earned_points", "rating", "ordered_at", "order_date",
    "pickup_at", "promised_at",
)  # fmt: skip


def build(silver_order_lines: DataFrame, conf_markets: DataFrame, conf_baskets: DataFrame) -> DataFrame:
    header = row_hash(*HEADER)
    orders = silver_order_lines.groupBy(*ORDER).agg(
        F.min("line_number").alias("line_number"),
        (F.min(header) == F.max(header)).alias("_one_header"),
        F.count("*").alias("line_count"),
        F.sum("quantity").alias("units"),
        F.coalesce(F.sum(F.col("line_total") - F.col("line_cost")), F.lit(0)).alias("line_margin"),
    )
    lines = silver_order_lines.select(*ORDER, "line_number", *HEADER)
    first_lines = lines.join(orders, on=[*ORDER, "line_number"], how="inner")
    facts = ("point_value", "points_per", "pay_later_rate", "time_zone")
    largest = F.broadcast(conf_baskets.select("market", F.col("largest_basket").alias("_largest_basket")))
    known = with_facts(first_lines, conf_markets, "order_date", *facts).join(largest, on="market", how="left")
    return known.select(
        # ids
        "market",
        "order_id",
        "customer_id",
        "merchant_id",
        # attributes
        "order_status",
        "payment_method",
        "currency",
        "customer_note",
        "review",
        # amounts
        "order_total",
        "sub_total",
        "commission",
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
        "_one_header",
        expected_total().alias("_expected_total"),
        F.call_function("div", F.col("sub_total"), F.col("points_per")).alias("_expected_points"),
        "_largest_basket",
    )


def expected_total() -> Column:
    return paid_now() + expected_surcharge(paid_now())
