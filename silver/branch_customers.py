"""silver.branch_customers: one row per branch and customer of its list.

A customer of several branches has a row of each, and they need not agree.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import calendar_day, export_time, facts_of_today, spelled_alike, stripped, whole_number


def build(bronze_branch_customers: DataFrame, conf_markets: DataFrame) -> DataFrame:
    facts = facts_of_today(conf_markets, F.col("currency").alias("_currency"))
    rows = spelled_alike(bronze_branch_customers, conf_markets, instants=["updated_at"], days=["registered_on"])
    return rows.join(facts, on="market", how="left").select(
        "market",
        whole_number("branch_id").alias("branch_id"),
        whole_number("customer_id").alias("customer_id"),
        F.coalesce(F.lower(stripped("segment")), F.lit("(none)")).alias("segment"),
        calendar_day("registered_on").alias("registered_on"),
        export_time("updated_at").alias("updated_at"),
        # for rules and evidence
        "_are_days_certain",
        "_currency",
        "_source",
    )
