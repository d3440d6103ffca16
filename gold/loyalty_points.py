"""gold.loyalty_points: one row per customer who earned or redeemed points, or has a balance.

`Consumed Loyalty Points` of the export are points earned; silver.orders calls them so.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import facts_of_today, points_value, share, sum_where, whole_sum, with_facts

CUSTOMER = ["market", "customer_id"]


def build(silver_orders: DataFrame, silver_customers: DataFrame, conf_markets: DataFrame) -> DataFrame:
    completed = F.col("order_status") == "COMPLETED"
    valued = with_facts(silver_orders, conf_markets, "order_date", "point_value").withColumn("value", points_value())
    of_orders = valued.groupBy(*CUSTOMER).agg(
        points("earned_points").alias("earned_points"),
        points("redeemed_points", completed).alias("redeemed_points"),
        sum_where(completed, "value").alias("redeemed_value"),
        points("redeemed_points", ~completed).alias("redeemed_on_other_orders"),
    )
    balances = silver_customers.select(*CUSTOMER, F.col("loyalty_points").alias("balance"))
    facts = facts_of_today(conf_markets, "currency")
    both = of_orders.join(balances, on=CUSTOMER, how="full").na.fill(
        0, subset=["earned_points", "redeemed_points", "redeemed_value", "redeemed_on_other_orders"]
    )
    some = both.where("earned_points <> 0 or redeemed_points <> 0 or redeemed_on_other_orders <> 0 or balance <> 0")
    return some.join(facts, on="market", how="left").select(
        *CUSTOMER,
        "currency",
        "earned_points",
        "redeemed_points",
        "redeemed_on_other_orders",
        "redeemed_value",
        "balance",
        share(F.col("redeemed_points"), F.col("earned_points")).alias("redeemed_share"),
    )


def points(name: str, condition: Column | None = None) -> Column:
    counted = F.col(name) if condition is None else F.when(condition, F.col(name))
    return F.coalesce(whole_sum(counted), F.lit(0))
