from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.regions import GERMANY, UNSAID
from tests.rows import Case, Texts, a_product_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged

TABLE = "silver.products"
CASES = [
    Case(
        "a right row is typed, in its market's currency",
        a_product_row(market=" 2 ", list_price="12.5"),
        {"market": "2", "sku": "A", "product_name": "Flour 2 kg", "category_name": "Flour"}
        | {"currency": "NGN", "list_price": "12.50"},
    ),
    Case("a price that nobody says is null", a_product_row(list_price="-"), {"list_price": None}),
    Case("a product has a code", a_product_row(sku=""), {"_broken": "sku_is_present"}),
    Case("a product has a market", a_product_row(market=""), {"_broken": "market_is_present,market_is_known"}),
    Case("a market is a number", a_product_row(market="KE"), {
        "_broken": "market_is_known,market_is_readable",
    }),
    Case("a market without facts is not right", a_product_row(market="3"), {"_broken": "market_is_known"}),
    Case("a price is not rounded", a_product_row(list_price="0.005"), {"_broken": "list_price_is_readable"}),
    Case("a price is not negative", a_product_row(list_price="-0.01"), {"_broken": "list_price_is_not_negative"}),
    Case("a barcode is no price", a_product_row(list_price="6161100000000"), {"_broken": "list_price_is_plausible"}),
    Case("a broken row is not right", a_product_row(_problem="row_is_too_long"), {"_broken": "row_is_too_long"}),
]  # fmt: skip

ABROAD = [
    Case("a market writes in its own way", a_product_row(market=GERMANY, list_price="1.234,50"), {
        "list_price": "1234.50",
    }),
    Case("what is fetched has a point everywhere", a_product_row(
        market=GERMANY, list_price="1234.50", _file="fetched/products/20220105T000000.000000Z",
    ), {"list_price": "1234.50"}),
    Case("a thousand may be one", a_product_row(market=UNSAID, list_price="1.234"), {
        "_broken": "numbers_are_certain,list_price_is_readable",
    }),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_a_row_becomes_what_it_says_or_breaks_its_rule(rows: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows[case.sentence]) == case.wanted


@pytest.mark.parametrize("case", ABROAD, ids=lambda case: case.sentence)
def test_a_row_of_elsewhere_is_read_as_its_market_writes(rows_abroad: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows_abroad[case.sentence]) == case.wanted


def test_every_rule_is_broken_by_some_row(
    rows: dict[str, Texts], rows_abroad: dict[str, Texts], tables: dict[str, Table]
) -> None:
    assert rules_of(tables[TABLE]) <= broken_in(rows) | broken_in(rows_abroad)


def test_a_product_twice_in_one_delivery_is_wrong_unless_it_says_the_same(judged: Judged) -> None:
    other = a_product_row(sku="B")
    rows = judged(TABLE, [a_product_row(), a_product_row(list_price="11"), other, other])
    assert only(rows, "sku", "_status") == [("A", "rejected"), ("A", "rejected"), ("B", "kept"), ("B", "duplicate")]
