from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clicks import an_event
from tests.rows import only

if TYPE_CHECKING:
    from tests.rows import Built


def test_every_event_counts_in_its_minute_also_where_it_says_little(built: Built) -> None:
    events = [
        an_event("2026-03-02 10:00:00"),
        an_event("2026-03-02 10:00:59.999999", user_id=None),
        an_event("2026-03-02 10:01:00", event_name=None, platform=None),
    ]
    rows = built("gold.event_volume", {"silver_events": events})
    assert only(rows, "event_date", "event_minute", "event_name", "platform", "events", "events_without_user") == [
        ("2026-03-02", "2026-03-02 10:00:00", "view", "web", "2", "1"),
        ("2026-03-02", "2026-03-02 10:01:00", "unknown", "unknown", "1", "0"),
    ]
