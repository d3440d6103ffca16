"""silver.product_versions: one row per product and day of delivery, as delivered then.

When a version was delivered is a part of its name, so that a later one does not take its place.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import product_facts


def build(bronze_products: DataFrame, conf_markets: DataFrame) -> DataFrame:
    return product_facts(bronze_products, conf_markets).select(
        "market",
        "sku",
        F.col("_delivered_at").alias("delivered_at"),
        "product_name",
        "category_name",
        "currency",
        "list_price",
        "_are_numbers_certain",
        "_largest_amount",
        "_source",
    )
