from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.samples.branches import STOCK
from tests.rows import Texts, only

if TYPE_CHECKING:
    from tests.rows import Read

TABLE = "bronze.stock"
KENYA = "market_1/2022-01-16/Market 1 Stock.csv"
NIGERIA = "market_2/2022-01-16/Stock of the week.csv"
FILES = {
    KENYA: f"{STOCK}\r\n1,A,2022-01-09,0,66\r\n1,A,2022-01-16,-3,66.50\r\n",
    NIGERIA: "SKU,Branch ID,Counted On,On Hand\nA,1,2022-01-09,12\n",
}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    return read(TABLE, FILES)


def test_a_count_is_text_as_delivered(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[KENYA], "market", "branch_id", "sku", "counted_on", "on_hand", "unit_price") == [
        ("1", "1", "A", "2022-01-09", "0", "66"),
        ("1", "1", "A", "2022-01-16", "-3", "66.50"),
    ]


def test_prices_need_not_be_there(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[NIGERIA], "market", "on_hand", "unit_price") == [("2", "12", None)]
