"""A peer: silver and gold from all files in plain Spark, written over what was there.

    .venv/bin/python -m tests.bench.spark_recompute LANDING LAKE

As a good Spark engineer would write it without this project: schemas given, windows that share one shuffle, each
table read back from Delta by the next. No rules, no evidence, no quarantine, no bronze; the session is ours.
"""

from __future__ import annotations

import sys
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.engines.spark import jvm
from tests.bench.peer_columns import (
    CUSTOMERS,
    DELIVERY_ITEMS,
    EMPLOYEES,
    HEADERS,
    OF_THE_ORDER,
    OF_THE_TASK,
    ORDER_LINES,
    SALES,
    ZONES,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from tests.bench.peer_columns import Columns

READ_AS = {
    "text": "{}",
    "int": "cast({} as int)",
    "bigint": "cast({} as bigint)",
    "double": "cast({} as double)",
    "money": "cast({} as decimal(18,2))",
    "minutes": "nullif(cast({} as decimal(18,2)), 0)",
    "signed": "cast(regexp_replace({}, '^[^0-9.]+', '') as decimal(18,2))",
    "known": "nullif(cast({} as bigint), 0)",
    "order": "cast(regexp_extract({}, '^YR-([0-9]+),0$', 1) as bigint)",
    "flag": "{} = '1'",
    "day": "cast(left({}, 10) as date)",
    "instant": "cast({} as timestamp)",
    "local": "to_utc_timestamp(cast({} as timestamp), zone)",
}
DELIVERED = {
    "order_lines": """
        select *, row_number() over (partition by market, order_id order by _place) as line_number from (
            select *, max(_file) over (partition by market, order_id) as _newest,
                row_number() over (partition by market, order_id, _file, _cells order by _place) as _nth
            from delivered
        ) where _file = _newest and _nth = 1""",
    "delivery_items": """
        select *, row_number() over (partition by market, task_id order by _place) as item_number from (
            select *, max(_file) over (partition by market, task_id) as _newest from delivered
        ) where _file = _newest""",
    "customers": """
        select * from (
            select *, row_number() over (partition by market, customer_id order by _file desc, _place desc) as _nth
            from delivered
        ) where _nth = 1""",
}
COMPUTED = {
    "silver.orders": f"""
        select market, order_id, header.*, line_count, units from (
            select market, order_id, min_by(struct({", ".join(OF_THE_ORDER)}), line_number) as header,
                count(*) as line_count, sum(quantity) as units
            from silver_order_lines group by market, order_id
        )""",
    "silver.deliveries": f"""
        select market, task_id, last.*, item_count, items_total from (
            select market, task_id, max_by(struct({", ".join(OF_THE_TASK)}), item_number) as last,
                count(*) as item_count, cast(sum(amount) as decimal(18,2)) as items_total
            from silver_delivery_items group by market, task_id
        )""",
    "silver.sales": f"""
        select {", ".join(SALES)} from (
            select line.*, head.* except (market, order_id), last_used_platform as customer_platform,
                customer.customer_id is not null as is_customer_known, is_blocked as is_customer_blocked,
                delivery_status, cast(line_total - line_cost as decimal(18,2)) as line_margin,
                coalesce(delivery_tasks, 0) as delivery_tasks, delivery_distance_m
            from (select market, order_id, line_number, sku, category_name, quantity, unit_price, unit_cost,
                    line_total, line_cost from silver_order_lines) as line
            join (select market, order_id, customer_id, order_status, payment_method, currency, order_total,
                    ordered_at, order_date, promised_at from silver_orders) as head using (market, order_id)
            left join silver_customers as customer
                on customer.market = head.market and customer.customer_id = head.customer_id
            left join deliveries_of_orders as delivery
                on delivery.market = head.market and delivery.order_id = head.order_id
        )""",
    "gold.daily_sales": """
        select market, order_date, trunc(order_date, 'month') as order_month, currency, count(*) as orders,
            count_if(order_status = 'COMPLETED') as completed_orders,
            cast(coalesce(sum(order_total) filter (where order_status = 'COMPLETED'), 0) as decimal(18,2)) as revenue,
            cast(sum(order_total) as decimal(18,2)) as placed_value, sum(line_count) as lines, sum(units) as units
        from silver_orders group by market, order_date, currency""",
    "gold.customer_metrics": """
        with known as (
            select market, customer_id from silver_customers union select market, customer_id from silver_orders
        ), completed as (
            select head.*, delivery_distance_m
            from silver_orders as head left join deliveries_of_orders using (market, order_id)
            where order_status = 'COMPLETED'
        ), amounts as (
            select market, customer_id, cast(sum(order_total) as decimal(18,2)) as total_order_amount,
                max(order_total) as highest_order_amount, min(order_total) as lowest_order_amount,
                count(*) as order_count, sum(units) as units, sum(delivery_distance_m) as metres,
                count(delivery_distance_m) as with_distance, min(ordered_at) as first_order_at,
                max(ordered_at) as last_order_at
            from completed group by market, customer_id
        ), products as (
            select completed.market, completed.customer_id, count(distinct sku) as distinct_products
            from (select market, order_id, sku from silver_order_lines) join completed using (market, order_id)
            group by completed.market, completed.customer_id
        )
        select market, customer_id, total_order_amount,
            {average_order} as average_order_amount, highest_order_amount, lowest_order_amount,
            coalesce(order_count, 0) as order_count, coalesce(units, 0) as total_quantity_ordered,
            {average_units} as average_quantity_per_order,
            cast(metres / 1000bd as decimal(18,3)) as total_delivery_distance_km,
            {average_distance} as average_delivery_distance_km,
            coalesce(distinct_products, 0) as distinct_products, first_order_at, last_order_at
        from known left join amounts using (market, customer_id) left join products using (market, customer_id)""",
}
DELIVERIES_OF_ORDERS = """
    select market, order_id, count(*) as delivery_tasks, max_by(task_status, task_id) as delivery_status,
        sum(distance_m) as delivery_distance_m
    from silver_deliveries where task_type = 'Delivery' and order_id is not null group by market, order_id"""


def average(total: str, count: str) -> str:
    """Half up; `/` on two decimals of such sizes keeps enough places that no tie is made by rounding."""
    quotient = f"cast({total} as decimal(23,3)) / cast({count} as decimal(10,0))"
    return f"cast(round(case when {count} > 0 then {quotient} end, 4) as decimal(18,4))"


AVERAGES = {
    "average_order": average("total_order_amount", "order_count"),
    "average_units": average("units", "order_count"),
    "average_distance": average("metres / 1000bd", "with_distance"),
}


def delivered(spark: SparkSession, landing: str, kind: str, columns: Columns) -> DataFrame:
    """What these columns are in every row of every file, and where it stands."""
    return reduce(both, (of_market(spark, landing, kind, columns, market) for market in ZONES))


def both(some: DataFrame, more: DataFrame) -> DataFrame:
    return some.unionByName(more)


def of_market(spark: SparkSession, landing: str, kind: str, columns: Columns, market: int) -> DataFrame:
    zone, _, currency = ZONES[market]
    if kind == "customers":
        keys = [EMPLOYEES[market] if name == "Number of Employees" else name for name, _ in columns.values()]
        files = f"{landing}/market_{market}/*/*Customers*.json"
        raw = spark.read.option("multiLine", "true").schema(strings(keys)).json(files)
        raw = raw.withColumnRenamed(EMPLOYEES[market], "Number of Employees")
    else:
        header = HEADERS[kind][market]
        files = f"{landing}/market_{market}/*/*{kind.title()}*.csv"
        raw = spark.read.option("header", "true").option("escape", '"').schema(strings(header)).csv(files)
    there = set(raw.columns)
    typed = {
        name: READ_AS[kind_of].format(cell(column)) if column in there else "cast(null as string)"
        for name, (column, kind_of) in columns.items()
    }
    return (
        raw.withColumns({"zone": F.lit(zone), "market": F.lit(market)})
        .withColumns({"_file": F.col("_metadata.file_path"), "_place": F.monotonically_increasing_id()})
        .withColumn("_cells", F.xxhash64(*(f"`{name}`" for name in raw.columns)))
        .selectExpr(
            "market",
            *(f"{text} as {name}" for name, text in typed.items()),
            f"'{currency}' as currency",
            "_file",
            "_place",
            "_cells",
        )
    )


def strings(names: list[str]) -> str:
    return ", ".join(f"`{name}` string" for name in names)


def cell(name: str) -> str:
    return f"nullif(nullif(nullif(`{name}`, ''), '-'), 'null')"


def write(spark: SparkSession, lake: str, name: str, rows: DataFrame) -> None:
    """Over what was there; the next ones read it from there."""
    path = f"{lake}/{name.replace('.', '/')}"
    rows = rows.drop(*(column for column in rows.columns if column.startswith("_")))
    rows.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(path)
    spark.read.format("delta").load(path).createOrReplaceTempView(name.replace(".", "_"))


def main(landing: str, lake: str) -> None:
    spark = jvm.start(long=True)
    sources = {
        "order_lines": ("orders", ORDER_LINES),
        "delivery_items": ("deliveries", DELIVERY_ITEMS),
        "customers": ("customers", CUSTOMERS),
    }
    for table, (kind, columns) in sources.items():
        delivered(spark, landing, kind, columns).createOrReplaceTempView("delivered")
        write(spark, lake, f"silver.{table}", spark.sql(DELIVERED[table]))
    for table, statement in COMPUTED.items():
        if table == "silver.sales":
            spark.sql(DELIVERIES_OF_ORDERS).createOrReplaceTempView("deliveries_of_orders")
        write(spark, lake, table, spark.sql(statement.format(**AVERAGES)))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
