from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import a_delivery_item, only

if TYPE_CHECKING:
    from tests.rows import Built, Cells

TABLE = "silver.deliveries"


def test_distance_and_minutes_count_once_however_many_items_a_task_has(built: Built) -> None:
    task = {"distance_m": 1500, "minutes": "12.50"}
    items = [a_delivery_item(item_number=number, **task) for number in (1, 2, 3)]
    rows = built(TABLE, {"silver_delivery_items": items})
    assert only(rows, "task_id", "distance_m", "minutes", "item_count") == [("900", "1500", "12.50", "3")]


def test_the_tasks_amounts_are_those_of_its_last_item(built: Built) -> None:
    last = {"tip": "0", "delivery_charges": "50", "discount": "5.5", "subtotal": "34.5", "payment_type": "CASH"}
    items = [a_delivery_item(item_number=10, **last), a_delivery_item(item_number=9)]
    rows = built(TABLE, {"silver_delivery_items": items})
    names = ("items_total", "delivery_charges", "discount", "subtotal", "payment_type", "_warned")
    assert only(rows, *names) == [("40.00", "50.00", "5.50", "34.50", "CASH", "tips_and_charges_are_nothing")]


@pytest.mark.parametrize(
    ("amounts", "warned"),
    [
        ({"tip": "0", "delivery_charges": "0.00"}, ""),
        ({"delivery_charges": "0"}, ""),
        ({"tip": "0.0024"}, "tips_and_charges_are_nothing"),
    ],
)
def test_what_no_table_of_gold_counts_is_told(built: Built, amounts: Cells, warned: str) -> None:
    rows = built(TABLE, {"silver_delivery_items": [a_delivery_item(**amounts)]})
    assert only(rows, "_warned") == [(warned,)]


def test_amounts_of_a_task_are_those_of_the_item_that_has_them(built: Built) -> None:
    items = [a_delivery_item(subtotal="40", discount="0"), a_delivery_item(item_number=2)]
    items += [a_delivery_item(task_id=901), a_delivery_item(task_id=901, item_number=2)]
    rows = built(TABLE, {"silver_delivery_items": items})
    wanted = [("40.00", "0.00", "40.00", ""), (None, None, "40.00", "")]
    assert only(rows, "subtotal", "discount", "items_total", "_warned") == wanted


def test_exactly_repeated_items_count_and_a_subtotal_may_be_negative(built: Built) -> None:
    items = [a_delivery_item(), a_delivery_item(item_number=2, discount="71", subtotal="-31")]
    rows = built(TABLE, {"silver_delivery_items": items})
    assert only(rows, "items_total", "subtotal", "_warned") == [("40.00", "-31.00", "")]


def test_items_that_disagree_about_their_task_warn_and_the_last_one_is_taken(built: Built) -> None:
    facts = {"order_id": 8, "task_type": "Pick-up", "task_status": "Failed", "distance_m": 5, "minutes": "1.00"}
    items = [a_delivery_item(task_id=number) for number in range(len(facts))]
    items += [
        a_delivery_item(task_id=number, item_number=2, **{fact: facts[fact]}) for number, fact in enumerate(facts)
    ]
    tasks = built(TABLE, {"silver_delivery_items": items})
    assert only(tasks, "_warned") == [("task_facts_are_the_same_on_all_items",)] * len(facts)
    assert [task[fact] for task, fact in zip(tasks, facts, strict=True)] == ["8", "Pick-up", "Failed", "5", "1.00"]


def test_items_may_differ_in_what_is_their_own(built: Built) -> None:
    items = [a_delivery_item(notes="A", rating=5), a_delivery_item(item_number=2, quantity=1, payment_type="CASH")]
    assert only(built(TABLE, {"silver_delivery_items": items}), "_warned") == [("",)]


def test_an_order_with_two_tasks_has_two_rows_and_a_task_may_have_no_order(built: Built) -> None:
    items = [
        a_delivery_item(task_id=1, task_type="Pick-up"),
        a_delivery_item(task_id=2),
        a_delivery_item(task_id=3, order_id=None),
        a_delivery_item(task_id=3, market=2),
    ]
    rows = built(TABLE, {"silver_delivery_items": items})
    assert only(rows, "market", "task_id", "order_id", "task_type") == [
        ("1", "1", "7", "Pick-up"),
        ("1", "2", "7", "Delivery"),
        ("1", "3", None, "Delivery"),
        ("2", "3", "7", "Delivery"),
    ]
