from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.regions import GERMANY, UNSAID
from tests.rows import Case, Texts, a_branch_price_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged, Parsed

TABLE = "silver.branch_prices"
a_row = a_branch_price_row
CASES = [
    Case("a right row is typed", a_row(sku=" A "), {
        "market": "1", "branch_id": "3", "sku": "A", "valid_from": "2022-01-03", "list_price": "10.50",
    }),
    *(
        Case(f"{column} is needed", a_row(**{column: "-"}), {"_broken": f"{column}_is_present"})
        for column in ("branch_id", "sku", "valid_from", "list_price")
    ),
    Case("numbers are digits", a_row(branch_id="x", list_price="10,50", valid_from="3/1/2022"), {
        "_broken": "branch_id_is_readable,valid_from_is_readable,list_price_is_readable",
    }),
    Case("a market is needed", a_row(market=None), {"_broken": "market_is_present,market_is_known"}),
    Case("an id is above 0", a_row(branch_id="0"), {"_broken": "branch_id_is_positive"}),
    Case("a price may be announced", a_row(valid_from="2022-12-31"), {"valid_from": "2022-12-31"}),
    Case("a barcode is no price", a_row(list_price="100000001"), {"_broken": "price_is_plausible"}),
    Case("a price is not below 0", a_row(list_price="-1"), {"_broken": "price_is_not_negative"}),
    Case("a row of the wrong width is not right", a_row(_problem="row_is_too_long"), {"_broken": "row_is_too_long"}),
]  # fmt: skip
ABROAD = [
    Case("a market writes in its own way", a_row(market=GERMANY, valid_from="3.1.2022", list_price="1.234,50"), {
        "valid_from": "2022-01-03", "list_price": "1234.50",
    }),
    Case("a month may be a day", a_row(market=UNSAID, valid_from="02/03/2021", list_price="1.000"), {
        "_broken": "numbers_are_certain,days_are_certain,valid_from_is_readable,list_price_is_readable",
    }),
]  # fmt: skip


@pytest.fixture(scope="module")
def rows(parsed: Parsed, parsed_abroad: Parsed) -> dict[str, Texts]:
    return parsed(TABLE, CASES) | parsed_abroad(TABLE, ABROAD)


@pytest.mark.parametrize("case", [*CASES, *ABROAD], ids=lambda case: case.sentence)
def test_a_row_becomes_what_it_says_or_breaks_its_rule(rows: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows[case.sentence]) == case.wanted


def test_every_rule_is_broken_by_some_row(rows: dict[str, Texts], tables: dict[str, Table]) -> None:
    assert rules_of(tables[TABLE]) <= broken_in(rows)


def test_of_two_prices_from_one_day_the_one_further_down_counts_and_the_next_one_leaves_it(judged: Judged) -> None:
    rows = judged(TABLE, [a_row(), a_row(list_price="11"), a_row(_sequence="2", valid_from="2022-02-01")])
    assert only(rows, "list_price", "_status") == [("10.50", "duplicate"), ("11.00", "kept"), ("10.50", "kept")]
