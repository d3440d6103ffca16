from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clicks import an_event
from tests.rows import only

if TYPE_CHECKING:
    from tests.rows import Built


def test_a_day_of_a_user_has_its_ends_its_counts_and_its_touches(built: Built) -> None:
    """A purchase is no touch; of two of one instant the first by platform, product code and name is first."""
    events = [
        an_event("2026-03-02 00:00:00", event_name="purchase", sku="P"),
        an_event("2026-03-02 10:00:00", sku="B"),
        an_event("2026-03-02 10:00:00", sku="A", event_name="click"),
        an_event("2026-03-02 23:59:59", event_name=None),
        an_event("2026-03-03 00:00:00", user_id=None),
    ]
    [row] = built("silver.user_days", {"silver_events": events})
    assert only(
        [row], "user_id", "event_date", "first_event_at", "last_event_at", "events", "views", "clicks", "purchases"
    ) == [("u1", "2026-03-02", "2026-03-02 00:00:00", "2026-03-02 23:59:59", "4", "1", "1", "1")]
    assert only([row], "first_touch_at", "first_touch_sku", "last_touch_at", "last_touch_sku") == [
        ("2026-03-02 10:00:00", "A", "2026-03-02 10:00:00", "B")
    ]
