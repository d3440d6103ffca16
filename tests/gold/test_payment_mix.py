from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_delivery, an_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.payment_mix"


def test_the_newest_delivery_with_a_note_says_how_it_was_paid(built: Built) -> None:
    deliveries = [
        a_delivery(task_id=900, payment_type="till"),
        a_delivery(task_id=901, payment_type="  CASH "),
        a_delivery(task_id=902, payment_type=None),
        a_delivery(task_id=903, payment_type="bank", task_type="Pick-up"),
        a_delivery(task_id=904, payment_type="bank", market=2),
    ]
    rows = built(TABLE, {"silver_orders": [an_order()], "silver_deliveries": deliveries})
    assert only(rows, "paid_by", "orders", "completed_orders", "revenue") == [("cash", "1", "1", "20.00")]


def test_a_note_that_nobody_put_in_order_is_other_and_no_note_is_not_said(built: Built) -> None:
    orders = [an_order(order_id=number, payment_method=None) for number in (1, 2, 3)]
    deliveries = [
        a_delivery(task_id=1, order_id=1, payment_type="two goats"),
        a_delivery(task_id=2, order_id=2),
        a_delivery(task_id=3, order_id=3, payment_type="cash", task_type="Pick-up"),
    ]
    rows = built(TABLE, {"silver_orders": orders, "silver_deliveries": deliveries})
    assert only(rows, "payment_method", "paid_by", "orders") == [("(none)", "not said", "2"), ("(none)", "other", "1")]


def test_the_surcharge_is_that_of_completed_pay_later_orders_after_their_points(built: Built) -> None:
    later: Cells = {"payment_method": "Pay Later", "redeemed_points": 2}
    orders = [
        an_order(order_total="18.36", **later),
        an_order(order_id=8, order_total="20.40", payment_method="Pay Later"),
        an_order(order_id=9, order_total="18.36", order_status="CANCELLED", **later),
        an_order(order_id=10, redeemed_points=5, order_total="15.00"),
        an_order(market=2, currency="NGN", order_total="10.20", **later),
    ]
    rows = built(TABLE, {"silver_orders": orders})
    names = ("market", "currency", "payment_method", "orders", "placed_value", "revenue", "pay_later_surcharge")
    assert only(rows, *names) == [
        ("1", "KES", "CASH", "1", "15.00", "15.00", "0.00"),
        ("1", "KES", "Pay Later", "3", "57.12", "38.76", "0.76"),
        ("2", "NGN", "Pay Later", "1", "10.20", "10.20", "0.20"),
    ]


def test_a_way_to_pay_without_a_completed_order_has_a_revenue_of_0(built: Built) -> None:
    (row,) = built(TABLE, {"silver_orders": [an_order(order_status="ORDERED")]})
    names = ("order_date", "orders", "completed_orders", "placed_value", "revenue", "pay_later_surcharge")
    assert only([row], *names) == [("2022-01-03", "1", "0", "20.00", "0.00", "0.00")]
