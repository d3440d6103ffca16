"""The real exports with rates, changing customers and products, and branches; and a lake made of them."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jobs import branch_samples
from lakehouse.runs.run import Run

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.runs.turns import Report
    from lakehouse.writes.lake import Lake

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


@dataclass(frozen=True)
class Built:
    """A lake, what it was made of, and what its last run did."""

    lake: Lake
    landing: Path
    tables: dict[str, Table]
    report: Report

    def run(self, engine: Engine) -> Report:
        return Run(self.lake.root, str(self.landing), self.tables, engine=engine).execute(self.tables)

    def versions(self) -> dict[str, int]:
        return {name: state.version for name in self.tables if (state := self.lake.state(name))}


@dataclass(frozen=True)
class Continued:
    """Two lakes that were begun by one engine each; a day more was loaded by the other."""

    by_spark: Built
    by_native: Built


def deliver(exports: Path, landing: Path) -> Path:
    shutil.copytree(exports, landing, copy_function=shutil.copyfile)
    for path in landing.rglob("*Customers.json"):
        os.utime(path, (BEFORE_ALL, BEFORE_ALL))
    rates = landing / "exchange_rates" / "2022-02-18" / "rates.csv"
    rates.parent.mkdir(parents=True)
    rates.write_text(RATES, encoding="utf-8")
    deliver_products(landing)
    known = json.loads((landing / "market_1" / "Market 1 Customers.json").read_text(encoding="utf-8"))
    buyers = [one for one in known if one["Customer ID"] in BUYERS]
    for day, changes in CHANGES.items():
        dump = landing / "market_1" / day / "Market 1 Customers.json"
        dump.parent.mkdir()
        dump.write_text(json.dumps([one | changes for one in buyers]), encoding="utf-8")
    branch_samples.generate(landing, days=98, every=49, receipts=0.4)
    return landing


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
