"""gold.order_reconciliation: one row per order, its total against everything else that is known of it.

Amounts of the expected total have four decimals: what is less than a cent is not rounded away.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import delivery_tasks, expected_surcharge, points_value, with_facts

ORDER = ["market", "order_id"]
DIFFERENCE_KIND = """case
    when lines_difference <> 0 then 'lines'
    when abs(total_difference) > 0.01 then 'total'
    when delivery_difference <> 0 then 'delivery'
    when order_status = 'COMPLETED' and delivery_tasks = 0 then 'no delivery'
    else 'none' end"""


def build(
    silver_orders: DataFrame, silver_order_lines: DataFrame, silver_deliveries: DataFrame, conf_markets: DataFrame
) -> DataFrame:
    lines = silver_order_lines.groupBy(*ORDER).agg(F.sum("line_total").cast("decimal(18,2)").alias("lines_total"))
    orders = (
        with_facts(silver_orders, conf_markets, "order_date", "point_value", "pay_later_rate")
        .join(lines, on=ORDER, how="left")
        .join(delivered(silver_deliveries), on=ORDER, how="left")
        .withColumn("points_value", points_value())
    )
    paid_now = F.col("lines_total") - F.col("points_value")
    compared = orders.withColumn("surcharge", expected_surcharge(paid_now).cast("decimal(18,4)")).withColumns(
        {
            "expected_total": (paid_now + F.col("surcharge")).cast("decimal(18,4)"),
            "lines_difference": (F.col("sub_total") - F.col("lines_total")).cast("decimal(18,2)"),
            "delivery_difference": (F.col("delivered_subtotal") - paid_now).cast("decimal(18,2)"),
            "delivery_tasks": F.coalesce("delivery_tasks", F.lit(0)),
        }
    )
    difference = (F.col("order_total") - F.col("expected_total")).cast("decimal(18,4)")
    return compared.withColumn("total_difference", difference).select(
        *ORDER,
        "order_date",
        "order_status",
        "currency",
        "order_total",
        "sub_total",
        "lines_total",
        "points_value",
        "surcharge",
        "expected_total",
        "total_difference",
        "lines_difference",
        "delivery_tasks",
        "delivered_subtotal",
        "delivery_difference",
        F.expr(DIFFERENCE_KIND).alias("difference_kind"),
    )


def delivered(deliveries: DataFrame) -> DataFrame:
    """Per order with Delivery tasks: how many, and the subtotal of the newest that has one."""
    with_subtotal = F.when(F.col("subtotal").isNotNull(), F.col("task_id"))
    return (
        delivery_tasks(deliveries)
        .groupBy(*ORDER)
        .agg(F.count("*").alias("delivery_tasks"), F.max_by("subtotal", with_subtotal).alias("delivered_subtotal"))
    )
