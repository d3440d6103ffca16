from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clicks import an_event
from tests.rows import Cells, Texts, only

if TYPE_CHECKING:
    from tests.rows import Built

FIRST, LAST = ("first_touch_at", "first_touch_sku"), ("last_touch_at", "last_touch_sku")


def touches(built: Built, events: list[Cells], days: list[Cells] | None = None) -> list[Texts]:
    return built("gold.touches", {"silver_events": events, "silver_user_days": days or []})


def a_day(day: str, sku: str, **cells: object) -> Cells:
    ends = {
        f"{end}_touch_{part}": value
        for end, part, value in (("first", "at", f"{day} 08:00:00"), ("last", "at", f"{day} 09:00:00"))
    }
    return (
        {"user_id": "u1", "event_date": day, "first_touch_sku": f"{sku}1", "last_touch_sku": f"{sku}2"} | ends | cells
    )


def test_the_first_touch_is_of_the_days_before_and_the_last_one_of_the_day_itself(built: Built) -> None:
    """The 31st day before is too long ago, another user's touch and one after the purchase are no touches of it."""
    events = [
        an_event("2026-03-02 10:00:00", sku="C"),
        an_event("2026-03-02 10:05:00", sku="D", event_name="click", platform="ios"),
        an_event("2026-03-02 10:05:00", event_name="purchase"),
        an_event("2026-03-02 10:06:00", sku="E"),
        an_event("2026-03-02 10:04:00", sku="F", user_id="u2"),
    ]
    days = [a_day("2026-01-30", "X"), a_day("2026-01-31", "A"), a_day("2026-03-01", "B"), a_day("2026-03-02", "Y")]
    [row] = touches(built, events, days)
    assert only([row], "purchased_at", "sku", *FIRST, *LAST, "last_touch_platform") == [
        ("2026-03-02 10:05:00", "A", "2026-01-31 08:00:00", "A1", "2026-03-02 10:05:00", "D", "ios")
    ]


def test_a_day_without_a_touch_leaves_the_last_one_to_a_day_before(built: Built) -> None:
    nothing = a_day("2026-03-01", "B") | dict.fromkeys([*FIRST, *LAST])
    [row] = touches(built, [an_event(event_name="purchase")], [a_day("2026-02-27", "A"), nothing])
    assert only([row], *FIRST, *LAST) == [("2026-02-27 08:00:00", "A1", "2026-02-27 09:00:00", "A2")]


def test_purchases_of_one_instant_are_told_apart_and_nobodys_are_left_out(built: Built) -> None:
    events = [an_event(event_name="purchase", sku=sku) for sku in ("B", "A", "A")]
    rows = touches(built, [*events, an_event(event_name="purchase", user_id=None)])
    assert only(rows, "purchase_number", "sku", *FIRST) == [(str(n), sku, None, None) for n, sku in enumerate("AAB", 1)]
