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
    orders = counted_orders(completed, limits)
    facts = F.broadcast(facts_of_markets(orders).join(limits, on="market", how="inner"))
    sold = completed.where("sku is not null").select("market", "order_id", "sku").distinct()
    large = orders.where("lines > largest_basket").select("market", "order_id")
    baskets = sold.join(F.broadcast(large), on=["market", "order_id"], how="left_anti")
    products = baskets.groupBy("market", "sku").agg(F.count("*").alias("orders_with_sku"))
    # A pair is not more frequent than its products: those of rare ones are left out before pairs are made.
    common = products.join(facts, on="market", how="inner").where(is_enough("orders_with_sku"))
    candidates = sold.join(F.broadcast(common.select("market", "sku")), on=["market", "sku"], how="left_semi")
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


def counted_orders(completed: DataFrame, limits: DataFrame) -> DataFrame:
    counts = {"lines": F.count("*"), "lines_with_sku": F.count("sku")}
    orders = completed.groupBy("market", "order_id").agg(*(count.alias(name) for name, count in counts.items()))
    return orders.join(F.broadcast(limits.select("market", "largest_basket")), on="market", how="inner")


def facts_of_markets(orders: DataFrame) -> DataFrame:
    """From orders, not from baskets: to make those takes three times as long."""
    is_large = F.col("lines") > F.col("largest_basket")
    return orders.groupBy("market").agg(
        F.count_if(~is_large & (F.col("lines_with_sku") > 0)).alias("market_orders"),
        F.count_if(is_large).alias("larger_orders"),
    )


def is_enough(orders: str) -> str:
    """A share alone would take half an order of sixty for enough."""
    return f"{orders} >= minimum_support * market_orders and {orders} >= minimum_orders"


def counted_pairs(candidates: DataFrame, baskets: DataFrame) -> DataFrame:
    """Each candidate with itself too, and with others that may be none: these have too few orders together.

    Of `candidates` those of orders that are too large are still there; `baskets` has none of them.
    """
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
