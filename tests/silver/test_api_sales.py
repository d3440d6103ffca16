from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Case, Texts, an_api_sale_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged

TABLE = "silver.api_sales"
LARGE = {"unit_price": "100000000.01", "total_price": "100000000.01", "sale_total": "100000000.01", "quantity": "1"}
CASES = [
    Case(
        "a right line is typed, its time an instant and its day the market's",
        an_api_sale_row(currency="kes"),
        {"market": "1", "sale_id": "7", "line_number": "1", "customer_id": "42", "order_status": "COMPLETED"}
        | {"currency": "KES", "quantity": "2", "unit_price": "10.00", "line_total": "20.00", "sale_total": "20.00"}
        | {"sold_at": "2022-01-02 21:30:00", "sale_date": "2022-01-03"},
    ),
    Case("an instant says its zone", an_api_sale_row(sold_at="2022-01-03T02:30:00.5+03:00"), {
        "sold_at": "2022-01-02 23:30:00.5",
    }),
    Case("a time is not guessed", an_api_sale_row(sold_at="03/01/2022"), {
        "_broken": "sold_at_is_readable",
    }),
    Case("a market without facts is not right", an_api_sale_row(market="3"), {"_broken": "market_is_known"}),
    Case("another currency is not added to the market's own", an_api_sale_row(currency="NGN"), {
        "_broken": "currency_is_the_markets",
    }),
    Case("a status nobody knows would not count", an_api_sale_row(status="PAID"), {"_broken": "order_status_is_known"}),
    Case("a sale has a number", an_api_sale_row(sale_id=""), {"_broken": "sale_id_is_present"}),
    Case("lines are counted from 1", an_api_sale_row(line="0"), {"_broken": "ids_are_positive"}),
    Case("a line sells something", an_api_sale_row(quantity="0"), {
        "_broken": "quantity_is_plausible", "_warned": "line_total_is_quantity_times_price",
    }),
    *(
        Case(f"{column} is needed", an_api_sale_row(**{text: "-"}), {"_broken": f"{column}_is_present"})
        for column, text in [
            ("line_number", "line"), ("customer_id", "customer_id"), ("order_status", "status"),
            ("quantity", "quantity"), ("unit_price", "unit_price"), ("line_total", "total_price"),
            ("sale_total", "sale_total"), ("sold_at", "sold_at"), ("currency", "currency"),
        ]
    ),
    *(
        Case(f"{column} is a number", an_api_sale_row(**{text: "ten"}), {"_broken": f"{column}_is_readable"})
        for column, text in [
            ("sale_id", "sale_id"), ("line_number", "line"), ("customer_id", "customer_id"), ("quantity", "quantity"),
            ("line_total", "total_price"), ("sale_total", "sale_total"),
        ]
    ),
    Case("a market is there", an_api_sale_row(market=""), {"_broken": "market_is_present,market_is_known"}),
    Case("a market is a number", an_api_sale_row(market="KE"), {"_broken": "market_is_known,market_is_readable"}),
    Case("a line of the wrong form is not right", an_api_sale_row(_problem="row_is_too_long"), {
        "_broken": "row_is_too_long",
    }),
    Case("a price is not rounded", an_api_sale_row(unit_price="10.001"), {"_broken": "unit_price_is_readable"}),
    Case("a barcode is no price", an_api_sale_row(**LARGE), {"_broken": "amounts_are_plausible"}),
    Case("a sale is no credit note", an_api_sale_row(total_price="-20"), {
        "_broken": "amounts_are_not_negative", "_warned": "line_total_is_quantity_times_price",
    }),
    Case("nothing was sold before there was a shop", an_api_sale_row(sold_at="2021-02-28T20:59:59Z"), {
        "_broken": "sold_at_is_plausible",
    }),
    Case("the API's own amount is kept", an_api_sale_row(unit_price="9.99"), {
        "line_total": "20.00", "_warned": "line_total_is_quantity_times_price",
    }),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_a_line_becomes_what_it_says_or_breaks_its_rule(rows: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows[case.sentence]) == case.wanted


def test_every_rule_of_a_line_is_broken_by_some_line(rows: dict[str, Texts], tables: dict[str, Table]) -> None:
    assert rules_of(tables[TABLE]) <= broken_in(rows)


@pytest.mark.slow
def test_of_a_line_that_two_pages_have_the_later_one_counts_and_a_sale_lacks_no_line(judged: Judged) -> None:
    changed = an_api_sale_row(quantity="3", total_price="30.00", sale_total="30.00")
    half = an_api_sale_row(sale_id="8", sale_total="40.00")
    assert only(judged(TABLE, [an_api_sale_row(quantity="two"), changed, half]), "sale_id", "quantity", "_status") == [
        ("7", None, "duplicate"),
        ("7", "3", "kept"),
        ("8", "2", "rejected"),
    ]
