"""gold.delivery_daily: one row per market and local day of the order, and one per market for tasks without one.

Deliveries have no times of their own; the day is that on which the order was placed, not that of the delivery.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import share


def build(silver_dated_deliveries: DataFrame) -> DataFrame:
    succeeded, failed = F.col("task_status") == "Completed", F.col("task_status") == "Failed"
    cancelled = F.col("task_status").isin("Cancelled", "Declined")
    unassigned = F.col("task_status") == "Unassigned"
    is_known = F.col("order_status").isNotNull()
    agrees = is_known & is_as_the_order(succeeded, failed | cancelled)
    days = silver_dated_deliveries.groupBy("market", "day", "order_date").agg(
        F.count("*").alias("tasks"),
        F.count_if(succeeded).alias("completed_tasks"),
        F.count_if(failed).alias("failed_tasks"),
        F.count_if(cancelled).alias("cancelled_tasks"),
        F.count_if(unassigned).alias("unassigned_tasks"),
        F.count_if(F.col("task_status").isin("Assigned", "Accepted", "In Transit")).alias("under_way_tasks"),
        F.count_if(agrees).alias("agrees_with_order"),
        F.count_if(is_known & ~agrees).alias("disagrees_with_order"),
    )
    settled = F.col("completed_tasks") + F.col("failed_tasks")
    return days.select(
        "market",
        "day",
        "order_date",
        "tasks",
        "completed_tasks",
        "failed_tasks",
        "cancelled_tasks",
        "unassigned_tasks",
        "under_way_tasks",
        share(F.col("completed_tasks"), settled).alias("success_share"),
        "agrees_with_order",
        "disagrees_with_order",
    )


def is_as_the_order(succeeded: Column, given_up: Column) -> Column:
    completed, cancelled = (F.col("order_status") == status for status in ("COMPLETED", "CANCELLED"))
    return F.when(completed, succeeded).when(cancelled, given_up).otherwise(~succeeded & ~given_up)
