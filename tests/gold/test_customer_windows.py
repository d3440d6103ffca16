from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_delivery, an_order, an_order_line, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.customer_windows"


def test_windows_begin_every_10_local_days_from_1970(built: Built) -> None:
    orders = [
        an_order(ordered_at="2022-01-07 20:59:59", order_date="2022-01-07"),
        an_order(order_id=8, ordered_at="2022-01-07 21:00:00", order_date="2022-01-08"),
        an_order(order_id=9, customer_id=43, ordered_at="1970-01-05 00:00:00", order_date="1970-01-05"),
    ]
    rows = built(TABLE, {"silver_orders": orders})
    assert only(rows, "customer_id", "window_start", "window_end", "first_order_at") == [
        ("42", "2021-12-29", "2022-01-07", "2022-01-07 20:59:59"),
        ("42", "2022-01-08", "2022-01-17", "2022-01-07 21:00:00"),
        ("43", "1970-01-01", "1970-01-10", "1970-01-05 00:00:00"),
    ]


def test_a_window_without_a_completed_order_has_counts_of_0_and_no_amounts(built: Built) -> None:
    orders = [an_order(order_status="CANCELLED")]
    inputs = {"silver_orders": orders, "silver_order_lines": [an_order_line()], "silver_deliveries": [a_delivery()]}
    (row,) = built(TABLE, inputs)
    assert only([row], "order_count", "total_quantity_ordered", "distinct_products") == [("0", "0", "0")]
    amounts = [name for name in row if "amount" in name or "average" in name or "km" in name or name.endswith("_at")]
    assert {row[name] for name in amounts} == {None}


def test_each_measure_is_of_the_windows_own_completed_orders(built: Built) -> None:
    late: Cells = {"ordered_at": "2022-01-09 00:00:00", "order_date": "2022-01-09"}
    orders = [
        an_order(order_total="10.00"),
        an_order(order_id=8, order_total="30.01", units=5),
        an_order(order_id=9, order_total="99.00", order_status="DISPATCHED"),
        an_order(order_id=10, order_total="1.00", **late),
    ]
    lines = [
        an_order_line(order_id=order, sku=sku) for order, sku in ((7, "A"), (8, "A"), (8, None), (9, "B"), (10, "C"))
    ]
    deliveries = [a_delivery(distance_m=1500), a_delivery(task_id=901, order_id=10, distance_m=70)]
    rows = built(TABLE, {"silver_orders": orders, "silver_order_lines": lines, "silver_deliveries": deliveries})
    names = ("order_count", "total_order_amount", "average_order_amount", "total_quantity_ordered", "distinct_products")
    assert only(rows, *names) == [("2", "40.01", "20.0050", "7", "1"), ("1", "1.00", "1.0000", "2", "1")]
    distances = ("total_delivery_distance_km", "average_delivery_distance_km")
    assert only(rows, *distances) == [("1.500", "1.5000"), ("0.070", "0.0700")]
