"""bronze.branch_transactions: one row per line of a receipt in a delivered export of branches' tills.

Each branch numbers its receipts for itself, so only branch and number together name one.
"""

from pyspark.sql import DataFrame


def build(landing: DataFrame) -> DataFrame:
    return landing
