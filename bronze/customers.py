"""bronze.customers: one row per object of a delivered customer export.

The two spellings of `Number of employees` fold to one column when the files are read.
"""

from pyspark.sql import DataFrame


def build(landing: DataFrame) -> DataFrame:
    return landing
