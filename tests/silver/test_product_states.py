from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_product_version, key, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "silver.product_states"
THIRD, FOURTH, FIFTH, SIXTH = (f"2022-01-0{day} 00:00:00" for day in (3, 4, 5, 6))


def test_a_price_that_comes_back_is_a_new_state_and_a_repeated_delivery_is_none(built: Built) -> None:
    prices = {SIXTH: "10.50", THIRD: "10.50", FIFTH: "11.00", FOURTH: "10.50"}
    versions = [a_product_version(delivered_at=at, list_price=one) for at, one in prices.items()]
    rows = built(TABLE, {"silver_product_versions": versions})
    assert only(rows, "version", "list_price", "valid_from", "valid_to") == [
        ("1", "10.50", None, FIFTH),
        ("2", "11.00", FIFTH, SIXTH),
        ("3", "10.50", SIXTH, None),
    ]


def test_each_attribute_begins_a_state_and_nothing_is_a_value_too(built: Built) -> None:
    changes: list[Cells] = [{"product_name": "Rice"}, {"category_name": None}, {"list_price": "1.00"}, {}]
    versions = [
        a_product_version(sku=f"S{number}", delivered_at=at, **cells)
        for number, change in enumerate(changes)
        for at, cells in ((THIRD, {}), (FOURTH, change))
    ]
    rows = built(TABLE, {"silver_product_versions": versions})
    assert only(rows, "sku", "version") == [*((f"S{n}", v) for n in range(3) for v in "12"), ("S3", "1")]


def test_the_first_states_key_is_the_products_and_a_later_ones_of_its_instant(built: Built) -> None:
    versions = [a_product_version(), a_product_version(delivered_at=FOURTH, list_price="11.00")]
    rows = built(TABLE, {"silver_product_versions": versions})
    assert only(rows, "product_key") == [(key(1, "A"),), (key(1, "A", 1641254400000000),)]
