from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import an_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "silver.customer_orders"


def test_orders_are_numbered_by_time_then_id_and_only_completed_ones_as_such(built: Built) -> None:
    orders = [
        an_order(order_id=10, ordered_at="2022-01-05 00:00:00"),
        an_order(order_id=9, ordered_at="2022-01-05 00:00:00", order_status="CANCELLED"),
        an_order(order_id=11, ordered_at="2022-01-01 00:00:00", order_status="ORDERED"),
        an_order(order_id=1, ordered_at="2022-01-06 00:00:00"),
    ]
    rows = built(TABLE, {"silver_orders": orders})
    assert only(rows, "order_id", "order_number", "completed_number", "_warned") == [
        ("1", "4", "2", ""),
        ("9", "2", None, ""),
        ("10", "3", "1", ""),
        ("11", "1", None, ""),
    ]


def test_days_are_local_ones_and_a_cancelled_order_is_no_completed_one_before(built: Built) -> None:
    orders = [
        an_order(order_id=1, ordered_at="2022-01-03 20:59:00", order_date="2022-01-03"),
        an_order(order_id=2, ordered_at="2022-01-03 21:01:00", order_date="2022-01-04", order_status="CANCELLED"),
        an_order(order_id=3, ordered_at="2022-01-10 09:00:00", order_date="2022-01-10"),
        an_order(order_id=4, ordered_at="2022-01-10 10:00:00", order_date="2022-01-10"),
    ]
    rows = built(TABLE, {"silver_orders": orders})
    assert only(rows, "days_since_previous", "days_since_previous_completed") == [
        (None, None),
        ("1", None),
        ("6", "7"),
        ("0", "0"),
    ]


def test_the_cohort_is_the_month_of_the_first_completed_order_on_every_order(built: Built) -> None:
    orders = [
        an_order(order_id=1, ordered_at="2021-12-01 00:00:00", order_date="2021-12-01", order_status="CANCELLED"),
        an_order(order_id=2, ordered_at="2022-01-31 21:30:00", order_date="2022-02-01"),
        an_order(order_id=3, ordered_at="2022-03-01 00:00:00", order_date="2022-03-01"),
        an_order(order_id=4, customer_id=43, order_status="DISPATCHED"),
    ]
    rows = built(TABLE, {"silver_orders": orders})
    months = [("1", "2022-02-01"), ("2", "2022-02-01"), ("3", "2022-02-01"), ("4", None)]
    assert only(rows, "order_id", "cohort_month") == months


def test_a_customer_is_of_one_market(built: Built) -> None:
    orders = [an_order(), an_order(market=2, currency="NGN", order_total="9.00", line_margin="0.00")]
    rows = built(TABLE, {"silver_orders": orders})
    assert only(rows, "market", "currency", "order_total", "line_margin", "order_number", "completed_number") == [
        ("1", "KES", "20.00", "3.00", "1", "1"),
        ("2", "NGN", "9.00", "0.00", "1", "1"),
    ]
