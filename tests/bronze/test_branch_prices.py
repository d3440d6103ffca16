from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.samples.branches import PRICES
from tests.rows import only

if TYPE_CHECKING:
    from tests.rows import Read

PATH = "market_1/2022-01-16/Market 1 Branch Prices.csv"
FILES = {PATH: f"{PRICES}\r\n1,A,2022-01-09,66\r\n1,A,2022-01-09,66.50\r\n"}


def test_a_price_is_text_as_delivered(read: Read) -> None:
    delivered = read("bronze.branch_prices", FILES)
    assert only(delivered[PATH], "market", "branch_id", "sku", "valid_from", "list_price") == [
        ("1", "1", "A", "2022-01-09", "66"),
        ("1", "1", "A", "2022-01-09", "66.50"),
    ]
