"""Rows as tests write them: factories with right defaults, text in and text out, so that literals are exact."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pytest
from pyarrow import parquet as pq
from pyspark.sql import functions as F

from lakehouse import graph
from lakehouse.documents.judgement import judging, parsing, rules
from lakehouse.intake.rows.files import CORE_COLUMNS
from lakehouse.writes.lake import conf_rows, conform

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.graph import Table

Cells = dict[str, object]
Texts = dict[str, str | None]
Built = Callable[[str, Mapping[str, Sequence[Cells]]], list[Texts]]
Judged = Callable[[str, Sequence[Cells]], list[Texts]]


class Case(NamedTuple):
    """A delivered row and what of it is expected; no rule is broken unless `_broken` or `_warned` says so."""

    sentence: str
    row: Cells
    expected: Mapping[str, str | None]

    def found_in(self, row: Texts) -> Texts:
        return {name: row[name] for name in self.wanted}

    @property
    def wanted(self) -> Texts:
        return {"_broken": "", "_warned": "", **self.expected}


Parsed = Callable[[str, Sequence[Case]], dict[str, Texts]]
Read = Callable[[str, Mapping[str, str | bytes]], dict[str, list[Texts]]]


# Delivered rows, by the names of bronze


def an_order_row(**cells: object) -> Cells:
    """One line, alone in its order, of market 1."""
    ids = {"market": 1, "order_id": "7", "customer_id": "42", "sku": "A", "category_name": "Flour"}
    words = {"order_status": "COMPLETED", "payment_method": "CASH", "currency_symbol": "KSh", "description": "null"}
    prices = {"quantity": "2", "unit_price": "10", "cost_price": "8.5", "total_cost_price": "17", "total_price": "20"}
    totals = {"order_total": "20", "sub_total": "20", "merchant_id": "893555", "commission_amount": ""}
    points = {"redeemed_loyalty_points": "-", "consumed_loyalty_points": "-", "ratings": "", "reviews": ""}
    times = {"order_time": "2022-01-03T00:30:00.000Z", "pickup_time": "2022-01-03T00:31:00.000Z"}
    promised = {"delivery_time": "2022-01-03T08:00:00.000Z"}
    return ids | words | prices | totals | points | times | promised | cells


def a_customer_row(**cells: object) -> Cells:
    facts = {"market": 1, "customer_id": "42", "last_used_platform": "WEB", "language": "en", "is_blocked": "0"}
    numbers = {"outstanding_amount": "0", "loyalty_points": "10", "number_of_employees": "2"}
    return facts | numbers | {"created_at": "2022-01-02T21:30:00.000Z"} | cells


def a_delivery_row(**cells: object) -> Cells:
    """One item, alone in its task, of market 1."""
    ids = {"market": 1, "task_id": "900", "order_id": "YR-7,0", "agent_id": "-", "agent_name": "-"}
    words = {"task_type": "Delivery", "task_status": "Completed", "notes": "", "special_instructions": "-"}
    item = {"task_details_qty": "2", "task_details_amount": "KSh 20.00", "distance_m": "0", "rating": "0"}
    task = {"total_time_taken_min": "0", "tip": "-", "delivery_charges": "-", "discount": "-", "subtotal": "-"}
    return ids | words | item | task | {"latitude": "-1.25", "longitude": "36.75"} | cells


def an_exchange_rate_row(**cells: object) -> Cells:
    return {"rate_date": "2022-01-03", "currency": "KES", "reporting_currency": "USD", "rate": "0.0088"} | cells


def a_branch_row(**cells: object) -> Cells:
    facts = {"market": "1", "branch_id": "3", "branch_name": "Westlands", "city": "Nairobi", "opened_on": "2021-11-29"}
    return facts | {"closed_on": "-", "updated_at": "2022-01-01T00:00:00+03:00"} | cells


def a_branch_transaction_row(**cells: object) -> Cells:
    """One line, alone in its receipt, of market 1."""
    ids = {"market": 1, "branch_id": "3", "transaction_id": "1001", "customer_id": "42", "sku": "A"}
    amounts = {"quantity": "2", "unit_price": "10", "line_total": "20", "transaction_total": "20"}
    return ids | amounts | {"sold_at": "2022-01-03T00:30:00+03:00"} | cells


def a_conversation_row(**cells: object) -> Cells:
    ids = {"market": 1, "conversation_id": "70001", "branch_id": "3", "customer_id": "42"}
    times = {"opened_at": "2022-01-03T00:30:00+03:00", "resolved_at": "2022-01-04T01:15:00+03:00"}
    return ids | {"topic": "delivery", "channel": "chat"} | times | cells


def a_stock_row(**cells: object) -> Cells:
    ids = {"market": "1", "branch_id": "3", "sku": "A", "counted_on": "2022-01-03"}
    return ids | {"on_hand": "12", "unit_price": "10.50"} | cells


def a_branch_customer_row(**cells: object) -> Cells:
    ids = {"market": 1, "branch_id": "3", "customer_id": "42"}
    times = {"registered_on": "2021-11-29", "updated_at": "2022-01-01T00:00:00+03:00"}
    return ids | {"segment": "shop"} | times | cells


def a_branch_price_row(**cells: object) -> Cells:
    ids = {"market": 1, "branch_id": "3", "sku": "A", "valid_from": "2022-01-03"}
    return ids | {"list_price": "10.50"} | cells


def an_install(first: str, last: str | None = None, **values: object) -> Cells:
    """An object of a store's installHistory: of whole days, without a last one it goes on."""
    times = {"toNow": last is None, "startType": None, "fromDate": f"{first} 00:00:00.000000", "endType": None}
    return times | {"toDate": last and f"{last} 23:59:59.999000"} | values


def a_subscription(first: str, last: str | None = None, **values: object) -> Cells:
    """An object of a store's subscriptionHistory."""
    plan = {"price": 19.0, "planName": "regular_1", "fromDate": first, "toDate": last}
    return plan | {"billingOnDate": None} | values


def a_store_row(installs: Sequence[Cells] = (), subscriptions: Sequence[Cells] = (), **cells: object) -> Cells:
    """A store as it is delivered; with an install that goes on where none is said."""
    installs = installs or [an_install("2022-05-30")]
    histories = {"installhistory": json.dumps(installs), "subscriptionhistory": json.dumps(subscriptions)}
    return {"store_id": "Store_1"} | histories | cells


def a_product_row(**cells: object) -> Cells:
    ids = {"market": "1", "sku": "A", "product_name": "Flour 2 kg", "category_name": "Flour"}
    return ids | {"list_price": "10.50", "updated_at": "2022-01-01T10:00:00Z"} | cells


def a_merchant_row(**cells: object) -> Cells:
    return {"market": "1", "merchant_id": "893555", "merchant_name": "Duka", "commission_share": "0.15"} | cells


def an_api_sale_row(**cells: object) -> Cells:
    """One line, alone in its sale, of market 1."""
    ids = {"market": "1", "sale_id": "7", "line": "1", "customer_id": "42", "sku": "A", "product_name": "Flour 2 kg"}
    words = {"channel": "app", "status": "COMPLETED", "currency": "KES", "sold_at": "2022-01-02T21:30:00Z"}
    amounts = {"quantity": "2", "unit_price": "10.00", "total_price": "20.00", "sale_total": "20.00"}
    return ids | words | amounts | cells


# Rows of silver


def a_store(installs: Sequence[Cells] = (), subscriptions: Sequence[Cells] = (), **cells: object) -> Cells:
    histories = {"install_history": json.dumps(installs), "subscription_history": json.dumps(subscriptions)}
    counts = {"delivered_installs": len(installs), "delivered_subscriptions": len(subscriptions)}
    return {"store_id": "Store_1"} | histories | counts | cells


def a_store_install(first: str, last: str | None = None, **cells: object) -> Cells:
    """The first interval of a store."""
    ids = {"store_id": "Store_1", "install_number": 1, "delivered_intervals": 1}
    return ids | {"installed_date": first, "uninstalled_date": last} | cells


def a_store_subscription(first: str, last: str | None = None, **cells: object) -> Cells:
    """The first subscription of a store."""
    ids = {"store_id": "Store_1", "subscription_number": 1, "plan_name": "regular_1", "is_end_provisional": False}
    return ids | {"price": "19.00", "started_date": first, "ended_date": last} | cells


def an_order_line(**cells: object) -> Cells:
    """One line, alone in its order, of market 1."""
    ids = {"market": 1, "order_id": 7, "line_number": 1, "customer_id": 42, "sku": "A", "category_name": "Flour"}
    words = {"order_status": "COMPLETED", "payment_method": "CASH", "currency": "KES"}
    prices = {"quantity": 2, "unit_price": "10.00", "unit_cost": "8.50", "line_total": "20.00", "line_cost": "17.00"}
    times = {"ordered_at": "2022-01-02 21:30:00", "order_date": "2022-01-03", "promised_at": "2022-01-03 05:00:00"}
    return ids | words | prices | {"order_total": "20.00", "sub_total": "20.00"} | times | cells


def an_order(**cells: object) -> Cells:
    ids = {"market": 1, "order_id": 7, "customer_id": 42, "merchant_id": "893555"}
    words = {"order_status": "COMPLETED", "payment_method": "CASH", "currency": "KES"}
    amounts = {"order_total": "20.00", "sub_total": "20.00", "line_count": 1, "units": 2, "line_margin": "3.00"}
    times = {"ordered_at": "2022-01-02 21:30:00", "order_date": "2022-01-03", "order_hour": 0}
    return ids | words | amounts | times | {"promised_at": "2022-01-03 05:00:00"} | cells


def a_customer_order(**cells: object) -> Cells:
    """A completed order, its customer's first, unless said otherwise."""
    ids = {"market": 1, "customer_id": 42, "order_id": 7, "order_status": "COMPLETED", "currency": "KES"}
    amounts = {"order_total": "20.00", "line_margin": "3.00"}
    life = {"order_number": 1, "completed_number": 1, "cohort_month": "2022-01-01"}
    times = {"ordered_at": "2022-01-02 21:30:00", "order_date": "2022-01-03", "order_hour": 0}
    return ids | amounts | life | times | cells


def a_sale(**cells: object) -> Cells:
    """One completed line of market 1, alone in its order, whose customer no export holds."""
    ids = {"market": 1, "order_id": 7, "line_number": 1, "customer_id": 42, "sku": "A", "category_name": "Flour"}
    words = {"order_status": "COMPLETED", "payment_method": "CASH", "currency": "KES", "is_customer_known": False}
    prices = {"quantity": 2, "unit_price": "10.00", "unit_cost": "8.50", "line_total": "20.00", "line_cost": "17.00"}
    order = {"line_margin": "3.00", "order_total": "20.00", "delivery_tasks": 0}
    return ids | words | prices | order | {"ordered_at": "2022-01-02 21:30:00", "order_date": "2022-01-03"} | cells


def an_api_sale(**cells: object) -> Cells:
    """One completed line of market 1, alone in its sale."""
    ids = {"market": 1, "sale_id": 7, "line_number": 1, "customer_id": 42, "sku": "A", "order_status": "COMPLETED"}
    amounts = {"currency": "KES", "quantity": 2, "unit_price": "10.00", "line_total": "20.00", "sale_total": "20.00"}
    return ids | amounts | {"sold_at": "2022-01-02 21:30:00", "sale_date": "2022-01-03"} | cells


def a_sold_line(**cells: object) -> Cells:
    """One completed line of market 1, alone in its order, of the exports."""
    ids = {"market": 1, "order_id": 7, "line_number": 1, "customer_id": 42, "sku": "A", "taken_from": "exports"}
    words = {"is_in_both": False, "order_status": "COMPLETED", "payment_method": "CASH", "currency": "KES"}
    amounts = {"quantity": 2, "unit_price": "10.00", "line_total": "20.00", "line_cost": "17.00", "line_margin": "3.00"}
    return ids | words | amounts | {"ordered_at": "2022-01-02 21:30:00", "order_date": "2022-01-03"} | cells


def a_customer(**cells: object) -> Cells:
    return {"market": 1, "customer_id": 42, "last_used_platform": "WEB", "is_blocked": False} | cells


def a_delivery_item(**cells: object) -> Cells:
    """One item, alone in its task, of market 1."""
    ids = {"market": 1, "task_id": 900, "item_number": 1, "order_id": 7}
    words = {"task_type": "Delivery", "task_status": "Completed"}
    return ids | words | {"quantity": 2, "amount": "20.00"} | cells


def a_delivery(**cells: object) -> Cells:
    ids = {"market": 1, "task_id": 900, "order_id": 7}
    return ids | {"task_type": "Delivery", "task_status": "Completed", "item_count": 1} | cells


def a_dated_delivery(**cells: object) -> Cells:
    """A completed delivery of a completed order."""
    ids = {"market": 1, "task_id": 900, "order_id": 7, "task_type": "Delivery", "task_status": "Completed"}
    days = {"day": "2022-01-03", "year_month": "2022-01", "order_date": "2022-01-03"}
    return ids | {"order_status": "COMPLETED"} | days | cells


def a_delivery_of_no_order(**cells: object) -> Cells:
    unknown = {"order_status": None, "day": "no order", "year_month": "no order", "order_date": None}
    return a_dated_delivery(**unknown | cells)


def a_customer_version(**cells: object) -> Cells:
    ids = {"market": 1, "customer_id": 42, "delivered_at": "2022-01-03 00:00:00"}
    facts = {"last_used_platform": "WEB", "language": "en", "is_blocked": False, "number_of_employees": 2}
    return ids | facts | {"created_at": "2022-01-02 21:30:00"} | cells


def a_product_version(**cells: object) -> Cells:
    ids = {"market": 1, "sku": "A", "delivered_at": "2022-01-03 00:00:00"}
    facts = {"product_name": "Flour 2 kg", "category_name": "Flour of wheat", "currency": "KES"}
    return ids | facts | {"list_price": "10.50"} | cells


def a_product_state(**cells: object) -> Cells:
    """A product's only state."""
    facts = {"product_name": "Flour 2 kg", "category_name": "Flour of wheat", "currency": "KES"}
    return {"product_key": key(1, "A"), "market": 1, "sku": "A", "version": 1, "list_price": "10.50"} | facts | cells


def an_exchange_rate(**cells: object) -> Cells:
    return {"currency": "KES", "reporting_currency": "USD", "rate_date": "2022-01-03", "rate": "0.00880000"} | cells


def a_judged_rate(**cells: object) -> Cells:
    return an_exchange_rate() | {"is_accepted": True} | cells


def a_branch_name(**cells: object) -> Cells:
    ids = {"market": 1, "branch_id": 3, "name_number": 1, "branch_name": "Westlands", "city": "Nairobi"}
    return ids | {"updated_at": "2022-01-01 00:00:00"} | cells


def a_branch(**cells: object) -> Cells:
    return {"market": 1, "branch_id": 3, "branch_name": "Westlands", "names": 1, "city": "Nairobi"} | cells


def a_branch_sale(**cells: object) -> Cells:
    """One line, alone in its receipt, of market 1."""
    ids = {"market": 1, "branch_id": 3, "transaction_id": 1001, "line_number": 1, "customer_id": 42, "sku": "A"}
    amounts = {"currency": "KES", "quantity": 2, "unit_price": "10.00", "line_total": "20.00"}
    times = {"sold_at": "2022-01-02 21:30:00", "sale_date": "2022-01-03"}
    return ids | amounts | {"transaction_total": "20.00"} | times | cells


def a_conversation(**cells: object) -> Cells:
    """Opened and resolved a day later."""
    ids = {"market": 1, "conversation_id": 70001, "branch_id": 3, "topic": "delivery", "channel": "chat"}
    opened = {"opened_at": "2022-01-02 21:30:00", "opened_date": "2022-01-03"}
    return ids | opened | {"resolved_at": "2022-01-03 22:15:00", "resolved_date": "2022-01-04"} | cells


def a_conversation_event(**cells: object) -> Cells:
    ids = {"market": 1, "conversation_id": 70001, "event": "opened", "branch_id": 3, "topic": "delivery"}
    return ids | {"event_date": "2022-01-03"} | cells


def a_stock_level(**cells: object) -> Cells:
    ids = {"market": 1, "branch_id": 3, "sku": "A", "counted_on": "2022-01-30"}
    return ids | {"on_hand": 12, "unit_price": "10.50"} | cells


def a_merchant(**cells: object) -> Cells:
    return {"market": 1, "merchant_id": "893555", "merchant_name": "Duka", "commission_share": "0.150000"} | cells


# Rows of gold


def a_day(**cells: object) -> Cells:
    """A day of gold.daily_sales with one completed order, of a new customer."""
    ids = {"market": 1, "order_date": "2022-01-03", "currency": "KES"}
    counts = {"orders": 1, "completed_orders": 1, "cancelled_orders": 0, "open_orders": 0, "lines": 1, "units": 2}
    placed = {
        "placed_value": "20.00",
        "cancelled_value": "0.00",
        "open_value": "0.00",
        "average_order_value": "20.0000",
    }
    placed |= {"points_value": "0.00", "pay_later_surcharge": "0.00"}
    revenue = {"revenue": "20.00", "gross_revenue": "20.00", "new_revenue": "20.00", "repeat_revenue": "0.00"}
    return ids | counts | {"completed_units": 2} | placed | revenue | cells


def a_product(**cells: object) -> Cells:
    """A row of gold.products."""
    ids = {"market": 1, "sku": "A", "category_name": "Flour", "currency": "KES"}
    return ids | {"orders": 1, "completed_orders": 1, "gross_revenue": "20.00", "last_price": "10.00"} | cells


def a_customer_state(**cells: object) -> Cells:
    """A row of gold.dim_customer: a customer's only state."""
    ids = {"customer_key": "first", "market": 1, "customer_id": 42, "is_known": True}
    return ids | {"last_used_platform": "WEB", "is_blocked": False, "is_current": True, "version": 1} | cells


# Files


def as_csv(
    columns: Mapping[str, tuple[str, str]], others: Sequence[Mapping[str, str]], delimiter: str, before: int = 0
) -> str:
    """A row of the columns' (header, cell), and one for each of the others, which say what is another cell in it.

    `before`: so many lines above the header. With a byte order mark: it is UTF-8, whatever the contract's `encoding`.
    """
    text = io.StringIO()
    written = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    written.writerows([*[["Report"]] * before, *_lines(columns, others)])
    return f"\ufeff{text.getvalue()}"


def _lines(columns: Mapping[str, tuple[str, str]], others: Sequence[Mapping[str, str]]) -> list[list[str]]:
    rows = ([other.get(name, cell) for name, (_, cell) in columns.items()] for other in ({}, *others))
    return [[header for header, _ in columns.values()], *rows]


def as_parquet(columns: Mapping[str, tuple[str, str]], others: Sequence[Mapping[str, str]]) -> bytes:
    """The same, every cell a text."""
    header, *rows = _lines(columns, others)
    content = io.BytesIO()
    pq.write_table(pa.table(list(map(list, zip(*rows, strict=True))), names=header), content)
    return content.getvalue()


def as_spreadsheet(
    columns: Mapping[str, tuple[str, str]], others: Sequence[Mapping[str, str]], before: int = 0
) -> bytes:
    """The same in a workbook. Skips where nothing is installed that makes one, or reads it."""
    for lacking in ("openpyxl", "python_calamine"):
        pytest.importorskip(lacking, reason="workbooks are read by the extra [sources], and made by the group readers")
    from openpyxl import Workbook  # noqa: PLC0415

    book, content = Workbook(), io.BytesIO()
    for row in [*[["Report"]] * before, *_lines(columns, others)]:
        book.active.append([text or None for text in row])
    book.save(content)
    return content.getvalue()


def as_json(columns: Mapping[str, tuple[str, str]], others: Sequence[Mapping[str, str]]) -> str:
    """The same as an object a line."""
    rows = [{key: other.get(name, cell) for name, (key, cell) in columns.items()} for other in ({}, *others)]
    return "\n".join(json.dumps(row) for row in rows)


# Through the tables


def typed(spark: SparkSession, types: Mapping[str, str], rows: Sequence[Cells]) -> DataFrame:
    """Rows of literals as a frame of these types; what a row does not name is null.

    Raises ValueError where a row names an unknown column; the engine itself refuses a literal of another type.
    """
    if unknown := {name for row in rows for name in row} - types.keys():
        raise ValueError(f"there is no column {unknown}")
    if not rows:
        return spark.createDataFrame([], ", ".join(f"{name} {kind}" for name, kind in types.items()))
    texts = {name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in types}
    frame = spark.createDataFrame(pa.table(texts))
    return frame.select(*(F.col(name).cast(kind).alias(name) for name, kind in types.items()))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def as_texts(rows: DataFrame) -> list[Texts]:
    """Collected, every value as text and names of rules joined: times are UTC and amounts show their scale."""
    arrays = {name for name, kind in rows.dtypes if kind.startswith("array")}
    columns = [
        F.concat_ws(",", name).alias(name) if name in arrays else F.col(name).cast("string") for name in rows.columns
    ]
    return [row.asDict() for row in rows.select(*columns).collect()]


def only(rows: Iterable[Texts], *names: str) -> list[tuple[str | None, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def key(*parts: object) -> str:
    """As the contracts of the star say it: md5 of the parts with | between them."""
    return hashlib.md5("|".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def bronze(engine: Native | Spark, source: Table, rows: Sequence[Cells]) -> DataFrame:
    """Delivered rows of one file, in order."""
    place = {"_file": "file", "_batch": 0, "_sequence": "1", "_delivered_at": "2022-01-04"}
    types = {**CORE_COLUMNS} | {name: column.type for name, column in source.contract.columns.items()}
    return typed(engine.spark, types, [place | {"_row": number} | row for number, row in enumerate(rows, start=1)])


def parse(
    engine: Native | Spark, tables: Mapping[str, Table], name: str, rows: Sequence[Cells], markets: Sequence[Cells] = ()
) -> DataFrame:
    """`markets`: others than those of conf/markets.yml, which are then read beside these."""
    source = tables[tables[name].parents[0]]
    delivered = bronze(engine, source, rows)
    conf = conf_rows(engine, tables[name].inputs)
    if markets:
        conf["conf.markets"] = engine.frame(pa.Table.from_pylist([*graph.conf_file("conf.markets")[1], *markets]))
    return parsing.parse(tables[name], source.contract, delivered, dict(delivered.dtypes), conf)


def parsed(
    engine: Native | Spark, tables: Mapping[str, Table], name: str, cases: Sequence[Case], markets: Sequence[Cells] = ()
) -> dict[str, Texts]:
    """What becomes of each case's row, by its sentence."""
    rows = parse(engine, tables, name, [case.row for case in cases], markets)
    in_order = rows.coalesce(1).sortWithinPartitions("_source._row").select("*", "_source._repaired").drop("_source")
    return {case.sentence: row for case, row in zip(cases, as_texts(in_order), strict=True)}


def judged(engine: Native, tables: Mapping[str, Table], name: str, rows: Sequence[Cells]) -> list[Texts]:
    """What becomes of delivered rows: every row of the file in order, with its `_status`."""
    newest = engine.spark.createDataFrame([("file", "9")], "_file string, _newest string")
    statuses = judging.judge(tables[name], parse(engine, tables, name, rows), newest, None, -1)
    return as_texts(statuses.coalesce(1).sortWithinPartitions("_row"))


def built(engine: Native, tables: Mapping[str, Table], name: str, inputs: Mapping[str, Sequence[Cells]]) -> list[Texts]:
    """The table's rows in the order of its grain, with the names of the contract's rules that warn (`_warned`)."""
    table = tables[name]
    if unknown := inputs.keys() - {name.replace(".", "_") for name in table.parents}:
        raise ValueError(f"{name} does not read {unknown}")
    frames = conf_rows(engine, table.inputs)
    for parent in table.parents:
        types = {column: promise.type for column, promise in tables[parent].contract.columns.items()}
        frames[parent] = typed(engine.spark, types, inputs.get(parent.replace(".", "_"), []))
    rows = conform(table, table.build(*(frames[parent] for parent in table.inputs)))
    rules = [F.when(~F.expr(rule.check), F.lit(rule_name)) for rule_name, rule in table.contract.rules.items()]
    warned = F.concat_ws(",", *rules).alias("_warned") if rules else F.lit("").alias("_warned")
    in_order = rows.coalesce(1).sortWithinPartitions(*table.contract.grain)
    return as_texts(in_order.select(*table.contract.columns, warned))


def broken_in(rows: Mapping[str, Texts]) -> set[str]:
    """The rules that some of the rows break or are warned of."""
    return {rule for row in rows.values() for rule in f"{row['_broken']},{row['_warned']}".split(",")}


def rules_of(table: Table) -> set[str]:
    """Every rule that one row of a `latest` table can break: the core's and the contract's."""
    columns = table.contract.columns
    readable = {f"{name}_is_readable" for name, column in columns.items() if column.source}
    needed = {name for name, column in columns.items() if column.required} | set(table.contract.unit)
    present = {f"{name}_is_present" for name in needed}
    of_a_row = {name for name, rule in table.contract.rules.items() if not rules.is_of_document(table, name)}
    return {"row_is_too_long"} | readable | present | of_a_row
