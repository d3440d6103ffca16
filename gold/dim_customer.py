"""gold.dim_customer: one row per customer and state of its attributes (slowly changing, type 2).

Computed from every delivered version, so that a late one repairs the history instead of being put at its end.
"""

from functools import reduce
from operator import and_

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import key_of

CUSTOMER = ["market", "customer_id"]
ATTRIBUTES = ["last_used_platform", "language", "is_blocked", "number_of_employees"]


def build(silver_customer_versions: DataFrame, silver_sold_lines: DataFrame) -> DataFrame:
    life = Window.partitionBy(*CUSTOMER).orderBy("state_from")
    known = states(silver_customer_versions).withColumn("is_known", F.lit(True))  # noqa: FBT003
    ordered = silver_sold_lines.select(*CUSTOMER).distinct()
    every = known.join(ordered, on=CUSTOMER, how="full").withColumns(
        {"version": F.row_number().over(life), "valid_to": F.lead("state_from").over(life)}
    )
    valid_from = F.when(F.col("version") > 1, F.col("state_from"))
    since = F.coalesce(F.unix_micros(valid_from).cast("string"), F.lit("first"))
    return every.select(
        key_of(*CUSTOMER, since).alias("customer_key"),
        *CUSTOMER,
        F.col("is_known").isNotNull().alias("is_known"),
        *ATTRIBUTES,
        valid_from.alias("valid_from"),
        "valid_to",
        F.col("valid_to").isNull().alias("is_current"),
        "version",
    )


def states(versions: DataFrame) -> DataFrame:
    """The versions that say something else than the one delivered before, with `state_from`."""
    life = Window.partitionBy(*CUSTOMER).orderBy("delivered_at")
    before = {f"before {name}": F.lag(name).over(life) for name in ATTRIBUTES}
    compared = versions.withColumns({"is_first": F.row_number().over(life) == 1} | before)
    says_the_same = reduce(and_, (F.col(name).eqNullSafe(F.col(f"before {name}")) for name in ATTRIBUTES))
    changed = compared.where(F.col("is_first") | ~says_the_same)
    return changed.select(*CUSTOMER, F.col("delivered_at").alias("state_from"), *ATTRIBUTES)
