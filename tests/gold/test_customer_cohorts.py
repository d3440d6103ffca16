from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_customer_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.customer_cohorts"


def test_an_age_without_orders_is_there_with_zeros_up_to_the_last_with_one(built: Built) -> None:
    orders = [
        a_customer_order(order_date="2022-01-31"),
        a_customer_order(order_id=8, order_date="2022-04-01", completed_number=2, order_number=2),
        a_customer_order(order_id=9, order_date="2022-06-01", completed_number=None, order_status="CANCELLED"),
    ]
    counts = ("cohort_customers", "active_customers", "completed_orders")
    names = ("age_months", "currency", *counts, "revenue", "retention")
    assert only(built(TABLE, {"silver_customer_orders": orders}), *names) == [
        ("0", "KES", "1", "1", "1", "20.00", "1.0000"),
        ("1", "KES", "1", "0", "0", "0.00", "0.0000"),
        ("2", "KES", "1", "0", "0", "0.00", "0.0000"),
        ("3", "KES", "1", "1", "1", "20.00", "1.0000"),
    ]


def test_ages_are_calendar_months_and_a_new_year_is_no_new_age_0(built: Built) -> None:
    december: Cells = {"cohort_month": "2021-12-01"}
    orders = [
        a_customer_order(order_date="2021-12-31", **december),
        a_customer_order(order_id=8, order_date="2022-01-01", **december),
        a_customer_order(order_id=9, customer_id=43, order_date="2022-01-02"),
    ]
    rows = built(TABLE, {"silver_customer_orders": orders})
    assert only(rows, "cohort_month", "age_months", "completed_orders", "_warned") == [
        ("2021-12-01", "0", "1", ""),
        ("2021-12-01", "1", "1", ""),
        ("2022-01-01", "0", "1", ""),
    ]


def test_a_customer_who_comes_back_twice_in_a_month_is_active_once_and_halves_go_up(built: Built) -> None:
    firsts = [a_customer_order(customer_id=number, order_id=number) for number in range(32)]
    later = [a_customer_order(customer_id=1, order_id=50 + number, order_date="2022-02-03") for number in (1, 2)]
    rows = built(TABLE, {"silver_customer_orders": firsts + later})
    names = ("cohort_customers", "active_customers", "completed_orders", "revenue", "retention")
    assert only(rows, *names) == [("32", "32", "32", "640.00", "1.0000"), ("32", "1", "2", "40.00", "0.0313")]


def test_who_never_completed_an_order_is_in_no_cohort_and_markets_are_never_mixed(built: Built) -> None:
    never: Cells = {"order_status": "ORDERED", "completed_number": None, "cohort_month": None}
    orders = [a_customer_order(), a_customer_order(customer_id=43, order_id=8, **never)]
    rows = built(TABLE, {"silver_customer_orders": [*orders, a_customer_order(market=2, currency="NGN")]})
    assert only(rows, "market", "currency", "cohort_customers") == [("1", "KES", "1"), ("2", "NGN", "1")]
