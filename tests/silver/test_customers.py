from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.regions import GERMANY, UNSAID
from tests.rows import Case, Texts, a_customer_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged

TABLE = "silver.customers"
CASES = [
    Case(
        "a right row is typed, and Created At is UTC already",
        a_customer_row(outstanding_amount="12.5", created_at="2022-01-02T21:30:00.123Z"),
        {"market": "1", "customer_id": "42", "last_used_platform": "WEB", "language": "en", "is_blocked": "false"}
        | {"outstanding_amount": "12.50", "loyalty_points": "10", "number_of_employees": "2"}
        | {"created_at": "2022-01-02 21:30:00.123"},
    ),
    Case("1 is blocked", a_customer_row(is_blocked="1"), {"is_blocked": "true"}),
    Case(
        "what is not there is null",
        a_customer_row(number_of_employees=None, created_at="", is_blocked="-", language="null"),
        {"number_of_employees": None, "created_at": None, "is_blocked": None, "language": None},
    ),
    Case("0 is a number of points", a_customer_row(loyalty_points="0"), {"loyalty_points": "0"}),
    Case(
        "a number of employees like a phone number is kept",
        a_customer_row(number_of_employees="7000123456"),
        {"number_of_employees": "7000123456", "_warned": "employees_are_plausible"},
    ),
    Case(
        "a negative number of employees is kept",
        a_customer_row(number_of_employees="-2"),
        {"number_of_employees": "-2", "_warned": "employees_are_plausible"},
    ),
    Case("an id has digits only", a_customer_row(customer_id="4x"), {"_broken": "customer_id_is_readable"}),
    Case("an id is needed", a_customer_row(customer_id="-"), {"_broken": "customer_id_is_present"}),
    Case("yes is not 0 or 1", a_customer_row(is_blocked="yes"), {"_broken": "is_blocked_is_readable"}),
    Case("2 is not 0 or 1", a_customer_row(is_blocked="2"), {"_broken": "is_blocked_is_readable"}),
    Case(
        "an amount is not rounded",
        a_customer_row(outstanding_amount="0.005"),
        {"outstanding_amount": None, "_broken": "outstanding_amount_is_readable"},
    ),
    Case("points are whole", a_customer_row(loyalty_points="1.5"), {"_broken": "loyalty_points_is_readable"}),
    Case("employees are whole", a_customer_row(number_of_employees="3 or 4"), {
        "_broken": "number_of_employees_is_readable",
    }),
    Case("a day alone is no instant", a_customer_row(created_at="2022-01-02"), {"_broken": "created_at_is_readable"}),
    Case("nobody registered before the shop's first day", a_customer_row(created_at="2021-02-28T20:59:59.000Z"), {
        "_warned": "created_at_is_plausible",
    }),
    Case("the first day begins at the market's midnight", a_customer_row(created_at="2021-02-28T21:00:00.000Z"), {}),
    Case("a market without facts is not right", a_customer_row(market=3), {"_broken": "market_is_known"}),
    Case("a customer has a market", a_customer_row(market=None), {"_broken": "market_is_present,market_is_known"}),
    Case("a broken object is not right", a_customer_row(_problem="row_is_too_long"), {
        "_broken": "row_is_too_long",
    }),
]  # fmt: skip

ABROAD = [
    Case("a market writes in its own way", a_customer_row(
        market=GERMANY, outstanding_amount="1.234,5", loyalty_points="1.000", created_at="17.12.2021 16:36 +0100"
    ), {"outstanding_amount": "1234.50", "loyalty_points": "1000", "created_at": "2021-12-17 15:36:00"}),
    Case("an instant has its zone", a_customer_row(market=GERMANY, created_at="17.12.2021 16:36:27"), {
        "created_at": None, "_broken": "created_at_is_readable",
    }),
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
def test_two_different_rows_of_one_customer_in_one_file_are_both_rejected(judged: Judged) -> None:
    once, other = a_customer_row(), a_customer_row(loyalty_points="11")
    rows = judged(TABLE, [once, other, a_customer_row(market=2), a_customer_row(customer_id="43"), once])
    assert only(rows, "market", "customer_id", "_status", "_broken") == [
        ("1", "42", "rejected", "unit_is_unique"),
        ("1", "42", "rejected", "unit_is_unique"),
        ("2", "42", "kept", ""),
        ("1", "43", "kept", ""),
        ("1", "42", "rejected", "unit_is_unique"),
    ]


@pytest.mark.slow
def test_a_customer_twice_the_same_in_one_file_is_a_duplicate(judged: Judged) -> None:
    rows = judged(TABLE, [a_customer_row(), a_customer_row()])
    assert only(rows, "_status") == [("kept",), ("duplicate",)]
