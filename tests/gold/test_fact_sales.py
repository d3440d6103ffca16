from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_customer_state, a_product_state, a_sold_line, key, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.fact_sales"
STATES = [
    a_customer_state(valid_to="2022-01-05 10:00:00", is_current=False),
    a_customer_state(customer_key="second", valid_from="2022-01-05 10:00:00", version=2),
    a_customer_state(customer_key="of market 2", market=2),
    a_customer_state(customer_key="another's", customer_id=43),
]


def test_a_line_finds_the_state_valid_at_its_very_second_and_before_all_the_first(built: Built) -> None:
    times = ["2001-01-01 00:00:00", "2022-01-05 09:59:59.999999", "2022-01-05 10:00:00", "2030-01-01 00:00:00"]
    sales = [a_sold_line(order_id=number, ordered_at=at) for number, at in enumerate(times)] + [a_sold_line(market=2)]
    rows = built(TABLE, {"silver_sold_lines": sales, "gold_dim_customer": STATES})
    assert only(rows, "market", "order_id", "customer_key") == [
        ("1", "0", "first"),
        ("1", "1", "first"),
        ("1", "2", "second"),
        ("1", "3", "second"),
        ("2", "7", "of market 2"),
    ]


def test_keys_are_of_the_local_day_and_the_product_also_of_none(built: Built) -> None:
    sales = [a_sold_line(), a_sold_line(line_number=2, sku=None)]
    rows = built(TABLE, {"silver_sold_lines": sales, "gold_dim_customer": STATES})
    assert only(rows, "sales_key", "date_key", "product_key") == [
        (key(1, 7, 1), "20220103", key(1, "A")),
        (key(1, 7, 2), "20220103", key(1, "(none)")),
    ]


def test_every_line_is_there_with_its_own_amounts_and_only_completed_is_revenue(built: Built) -> None:
    sales = [
        a_sold_line(),
        a_sold_line(order_id=8, order_status="CANCELLED", line_cost=None, line_margin=None, payment_method="Pay Later"),
    ]
    rows = built(TABLE, {"silver_sold_lines": sales, "gold_dim_customer": STATES})
    names = ("order_status", "is_completed", "payment_method", "quantity", "line_total", "line_cost", "line_margin")
    assert only(rows, *names) == [
        ("COMPLETED", "true", "CASH", "2", "20.00", "17.00", "3.00"),
        ("CANCELLED", "false", "Pay Later", "2", "20.00", None, None),
    ]


def test_a_line_finds_the_state_of_its_product_that_was_valid_too(built: Built) -> None:
    until = "2022-01-05 10:00:00"
    products = [
        a_product_state(product_key="old", valid_to=until),
        a_product_state(product_key="new", valid_from=until, version=2),
    ]
    sales = [a_sold_line(ordered_at="2022-01-05 09:59:59"), a_sold_line(line_number=2, ordered_at=until)]
    sales += [a_sold_line(line_number=3, sku="B", ordered_at=until), a_sold_line(line_number=4, sku=None)]
    rows = built(TABLE, {"silver_sold_lines": sales, "gold_dim_customer": STATES, "silver_product_states": products})
    assert only(rows, "product_key") == [("old",), ("new",), (key(1, "B"),), (key(1, "(none)"),)]
