"""bronze.branch_prices: one row per row of a delivered price list of branches, as delivered.

It says what is to be charged; what was charged is on the receipts.
"""

from pyspark.sql import DataFrame


def build(landing: DataFrame) -> DataFrame:
    return landing
