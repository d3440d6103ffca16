"""A peer of bench_stream: Spark Structured Streaming appends a topic to Delta on S3, by `foreachBatch`.

An id counts once, by a look at all ids of the days concerned. A batch that is done again writes its rows again.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from delta.tables import DeltaTable
from pyspark.sql import functions as F

from lakehouse.engines.spark import jvm

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TOPIC, AT_ONCE = "events", 400_000
FIELDS = ("event_id", "event_datetime", "event_name", "user_id", "platform", "product_name", "sku")


def main(root: str) -> None:
    spark = jvm.start(long=True)
    servers = os.environ["KAFKA_SERVERS"]

    def take(raw: DataFrame, _: int) -> None:
        raw = raw.select("partition", "offset", "value").persist()
        raw.write.format("delta").mode("append").save(f"{root}/bronze")
        said = F.from_json(F.col("value").cast("string"), ", ".join(f"{one} string" for one in FIELDS))
        rows = raw.select("partition", "offset", said.alias("said")).select("partition", "offset", "said.*")
        at = F.try_to_timestamp("event_datetime", F.lit("yyyy-MM-dd'T'HH:mm:ssX"))
        rows = rows.withColumn("event_datetime", at).withColumn("event_date", F.to_date("event_datetime"))
        is_right = F.col("event_name").isin("view", "click", "purchase") & F.col("event_date").isNotNull()
        right = rows.where(is_right).dropDuplicates(["event_id"])
        if DeltaTable.isDeltaTable(spark, f"{root}/silver"):
            known = spark.read.format("delta").load(f"{root}/silver")
            right = right.join(known.select("event_id", "event_date"), on=["event_id", "event_date"], how="left_anti")
        right.write.format("delta").mode("append").partitionBy("event_date").save(f"{root}/silver")
        raw.unpersist()

    topic = spark.readStream.format("kafka").option("kafka.bootstrap.servers", servers).option("subscribe", TOPIC)
    topic = topic.option("startingOffsets", "earliest").option("maxOffsetsPerTrigger", AT_ONCE)
    stream = topic.load().writeStream.foreachBatch(take).option("checkpointLocation", f"{root}/checkpoint")
    stream.trigger(availableNow=True).start().awaitTermination()
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1].replace("s3://", "s3a://"))
