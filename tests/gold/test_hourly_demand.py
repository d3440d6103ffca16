from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_customer_order, an_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.hourly_demand"


def test_the_weekday_is_the_local_days_and_monday_is_1(built: Built) -> None:
    orders = [
        an_order(ordered_at="2022-01-02 21:30:00", order_date="2022-01-03", order_hour=0),
        an_order(order_id=8, ordered_at="2022-01-02 20:59:59", order_date="2022-01-02", order_hour=23),
    ]
    lives = [
        a_customer_order(order_date="2022-01-03", order_hour=0, completed_number=2),
        a_customer_order(order_id=8, order_date="2022-01-02", order_hour=23),
    ]
    rows = built(TABLE, {"silver_orders": orders, "silver_customer_orders": lives})
    names = ("weekday", "order_hour", "orders", "new_revenue", "repeat_revenue", "_warned")
    assert only(rows, *names) == [("1", "0", "1", "0.00", "20.00", ""), ("7", "23", "1", "20.00", "0.00", "")]


def test_orders_are_divided_by_the_days_on_which_the_hour_had_one(built: Built) -> None:
    days = ["2022-01-03", "2022-01-03", "2022-01-03", "2022-01-10", "2022-01-31"]
    orders = [an_order(order_id=number, order_date=day, order_hour=9) for number, day in enumerate(days)]
    orders += [an_order(order_id=10, order_date="2022-01-17", order_hour=10)]
    rows = built(TABLE, {"silver_orders": orders})
    assert only(rows, "weekday", "order_hour", "orders", "days", "orders_per_day") == [
        ("1", "9", "5", "3", "1.6667"),
        ("1", "10", "1", "1", "1.0000"),
    ]


def test_only_completed_orders_are_revenue_and_markets_are_never_mixed(built: Built) -> None:
    orders = [
        an_order(order_total="10.10", units=3),
        an_order(order_id=8, order_total="5.05", units=4, order_status="CANCELLED"),
        an_order(market=2, currency="NGN", order_total="7.00", order_status="ORDERED"),
    ]
    rows = built(TABLE, {"silver_orders": orders})
    names = ("market", "currency", "orders", "completed_orders", "units", "placed_value", "revenue")
    assert only(rows, *names) == [
        ("1", "KES", "2", "1", "7", "15.15", "10.10"),
        ("2", "NGN", "1", "0", "2", "7.00", "0.00"),
    ]
