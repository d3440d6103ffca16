"""silver.sales: one row per order line, with its order, customer and delivery.

An order can have several tasks, so tasks are summed per order first: a join on tasks would repeat lines.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import deliveries_of_orders


def build(
    silver_order_lines: DataFrame, silver_orders: DataFrame, silver_customers: DataFrame, silver_deliveries: DataFrame
) -> DataFrame:
    lines = silver_order_lines.select(
        "market", "order_id", "line_number", "sku", "category_name",
        "quantity", "unit_price", "unit_cost", "line_total", "line_cost",
    )  # fmt: skip
    orders = silver_orders.select(
        "market", "order_id", "customer_id", "order_status", "payment_method", "currency",
        "order_total", "ordered_at", "order_date", "promised_at",
    )  # fmt: skip
    customers = silver_customers.select("market", "customer_id", "last_used_platform", "is_blocked")
    sales = (
        lines.join(orders, on=["market", "order_id"], how="inner")
        .join(customers.withColumn("known", F.lit(True)), on=["market", "customer_id"], how="left")  # noqa: FBT003
        .join(deliveries_of_orders(silver_deliveries), on=["market", "order_id"], how="left")
    )
    return sales.select(
        # ids
        "market",
        "order_id",
        "line_number",
        "customer_id",
        "sku",
        # attributes
        "category_name",
        "order_status",
        "payment_method",
        "currency",
        F.col("last_used_platform").alias("customer_platform"),
        F.col("known").isNotNull().alias("is_customer_known"),
        F.col("is_blocked").alias("is_customer_blocked"),
        "delivery_status",
        # amounts
        "quantity",
        "unit_price",
        "unit_cost",
        "line_total",
        "line_cost",
        (F.col("line_total") - F.col("line_cost")).cast("decimal(18,2)").alias("line_margin"),
        "order_total",
        F.coalesce("delivery_tasks", F.lit(0)).cast("bigint").alias("delivery_tasks"),
        "delivery_distance_m",
        # times
        "ordered_at",
        "order_date",
        "promised_at",
    )
