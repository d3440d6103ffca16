"""gold.price_changes: one row per line of an order on which a product's unit price differs from the line before.

Lines of cancelled orders count: the price was asked all the same.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import share


def build(silver_sales: DataFrame) -> DataFrame:
    product = Window.partitionBy("market", "sku").orderBy("ordered_at", "order_id", "line_number")
    sold = silver_sales.where("sku is not null")
    prices = sold.groupBy("market", "sku").agg(
        F.min("unit_price").alias("lowest"), F.max("unit_price").alias("highest")
    )
    # Most products never change their price, and to put all their lines in order is what costs.
    changing = F.broadcast(prices.where("lowest <> highest").select("market", "sku"))
    lines = sold.join(changing, on=["market", "sku"], how="left_semi").withColumn(
        "previous_price", F.lag("unit_price").over(product)
    )
    change = (F.col("unit_price") - F.col("previous_price")).cast("decimal(18,2)")
    return lines.where("unit_price <> previous_price").select(
        "market",
        "sku",
        "order_id",
        "line_number",
        F.col("ordered_at").alias("changed_at"),
        "order_date",
        "currency",
        "previous_price",
        F.col("unit_price").alias("price"),
        change.alias("price_change"),
        share(change, F.col("previous_price")).alias("price_change_share"),
        F.row_number().over(product).cast("bigint").alias("change_number"),
    )
