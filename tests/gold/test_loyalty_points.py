from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_customer, an_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.loyalty_points"


def test_points_of_a_cancelled_order_are_earned_but_redeemed_apart(built: Built) -> None:
    orders = [
        an_order(order_id=1, earned_points=3, redeemed_points=2),
        an_order(order_id=2, earned_points=1, redeemed_points=10, order_status="CANCELLED"),
        an_order(order_id=3, redeemed_points=100, order_status="DISPATCHED"),
        an_order(order_id=4),
    ]
    (row,) = built(TABLE, {"silver_orders": orders, "silver_customers": [a_customer(loyalty_points=50)]})
    names = ("earned_points", "redeemed_points", "redeemed_on_other_orders", "redeemed_value", "redeemed_share")
    assert only([row], *names, "balance", "currency") == [("4", "2", "110", "2.00", "0.5000", "50", "KES")]


def test_a_point_is_worth_what_its_market_says_and_older_points_may_be_spent(built: Built) -> None:
    orders = [
        an_order(market=2, currency="NGN", redeemed_points=7, earned_points=3),
        an_order(market=1, redeemed_points=7, order_status="CANCELLED"),
    ]
    rows = built(TABLE, {"silver_orders": orders})
    names = ("market", "currency", "earned_points", "redeemed_points", "redeemed_value", "redeemed_share", "balance")
    assert only(rows, *names) == [
        ("1", "KES", "0", "0", "0.00", None, None),
        ("2", "NGN", "3", "7", "35.00", "2.3333", None),
    ]


def test_a_customer_without_points_is_not_there_and_one_with_a_balance_alone_is(built: Built) -> None:
    balances = {42: 0, 43: None, 44: 5, 45: -5}
    customers = [a_customer(customer_id=number, loyalty_points=points) for number, points in balances.items()]
    customers += [a_customer(market=2, customer_id=44, loyalty_points=1)]
    rows = built(
        TABLE, {"silver_orders": [an_order(), an_order(order_id=8, customer_id=43)], "silver_customers": customers}
    )
    names = ("market", "customer_id", "currency", "balance", "earned_points", "redeemed_value", "redeemed_share")
    assert only(rows, *names) == [
        ("1", "44", "KES", "5", "0", "0.00", None),
        ("1", "45", "KES", "-5", "0", "0.00", None),
        ("2", "44", "NGN", "1", "0", "0.00", None),
    ]
