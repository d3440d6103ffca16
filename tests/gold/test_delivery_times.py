from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_dated_delivery, a_delivery_of_no_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.delivery_times"
PERCENTILES = ("p50_minutes", "p90_minutes", "p99_minutes", "longest_minutes")


def test_pick_ups_and_what_was_not_completed_are_left_out(built: Built) -> None:
    tasks = [
        a_dated_delivery(minutes="10.00"),
        a_dated_delivery(task_id=901, minutes="20.01"),
        a_dated_delivery(task_id=902, minutes=None),
        a_dated_delivery(task_id=903, minutes="999.00", task_type="Pick-up"),
        a_dated_delivery(task_id=904, minutes="999.00", task_status="Failed"),
        a_dated_delivery(task_id=905, minutes="5.00", market=2),
    ]
    names = ("market", "tasks", "tasks_with_minutes", "tasks_without_minutes", "average_minutes", "longest_minutes")
    assert only(built(TABLE, {"silver_dated_deliveries": tasks}), *names) == [
        ("1", "3", "2", "1", "15.0050", "20.01"),
        ("2", "1", "1", "0", "5.0000", "5.00"),
    ]


def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(built: Built) -> None:
    """Of 1 and 2 the half is 1, not 1.5; of 1 to 100 each percentile is its number; of 11 it is the one above."""
    known = {"2022-01": 2, "2022-02": 100, "2022-03": 11}
    tasks = [
        a_dated_delivery(task_id=1000 * place + minutes, year_month=month, minutes=minutes)
        for place, (month, longest) in enumerate(known.items())
        for minutes in range(1, longest + 1)
    ]
    tasks += [a_dated_delivery(task_id=9000 + number, year_month="2022-01", minutes=None) for number in range(9)]
    assert only(built(TABLE, {"silver_dated_deliveries": tasks}), "year_month", *PERCENTILES, "_warned") == [
        ("2022-01", "1.00", "2.00", "2.00", "2.00", ""),
        ("2022-02", "50.00", "90.00", "99.00", "100.00", ""),
        ("2022-03", "6.00", "10.00", "11.00", "11.00", ""),
    ]


def test_tasks_without_an_order_have_a_row_and_unknown_minutes_are_null(built: Built) -> None:
    tasks = [a_delivery_of_no_order(), a_delivery_of_no_order(task_id=901, market=2, minutes="3.00")]
    names = ("market", "year_month", "tasks_with_minutes", "tasks_without_minutes", "average_minutes", *PERCENTILES)
    assert only(built(TABLE, {"silver_dated_deliveries": tasks}), *names) == [
        ("1", "no order", "0", "1", None, None, None, None, None),
        ("2", "no order", "1", "0", "3.0000", "3.00", "3.00", "3.00", "3.00"),
    ]


def test_minutes_that_many_tasks_share_count_as_often_as_they_occur(built: Built) -> None:
    tasks = [a_delivery_of_no_order(task_id=number, minutes="2.00" if number < 9 else "7.00") for number in range(10)]
    (row,) = only(built(TABLE, {"silver_dated_deliveries": tasks}), "tasks", "average_minutes", *PERCENTILES)
    assert row == ("10", "2.5000", "2.00", "2.00", "7.00", "7.00")
