"""silver.deliveries: one row per delivery task.

Amounts of the task stand on one item, its last. Distance and minutes are on every item and count once.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

ON_EVERY_ITEM = (
    "order_id", "agent_id", "task_type", "task_status", "agent_name", "notes", "distance_m", "minutes", "rating",
)  # fmt: skip
ON_THE_LAST_ITEM = ("payment_type", "tip", "delivery_charges", "discount", "subtotal", "review")


def build(silver_delivery_items: DataFrame) -> DataFrame:
    last = F.max_by(F.struct(*ON_EVERY_ITEM, *ON_THE_LAST_ITEM), "item_number")
    facts = F.struct("order_id", "task_type", "task_status", "distance_m", "minutes")
    tasks = silver_delivery_items.groupBy("market", "task_id").agg(
        last.alias("last"),
        F.count_distinct(F.to_json(facts)).alias("_facts"),
        F.count("*").alias("item_count"),
        F.sum("amount").cast("decimal(18,2)").alias("items_total"),
    )
    return tasks.select("*", "last.*").select(
        # ids
        "market",
        "task_id",
        "order_id",
        "agent_id",
        # attributes
        "task_type",
        "task_status",
        "agent_name",
        "notes",
        "payment_type",
        "review",
        # amounts
        "distance_m",
        "minutes",
        "item_count",
        "items_total",
        "tip",
        "delivery_charges",
        "discount",
        "subtotal",
        "rating",
        # for rules
        "_facts",
    )
