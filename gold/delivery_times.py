"""gold.delivery_times: one row per market and month of the order, and one per market for tasks without one.

Unknown minutes are left out: with the export's zeros half of all deliveries would seem to take no time.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import average, percentiles

MONTH = ["market", "year_month"]
PERCENTILES = {"p50_minutes": 50, "p90_minutes": 90, "p99_minutes": 99, "longest_minutes": 100}


def build(silver_dated_deliveries: DataFrame) -> DataFrame:
    tasks = silver_dated_deliveries.where("task_type = 'Delivery' and task_status = 'Completed'")
    months = tasks.groupBy(*MONTH).agg(
        F.count("*").alias("tasks"),
        F.count("minutes").alias("tasks_with_minutes"),
        F.sum("minutes").alias("minutes"),
    )
    return months.join(percentiles(tasks, MONTH, "minutes", PERCENTILES), on=MONTH, how="left").select(
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
