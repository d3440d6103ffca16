"""silver.conversations: one row per conversation with a customer.

It is delivered again when it is resolved; the newest right delivery says how it stands.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import begin_of, export_time, facts_of_today, first_day, spelled_alike, stripped, whole_number


def build(bronze_conversations: DataFrame, conf_markets: DataFrame) -> DataFrame:
    facts = facts_of_today(conf_markets, "time_zone", F.col("currency").alias("_currency"), first_day(conf_markets))
    opened_at, resolved_at, zone = export_time("opened_at"), export_time("resolved_at"), F.col("time_zone")
    rows = spelled_alike(bronze_conversations, conf_markets, instants=["opened_at", "resolved_at"])
    return rows.join(facts, on="market", how="left").select(
        # ids
        "market",
        whole_number("conversation_id").alias("conversation_id"),
        whole_number("branch_id").alias("branch_id"),
        whole_number("customer_id").alias("customer_id"),
        # attributes
        F.coalesce(F.lower(stripped("topic")), F.lit("(none)")).alias("topic"),
        F.lower(stripped("channel")).alias("channel"),
        # times
        opened_at.alias("opened_at"),
        F.to_date(F.from_utc_timestamp(opened_at, zone)).alias("opened_date"),
        resolved_at.alias("resolved_at"),
        F.to_date(F.from_utc_timestamp(resolved_at, zone)).alias("resolved_date"),
        # for rules and evidence
        "_are_days_certain",
        "_currency",
        begin_of("_first_day", zone).alias("_opened_at"),
        "_delivered_at",
        "_source",
    )
