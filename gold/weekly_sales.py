"""gold.weekly_sales: one row per market and ISO week between its first and its last week with an order.

A week without orders is there with zeros: the week after it would otherwise be compared with the wrong one.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import SALES_AMOUNTS, SALES_COUNTS, average, share

WEEKS_OF_MEAN = 4


def build(gold_daily_sales: DataFrame) -> DataFrame:
    days = gold_daily_sales.withColumn("week_start", F.to_date(F.date_trunc("week", "order_date")))
    weeks = every_week(days).join(sums(days), on=["market", "week_start"], how="left").na.fill(0)
    market = Window.partitionBy("market").orderBy("week_start")
    four = market.rowsBetween(1 - WEEKS_OF_MEAN, 0)
    year = Window.partitionBy("market", F.year("week_start")).orderBy("week_start")
    compared = weeks.withColumns(
        {
            "previous_revenue": F.lag("revenue").over(market),
            "four_weeks": F.when(F.count("*").over(four) == WEEKS_OF_MEAN, F.sum("revenue").over(four)),
            "year_to_date": F.sum("revenue").over(year.rowsBetween(Window.unboundedPreceding, 0)),
        }
    )
    change = (F.col("revenue") - F.col("previous_revenue")).cast("decimal(18,2)")
    return compared.select(
        "market",
        "week_start",
        "currency",
        # counts
        "days_with_orders",
        *SALES_COUNTS,
        # amounts
        *SALES_AMOUNTS,
        average(F.col("revenue"), F.col("completed_orders")).alias("average_order_value"),
        "previous_revenue",
        change.alias("revenue_change"),
        share(change, F.col("previous_revenue")).alias("revenue_change_share"),
        average(F.col("four_weeks"), F.lit(WEEKS_OF_MEAN)).alias("four_week_mean"),
        F.col("year_to_date").cast("decimal(18,2)").alias("year_to_date"),
    )


def every_week(days: DataFrame) -> DataFrame:
    ends = days.groupBy("market", "currency").agg(F.min("week_start").alias("first"), F.max("week_start").alias("last"))
    return ends.select(
        "market", "currency", F.explode(F.sequence("first", "last", F.expr("interval 7 days"))).alias("week_start")
    )


def sums(days: DataFrame) -> DataFrame:
    return days.groupBy("market", "week_start").agg(
        F.count("*").alias("days_with_orders"),
        *(F.sum(name).alias(name) for name in SALES_COUNTS),
        *(F.sum(name).cast("decimal(18,2)").alias(name) for name in SALES_AMOUNTS),
    )
