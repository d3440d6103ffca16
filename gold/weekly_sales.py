"""gold.weekly_sales: one row per market and ISO week between its first and its last week with an order.

A week without orders is there with zeros: the week after it would otherwise be compared with the wrong one. A week that
the first or last day with an order cuts is compared with none: two days are no week.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import SALES_AMOUNTS, SALES_COUNTS, average, share, week_start, whole_sum

WEEKS_OF_MEAN = 4


def build(gold_daily_sales: DataFrame) -> DataFrame:
    days = gold_daily_sales.withColumn("week_start", week_start("order_date"))
    in_year = F.year("order_date") == F.year(sunday())
    days = days.withColumn("in_year", F.when(in_year, F.col("revenue")).otherwise(0))
    weeks = every_week(days).join(sums(days), on=["market", "week_start"], how="left").na.fill(0)
    market = Window.partitionBy("market").orderBy("week_start")
    four = market.rowsBetween(1 - WEEKS_OF_MEAN, 0)
    year = Window.partitionBy("market", F.year(sunday())).orderBy("week_start")
    is_whole, before = F.col("is_whole_week"), F.lag("is_whole_week").over(market)
    compared = weeks.withColumns(
        {
            "previous_revenue": F.lag("revenue").over(market),
            "compared_with": F.when(is_whole & before, F.lag("revenue").over(market)),
            "four_weeks": F.when(F.count_if(is_whole).over(four) == WEEKS_OF_MEAN, F.sum("revenue").over(four)),
            "year_to_date": F.sum("in_year").over(year.rowsBetween(Window.unboundedPreceding, 0)),
        }
    )
    change = (F.col("revenue") - F.col("compared_with")).cast("decimal(18,2)")
    return compared.select(
        "market",
        "week_start",
        "currency",
        "is_whole_week",
        # counts
        "days_with_orders",
        *SALES_COUNTS,
        # amounts
        *SALES_AMOUNTS,
        average(F.col("revenue"), F.col("completed_orders")).alias("average_order_value"),
        "previous_revenue",
        change.alias("revenue_change"),
        share(change, F.col("compared_with")).alias("revenue_change_share"),
        average(F.col("four_weeks"), F.lit(WEEKS_OF_MEAN)).alias("four_week_mean"),
        F.col("year_to_date").cast("decimal(18,2)").alias("year_to_date"),
    )


def every_week(days: DataFrame) -> DataFrame:
    ends = days.groupBy("market", "currency").agg(
        F.min("week_start").alias("first_week"),
        F.max("week_start").alias("last_week"),
        F.min("order_date").alias("first_day"),
        F.max("order_date").alias("last_day"),
    )
    weeks = F.sequence("first_week", "last_week", F.expr("interval 7 days"))
    is_whole = (F.col("first_day") <= F.col("week_start")) & (sunday() <= F.col("last_day"))
    return ends.withColumn("week_start", F.explode(weeks)).select(
        "market", "currency", "week_start", is_whole.alias("is_whole_week")
    )


def sunday() -> Column:
    return F.date_add("week_start", 6)


def sums(days: DataFrame) -> DataFrame:
    return days.groupBy("market", "week_start").agg(
        F.count("*").alias("days_with_orders"),
        F.sum("in_year").alias("in_year"),
        *(whole_sum(name).alias(name) for name in SALES_COUNTS),
        *(F.sum(name).cast("decimal(18,2)").alias(name) for name in SALES_AMOUNTS),
    )
