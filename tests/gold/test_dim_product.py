from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_product, key, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.dim_product"


def test_a_product_has_a_key_by_market_and_sku_that_survives_a_rebuild(built: Built) -> None:
    products = [a_product(), a_product(sku="(none)", category_name=None), a_product(market=2, currency="NGN")]
    rows = built(TABLE, {"gold_products": products})
    assert only(rows, "market", "sku", "product_key") == [
        ("1", "(none)", key(1, "(none)")),
        ("1", "A", key(1, "A")),
        ("2", "A", key(2, "A")),
    ]


def test_a_product_that_never_sold_is_there_as_its_newest_line_says(built: Built) -> None:
    unsold = a_product(orders=0, gross_revenue="0.00", last_price="12.50", category_name=None)
    (row,) = built(TABLE, {"gold_products": [unsold]})
    assert only([row], "category_name", "currency", "last_price") == [(None, "KES", "12.50")]
