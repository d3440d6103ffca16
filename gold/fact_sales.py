"""gold.fact_sales: one row per order line, with the keys of its day, its product and its customer.

Customer and product are the states that were valid when the order was placed, not those of today.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import key_of, product_code

CUSTOMER = ["market", "customer_id"]
PRODUCT = ["market", "sku"]


def build(silver_sold_lines: DataFrame, gold_dim_customer: DataFrame, silver_product_states: DataFrame) -> DataFrame:
    of_customers = with_state(silver_sold_lines, gold_dim_customer, CUSTOMER, "customer_key")
    lines = with_state(of_customers, silver_product_states, PRODUCT, "product_key")
    return lines.select(
        key_of("market", "order_id", "line_number").alias("sales_key"),
        F.date_format("order_date", "yyyyMMdd").cast("int").alias("date_key"),
        F.coalesce("product_key", key_of("market", product_code())).alias("product_key"),
        "customer_key",
        # ids
        "market",
        "order_id",
        "line_number",
        # attributes
        "taken_from",
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


def with_state(lines: DataFrame, states: DataFrame, of: list[str], key: str) -> DataFrame:
    """The lines with the key of the state that was valid when they were ordered; null where nothing has one."""
    known = states.select(*of, key, "valid_from", "valid_to")
    was_valid = F.expr(
        "(valid_from is null or ordered_at >= valid_from) and (valid_to is null or ordered_at < valid_to)"
    )
    found = lines.join(known, on=of, how="left").where(F.col(key).isNull() | was_valid)
    return found.drop("valid_from", "valid_to")
