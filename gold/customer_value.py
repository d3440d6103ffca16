"""gold.customer_value: one row per market, cohort and age in months: what the cohort has been worth by then.

Per customer of the cohort, those who never came back included, or every cohort would seem to get better with age.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import ages_of_cohorts, average, whole_sum

COHORT = ["market", "cohort_month"]


def build(silver_customer_orders: DataFrame) -> DataFrame:
    completed, ages = ages_of_cohorts(silver_customer_orders)
    measures = completed.groupBy(*COHORT, "age_months").agg(
        F.count("*").alias("orders"),
        F.sum("order_total").cast("decimal(18,2)").alias("revenue"),
        F.sum("line_margin").cast("decimal(18,2)").alias("margin"),
    )
    both = ages.join(measures, on=[*COHORT, "age_months"], how="left").na.fill(0)
    by_then = Window.partitionBy(*COHORT).orderBy("age_months").rowsBetween(Window.unboundedPreceding, 0)
    revenue, margin = (F.sum(name).over(by_then).cast("decimal(18,2)") for name in ("revenue", "margin"))
    return both.select(
        *COHORT,
        "age_months",
        "currency",
        "cohort_customers",
        whole_sum("orders", by_then).alias("cumulative_completed_orders"),
        revenue.alias("cumulative_revenue"),
        margin.alias("cumulative_margin"),
        average(revenue, F.col("cohort_customers")).alias("revenue_per_customer"),
        average(margin, F.col("cohort_customers")).alias("margin_per_customer"),
    )
