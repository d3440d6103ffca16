"""silver.sold_lines: one row per line of what was sold, by the exports or by the API.

An order is taken whole from one of them: lines of both would count what was sold twice.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

ORDER = ["market", "order_id"]
LINE = (
    *ORDER, "line_number", "customer_id", "sku", "order_status", "payment_method", "currency", "quantity", "unit_price",
    "line_total", "line_cost", "line_margin", "ordered_at", "order_date",
)  # fmt: skip


def build(silver_sales: DataFrame, silver_api_sales: DataFrame, conf_sale_sources: DataFrame) -> DataFrame:
    exported = silver_sales.select(*LINE, F.lit("exports").alias("source"))
    sold = exported.unionByName(as_orders(silver_api_sales).select(*LINE, F.lit("api").alias("source")))
    lines = sold.join(F.broadcast(conf_sale_sources), on="source", how="inner")
    orders = lines.groupBy(*ORDER).agg(
        F.min("precedence").alias("precedence"),
        (F.min("precedence") < F.max("precedence")).alias("is_in_both"),
    )
    return lines.join(orders, on=[*ORDER, "precedence"], how="inner").select(
        # ids
        *ORDER,
        "line_number",
        "customer_id",
        "sku",
        # attributes
        F.col("source").alias("taken_from"),
        "is_in_both",
        "order_status",
        "payment_method",
        "currency",
        # amounts
        "quantity",
        "unit_price",
        "line_total",
        "line_cost",
        "line_margin",
        # times
        "ordered_at",
        "order_date",
    )


def as_orders(sales: DataFrame) -> DataFrame:
    """The API's lines in the words of the exports; of what it does not say nothing is known."""
    unknown = {"payment_method": "string", "line_cost": "decimal(18,2)", "line_margin": "decimal(18,2)"}
    named = sales.withColumnsRenamed({"sale_id": "order_id", "sold_at": "ordered_at", "sale_date": "order_date"})
    return named.withColumns({name: F.lit(None).cast(kind) for name, kind in unknown.items()})
