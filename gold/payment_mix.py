"""gold.payment_mix: one row per market, local day, payment method, and meaning of the delivery's payment note.

What people type is put in order by conf/payment_notes.yml, not here; a new spelling is `other` until it is there.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import delivery_tasks, sum_where, surcharge, with_facts

ORDER = ["market", "order_id"]


def build(
    silver_orders: DataFrame, silver_deliveries: DataFrame, conf_markets: DataFrame, conf_payment_notes: DataFrame
) -> DataFrame:
    notes = notes_of_orders(silver_deliveries)
    known = notes.join(F.broadcast(conf_payment_notes), on="note", how="left").select(
        *ORDER, F.coalesce("paid_by", F.lit("other")).alias("paid_by")
    )
    orders = (
        with_facts(silver_orders, conf_markets, "order_date", "point_value")
        .join(known, on=ORDER, how="left")
        .withColumns(
            {
                "payment_method": F.coalesce("payment_method", F.lit("(none)")),
                "paid_by": F.coalesce("paid_by", F.lit("not said")),
                "surcharge": surcharge(),
            }
        )
    )
    completed: Column = F.col("order_status") == "COMPLETED"
    return orders.groupBy("market", "order_date", "payment_method", "paid_by", "currency").agg(
        F.count("*").alias("orders"),
        F.count_if(completed).alias("completed_orders"),
        F.sum("order_total").cast("decimal(18,2)").alias("placed_value"),
        sum_where(completed, "order_total").alias("revenue"),
        sum_where(completed, "surcharge").alias("pay_later_surcharge"),
    )


def notes_of_orders(deliveries: DataFrame) -> DataFrame:
    """Per order with a noted Delivery task: `note`, of the newest one, in lower case and without blanks around."""
    tasks = delivery_tasks(deliveries).where("payment_type is not null")
    return tasks.groupBy(*ORDER).agg(F.lower(F.trim(F.max_by("payment_type", "task_id"))).alias("note"))
