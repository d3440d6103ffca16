"""gold.agents: one row per market and rider who was given a task.

The exports write 0 for what they do not know; silver has null there, and here it is counted apart.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import average, kilometres, whole_sum


def build(silver_deliveries: DataFrame) -> DataFrame:
    named = F.when(F.col("agent_name").isNotNull(), F.col("task_id"))
    agents = (
        silver_deliveries.where("agent_id is not null")
        .groupBy("market", "agent_id")
        .agg(
            F.max_by("agent_name", named).alias("agent_name"),
            F.count("*").alias("tasks"),
            F.count_if(F.col("task_status") == "Completed").alias("completed_tasks"),
            F.count_if(F.col("task_status") == "Failed").alias("failed_tasks"),
            F.count("minutes").alias("tasks_with_minutes"),
            F.sum("minutes").cast("decimal(18,2)").alias("minutes"),
            F.count("distance_m").alias("tasks_with_distance"),
            whole_sum("distance_m").alias("metres"),
            F.count("rating").alias("ratings"),
            F.sum("rating").alias("stars"),
        )
    )
    distance = kilometres("metres")
    return agents.select(
        "market",
        "agent_id",
        "agent_name",
        "tasks",
        "completed_tasks",
        "failed_tasks",
        "tasks_with_minutes",
        (F.col("tasks") - F.col("tasks_with_minutes")).alias("tasks_without_minutes"),
        "minutes",
        average(F.col("minutes"), F.col("tasks_with_minutes")).alias("average_minutes"),
        "tasks_with_distance",
        (F.col("tasks") - F.col("tasks_with_distance")).alias("tasks_without_distance"),
        distance.alias("distance_km"),
        average(distance, F.col("tasks_with_distance")).alias("average_distance_km"),
        "ratings",
        (F.col("tasks") - F.col("ratings")).alias("tasks_without_rating"),
        average(F.col("stars"), F.col("ratings")).alias("average_rating"),
    )
