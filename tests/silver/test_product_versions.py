from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.regions import UNSAID
from tests.rows import Case, Texts, a_product_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged, Parsed

TABLE = "silver.product_versions"
CASES = [
    Case(
        "a version is named for its product and the day of its delivery",
        a_product_row(_delivered_at="2022-01-04 00:00:00"),
        {"market": "1", "sku": "A", "delivered_at": "2022-01-04 00:00:00", "product_name": "Flour 2 kg"}
        | {"category_name": "Flour", "currency": "KES", "list_price": "10.50"},
    ),
    Case("a product has a code", a_product_row(sku=""), {"_broken": "sku_is_present"}),
    Case("a market is a number", a_product_row(market="KE"), {
        "_broken": "market_is_known,market_is_readable",
    }),
    Case("a product has a market", a_product_row(market=""), {"_broken": "market_is_present,market_is_known"}),
    Case("a version has a time", a_product_row(_delivered_at=None), {"_broken": "delivered_at_is_present"}),
    Case("a broken row is not right", a_product_row(_problem="row_is_too_long"), {"_broken": "row_is_too_long"}),
    Case("a price is not rounded", a_product_row(list_price="0.005"), {"_broken": "list_price_is_readable"}),
    Case("a price is not negative", a_product_row(list_price="-1"), {"_broken": "list_price_is_not_negative"}),
    Case("a barcode is no price", a_product_row(list_price="6161100000000"), {"_broken": "list_price_is_plausible"}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_a_row_becomes_what_it_says_or_breaks_its_rule(rows: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows[case.sentence]) == case.wanted


def test_every_rule_is_broken_by_some_row(
    rows: dict[str, Texts], parsed_abroad: Parsed, tables: dict[str, Table]
) -> None:
    doubtful = parsed_abroad(
        TABLE, [Case("a thousand may be one", a_product_row(market=UNSAID, list_price="1.234"), {})]
    )
    assert {"numbers_are_certain", "list_price_is_readable"} <= broken_in(doubtful)
    assert rules_of(tables[TABLE]) <= broken_in(rows) | broken_in(doubtful)


def test_versions_of_two_days_are_both_kept_and_of_one_day_the_last(judged: Judged) -> None:
    again = a_product_row(_sequence="2", list_price="11", _delivered_at="2022-01-04")
    later = a_product_row(_sequence="3", list_price="12", _delivered_at="2022-01-04")
    rows = judged(TABLE, [a_product_row(_sequence="1", _delivered_at="2022-01-03"), again, later])
    assert only(rows, "list_price", "_status") == [("10.50", "kept"), ("11.00", "superseded"), ("12.00", "kept")]
