"""silver.store_installs: one row per store and interval in which it had the app.

Most delivered intervals that follow another begin on the very day on which it ended: an app that was removed and
installed again on one day was there on each day.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import FOREVER, numbered_runs, store_days

INSTALL = ["store_id", "run"]


def build(silver_stores: DataFrame, conf_stores: DataFrame) -> DataFrame:
    installs = runs_of_days(silver_stores).crossJoin(F.broadcast(conf_stores))
    next_date = F.nullif("next_date", F.lit(FOREVER).cast("date"))
    return installs.select(
        # ids
        "store_id",
        F.col("run").alias("install_number"),
        # attributes
        "start_type",
        "end_type",
        # counts
        "delivered_intervals",
        # times
        begin_of_day(F.col("installed_date")).alias("installed_at"),
        begin_of_day(next_date).alias("uninstalled_at"),
        "installed_date",
        F.date_sub(next_date, 1).alias("uninstalled_date"),
    )


def runs_of_days(stores: DataFrame) -> DataFrame:
    next_date = F.coalesce(F.date_add("last_date", 1), F.lit(FOREVER).cast("date"))
    days = store_days(stores).withColumn("next_date", next_date)
    # types of the first and of the last of a run, and of several such always the same
    begin = F.concat_ws("|", F.col("first_date").cast("string"), "start_type")
    end = F.concat_ws("|", F.col("next_date").cast("string"), "end_type")
    return (
        numbered_runs(days, ["store_id"], "first_date", "next_date")
        .groupBy(*INSTALL)
        .agg(
            F.min_by("start_type", begin).alias("start_type"),
            F.max_by("end_type", end).alias("end_type"),
            F.count("*").alias("delivered_intervals"),
            F.min("first_date").alias("installed_date"),
            F.max("next_date").alias("next_date"),
        )
    )


def begin_of_day(day: Column) -> Column:
    """Of a midnight that the clock skipped, the moment at which it went on."""
    return F.to_utc_timestamp(day.cast("timestamp"), F.col("time_zone"))
