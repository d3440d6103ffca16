"""silver.products: one row per product of the master, as the newest right delivery says.

A product that was ever ordered need not be here, nor one here ever have been ordered.
"""

from pyspark.sql import DataFrame

from lakehouse.transforms import product_facts


def build(bronze_products: DataFrame, conf_markets: DataFrame) -> DataFrame:
    return product_facts(bronze_products, conf_markets).select(
        "market",
        "sku",
        "product_name",
        "category_name",
        "currency",
        "list_price",
        "_are_numbers_certain",
        "_largest_amount",
        "_source",
    )
