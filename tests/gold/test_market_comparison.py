from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import a_judged_rate, an_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.market_comparison"
DAY = "2022-01-03"
UTC = "gold.market_comparison_utc"  # the same of other days: what does not depend on the day is asked of both here


@pytest.mark.parametrize(("table", "day"), [(TABLE, DAY), (UTC, "2022-01-02")])
def test_a_missing_rate_gives_nulls_and_no_other_rate_is_taken(built: Built, table: str, day: str) -> None:
    rates = [
        a_judged_rate(rate_date="2022-01-01"),
        a_judged_rate(rate_date="2022-01-04"),
        a_judged_rate(rate_date=day, reporting_currency="EUR"),
        a_judged_rate(rate_date=day, currency="NGN"),
        a_judged_rate(rate_date=day, currency="USD", reporting_currency="KES"),
    ]
    (row,) = built(table, {"silver_orders": [an_order()], "silver_judged_rates": rates})
    names = ("revenue", "reporting_currency", "rate", "is_rate_missing", "reporting_revenue")
    assert only([row], *names) == [("20.00", "USD", None, "true", None)]


def test_revenue_is_converted_half_up_by_the_rate_of_its_own_day_and_currency(built: Built) -> None:
    orders = [
        an_order(order_total="100.00"),
        an_order(market=2, currency="NGN", order_total="999999.00"),
        an_order(market=2, currency="NGN", order_id=9, order_total="1.00"),
        an_order(order_id=8, ordered_at="2022-01-03 21:30:00", order_date="2022-01-04", order_status="CANCELLED"),
    ]
    rates = [
        a_judged_rate(rate_date=DAY, rate="0.00005"),
        a_judged_rate(rate_date="2022-01-04", rate="2"),
        a_judged_rate(rate_date=DAY, currency="NGN", rate="0.002420010000"),
    ]
    rows = built(TABLE, {"silver_orders": orders, "silver_judged_rates": rates})
    names = ("market", "currency", "order_date", "revenue", "rate", "is_rate_missing", "reporting_revenue")
    assert only(rows, *names, "reporting_average_order_value") == [
        ("1", "KES", DAY, "100.00", "0.000050000000", "false", "0.01", "0.0100"),
        ("1", "KES", "2022-01-04", "0.00", "2.000000000000", "false", "0.00", None),
        ("2", "NGN", DAY, "1000000.00", "0.002420010000", "false", "2420.01", "1210.0050"),
    ]


def test_the_day_is_the_local_one_of_each_market(built: Built) -> None:
    orders = [
        an_order(),
        an_order(order_id=8, ordered_at="2022-01-02 20:59:59", order_date="2022-01-02"),
        an_order(market=2, currency="NGN", ordered_at="2022-01-02 21:30:00", order_date="2022-01-02"),
    ]
    rows = built(TABLE, {"silver_orders": orders})
    assert only(rows, "market", "country", "time_zone", "order_date", "orders") == [
        ("1", "Kenya", "Africa/Nairobi", "2022-01-02", "1"),
        ("1", "Kenya", "Africa/Nairobi", "2022-01-03", "1"),
        ("2", "Nigeria", "Africa/Lagos", "2022-01-02", "1"),
    ]


@pytest.mark.parametrize("table", [TABLE, UTC])
def test_measures_are_those_of_the_day_and_a_customer_counts_once(built: Built, table: str) -> None:
    orders = [
        an_order(order_id=1, order_total="10.00"),
        an_order(order_id=2, order_total="10.01"),
        an_order(order_id=3, customer_id=43, order_status="CANCELLED", units=7),
        an_order(order_id=4, customer_id=44, order_status="ORDERED"),
        an_order(order_id=5, market=2, currency="NGN", order_status="CANCELLED"),
    ]
    rows = built(table, {"silver_orders": orders})
    names = ("orders", "completed_orders", "cancelled_orders", "open_orders", "customers", "units", "revenue")
    assert only(rows, *names, "average_order_value") == [
        ("4", "2", "1", "1", "3", "13", "20.01", "10.0050"),
        ("1", "0", "1", "0", "1", "2", "0.00", None),
    ]


@pytest.mark.parametrize("table", [TABLE, UTC])
def test_what_is_in_the_reporting_currency_already_needs_no_rate(built: Built, table: str) -> None:
    (row,) = built(table, {"silver_orders": [an_order(currency="USD")]})
    names = ("rate", "is_rate_missing", "reporting_revenue", "reporting_average_order_value")
    assert only([row], *names) == [("1.000000000000", "false", "20.00", "20.0000")]
