"""silver.branches: one row per branch that the newest right list has.

Where names conflict, the row that was changed last decides, with all of its facts: no mixture of two rows is true.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

BRANCH = ["market", "branch_id"]


def build(silver_branch_names: DataFrame) -> DataFrame:
    changed = F.coalesce("updated_at", F.lit("0001-01-01").cast("timestamp"))
    newest_first = Window.partitionBy(*BRANCH).orderBy(F.desc("changed"), F.desc("name_number"))
    rows = silver_branch_names.withColumn("changed", changed)
    newest = rows.withColumn("place", F.row_number().over(newest_first)).where("place = 1")
    as_one = F.lower(F.regexp_replace("branch_name", " +", " "))
    counted = silver_branch_names.groupBy(*BRANCH).agg(F.count_distinct(as_one).alias("names"))
    return newest.join(counted, on=BRANCH, how="inner").select(
        *BRANCH,
        "branch_name",
        "names",
        "city",
        "opened_on",
        "closed_on",
    )
