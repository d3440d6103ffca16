"""gold.customer_metrics: one row per customer of silver.customers or of an order.

Most customers never ordered: an inner join would lose 87 % of them.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import average, deliveries_of_orders

CUSTOMER = ["market", "customer_id"]
ORDER = ["market", "order_id"]


def build(
    silver_customers: DataFrame, silver_orders: DataFrame, silver_order_lines: DataFrame, silver_deliveries: DataFrame
) -> DataFrame:
    customers = silver_customers.select(*CUSTOMER).unionByName(silver_orders.select(*CUSTOMER)).distinct()
    completed = silver_orders.where("order_status = 'COMPLETED'")
    amounts = order_amounts(completed.join(deliveries_of_orders(silver_deliveries), on=ORDER, how="left"))
    lines = silver_order_lines.drop("customer_id").join(completed.select(*ORDER, "customer_id"), on=ORDER, how="inner")
    products = lines.groupBy(*CUSTOMER).agg(F.count_distinct("sku").alias("distinct_products"))
    both = customers.join(amounts, on=CUSTOMER, how="left").join(products, on=CUSTOMER, how="left")
    kilometres = (F.col("metres").cast("decimal(18,0)") / 1000).cast("decimal(18,3)")
    return both.select(
        *CUSTOMER,
        # amounts
        "total_order_amount",
        average(F.col("total_order_amount"), F.col("order_count")).alias("average_order_amount"),
        "highest_order_amount",
        "lowest_order_amount",
        # counts
        F.coalesce("order_count", F.lit(0)).alias("order_count"),
        F.coalesce("units", F.lit(0)).alias("total_quantity_ordered"),
        average(F.col("units"), F.col("order_count")).alias("average_quantity_per_order"),
        kilometres.alias("total_delivery_distance_km"),
        average(kilometres, F.col("orders_with_distance")).alias("average_delivery_distance_km"),
        F.coalesce("distinct_products", F.lit(0)).alias("distinct_products"),
        # times
        "first_order_at",
        "last_order_at",
    )


def order_amounts(orders: DataFrame) -> DataFrame:
    return orders.groupBy(*CUSTOMER).agg(
        F.sum("order_total").cast("decimal(18,2)").alias("total_order_amount"),
        F.max("order_total").alias("highest_order_amount"),
        F.min("order_total").alias("lowest_order_amount"),
        F.count("*").alias("order_count"),
        F.sum("units").alias("units"),
        F.sum("delivery_distance_m").alias("metres"),
        F.count("delivery_distance_m").alias("orders_with_distance"),
        F.min("ordered_at").alias("first_order_at"),
        F.max("ordered_at").alias("last_order_at"),
    )
