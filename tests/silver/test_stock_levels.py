from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.regions import AMERICA, GERMANY, UNSAID
from tests.rows import Case, Texts, a_stock_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged

TABLE = "silver.stock_levels"
a_row = a_stock_row
CASES = [
    Case("a right row is typed", a_row(sku=" A "), {
        "market": "1", "branch_id": "3", "sku": "A", "counted_on": "2022-01-03", "on_hand": "12", "unit_price": "10.50",
    }),
    Case("a price need not be there", a_row(unit_price="-"), {"unit_price": None}),
    *(
        Case(f"{column} is needed", a_row(**{column: "-"}), {"_broken": f"{column}_is_present"})
        for column in ("branch_id", "sku", "counted_on", "on_hand")
    ),
    Case("numbers are digits", a_row(branch_id="x", on_hand="some", unit_price="10,50", counted_on="3/1/2022"), {
        "_broken": "branch_id_is_readable,counted_on_is_readable,on_hand_is_readable,unit_price_is_readable",
    }),
    Case("a market is a number", a_row(market="KE"), {"_broken": "market_is_known,market_is_readable"}),
    Case("a market is needed", a_row(market=None), {"_broken": "market_is_present,market_is_known"}),
    Case("an id is above 0", a_row(branch_id="0"), {"_broken": "branch_id_is_positive"}),
    Case("nothing was counted before there was a market", a_row(counted_on="2021-02-28"), {
        "_broken": "counted_on_is_plausible",
    }),
    Case("nothing was counted in days to come", a_row(counted_on="2022-01-07"), {"_broken": "counted_before_its_file"}),
    Case("a barcode is no count", a_row(on_hand="10000001"), {"_broken": "on_hand_is_plausible"}),
    Case("a barcode is no price", a_row(unit_price="100000001"), {"_broken": "price_is_plausible"}),
    Case("a price is not below 0", a_row(unit_price="-1"), {"_broken": "price_is_not_negative"}),
    Case("more sold than booked in is kept", a_row(on_hand="-3"), {
        "on_hand": "-3", "_warned": "on_hand_is_not_negative",
    }),
    Case("a row of the wrong width is not right", a_row(_problem="row_is_too_long"), {"_broken": "row_is_too_long"}),
]  # fmt: skip

ABROAD = [
    Case("a market writes in its own way", a_row(
        market=GERMANY, on_hand="1.000", unit_price="10,50", counted_on="3.1.2022",
    ), {"on_hand": "1000", "unit_price": "10.50", "counted_on": "2022-01-03"}),
    Case("a year may stand first everywhere", a_row(market=GERMANY, unit_price="-"), {"counted_on": "2022-01-03"}),
    Case("months may stand first", a_row(market=AMERICA, counted_on="01/03/2022"), {"counted_on": "2022-01-03"}),
    Case("a market writes as it says", a_row(market=AMERICA, counted_on="31/01/2022"), {
        "_broken": "counted_on_is_readable",
    }),
    Case("a day has no clock", a_row(market=GERMANY, unit_price="-", counted_on="3.1.2022 10:00"), {
        "_broken": "counted_on_is_readable",
    }),
    Case("what has one reading is read", a_row(market=UNSAID, counted_on="31/12/2021"), {"counted_on": "2021-12-31"}),
    Case("a month may be a day", a_row(market=UNSAID, counted_on="02/03/2021"), {
        "_broken": "days_are_certain,counted_on_is_readable",
    }),
    Case("a thousand may be one", a_row(market=UNSAID, unit_price="1.000"), {
        "_broken": "numbers_are_certain,unit_price_is_readable",
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


@pytest.mark.slow
def test_each_day_has_its_count_as_it_was_told_last(judged: Judged) -> None:
    rows = judged(TABLE, [a_row(), a_row(_sequence="2", on_hand="11"), a_row(counted_on="2022-01-04")])
    assert only(rows, "on_hand", "_status") == [("12", "superseded"), ("11", "kept"), ("12", "kept")]
