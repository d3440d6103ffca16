from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import an_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.daily_sales"


def test_only_completed_orders_are_revenue_and_every_order_is_placed(built: Built) -> None:
    orders = [
        an_order(order_id=number, order_status=status, order_total="10.10", line_count=3, units=5)
        for number, status in enumerate(["COMPLETED", "COMPLETED", "CANCELLED", "ORDERED", "DISPATCHED"])
    ]
    (day,) = built(TABLE, {"silver_orders": orders})
    names = ("orders", "completed_orders", "revenue", "placed_value", "lines", "units", "currency", "_warned")
    assert only([day], *names) == [("5", "2", "20.20", "50.50", "15", "25", "KES", "")]


def test_a_day_without_a_completed_order_has_a_revenue_of_0_and_not_of_nothing(built: Built) -> None:
    (day,) = built(TABLE, {"silver_orders": [an_order(order_status="CANCELLED")]})
    assert only([day], "orders", "completed_orders", "revenue", "placed_value") == [("1", "0", "0.00", "20.00")]


def test_the_day_is_the_local_one_and_not_that_of_the_instant(built: Built) -> None:
    orders = [
        an_order(ordered_at="2022-01-31 21:30:00", order_date="2022-02-01"),
        an_order(order_id=8, ordered_at="2022-01-31 20:59:59", order_date="2022-01-31"),
    ]
    days = built(TABLE, {"silver_orders": orders})
    assert only(days, "order_date", "order_month") == [("2022-01-31", "2022-01-01"), ("2022-02-01", "2022-02-01")]


def test_currencies_are_never_added(built: Built) -> None:
    days = built(TABLE, {"silver_orders": [an_order(), an_order(market=2, currency="NGN", order_total="5")]})
    assert only(days, "market", "currency", "revenue") == [("1", "KES", "20.00"), ("2", "NGN", "5.00")]


def test_the_largest_amounts_are_exact(built: Built) -> None:
    orders = [an_order(order_total="999999999999999.99"), an_order(order_id=8, order_total="0.01")]
    (day,) = built(TABLE, {"silver_orders": orders})
    assert day["revenue"] == "1000000000000000.00"
