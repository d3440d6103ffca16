"""gold.store_activity_daily: one row per local day from the first install to the last day with any change.

Who has the app on a day follows from what began until then and what ended before: no store is looked at day by day.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import every_day, store_days, whole_sum

DAY = "activity_date"


def build(silver_stores: DataFrame, silver_store_installs: DataFrame) -> DataFrame:
    begun = silver_store_installs.groupBy(F.col("installed_date").alias(DAY)).agg(
        F.count_if(F.col("install_number") == 1).alias("new_stores"),
        F.count_if(F.col("install_number") > 1).alias("reactivated_stores"),
    )
    ended = silver_store_installs.groupBy(F.col("uninstalled_date").alias(DAY)).agg(
        F.count("*").alias("churned_stores")
    )
    delivered = store_days(silver_stores)
    published = delivered.groupBy(F.col("first_date").alias(DAY)).agg(
        F.count_if(F.col("last_date").isNull()).alias("published_active"),
        F.count("last_date").alias("published_new"),
        F.count("end_type").alias("published_uninstall"),
    )
    counted = every_day(delivered, "first_date", "last_date", DAY)
    for counts in (begun, ended, published):
        counted = counted.join(counts, on=DAY, how="left")
    so_far = Window.partitionBy(F.lit("all days")).orderBy(DAY).rowsBetween(Window.unboundedPreceding, 0)
    change = F.col("new_stores") + F.col("reactivated_stores") - F.col("churned_stores")
    return counted.na.fill(0).select(
        DAY,
        # as it is: who ends on the day was there on it
        (whole_sum(change, so_far) + F.col("churned_stores")).alias("active_stores"),
        "new_stores",
        "reactivated_stores",
        "churned_stores",
        # as published
        "published_active",
        "published_new",
        "published_uninstall",
    )
