from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Case, Texts, an_exchange_rate_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged

TABLE = "silver.exchange_rates"
CASES = [
    Case(
        "a right row is typed",
        an_exchange_rate_row(rate="0.00880001"),
        {"currency": "KES", "reporting_currency": "USD", "rate_date": "2022-01-03", "rate": "0.008800010000"},
    ),
    Case("a rate has twelve decimals, however it is written", an_exchange_rate_row(rate="130"), {
        "rate": "130.000000000000",
    }),
    Case("zeros after the twelfth decimal lose nothing", an_exchange_rate_row(rate="0.00880000000000"), {
        "rate": "0.008800000000",
    }),
    Case("a code is in capitals without blanks", an_exchange_rate_row(currency=" kes", reporting_currency="usd "), {
        "currency": "KES", "reporting_currency": "USD",
    }),
    Case("a word is no code", an_exchange_rate_row(currency="KSh."), {"_broken": "currencies_are_codes"}),
    Case("a rate is not rounded", an_exchange_rate_row(rate="0.0088000000001"), {
        "rate": None, "_broken": "rate_is_readable",
    }),
    Case("a rate is a number", an_exchange_rate_row(rate="0,0088"), {"rate": None, "_broken": "rate_is_readable"}),
    Case("a day is not guessed", an_exchange_rate_row(rate_date="03/01/2022"), {
        "rate_date": None, "_broken": "rate_date_is_readable",
    }),
    Case("a day is on the calendar", an_exchange_rate_row(rate_date="2022-02-30"), {
        "rate_date": None, "_broken": "rate_date_is_readable",
    }),
    Case("a currency is not worth nothing", an_exchange_rate_row(rate="0"), {"_broken": "rate_is_positive"}),
    Case("a rate below 0 is broken", an_exchange_rate_row(rate="-0.0088"), {"_broken": "rate_is_positive"}),
    Case("the first market's first day may have a rate", an_exchange_rate_row(rate_date="2021-03-01"), {}),
    Case("a day before all markets is none", an_exchange_rate_row(rate_date="2021-02-28"), {
        "_broken": "rate_date_is_plausible",
    }),
    *(
        Case(f"{column} is needed", an_exchange_rate_row(**{column: blank}), {"_broken": f"{column}_is_present"})
        for column, blank in [("currency", "-"), ("reporting_currency", ""), ("rate_date", "null"), ("rate", None)]
    ),
    Case("a row of the wrong width is not right", an_exchange_rate_row(_problem="row_is_too_long"), {
        "_broken": "row_is_too_long",
    }),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_a_row_becomes_what_it_says_or_breaks_its_rule(rows: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows[case.sentence]) == case.wanted


def test_every_rule_is_broken_by_some_row(rows: dict[str, Texts], tables: dict[str, Table]) -> None:
    assert rules_of(tables[TABLE]) <= broken_in(rows)


def test_of_one_pair_and_day_the_newest_delivery_holds_if_it_is_right(judged: Judged) -> None:
    rows = judged(TABLE, [
        an_exchange_rate_row(),
        an_exchange_rate_row(_sequence="2", rate="0.0090"),
        an_exchange_rate_row(_sequence="3", rate="0"),
        an_exchange_rate_row(rate_date="2022-01-04"),
        an_exchange_rate_row(currency="NGN"),
        an_exchange_rate_row(reporting_currency="EUR"),
    ])  # fmt: skip
    assert only(rows, "rate", "_status") == [
        ("0.008800000000", "superseded"),
        ("0.009000000000", "kept"),
        ("0.000000000000", "rejected"),
        *[("0.008800000000", "kept")] * 3,
    ]


def test_two_rates_of_one_pair_and_day_in_one_file_are_both_rejected(judged: Judged) -> None:
    rows = judged(TABLE, [an_exchange_rate_row(), an_exchange_rate_row(rate="0.0090")])
    assert only(rows, "_status", "_broken") == [("rejected", "unit_is_unique")] * 2


def test_a_rate_twice_the_same_in_one_file_is_a_duplicate(judged: Judged) -> None:
    rows = judged(TABLE, [an_exchange_rate_row(), an_exchange_rate_row()])
    assert only(rows, "_status") == [("kept",), ("duplicate",)]
