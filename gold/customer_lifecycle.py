"""gold.customer_lifecycle: one row per customer of silver.customers or of an order.

Who orders every week is lost after a month, who orders twice a year is not: each is measured by its own rhythm.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import average, days_between, quotient

CUSTOMER = ["market", "customer_id"]
MICROSECONDS_OF_AN_HOUR = 3_600_000_000
# In whole days, exactly: since <= n x span / gaps, where the rhythm counts as at least a day.
LIFECYCLE = """case
    when orders is null then 'never_ordered'
    when orders = 1 then 'one_order'
    when days_since_last_order * (orders - 1) <= 2 * greatest(span, orders - 1) then 'active'
    when days_since_last_order * (orders - 1) <= 4 * greatest(span, orders - 1) then 'lapsing'
    else 'lost' end"""


def build(silver_customers: DataFrame, silver_customer_orders: DataFrame) -> DataFrame:
    registered = silver_customers.select(*CUSTOMER, F.col("created_at").alias("registered_at"))
    last_days = silver_customer_orders.groupBy("market").agg(F.max("order_date").alias("as_of"))
    lives = silver_customer_orders.groupBy(*CUSTOMER).agg(
        F.count("*").alias("orders"),
        F.min("ordered_at").alias("first_ordered_at"),
        F.min("order_date").alias("first_order_date"),
        F.max("order_date").alias("last_order_date"),
    )
    both = registered.join(lives, on=CUSTOMER, how="full").join(F.broadcast(last_days), on="market", how="left")
    counted = both.withColumns(
        {
            "span": days_between("first_order_date", "last_order_date"),
            "days_since_last_order": days_between("last_order_date", "as_of"),
        }
    )
    waited = F.unix_micros("first_ordered_at") - F.unix_micros("registered_at")
    return counted.select(
        *CUSTOMER,
        "as_of",
        # times
        "registered_at",
        "first_order_date",
        "last_order_date",
        # counts
        F.coalesce("orders", F.lit(0)).alias("orders"),
        quotient(waited, F.lit(MICROSECONDS_OF_AN_HOUR), 2).alias("hours_to_first_order"),
        average(F.col("span"), F.col("orders") - 1).alias("average_days_between_orders"),
        "days_since_last_order",
        F.expr(LIFECYCLE).alias("lifecycle"),
    )
