"""silver.order_lines: one row per line of an order.

Times in the export are the market's wall clock, although they are stamped Z. `Consumed Loyalty Points` are earned.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import (
    are_hours_certain,
    begin_of,
    exact_decimal,
    facts_of_today,
    first_day,
    local_to_utc,
    spelled_alike,
    wall_clock,
    whole_number,
)

NUMBERS = (
    "quantity", "unit_price", "cost_price", "total_price", "total_cost_price", "order_total", "sub_total",
    "commission_amount", "redeemed_loyalty_points", "consumed_loyalty_points", "flat_discount",
)  # fmt: skip
CLOCKS = ("order_time", "pickup_time", "delivery_time")


def build(bronze_orders: DataFrame, conf_markets: DataFrame) -> DataFrame:
    facts = facts_of_today(
        conf_markets,
        "time_zone",
        "currency",
        F.col("currency_sign").alias("_market_sign"),
        F.col("largest_amount").alias("_largest_amount"),
        first_day(conf_markets),
    )
    zone = F.col("time_zone")
    rows = spelled_alike(bronze_orders, conf_markets, numbers=NUMBERS, clocks=CLOCKS)
    lines = rows.withColumns({name: wall_clock(name) for name in CLOCKS})
    return lines.join(facts, on="market", how="left").select(
        # ids
        "market",
        whole_number("order_id").alias("order_id"),
        whole_number("customer_id").alias("customer_id"),
        "merchant_id",
        "sku",
        # attributes
        "category_name",
        "order_status",
        "payment_method",
        "currency",
        F.col("description").alias("customer_note"),
        F.col("reviews").alias("review"),
        # amounts
        whole_number("quantity", "int").alias("quantity"),
        exact_decimal("unit_price", 18, 2).alias("unit_price"),
        exact_decimal("cost_price", 18, 2).alias("unit_cost"),
        exact_decimal("total_price", 18, 2).alias("line_total"),
        exact_decimal("total_cost_price", 18, 2).alias("line_cost"),
        exact_decimal("order_total", 18, 2).alias("order_total"),
        exact_decimal("sub_total", 18, 2).alias("sub_total"),
        exact_decimal("commission_amount", 18, 2).alias("commission"),
        whole_number("redeemed_loyalty_points").alias("redeemed_points"),
        whole_number("consumed_loyalty_points").alias("earned_points"),
        whole_number("ratings", "int").alias("rating"),
        # times
        local_to_utc(F.col("order_time"), zone).alias("ordered_at"),
        F.to_date("order_time").alias("order_date"),
        local_to_utc(F.col("pickup_time"), zone).alias("pickup_at"),
        local_to_utc(F.col("delivery_time"), zone).alias("promised_at"),
        # for rules and evidence
        F.col("currency_symbol").alias("_currency_sign"),
        F.col("flat_discount").alias("_flat_discount"),
        "_are_numbers_certain",
        "_are_days_certain",
        are_hours_certain(conf_markets, zone, *CLOCKS).alias("_are_hours_certain"),
        "_market_sign",
        "_largest_amount",
        begin_of("_first_day", zone).alias("_opened_at"),
        "_delivered_at",
        "_source",
    )
