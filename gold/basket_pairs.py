"""gold.basket_pairs: one row per market and pair of products that stand together in enough completed orders.

A product that stands on two lines of an order is in that order once. The whole catalogue as one order has a million
pairs and says nothing of what goes together: orders above the market's largest basket take no part, in any count.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import quotient, share

PLACES = 6


def build(silver_sales: DataFrame, conf_baskets: DataFrame) -> DataFrame:
    limits = conf_baskets.select(
        "market", F.col("minimum_support").cast("decimal(18,6)"), "minimum_orders", "largest_basket"
    )
    completed = silver_sales.where("order_status = 'COMPLETED'")
    large = larger_orders(completed, limits)
    sold = completed.where("sku is not null").select("market", "order_id", "sku").distinct()
    baskets = sold.join(F.broadcast(large), on=["market", "order_id"], how="left_anti")
    markets = baskets.groupBy("market").agg(F.count_distinct("order_id").alias("market_orders"))
    products = baskets.groupBy("market", "sku").agg(F.count("*").alias("orders_with_sku"))
    left_out = large.groupBy("market").agg(F.count("*").alias("larger_orders"))
    facts = F.broadcast(
        markets.join(limits, on="market", how="inner").join(left_out, on="market", how="left").na.fill(0)
    )
    # A pair is not more frequent than its products: those of rare ones are left out before pairs are made.
    common = products.join(facts, on="market", how="inner").where(is_enough("orders_with_sku"))
    candidates = baskets.join(F.broadcast(common.select("market", "sku")), on=["market", "sku"], how="left_semi")
    counted = with_counts_of_each(counted_pairs(candidates, baskets))
    known = counted.where("sku <> other_sku").join(facts, on="market", how="inner").where(is_enough("orders_together"))
    together, market_orders = F.col("orders_together").cast("decimal(18,0)"), F.col("market_orders")
    by_chance = F.col("orders_with_sku").cast("decimal(12,0)") * F.col("orders_with_other").cast("decimal(12,0)")
    return known.select(
        "market",
        "sku",
        "other_sku",
        "orders_together",
        "orders_with_sku",
        "orders_with_other",
        "market_orders",
        share(together, market_orders, PLACES).alias("support"),
        share(together, F.col("orders_with_sku"), PLACES).alias("confidence"),
        share(together, F.col("orders_with_other"), PLACES).alias("reverse_confidence"),
        quotient(together * market_orders, by_chance, PLACES).alias("lift"),
        "minimum_support",
        "larger_orders",
    )


def larger_orders(completed: DataFrame, limits: DataFrame) -> DataFrame:
    orders = completed.groupBy("market", "order_id").agg(F.count("*").alias("lines"))
    known = orders.join(F.broadcast(limits), on="market", how="inner")
    return known.where("lines > largest_basket").select("market", "order_id")


def is_enough(orders: str) -> str:
    """A share alone would take half an order of sixty for enough."""
    return f"{orders} >= minimum_support * market_orders and {orders} >= minimum_orders"


def counted_pairs(candidates: DataFrame, baskets: DataFrame) -> DataFrame:
    """Each candidate with itself too, and with others that may be none: these have too few orders together."""
    others = baskets.withColumnRenamed("sku", "other_sku")
    both = candidates.join(others, on=["market", "order_id"], how="inner").where("sku <= other_sku")
    return both.groupBy("market", "sku", "other_sku").agg(F.count("*").alias("orders_together"))


def with_counts_of_each(pairs: DataFrame) -> DataFrame:
    """In how many orders a product is stands on its pair with itself: no basket is looked at again."""
    own = F.when(F.col("sku") == F.col("other_sku"), F.col("orders_together"))
    by_sku, by_other = Window.partitionBy("market", "sku"), Window.partitionBy("market", "other_sku")
    return pairs.withColumns(
        {"orders_with_sku": F.max(own).over(by_sku), "orders_with_other": F.max(own).over(by_other)}
    )
