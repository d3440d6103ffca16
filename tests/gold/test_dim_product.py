from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_product, a_product_state, a_sold_line, key, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.dim_product"


def test_without_a_master_a_product_has_one_state_as_its_newest_line_says(built: Built) -> None:
    products = [a_product(), a_product(sku="(none)", category_name=None), a_product(market=2, currency="NGN")]
    sold = [a_sold_line(), a_sold_line(sku=None), a_sold_line(market=2)]
    rows = built(TABLE, {"gold_products": products, "silver_sold_lines": sold})
    names = ("market", "sku", "product_key", "category_name", "currency", "last_price", "version", "valid_to")
    assert only(rows, *names) == [
        ("1", "(none)", key(1, "(none)"), None, "KES", "10.00", "1", None),
        ("1", "A", key(1, "A"), "Flour", "KES", "10.00", "1", None),
        ("2", "A", key(2, "A"), "Flour", "NGN", "10.00", "1", None),
    ]
    assert set(only(rows, "is_current", "is_listed", "is_ordered", "product_name")) == {("true", "false", "true", None)}


def test_a_master_says_names_and_prices_state_by_state_and_the_newest_line_the_last_price(built: Built) -> None:
    until = "2022-01-05 00:00:00"
    states = [
        a_product_state(valid_to=until, category_name=None),
        a_product_state(product_key="second", list_price="11.00", valid_from=until, version=2),
    ]
    rows = built(
        TABLE, {"gold_products": [a_product()], "silver_product_states": states, "silver_sold_lines": [a_sold_line()]}
    )
    names = ("product_key", "product_name", "category_name", "list_price", "last_price", "valid_from", "is_current")
    assert only(rows, *names) == [
        (key(1, "A"), "Flour 2 kg", "Flour", "10.50", "10.00", None, "false"),
        ("second", "Flour 2 kg", "Flour of wheat", "11.00", "10.00", until, "true"),
    ]


def test_a_product_that_nobody_ordered_is_there_and_one_that_left_the_master_stays(built: Built) -> None:
    states = [a_product_state(), a_product_state(sku="B", product_key=key(1, "B"))]
    rows = built(TABLE, {"silver_product_states": states, "silver_products": [{"market": 1, "sku": "B"}]})
    assert only(rows, "sku", "is_ordered", "is_listed", "currency", "last_price") == [
        ("A", "false", "false", "KES", None),
        ("B", "false", "true", "KES", None),
    ]


def test_a_product_that_the_api_alone_sold_is_there_without_a_last_price(built: Built) -> None:
    rows = built(TABLE, {"gold_products": [a_product()], "silver_sold_lines": [a_sold_line(), a_sold_line(sku="B")]})
    assert only(rows, "sku", "product_key", "is_ordered", "last_price") == [
        ("A", key(1, "A"), "true", "10.00"),
        ("B", key(1, "B"), "true", None),
    ]
