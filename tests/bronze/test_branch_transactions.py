from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.samples.branches import TRANSACTIONS
from tests.rows import Texts, only

if TYPE_CHECKING:
    from tests.rows import Read

TABLE = "bronze.branch_transactions"
KENYA = "market_1/2022-01-16/Market 1 Branch Transactions.csv"
NIGERIA = "market_2/2022-01-16/branch_transactions.csv"
LINE = "1,1001,2022-01-03T13:05:46+03:00,-,A,2,10.50,21,21"
FILES = {KENYA: f"{TRANSACTIONS}\r\n{LINE}\r\n{LINE}\r\n1,1001\r\n", NIGERIA: f"{TRANSACTIONS}\r\n{LINE}"}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    return read(TABLE, FILES)


def test_a_line_is_text_as_delivered_and_a_repeat_is_a_row(delivered: dict[str, list[Texts]]) -> None:
    names = ("market", "branch_id", "transaction_id", "sold_at", "customer_id", "unit_price", "_row")
    assert only(delivered[KENYA][:2], *names) == [
        ("1", "1", "1001", "2022-01-03T13:05:46+03:00", "-", "10.50", row) for row in "12"
    ]


def test_a_line_that_is_cut_is_kept_with_its_text(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[KENYA][2:], "_problem", "_raw") == [("row_is_too_short", "1,1001")]


def test_the_words_of_its_name_may_be_joined_otherwise(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[NIGERIA], "market", "line_total") == [("2", "21")]
