from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clicks import an_event
from tests.rows import Cells, Texts, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.sessions"


def sessions(built: Built, *events: Cells) -> list[Texts]:
    return built(TABLE, {"silver_events": events})


def at(time: str, day: object = "02", **cells: object) -> Cells:
    return an_event(f"2026-03-{day} {time}", **cells)


def spans(rows: list[Texts]) -> list[tuple[str | None, ...]]:
    return [(row["started_at"], row["events"]) for row in rows]


def test_a_pause_of_more_than_half_an_hour_ends_a_session_and_one_of_half_an_hour_does_not(built: Built) -> None:
    rows = sessions(built, at("10:00:00"), at("10:30:00"), at("11:00:00.000001"))
    assert only(rows, "started_at", "ended_at", "seconds", "events") == [
        ("2026-03-02 10:00:00", "2026-03-02 10:30:00", "1800", "2"),
        ("2026-03-02 11:00:00.000001", "2026-03-02 11:00:00.000001", "0", "1"),
    ]


def test_a_session_over_midnight_is_one_of_the_day_on_which_it_began(built: Built) -> None:
    [row] = sessions(built, at("23:50:00"), at("00:10:00", "03"))
    assert only([row], "session_date", "events", "seconds") == [("2026-03-02", "2", "1200")]


def test_what_goes_on_is_cut_after_twelve_hours_and_at_midnight_after_a_whole_day(built: Built) -> None:
    """From 08:30, with an event each half hour: until 20:30, until 08:30, until 20:30, and at the second midnight."""
    half_hours = [
        at(f"{hour:02}:{minute}:00", day) for day in ("02", "03", "04") for hour in range(24) for minute in ("00", "30")
    ]
    rows = sessions(built, *half_hours[17:-46])
    assert [(begin or "")[8:16] for begin, _ in spans(rows)] == [
        "02 08:30",
        "02 20:30",
        "03 08:30",
        "03 20:30",
        "04 00:00",
    ]
    assert [events for _, events in spans(rows)] == ["24", "24", "24", "7", "2"]


def test_users_and_platforms_have_sessions_of_their_own_and_nobody_has_none(built: Built) -> None:
    rows = sessions(
        built, at("10:00:00"), at("10:01:00", user_id="u2"), at("10:02:00", platform=None), at("10:03:00", user_id=None)
    )
    assert only(rows, "user_id", "platform") == [("u1", "unknown"), ("u1", "web"), ("u2", "web")]
    assert len({row["session_id"] for row in rows}) == 3


def test_steps_count_in_their_order_and_of_one_instant_as_they_lead_on(built: Built) -> None:
    bought = [at("10:00:00", event_name=name) for name in ("purchase", "click", "view")]
    in_vain = [
        at(f"10:0{place}:00", user_id="u2", event_name=name) for place, name in enumerate(("click", "view", "purchase"))
    ]
    flags = ("is_clicked", "is_purchased", "is_purchased_after_click")
    rows = sessions(built, *bought, *in_vain)
    assert only(rows, *flags, "views", "clicks", "purchases") == [
        ("true", "true", "true", "1", "1", "1"),
        ("false", "false", "true", "1", "1", "1"),
    ]


def test_a_session_begins_and_ends_with_the_products_of_its_first_and_last_event(built: Built) -> None:
    """The last one names none; of two first ones of one instant it is the view."""
    nothing: Cells = {"sku": None, "product_name": None}
    first = [at("10:00:00", event_name=name, sku=sku) for name, sku in (("click", "A"), ("view", "B"))]
    [row] = sessions(built, *first, at("10:03:00", **nothing))
    products = [row[name] for name in ("entry_sku", "entry_product_name", "exit_sku", "exit_product_name")]
    assert products == ["B", "Flour", None, None]
