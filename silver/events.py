"""silver.events: one row per event that a message of the topic says, the first of those that say the same id.

A field that a message lacks is null. What a day is goes by UTC, as the senders' clocks are anywhere.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import instant


def build(bronze_events: DataFrame) -> DataFrame:
    happened_at = instant("event_datetime")
    return bronze_events.select(
        # ids
        "event_id",
        "user_id",
        "sku",
        # attributes
        "event_name",
        "platform",
        "product_name",
        # times
        happened_at.alias("event_datetime"),
        F.to_date(happened_at).alias("event_date"),
        # for rules and evidence
        "_ingested_at",
        "_source",
    )
