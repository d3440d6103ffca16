"""gold.stock_cover: one row per branch and product that was ever counted or was sold in the last 28 days.

The last 28 days are those of the market's own data: by a clock, a lake that waits would report falling sales.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.window import WindowSpec

from lakehouse.transforms import quotient, whole_sum

PRODUCT = ["market", "branch_id", "sku"]
DAYS = 28


def build(
    silver_stock_levels: DataFrame,
    silver_branch_transactions: DataFrame,
    silver_branches: DataFrame,
    conf_stock_cover: DataFrame,
) -> DataFrame:
    newest = newest_days(silver_stock_levels, silver_branch_transactions)
    sales = (
        of_last_days(silver_branch_transactions, newest, "sale_date")
        .groupBy(*PRODUCT)
        .agg(whole_sum("quantity").alias("units_sold"))
    )
    counts = (
        of_last_days(silver_stock_levels, newest, "counted_on")
        .groupBy(*PRODUCT)
        .agg(F.count("*").alias("counts"), F.count_if(F.col("on_hand") <= 0).alias("stock_outs"))
    )
    products = newest_counts(silver_stock_levels).join(sales, on=PRODUCT, how="full")
    products = products.join(counts, on=PRODUCT, how="left").na.fill(0, subset=["units_sold", "counts", "stock_outs"])
    names = silver_branches.select("market", "branch_id", "branch_name", "closed_on")
    known = products.join(newest, on="market", how="inner").join(names, on=["market", "branch_id"], how="left")
    cover = quotient(F.col("on_hand").cast("decimal(20,0)") * DAYS, F.col("units_sold").cast("decimal(20,0)"), 1)
    return with_moves(known.withColumn("days_of_cover", cover), conf_stock_cover).select(
        # ids
        "market",
        "branch_id",
        "branch_name",
        "sku",
        # the last 28 days
        "as_of_date",
        "units_sold",
        "counts",
        "stock_outs",
        # the stock
        "counted_on",
        "on_hand",
        "days_of_cover",
        (F.col("on_hand") <= 0).alias("is_out_of_stock"),
        # what to move
        "missing_units",
        "spare_units",
        "units_to_receive",
        "units_to_send",
    )


def newest_days(levels: DataFrame, transactions: DataFrame) -> DataFrame:
    """`as_of_date` of each market: its newest day of a count or a sale."""
    days = levels.select("market", F.col("counted_on").alias("day")).unionByName(
        transactions.select("market", F.col("sale_date").alias("day"))
    )
    return days.groupBy("market").agg(F.max("day").alias("as_of_date"))


def of_last_days(rows: DataFrame, newest: DataFrame, day: str) -> DataFrame:
    return rows.join(newest, on="market", how="inner").where(F.col(day) > F.date_sub("as_of_date", DAYS))


def newest_counts(levels: DataFrame) -> DataFrame:
    days = levels.groupBy(*PRODUCT).agg(F.max("counted_on").alias("counted_on"))
    return levels.select(*PRODUCT, "counted_on", "on_hand").join(days, on=[*PRODUCT, "counted_on"], how="inner")


def with_moves(products: DataFrame, bounds: DataFrame) -> DataFrame:
    """What each branch is short of or can spare, and how much of that meets the other side's.

    A closed branch sells no more, however much it sold in the last days: it needs nothing and can spare all.
    """
    on_hand, none = F.col("on_hand").cast("bigint"), F.lit(0).cast("bigint")
    still_sold = F.when(F.col("closed_on") <= F.col("as_of_date"), none).otherwise(F.col("units_sold"))
    known = products.withColumn("still_sold", still_sold)
    known = known.crossJoin(F.broadcast(bounds.select("needed_days", "spare_days")))
    sides = known.withColumns(
        {
            "missing_units": F.greatest(F.coalesce(sold_in("needed_days") - on_hand, none), none),
            "spare_units": F.greatest(F.coalesce(on_hand - sold_in("spare_days"), none), none),
        }
    )
    product = Window.partitionBy("market", "sku")
    first_to_end, most_to_spare = (
        product.orderBy("days_of_cover", "branch_id"),
        product.orderBy(F.desc("spare_units"), "branch_id"),
    )
    return sides.withColumns(
        {
            "units_to_receive": met("missing_units", first_to_end, whole_sum("spare_units", product)),
            "units_to_send": met("spare_units", most_to_spare, whole_sum("missing_units", product)),
        }
    )


def sold_in(days: str) -> Column:
    """Units that will be sold in so many days at the pace of the last ones, rounded up."""
    units = F.col("still_sold") * F.col(days).cast("bigint")
    return F.call_function("div", units + (DAYS - 1), F.lit(DAYS).cast("bigint"))


def met(units: str, order: WindowSpec, of_others: Column) -> Column:
    """How much of a row's units is left for it of what the other side has, after those before it in the order."""
    before = F.coalesce(whole_sum(units, order.rowsBetween(Window.unboundedPreceding, -1)), F.lit(0).cast("bigint"))
    return F.greatest(F.least(F.col(units), of_others - before), F.lit(0).cast("bigint"))
