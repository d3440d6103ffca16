"""gold.dim_product: one row per market, product and state of its names and price (slowly changing, type 2).

The two markets use different codes for the same things: a product is one market's. Without a product master, each
product that was ever ordered has one state.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import facts_of_today, key_of, product_code

PRODUCT = ["market", "sku"]


def build(
    gold_products: DataFrame,
    silver_product_states: DataFrame,
    silver_products: DataFrame,
    silver_sold_lines: DataFrame,
    conf_markets: DataFrame,
) -> DataFrame:
    states = silver_product_states.drop("currency").withColumnRenamed("category_name", "master_category")
    sold = silver_sold_lines.select("market", product_code().alias("sku")).distinct()
    exported = gold_products.select(*PRODUCT, "category_name", "last_price")
    ordered = sold.join(exported, on=PRODUCT, how="left").withColumn("is_ordered", F.lit(True))  # noqa: FBT003
    listed = silver_products.select(*PRODUCT, F.lit(True).alias("is_listed"))  # noqa: FBT003
    every = states.join(ordered, on=PRODUCT, how="full").join(listed, on=PRODUCT, how="left")
    return every.join(facts_of_today(conf_markets, "currency"), on="market", how="left").select(
        F.coalesce("product_key", key_of(*PRODUCT)).alias("product_key"),
        *PRODUCT,
        F.col("is_ordered").isNotNull().alias("is_ordered"),
        F.col("is_listed").isNotNull().alias("is_listed"),
        "product_name",
        F.coalesce("master_category", "category_name").alias("category_name"),
        "currency",
        "list_price",
        "last_price",
        "valid_from",
        "valid_to",
        F.col("valid_to").isNull().alias("is_current"),
        F.coalesce("version", F.lit(1)).alias("version"),
    )
