from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_store_subscription, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.subscription_revenue_daily"


def test_a_price_is_cash_where_it_begins_and_accrued_over_its_days_to_the_last_digit(built: Built) -> None:
    one = a_store_subscription("2022-05-01", "2022-05-03", price="10.00", is_end_provisional=True)
    rows = built(TABLE, {"silver_store_subscriptions": [one]})
    assert only(rows, "revenue_date", "cash_revenue", "accrued_revenue", "provisional_ends") == [
        ("2022-05-01", "10.00", "3.3333", "0"),
        ("2022-05-02", "0.00", "3.3333", "0"),
        ("2022-05-03", "0.00", "3.3334", "1"),
    ]


def test_monthly_revenue_is_that_of_what_is_active_at_the_days_end(built: Built) -> None:
    subscriptions = [
        a_store_subscription("2022-05-01", "2022-05-02"),
        a_store_subscription("2022-05-02", price="29.50", subscription_number=2),
        a_store_subscription("2022-05-02", "2022-05-02", price="5.00", store_id="Store_2"),
    ]
    rows = built(TABLE, {"silver_store_subscriptions": subscriptions})
    assert only(rows, "currency", "active_subscriptions", "mrr", "arr", "ended_subscriptions") == [
        ("USD", "1", "19.00", "228.00", "0"),
        ("USD", "1", "29.50", "354.00", "2"),
    ]
    assert only(rows, "accrued_revenue") == [("9.5000",), ("14.5000",)]  # of what goes on nothing yet


def test_as_published_only_a_stores_first_subscription_counts(built: Built) -> None:
    subscriptions = [
        a_store_subscription("2022-05-01", "2022-05-01"),
        a_store_subscription("2022-05-01", "2022-05-03", price="29.00", subscription_number=2),
        a_store_subscription("2022-05-03", "2022-05-03", price="49.00", store_id="Store_2"),
    ]
    rows = built(TABLE, {"silver_store_subscriptions": subscriptions})
    assert only(rows, "published_revenue", "cash_revenue", "new_subscriptions") == [
        ("19.00", "48.00", "2"),
        ("0.00", "0.00", "0"),
        ("49.00", "49.00", "1"),
    ]
