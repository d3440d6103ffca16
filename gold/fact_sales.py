"""gold.fact_sales: one row per order line, with the keys of its day, its product and its customer.

The customer is the state that was valid when the order was placed, not the one of today.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import key_of, product_code

CUSTOMER = ["market", "customer_id"]


def build(silver_sales: DataFrame, gold_dim_customer: DataFrame) -> DataFrame:
    states = gold_dim_customer.select(*CUSTOMER, "customer_key", "valid_from", "valid_to")
    was_valid = F.expr(
        "(valid_from is null or ordered_at >= valid_from) and (valid_to is null or ordered_at < valid_to)"
    )
    lines = silver_sales.join(states, on=CUSTOMER, how="left").where(F.col("customer_key").isNull() | was_valid)
    return lines.select(
        key_of("market", "order_id", "line_number").alias("sales_key"),
        F.date_format("order_date", "yyyyMMdd").cast("int").alias("date_key"),
        key_of("market", product_code()).alias("product_key"),
        "customer_key",
        # ids
        "market",
        "order_id",
        "line_number",
        # attributes
        "order_status",
        (F.col("order_status") == "COMPLETED").alias("is_completed"),
        "payment_method",
        "currency",
        # amounts
        "quantity",
        "unit_price",
        "line_total",
        "line_cost",
        "line_margin",
    )
