from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Texts, only

if TYPE_CHECKING:
    from tests.rows import Read

TABLE = "bronze.products"
MASTER = "products/2022-01-02/products.csv"
CORRECTED = "products/of the shop 2022-01-20.csv"
FILES = {
    MASTER: (
        "Market,SKU,Product Name,Category Name,List Price,Updated At\r\n"
        '1,KKFL0000,"Flour, 2 kg",Flour,12.50,2022-01-01T10:00:00Z\r\n'
        "2,KKFL0000,Rice,-,950,\r\n"
        "1,KKCL0010,Soap,Cleaning & Hygiene,30,\r\n"
    ),
    CORRECTED: "sku,market,list_price,product_name,weight\nKKFL0000,1,13.00,Flour 2 kg,2\n",
}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    return read(TABLE, FILES)


def test_a_product_is_text_as_delivered_and_its_market_a_column(delivered: dict[str, list[Texts]]) -> None:
    names = ("market", "sku", "product_name", "category_name", "list_price", "updated_at")
    assert only(delivered[MASTER], *names) == [
        ("1", "KKFL0000", "Flour, 2 kg", "Flour", "12.50", "2022-01-01T10:00:00Z"),
        ("2", "KKFL0000", "Rice", "-", "950", ""),
        ("1", "KKCL0010", "Soap", "Cleaning & Hygiene", "30", ""),
    ]


def test_columns_are_found_by_name_and_an_unknown_one_is_kept(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[CORRECTED], "sku", "list_price", "weight") == [("KKFL0000", "13.00", "2")]
