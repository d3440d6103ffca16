"""gold.subscription_revenue_daily: one row per local day from the first subscription to the last day with any change.

The same prices in four ways: where they begin, over their term, as what the active ones bring in a month, in a year.
"""

from decimal import Decimal

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import days_between, every_day, sum_where, whole_quotient, whole_sum

DAY = "revenue_date"


def build(silver_store_subscriptions: DataFrame, conf_stores: DataFrame) -> DataFrame:
    begun = silver_store_subscriptions.groupBy(F.col("started_date").alias(DAY)).agg(
        F.count("*").alias("new_subscriptions"),
        F.sum("price").cast("decimal(18,2)").alias("cash_revenue"),
        sum_where(F.col("subscription_number") == 1, "price").alias("published_revenue"),
    )
    ended = silver_store_subscriptions.groupBy(F.col("ended_date").alias(DAY)).agg(
        F.count("*").alias("ended_subscriptions"),
        F.count_if("is_end_provisional").alias("provisional_ends"),
        F.sum("price").cast("decimal(18,2)").alias("ended_price"),
    )
    known = every_day(silver_store_subscriptions, "started_date", "ended_date", DAY)
    for sums in (begun, ended, accrued(silver_store_subscriptions)):
        known = known.join(sums, on=DAY, how="left")
    so_far = Window.partitionBy("currency").orderBy(DAY).rowsBetween(Window.unboundedPreceding, 0)
    active = whole_sum(F.col("new_subscriptions") - F.col("ended_subscriptions"), so_far)
    mrr = F.sum(F.col("cash_revenue") - F.col("ended_price")).over(so_far).cast("decimal(18,2)")
    return (
        known.na.fill(0)
        .crossJoin(F.broadcast(conf_stores))
        .select(
            DAY,
            "currency",
            # counts
            "new_subscriptions",
            "ended_subscriptions",
            "provisional_ends",
            active.alias("active_subscriptions"),
            # amounts
            "cash_revenue",
            "accrued_revenue",
            mrr.alias("mrr"),
            (mrr * F.lit(12).cast("decimal(2,0)")).cast("decimal(20,2)").alias("arr"),
            # as published
            "published_revenue",
        )
    )


def accrued(subscriptions: DataFrame) -> DataFrame:
    """Per day its part of each term: what is due until its end, to a ten-thousandth, less what was until its begin."""
    days = F.sequence("started_date", "ended_date")
    terms = subscriptions.where("ended_date is not null").select(
        "price", "started_date", "ended_date", F.explode(days).alias(DAY)
    )
    number = days_between("started_date", DAY)
    part = due(number + 1) - due(number)
    of_a_step = F.lit(Decimal("0.0001")).cast("decimal(4,4)")
    return terms.groupBy(DAY).agg(
        (whole_sum(part).cast("decimal(18,0)") * of_a_step).cast("decimal(18,4)").alias("accrued_revenue")
    )


def due(days: Column) -> Column:
    """Of the price, in ten-thousandths, after so many days of the term."""
    steps = (F.col("price") * F.lit(10000).cast("decimal(5,0)")).cast("decimal(18,0)")
    term = (days_between("started_date", "ended_date") + 1).cast("decimal(10,0)")
    return whole_quotient((steps * days.cast("decimal(10,0)")).cast("decimal(28,0)"), term)
