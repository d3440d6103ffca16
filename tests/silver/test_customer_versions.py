from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.regions import UNSAID
from tests.rows import Case, Texts, a_customer_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged

TABLE = "silver.customer_versions"
CASES = [
    Case(
        "a right row is typed, and says when it was delivered",
        a_customer_row(_delivered_at="2022-01-05", created_at="2022-01-02T21:30:00.123Z", is_blocked="1"),
        {"market": "1", "customer_id": "42", "delivered_at": "2022-01-05 00:00:00", "is_blocked": "true"}
        | {"last_used_platform": "WEB", "language": "en", "number_of_employees": "2"}
        | {"created_at": "2022-01-02 21:30:00.123"},
    ),
    Case(
        "what is not there is null",
        a_customer_row(number_of_employees=None, created_at="", is_blocked="-", last_used_platform="null"),
        {"number_of_employees": None, "created_at": None, "is_blocked": None, "last_used_platform": None},
    ),
    Case("a number of employees like a phone number is kept", a_customer_row(number_of_employees="7000123456"), {
        "number_of_employees": "7000123456",
    }),
    Case("amounts are exact", a_customer_row(outstanding_amount="0.001"), {
        "_broken": "outstanding_amount_is_readable",
    }),
    Case("points are whole", a_customer_row(loyalty_points="1.5"), {"_broken": "loyalty_points_is_readable"}),
    Case("an id has digits only", a_customer_row(customer_id="4x"), {"_broken": "customer_id_is_readable"}),
    Case("an id is needed", a_customer_row(customer_id="-"), {"_broken": "customer_id_is_present"}),
    Case("a version was delivered at some time", a_customer_row(_delivered_at=None), {
        "_broken": "delivered_at_is_present",
    }),
    Case("2 is not 0 or 1", a_customer_row(is_blocked="2"), {"_broken": "is_blocked_is_readable"}),
    Case("employees are whole", a_customer_row(number_of_employees="1.5"), {
        "_broken": "number_of_employees_is_readable",
    }),
    Case("a day alone is no instant", a_customer_row(created_at="2022-01-02"), {"_broken": "created_at_is_readable"}),
    Case("a market without facts is not right", a_customer_row(market=3), {"_broken": "market_is_known"}),
    Case("a customer has a market", a_customer_row(market=None), {"_broken": "market_is_present,market_is_known"}),
    Case("a broken object is not right", a_customer_row(_problem="row_is_too_long"), {
        "_broken": "row_is_too_long",
    }),
]  # fmt: skip

ABROAD = [
    Case("a thousand may be one", a_customer_row(market=UNSAID, outstanding_amount="1.000"), {
        "_broken": "numbers_are_certain,outstanding_amount_is_readable",
    }),
    Case("a month may be a day", a_customer_row(market=UNSAID, created_at="02/03/2021 10:00:00Z"), {
        "_broken": "days_are_certain,created_at_is_readable",
    }),
]  # fmt: skip


@pytest.mark.parametrize("case", ABROAD, ids=lambda case: case.sentence)
def test_a_row_of_elsewhere_is_read_as_its_market_writes(rows_abroad: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows_abroad[case.sentence]) == case.wanted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_a_row_becomes_what_it_says_or_breaks_its_rule(rows: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows[case.sentence]) == case.wanted


def test_every_rule_is_broken_by_some_row(
    rows: dict[str, Texts], rows_abroad: dict[str, Texts], tables: dict[str, Table]
) -> None:
    assert rules_of(tables[TABLE]) <= broken_in(rows) | broken_in(rows_abroad)


@pytest.mark.slow
def test_a_later_delivery_takes_no_earlier_ones_place(judged: Judged) -> None:
    rows = judged(TABLE, [
        a_customer_row(_sequence="2", _delivered_at="2022-01-05", is_blocked="1"),
        a_customer_row(_sequence="1", _delivered_at="2022-01-04"),
        a_customer_row(_sequence="3", _delivered_at="2022-01-06", is_blocked="1"),
    ])  # fmt: skip
    assert only(rows, "delivered_at", "is_blocked", "_status") == [
        ("2022-01-05 00:00:00", "true", "kept"),
        ("2022-01-04 00:00:00", "false", "kept"),
        ("2022-01-06 00:00:00", "true", "kept"),
    ]


@pytest.mark.slow
def test_a_corrected_file_of_the_same_day_takes_the_place_of_what_it_corrects(judged: Judged) -> None:
    rows = judged(TABLE, [a_customer_row(language="xx"), a_customer_row(_sequence="2", language="sw")])
    assert only(rows, "language", "_status") == [("xx", "superseded"), ("sw", "kept")]


@pytest.mark.slow
def test_two_different_rows_of_one_customer_in_one_delivery_are_both_rejected(judged: Judged) -> None:
    rows = judged(TABLE, [a_customer_row(), a_customer_row(language="sw"), a_customer_row(market=2)])
    assert only(rows, "market", "_status", "_broken") == [
        ("1", "rejected", "unit_is_unique"),
        ("1", "rejected", "unit_is_unique"),
        ("2", "kept", ""),
    ]
