from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Texts, a_sold_line, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.dim_date"


@pytest.fixture(scope="module")
def dates(built: Built) -> dict[str | None, Texts]:
    """The days of 2020 and 2022, by their key."""
    days = [
        a_sold_line(order_date="2020-05-05"),
        a_sold_line(order_date="2022-01-03"),
        a_sold_line(market=2, order_date="2022-01-03"),
    ]
    return {row["date_key"]: row for row in built(TABLE, {"silver_sold_lines": days})}


def test_every_day_of_a_year_with_an_order_is_there_once_and_no_other_year(dates: dict[str | None, Texts]) -> None:
    assert len(dates) == 366 + 365
    assert {"20200101", "20200229", "20201231", "20220101", "20221231"} <= dates.keys()
    assert {row["year"] for row in dates.values()} == {"2020", "2022"}


def test_a_week_is_the_iso_one_and_begins_on_monday(dates: dict[str | None, Texts]) -> None:
    rows = [dates[day] for day in ("20201231", "20220107", "20220101", "20220102", "20220103")]
    assert only(rows, "calendar_date", "year", "iso_week", "week_start", "weekday", "is_weekend") == [
        ("2020-12-31", "2020", "53", "2020-12-28", "4", "false"),
        ("2022-01-07", "2022", "1", "2022-01-03", "5", "false"),
        ("2022-01-01", "2022", "52", "2021-12-27", "6", "true"),
        ("2022-01-02", "2022", "52", "2021-12-27", "7", "true"),
        ("2022-01-03", "2022", "1", "2022-01-03", "1", "false"),
    ]


def test_quarters_and_months_are_those_of_the_calendar(dates: dict[str | None, Texts]) -> None:
    rows = [dates[day] for day in ("20200331", "20200401", "20221231")]
    assert only(rows, "quarter", "month", "month_start") == [
        ("1", "3", "2020-03-01"),
        ("2", "4", "2020-04-01"),
        ("4", "12", "2022-12-01"),
    ]
