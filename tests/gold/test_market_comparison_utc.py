"""What it has as gold.market_comparison does is asked in its test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_judged_rate, an_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.market_comparison_utc"
DAY = "2022-01-02"


def test_revenue_is_converted_half_up_by_the_rate_of_its_own_day_and_currency(built: Built) -> None:
    orders = [
        an_order(order_total="100.00"),
        an_order(market=2, currency="NGN", order_total="999999.00"),
        an_order(market=2, currency="NGN", order_id=9, order_total="1.00"),
        an_order(order_id=8, ordered_at="2022-01-03 00:00:00", order_date="2022-01-03", order_status="CANCELLED"),
    ]
    rates = [
        a_judged_rate(rate_date=DAY, rate="0.00005"),
        a_judged_rate(rate_date="2022-01-03", rate="2"),
        a_judged_rate(rate_date=DAY, currency="NGN", rate="0.002420010000"),
    ]
    rows = built(TABLE, {"silver_orders": orders, "silver_judged_rates": rates})
    names = ("market", "currency", "utc_date", "revenue", "rate", "is_rate_missing", "reporting_revenue")
    assert only(rows, *names, "reporting_average_order_value") == [
        ("1", "KES", DAY, "100.00", "0.000050000000", "false", "0.01", "0.0100"),
        ("1", "KES", "2022-01-03", "0.00", "2.000000000000", "false", "0.00", None),
        ("2", "NGN", DAY, "1000000.00", "0.002420010000", "false", "2420.01", "1210.0050"),
    ]


def test_the_day_is_the_same_stretch_of_time_in_all_markets(built: Built) -> None:
    orders = [
        an_order(),
        an_order(order_id=8, ordered_at="2022-01-02 20:59:59", order_date="2022-01-02"),
        an_order(market=2, currency="NGN", ordered_at="2022-01-02 21:30:00", order_date="2022-01-02"),
    ]
    rows = built(TABLE, {"silver_orders": orders})
    assert only(rows, "market", "country", "time_zone", "utc_date", "orders") == [
        ("1", "Kenya", "Africa/Nairobi", "2022-01-02", "2"),
        ("2", "Nigeria", "Africa/Lagos", "2022-01-02", "1"),
    ]
