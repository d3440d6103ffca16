from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_customer, an_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.blocked_customers"


def test_only_who_is_known_to_be_blocked_is_there_with_zeros_for_no_orders(built: Built) -> None:
    blocked = {42: True, 43: False, 44: None}
    customers = [a_customer(customer_id=number, is_blocked=value) for number, value in blocked.items()]
    rows = built(
        TABLE, {"silver_customers": customers, "silver_orders": [an_order(market=2), an_order(customer_id=43)]}
    )
    counts = {"orders": "0", "completed_orders": "0", "open_orders": "0", "revenue": "0.00", "open_value": "0.00"}
    ids = {"market": "1", "customer_id": "42", "currency": "KES", "_warned": ""}
    assert rows == [{"registered_at": None, "last_order_date": None} | ids | counts]


def test_open_orders_are_those_that_are_neither_completed_nor_cancelled(built: Built) -> None:
    statuses = ["COMPLETED", "ORDERED", "DISPATCHED", "CANCELLED"]
    orders = [
        an_order(order_id=day, order_status=status, order_total=f"{day}.50", order_date=f"2022-01-0{day}")
        for day, status in enumerate(statuses, start=1)
    ]
    customers = [a_customer(is_blocked=True, created_at="2021-01-01 00:00:00")]
    (row,) = built(TABLE, {"silver_customers": customers, "silver_orders": orders})
    names = ("orders", "completed_orders", "open_orders", "revenue", "open_value", "last_order_date", "registered_at")
    assert only([row], *names) == [("4", "1", "2", "1.50", "6.00", "2022-01-04", "2021-01-01 00:00:00")]
