"""gold.dim_product: one row per market and product that was ever ordered, as its newest line says.

The two markets use different codes for the same things: a product is one market's.
"""

from pyspark.sql import DataFrame

from lakehouse.transforms import key_of


def build(gold_products: DataFrame) -> DataFrame:
    return gold_products.select(
        key_of("market", "sku").alias("product_key"), "market", "sku", "category_name", "currency", "last_price"
    )
