from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_store, a_store_install, a_store_subscription, an_install, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.store_lifespan"
PUBLISHED = ("published_from_date", "published_until_date", "published_lifespan_days")


def test_a_store_of_one_day_had_the_app_for_a_day_and_is_published_with_none(built: Built) -> None:
    (row,) = built(TABLE, {"silver_store_installs": [a_store_install("2022-05-16", "2022-05-16")]})
    assert only([row], "lifespan_days", "away_days", *PUBLISHED) == [("1", "0", "2022-05-16", "2022-05-16", "0")]


def test_days_without_the_app_do_not_count(built: Built) -> None:
    back = a_store_install("2022-05-08", "2022-05-09", install_number=2)
    (row,) = built(TABLE, {"silver_store_installs": [a_store_install("2022-05-01", "2022-05-03"), back]})
    assert only([row], "installs", "lifespan_days", "away_days", "_warned") == [("2", "5", "4", "")]
    assert only([row], *PUBLISHED) == [("2022-05-01", "2022-05-09", "8")]


def test_what_goes_on_lasts_until_the_last_day_that_any_history_knows(built: Built) -> None:
    inputs = {
        "silver_stores": [a_store([an_install("2022-05-30", "2022-06-01"), an_install("2022-06-01")])],
        "silver_store_installs": [a_store_install("2022-05-30")],
    }
    known = ("as_of", "is_installed", "last_installed_date", "lifespan_days")
    assert only(built(TABLE, inputs), *known) == [("2022-06-01", "true", None, "3")]
    subscriptions = [a_store_subscription("2022-06-04", "2022-06-05"), a_store_subscription("2022-06-03")]
    (row,) = built(TABLE, inputs | {"silver_store_subscriptions": subscriptions})
    assert only([row], *known) == [("2022-06-05", "true", None, "7")]
    assert only([row], *PUBLISHED) == [("2022-05-30", "2025-01-01", "947")]
