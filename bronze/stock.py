"""bronze.stock: one row per count of a product on a branch's shelves.

A count is of one day; what was there between two counts nobody knows.
"""

from pyspark.sql import DataFrame


def build(landing: DataFrame) -> DataFrame:
    return landing
