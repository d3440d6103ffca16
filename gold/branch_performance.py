"""gold.branch_performance: one row per branch and month from its opening to its closing.

A month in which a branch sold nothing is a row too: otherwise the worst month of all would not be seen.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import average, month_start, share, whole_sum

BRANCH = ["market", "branch_id"]
MONTH = ["market", "sale_month"]
COUNTS = ["transactions", "customers", "products_sold", "units_sold"]


def build(silver_branch_transactions: DataFrame, silver_branches: DataFrame) -> DataFrame:
    lines = silver_branch_transactions.withColumn("sale_month", month_start("sale_date"))
    sales = lines.groupBy(*BRANCH, "sale_month").agg(
        F.sum("line_total").cast("decimal(18,2)").alias("revenue"),
        F.count_distinct("transaction_id").alias("transactions"),
        F.count_distinct("customer_id").alias("customers"),
        F.count_distinct("sku").alias("products_sold"),
        whole_sum("quantity").alias("units_sold"),
    )
    months = months_of_branches(silver_branches, lines).join(sales, on=[*BRANCH, "sale_month"], how="left")
    of_month = Window.partitionBy(*MONTH)
    return with_flags(months.na.fill(0, subset=["revenue", *COUNTS])).select(
        # ids
        *BRANCH,
        "sale_month",
        # attributes
        "branch_name",
        "city",
        "is_listed",
        "currency",
        # amounts and counts
        F.col("revenue").cast("decimal(18,2)").alias("revenue"),
        F.rank().over(of_month.orderBy(F.desc("revenue"))).cast("bigint").alias("revenue_rank"),
        share(F.col("revenue"), F.sum("revenue").over(of_month)).alias("revenue_share"),
        "transactions",
        average(F.col("revenue"), F.col("transactions")).alias("average_transaction"),
        "customers",
        "products_sold",
        "units_sold",
        # flags
        "has_many_customers_and_few_transactions",
        "is_in_lowest_tenth",
        "is_in_lowest_tenth_for_three_months",
    )


def months_of_branches(branches: DataFrame, lines: DataFrame) -> DataFrame:
    """Every month of each branch, listed or known by its sales alone, with its facts and its market's currency."""
    sold = lines.groupBy(*BRANCH).agg(
        F.min("sale_month").alias("first_sale"),
        F.max("sale_month").alias("last_sale"),
        F.min("currency").alias("sold_in"),
    )
    every = branches.withColumn("is_listed", F.lit(True)).join(sold, on=BRANCH, how="full")  # noqa: FBT003
    of_market = Window.partitionBy("market")
    every = every.withColumns(
        {
            "currency": F.min("sold_in").over(of_market),
            "first": F.min("first_sale").over(of_market),
            "last": F.max("last_sale").over(of_market),
        }
    )
    opened = F.when(F.col("is_listed"), F.coalesce(month_start("opened_on"), F.col("first")))
    closed = F.when(F.col("is_listed"), F.coalesce(month_start("closed_on"), F.col("last")))
    begin = number_of(F.greatest(F.col("first"), F.least(opened, F.col("first_sale"))))
    end = number_of(F.least(F.col("last"), F.greatest(closed, F.col("last_sale"))))
    spans = every.withColumns({"begin": begin, "end": end}).where("first is not null and begin <= end")
    numbered = spans.withColumn("month", F.explode(F.sequence("begin", "end")))
    year = F.call_function("div", F.col("month"), F.lit(12)).cast("int")
    return numbered.select(
        *BRANCH,
        F.make_date(year, F.col("month") % 12 + 1, F.lit(1)).alias("sale_month"),
        "branch_name",
        "city",
        F.coalesce("is_listed", F.lit(False)).alias("is_listed"),  # noqa: FBT003
        "currency",
    )


def number_of(month: Column) -> Column:
    """Months are counted, so that none is left out between two."""
    return F.year(month) * 12 + F.month(month) - 1


def with_flags(months: DataFrame) -> DataFrame:
    """Held against the listed branches of the market in the month.

    One is above the median where at least half of them have less, and below it where less than half have no more.
    """
    alike = Window.partitionBy(*MONTH, "is_listed")
    branches = F.count("*").over(alike)
    no_more = {
        name: branches + 1 - F.rank().over(alike.orderBy(F.desc(name))) for name in ("transactions", "units_sold")
    }
    has_many = (F.rank().over(alike.orderBy("customers")) - 1) * 2 >= branches
    has_few = no_more["transactions"] * 2 < branches
    flagged = months.withColumns(
        {
            "has_many_customers_and_few_transactions": F.col("is_listed") & has_many & has_few,
            "is_in_lowest_tenth": F.col("is_listed") & (no_more["units_sold"] * 10 <= branches),
        }
    )
    in_time, lowest = Window.partitionBy(*BRANCH).orderBy("sale_month"), F.col("is_in_lowest_tenth")
    before = [F.coalesce(F.lag(lowest, places).over(in_time), F.lit(False)) for places in (1, 2)]  # noqa: FBT003
    return flagged.withColumn("is_in_lowest_tenth_for_three_months", lowest & before[0] & before[1])
