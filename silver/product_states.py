"""silver.product_states: one row per product of the master and state of its names and price (slowly changing, type 2).

Computed from every delivered version, so that a late one repairs the history instead of being put at its end.
"""

from functools import reduce
from operator import and_

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import key_of

PRODUCT = ["market", "sku"]
ATTRIBUTES = ["product_name", "category_name", "list_price"]


def build(silver_product_versions: DataFrame) -> DataFrame:
    life = Window.partitionBy(*PRODUCT).orderBy("delivered_at")
    states = changed(silver_product_versions).withColumns(
        {"version": F.row_number().over(life), "valid_to": F.lead("delivered_at").over(life)}
    )
    valid_from = F.when(F.col("version") > 1, F.col("delivered_at"))
    return states.select(
        key_of(*PRODUCT, F.unix_micros(valid_from).cast("string")).alias("product_key"),
        *PRODUCT,
        "product_name",
        "category_name",
        "currency",
        "list_price",
        valid_from.alias("valid_from"),
        "valid_to",
        "version",
    )


def changed(versions: DataFrame) -> DataFrame:
    """The versions that say something else than the one delivered before."""
    life = Window.partitionBy(*PRODUCT).orderBy("delivered_at")
    before = {f"before {name}": F.lag(name).over(life) for name in ATTRIBUTES}
    compared = versions.withColumns({"is_first": F.row_number().over(life) == 1} | before)
    says_the_same = reduce(and_, (F.col(name).eqNullSafe(F.col(f"before {name}")) for name in ATTRIBUTES))
    return compared.where(F.col("is_first") | ~says_the_same)
