from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_dated_delivery, a_delivery_of_no_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.delivery_daily"
FATES = ("completed_tasks", "failed_tasks", "cancelled_tasks", "unassigned_tasks", "under_way_tasks")
STATUSES = ("Completed", "Failed", "Cancelled", "Declined", "Unassigned", "Assigned", "Accepted", "In Transit")


def test_every_status_is_one_fate_and_success_is_of_tasks_that_ended(built: Built) -> None:
    statuses = [*STATUSES, "Completed", "Completed", "Failed"]
    tasks = [a_dated_delivery(task_id=number, task_status=status) for number, status in enumerate(statuses)]
    tasks += [a_dated_delivery(task_id=90, task_type="Pick-up")]
    (row,) = built(TABLE, {"silver_dated_deliveries": tasks})
    assert only([row], "tasks", *FATES, "_warned") == [("12", "4", "2", "2", "1", "3", "")]
    assert row["success_share"] == "0.6667"


def test_without_a_task_that_ended_success_is_unknown_and_not_0(built: Built) -> None:
    tasks = [
        a_dated_delivery(task_status="Declined"),
        a_dated_delivery(market=2, task_status="Failed"),
    ]
    rows = built(TABLE, {"silver_dated_deliveries": tasks})
    assert only(rows, "market", "cancelled_tasks", "failed_tasks", "success_share") == [
        ("1", "1", "0", None),
        ("2", "0", "1", "0.0000"),
    ]


def test_tasks_without_an_order_are_one_row_per_market_and_neither_agree_nor_disagree(built: Built) -> None:
    tasks = [
        a_delivery_of_no_order(),
        a_delivery_of_no_order(task_id=901, task_status="Failed"),
        a_delivery_of_no_order(task_id=902, market=2),
        a_dated_delivery(task_id=903),
    ]
    names = ("market", "day", "order_date", "tasks", "success_share", "agrees_with_order", "disagrees_with_order")
    assert only(built(TABLE, {"silver_dated_deliveries": tasks}), *names) == [
        ("1", "2022-01-03", "2022-01-03", "1", "1.0000", "1", "0"),
        ("1", "no order", None, "2", "0.5000", "0", "0"),
        ("2", "no order", None, "1", "1.0000", "0", "0"),
    ]


def test_a_task_agrees_with_its_order_in_these_cases_only(built: Built) -> None:
    """A day per status of the order, with a task of every status."""
    days = {"COMPLETED": "2022-01-01", "CANCELLED": "2022-01-02", "ORDERED": "2022-01-03", "DISPATCHED": "2022-01-04"}
    tasks = [
        a_dated_delivery(
            task_id=10 * place + number, task_status=status, order_status=order_status, day=day, order_date=day
        )
        for place, (order_status, day) in enumerate(days.items())
        for number, status in enumerate(STATUSES)
    ]
    rows = built(TABLE, {"silver_dated_deliveries": tasks})
    assert only(rows, "agrees_with_order", "disagrees_with_order") == [("1", "7"), ("3", "5"), ("4", "4"), ("4", "4")]


def test_which_task_agrees_with_a_cancelled_and_an_open_order(built: Built) -> None:
    statuses = ("Failed", "Cancelled", "Declined")
    cancelled = [
        a_dated_delivery(task_id=number, task_status=status, order_status="CANCELLED")
        for number, status in enumerate(statuses)
    ]
    open_orders = [
        a_dated_delivery(
            task_id=10 + number, task_status=status, order_status="ORDERED", day="2022-01-04", order_date="2022-01-04"
        )
        for number, status in enumerate(STATUSES[4:])
    ]
    rows = built(TABLE, {"silver_dated_deliveries": cancelled + open_orders})
    assert only(rows, "agrees_with_order", "disagrees_with_order") == [("3", "0"), ("4", "0")]
