"""bronze.merchants: one row per merchant of a delivered list of merchants, from the shop's database or from a file.

Nobody has to deliver any.
"""

from pyspark.sql import DataFrame


def build(landing: DataFrame) -> DataFrame:
    return landing
