"""silver.branch_names: one row per name under which the newest right list has a branch.

A branch enters with all of its rows or not at all: one that is wrong may be the one whose name counts.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import (
    calendar_day,
    export_time,
    facts_of_today,
    spelled_alike,
    stripped,
    whole_number,
    with_market,
)


def build(bronze_branches: DataFrame, conf_markets: DataFrame) -> DataFrame:
    facts = facts_of_today(conf_markets, F.col("currency").alias("_currency"))
    rows = spelled_alike(
        with_market(bronze_branches), conf_markets, instants=["updated_at"], days=["opened_on", "closed_on"]
    )
    return rows.join(facts, on="market", how="left").select(
        "market",
        whole_number("branch_id").alias("branch_id"),
        stripped("branch_name").alias("branch_name"),
        stripped("city").alias("city"),
        calendar_day("opened_on").alias("opened_on"),
        calendar_day("closed_on").alias("closed_on"),
        export_time("updated_at").alias("updated_at"),
        # for rules and evidence
        "_are_days_certain",
        "_currency",
        "_source",
    )
