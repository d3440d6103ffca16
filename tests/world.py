"""A toy lake with every way of writing; what its tables must hold is computed from what was delivered, in plain Python.

Orders and customers are delivered; behind them are a chain of refreshed tables (orders, sales, days), one whose unit is
the customer, one that reaches its weeks through the orders of a customer, days that read the days beside them, and
totals that are replaced whole.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lakehouse import graph

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    Row = dict[str, Any]
    Key = tuple[Any, ...]

ORDERS, CUSTOMERS = "bronze.orders", "bronze.customers"
HEADERS = {
    ORDERS: ("order_id", "product", "quantity", "price", "customer_id", "ordered_at"),
    CUSTOMERS: ("customer_id", "segment", "name"),
}
PATTERNS = {name: f"market_{{market:int}}/{{date}}/{name.partition('.')[2]}*.csv" for name in HEADERS}


# Of a table of more than 16 columns the core stores a hash of each row, and compares that.
NOTES = [f"note_{number}" for number in range(10)]
MORE_COLUMNS = "".join(f"\n          {note}: {{type: string, meaning: makes the table wide}}" for note in NOTES)


def _delivered(name: str) -> tuple[str, str]:
    columns = "".join(f"\n          {column}: {{type: string, meaning: as delivered}}" for column in HEADERS[name])
    contract = f"""
        owner: tests
        description: rows as delivered
        write: append
        grain: [_file, _row]
        source: {{files: ["{PATTERNS[name]}"], format: csv, blank: ["-"]}}
        columns:
          market: {{type: int, meaning: of the folder}}{columns}
        """
    return contract, "def build(landing):\n    return landing\n"


SOURCES = {
    ORDERS: _delivered(ORDERS),
    CUSTOMERS: _delivered(CUSTOMERS),
    "silver.order_lines": (
        f"""
        owner: tests
        description: lines of orders, a document of one or more rows
        write: latest
        grain: [market, order_id, line_number]
        unit: [market, order_id]
        position: line_number
        columns:
          market: {{type: int, meaning: of the folder}}
          order_id: {{type: bigint, from: order_id, meaning: the order}}
          line_number: {{type: int, meaning: place in the order}}
          product: {{type: string, meaning: what}}
          quantity: {{type: int, from: quantity, required: true, meaning: how many}}
          price: {{type: "decimal(18,2)", from: price, meaning: of one}}
          customer_id: {{type: bigint, from: customer_id, meaning: who}}
          ordered_at: {{type: timestamp, from: ordered_at, meaning: when}}{MORE_COLUMNS}
        rules:
          quantity_is_usual: {{check: "quantity > 0", severity: reject, why: nobody orders none}}
        """,
        """
        from pyspark.sql import functions as F

        from lakehouse.transforms import exact_decimal, export_time, whole_number

        def build(bronze_orders):
            notes = [F.col("product").alias(f"note_{number}") for number in range(10)]
            return bronze_orders.select(
                "market",
                whole_number("order_id").alias("order_id"),
                "product",
                whole_number("quantity", "int").alias("quantity"),
                exact_decimal("price", 18, 2).alias("price"),
                whole_number("customer_id").alias("customer_id"),
                export_time("ordered_at").alias("ordered_at"),
                *notes,
                "_source",
            )
        """,
    ),
    "silver.customers": (
        """
        owner: tests
        description: customers, a document of one row
        write: latest
        grain: [market, customer_id]
        unit: [market, customer_id]
        columns:
          market: {type: int, meaning: of the folder}
          customer_id: {type: bigint, from: customer_id, meaning: the customer}
          segment: {type: string, required: false, meaning: kind of customer}
          name: {type: string, meaning: nobody reads it}
        """,
        """
        from lakehouse.transforms import whole_number

        def build(bronze_customers):
            customer_id = whole_number("customer_id").alias("customer_id")
            return bronze_customers.select("market", customer_id, "segment", "name", "_source")
        """,
    ),
    "silver.orders": (
        """
        owner: tests
        description: orders, whose units are those of their only input
        write: refresh
        grain: [market, order_id]
        unit: [market, order_id]
        columns:
          market: {type: int, meaning: of the folder}
          order_id: {type: bigint, meaning: the order}
          customer_id: {type: bigint, meaning: who; null for a guest}
          ordered_at: {type: timestamp, meaning: when; null where nobody knows}
          units: {type: bigint, meaning: how many}
          total: {type: "decimal(18,2)", meaning: what it costs}
        """,
        """
        from pyspark.sql import functions as F

        def build(silver_order_lines):
            return silver_order_lines.groupBy("market", "order_id").agg(
                F.min("customer_id").alias("customer_id"),
                F.min("ordered_at").alias("ordered_at"),
                F.sum("quantity").alias("units"),
                F.sum(F.expr("quantity * price")).cast("decimal(18,2)").alias("total"),
            )
        """,
    ),
    "silver.sales": (
        f"""
        owner: tests
        description: lines with their order and its customer, who is reached through the order
        write: refresh
        grain: [market, order_id, line_number]
        unit: [market, order_id]
        inputs:
          silver.customers: {{through: silver.orders, "on": [market, customer_id]}}
        columns:
          market: {{type: int, meaning: of the folder}}
          order_id: {{type: bigint, meaning: the order}}
          line_number: {{type: int, meaning: place in the order}}
          ordered_at: {{type: timestamp, meaning: when}}
          segment: {{type: string, meaning: kind of customer}}
          quantity: {{type: int, meaning: how many}}
          order_total: {{type: "decimal(18,2)", meaning: of the whole order}}{MORE_COLUMNS}
        """,
        """
        from pyspark.sql import functions as F

        def build(silver_order_lines, silver_orders, silver_customers):
            orders = silver_orders.select("market", "order_id", "customer_id", "ordered_at", "total")
            lines = silver_order_lines.select("market", "order_id", "line_number", "quantity")
            customers = silver_customers.select("market", "customer_id", "segment")
            sales = lines.join(orders, on=["market", "order_id"], how="inner")
            sales = sales.join(customers, on=["market", "customer_id"], how="left")
            return sales.select(
                "market", "order_id", "line_number", "ordered_at", "segment", "quantity",
                F.col("total").alias("order_total"),
                *[F.col("segment").alias(f"note_{number}") for number in range(10)],
            )
        """,
    ),
    "silver.customer_orders": (
        """
        owner: tests
        description: the orders of a customer's life, numbered; an order that changes hands moves between units
        write: refresh
        grain: [market, customer_id, order_id]
        unit: [market, customer_id]
        columns:
          market: {type: int, meaning: of the folder}
          customer_id: {type: bigint, meaning: the customer}
          order_id: {type: bigint, meaning: the order}
          ordered_at: {type: timestamp, meaning: when}
          number: {type: int, meaning: place in the customer's life}
        """,
        """
        from pyspark.sql import Window
        from pyspark.sql import functions as F

        def build(silver_orders):
            life = Window.partitionBy("market", "customer_id").orderBy("ordered_at", "order_id")
            orders = silver_orders.where("customer_id is not null")
            return orders.select(
                "market", "customer_id", "order_id", "ordered_at", F.row_number().over(life).alias("number")
            )
        """,
    ),
    "gold.daily_sales": (
        """
        owner: tests
        description: days, which are derived from the times of two inputs
        write: refresh
        grain: [market, order_date]
        unit: [market, order_date]
        inputs:
          silver.sales: {unit: {order_date: "to_date(ordered_at)"}}
          silver.customer_orders: {unit: {order_date: "to_date(ordered_at)"}}
        columns:
          market: {type: int, meaning: of the folder}
          order_date: {type: date, meaning: the day}
          currency: {type: string, meaning: from conf}
          orders: {type: bigint, meaning: different ones}
          units: {type: bigint, meaning: how many}
          first_orders: {type: bigint, meaning: of their customers}
        """,
        """
        from pyspark.sql import functions as F

        def build(silver_sales, silver_customer_orders, conf_markets):
            day = F.expr("to_date(ordered_at)").alias("order_date")
            sales = silver_sales.where("ordered_at is not null").groupBy("market", day).agg(
                F.count_distinct("order_id").alias("orders"), F.sum("quantity").alias("units")
            )
            firsts = silver_customer_orders.where("number = 1").groupBy("market", day).count()
            firsts = firsts.withColumnRenamed("count", "first_orders")
            currencies = conf_markets.select(F.expr("int(market)").alias("market"), "currency")
            days = sales.join(currencies, on="market", how="left")
            days = days.join(firsts, on=["market", "order_date"], how="left").na.fill({"first_orders": 0})
            return days.select("market", "order_date", "currency", "orders", "units", "first_orders")
        """,
    ),
    "gold.weekly_segments": (
        """
        owner: tests
        description: weeks by kind of customer; a unit of many rows, derived, and reached through orders by customers
        write: refresh
        grain: [market, week, segment]
        unit: [market, week]
        inputs:
          silver.orders: {unit: {week: "to_date(date_trunc('week', ordered_at))"}}
          silver.customers: {through: silver.orders, "on": [market, customer_id]}
        columns:
          market: {type: int, meaning: of the folder}
          week: {type: date, meaning: its Monday}
          segment: {type: string, meaning: or unknown}
          orders: {type: bigint, meaning: how many}
          total: {type: "decimal(18,2)", meaning: of the orders}
        """,
        """
        from pyspark.sql import functions as F

        def build(silver_orders, silver_customers):
            week = F.expr("to_date(date_trunc('week', ordered_at))").alias("week")
            customers = silver_customers.select("market", "customer_id", "segment")
            orders = silver_orders.where("ordered_at is not null").select("market", "customer_id", "total", week)
            orders = orders.join(customers, on=["market", "customer_id"], how="left").na.fill({"segment": "unknown"})
            return orders.groupBy("market", "week", "segment").agg(
                F.count("*").alias("orders"), F.sum("total").cast("decimal(18,2)").alias("total")
            )
        """,
    ),
    "gold.days_around": (
        """
        owner: tests
        description: days with an order, and what was ordered on them and the days beside them
        write: refresh
        grain: [market, day]
        unit: [market, day]
        inputs:
          silver.orders: {unit: {day: "to_date(ordered_at)"}, days: [-1, 2]}
        columns:
          market: {type: int, meaning: of the folder}
          day: {type: date, meaning: the day}
          orders: {type: bigint, meaning: "of the day before, the day, and two after it"}
          units: {type: bigint, meaning: of these}
        """,
        """
        from pyspark.sql import functions as F

        def build(silver_orders):
            orders = silver_orders.where("ordered_at is not null").withColumn("day", F.expr("to_date(ordered_at)"))
            reading = F.explode(F.sequence(F.date_sub("day", 2), F.date_add("day", 1)))
            around = orders.withColumn("day", reading).groupBy("market", "day").agg(
                F.count("*").alias("orders"), F.sum("units").alias("units")
            )
            own = orders.select("market", "day").distinct()
            return own.join(around, on=["market", "day"], how="inner").select("market", "day", "orders", "units")
        """,
    ),
    "gold.totals": (
        """
        owner: tests
        description: one row per market, replaced whole
        write: replace
        grain: [market]
        columns:
          market: {type: int, meaning: of the folder}
          units: {type: bigint, meaning: on all days}
          customers: {type: bigint, meaning: that are known}
        """,
        """
        from pyspark.sql import functions as F

        def build(gold_daily_sales, silver_customers):
            units = gold_daily_sales.groupBy("market").agg(F.sum("units").alias("units"))
            customers = silver_customers.groupBy("market").agg(F.count("*").alias("customers"))
            return units.join(customers, on="market", how="full").select("market", "units", "customers")
        """,
    ),
}
# What a developer may change and take back: (table, text of its contract or code, what it becomes).
LINES_LOST, NAMELESS_LOST, PAID_ONLY, WITH_LINES, FROM_SIX, WORDS = (
    "few units an order",
    "a customer needs a segment",
    "only lines with a price count",
    "orders count their lines",
    "a day begins at six",
    "other words",
)
EARLIER = "to_date(ordered_at - interval 6 hours)"
CHANGES: dict[str, tuple[tuple[str, str, str], ...]] = {
    LINES_LOST: (("silver.order_lines", '"quantity > 0"', '"quantity between 1 and 6"'),),
    NAMELESS_LOST: (("silver.customers", "required: false", "required: true"),),
    PAID_ONLY: (("silver.orders", 'F.sum("quantity")', 'F.sum(F.expr("if(price > 0, quantity, null)"))'),),
    WITH_LINES: (
        ("silver.orders", "units: {", "lines: {type: bigint, meaning: how many}\n          units: {"),
        ("silver.orders", 'F.min("ordered_at")', 'F.count("*").alias("lines"),\n                F.min("ordered_at")'),
    ),
    FROM_SIX: (("gold.daily_sales", "to_date(ordered_at)", EARLIER),),
    WORDS: (("silver.sales", "def build", "# in other words\n        def build"),),
}


def sources(changes: Collection[str]) -> dict[str, tuple[str, str]]:
    """The contracts and the code with some changes made."""
    changed = dict(SOURCES)
    for name in sorted(changes):
        for table, old, new in CHANGES[name]:
            contract, code = changed[table]
            assert old in contract + code
            changed[table] = (contract.replace(old, new), code.replace(old, new))
    return changed


@dataclass(frozen=True)
class File:
    """One version of a delivered file."""

    table: str
    path: str
    modified: int
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def market(self) -> int:
        return int(self.path[len("market_") :].partition("/")[0])

    @property
    def day(self) -> date:
        return date.fromisoformat(self.path.split("/")[1])

    @property
    def sequence(self) -> tuple[date, int, str]:
        return self.day, self.modified, self.path

    @property
    def text(self) -> str:
        return "\n".join(",".join(row) for row in (self.header, *self.rows))

    @property
    def content(self) -> str:
        """What an export says of it."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Line:
    """One delivered row: where it stands, its cells, and the names of the rules it breaks."""

    file: File
    number: int
    values: Row
    broken: frozenset[str]

    @property
    def cells(self) -> dict[str, str]:
        return dict(zip(self.file.header, self.file.rows[self.number - 1], strict=False))

    @property
    def content(self) -> Key:
        return tuple(cell for name, cell in self.cells.items() if name[0] != "_")

    @property
    def place(self) -> tuple[str, int]:
        return self.file.path, self.number


Wrong = tuple[Line, tuple[str, ...]]


@dataclass
class Expected:
    """What every table and its quarantine must hold, by the name of the table."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    wrong: dict[str, list[Wrong]] = field(default_factory=dict)


def expected(files: Iterable[File], changes: Collection[str]) -> Expected:
    """`files` are the deliveries in any order."""
    of = {name: [file for file in files if file.table == name] for name in HEADERS}
    found = Expected()
    lines = [_order_line(file, n, changes) for file in of[ORDERS] for n in range(1, len(file.rows) + 1)]
    people = [_customer(file, n, changes) for file in of[CUSTOMERS] for n in range(1, len(file.rows) + 1)]
    for name, delivered in ((ORDERS, lines), (CUSTOMERS, people)):
        cells = [{"_file": one.file.path, "_row": one.number, "key": one.cells[HEADERS[name][0]]} for one in delivered]
        found.rows[name] = cells
    order_lines, found.wrong["silver.order_lines"] = _newest_right(lines, "order_id", one_row=False)
    order_lines = [line | dict.fromkeys(NOTES, line["product"]) for line in order_lines]
    customers, found.wrong["silver.customers"] = _newest_right(people, "customer_id", one_row=True)
    found.rows |= {"silver.order_lines": order_lines, "silver.customers": customers}
    found.rows |= _refreshed(order_lines, customers, changes)
    return found


# Delivered rows


def _order_line(file: File, number: int, changes: Collection[str]) -> Line:
    kinds: dict[str, Callable[[str], Any]] = {"order_id": _whole, "quantity": _whole, "price": _decimal}
    kinds |= {"customer_id": _whole, "ordered_at": _time}
    most = 6 if LINES_LOST in changes else 999
    line = _parsed(file, number, kinds, required=("order_id", "quantity"))
    quantity = line.values["quantity"]
    if quantity is None or 0 < quantity <= most or "row_is_too_short" in line.broken:
        return line
    return Line(file, number, line.values, line.broken | {"quantity_is_usual"})


def _customer(file: File, number: int, changes: Collection[str]) -> Line:
    required = ("customer_id", "segment") if NAMELESS_LOST in changes else ("customer_id",)
    return _parsed(file, number, {"customer_id": _whole}, required)


def _parsed(file: File, number: int, kinds: Mapping[str, Callable[[str], Any]], required: Collection[str]) -> Line:
    delivered = dict(zip(file.header, file.rows[number - 1], strict=False))
    texts = {name: text for name in HEADERS[file.table] if (text := delivered.get(name, "")) not in {"", "-"}}
    values = {name: kinds.get(name, str)(texts[name]) if name in texts else None for name in HEADERS[file.table]}
    broken = {f"{name}_is_readable" for name in texts if values[name] is None}
    broken |= {f"{name}_is_present" for name in required if name not in texts}
    if len(file.rows[number - 1]) < len(file.header):
        broken = {"row_is_too_short"}
    return Line(file, number, {"market": file.market} | values, frozenset(broken))


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else None


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if re.fullmatch(r"\d+(\.\d\d?)?", text) else None


def _time(text: str) -> datetime | None:
    is_time = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    return datetime.fromisoformat(text) if is_time else None


# Of each document the newest delivery that is right


def _newest_right(lines: list[Line], key: str, *, one_row: bool) -> tuple[list[Row], list[Wrong]]:
    keyed = [line for line in lines if line.values[key] is not None]
    of_unit: dict[Key, dict[Key, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in keyed:
        of_unit[line.file.market, line.values[key]][line.file.sequence].append(line)
    kept: list[Row] = []
    wrong = [
        (line, tuple(sorted(line.broken))) for line in lines if line.values[key] is None and _is_newest(line, lines)
    ]
    for deliveries in of_unit.values():
        judged = {sequence: _judged(rows, one_row=one_row) for sequence, rows in deliveries.items()}
        right = [sequence for sequence, rows in judged.items() if not any(rules for _, rules in rows)]
        newest = max(judged)
        if newest not in right:
            wrong += [(line, rules or ("another_row_of_its_document",)) for line, rules in judged[newest]]
        if right:
            rows = _without_repeats(deliveries[max(right)])
            kept += [line.values | {"line_number": place} for place, line in enumerate(rows, start=1)]
    return kept, [one for one in wrong if not _is_replaced(one[0], lines)]


def _judged(rows: list[Line], *, one_row: bool) -> list[Wrong]:
    too_many = {"unit_is_unique"} if one_row and len(_without_repeats(rows)) > 1 else set()
    return [(line, tuple(sorted(line.broken | too_many))) for line in rows]


def _without_repeats(rows: list[Line]) -> list[Line]:
    first = {line.content: line for line in sorted(rows, key=lambda line: -line.number)}
    return sorted(first.values(), key=lambda line: line.number)


def _is_newest(line: Line, lines: list[Line]) -> bool:
    """Whether no newer version of its file was delivered."""
    return line.file.sequence == max(other.file.sequence for other in lines if other.file.path == line.file.path)


def _is_replaced(wrong: Line, lines: list[Line]) -> bool:
    later = [line for line in lines if line.file.sequence > wrong.file.sequence]
    return any(_replaces(line, wrong, lines) for line in later if "_replaces_file" in line.file.header)


def _replaces(line: Line, wrong: Line, lines: list[Line]) -> bool:
    """It names a row of one version of a file, by its content; of the newest before it where it names no content."""
    row, _, content = line.cells["_replaces_row"].partition("@")
    if (line.cells["_replaces_file"], int(row)) != wrong.place:
        return False
    versions = {other.file for other in lines if other.file.path == wrong.file.path}
    newest = max(one.sequence for one in versions if one.sequence < line.file.sequence)
    return wrong.file.content == content if content else wrong.file.sequence == newest


# What is made from them


def _refreshed(lines: list[Row], customers: list[Row], changes: Collection[str]) -> dict[str, list[Row]]:
    segments = {(one["market"], one["customer_id"]): one["segment"] for one in customers}
    orders = _orders(lines, changes)
    by_id = {(one["market"], one["order_id"]): one for one in orders}
    sales = []
    for line in lines:
        order = by_id[line["market"], line["order_id"]]
        segment = segments.get((order["market"], order["customer_id"]))
        of_order = {"ordered_at": order["ordered_at"], "order_total": order["total"]}
        sales.append(line | of_order | dict.fromkeys(("segment", *NOTES), segment))
    customer_orders = _customer_orders(orders)
    days = _days(sales, customer_orders, changes)
    return {
        "silver.orders": orders,
        "silver.sales": sales,
        "silver.customer_orders": customer_orders,
        "gold.daily_sales": days,
        "gold.weekly_segments": _weeks(orders, segments),
        "gold.days_around": _days_around(orders),
        "gold.totals": _totals(days, customers),
    }


def _groups(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _sum(values: Iterable[Any]) -> Any:  # noqa: ANN401
    """As in SQL: of nothing, nothing."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


def _orders(lines: list[Row], changes: Collection[str]) -> list[Row]:
    orders = []
    for (market, order_id), rows in _groups(lines, lambda row: (row["market"], row["order_id"])).items():
        counted = [row for row in rows if PAID_ONLY not in changes or (row["price"] or 0) > 0]
        costs = [None if row["price"] is None else row["quantity"] * row["price"] for row in rows]
        first = {name: _min(row[name] for row in rows) for name in ("customer_id", "ordered_at")}
        sums = {"units": _sum(row["quantity"] for row in counted), "total": _sum(costs), "lines": len(rows)}
        orders.append({"market": market, "order_id": order_id} | first | sums)
    return orders


def _min(values: Iterable[Any]) -> Any:  # noqa: ANN401
    return min((value for value in values if value is not None), default=None)


def _customer_orders(orders: list[Row]) -> list[Row]:
    known = [order for order in orders if order["customer_id"] is not None]
    never = datetime(1, 1, 1, tzinfo=UTC)
    numbered = []
    for life in _groups(known, lambda row: (row["market"], row["customer_id"])).values():
        life.sort(key=lambda row: (row["ordered_at"] or never, row["order_id"]))
        numbered += [row | {"number": number} for number, row in enumerate(life, start=1)]
    return numbered


def _days(sales: list[Row], customer_orders: list[Row], changes: Collection[str]) -> list[Row]:
    later = timedelta(hours=6 if FROM_SIX in changes else 0)
    currencies = {row["market"]: row["currency"] for row in graph.conf_file("conf.markets")[1]}

    def day(row: Row) -> tuple[int, date]:
        return row["market"], (row["ordered_at"] - later).date()

    firsts = Counter(day(row) for row in customer_orders if row["ordered_at"] and row["number"] == 1)
    days = []
    for (market, order_date), rows in _groups((row for row in sales if row["ordered_at"]), day).items():
        key = {"market": market, "order_date": order_date, "currency": currencies[market]}
        counts = {"orders": len({row["order_id"] for row in rows}), "units": _sum(row["quantity"] for row in rows)}
        days.append(key | counts | {"first_orders": firsts[market, order_date]})
    return days


def _weeks(orders: list[Row], segments: Mapping[Key, str | None]) -> list[Row]:
    def week(row: Row) -> Key:
        monday = row["ordered_at"].date() - timedelta(days=row["ordered_at"].weekday())
        return row["market"], monday, segments.get((row["market"], row["customer_id"])) or "unknown"

    groups = _groups((row for row in orders if row["ordered_at"]), week)
    return [
        {"market": market, "week": monday, "segment": segment, "orders": len(rows)}
        | {"total": _sum(row["total"] for row in rows)}
        for (market, monday, segment), rows in groups.items()
    ]


def _days_around(orders: list[Row]) -> list[Row]:
    dated = [(row, row["ordered_at"].date()) for row in orders if row["ordered_at"]]
    rows = []
    for market, day in {(row["market"], day) for row, day in dated}:
        read = {day + timedelta(days=number) for number in (-1, 0, 1, 2)}
        around = [row for row, other in dated if row["market"] == market and other in read]
        units = _sum(row["units"] for row in around)
        rows.append({"market": market, "day": day, "orders": len(around), "units": units})
    return rows


def _totals(days: list[Row], customers: list[Row]) -> list[Row]:
    units = {market: _sum(row["units"] for row in rows) for (market,), rows in _by_market(days).items()}
    known = {market: len(rows) for (market,), rows in _by_market(customers).items()}
    markets = units.keys() | known.keys()
    return [{"market": one, "units": units.get(one), "customers": known.get(one)} for one in markets]


def _by_market(rows: list[Row]) -> dict[Key, list[Row]]:
    return _groups(rows, lambda row: (row["market"],))
