from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import only

if TYPE_CHECKING:
    from tests.rows import Built


def test_a_user_is_known_since_the_first_of_all_days(built: Built) -> None:
    days = [
        {
            "user_id": "u1",
            "event_date": day,
            "first_event_at": f"{day} 10:00:00",
            "last_event_at": f"{day} 11:00:00",
            "events": 2,
            "purchases": n,
        }
        for n, day in enumerate(["2026-03-02", "2026-02-27", "2026-03-09"])
    ]
    rows = built("silver.event_users", {"silver_user_days": days})
    times = ("first_event_at", "last_event_at", "first_date", "last_date")
    assert only(rows, *times, "active_days", "events", "purchases") == [
        ("2026-02-27 10:00:00", "2026-03-09 11:00:00", "2026-02-27", "2026-03-09", "3", "6", "3")
    ]
