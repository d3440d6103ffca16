from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
    (row,) = built(TABLE, {"silver_sales": baskets(*["aB", "Ba"] * 3, *"aBCCCCCC")})
    assert only([row], "sku", "other_sku", *MEASURES) == [("B", "a", "6", "7", "7", "14", "0.428571", "0.857143")]
    assert only([row], "reverse_confidence", "lift", "_warned") == [("0.857143", "1.714286", "")]


def test_only_skus_of_completed_orders_count_and_each_once_an_order(built: Built) -> None:
    cancelled = [sale | {"order_id": 50, "order_status": "CANCELLED"} for sale in baskets("ABC")]
    rows = built(TABLE, {"silver_sales": [*baskets(*["AAB_"] * 5, "_", "__A", "AA"), *cancelled]})
    assert only(rows, "sku", "other_sku", *MEASURES) == [("A", "B", "5", "7", "5", "7", "0.714286", "0.714286")]


@pytest.mark.slow
def test_a_pair_must_reach_the_exact_minimum_of_its_own_market(built: Built) -> None:
    """5 of 1,000 is market 1's half a per cent, 5 of 1,001 is not; market 2 wants more: 13 of 2,000."""
    many, more = [*["AB"] * 5, *"C" * 995], [*["AB"] * 5, *"C" * 996]
    enough, few = [*["AB"] * 13, *["AD"] * 12], [*"C" * 1_975]
    sales = [*baskets(*many), *baskets(*enough, *few, market=2, currency="NGN")]
    names = ("market", "orders_together", "market_orders", "support", "minimum_support")
    assert only(built(TABLE, {"silver_sales": sales}), *names) == [
        ("1", "5", "1000", "0.005000", "0.005000"),
        ("2", "13", "2000", "0.006500", "0.006500"),
    ]
    assert built(TABLE, {"silver_sales": baskets(*more)}) == []


@pytest.mark.parametrize(("times", "pairs"), [(1, 0), (4, 0), (5, 1), (6, 1)])
def test_a_share_of_few_orders_is_not_enough(built: Built, times: int, pairs: int) -> None:
    """Of sixty orders the share alone is a third of an order."""
    sales = baskets(*["AB"] * times, *"C" * (60 - times))
    assert len(built(TABLE, {"silver_sales": sales})) == pairs


def an_order_of(lines: int, order_id: int) -> list[Cells]:
    """Products A, B, and others."""
    skus = ["A", "B", *(f"other {number}" for number in range(2, lines))]
    return [a_sale(order_id=order_id, line_number=line, sku=sku) for line, sku in enumerate(skus)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "counts"), [(100, ("6", "9", "0")), (101, ("5", "8", "1")), (1_500, ("5", "8", "1"))]
)
def test_an_order_larger_than_a_basket_is_counted_and_takes_no_part(
    built: Built, lines: int, counts: tuple[str, str, str]
) -> None:
    rows = built(TABLE, {"silver_sales": [*baskets(*["AB"] * 5, *"CCC"), *an_order_of(lines, order_id=50)]})
    names = ("sku", "other_sku", "orders_together", "market_orders", "larger_orders", "_warned")
    assert only(rows, *names) == [("A", "B", *counts, "")]
