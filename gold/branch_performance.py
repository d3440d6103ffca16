"""gold.branch_performance: one row per branch and month from its opening to its closing.

A month in which a branch sold nothing is a row too: otherwise the worst month of all would not be seen.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import average, month_start, percentiles, share, whole_sum

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
    months = months.na.fill(0, subset=["revenue", *COUNTS])
    of_month, in_time = Window.partitionBy(*MONTH), Window.partitionBy(*BRANCH).orderBy("sale_month")
    alike = Window.partitionBy(*MONTH, "is_listed")
    sold_no_more = F.count("*").over(alike) + 1 - F.rank().over(alike.orderBy(F.desc("units_sold")))
    flagged = with_medians(months).withColumns(
        {
            "of_all": F.sum("revenue").over(of_month).cast("decimal(18,2)"),
            "is_in_lowest_tenth": F.col("is_listed") & (sold_no_more * 10 <= F.count("*").over(alike)),
        }
    )
    has_many, has_few = (
        F.col("customers") > F.col("median_customers"),
        F.col("transactions") < F.col("median_transactions"),
    )
    lowest = F.col("is_in_lowest_tenth")
    before = [F.coalesce(F.lag(lowest, months).over(in_time), F.lit(False)) for months in (1, 2)]  # noqa: FBT003
    return flagged.select(
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
        share(F.col("revenue"), F.col("of_all")).alias("revenue_share"),
        "transactions",
        average(F.col("revenue"), F.col("transactions")).alias("average_transaction"),
        "customers",
        "products_sold",
        "units_sold",
        # flags
        (F.col("is_listed") & has_many & has_few).alias("has_many_customers_and_few_transactions"),
        "is_in_lowest_tenth",
        (lowest & before[0] & before[1]).alias("is_in_lowest_tenth_for_three_months"),
    )


def months_of_branches(branches: DataFrame, lines: DataFrame) -> DataFrame:
    """Every month of each branch, listed or known by its sales alone, with its facts and its market's currency."""
    span = (F.min("sale_month").alias("first_sale"), F.max("sale_month").alias("last_sale"))
    markets = lines.groupBy("market").agg(
        F.min("currency").alias("currency"), F.min("sale_month").alias("first"), F.max("sale_month").alias("last")
    )
    listed = branches.withColumn("listed", F.lit(True))  # noqa: FBT003
    every = listed.join(lines.groupBy(*BRANCH).agg(*span), on=BRANCH, how="full").join(
        markets, on="market", how="inner"
    )
    opened = F.when(F.col("listed"), F.coalesce(month_start("opened_on"), F.col("first")))
    closed = F.when(F.col("listed"), F.coalesce(month_start("closed_on"), F.col("last")))
    begin = number_of(F.greatest(F.col("first"), F.least(opened, F.col("first_sale"))))
    end = number_of(F.least(F.col("last"), F.greatest(closed, F.col("last_sale"))))
    spans = every.withColumns({"begin": begin, "end": end}).where("begin <= end")
    numbered = spans.withColumn("month", F.explode(F.sequence("begin", "end")))
    year = F.call_function("div", F.col("month"), F.lit(12)).cast("int")
    return numbered.select(
        *BRANCH,
        F.make_date(year, F.col("month") % 12 + 1, F.lit(1)).alias("sale_month"),
        "branch_name",
        "city",
        F.coalesce("listed", F.lit(False)).alias("is_listed"),  # noqa: FBT003
        "currency",
    )


def number_of(month: Column) -> Column:
    """Months are counted, so that none is left out between two."""
    return F.year(month) * 12 + F.month(month) - 1


def with_medians(months: DataFrame) -> DataFrame:
    """What the listed branch in the middle has in each month."""
    for column in ("customers", "transactions"):
        median = percentiles(months.where("is_listed"), MONTH, column, {f"median_{column}": 50})
        months = months.join(median, on=MONTH, how="left")
    return months
