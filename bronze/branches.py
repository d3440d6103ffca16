"""bronze.branches: one row per row of a delivered list of branches, as delivered.

A branch has several rows where departments call it differently: silver.branches says which name counts.
"""

from pyspark.sql import DataFrame


def build(landing: DataFrame) -> DataFrame:
    return landing
