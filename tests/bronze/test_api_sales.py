from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Texts, only

if TYPE_CHECKING:
    from tests.rows import Read

TABLE = "bronze.api_sales"
SAVED, MANY = "api_sales/2022-01-05/page.json", "api_sales/2022-01-06/many.json"
FACTS = '"sold_at": "2022-01-05T06:00:00Z", "status": "COMPLETED", "quantity": 2, "unit_price": 10.10'
AMOUNTS = '"total_price": "20.20", "sale_total"'


def a_line(sale: int, line: int = 1, total: str = "20.20", market: int = 1, more: str = '"sku": "A"') -> str:
    of_market = f'"market": {market}, "currency": "{"KES" if market == 1 else "NGN"}"'
    ids = f'"sale_id": "{sale}", "line": {line}, "customer_id": "{sale}"'
    return f'{{{of_market}, {ids}, {FACTS}, {AMOUNTS}: "{total}", {more}}}'


LINES = [a_line(7, 1, "40.40"), a_line(7, 2, "40.40", more='"sku": null, "note": "new"')]
FILES = {
    SAVED: f'{{"data": [{", ".join(LINES)}], "next_cursor": "x"}}',
    MANY: f'{{"data": [{", ".join(a_line(9_000_000 + n, market=1 + n % 2) for n in range(30))}]}}',
}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    return read(TABLE, FILES)


def test_a_line_is_text_as_the_page_has_it_and_its_market_a_column(delivered: dict[str, list[Texts]]) -> None:
    names = ("market", "sale_id", "line", "quantity", "unit_price", "sku", "note", "_row")
    assert only(delivered[SAVED], *names) == [
        ("1", "7", "1", "2", "10.10", "A", None, "1"),
        ("1", "7", "2", "2", "10.10", None, "new", "2"),
    ]
