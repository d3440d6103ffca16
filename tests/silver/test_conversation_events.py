from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_conversation, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "silver.conversation_events"


def test_what_is_resolved_stands_on_two_days_and_what_is_open_on_one(built: Built) -> None:
    is_open = a_conversation(conversation_id=70002, resolved_at=None, resolved_date=None)
    rows = built(TABLE, {"silver_conversations": [a_conversation(), is_open]})
    assert only(rows, "conversation_id", "event", "event_date", "hours_to_resolution") == [
        ("70001", "opened", "2022-01-03", None),
        ("70001", "resolved", "2022-01-04", "24.75"),
        ("70002", "opened", "2022-01-03", None),
    ]


def test_hours_are_rounded_half_up(built: Built) -> None:
    ends = ("21:30:00", "21:30:17.999", "21:30:18", "21:31:00")  # 18 seconds are half a hundredth of an hour
    conversations = [a_conversation(conversation_id=n, resolved_at=f"2022-01-02 {at}") for n, at in enumerate(ends)]
    rows = built(TABLE, {"silver_conversations": conversations})
    assert only(rows[1::2], "hours_to_resolution") == [("0.00",), ("0.00",), ("0.01",), ("0.02",)]
