from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, only

if TYPE_CHECKING:
    from tests.rows import Built


def test_a_user_counts_once_in_a_day_a_week_and_a_month_and_is_new_in_the_first(built: Built) -> None:
    """u1 on a Sunday and on the Monday that begins a week within the month before, u2 on the Monday alone."""
    days = [("u1", "2026-03-29"), ("u1", "2026-03-30"), ("u2", "2026-03-30"), ("u1", "2026-04-01")]
    tables: dict[str, list[Cells]] = {
        "silver_user_days": [{"user_id": user, "event_date": day} for user, day in days],
        "silver_event_users": [
            {"user_id": "u1", "first_date": "2026-03-29"},
            {"user_id": "u2", "first_date": "2026-03-30"},
        ],
    }
    rows = built("gold.active_users", tables)
    assert only(rows, "period", "period_start", "active_users", "new_users", "returning_users") == [
        ("day", "2026-03-29", "1", "1", "0"),
        ("day", "2026-03-30", "2", "1", "1"),
        ("day", "2026-04-01", "1", "0", "1"),
        ("month", "2026-03-01", "2", "2", "0"),
        ("month", "2026-04-01", "1", "0", "1"),
        ("week", "2026-03-23", "1", "1", "0"),
        ("week", "2026-03-30", "2", "1", "1"),
    ]
