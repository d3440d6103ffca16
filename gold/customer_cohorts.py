"""gold.customer_cohorts: one row per market, cohort and age in months.

A month between two others in which nobody of the cohort ordered is there with zeros.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import ages_of_cohorts, share

COHORT = ["market", "cohort_month"]


def build(silver_customer_orders: DataFrame) -> DataFrame:
    completed, ages = ages_of_cohorts(silver_customer_orders)
    measures = completed.groupBy(*COHORT, "age_months").agg(
        F.count_distinct("customer_id").alias("active_customers"),
        F.count("*").alias("completed_orders"),
        F.sum("order_total").cast("decimal(18,2)").alias("revenue"),
    )
    both = ages.join(measures, on=[*COHORT, "age_months"], how="left").na.fill(0)
    return both.select(
        *COHORT,
        "age_months",
        "currency",
        "cohort_customers",
        "active_customers",
        "completed_orders",
        "revenue",
        share(F.col("active_customers"), F.col("cohort_customers")).alias("retention"),
    )
