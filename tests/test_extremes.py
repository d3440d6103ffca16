"""No accepted value overflows a later sum, cast or quotient: the tables built of the largest that rules allow."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache, partial
from typing import TYPE_CHECKING

import pytest

from lakehouse import graph
from lakehouse.writes.checks import check
from lakehouse.writes.lake import conf_rows, conform
from tests.rows import (
    a_branch_name,
    a_branch_sale,
    a_conversation,
    a_customer,
    a_customer_version,
    a_delivery_item,
    a_merchant,
    a_product_version,
    a_stock_level,
    a_store,
    a_subscription,
    an_api_sale,
    an_exchange_rate,
    an_install,
    an_order_line,
    as_texts,
    typed,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark
    from tests.rows import Cells

MOST_ROWS = 10_000_000  # of one group: a day, a product, a market
MARKET = 2  # whose amounts are the largest
TABLES = graph.load()
DELIVERED = [name for name, one in TABLES.items() if one.contract.write == "latest"]
COMPUTED = [
    name
    for name, one in TABLES.items()
    if one.contract.write in {"refresh", "replace"}
    and "bronze.events" not in one.serves  # these count, and sum nothing
]
BOUND = re.compile(r"(?:greatest\((?P<some>.*)\)|(?P<one>\w+|abs\(\w+\))) <= (?P<most>\w+)")
BETWEEN = re.compile(r"(?P<one>\w+) between \d+ and (?P<most>\d+)")


@cache
def maxima(name: str) -> dict[str, int]:
    """Of the columns of a table, what its rules that reject say is the most; facts of markets are the market's."""
    facts = {f"_{key}": value for row in graph.conf_file("conf.markets")[1] for key, value in row.items()}
    assert all(row["largest_amount"] <= facts["_largest_amount"] for row in graph.conf_file("conf.markets")[1])  # type: ignore[operator]
    found: dict[str, int] = {}
    for rule in TABLES[name].contract.rules.values():
        bound = BOUND.fullmatch(rule.check) or BETWEEN.fullmatch(rule.check)
        if bound and rule.severity == "reject":
            columns = re.findall(r"\w+", bound.groupdict().get("some") or bound["one"])
            found |= dict.fromkeys(set(columns) - {"abs"}, int(str(facts.get(bound["most"], bound["most"]))))
    return found


def largest_of(kind: str) -> Decimal | None:
    if digits := re.fullmatch(r"decimal\((\d+),(\d+)\)", kind):
        return (Decimal(10) ** int(digits[1]) - 1).scaleb(-int(digits[2]))
    return {"int": Decimal(2**31 - 1), "bigint": Decimal(2**63 - 1)}.get(kind)


def largest(name: str, rows: int, *columns: str) -> Cells:
    """As much in each of the columns as so many rows have together, or as the column's type holds."""
    types = {column: str(largest_of(TABLES[name].contract.columns[column].type)) for column in columns}
    return {column: min(Decimal(maxima(name)[column]) * rows, Decimal(kind)) for column, kind in types.items()}


# What no rule bounds: never summed, or as an int, whose sum of any number of rows fits.
UNBOUND: dict[str, tuple[str, ...]] = {
    "silver.order_lines": ("rating",),
    "silver.delivery_items": ("rating",),
    "silver.customers": ("outstanding_amount", "loyalty_points", "number_of_employees"),
    "silver.customer_versions": ("outstanding_amount", "loyalty_points", "number_of_employees"),
    "silver.api_sales": (),
    "silver.exchange_rates": ("rate",),
    "silver.branch_customers": (),
    "silver.branch_names": (),
    "silver.branch_prices": (),
    "silver.branch_transactions": (),
    "silver.conversations": (),
    "silver.stock_levels": (),
    "silver.stores": ("delivered_installs", "delivered_subscriptions"),
    "silver.merchants": (),
    "silver.product_versions": (),
    "silver.products": (),
}
OF_ONE_ORDER = ("gold.order_reconciliation",)  # one order's amounts, which are not those of many rows
MONDAY, LARGE, SUNDAY = (
    "2022-01-03",
    "2022-01-12",
    "2022-01-23",
)  # whole weeks, of which the second is as large as can be


def at(day: str) -> Cells:
    return {"order_date": day, "ordered_at": f"{day} 12:00:00", "promised_at": f"{day} 14:00:00"}


def order_lines(rows: int) -> list[Cells]:
    """Orders of a cent around one of all that so many lines can have, of revenue, of cost, and of points."""
    cents = {"unit_price": "0.01", "unit_cost": "0", "line_total": "0.01", "line_cost": "0"}
    cent = an_order_line(market=MARKET, currency="NGN", quantity=1, order_total="0.01", **cents) | {"sub_total": "0.01"}
    most = partial(largest, "silver.order_lines", rows)
    of_large = [
        most("line_total", "order_total", "sub_total", "quantity") | {"payment_method": "Pay Later"},
        most("line_cost") | {"sku": "B", "customer_id": 43},
        most("redeemed_points") | {"sku": "C", "customer_id": 44, "earned_points": 1},
        most("earned_points") | {"sku": "D", "customer_id": 45},
        largest("silver.order_lines", 1, "unit_price", "unit_cost"),
    ]
    orders = [at(MONDAY), at(SUNDAY), *(at(LARGE) | cells for cells in of_large)]
    return [cent | cells | {"order_id": number} for number, cells in enumerate(orders)]


def delivery_items(rows: int) -> list[Cells]:
    """A task of all that so many items can have, and one of all that is given away."""
    item = a_delivery_item(market=MARKET, amount="0", subtotal="0", agent_id=5, rating=2**31 - 1)
    most = partial(largest, "silver.delivery_items", rows)
    rich = most("amount", "subtotal", "quantity", "tip", "delivery_charges", "distance_m", "minutes")
    given = most("discount")
    return [item | rich, item | given | {"task_id": 901, "order_id": 8, "subtotal": -given["discount"]}]  # type: ignore[operator]


def branch_lines(rows: int) -> list[Cells]:
    """A branch that sells as much as so many lines can, and one that sells a cent."""
    most = largest("silver.branch_transactions", rows, "quantity", "line_total")
    cent = a_branch_sale(market=MARKET, currency="NGN", quantity=1, line_total="0.01")
    return [cent | most, cent | {"branch_id": 4}]


def of_branches(name: str, rows: int) -> list[Cells]:
    """Without a beginning, a branch has been there for ever, and a conversation was open as long."""
    if name in {"silver.branch_customers", "silver.branch_prices"}:
        return []  # of which no table is made
    if name == "silver.branch_names":
        return [a_branch_name(market=MARKET), a_branch_name(market=MARKET, branch_id=5)]
    if name == "silver.conversations":
        since = {"opened_at": "0001-01-01 00:00:00", "resolved_at": "9999-12-31 23:59:59"}
        return [a_conversation(market=MARKET, **since)]
    if name == "silver.stock_levels":
        level = a_stock_level(market=MARKET, counted_on=LARGE, **largest(name, 1, "on_hand", "unit_price"))
        return [level, level | {"branch_id": 4}, level | {"branch_id": 5, "on_hand": -10_000_000}]
    return branch_lines(rows)


def stores(rows: int) -> list[Cells]:
    """A store that subscribed to all that so many can, since ever and at once, for the price of the dearest plan."""
    largest_price = int(str(graph.conf_file("conf.stores")[1][0]["largest_price"]))
    ever = {"first": "2000-01-01 00:00:00", "last": "2099-12-31 00:00:00", "price": largest_price * rows}
    return [a_store([an_install("2000-01-01", "2099-12-31")], [a_subscription(**ever)])]  # type: ignore[arg-type]


def of_each_kind(name: str, rows: int) -> list[Cells]:  # noqa: PLR0911  one for each kind
    """Rows of a delivered table; what is never summed is as large as its type."""
    numbers = {column: largest_of(TABLES[name].contract.columns[column].type) for column in UNBOUND[name]}
    if name == "silver.customers":
        return [a_customer(market=MARKET, customer_id=one, is_blocked=True) | numbers for one in (42, 47)]
    if name == "silver.customer_versions":
        return [a_customer_version(market=MARKET) | numbers]
    if name == "silver.merchants":
        return [a_merchant(market=MARKET, **largest(name, 1, "commission_share"))]
    if name in {"silver.product_versions", "silver.products"}:
        most = a_product_version(market=MARKET, **largest(name, 1, "list_price"))
        return [{key: cell for key, cell in most.items() if key in TABLES[name].contract.columns}]
    if name == "silver.exchange_rates":
        return [an_exchange_rate(currency="NGN", rate_date=LARGE) | ({"rate": "1"} if rows > 1 else numbers)]
    if name == "silver.stores":
        return stores(rows)
    if name == "silver.api_sales":
        most = largest(name, rows, "quantity", "unit_price", "line_total", "sale_total")
        return [an_api_sale(market=MARKET, currency="NGN", sale_id=99) | most]
    if name in {"silver.order_lines", "silver.delivery_items"}:
        return order_lines(rows) if name == "silver.order_lines" else delivery_items(rows)
    return of_branches(name, rows)


def test_every_number_that_is_delivered_has_a_maximum_or_needs_none() -> None:
    for name in DELIVERED:
        kinds = {column: promise.type for column, promise in TABLES[name].contract.columns.items()}
        numbers = {one for one, kind in kinds.items() if largest_of(kind) and not one.endswith(("_id", "_number"))}
        assert numbers - {"market"} == maxima(name).keys() | {*UNBOUND[name]}, name


def built(engine: Native | Spark, rows: int, *wanted: str) -> dict[str, DataFrame]:
    """All or the wanted tables, each of those before it and held against its contract."""
    frames: dict[str, DataFrame] = {}
    for name, table in graph.selected(TABLES, wanted).items():
        types = {column: promise.type for column, promise in table.contract.columns.items()}
        if name in DELIVERED:
            frames[name] = typed(engine.spark, types, of_each_kind(name, rows))
        elif name in COMPUTED and (rows == 1 or name not in OF_ONE_ORDER):
            inputs = {one: frames[one] for one in table.parents} | conf_rows(engine, table.inputs)
            made = conform(table, table.build(*(inputs[one] for one in table.inputs)))
            frames[name] = engine.frame(made.toArrow())
            check(engine, table, frames[name], inputs)
    return frames


AMOUNT = 900_000_000 * MOST_ROWS
SUMS: dict[str, tuple[str, dict[str, str | None]]] = {
    "gold.daily_sales": (f"order_date = '{LARGE}'", {"revenue": f"{AMOUNT}.04", "placed_value": f"{AMOUNT}.04"}),
    "gold.products": ("sku = 'B'", {"cost": f"{AMOUNT}.00", "margin": f"-{AMOUNT - 1}.99", "margin_share": None}),
    "gold.subscription_revenue_daily": (
        "revenue_date = '2000-01-01'",
        {"mrr": f"{1_000_000 * MOST_ROWS}.00", "arr": f"{12_000_000 * MOST_ROWS}.00"},
    ),
    "gold.agents": ("agent_id = 5", {"distance_km": f"{1_000_000 * MOST_ROWS}.000"}),
    "gold.loyalty_points": (
        "customer_id = 44",
        {"redeemed_points": str(10_000_000 * MOST_ROWS), "redeemed_share": None},
    ),
    "gold.branch_performance": ("branch_id = 3", {"revenue": f"{AMOUNT}.00", "revenue_share": "1.0000"}),
    "gold.stock_cover": ("branch_id = 3", {"missing_units": str(2**30 - 10_000_000)}),
}


@pytest.mark.slow
def test_the_largest_sums_of_what_rules_accept_overflow_nowhere(engine: Native) -> None:
    frames = built(engine, MOST_ROWS)
    for name, (where, expected) in SUMS.items():
        assert as_texts(frames[name].where(where).select(*expected)) == [expected]


@pytest.mark.spark
def test_neither_do_they_on_spark(on_spark: Spark) -> None:
    name = "gold.loyalty_points"
    where, expected = SUMS[name]
    assert as_texts(built(on_spark.for_a_turn(0), MOST_ROWS, name)[name].where(where).select(*expected)) == [expected]


@pytest.mark.slow
def test_the_largest_values_that_rules_accept_overflow_nowhere(engine: Native) -> None:
    """An order's own sums, and an order by the largest rate."""
    frames = built(engine, 1, *OF_ONE_ORDER, "gold.market_comparison", "gold.market_comparison_utc")
    large = frames["gold.market_comparison"].where(f"order_date = '{LARGE}'").select("reporting_revenue")
    assert as_texts(large) == [{"reporting_revenue": "900000000040000.00"}]
