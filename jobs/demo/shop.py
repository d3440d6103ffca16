"""The shop that `lakehouse demo --sources` fetches from: an API of its sales, a database of products and merchants."""

from __future__ import annotations

import csv
import os
import zipfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, LiteralString

from jobs.demo.sales_api import SalesAPI, served, some_sales
from lakehouse.serving.postgres import server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FIRST = date(2022, 1, 3)  # of the sample exports
A_DAY = 20  # sales
OF_BOTH = 5  # sales of the API that are orders of the exports
TABLES: tuple[LiteralString, ...] = (
    "create table products (market int, sku text, product_name text, category_name text, list_price numeric(18, 2))",
    "alter table products add updated_at timestamptz, add primary key (market, sku)",
    "create table merchants (market int, merchant_id bigint primary key, merchant_name text, commission_share numeric)",
)


@dataclass
class Shop:
    """`database`: the URL of its PostgreSQL. The environment says where both are, as long as the shop is open."""

    api: SalesAPI
    database: str

    def open(self, exports: Iterable[Path], days: int) -> None:
        """So many days of sales, some of them orders of the exports, and the products and merchants of these."""
        self.api.rows += some_sales(FIRST, days, A_DAY)
        orders = [path for path in exports if "Orders" in path.name]
        exported = [(int(path.parts[-3].removeprefix("market_")), row) for path in orders for row in _rows(path)]
        order_ids = [*dict.fromkeys(row["Order ID"] for market, row in exported if market == 1)][:OF_BOTH]
        lines = [one for one in self.api.rows if one["market"] == 1][:OF_BOTH]
        now = datetime.now(UTC)
        self.api.rows += [_alone(line, order_id, now) for line, order_id in zip(lines, order_ids, strict=True)]
        products = {(market, row["SKU"]): row for market, row in exported if row["SKU"]}
        merchants = {row["Merchant ID"]: market for market, row in exported}
        for statement in TABLES:
            self._ask(statement)
        named = [
            (*key, f"{one['Category Name']} {key[1]}", one["Category Name"], one["Unit Price"])
            for key, one in products.items()
        ]
        self._ask("insert into products values (%s, %s, %s, nullif(%s, ''), %s, now())", *named)
        owners = [(market, merchant, f"Shop of market {market}") for merchant, market in merchants.items()]
        self._ask("insert into merchants values (%s, %s, %s, 0.15)", *owners)

    def a_day_later(self) -> None:
        """A sale more, one that became another, a price, and a rate limit that the pages run into."""
        now = datetime.now(UTC)
        self.api.rows += [_alone(self.api.rows[0], "29000000", now), _alone(self.api.rows[1], "29000001", now)]
        self.api.faults.extend(("429", "503"))
        self._ask("update products set list_price = list_price * 1.1, updated_at = now() where sku < 'M'")

    def _ask(self, statement: LiteralString, *rows: tuple[object, ...]) -> None:
        import psycopg  # noqa: PLC0415  which the demo alone does not need

        with psycopg.connect(self.database) as connection, connection.cursor() as cursor:
            if rows:
                cursor.executemany(statement, rows)
            else:
                cursor.execute(statement)


@contextmanager
def opened() -> Iterator[Shop]:
    """Both on 127.0.0.1, ended with the block."""
    key, before = token_urlsafe(), dict(os.environ)
    api = SalesAPI([], key, rate=50, burst=10)
    with ExitStack() as until:
        url = until.enter_context(server.running())
        os.environ |= {"SALES_API_URL": until.enter_context(served(api)), "SALES_API_KEY": key}
        os.environ["LAKEHOUSE_SHOP_DATABASE"] = url.replace("postgresql://", "postgresql+psycopg://", 1)
        try:
            yield Shop(api, url)
        finally:
            os.environ.clear()
            os.environ.update(before)


def zipped(file: Path) -> Path:
    """The same in an archive, as partners send it."""
    path = file.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(file, file.name)
    file.unlink()
    return path


def _alone(line: dict[str, Any], sale_id: str, at: datetime) -> dict[str, Any]:
    """A sale of this one line, that was changed now."""
    ids = {"sale_id": sale_id, "line": 1, "line_id": f"{sale_id}-1", "sale_total": line["total_price"]}
    return line | ids | {"updated_at": at.isoformat().replace("+00:00", "Z")}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]
