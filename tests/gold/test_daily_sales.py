from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_customer_order, an_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.daily_sales"
OF_THE_ORDER = ("market", "order_id", "customer_id", "order_status", "currency", "order_total", "order_date")


def a_life(orders: list[Cells]) -> list[Cells]:
    """These orders as each its customer's first completed one, or none."""
    shared = [{name: order[name] for name in OF_THE_ORDER} for order in orders]
    return [
        a_customer_order(**one, completed_number=1 if one["order_status"] == "COMPLETED" else None) for one in shared
    ]


def test_only_completed_orders_are_revenue_and_every_order_is_placed(built: Built) -> None:
    orders = [
        an_order(order_id=number, order_status=status, order_total="10.10", sub_total="10.10", line_count=3, units=5)
        for number, status in enumerate(["COMPLETED", "COMPLETED", "CANCELLED", "ORDERED", "DISPATCHED"])
    ]
    (day,) = built(TABLE, {"silver_orders": orders, "silver_customer_orders": a_life(orders)})
    names = ("orders", "completed_orders", "revenue", "placed_value", "lines", "units", "currency", "_warned")
    assert only([day], *names) == [("5", "2", "20.20", "50.50", "15", "25", "KES", "")]
    by_status = ("cancelled_orders", "cancelled_value", "open_orders", "open_value", "completed_units")
    assert only([day], *by_status) == [("1", "10.10", "2", "20.20", "10")]


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
    assert only([day], "revenue", "average_order_value") == [("1000000000000000.00", "500000000000000.0000")]


def test_net_revenue_is_gross_less_points_at_their_worth_and_with_the_surcharge(built: Built) -> None:
    later: Cells = {"payment_method": "Pay Later", "redeemed_points": 2}
    orders = [
        an_order(order_total="18.36", **later),
        an_order(order_id=8, order_total="15.00", redeemed_points=5),
        an_order(order_id=9, order_total="18.36", order_status="CANCELLED", **later),
        an_order(market=2, currency="NGN", order_total="10.20", **later),
    ]
    days = built(TABLE, {"silver_orders": orders, "silver_customer_orders": a_life(orders)})
    names = ("market", "revenue", "gross_revenue", "points_value", "pay_later_surcharge", "_warned")
    assert only(days, *names) == [
        ("1", "33.36", "40.00", "7.00", "0.36", ""),
        ("2", "10.20", "20.00", "10.00", "0.20", ""),
    ]


def test_a_cancelled_first_order_leaves_the_next_completed_one_new(built: Built) -> None:
    life = [
        a_customer_order(order_status="CANCELLED", completed_number=None),
        a_customer_order(order_id=8, order_total="5.00", order_number=2),
        a_customer_order(order_id=9, order_total="7.00", order_number=3, completed_number=2, order_date="2022-01-04"),
        a_customer_order(order_id=10, order_total="1.50", order_number=4, completed_number=3, order_date="2022-01-04"),
    ]
    orders = [an_order(sub_total=one["order_total"], **{name: one[name] for name in OF_THE_ORDER}) for one in life]
    days = built(TABLE, {"silver_orders": orders, "silver_customer_orders": life})
    names = ("revenue", "new_revenue", "repeat_revenue", "_warned")
    assert only(days, *names) == [("5.00", "5.00", "0.00", ""), ("8.50", "0.00", "8.50", "")]


def test_the_mean_is_of_completed_orders_half_up_and_unknown_without_one(built: Built) -> None:
    orders = [an_order(order_id=number, order_total="0.01" if number == 0 else "0.00") for number in range(8)]
    orders += [an_order(order_id=8, order_status="ORDERED"), an_order(market=2, order_status="CANCELLED")]
    days = built(TABLE, {"silver_orders": orders})
    names = (
        "average_order_value",
        "revenue",
        "gross_revenue",
        "points_value",
        "pay_later_surcharge",
        "completed_units",
    )
    assert only(days, *names) == [
        ("0.0013", "0.01", "160.00", "0.00", "0.00", "16"),
        (None, "0.00", "0.00", "0.00", "0.00", "0"),
    ]


def test_a_day_warns_where_totals_do_not_follow_or_an_order_is_nobodys(built: Built) -> None:
    orders = [an_order(order_total="15.00"), an_order(market=2, currency="NGN", order_total="20.01")]
    days = built(TABLE, {"silver_orders": orders, "silver_customer_orders": a_life(orders[:1])})
    assert only(days, "market", "_warned") == [
        ("1", "revenue_is_gross_less_points_and_surcharge"),
        ("2", "revenue_is_new_or_repeat"),
    ]
