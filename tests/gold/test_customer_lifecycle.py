from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_customer, a_customer_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.customer_lifecycle"


def test_who_never_ordered_has_no_dates_and_a_market_without_orders_no_day(built: Built) -> None:
    customers = [a_customer(customer_id=43, created_at="2022-01-01 00:00:00"), a_customer(market=2)]
    inputs = {"silver_customers": customers, "silver_customer_orders": [a_customer_order()]}
    names = (
        "market",
        "customer_id",
        "as_of",
        "registered_at",
        "orders",
        "days_since_last_order",
        "lifecycle",
        "_warned",
    )
    assert only(built(TABLE, inputs), *names) == [
        ("1", "42", "2022-01-03", None, "1", "0", "one_order", ""),
        ("1", "43", "2022-01-03", "2022-01-01 00:00:00", "0", None, "never_ordered", ""),
        ("2", "42", None, None, "0", None, "never_ordered", ""),
    ]


def test_who_is_active_is_said_by_the_customers_own_rhythm_of_at_least_a_day(built: Built) -> None:
    """Twice and four times the rhythm are the last days of a state; the market's last day is the 30th."""
    days = [(30, 30), (28, 28), (27, 27), (26, 26), (25, 25), (15, 20), (14, 19), (5, 10), (4, 9)]
    orders = [
        a_customer_order(customer_id=customer, order_id=10 * customer + place, order_date=f"2022-01-{day:02}")
        for customer, dates in enumerate(days)
        for place, day in enumerate(dates)
    ]
    rows = only(built(TABLE, {"silver_customer_orders": orders}), "average_days_between_orders", "lifecycle")
    daily = [("0.0000", "active")] * 2 + [("0.0000", "lapsing")] * 2 + [("0.0000", "lost")]
    assert rows == [*daily, ("5.0000", "active"), ("5.0000", "lapsing"), ("5.0000", "lapsing"), ("5.0000", "lost")]


def test_hours_to_the_first_order_placed_are_rounded_away_from_zero(built: Built) -> None:
    registered = {1: "2022-01-02 21:29:42", 2: "2022-01-02 21:30:18", 3: "2022-01-01 21:30:00", 4: None}
    customers = [a_customer(customer_id=number, created_at=at) for number, at in registered.items()]
    orders = [
        a_customer_order(customer_id=number, order_id=number, order_status="CANCELLED", completed_number=None)
        for number in registered
    ]
    orders += [a_customer_order(customer_id=3, order_id=9, ordered_at="2022-01-05 00:00:00", order_date="2022-01-05")]
    rows = built(TABLE, {"silver_customers": customers, "silver_customer_orders": orders})
    assert only(rows, "hours_to_first_order") == [("0.01",), ("-0.01",), ("24.00",), (None,)]


def test_a_rhythm_of_thirds_is_rounded_half_up_and_cancelled_orders_belong_to_it(built: Built) -> None:
    days = enumerate(("2022-01-01", "2022-01-03", "2022-01-03", "2022-01-12"))
    orders = [a_customer_order(order_id=number, order_date=day, order_status="CANCELLED") for number, day in days]
    (row,) = built(TABLE, {"silver_customer_orders": orders})
    names = ("orders", "first_order_date", "last_order_date", "average_days_between_orders", "lifecycle")
    assert only([row], *names) == [("4", "2022-01-01", "2022-01-12", "3.6667", "active")]
