from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.regions import GERMANY, UNSAID
from tests.rows import Case, Texts, a_branch_customer_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged, Parsed

TABLE = "silver.branch_customers"
a_row = a_branch_customer_row
CASES = [
    Case("a right row is typed", a_row(segment=" SHOP "), {
        "market": "1", "branch_id": "3", "customer_id": "42", "segment": "shop", "registered_on": "2021-11-29",
        "updated_at": "2021-12-31 21:00:00",
    }),
    Case("only ids are needed", a_row(segment="-", registered_on="", updated_at=None), {
        "segment": "(none)", "registered_on": None, "updated_at": None,
    }),
    Case("ids are needed", a_row(branch_id="-", customer_id=""), {
        "_broken": "branch_id_is_present,customer_id_is_present",
    }),
    Case("ids are numbers", a_row(branch_id="HQ", customer_id="Ada"), {
        "_broken": "branch_id_is_readable,customer_id_is_readable",
    }),
    Case("ids are above 0", a_row(customer_id="0"), {"_broken": "ids_are_positive"}),
    Case("a market is needed", a_row(market=None), {"_broken": "market_is_present,market_is_known"}),
    Case("days are not guessed", a_row(registered_on="29/11/2021", updated_at="2022-01-01"), {
        "_broken": "registered_on_is_readable,updated_at_is_readable",
    }),
    Case("a row of the wrong width is not right", a_row(_problem="row_is_too_long"), {"_broken": "row_is_too_long"}),
]  # fmt: skip
ABROAD = [
    Case("a market writes in its own way", a_row(
        market=GERMANY, registered_on="29.11.2021", updated_at="1.1.2022 00:00 +0100",
    ), {"registered_on": "2021-11-29", "updated_at": "2021-12-31 23:00:00"}),
    Case("a month may be a day", a_row(market=UNSAID, registered_on="02/03/2021"), {
        "_broken": "days_are_certain,registered_on_is_readable",
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


def test_each_branch_says_its_own_and_of_one_list_the_row_further_down_counts(judged: Judged) -> None:
    rows = judged(TABLE, [a_row(), a_row(segment="kiosk"), a_row(branch_id="4"), a_row(branch_id="5", customer_id="0")])
    assert only(rows, "branch_id", "segment", "_status") == [
        ("3", "shop", "duplicate"),
        ("3", "kiosk", "kept"),
        ("4", "shop", "kept"),
        ("5", "shop", "rejected"),
    ]
