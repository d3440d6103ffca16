"""The real exports with rates, changing customers and products, branches and an API; and a lake made of them."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from jobs.samples import branches
from lakehouse import engines, graph
from lakehouse.runs.run import Run
from lakehouse.writes.lake import Lake
from tests.bench.bench_day import deliver_a_day

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lakehouse.audit.turns import Report
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

BEFORE_ALL = datetime(2022, 1, 1, tzinfo=UTC).timestamp()
RATES = """rate_date,currency,reporting_currency,rate
2022-01-05,KES,USD,0.008831
2022-01-06,KES,USD,0.008827651234
2022-01-06,NGN,USD,0.00241
2022-01-07,NGN,EUR,0.00213
"""
BUYERS = {4696213, 4026966, 4669823}  # who order before, between and after the changes
CHANGES = {"2022-01-20": {"Is Blocked": 1, "Language": "sw"}, "2022-02-05": {"Is Blocked": 0, "Language": "en"}}
PRICES = {"2022-01-01": "10.00", "2022-01-20": "11.00", "2022-02-05": "11.00"}  # of half of market 1's products
MERCHANTS = "market,merchant_id,merchant_name,commission_share\n1,893555,Duka,0.15\n1,5,Nobody's,\n"


EVENTS = "bronze.events"  # which no export has
# Each way of writing, with and without vectors, a unit of one input and one that reaches another through a third: what
# Spark writes. Each table more, of this and of what it is made from, takes it seconds.
OF_EACH_KIND = (
    "bronze.orders",
    "silver.order_lines",
    "silver.orders",
    "silver.dated_deliveries",
    "gold.daily_sales",
    "gold.order_status_daily",
)


@dataclass(frozen=True)
class Built:
    """A lake, what it was made of, and what its last run did."""

    lake: Lake
    landing: Path
    tables: dict[str, Table]
    report: Report

    def run(self, engine: Engine, *names: str) -> Report:
        """Of these tables and what they are made from, or of all."""
        run = Run(self.lake.root, str(self.landing), self.tables, engine=engine)
        return run.execute(graph.selected(self.tables, names))

    def versions(self) -> dict[str, int]:
        return {name: state.version for name in self.tables if (state := self.lake.state(name))}


@dataclass(frozen=True)
class Continued:
    """Two lakes that were begun by one engine each; a day more was loaded by the other. `afresh`: of all at once."""

    by_spark: Built
    by_native: Built
    afresh: Built


@cache
def filled() -> list[str]:
    """The tables that these exports fill."""
    return [name for name, one in graph.load().items() if EVENTS not in one.serves]


def built(engine: Engine, landing: Path, tables: dict[str, Table], lake: Path, *names: str) -> Built:
    """Of these tables and what they are made from, or of all."""
    report = Run(str(lake), str(landing), tables, engine=engine).execute(graph.selected(tables, names))
    return Built(Lake(str(lake)), landing, tables, report)


def continued(by_native: Built, by_spark: Built, exports: Path, folder: Path, *names: str) -> Continued:
    """Copies of two lakes of the exports, into which the other engine loads a day more; then natively all at once."""
    landing = shutil.copytree(by_native.landing, folder / "landing")
    deliver_a_day(exports, landing, 0)

    def loaded(begun: Built, engine: str) -> Built:
        lake = Lake(str(shutil.copytree(begun.lake.root, folder / f"by_{engine}")))
        copy = replace(begun, lake=lake, landing=landing)
        return replace(copy, report=copy.run(engines.start(engine), *names))

    return Continued(
        by_spark=loaded(by_native, engines.SPARK),
        by_native=loaded(by_spark, engines.NATIVE),
        afresh=built(engines.start(), landing, by_native.tables, folder / "afresh", *names),
    )


def thinned(exports: Path, folder: Path, one_in: int) -> Path:
    """A copy with every so-manieth order, the tasks of these orders and of none, and who ordered or is blocked.

    Each document whole. Stores as they are.
    """
    shutil.copytree(exports, folder, copy_function=shutil.copyfile)
    for market in sorted(folder.glob("market_*")):
        (orders,), (tasks,), (known,) = (market.glob(f"*{end}") for end in ("Orders.csv", "Deliveries.csv", "ers.json"))
        kept = _keep(orders, lambda row: int(row["Order ID"]) % one_in == 0)
        _keep(
            tasks, lambda row: int("".join(re.findall(r"\d{5,}", row["Order_ID"])[:1]) or row["Task_ID"]) % one_in == 0
        )
        buyers = BUYERS | {int(row["Customer ID"]) for row in kept if row["Customer ID"].isdigit()}
        customers = json.loads(known.read_text(encoding="utf-8"))
        customers = [one for one in customers if one["Customer ID"] in buyers or one["Is Blocked"]]
        known.write_text(json.dumps(customers), encoding="utf-8")
    return folder


def _keep(path: Path, is_kept: Callable[[dict[str, str]], bool]) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    kept = [row for row in rows if is_kept(dict(zip(header, row, strict=False)))]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *kept])
    return [dict(zip(header, row, strict=False)) for row in kept]


def deliver(exports: Path, landing: Path) -> Path:
    shutil.copytree(exports, landing, copy_function=shutil.copyfile)
    for path in landing.rglob("*Customers.json"):
        os.utime(path, (BEFORE_ALL, BEFORE_ALL))
    rates = landing / "exchange_rates" / "2022-02-18" / "rates.csv"
    rates.parent.mkdir(parents=True)
    rates.write_text(RATES, encoding="utf-8")
    deliver_products(landing)
    deliver_sales(landing)
    known = json.loads((landing / "market_1" / "Market 1 Customers.json").read_text(encoding="utf-8"))
    buyers = [one for one in known if one["Customer ID"] in BUYERS]
    for day, changes in CHANGES.items():
        dump = landing / "market_1" / day / "Market 1 Customers.json"
        dump.parent.mkdir()
        dump.write_text(json.dumps([one | changes for one in buyers]), encoding="utf-8")
    branches.generate(landing, days=98, every=49, receipts=0.4)
    return landing


def deliver_sales(landing: Path) -> None:
    """Pages of the API: sales that the exports do not have, some that they have, and some of these twice."""
    with (landing / "market_1" / "Market 1 Orders.csv").open(encoding="utf-8", newline="") as file:
        orders = [*{row["Order ID"]: row for row in csv.DictReader(file) if row["SKU"]}.values()]
    for day, quantity in (("2022-02-10", 1), ("2022-02-18", 2)):
        rows = [
            a_line(number, place, quantity if number % 5 else 1, row)
            for number, row in enumerate(orders[: 60 // quantity])
            for place in range(1, 2 + number % 2)
        ]
        path = landing / "api_sales" / day / "000001.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"data": [*rows, rows[-1]], "next_cursor": None}), encoding="utf-8")


def a_line(number: int, place: int, quantity: int, row: dict[str, str]) -> dict[str, object]:
    """Every fourth sale is an order of the exports, and every seventh of a customer whom they do not know."""
    sale = {
        "sale_id": row["Order ID"] if number % 4 == 0 else str(30_000_000 + number),
        "customer_id": str(9_000_000 + number) if number % 7 == 0 else row["Customer ID"],
        "sold_at": f"2022-02-{1 + number % 9:02}T22:30:00Z",
        "sale_total": f"{10 * quantity * (1 + number % 2)}.00",
    }
    line = {"line": place, "sku": None if number % 11 == 0 else f"{row['SKU']}{'' if number % 3 else '-API'}"}
    amounts = {"quantity": quantity, "unit_price": "10.00", "total_price": f"{10 * quantity}.00"}
    facts = {"market": 1, "currency": "KES", "status": "COMPLETED" if number % 6 else "CANCELLED"}
    return sale | line | amounts | facts


def deliver_products(landing: Path) -> None:
    """Every second code of market 1's orders, and one that nobody orders."""
    with (landing / "market_1" / "Market 1 Orders.csv").open(encoding="utf-8", newline="") as file:
        codes = sorted({row["SKU"] for row in csv.DictReader(file)} - {""})[::2]
    for day, price in PRICES.items():
        rows = (f"1,{code},Product {code},,{price}" for code in [*codes, "UNSOLD"])
        path = landing / "products" / day / "products.csv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(["market,sku,product_name,category_name,list_price", *rows, ""]), encoding="utf-8")
    merchants = landing / "merchants" / "2022-01-01" / "merchants.csv"
    merchants.parent.mkdir(parents=True)
    merchants.write_text(MERCHANTS, encoding="utf-8")
