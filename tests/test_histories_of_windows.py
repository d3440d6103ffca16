"""Tables that are fed by windows, in random histories whose steps are done by an engine drawn at random.

Sales of an API beside the exports' orders, products and merchants of a database, stock as files: windows come whole or
with what changed, with wrong rows, over several pages, quiet, late or taken back. In the end each table and quarantine
is as in a lake that gets all of it at once, natively.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyarrow import parquet

from jobs.samples import daily
from lakehouse import engines, graph
from lakehouse.delta.tables import progress
from lakehouse.engines import NATIVE, SPARK
from lakehouse.intake.deliveries import fetched
from lakehouse.intake.deliveries.fetched import Complete, Part
from lakehouse.intake.records import ledger, retracted
from lakehouse.runs.run import Run
from lakehouse.store import storage
from lakehouse.writes.lake import Lake
from tests.rows import an_api_sale_row
from tests.test_deliveries_in_any_order import Histories, without_limit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from tests.rows import Cells

pytestmark = pytest.mark.slow
SALES, PRODUCTS, MERCHANTS, STOCK = (f"bronze.{name}" for name in ("api_sales", "products", "merchants", "stock"))
SHORT = [
    SALES,
    PRODUCTS,
    *(f"silver.{name}" for name in ("api_sales", "product_versions", "product_states", "sold_lines")),
]
FED = [*SHORT, MERCHANTS, STOCK, *(f"silver.{name}" for name in ("products", "merchants", "stock_levels"))]
SKUS = [*"ABCDE"]
FIRST = datetime(2022, 1, 10, tzinfo=UTC)
OF_PRODUCTS = pa.schema(
    {
        "market": pa.int32(),
        "sku": pa.string(),
        "product_name": pa.string(),
        "category_name": pa.string(),
        "list_price": pa.decimal128(18, 2),
        "updated_at": pa.timestamp("us", "UTC"),
    }
)
OF_MERCHANTS = pa.schema(
    {"market": pa.int32(), "merchant_id": pa.int64(), "merchant_name": pa.string(), "commission_share": pa.string()}
)


STEPS = 2  # of which one is by Spark; a long history has three times as many, and more tables


class History:
    """What a seed delivers to a lake; `told` says it."""

    def __init__(self, histories: Histories, seed: int, orders: list[str], fed: list[str]) -> None:
        self.fed = fed
        self.landing, self.tables, self.random = histories.files, histories.tables, Random(seed)  # noqa: S311
        self.lake, self.orders, self.at, self.told = Lake(str(histories.folder / "steps")), orders, FIRST, list[str]()

    def run(self, engine: str = NATIVE) -> None:
        """But for the first time only what is fed: the exports are what they were."""
        wanted = {name: self.tables[name] for name in self.fed} if self.lake.state("silver.sales") else self.tables
        Run(self.lake.root, str(self.landing), self.tables, engine=engines.start(engine)).execute(wanted)

    def window(self, table: str, bodies: list[bytes], suffix: str, *, is_part: bool = False) -> None:
        """Begun some hours after the last, or shortly before it, since it took so long."""
        self.at += timedelta(hours=self.random.choice([1, 5, 30]))
        begun = self.at - timedelta(minutes=self.random.choice([0, 0, 0, 90]), seconds=len(self.told))
        path, names = fetched.folder(table, begun), [f"{number:06}.{suffix}" for number in range(1, len(bodies) + 1)]
        for name, body in zip(names, bodies, strict=True):
            storage.put(str(self.landing), f"{path}/{name}", body)
        hashes = [hashlib.sha256(body).hexdigest() for body in bodies]
        parts = tuple(Part(*one) for one in zip(names, map(len, bodies), hashes, strict=True))
        whole = Complete(begun - timedelta(days=1) if is_part else None, None, begun, {}, parts)
        storage.put(str(self.landing), f"{path}/{fetched.COMPLETE}", whole.to_json())
        self.told.append(f"{path}: {bodies if suffix == 'json' else len(bodies)}")

    def rows(self, table: str, rows: list[dict[str, object]], schema: pa.Schema, *, is_part: bool = False) -> None:
        """On two pages, or on one."""
        cut = self.random.randint(0, len(rows))
        self.told.append(str(rows))
        self.window(table, [_parquet(some, schema) for some in (rows[:cut], rows[cut:])], "parquet", is_part=is_part)

    def products(self, skus: list[str]) -> list[dict[str, object]]:
        """Of which one may have a price that is none."""
        prices = [Decimal(self.random.choice(["1.50", "1.50", "2.00", "-1.00"])) for _ in skus]
        names = [self.random.choice(["Flour", "Rice"]) for _ in skus]
        known = {"market": 1, "category_name": None, "updated_at": FIRST}
        facts = zip(skus, names, prices, strict=True)
        return [known | {"sku": sku, "product_name": name, "list_price": price} for sku, name, price in facts]


def sales_of_a_time(history: History) -> None:
    """Some orders of the exports among them, some lines twice and some wrong."""
    random = history.random
    rows: list[Cells] = []
    for sale in random.sample([*history.orders, "7", "8", "9"], 3):
        lines = random.randint(1, 2)
        for line in range(1, lines + 1):
            quantity = random.choice(["2", "2", "3", "two"])
            total = str(20 * lines) if quantity != "3" else "1"
            rows.append(an_api_sale_row(sale_id=sale, line=str(line), quantity=quantity, sale_total=total))
    rows += random.sample(rows, random.randint(0, 1))
    cut = random.randint(0, len(rows))
    history.window(
        SALES, [json.dumps({"data": some}).encode() for some in (rows[:cut], rows[cut:])], "json", is_part=True
    )


def all_products(history: History) -> None:
    history.rows(PRODUCTS, history.products(SKUS[: history.random.choice([4, 5, 5])]), OF_PRODUCTS)


def products_that_changed(history: History) -> None:
    history.rows(PRODUCTS, history.products(history.random.sample(SKUS, 2)), OF_PRODUCTS, is_part=True)


def nothing_that_changed(history: History) -> None:
    history.window(history.random.choice([PRODUCTS, MERCHANTS, SALES]), [], "parquet")


def all_merchants(history: History) -> None:
    random = history.random
    rows = [(number, random.choice(["0.15", "0.2", "15"])) for number in range(1, random.choice([10, 11, 12]))]
    known = {"market": 1, "merchant_name": "Duka"}
    merchants = [known | {"merchant_id": number, "commission_share": share} for number, share in rows]
    history.rows(MERCHANTS, merchants, OF_MERCHANTS)


def stock_of_a_day(history: History) -> None:
    random, day = history.random, f"2022-01-{history.random.randint(8, 12):02}"
    counts = [f"3,{sku},{day},{random.choice(['4', '0', 'some'])},1.50" for sku in random.sample(SKUS, 2)]
    path = f"market_1/{day}/Market 1 Stock {len(history.told)}.csv"
    storage.put(
        str(history.landing), path, "\n".join(["branch_id,sku,counted_on,on_hand,unit_price", *counts]).encode()
    )
    history.told.append(f"{path}: {counts}")


def something_taken_back(history: History) -> None:
    known = str(retracted.read())
    taken = [one for one in ledger.read(history.lake.root).taken() if one.delivery.table in FED]
    if left := [one for one in taken if one.delivery.path not in known]:
        one = history.random.choice(left)
        retracted.add([one], "a test")
        history.told.append(f"{one.delivery.path} is taken back")


EVENTS: tuple[Callable[[History], None], ...] = (
    *(sales_of_a_time, all_products, all_merchants, stock_of_a_day),
    *(sales_of_a_time, products_that_changed, nothing_that_changed, something_taken_back),
)


@pytest.fixture
def histories(engine: Engine, tables: dict[str, Table], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Histories:
    """Exports of a day, with the orders that sales may be."""
    monkeypatch.setattr(retracted, "FILE", tmp_path / "retracted.yml")
    daily.generate(tmp_path / "landing", lines=30, days=1)
    lifted = {name: without_limit(one) for name, one in graph.selected(tables, FED).items()}
    return Histories(tmp_path / "landing", tmp_path, lifted, engine)


@pytest.mark.usefixtures("on_spark")
@pytest.mark.parametrize("seed", [0, *(pytest.param(one, marks=pytest.mark.long) for one in range(1, 10))])
def test_whatever_windows_say_and_whoever_loads_them_the_tables_are_those_of_all_at_once(
    seed: int, histories: Histories
) -> None:
    (orders,) = histories.files.glob("market_1/*/*Orders.csv")
    with orders.open(encoding="utf-8") as file:
        history = History(
            histories, seed, sorted({row["Order ID"] for row in csv.DictReader(file)})[:2], SHORT if seed == 0 else FED
        )
    for event in EVENTS[:4]:
        event(history)
    history.run()
    steps = STEPS if seed == 0 else 3 * STEPS
    for name in history.random.sample([SPARK, NATIVE] * (steps // STEPS), steps):
        for event in history.random.sample(EVENTS, 4):
            event(history)
        history.told.append(f"run by {name}")
        history.run(name)
    at_once = Lake(str(histories.folder / "at_once"))
    engine = engines.start(NATIVE)
    Run(at_once.root, str(histories.files), histories.tables, engine=engine).execute(histories.tables)
    fed = [one for name in history.fed if name.startswith("silver.") for one in (name, progress.rejected(name))]
    found, wanted = (histories.content(lake) for lake in (history.lake, at_once))
    for name in fed:
        assert found.get(name, []) == wanted.get(name, []), "\n".join([name, *history.told])
    assert len(wanted["silver.sold_lines"]) > len(wanted["silver.sales"]) > 0
    versions = histories.versions(history.lake)
    history.run()
    assert histories.versions(history.lake) == versions


def _parquet(rows: list[dict[str, object]], schema: pa.Schema) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, schema), file)
    return file.getvalue()
