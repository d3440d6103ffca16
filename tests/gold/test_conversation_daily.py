from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_branch, a_conversation_event, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.conversation_daily"
event = a_conversation_event


def resolved(number: int, hours: str, **cells: object) -> Cells:
    return event(conversation_id=number, event="resolved", hours_to_resolution=hours, **cells)


def test_what_was_opened_and_what_was_resolved_count_on_their_own_days(built: Built) -> None:
    events = [
        event(),
        event(conversation_id=70002),
        event(conversation_id=70003, topic="price"),
        event(conversation_id=70001, branch_id=4),
        resolved(70001, "24.75", event_date="2022-01-04"),
    ]
    rows = built(TABLE, {"silver_conversation_events": events, "silver_branches": [a_branch()]})
    assert only(rows, "branch_name", "event_date", "topic", "opened", "resolved", "p50_hours", "_warned") == [
        ("Westlands", "2022-01-03", "delivery", "2", "0", None, ""),
        ("Westlands", "2022-01-03", "price", "1", "0", None, ""),
        ("Westlands", "2022-01-04", "delivery", "0", "1", "24.75", ""),
        (None, "2022-01-03", "delivery", "1", "0", None, ""),
    ]


def test_a_percentile_is_the_smallest_of_the_hours_that_so_many_do_not_exceed(built: Built) -> None:
    known = {"price": ["1.00", "2.00"], "stock": [f"{hours}.00" for hours in range(1, 12)]}
    events = [resolved(n, one, topic=topic) for topic, hours in known.items() for n, one in enumerate(hours)]
    rows = built(TABLE, {"silver_conversation_events": events})
    assert only(rows, "topic", "p50_hours", "p90_hours", "longest_hours") == [
        ("price", "1.00", "2.00", "2.00"),
        ("stock", "6.00", "10.00", "11.00"),
    ]
