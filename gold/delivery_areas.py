"""gold.delivery_areas: one row per market and grid cell of a hundredth of a degree with items of tasks.

Cells outside of the market's box are kept and marked: 18 real tasks of market 2 have items there, 11 in Kenya, 4 in
India and 3 in America. A task whose items disagree is in several cells.
"""

from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

ON_EARTH = "latitude between -90 and 90 and longitude between -180 and 180"
BOX = ("south", "west", "north", "east")


def build(silver_delivery_items: DataFrame, conf_areas: DataFrame) -> DataFrame:
    row, column = F.floor(F.col("latitude") * 100), F.floor(F.col("longitude") * 100)
    on_earth = F.expr(ON_EARTH)
    cells = silver_delivery_items.select(
        "market", "task_id", "task_status", "amount",
        F.when(F.isnull("latitude") | F.isnull("longitude"), F.lit("unknown"))
        .when(on_earth, F.concat_ws(":", row, column)).otherwise("not on earth").alias("cell"),
        F.when(on_earth, edge(row)).alias("south"),
        F.when(on_earth, edge(column)).alias("west"),
    )  # fmt: skip
    areas = cells.groupBy("market", "cell", "south", "west").agg(
        F.count_distinct("task_id").alias("tasks"),
        F.count_distinct(F.when(F.col("task_status") == "Completed", F.col("task_id"))).alias("completed_tasks"),
        F.count("*").alias("items"),
        F.coalesce(F.sum("amount"), F.lit(0)).cast("decimal(18,2)").alias("amount"),
    )
    boxes = conf_areas.select("market", *(F.col(name).cast("decimal(9,2)").alias(f"box_{name}") for name in BOX))
    in_box = F.col("south").between(F.col("box_south"), F.col("box_north")) & F.col("west").between(
        F.col("box_west"), F.col("box_east")
    )
    is_plausible = F.when(F.col("cell") == "not on earth", F.lit(False)).otherwise(in_box)  # noqa: FBT003
    return areas.join(F.broadcast(boxes), on="market", how="left").select(
        "market",
        "cell",
        "south",
        "west",
        is_plausible.alias("is_plausible"),
        "tasks",
        "completed_tasks",
        "items",
        "amount",
    )


def edge(cell: Column) -> Column:
    return (cell.cast("decimal(9,0)") * F.lit(Decimal("0.01")).cast("decimal(2,2)")).cast("decimal(9,2)")
