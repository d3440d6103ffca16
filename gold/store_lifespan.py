"""gold.store_lifespan: one row per store that ever had the app.

What still goes on lasts until the last day of which the histories know anything: no clock says how old an export is.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import days_between, store_days, whole_sum


def build(
    silver_stores: DataFrame,
    silver_store_installs: DataFrame,
    silver_store_subscriptions: DataFrame,
    conf_stores: DataFrame,
) -> DataFrame:
    as_of = last_known_day(silver_stores, silver_store_subscriptions)
    known = silver_store_installs.crossJoin(F.broadcast(as_of))
    last = F.coalesce("uninstalled_date", "as_of")
    lives = (
        known.withColumns({"last": last, "days": days_between("installed_date", last) + 1})
        .groupBy("store_id")
        .agg(
            F.max("as_of").alias("as_of"),
            F.min("installed_date").alias("first_installed_date"),
            F.max("last").alias("last"),
            F.max("uninstalled_date").alias("last_uninstalled_date"),
            (F.count("*") > F.count("uninstalled_date")).alias("is_installed"),
            F.count("*").alias("installs"),
            whole_sum("days").alias("lifespan_days"),
        )
    )
    last_installed = F.when(~F.col("is_installed"), F.col("last_uninstalled_date"))
    published_until = F.coalesce(last_installed, "published_as_of")
    span = days_between("first_installed_date", "last") + 1
    return lives.crossJoin(F.broadcast(conf_stores)).select(
        "store_id",
        "as_of",
        # as it is
        "first_installed_date",
        last_installed.alias("last_installed_date"),
        "is_installed",
        "installs",
        "lifespan_days",
        (span - F.col("lifespan_days")).alias("away_days"),
        # as published
        F.col("first_installed_date").alias("published_from_date"),
        published_until.alias("published_until_date"),
        days_between("first_installed_date", published_until).alias("published_lifespan_days"),
    )


def last_known_day(stores: DataFrame, subscriptions: DataFrame) -> DataFrame:
    """`as_of`: on which something begins or ends; what goes on may have been installed again since it began."""
    of_installs = store_days(stores).agg(F.max(F.coalesce("last_date", "first_date")).alias("of_installs"))
    of_others = subscriptions.agg(F.max(F.coalesce("ended_date", "started_date")).alias("of_others"))
    day = F.greatest("of_installs", F.coalesce("of_others", "of_installs"))
    return of_installs.crossJoin(of_others).select(day.alias("as_of"))
