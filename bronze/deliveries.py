"""bronze.deliveries: one row per row of a delivered delivery export.

A row is an item of a task, not a task. Rows that unquoted commas made too long are kept with their raw text in `_raw`.
"""

from pyspark.sql import DataFrame


def build(landing: DataFrame) -> DataFrame:
    return landing
