from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_delivery, an_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "silver.dated_deliveries"


def test_a_task_of_an_order_that_no_export_holds_has_no_day_and_is_kept(built: Built) -> None:
    deliveries = [a_delivery(order_id=8, minutes="7.00"), a_delivery(task_id=901, order_id=None)]
    rows = built(TABLE, {"silver_deliveries": deliveries, "silver_orders": [an_order()]})
    names = ("task_id", "order_id", "minutes", "day", "year_month", "order_date", "order_status")
    assert only(rows, *names) == [
        ("900", "8", "7.00", "no order", "no order", None, None),
        ("901", None, None, "no order", "no order", None, None),
    ]


def test_every_task_of_an_order_has_its_local_day_and_status(built: Built) -> None:
    deliveries = [
        a_delivery(minutes="1.50"),
        a_delivery(task_id=901, task_type="Pick-up", task_status="Failed"),
    ]
    orders = [an_order(ordered_at="2022-01-31 21:30:00", order_date="2022-02-01", order_status="CANCELLED")]
    rows = built(TABLE, {"silver_deliveries": deliveries, "silver_orders": orders})
    names = ("task_type", "task_status", "order_status", "day", "year_month", "order_date", "minutes")
    of_the_order = ("CANCELLED", "2022-02-01", "2022-02", "2022-02-01")
    assert only(rows, *names) == [
        ("Delivery", "Completed", *of_the_order, "1.50"),
        ("Pick-up", "Failed", *of_the_order, None),
    ]


def test_an_order_of_another_market_with_the_same_id_is_not_its_order(built: Built) -> None:
    deliveries = [a_delivery(), a_delivery(market=2)]
    rows = built(TABLE, {"silver_deliveries": deliveries, "silver_orders": [an_order(market=2, currency="NGN")]})
    assert only(rows, "market", "day") == [("1", "no order"), ("2", "2022-01-03")]
