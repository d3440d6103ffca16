from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, Texts, a_customer, a_delivery, an_order, an_order_line, only

if TYPE_CHECKING:
    from tests.rows import Built


def metrics(
    built: Built,
    orders: list[Cells],
    *,
    customers: list[Cells] | None = None,
    lines: list[Cells] | None = None,
    deliveries: list[Cells] | None = None,
) -> list[Texts]:
    """One known customer, and orders that nobody delivered, unless said otherwise."""
    inputs = {
        "silver_customers": [a_customer()] if customers is None else customers,
        "silver_orders": orders,
        "silver_order_lines": lines or [],
        "silver_deliveries": deliveries or [],
    }
    return built("gold.customer_metrics", inputs)


def test_a_customer_without_completed_orders_has_counts_of_0_and_no_amounts(built: Built) -> None:
    customers = [a_customer(), a_customer(customer_id=43)]
    rows = metrics(built, [an_order(order_status="CANCELLED")], customers=customers, lines=[an_order_line()])
    counts = {"order_count": "0", "total_quantity_ordered": "0", "distinct_products": "0", "_warned": ""}
    counts |= {"market": "1", "currency": "KES"}
    assert rows == [dict.fromkeys(rows[0]) | counts | {"customer_id": text} for text in ("42", "43")]


def test_a_customer_nobody_knows_has_a_row_by_their_order(built: Built) -> None:
    rows = metrics(built, [an_order(), an_order(market=2, order_status="ORDERED")], customers=[])
    names = ("market", "customer_id", "currency", "order_count")
    assert only(rows, *names) == [("1", "42", "KES", "1"), ("2", "42", "NGN", "0")]


def test_amounts_are_over_completed_orders_and_count_once(built: Built) -> None:
    orders = [
        an_order(order_total="10.00", units=1, ordered_at="2022-01-05 00:00:00"),
        an_order(order_id=8, order_total="30.50", units=4, ordered_at="2022-01-02 21:30:00"),
        an_order(order_id=9, order_total="99.00", units=9, order_status="DISPATCHED", ordered_at="2021-01-01 00:00:00"),
    ]
    lines = [an_order_line(line_number=number) for number in (1, 2, 3)]
    (row,) = metrics(built, orders, lines=lines)
    amounts = ("total_order_amount", "average_order_amount", "highest_order_amount", "lowest_order_amount")
    assert only([row], *amounts) == [("40.50", "20.2500", "30.50", "10.00")]
    counts = ("order_count", "total_quantity_ordered", "average_quantity_per_order", "distinct_products")
    assert only([row], *counts) == [("2", "5", "2.5000", "1")]
    assert only([row], "first_order_at", "last_order_at") == [("2022-01-02 21:30:00", "2022-01-05 00:00:00")]


def test_ties_are_rounded_half_up(built: Built) -> None:
    orders = [an_order(order_id=number, order_total="0.00", units=1) for number in range(31)]
    (row,) = metrics(built, [*orders, an_order(order_id=31, order_total="0.04", units=2)])
    assert row["average_order_amount"] == "0.0013", "0.04 / 32 = 0.00125"
    assert row["average_quantity_per_order"] == "1.0313", "33 / 32 = 1.03125"


def test_thirds_are_cut_where_they_should_be(built: Built) -> None:
    (row,) = metrics(
        built, [an_order(order_id=number, order_total=f"{number}.00", units=number) for number in (1, 2, 5)]
    )
    assert only([row], "average_order_amount", "average_quantity_per_order") == [("2.6667", "2.6667")]


def test_distances_are_averaged_over_known_ones_only(built: Built) -> None:
    orders = [an_order(order_id=number) for number in (7, 8, 9, 10)]
    deliveries = [
        a_delivery(task_id=1, order_id=7, distance_m=1500),
        a_delivery(task_id=2, order_id=7, distance_m=1),
        a_delivery(task_id=3, order_id=8, distance_m=500),
        a_delivery(task_id=4, order_id=9, distance_m=None),
        a_delivery(task_id=5, order_id=10, distance_m=70000, task_type="Pick-up"),
        a_delivery(task_id=6, order_id=None, distance_m=70000),
        a_delivery(task_id=7, order_id=7, market=2, distance_m=70000),
    ]
    (row,) = metrics(built, orders, deliveries=deliveries)
    names = ("total_delivery_distance_km", "average_delivery_distance_km", "order_count")
    assert only([row], *names) == [("2.001", "1.0005", "4")]


def test_where_no_distance_is_known_it_is_unknown_and_not_0(built: Built) -> None:
    (row,) = metrics(built, [an_order()], deliveries=[a_delivery()])
    assert only([row], "total_delivery_distance_km", "average_delivery_distance_km") == [(None, None)]


def test_products_are_counted_by_sku_over_all_completed_orders(built: Built) -> None:
    orders = [an_order(), an_order(order_id=8), an_order(order_id=9, order_status="CANCELLED")]
    lines = [
        an_order_line(sku="A"),
        an_order_line(line_number=2, sku=None),
        an_order_line(order_id=8, sku="A"),
        an_order_line(order_id=8, line_number=2, sku="B"),
        an_order_line(order_id=9, sku="C"),
    ]
    (row,) = metrics(built, orders, lines=lines)
    assert row["distinct_products"] == "2"


def test_a_lines_products_are_those_of_its_orders_customer(built: Built) -> None:
    rows = metrics(built, [an_order(customer_id=43)], lines=[an_order_line(customer_id=42)])
    assert only(rows, "customer_id", "distinct_products") == [("42", "0"), ("43", "1")]
