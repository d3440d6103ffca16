from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_day, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.order_status_daily"


def test_a_days_age_is_counted_from_its_own_markets_last_day(built: Built) -> None:
    dates = ["2022-01-31", "2022-02-01", "2022-02-23", "2022-02-24", "2022-02-27", "2022-02-28"]
    days = [a_day(order_date=day) for day in [*dates, "2022-03-01", "2022-03-02", "2022-03-03"]]
    rows = built(TABLE, {"gold_daily_sales": [*days, a_day(market=2, currency="NGN", order_date="2022-02-01")]})
    assert only(rows, "as_of", "age_days", "age_class") == [
        ("2022-03-03", "31", "over 30"),
        ("2022-03-03", "30", "8-30"),
        ("2022-03-03", "8", "8-30"),
        ("2022-03-03", "7", "4-7"),
        ("2022-03-03", "4", "4-7"),
        ("2022-03-03", "3", "2-3"),
        ("2022-03-03", "2", "2-3"),
        ("2022-03-03", "1", "0-1"),
        ("2022-03-03", "0", "0-1"),
        ("2022-02-01", "0", "0-1"),
    ]


def test_shares_are_of_all_orders_placed_and_what_is_open_is_not_lost(built: Built) -> None:
    counts: Cells = {"orders": 32, "completed_orders": 1, "cancelled_orders": 3, "open_orders": 28}
    (row,) = built(TABLE, {"gold_daily_sales": [a_day(cancelled_value="6.00", open_value="7.00", **counts)]})
    names = (*counts, "completed_share", "cancelled_share", "_warned")
    assert only([row], *names) == [("32", "1", "3", "28", "0.0313", "0.0938", "")]
    assert only([row], "cancelled_value", "open_value", "currency") == [("6.00", "7.00", "KES")]
