"""gold.delivery_times: one row per market and month of the order, and one per market for tasks without one.

Unknown minutes are left out: with the export's zeros half of all deliveries would seem to take no time.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import average


def build(silver_dated_deliveries: DataFrame) -> DataFrame:
    tasks = silver_dated_deliveries.where("task_type = 'Delivery' and task_status = 'Completed'")
    months = tasks.groupBy("market", "year_month").agg(
        F.count("*").alias("tasks"),
        F.count("minutes").alias("tasks_with_minutes"),
        F.sum("minutes").alias("minutes"),
        F.sort_array(F.collect_list("minutes")).alias("sorted_minutes"),
    )
    return months.select(
        "market",
        "year_month",
        "tasks",
        "tasks_with_minutes",
        (F.col("tasks") - F.col("tasks_with_minutes")).alias("tasks_without_minutes"),
        average(F.col("minutes"), F.col("tasks_with_minutes")).alias("average_minutes"),
        percentile(50).alias("p50_minutes"),
        percentile(90).alias("p90_minutes"),
        percentile(99).alias("p99_minutes"),
        percentile(100).alias("longest_minutes"),
    )


def percentile(percent: int) -> Column:
    """The value at place ceil(percent x n / 100), from 1; null where nothing is known."""
    place = F.call_function("div", F.col("tasks_with_minutes") * percent + 99, F.lit(100)).cast("int")
    return F.when(place > 0, F.get("sorted_minutes", place - 1))
