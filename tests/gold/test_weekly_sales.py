from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_day, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.weekly_sales"


def a_week_of(revenue: str, monday: str, **cells: object) -> Cells:
    return a_day(order_date=monday, revenue=revenue, gross_revenue=revenue, new_revenue=revenue, **cells)


def test_a_week_without_orders_is_there_with_zeros(built: Built) -> None:
    weeks = built(TABLE, {"gold_daily_sales": [a_day(order_date="2022-01-03"), a_day(order_date="2022-01-18")]})
    names = ("week_start", "days_with_orders", "orders", "cancelled_orders", "units", "revenue", "gross_revenue")
    assert only(weeks, *names) == [
        ("2022-01-03", "1", "1", "0", "2", "20.00", "20.00"),
        ("2022-01-10", "0", "0", "0", "0", "0.00", "0.00"),
        ("2022-01-17", "1", "1", "0", "2", "20.00", "20.00"),
    ]
    others = ("currency", "new_revenue", "repeat_revenue", "average_order_value", "year_to_date", "_warned")
    assert only(weeks[1:2], *others) == [("KES", "0.00", "0.00", None, "20.00", "")]


def test_the_first_week_has_no_change_and_after_a_week_of_0_it_has_no_share(built: Built) -> None:
    days = [a_day(order_date=day) for day in ("2022-01-03", "2022-01-18", "2022-01-23")]
    weeks = built(TABLE, {"gold_daily_sales": days})
    assert only(weeks, "previous_revenue", "revenue_change", "revenue_change_share") == [
        (None, None, None),
        ("20.00", "-20.00", "-1.0000"),
        ("0.00", "40.00", None),
    ]


def test_a_week_that_is_cut_is_compared_with_none(built: Built) -> None:
    """Market 1 begins on a Tuesday and ends on a Saturday, market 2 on a Monday and a Sunday."""
    days = [a_week_of("1.00", day) for day in ("2022-01-04", "2022-01-10", "2022-01-17", "2022-01-29")]
    days += [a_week_of("1.00", day, market=2, currency="NGN") for day in ("2022-01-03", "2022-01-16")]
    names = ("market", "week_start", "is_whole_week", "previous_revenue", "revenue_change", "revenue_change_share")
    assert only(built(TABLE, {"gold_daily_sales": days}), *names) == [
        ("1", "2022-01-03", "false", None, None, None),
        ("1", "2022-01-10", "true", "1.00", None, None),
        ("1", "2022-01-17", "true", "1.00", "0.00", "0.0000"),
        ("1", "2022-01-24", "false", "1.00", None, None),
        ("2", "2022-01-03", "true", None, None, None),
        ("2", "2022-01-10", "true", "1.00", "0.00", "0.0000"),
    ]


def test_halves_of_a_share_are_rounded_away_from_zero(built: Built) -> None:
    days = [
        a_week_of("200.00", "2022-01-03"),
        a_week_of("199.99", "2022-01-16"),
        a_week_of("200.00", "2022-01-03", market=2, currency="NGN"),
        a_week_of("200.01", "2022-01-16", market=2, currency="NGN"),
    ]
    weeks = built(TABLE, {"gold_daily_sales": days})
    names = ("market", "currency", "revenue_change_share")
    assert only(weeks, *names) == [
        ("1", "KES", None),
        ("1", "KES", "-0.0001"),
        ("2", "NGN", None),
        ("2", "NGN", "0.0001"),
    ]


def test_four_whole_weeks_have_a_mean_and_a_week_without_orders_counts_in_it(built: Built) -> None:
    days = [
        a_week_of("10.00", "2022-01-03"),
        a_week_of("20.01", "2022-01-17"),
        a_week_of("30.00", "2022-01-24"),
        a_week_of("1.00", "2022-02-06"),
        a_week_of("5.00", "2022-02-12"),  # a Saturday: this week is not whole
    ]
    weeks = built(TABLE, {"gold_daily_sales": days})
    assert only(weeks, "four_week_mean") == [(None,), (None,), (None,), ("15.0025",), ("12.7525",), (None,)]


def test_the_year_to_date_is_by_days_as_of_the_weeks_sunday(built: Built) -> None:
    days = [
        a_day(order_date="2021-12-20", revenue="7.00", new_revenue="7.00"),
        a_day(order_date="2021-12-27", orders=2, completed_orders=1, revenue="10.00", new_revenue="10.00"),
        a_day(order_date="2022-01-02", orders=3, completed_orders=2, revenue="50.00", new_revenue="50.00"),
        a_day(order_date="2022-01-03", orders=1, completed_orders=0, revenue="0.00", new_revenue="0.00"),
        a_day(order_date="2022-01-10", revenue="5.00", new_revenue="2.00", repeat_revenue="3.00"),
    ]
    names = ("week_start", "days_with_orders", "orders", "revenue", "average_order_value", "year_to_date", "_warned")
    assert only(built(TABLE, {"gold_daily_sales": days}), *names) == [
        ("2021-12-20", "1", "1", "7.00", "7.0000", "7.00", ""),
        ("2021-12-27", "2", "5", "60.00", "20.0000", "50.00", ""),
        ("2022-01-03", "1", "1", "0.00", None, "50.00", ""),
        ("2022-01-10", "1", "1", "5.00", "5.0000", "55.00", ""),
    ]
