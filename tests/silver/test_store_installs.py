from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_store, an_install, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "silver.store_installs"
DAYS = ("install_number", "delivered_intervals", "installed_date", "uninstalled_date")


def test_an_interval_is_half_open_at_the_midnights_around_its_days(built: Built) -> None:
    rows = built(TABLE, {"silver_stores": [a_store([an_install("2022-05-30", "2022-05-31")])]})
    assert only(rows, "installed_at", "uninstalled_at", "installed_date", "uninstalled_date") == [
        ("2022-05-30 00:00:00", "2022-06-01 00:00:00", "2022-05-30", "2022-05-31")
    ]


def test_what_goes_on_has_no_end(built: Built) -> None:
    rows = built(TABLE, {"silver_stores": [a_store([an_install("2022-05-30")])]})
    assert only(rows, "uninstalled_at", "uninstalled_date") == [(None, None)]


def test_intervals_that_share_a_day_or_follow_on_the_next_are_one(built: Built) -> None:
    days = [
        ("2022-05-30", "2022-06-02"),
        ("2022-06-02", "2022-06-02"),
        ("2022-06-03", "2022-06-04"),
        ("2022-06-06", None),
    ]
    rows = built(TABLE, {"silver_stores": [a_store([an_install(*one) for one in days])]})
    assert only(rows, *DAYS) == [("1", "3", "2022-05-30", "2022-06-04"), ("2", "1", "2022-06-06", None)]


def test_an_interval_within_another_ends_nothing_and_the_order_of_the_array_does_not_matter(built: Built) -> None:
    days = [
        ("2022-06-12", "2022-06-13"),
        ("2022-06-05", "2022-06-06"),
        ("2022-06-01", "2022-06-10"),
        ("2022-06-01", "2022-06-01"),
    ]
    rows = built(TABLE, {"silver_stores": [a_store([an_install(*one) for one in days])]})
    assert only(rows, *DAYS) == [("1", "3", "2022-06-01", "2022-06-10"), ("2", "1", "2022-06-12", "2022-06-13")]


def test_types_are_those_of_the_first_and_of_the_last_interval(built: Built) -> None:
    installs = [
        an_install("2022-06-01", "2022-06-02", startType="CUSTOMER_REOPENED", endType="CUSTOMER_CLOSED"),
        an_install("2022-06-03", "2022-06-04", startType="CUSTOMER_REACTIVATED", endType="CUSTOMER_CANCELLED"),
    ]
    rows = built(TABLE, {"silver_stores": [a_store(installs), a_store(installs[::-1], store_id="Store_2")]})
    assert only(rows, "store_id", "start_type", "end_type") == [
        ("Store_1", "CUSTOMER_REOPENED", "CUSTOMER_CANCELLED"),
        ("Store_2", "CUSTOMER_REOPENED", "CUSTOMER_CANCELLED"),
    ]
