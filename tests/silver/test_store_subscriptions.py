from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_store, a_subscription, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "silver.store_subscriptions"
NOON, ONE, TWO = (f"2022-05-17 {hour}:00:00" for hour in (12, 13, 14))
TIMES = ("subscription_number", "delivered_intervals", "started_at", "ended_at")


def test_ends_are_exclusive_and_days_local(built: Built) -> None:
    one = a_subscription("2022-05-17 00:00:00.000000", "2022-05-18 23:59:59.378000")
    rows = built(TABLE, {"silver_stores": [a_store(subscriptions=[one])]})
    assert only(rows, "plan_name", "price", "currency", "started_date", "ended_date", "ended_at") == [
        ("regular_1", "19.00", "USD", "2022-05-17", "2022-05-18", "2022-05-18 23:59:59.378")
    ]


def test_only_the_same_plan_at_the_same_price_goes_on_where_it_touches(built: Built) -> None:
    """As Store_4483 did: 19.0 a second time for what began again at the very instant of its end."""
    same = [a_subscription(NOON, ONE), a_subscription(ONE, TWO)]
    dearer = [a_subscription(NOON, ONE), a_subscription(ONE, TWO, price=29.0)]
    other = [a_subscription(NOON, ONE), a_subscription(ONE, TWO, planName="plus_1")]
    stores = [
        a_store(subscriptions=some, store_id=name) for name, some in zip("abc", (same, dearer, other), strict=True)
    ]
    rows = built(TABLE, {"silver_stores": stores})
    both = [("1", "1", NOON, ONE), ("2", "1", ONE, TWO)]
    assert only(rows, *TIMES) == [("1", "2", NOON, TWO), *both, *both]


def test_a_second_later_is_another_subscription(built: Built) -> None:
    later = [a_subscription(NOON, ONE), a_subscription("2022-05-17 13:00:01", None)]
    rows = built(TABLE, {"silver_stores": [a_store(subscriptions=later)]})
    assert only(rows, *TIMES) == [("1", "1", NOON, ONE), ("2", "1", "2022-05-17 13:00:01", None)]


def test_what_begins_before_another_has_ended_is_told_of(built: Built) -> None:
    at_once = [a_subscription(NOON, TWO), a_subscription(ONE, TWO, planName="plus_1")]
    rows = built(TABLE, {"silver_stores": [a_store(subscriptions=at_once)]})
    assert only(rows, "plan_name", "_warned") == [("regular_1", ""), ("plus_1", "subscriptions_do_not_overlap")]


def test_an_end_with_a_fraction_of_a_second_is_provisional(built: Built) -> None:
    ends = [a_subscription(NOON, ONE), a_subscription(TWO, f"{TWO}.378000"), a_subscription("2022-05-18 00:00:00")]
    rows = built(TABLE, {"silver_stores": [a_store(subscriptions=ends)]})
    assert only(rows, "is_end_provisional") == [("false",), ("true",), ("false",)]


def test_a_store_without_subscriptions_has_no_row(built: Built) -> None:
    assert built(TABLE, {"silver_stores": [a_store()]}) == []
