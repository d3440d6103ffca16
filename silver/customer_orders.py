"""silver.customer_orders: one row per order, with its place in its customer's life.

New and repeat business cannot be told from a day's orders alone: it is decided here, per customer. First is first in
the delivered exports: of older orders they know nothing.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import days_between, month_start

CUSTOMER = ("market", "customer_id")


def build(silver_orders: DataFrame) -> DataFrame:
    customer = Window.partitionBy(*CUSTOMER)
    life = customer.orderBy("ordered_at", "order_id")
    so_far, before = life.rowsBetween(Window.unboundedPreceding, 0), life.rowsBetween(Window.unboundedPreceding, -1)
    completed = F.col("order_status") == "COMPLETED"
    completed_date = F.when(completed, F.col("order_date"))
    previous_completed = F.last(completed_date, ignorenulls=True).over(before)
    return silver_orders.select(
        # ids
        *CUSTOMER,
        "order_id",
        # attributes
        "order_status",
        "currency",
        # amounts
        "order_total",
        "line_margin",
        # its place in the customer's life
        F.row_number().over(life).cast("bigint").alias("order_number"),
        F.when(completed, F.count_if(completed).over(so_far)).alias("completed_number"),
        days_between(F.lag("order_date").over(life), "order_date").alias("days_since_previous"),
        F.when(completed, days_between(previous_completed, "order_date")).alias("days_since_previous_completed"),
        month_start(F.min(completed_date).over(customer)).alias("cohort_month"),
        # times
        "ordered_at",
        "order_date",
        "order_hour",
    )
