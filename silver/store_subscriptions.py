"""silver.store_subscriptions: one row per store and subscription, an interval of one plan at one price.

What touches or overlaps is one only with the same plan and price. Ends are exclusive, unlike those of installs: most
changes of a plan begin at the very instant at which the one before ends.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import (
    FOREVER,
    exact_decimal,
    json_clock,
    json_objects,
    json_text,
    json_value,
    local_to_utc,
    numbered_runs,
)

PLAN = ["store_id", "plan_name", "price"]
A_SECOND = 1_000_000  # microseconds


def build(silver_stores: DataFrame, conf_stores: DataFrame) -> DataFrame:
    intervals = delivered(silver_stores, conf_stores)
    subscriptions = (
        numbered_runs(intervals, PLAN, "started_at", "until")
        .groupBy(*PLAN, "run")
        .agg(
            F.count("*").alias("delivered_intervals"),
            F.min("started_at").alias("started_at"),
            F.max("until").alias("until"),
        )
    )
    in_order = Window.partitionBy("store_id").orderBy("started_at", "plan_name", "price")
    before = F.max("until").over(in_order.rowsBetween(Window.unboundedPreceding, -1))
    ended_at = F.nullif("until", F.lit(FOREVER).cast("timestamp"))
    is_end_provisional = F.coalesce(F.pmod(F.unix_micros(ended_at), F.lit(A_SECOND)) > 0, F.lit(False))  # noqa: FBT003
    return subscriptions.crossJoin(F.broadcast(conf_stores)).select(
        # ids
        "store_id",
        F.row_number().over(in_order).cast("bigint").alias("subscription_number"),
        # attributes
        "plan_name",
        "currency",
        is_end_provisional.alias("is_end_provisional"),
        # amounts
        "price",
        # counts
        "delivered_intervals",
        # times
        "started_at",
        ended_at.alias("ended_at"),
        local_day(F.col("started_at")).alias("started_date"),
        local_day(ended_at).alias("ended_date"),
        # for rules
        F.coalesce(before > F.col("started_at"), F.lit(False)).alias("_overlaps"),  # noqa: FBT003
    )


def delivered(stores: DataFrame, conf_stores: DataFrame) -> DataFrame:
    one = F.col("subscription")
    objects = stores.select("store_id", F.explode(json_objects("subscription_history")).alias("subscription"))
    ended_at = at(one, "toDate")
    return objects.crossJoin(F.broadcast(conf_stores)).select(
        "store_id",
        json_text(one, "planName").alias("plan_name"),
        exact_decimal(json_value(one, "price"), 18, 2).alias("price"),
        at(one, "fromDate").alias("started_at"),
        F.coalesce(ended_at, F.lit(FOREVER).cast("timestamp")).alias("until"),
    )


def at(one: Column, key: str) -> Column:
    return local_to_utc(json_clock(one, key), F.col("time_zone"))


def local_day(instant: Column) -> Column:
    return F.to_date(F.from_utc_timestamp(instant, F.col("time_zone")))
