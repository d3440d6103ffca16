from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_delivery, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.agents"


def test_unknown_minutes_and_distances_are_counted_and_in_no_sum(built: Built) -> None:
    tasks = [
        a_delivery(agent_id=5, minutes="10.00", distance_m=1500),
        a_delivery(task_id=901, agent_id=5, minutes="20.01", task_status="Failed", task_type="Pick-up"),
        a_delivery(task_id=902, agent_id=5, task_status="Assigned"),
        a_delivery(task_id=903, minutes="99.00"),
    ]
    (row,) = built(TABLE, {"silver_deliveries": tasks})
    assert only([row], "agent_id", "tasks", "completed_tasks", "failed_tasks") == [("5", "3", "1", "1")]
    minutes = ("tasks_with_minutes", "tasks_without_minutes", "minutes", "average_minutes")
    assert only([row], *minutes) == [("2", "1", "30.01", "15.0050")]
    distances = ("tasks_with_distance", "tasks_without_distance", "distance_km", "average_distance_km")
    assert only([row], *distances) == [("1", "2", "1.500", "1.5000")]


def test_where_nothing_is_known_sums_and_averages_are_null(built: Built) -> None:
    (row,) = built(TABLE, {"silver_deliveries": [a_delivery(agent_id=5)]})
    names = ("minutes", "average_minutes", "distance_km", "average_distance_km", "average_rating", "agent_name")
    assert only([row], *names, "ratings") == [(None, None, None, None, None, None, "0")]


def test_averages_are_of_what_was_given_half_up(built: Built) -> None:
    distances = [250, 250, 250, 251, None, None, None, None]
    tasks = [
        a_delivery(task_id=number, agent_id=5, minutes="0.00" if number else "0.01", distance_m=metres)
        for number, metres in enumerate(distances)
    ]
    tasks = [task | {"rating": rating} for task, rating in zip(tasks, [5, 4, 4, *[None] * 5], strict=True)]
    (row,) = built(TABLE, {"silver_deliveries": tasks})
    names = ("average_minutes", "average_distance_km", "ratings", "tasks_without_rating", "average_rating")
    assert only([row], *names) == [("0.0013", "0.2503", "3", "5", "4.3333")]


def test_the_name_is_the_newest_tasks_and_a_number_is_of_one_market(built: Built) -> None:
    tasks = [
        a_delivery(task_id=901, agent_id=5, agent_name="New name"),
        a_delivery(task_id=900, agent_id=5, agent_name="Old name"),
        a_delivery(task_id=902, agent_id=5, agent_name=None),
        a_delivery(task_id=903, agent_id=5, market=2),
    ]
    rows = built(TABLE, {"silver_deliveries": tasks})
    assert only(rows, "market", "agent_name", "tasks") == [("1", "New name", "3"), ("2", None, "1")]
