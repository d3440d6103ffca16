"""A peer of bench_stream: confluent-kafka and Polars append a topic to Delta on S3, as one would write it in an hour.

An id counts once, by a look at all ids of the days concerned. Where it was is not remembered, so no crash is survived.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import polars as pl
from confluent_kafka import Consumer, TopicPartition
from deltalake import DeltaTable

TOPIC, AT_ONCE = "events", 400_000
FIELDS = ("event_id", "event_datetime", "event_name", "user_id", "platform", "product_name", "sku")
S3 = {name: os.environ[name] for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
S3 |= {"AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1", "aws_conditional_put": "etag"}


def main(root: str) -> None:
    asked = Consumer({"bootstrap.servers": os.environ["KAFKA_SERVERS"], "group.id": "polars"})
    numbers = list(asked.list_topics(TOPIC).topics[TOPIC].partitions)
    ends = {one: asked.get_watermark_offsets(TopicPartition(TOPIC, one))[1] for one in numbers}
    asked.assign([TopicPartition(TOPIC, one, 0) for one in numbers])
    left = sum(ends.values())
    while left:
        came: list[Any] = []
        while len(came) < min(left, AT_ONCE):
            came += asked.consume(20_000, 0.1)
        left -= len(came)
        take(root, came)


def take(root: str, came: list[Any]) -> None:
    raw = pl.DataFrame(
        {
            "partition": [one.partition() for one in came],
            "offset": [one.offset() for one in came],
            "value": [one.value() for one in came],
        }
    )
    raw.write_delta(f"{root}/bronze", mode="append", storage_options=S3)
    said = pl.col("value").cast(pl.String).str.json_decode(pl.Struct(dict.fromkeys(FIELDS, pl.String)))
    at = pl.col("event_datetime").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC", strict=False)
    rows = raw.select("partition", "offset", said.alias("said")).unnest("said").with_columns(event_datetime=at)
    rows = rows.with_columns(event_date=pl.col("event_datetime").dt.date())
    right = rows.filter(pl.col("event_name").is_in(["view", "click", "purchase"]), pl.col("event_date").is_not_null())
    right = right.unique("event_id", keep="first", maintain_order=True)
    if DeltaTable.is_deltatable(f"{root}/silver", storage_options=S3):
        days = right["event_date"].unique().to_list()
        known = pl.scan_delta(f"{root}/silver", storage_options=S3).filter(pl.col("event_date").is_in(days))
        right = right.join(known.select("event_id").collect(), on="event_id", how="anti")
    how = {"partition_by": ["event_date"]}
    right.write_delta(f"{root}/silver", mode="append", storage_options=S3, delta_write_options=how)


if __name__ == "__main__":
    main(sys.argv[1])
