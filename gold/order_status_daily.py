"""gold.order_status_daily: one row per market and local day with at least one order.

Open orders are as old as the market's last order date says: the exports do not tell when they were made.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import days_between, share

AGE_CLASS = """case
    when age_days <= 1 then '0-1' when age_days <= 3 then '2-3' when age_days <= 7 then '4-7'
    when age_days <= 30 then '8-30' else 'over 30' end"""


def build(gold_daily_sales: DataFrame) -> DataFrame:
    as_of = F.max("order_date").over(Window.partitionBy("market"))
    days = gold_daily_sales.withColumn("as_of", as_of).withColumn("age_days", days_between("order_date", "as_of"))
    return days.select(
        "market",
        "order_date",
        "as_of",
        "age_days",
        F.expr(AGE_CLASS).alias("age_class"),
        "currency",
        # counts
        "orders",
        "completed_orders",
        "cancelled_orders",
        "open_orders",
        share(F.col("completed_orders"), F.col("orders")).alias("completed_share"),
        share(F.col("cancelled_orders"), F.col("orders")).alias("cancelled_share"),
        # amounts
        "cancelled_value",
        "open_value",
    )
