from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_sale, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.basket_pairs"
MEASURES = ("orders_together", "orders_with_sku", "orders_with_other", "market_orders", "support", "confidence")


def baskets(*skus: str, **cells: object) -> list[Cells]:
    """One order per text, one line per letter of it, _ for a line without a SKU."""
    return [
        a_sale(order_id=order, line_number=line, sku=None if letter == "_" else letter, **cells)
        for order, letters in enumerate(skus)
        for line, letter in enumerate(letters)
    ]


def test_a_pair_stands_once_in_the_order_of_bytes(built: Built) -> None:
    (row,) = built(TABLE, {"silver_sales": baskets("aB", "a", "B", "Ba", "a", "C", "C")})
    assert only([row], "sku", "other_sku", *MEASURES) == [("B", "a", "2", "3", "4", "7", "0.285714", "0.666667")]
    assert only([row], "reverse_confidence", "lift", "_warned") == [("0.500000", "1.166667", "")]


def test_only_skus_of_completed_orders_count_and_each_once_an_order(built: Built) -> None:
    cancelled = [sale | {"order_id": 50, "order_status": "CANCELLED"} for sale in baskets("ABC")]
    rows = built(TABLE, {"silver_sales": [*baskets("AAB_", "_", "__A", "AA"), *cancelled]})
    assert only(rows, "sku", "other_sku", *MEASURES) == [("A", "B", "1", "3", "1", "3", "0.333333", "0.333333")]


def test_a_pair_must_reach_the_exact_minimum_of_its_own_market(built: Built) -> None:
    """1 of 200 is market 1's half a per cent, 1 of 201 is not; market 2 wants more: 13 of 2,000."""
    many, more = ["AB", *"C" * 199], ["AB", *"C" * 200]
    enough, few = [*["AB"] * 13, *["AD"] * 12], [*"C" * 1_975]
    sales = [*baskets(*many), *baskets(*enough, *few, market=2, currency="NGN")]
    names = ("market", "orders_together", "market_orders", "support", "minimum_support")
    assert only(built(TABLE, {"silver_sales": sales}), *names) == [
        ("1", "1", "200", "0.005000", "0.005000"),
        ("2", "13", "2000", "0.006500", "0.006500"),
    ]
    assert built(TABLE, {"silver_sales": baskets(*more)}) == []
