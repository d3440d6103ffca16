from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_customer_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.customer_value"


def test_an_age_without_orders_keeps_what_was_worth_before(built: Built) -> None:
    orders = [
        a_customer_order(order_total="10.00", line_margin="1.00"),
        a_customer_order(order_id=8, order_date="2022-03-01", order_total="5.00", line_margin="-3.00"),
    ]
    names = ("age_months", "currency", "cumulative_completed_orders", "cumulative_revenue", "cumulative_margin")
    assert only(built(TABLE, {"silver_customer_orders": orders}), *names) == [
        ("0", "KES", "1", "10.00", "1.00"),
        ("1", "KES", "1", "10.00", "1.00"),
        ("2", "KES", "2", "15.00", "-2.00"),
    ]


def test_it_is_per_customer_of_the_cohort_and_halves_go_away_from_zero(built: Built) -> None:
    orders = [
        a_customer_order(customer_id=number, order_id=number, order_total="0.00", line_margin="0.00")
        for number in range(8)
    ]
    later = a_customer_order(
        customer_id=1, order_id=9, order_date="2022-02-01", order_total="0.01", line_margin="-0.01"
    )
    rows = built(TABLE, {"silver_customer_orders": [*orders, later]})
    names = ("age_months", "cohort_customers", "revenue_per_customer", "margin_per_customer")
    assert only(rows, *names) == [("0", "8", "0.0000", "0.0000"), ("1", "8", "0.0013", "-0.0013")]


def test_only_completed_orders_are_worth_something_and_markets_are_never_mixed(built: Built) -> None:
    orders = [
        a_customer_order(),
        a_customer_order(order_id=8, order_status="CANCELLED", completed_number=None),
        a_customer_order(market=2, currency="NGN", order_total="7.00"),
    ]
    rows = built(TABLE, {"silver_customer_orders": orders})
    names = ("market", "cumulative_completed_orders", "cumulative_revenue", "cumulative_margin")
    assert only(rows, *names) == [("1", "1", "20.00", "3.00"), ("2", "1", "7.00", "3.00")]
