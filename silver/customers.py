"""silver.customers: one row per customer.

`Created At` really is UTC, unlike the times of orders.
"""

from pyspark.sql import DataFrame

from lakehouse.transforms import customer_facts


def build(bronze_customers: DataFrame, conf_markets: DataFrame) -> DataFrame:
    return customer_facts(bronze_customers, conf_markets).select(
        "market",
        "customer_id",
        "last_used_platform",
        "language",
        "is_blocked",
        "outstanding_amount",
        "loyalty_points",
        "number_of_employees",
        "created_at",
        "_are_numbers_certain",
        "_are_days_certain",
        "_currency",
        "_opened_at",
        "_source",
    )
