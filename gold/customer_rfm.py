"""gold.customer_rfm: one row per customer with at least one completed order, scored within the market.

As of the market's last order date: with today's clock everybody would get worse while no export arrives.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import days_between

CUSTOMER = ["market", "customer_id"]
SEGMENTS = """case
    when recency_score >= 4 and frequency_score >= 4 then 'champions'
    when recency_score >= 3 and frequency_score >= 4 then 'loyal'
    when frequency_score >= 4 then 'cannot_lose'
    when recency_score >= 4 and frequency_score >= 2 then 'potential_loyalists'
    when recency_score >= 4 then 'new'
    when recency_score = 3 and frequency_score >= 2 then 'need_attention'
    when recency_score = 3 then 'promising'
    when frequency_score = 3 then 'at_risk'
    when recency_score = 2 then 'hibernating'
    else 'lost' end"""


def build(silver_customer_orders: DataFrame) -> DataFrame:
    last_days = silver_customer_orders.groupBy("market").agg(F.max("order_date").alias("as_of"))
    completed = silver_customer_orders.where("order_status = 'COMPLETED'")
    customers = completed.groupBy(*CUSTOMER, "currency").agg(
        F.max("order_date").alias("last_date"),
        F.count("*").alias("frequency"),
        F.sum("order_total").cast("decimal(18,2)").alias("revenue"),
    )
    measured = customers.join(last_days, on="market", how="inner").withColumn(
        "recency_days", days_between("last_date", "as_of")
    )
    scores = {
        "recency_score": fifth(F.desc("recency_days")),
        "frequency_score": fifth(F.asc("frequency")),
        "revenue_score": fifth(F.asc("revenue")),
    }
    return measured.withColumns(scores).select(
        *CUSTOMER,
        "as_of",
        "currency",
        "recency_days",
        "frequency",
        "revenue",
        *scores,
        F.expr(SEGMENTS).alias("segment"),
    )


def fifth(worst_first: Column) -> Column:
    """1 + floor(5 x customers who are strictly worse / customers): rank() - 1 counts those who are."""
    worse = F.rank().over(Window.partitionBy("market").orderBy(worst_first)).cast("bigint") - 1
    customers = F.count("*").over(Window.partitionBy("market"))
    return (F.call_function("div", worse * 5, customers) + 1).cast("int")
