"""A peer: silver and gold from all files in DuckDB, written over what was there by delta-rs.

    .venv/bin/python -m tests.bench.duckdb_recompute LANDING LAKE

The same tables as the other recompute, from the same columns. No rules, no evidence, no quarantine, no bronze.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
from deltalake import write_deltalake

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
    Columns,
)

MEMORY = "6GB"
BATCH = 200_000  # rows handed over to delta-rs at a time
READ_AS = {
    "text": "{}",
    "int": "{}::int",
    "bigint": "{}::bigint",
    "double": "{}::double",
    "money": "{}::decimal(18,2)",
    "minutes": "nullif({}::decimal(18,2), 0)",
    "signed": "regexp_replace({}, '^[^0-9.]+', '')::decimal(18,2)",
    "known": "nullif({}::bigint, 0)",
    "order": "nullif(regexp_extract({}, '^YR-([0-9]+),0$', 1), '')::bigint",
    "flag": "{} = '1'",
    "day": "left({}, 10)::date",
    "instant": "{}::timestamptz",
    "local": "{}::timestamptz - to_hours(ahead)",
}
DELIVERED = {
    "silver.order_lines": """
        select * exclude (_newest, _nth),
            row_number() over (partition by market, order_id order by _place)::int as line_number
        from (
            select *, max(_file) over (partition by market, order_id) as _newest,
                row_number() over (partition by market, order_id, _file, _cells order by _place) as _nth
            from delivered
        ) where _file = _newest and _nth = 1""",
    "silver.delivery_items": """
        select * exclude (_newest), row_number() over (partition by market, task_id order by _place)::int as item_number
        from (select *, max(_file) over (partition by market, task_id) as _newest from delivered)
        where _file = _newest""",
    "silver.customers": """
        select * from delivered
        qualify row_number() over (partition by market, customer_id order by _file desc, _place desc) = 1""",
}
COMPUTED = {
    "silver.orders": f"""
        select market, order_id, {", ".join(f"arg_min_null({name}, line_number) as {name}" for name in OF_THE_ORDER)},
            count(*) as line_count, sum(quantity)::bigint as units
        from silver.order_lines group by market, order_id""",
    "silver.deliveries": f"""
        select market, task_id, {", ".join(f"arg_max_null({name}, item_number) as {name}" for name in OF_THE_TASK)},
            count(*) as item_count, sum(amount)::decimal(18,2) as items_total
        from silver.delivery_items group by market, task_id""",
    "silver.deliveries_of_orders": """
        select market, order_id, count(*) as delivery_tasks, arg_max(task_status, task_id) as delivery_status,
            sum(distance_m)::bigint as delivery_distance_m
        from silver.deliveries where task_type = 'Delivery' and order_id is not null group by market, order_id""",
    "silver.sales": f"""
        select {", ".join(SALES)} from (
            select line.* exclude (customer_id, order_status, payment_method, currency, order_total, ordered_at,
                    order_date, promised_at),
                head.* exclude (market, order_id), last_used_platform as customer_platform,
                customer.customer_id is not null as is_customer_known, is_blocked as is_customer_blocked,
                delivery_status, (line_total - line_cost)::decimal(18,2) as line_margin,
                coalesce(delivery_tasks, 0) as delivery_tasks, delivery_distance_m
            from silver.order_lines as line
            join silver.orders as head using (market, order_id)
            left join silver.customers as customer
                on customer.market = head.market and customer.customer_id = head.customer_id
            left join silver.deliveries_of_orders as delivery
                on delivery.market = head.market and delivery.order_id = head.order_id
        )""",
    "gold.daily_sales": """
        select market, order_date, date_trunc('month', order_date)::date as order_month, currency, count(*) as orders,
            count_if(order_status = 'COMPLETED')::bigint as completed_orders,
            coalesce(sum(order_total) filter (order_status = 'COMPLETED'), 0)::decimal(18,2) as revenue,
            sum(order_total)::decimal(18,2) as placed_value, sum(line_count)::bigint as lines,
            sum(units)::bigint as units
        from silver.orders group by market, order_date, currency""",
    "gold.customer_metrics": """
        with known as (
            select market, customer_id from silver.customers union select market, customer_id from silver.orders
        ), completed as (
            select head.*, delivery_distance_m
            from silver.orders as head left join silver.deliveries_of_orders using (market, order_id)
            where order_status = 'COMPLETED'
        ), amounts as (
            select market, customer_id, sum(order_total)::decimal(18,2) as total_order_amount,
                max(order_total) as highest_order_amount, min(order_total) as lowest_order_amount,
                count(*) as order_count, sum(units)::bigint as units, sum(delivery_distance_m)::bigint as metres,
                count(delivery_distance_m) as with_distance, min(ordered_at) as first_order_at,
                max(ordered_at) as last_order_at
            from completed group by market, customer_id
        ), products as (
            select completed.market, completed.customer_id, count(distinct sku) as distinct_products
            from silver.order_lines join completed using (market, order_id)
            group by completed.market, completed.customer_id
        )
        select market, customer_id, total_order_amount,
            ten_thousandths(half_up((total_order_amount * 100)::bigint * 100, order_count)) as average_order_amount,
            highest_order_amount, lowest_order_amount, coalesce(order_count, 0) as order_count,
            coalesce(units, 0) as total_quantity_ordered,
            ten_thousandths(half_up(units * 10000, order_count)) as average_quantity_per_order,
            (metres::decimal(15,0) * 0.001::decimal(4,3))::decimal(18,3) as total_delivery_distance_km,
            case when with_distance > 0 then ten_thousandths(half_up(metres * 10, with_distance)) end
                as average_delivery_distance_km,
            coalesce(distinct_products, 0) as distinct_products, first_order_at, last_order_at
        from known left join amounts using (market, customer_id) left join products using (market, customer_id)""",
}
MACROS = """
    create macro half_up(numerator, denominator) as (2 * numerator + denominator) // (2 * denominator);
    create macro ten_thousandths(units) as (units::decimal(18,0) * 0.0001::decimal(5,4))::decimal(18,4);
"""


def delivered(landing: str, kind: str, columns: Columns) -> str:
    """What these columns are in every row of every file, and where it stands."""
    return " union all ".join(of_market(landing, kind, columns, market) for market in ZONES)


def of_market(landing: str, kind: str, columns: Columns, market: int) -> str:
    """Rows of a file come in their order, so that counting them as they come is their place."""
    _, ahead, currency = ZONES[market]
    if kind == "customers":
        keys = {name: EMPLOYEES[market] if name == "Number of Employees" else name for name, _ in columns.values()}
        struct = ", ".join(f"'{key}': 'VARCHAR'" for key in keys.values())
        source = f"read_json('{landing}/market_{market}/*/*Customers*.json', columns = {{{struct}}}, filename = true)"
    else:
        keys = {name: name for name in HEADERS[kind][market]}
        struct = ", ".join(f"'{key}': 'VARCHAR'" for key in keys)
        source = (
            f"read_csv('{landing}/market_{market}/*/*{kind.title()}*.csv', columns = {{{struct}}}, filename = true, "
            "header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"')"
        )
    typed = [f"{read(keys.get(column), kind_of)} as {name}" for name, (column, kind_of) in columns.items()]
    cells = ", ".join(f'"{key}"' for key in keys.values())
    return f"""
        select {market} as market, {", ".join(typed)}, '{currency}' as currency, filename as _file,
            row_number() over () as _place, hash({cells}) as _cells
        from (select *, {ahead} as ahead from {source})"""


def read(column: str | None, kind: str) -> str:
    text = f"nullif(nullif(nullif(\"{column}\", ''), '-'), 'null')" if column else "null::varchar"
    return READ_AS[kind].format(text)


def write(connection: duckdb.DuckDBPyConnection, lake: str, name: str) -> None:
    hidden = [
        column
        for (column,) in connection.execute(f"select column_name from (describe {name})").fetchall()
        if column.startswith("_")
    ]
    exclude = f"exclude ({', '.join(hidden)})" if hidden else ""
    path = Path(lake, *name.split("."))
    path.mkdir(parents=True, exist_ok=True)
    rows = connection.sql(f"select * {exclude} from {name}").to_arrow_reader(BATCH)
    write_deltalake(str(path), rows, mode="overwrite", schema_mode="overwrite")


def main(landing: str, lake: str) -> None:
    connection = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": f"{lake}.spilled"})
    connection.execute("set timezone = 'UTC'; create schema silver; create schema gold;" + MACROS)
    sources = {
        "silver.order_lines": ("orders", ORDER_LINES),
        "silver.delivery_items": ("deliveries", DELIVERY_ITEMS),
        "silver.customers": ("customers", CUSTOMERS),
    }
    for name, (kind, columns) in sources.items():
        connection.execute(f"create or replace temp view delivered as {delivered(landing, kind, columns)}")
        connection.execute(f"create table {name} as {DELIVERED[name]}")
        write(connection, lake, name)
    for name, statement in COMPUTED.items():
        connection.execute(f"create table {name} as {statement}")
        if name != "silver.deliveries_of_orders":
            write(connection, lake, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
