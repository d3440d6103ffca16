"""A peer: only new files are read, by Polars; delta-rs appends them to bronze and merges what changed into silver.

    .venv/bin/python -m tests.bench.polars_merge LANDING LAKE

Silver keeps the file of each document, so that an older delivery which comes late loses. `silver.sales` is merged for
the orders that a change reaches: by their lines, their tasks or their customer. Gold is computed anew from silver,
which is cheaper here than finding out what to merge. No rules, no evidence, no quarantine.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from deltalake import DeltaTable

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
    from collections.abc import Sequence

SOURCES = {"orders": ORDER_LINES, "deliveries": DELIVERY_ITEMS, "customers": CUSTOMERS}
FILES_AT_ONCE = 60  # of one kind and market, for bronze: a first load is more than memory holds
CENTS, FOUR_PLACES = pl.Decimal(18, 2), pl.Decimal(18, 4)
ORDER, TASK, CUSTOMER = ["market", "order_id"], ["market", "task_id"], ["market", "customer_id"]


class State:
    """The tables below one folder, and the files that they include."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.loaded = self.folder / "loaded.json"

    def new_files(self) -> list[str]:
        known = set(json.loads(self.loaded.read_text("utf-8"))) if self.loaded.exists() else set()
        return sorted({str(path) for path in Path().glob("*/*/*.*")} - known)

    def note(self, files: Sequence[str]) -> None:
        known = json.loads(self.loaded.read_text("utf-8")) if self.loaded.exists() else []
        self.loaded.write_text(json.dumps([*known, *files]), encoding="utf-8")

    def path(self, name: str) -> str:
        return str(self.folder.joinpath(*name.split(".")))

    def scan(self, name: str) -> pl.LazyFrame:
        return pl.scan_delta(self.path(name))

    def is_there(self, name: str) -> bool:
        return DeltaTable.is_deltatable(self.path(name))

    def append(self, name: str, rows: pl.DataFrame) -> None:
        rows.write_delta(self.path(name), mode="append")

    def overwrite(self, name: str, rows: pl.DataFrame) -> None:
        rows.write_delta(self.path(name), mode="overwrite")

    def merge(self, name: str, key: Sequence[str], rows: pl.DataFrame, gone: pl.DataFrame | None = None) -> None:
        """Update and insert rows, and delete those of the keys in `gone`; the first time they are all there is."""
        if not self.is_there(name):
            self.overwrite(name, rows)
            return
        source = rows.with_columns(pl.lit(value=False).alias("_gone"))
        if gone is not None and len(gone):
            source = pl.concat(
                [source, gone.select(key).with_columns(pl.lit(value=True).alias("_gone"))], how="diagonal"
            )
        values = {column: f"s.{column}" for column in rows.columns}
        same = " and ".join(f"t.{column} = s.{column}" for column in key)
        merge = DeltaTable(self.path(name)).merge(source.to_arrow(), same, source_alias="s", target_alias="t")
        merge = merge.when_matched_delete("s._gone").when_matched_update(values, "not s._gone")
        merge.when_not_matched_insert(values, "not s._gone").execute()


# The files


def raw(kind: str, market: int, files: list[str]) -> pl.LazyFrame:
    """Every cell as text, with the file and the place in it."""
    if kind == "customers":
        keys = [EMPLOYEES[market] if name == "Number of Employees" else name for name, _ in CUSTOMERS.values()]
        frames = [
            pl.read_json(file, schema=dict.fromkeys(keys, pl.String)).with_columns(_file=pl.lit(file)) for file in files
        ]
        return pl.concat(frames).with_row_index("_place").lazy()
    schema = dict.fromkeys(HEADERS[kind][market], pl.String)
    return pl.scan_csv(
        files, schema=schema, has_header=False, skip_lines=1, include_file_paths="_file", row_index_name="_place"
    )


def append_to_bronze(state: State, kind: str, market: int, files: list[str]) -> None:
    for start in range(0, len(files), FILES_AT_ONCE):
        rows = raw(kind, market, files[start : start + FILES_AT_ONCE]).collect()
        names = {column: column.lower().replace(" ", "_").replace("(", "_").replace(")", "") for column in rows.columns}
        state.append(f"bronze.{kind}_{market}", rows.rename(names))


def typed(kind: str, market: int, files: list[str]) -> pl.LazyFrame:
    rows, (_, ahead, currency) = raw(kind, market, files), ZONES[market]
    there = {*HEADERS.get(kind, {}).get(market, ()), *(name for name, _ in CUSTOMERS.values())}
    columns = {}
    for name, (column, kind_of) in SOURCES[kind].items():
        delivered = EMPLOYEES[market] if column == "Number of Employees" else column
        text = pl.col(delivered).replace(["", "-", "null"], None) if column in there else pl.lit(None, pl.String)
        columns[name] = read(text, kind_of, ahead)
    cells = HEADERS[kind][market] if kind in HEADERS else list(SOURCES["customers"])[:0]
    return rows.select(
        pl.lit(market, pl.Int32).alias("market"),
        *(expression.alias(name) for name, expression in columns.items()),
        pl.lit(currency).alias("currency"),
        "_file",
        "_place",
        (pl.struct(cells).hash() if cells else pl.lit(0, pl.UInt64)).alias("_cells"),
    )


def read(text: pl.Expr, kind: str, ahead: int) -> pl.Expr:
    instant = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="us").dt.replace_time_zone("UTC")
    number = text.cast(pl.Int64)
    readings = {
        "text": text,
        "int": text.cast(pl.Int32),
        "bigint": number,
        "double": text.cast(pl.Float64),
        "money": text.cast(CENTS),
        "minutes": text.replace(["0", "0.0", "0.00"], None).cast(CENTS),
        "signed": text.str.replace("^[^0-9.]+", "").cast(CENTS),
        "known": pl.when(number != 0).then(number),
        "order": text.str.extract("^YR-([0-9]+),0$").cast(pl.Int64),
        "flag": text == "1",
        "day": text.str.slice(0, 10).str.to_date("%Y-%m-%d"),
        "instant": instant,
        "local": instant.dt.offset_by(f"-{ahead}h"),
    }
    return readings[kind]


# Silver


def newest(rows: pl.LazyFrame, key: list[str]) -> pl.LazyFrame:
    """Each document as its newest file in this batch has it."""
    return rows.filter(pl.col("_file") == pl.col("_file").max().over(key))


def winners(state: State, name: str, key: list[str], batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """The batch's documents that are newer than what silver has of them; and silver's keys of these documents."""
    if not state.is_there(name):
        return batch, None
    place = ["line_number"] if key == ORDER else ["item_number"] if key == TASK else []
    stored = (
        state.scan(name)
        .select(*key, *place, "_file")
        .join(batch.select(key).unique().lazy(), on=key, how="semi")
        .collect()
    )
    known = stored.group_by(key).agg(pl.col("_file").max().alias("_known"))
    won = batch.join(known, on=key, how="left").filter(
        pl.col("_known").is_null() | (pl.col("_file") > pl.col("_known"))
    )
    return won.drop("_known"), stored.join(won.select(key).unique(), on=key, how="semi")


def documents(
    state: State, name: str, key: list[str], batch: pl.LazyFrame, place: str = ""
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Merge a batch's rows; returns those that are new or changed, and the rows of them that silver had before."""
    rows = newest(batch, key).collect().sort("_place")
    if place:
        rows = rows.unique([*key, "_cells"], keep="first", maintain_order=True) if place == "line_number" else rows
        rows = rows.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(key).alias(place))
    else:
        rows = rows.unique(key, keep="last", maintain_order=True)
    won, stored = winners(state, name, key, rows.drop("_place", "_cells"))
    gone = stored.join(won, on=[*key, place], how="anti") if place and stored is not None else None
    state.merge(name, [*key, place] if place else key, won, gone)
    return won, stored


def orders_of(lines: pl.DataFrame) -> pl.DataFrame:
    first = [pl.col(name).sort_by("line_number").first() for name in OF_THE_ORDER]
    units = pl.col("quantity").sum().cast(pl.Int64).alias("units")
    return lines.group_by(ORDER).agg(*first, pl.len().cast(pl.Int64).alias("line_count"), units)


def tasks_of(items: pl.DataFrame) -> pl.DataFrame:
    last = [pl.col(name).sort_by("item_number").last() for name in OF_THE_TASK]
    total = pl.col("amount").sum().cast(CENTS).alias("items_total")
    return items.group_by(TASK).agg(*last, pl.len().cast(pl.Int64).alias("item_count"), total)


def deliveries_of_orders(tasks: pl.LazyFrame) -> pl.LazyFrame:
    known = tasks.filter((pl.col("task_type") == "Delivery") & pl.col("order_id").is_not_null())
    distance = pl.when(pl.col("distance_m").count() > 0).then(pl.col("distance_m").sum())
    return known.group_by(ORDER).agg(
        pl.len().cast(pl.Int64).alias("delivery_tasks"),
        pl.col("task_status").sort_by("task_id").last().alias("delivery_status"),
        distance.alias("delivery_distance_m"),
    )


def sales_of(state: State, touched: pl.DataFrame | None) -> pl.DataFrame:
    """The lines of the touched orders with their order, customer and delivery; of all orders where none are named."""

    def narrowed(name: str) -> pl.LazyFrame:
        return state.scan(name) if touched is None else state.scan(name).join(touched.lazy(), on=ORDER, how="semi")

    lines = narrowed("silver.order_lines").select(
        *ORDER, "line_number", "sku", "category_name", "quantity", "unit_price", "unit_cost", "line_total", "line_cost"
    )
    orders = narrowed("silver.orders").select(
        *ORDER, "customer_id", "order_status", "payment_method", "currency", "order_total", "ordered_at", "order_date",
        "promised_at",
    )  # fmt: skip
    customers = state.scan("silver.customers").select(
        *CUSTOMER,
        pl.col("last_used_platform").alias("customer_platform"),
        pl.col("is_blocked").alias("is_customer_blocked"),
        pl.lit(value=True).alias("is_customer_known"),
    )
    return (
        lines.join(orders, on=ORDER, how="inner")
        .join(customers, on=CUSTOMER, how="left")
        .join(deliveries_of_orders(narrowed("silver.deliveries")), on=ORDER, how="left")
        .with_columns(
            pl.col("is_customer_known").fill_null(value=False),
            pl.col("delivery_tasks").fill_null(0),
            (pl.col("line_total") - pl.col("line_cost")).cast(CENTS).alias("line_margin"),
        )
        .select(SALES)
        .collect()
    )


def touched_orders(
    state: State, lines: pl.DataFrame, tasks: pl.DataFrame, were: pl.DataFrame, customers: pl.DataFrame
) -> pl.DataFrame:
    """By their lines, by a task that is or was theirs, or by their customer."""
    theirs = state.scan("silver.orders").join(customers.select(CUSTOMER).lazy(), on=CUSTOMER, how="semi").select(ORDER)
    by_task = pl.concat([tasks.select(ORDER), were.select(ORDER)])
    return pl.concat([lines.select(ORDER), by_task, theirs.collect()]).unique().drop_nulls()


def merge_silver(state: State, files: dict[tuple[str, int], list[str]]) -> None:
    def batch(kind: str) -> pl.LazyFrame:
        return pl.concat([typed(kind, market, found) for (of, market), found in files.items() if of == kind])

    is_first = not state.is_there("silver.sales")
    lines, stored = documents(state, "silver.order_lines", ORDER, batch("orders"), "line_number")
    state.merge("silver.orders", ORDER, orders_of(lines))
    items, _ = documents(state, "silver.delivery_items", TASK, batch("deliveries"), "item_number")
    tasks = tasks_of(items)
    were = (
        tasks
        if is_first
        else state.scan("silver.deliveries").join(tasks.select(TASK).lazy(), on=TASK, how="semi").collect()
    )
    state.merge("silver.deliveries", TASK, tasks)
    customers, _ = documents(state, "silver.customers", CUSTOMER, batch("customers").drop("currency"))
    if is_first:
        state.overwrite("silver.sales", sales_of(state, None))
        return
    touched = touched_orders(state, lines, tasks, were, customers)
    sales = sales_of(state, touched)
    grain = [*ORDER, "line_number"]
    gone = stored.select(grain).join(sales, on=grain, how="anti") if stored is not None else None
    state.merge("silver.sales", grain, sales, gone)


# Gold


def half_up(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Ten-thousandths as a decimal of four places; of nothing it is null."""
    whole = pl.when(denominator > 0).then((2 * numerator + denominator) // (2 * denominator))
    return (whole.cast(pl.Decimal(38, 4)) / pl.lit(10_000).cast(pl.Decimal(38, 0))).cast(FOUR_PLACES)


def daily_sales(state: State) -> pl.DataFrame:
    is_completed = pl.col("order_status") == "COMPLETED"
    days = (
        state.scan("silver.orders")
        .group_by("market", "order_date", "currency")
        .agg(
            pl.len().cast(pl.Int64).alias("orders"),
            is_completed.sum().cast(pl.Int64).alias("completed_orders"),
            pl.col("order_total").filter(is_completed).sum().cast(CENTS).alias("revenue"),
            pl.col("order_total").sum().cast(CENTS).alias("placed_value"),
            pl.col("line_count").sum().alias("lines"),
            pl.col("units").sum(),
        )
    )
    return days.with_columns(pl.col("order_date").dt.truncate("1mo").alias("order_month")).collect()


def customer_metrics(state: State) -> pl.DataFrame:
    completed = state.scan("silver.orders").filter(pl.col("order_status") == "COMPLETED")
    with_distance = completed.join(deliveries_of_orders(state.scan("silver.deliveries")), on=ORDER, how="left")
    amounts = with_distance.group_by(CUSTOMER).agg(
        pl.col("order_total").sum().cast(CENTS).alias("total_order_amount"),
        pl.col("order_total").max().alias("highest_order_amount"),
        pl.col("order_total").min().alias("lowest_order_amount"),
        pl.len().cast(pl.Int64).alias("order_count"),
        pl.col("units").sum(),
        pl.col("delivery_distance_m").sum().alias("metres"),
        pl.col("delivery_distance_m").count().cast(pl.Int64).alias("with_distance"),
        pl.col("ordered_at").min().alias("first_order_at"),
        pl.col("ordered_at").max().alias("last_order_at"),
    )
    lines = (
        state.scan("silver.order_lines").select(*ORDER, "sku").join(completed.select(*ORDER, "customer_id"), on=ORDER)
    )
    products = lines.group_by(CUSTOMER).agg(
        pl.col("sku").drop_nulls().n_unique().cast(pl.Int64).alias("distinct_products")
    )
    known = pl.concat([state.scan(f"silver.{name}").select(CUSTOMER) for name in ("customers", "orders")]).unique()
    cents = (pl.col("total_order_amount") * pl.lit(100)).cast(pl.Int64)
    metres = pl.when(pl.col("with_distance") > 0).then(pl.col("metres"))
    both = known.join(amounts, on=CUSTOMER, how="left").join(products, on=CUSTOMER, how="left")
    kilometres = metres.cast(pl.Decimal(38, 3)) / pl.lit(1000).cast(pl.Decimal(38, 0))
    return both.select(
        *CUSTOMER,
        "total_order_amount",
        half_up(cents * 100, pl.col("order_count")).alias("average_order_amount"),
        "highest_order_amount",
        "lowest_order_amount",
        pl.col("order_count").fill_null(0),
        pl.col("units").fill_null(0).alias("total_quantity_ordered"),
        half_up(pl.col("units") * 10_000, pl.col("order_count")).alias("average_quantity_per_order"),
        kilometres.cast(pl.Decimal(18, 3)).alias("total_delivery_distance_km"),
        half_up(metres * 10, pl.col("with_distance")).alias("average_delivery_distance_km"),
        pl.col("distinct_products").fill_null(0),
        "first_order_at",
        "last_order_at",
    ).collect()


def main(landing: str, lake: str) -> None:
    state = State(str(Path(lake).resolve()))
    os.chdir(landing)  # so that a file is known by its path below it
    new = state.new_files()
    files: dict[tuple[str, int], list[str]] = {}
    for path in new:
        kind = next(kind for kind in SOURCES if kind in Path(path).name.lower())
        files.setdefault((kind, int(Path(path).parent.parent.name[-1])), []).append(path)
    for (kind, market), found in files.items():
        append_to_bronze(state, kind, market, found)
    merge_silver(state, files)
    state.overwrite("gold.daily_sales", daily_sales(state))
    state.overwrite("gold.customer_metrics", customer_metrics(state))
    state.note(new)


if __name__ == "__main__":
    main(*sys.argv[1:])
