from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.regions import GERMANY, UNSAID
from tests.rows import Case, Texts, a_branch_transaction_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged

TABLE = "silver.branch_transactions"
a_row = a_branch_transaction_row
CASES = [
    Case("a right row is typed", a_row(unit_price="10.5", line_total="21.00"), {
        "market": "1", "branch_id": "3", "transaction_id": "1001", "customer_id": "42", "sku": "A", "currency": "KES",
        "quantity": "2", "unit_price": "10.50", "line_total": "21.00", "transaction_total": "20.00",
        "sold_at": "2022-01-02 21:30:00", "sale_date": "2022-01-03",
    }),
    Case("the day is the market's, wherever the till's clock is", a_row(market=2), {
        "currency": "NGN", "sold_at": "2022-01-02 21:30:00", "sale_date": "2022-01-02",
    }),
    Case("who buys need not say who it is", a_row(customer_id="-"), {"customer_id": None}),
    *(
        Case(f"{column} is needed", a_row(**{column: blank}), {"_broken": f"{column}_is_present"})
        for column, blank in [
            ("branch_id", "-"), ("transaction_id", ""), ("sku", "null"), ("quantity", "-"), ("unit_price", ""),
            ("line_total", "-"), ("transaction_total", "null"),
        ]
    ),
    Case("a time is needed", a_row(sold_at="-"), {"_broken": "sold_at_is_present,sale_date_is_present"}),
    Case("a time without a zone is not guessed", a_row(sold_at="2022-01-03T00:30:00"), {
        "_broken": "sold_at_is_readable,sale_date_is_readable",
    }),
    Case("numbers are digits", a_row(branch_id="B3", transaction_id="x", customer_id="Ada", quantity="two"), {
        "_broken": "branch_id_is_readable,transaction_id_is_readable,customer_id_is_readable,quantity_is_readable",
    }),
    Case("amounts are not rounded", a_row(unit_price="1.005", line_total="2.001", transaction_total="2.001"), {
        "_broken": "unit_price_is_readable,line_total_is_readable,transaction_total_is_readable",
    }),
    Case("a market is needed", a_row(market=None), {
        "_broken": "market_is_present,market_is_known,currency_is_present,sale_date_is_readable",
    }),
    Case("ids are above 0", a_row(branch_id="0"), {"_broken": "ids_are_positive"}),
    Case("nothing is returned", a_row(quantity="-2", unit_price="-10"), {
        "_broken": "quantity_is_positive,amounts_are_not_negative",
    }),
    Case("a price is no quantity", a_row(quantity="100001", line_total="1000010"), {
        "_broken": "quantity_is_plausible",
    }),
    Case("a barcode is no amount", a_row(transaction_total="100000000.01"), {"_broken": "amounts_are_plausible"}),
    Case("nothing was sold before the market opened", a_row(sold_at="2021-02-28T23:59:59+03:00"), {
        "_broken": "sold_at_is_plausible",
    }),
    Case("no receipt is of days to come", a_row(sold_at="2022-01-06T03:00:01+03:00"), {
        "_broken": "receipt_is_older_than_its_file",
    }),
    Case("a line is quantity times price", a_row(line_total="21"), {"_warned": "line_total_is_quantity_times_price"}),
    Case("a row of the wrong width is not right", a_row(_problem="row_is_too_long"), {"_broken": "row_is_too_long"}),
]  # fmt: skip

ABROAD = [
    Case("a market writes in its own way", a_row(
        market=GERMANY, quantity="1.000", unit_price="1,5", line_total="1.500,00", transaction_total="1.500",
        sold_at="03.01.2022 00:30 +0100",
    ), {"quantity": "1000", "unit_price": "1.50", "line_total": "1500.00", "sold_at": "2022-01-02 23:30:00"}),
    Case("a thousand may be one", a_row(market=UNSAID, line_total="1.000"), {
        "_broken": "numbers_are_certain,line_total_is_readable",
    }),
    Case("a month may be a day", a_row(market=UNSAID, sold_at="02/03/2021 10:00Z"), {
        "_broken": "days_are_certain,sold_at_is_readable,sale_date_is_readable",
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
def test_a_receipt_enters_when_its_lines_add_up_without_repeats(judged: Judged) -> None:
    rows = judged(TABLE, [
        a_row(transaction_total="25"),
        a_row(transaction_total="25"),
        a_row(transaction_total="25", sku="B", quantity="1", unit_price="5", line_total="5"),
        a_row(branch_id="4", transaction_total="25"),
        a_row(branch_id="5", transaction_total="40"),
        a_row(branch_id="5", transaction_total="40"),
    ])  # fmt: skip
    assert only(rows, "branch_id", "line_number", "_status", "_broken") == [
        ("3", "1", "kept", ""),
        ("3", "1", "duplicate", ""),
        ("3", "2", "kept", ""),
        ("4", "1", "rejected", "transaction_total_is_the_sum_of_lines"),
        ("5", "1", "kept", ""),
        ("5", "2", "kept", ""),
    ]


@pytest.mark.slow
def test_a_number_that_is_used_again_is_told_of(judged: Judged) -> None:
    rows = judged(TABLE, [a_row(), a_row(_sequence="2", sold_at="2022-01-04T00:30:00+03:00")])
    assert only(rows, "_status", "_warned") == [("superseded", ""), ("kept", "identity_is_kept")]
