"""bronze.branch_customers: one row per row of a delivered list of a branch's customers, as delivered.

Each branch keeps its own list, so one customer stands in several, and not always as the same.
"""

from pyspark.sql import DataFrame


def build(landing: DataFrame) -> DataFrame:
    return landing
