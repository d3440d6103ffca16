"""gold.delivery_times: one row per market and month of the order, and one per market for tasks without one.

Unknown minutes are left out: with the export's zeros half of all deliveries would seem to take no time. Percentiles are
found among the different minutes of a month: those of all tasks without an order would be ever more in one place.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import average, whole_sum

MONTH = ["market", "year_month"]


def build(silver_dated_deliveries: DataFrame) -> DataFrame:
    tasks = silver_dated_deliveries.where("task_type = 'Delivery' and task_status = 'Completed'")
    months = tasks.groupBy(*MONTH).agg(
        F.count("*").alias("tasks"),
        F.count("minutes").alias("tasks_with_minutes"),
        F.sum("minutes").alias("minutes"),
    )
    return months.join(percentiles(tasks), on=MONTH, how="left").select(
        "market",
        "year_month",
        "tasks",
        "tasks_with_minutes",
        (F.col("tasks") - F.col("tasks_with_minutes")).alias("tasks_without_minutes"),
        average(F.col("minutes"), F.col("tasks_with_minutes")).alias("average_minutes"),
        "p50_minutes",
        "p90_minutes",
        "p99_minutes",
        "longest_minutes",
    )


def percentiles(tasks: DataFrame) -> DataFrame:
    """Of each month with known minutes."""
    values = tasks.where("minutes is not null").groupBy(*MONTH, "minutes").agg(F.count("*").alias("tasks"))
    month = Window.partitionBy(*MONTH)
    so_far = month.orderBy("minutes").rowsBetween(Window.unboundedPreceding, 0)
    placed = values.withColumns({"not_above": whole_sum("tasks", so_far), "known": whole_sum("tasks", month)})
    return placed.groupBy(*MONTH).agg(
        percentile(50).alias("p50_minutes"),
        percentile(90).alias("p90_minutes"),
        percentile(99).alias("p99_minutes"),
        F.max("minutes").alias("longest_minutes"),
    )


def percentile(percent: int) -> Column:
    """The smallest minutes that at least so many of the known do not exceed."""
    return F.min(F.when(F.col("not_above") * 100 >= F.col("known") * percent, F.col("minutes")))
