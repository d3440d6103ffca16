"""gold.dim_date: one row per calendar day of every year in which a market sold anything.

Whole years, so that a report's calendar has no holes where nothing was sold.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import iso_year, month_start, week_start, weekday

FRIDAY = 5


def build(silver_sold_lines: DataFrame) -> DataFrame:
    years = silver_sold_lines.select(F.year("order_date").alias("year")).distinct()
    ends = (F.make_date("year", F.lit(1), F.lit(1)), F.make_date("year", F.lit(12), F.lit(31)))
    days = years.select(F.explode(F.sequence(*ends)).alias("calendar_date"))
    return days.select(
        F.date_format("calendar_date", "yyyyMMdd").cast("int").alias("date_key"),
        "calendar_date",
        F.year("calendar_date").alias("year"),
        F.quarter("calendar_date").alias("quarter"),
        F.month("calendar_date").alias("month"),
        month_start("calendar_date").alias("month_start"),
        iso_year("calendar_date").alias("iso_year"),
        F.weekofyear("calendar_date").alias("iso_week"),
        week_start("calendar_date").alias("week_start"),
        weekday("calendar_date").alias("weekday"),
        (weekday("calendar_date") > FRIDAY).alias("is_weekend"),
    )
