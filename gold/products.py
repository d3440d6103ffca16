"""gold.products: one row per market and product that was ever ordered.

Points and the surcharge for paying later are the order's; sharing them out over lines would invent numbers.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import product_code, share, sum_where

PRODUCT = ("market", "sku")


def build(silver_sales: DataFrame) -> DataFrame:
    completed = F.col("order_status") == "COMPLETED"
    is_costed = completed & F.col("line_cost").isNotNull()
    place = F.struct("ordered_at", "order_id", "line_number")
    with_category = F.when(F.col("category_name").isNotNull(), place)
    lines = silver_sales.withColumn("sku", product_code())
    products = lines.groupBy(*PRODUCT, "currency").agg(
        F.max_by("category_name", with_category).alias("category_name"),
        # counts
        F.count_distinct("order_id").alias("orders"),
        F.count_distinct(F.when(completed, F.col("order_id"))).alias("completed_orders"),
        F.count_distinct(F.when(completed, F.col("customer_id"))).alias("customers"),
        F.sum(F.when(completed, F.col("quantity")).otherwise(0)).alias("completed_units"),
        # amounts
        sum_where(completed, "line_total").alias("gross_revenue"),
        sum_where(is_costed, "line_cost").alias("cost"),
        sum_where(is_costed, "line_margin").alias("margin"),
        sum_where(is_costed, "line_total").alias("costed_revenue"),
        F.count_if(completed & F.col("line_cost").isNull()).alias("lines_without_cost"),
        # prices
        F.min_by("unit_price", place).alias("first_price"),
        F.max_by("unit_price", place).alias("last_price"),
        F.min("unit_price").alias("lowest_price"),
        F.max("unit_price").alias("highest_price"),
        # times
        F.min(F.when(completed, F.col("ordered_at"))).alias("first_sold_at"),
        F.max(F.when(completed, F.col("ordered_at"))).alias("last_sold_at"),
    )
    return products.select(
        *PRODUCT,
        "category_name",
        "currency",
        # counts
        "orders",
        "completed_orders",
        "customers",
        "completed_units",
        # amounts
        "gross_revenue",
        "cost",
        "margin",
        share(F.col("margin"), F.col("costed_revenue")).alias("margin_share"),
        "lines_without_cost",
        # prices
        "first_price",
        "last_price",
        "lowest_price",
        "highest_price",
        # times
        "first_sold_at",
        "last_sold_at",
    )
