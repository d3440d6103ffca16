from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_merchant, an_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.merchants"
NAMES = ("market", "merchant_id", "merchant_name", "is_listed", "currency", "orders", "completed_orders", "revenue")


def test_a_merchant_that_sold_is_there_without_a_list_and_one_of_the_list_without_a_sale(built: Built) -> None:
    orders = [an_order(), an_order(order_id=8, order_status="CANCELLED"), an_order(order_id=9, merchant_id=None)]
    orders.append(an_order(market=2, currency="NGN"))
    rows = built(TABLE, {"silver_orders": orders, "silver_merchants": [a_merchant(), a_merchant(merchant_id="5")]})
    assert only(rows, *NAMES) == [
        ("1", "5", "Duka", "true", "KES", "0", "0", "0.00"),
        ("1", "893555", "Duka", "true", "KES", "2", "1", "20.00"),
        ("2", "893555", None, "false", "NGN", "1", "1", "20.00"),
    ]


def test_a_commission_is_what_orders_say_and_another_what_the_list_says(built: Built) -> None:
    orders = [
        an_order(commission="1.00"),
        an_order(order_id=8, order_total="20.03"),
        an_order(order_id=9, order_status="ORDERED", commission="5.00"),
        an_order(order_id=10, merchant_id="5", order_status="ORDERED", commission="5.00"),
    ]
    rows = built(TABLE, {"silver_orders": orders, "silver_merchants": [a_merchant(commission_share="0.5")]})
    assert only(rows, "merchant_id", "commission", "commission_share", "commission_due") == [
        ("5", None, None, None),
        ("893555", "1.00", "0.500000", "20.02"),
    ]
