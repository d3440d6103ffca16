from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_store, a_store_install, an_install, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.store_activity_daily"


def test_a_store_is_new_active_churned_reactivated(built: Built) -> None:
    installs = [
        a_store_install("2022-05-01", "2022-05-02"),
        a_store_install("2022-05-04", install_number=2),
        a_store_install("2022-05-02", "2022-05-02", store_id="Store_2"),
        a_store_install("2022-05-05", store_id="Store_3"),
    ]
    ends = [a_store([an_install("2022-05-01", "2022-05-02"), an_install("2022-05-05")])]
    rows = built(TABLE, {"silver_stores": ends, "silver_store_installs": installs})
    names = ("activity_date", "active_stores", "new_stores", "reactivated_stores", "churned_stores", "_warned")
    assert only(rows, *names) == [
        ("2022-05-01", "1", "1", "0", "0", ""),
        ("2022-05-02", "2", "1", "0", "2", ""),
        ("2022-05-03", "0", "0", "0", "0", ""),
        ("2022-05-04", "1", "0", "1", "0", ""),
        ("2022-05-05", "2", "1", "0", "0", ""),
    ]


def test_as_published_delivered_intervals_count_on_the_day_of_their_begin(built: Built) -> None:
    """Also on a day on which nothing begins or ends, since the app was there the day before."""
    delivered = [
        an_install("2022-05-01", "2022-05-01", endType="CUSTOMER_CLOSED"),
        an_install("2022-05-01", "2022-05-03"),
        an_install("2022-05-03"),
    ]
    inputs = {"silver_stores": [a_store(delivered)], "silver_store_installs": [a_store_install("2022-05-01")]}
    rows = built(TABLE, inputs)
    assert only(rows, "published_active", "published_new", "published_uninstall", "active_stores") == [
        ("0", "2", "1", "1"),
        ("0", "0", "0", "1"),
        ("1", "0", "0", "1"),
    ]
