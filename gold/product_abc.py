"""gold.product_abc: one row per market and product with gross revenue, ranked within its market.

A product's class is decided by what is sold by those before it: the product that crosses 80 % is still an A.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import share

PLACES = 6
ABC_CLASS = """case
    when (cumulative - gross_revenue) * 100 < whole * 80 then 'A'
    when (cumulative - gross_revenue) * 100 < whole * 95 then 'B'
    else 'C' end"""


def build(gold_products: DataFrame) -> DataFrame:
    ranked = Window.partitionBy("market").orderBy(F.desc("gross_revenue"), "sku")
    so_far = ranked.rowsBetween(Window.unboundedPreceding, 0)
    products = gold_products.where("gross_revenue > 0").withColumns(
        {
            "revenue_rank": F.row_number().over(ranked).cast("bigint"),
            "cumulative": F.sum("gross_revenue").over(so_far).cast("decimal(18,2)"),
            "whole": F.sum("gross_revenue").over(Window.partitionBy("market")).cast("decimal(18,2)"),
        }
    )
    return products.select(
        "market",
        "sku",
        "revenue_rank",
        "currency",
        "gross_revenue",
        share(F.col("gross_revenue"), F.col("whole"), PLACES).alias("revenue_share"),
        share(F.col("cumulative"), F.col("whole"), PLACES).alias("cumulative_share"),
        F.expr(ABC_CLASS).alias("abc_class"),
    )
