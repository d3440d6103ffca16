"""gold.category_daily: one row per market, local day and product category with at least one line.

An order of two categories is counted in both: orders are never to be summed over categories.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import share, sum_where

CATEGORY = ("market", "order_date", "category_name")


def build(silver_sales: DataFrame) -> DataFrame:
    completed = F.col("order_status") == "COMPLETED"
    is_costed = completed & F.col("line_cost").isNotNull()
    lines = silver_sales.withColumn("category_name", F.coalesce("category_name", F.lit("(none)")))
    categories = lines.groupBy(*CATEGORY, "currency").agg(
        F.count("*").alias("lines"),
        F.sum("quantity").alias("units"),
        F.count_distinct(F.when(completed, F.col("order_id"))).alias("completed_orders"),
        F.sum(F.when(completed, F.col("quantity")).otherwise(0)).alias("completed_units"),
        sum_where(completed, "line_total").alias("gross_revenue"),
        sum_where(is_costed, "line_margin").alias("margin"),
    )
    of_day = F.sum("gross_revenue").over(Window.partitionBy("market", "order_date"))
    return categories.select(
        *CATEGORY,
        "currency",
        "lines",
        "units",
        "completed_orders",
        "completed_units",
        "gross_revenue",
        "margin",
        share(F.col("gross_revenue"), of_day).alias("gross_revenue_share"),
    )
