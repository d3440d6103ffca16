from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_product, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.product_abc"


def test_the_product_that_crosses_80_per_cent_is_an_a_and_one_that_begins_there_a_b(built: Built) -> None:
    sold = {1: ["50", "30", "15", "5"], 2: ["79", "20", "1"], 3: ["100"]}
    products = [
        a_product(market=market, sku=f"P{place}", gross_revenue=revenue)
        for market, revenues in sold.items()
        for place, revenue in enumerate(revenues)
    ]
    rows = only(built(TABLE, {"gold_products": products}), "market", "abc_class")
    assert [market + abc_class for market, abc_class in rows if market and abc_class] == [
        *("1A", "1A", "1B", "1C"),
        *("2A", "2A", "2C"),
        "3A",
    ]


def test_a_class_is_by_the_exact_sum_and_not_by_the_rounded_share(built: Built) -> None:
    revenues = ["799999999.99", "149999999.98", "50000000.02", "0.01"]
    products = [a_product(sku=f"P{place}", gross_revenue=revenue) for place, revenue in enumerate(revenues)]
    rows = built(TABLE, {"gold_products": products})
    assert only(rows, "sku", "revenue_share", "cumulative_share", "abc_class") == [
        ("P0", "0.800000", "0.800000", "A"),
        ("P1", "0.150000", "0.950000", "A"),
        ("P2", "0.050000", "1.000000", "B"),
        ("P3", "0.000000", "1.000000", "C"),
    ]


def test_ties_are_ranked_by_sku_and_what_never_sold_has_no_rank(built: Built) -> None:
    products = [a_product(sku=sku) for sku in ("b", "B", "(none)")] + [a_product(sku="unsold", gross_revenue="0.00")]
    rows = built(TABLE, {"gold_products": products})
    assert only(rows, "sku", "revenue_rank", "revenue_share", "cumulative_share", "_warned") == [
        ("(none)", "1", "0.333333", "0.333333", ""),
        ("B", "2", "0.333333", "0.666667", ""),
        ("b", "3", "0.333333", "1.000000", ""),
    ]
