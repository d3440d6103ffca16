from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clicks import a_session
from tests.rows import only

if TYPE_CHECKING:
    from tests.rows import Built


COUNTS = ("sessions", "sessions_viewed", "sessions_clicked", "sessions_purchased")
WITHIN = ("users", "users_viewed", "users_clicked", "users_clicked_within_days", "users_purchased_within_days")


def test_sessions_and_users_are_counted_by_the_steps_that_they_took(built: Built) -> None:
    """Two users, the first with two sessions; a third who clicked what he had not viewed."""
    rows = built(
        "gold.funnel",
        {
            "gold_sessions": [
                a_session(),
                a_session("2026-03-02 12:00:00", views=1, clicks=1, purchases=1, is_clicked=True, is_purchased=True),
                a_session(user_id="u2", views=1, clicks=1, is_clicked=True),
                a_session(user_id="u3", views=0, clicks=1),
                a_session(user_id="u3", platform="ios"),
            ]
        },
    )
    assert only(rows, "platform", *COUNTS, "click_share", "purchase_share", "_warned") == [
        ("ios", "1", "1", "0", "0", "0.0000", "0.0000", ""),
        ("web", "4", "3", "2", "1", "0.6667", "0.3333", ""),
    ]
    assert only(rows, *WITHIN, "users_purchased")[1] == ("3", "2", "2", "2", "1", "1")


def test_a_click_and_a_purchase_of_the_seven_days_after_it_follow_a_view(built: Built) -> None:
    """u1 clicks on the last of the days and purchases in time, u2 purchases on the day after it; u3 only purchases."""
    rows = built(
        "gold.funnel",
        {
            "gold_sessions": [
                *(a_session(user_id=user) for user in ("u1", "u2", "u3")),
                a_session("2026-03-09 10:00:00", views=0, clicks=1, purchases=1, is_purchased_after_click=True),
                a_session("2026-03-08 10:00:00", user_id="u2", views=0, clicks=1),
                a_session("2026-03-10 10:00:00", user_id="u2", views=0, purchases=1),
                a_session("2026-03-03 10:00:00", user_id="u3", views=0, purchases=1),
            ]
        },
    )
    assert only(rows, "funnel_date", *WITHIN)[0] == ("2026-03-02", "3", "3", "0", "2", "1")


def test_a_click_before_the_first_view_of_the_day_does_not_follow_it(built: Built) -> None:
    sessions = [a_session("2026-03-02 09:00:00", views=0, clicks=1), a_session()]
    assert only(built("gold.funnel", {"gold_sessions": sessions}), *WITHIN) == [("1", "1", "0", "0", "0")]
