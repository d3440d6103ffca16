from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, Texts, a_customer, a_delivery, an_order, an_order_line, only

if TYPE_CHECKING:
    from tests.rows import Built


def sales(
    built: Built,
    lines: list[Cells],
    *,
    orders: list[Cells] | None = None,
    customers: list[Cells] | None = None,
    deliveries: list[Cells] | None = None,
) -> list[Texts]:
    """One order of one known customer, not delivered, unless said otherwise."""
    inputs = {
        "silver_order_lines": lines,
        "silver_orders": [an_order()] if orders is None else orders,
        "silver_customers": [a_customer()] if customers is None else customers,
        "silver_deliveries": deliveries or [],
    }
    return built("silver.sales", inputs)


def test_a_line_has_its_own_amounts_and_its_orders_facts(built: Built) -> None:
    (row,) = sales(built, [an_order_line(order_status="CANCELLED")], orders=[an_order(order_total="18.00")])
    names = ("order_status", "quantity", "line_total", "line_cost", "line_margin", "order_total", "order_date")
    assert only([row], *names) == [("COMPLETED", "2", "20.00", "17.00", "3.00", "18.00", "2022-01-03")]


def test_the_margin_is_unknown_where_the_cost_is_and_may_be_negative(built: Built) -> None:
    lines = [an_order_line(unit_cost=None, line_cost=None), an_order_line(line_number=2, line_cost="20.01")]
    assert only(sales(built, lines), "line_number", "line_margin") == [("1", None), ("2", "-0.01")]


def test_a_customer_who_is_not_known_keeps_the_line_and_nothing_is_made_up(built: Built) -> None:
    orders = [an_order(), an_order(order_id=8, customer_id=43), an_order(market=2)]
    lines = [an_order_line(), an_order_line(order_id=8), an_order_line(market=2)]
    rows = sales(built, lines, orders=orders, customers=[a_customer(is_blocked=True, last_used_platform=None)])
    names = ("market", "order_id", "is_customer_known", "is_customer_blocked", "customer_platform")
    assert only(rows, *names) == [
        ("1", "7", "true", "true", None),
        ("1", "8", "false", None, None),
        ("2", "7", "false", None, None),
    ]


def test_an_order_with_two_tasks_keeps_its_lines_once_and_only_deliveries_count(built: Built) -> None:
    deliveries = [
        a_delivery(task_id=902, task_type="Pick-up", distance_m=9000, task_status="Failed"),
        a_delivery(task_id=900, distance_m=500, task_status="Failed"),
        a_delivery(task_id=901, distance_m=None, task_status="Completed"),
    ]
    rows = sales(built, [an_order_line(), an_order_line(line_number=2)], deliveries=deliveries)
    names = ("line_number", "delivery_tasks", "delivery_distance_m", "delivery_status")
    assert only(rows, *names) == [("1", "2", "500", "Completed"), ("2", "2", "500", "Completed")]


def test_without_a_known_distance_it_is_unknown_and_without_a_task_there_is_none(built: Built) -> None:
    orders = [an_order(), an_order(order_id=8), an_order(order_id=9)]
    lines = [an_order_line(), an_order_line(order_id=8), an_order_line(order_id=9)]
    deliveries = [a_delivery(), a_delivery(order_id=9, task_type="Pick-up", distance_m=7), a_delivery(order_id=None)]
    rows = sales(built, lines, orders=orders, deliveries=deliveries)
    assert only(rows, "order_id", "delivery_tasks", "delivery_distance_m", "delivery_status") == [
        ("7", "1", None, "Completed"),
        ("8", "0", None, None),
        ("9", "0", None, None),
    ]


def test_lines_without_sku_stay_two_lines(built: Built) -> None:
    rows = sales(built, [an_order_line(sku=None), an_order_line(sku=None, line_number=2)])
    assert only(rows, "line_number", "sku", "line_total") == [("1", None, "20.00"), ("2", None, "20.00")]
