from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Texts, only

if TYPE_CHECKING:
    from tests.rows import Read

TABLE = "bronze.merchants"
LIST = "merchants/2022-01-02/merchants.csv"
FILES = {LIST: "market,merchant_id,merchant_name,commission_share\n1,893555,Duka,0.15\n2,1048159,Kasuwa,\n"}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    return read(TABLE, FILES)


def test_a_merchant_is_text_as_delivered_and_its_market_a_column(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[LIST], "market", "merchant_id", "merchant_name", "commission_share") == [
        ("1", "893555", "Duka", "0.15"),
        ("2", "1048159", "Kasuwa", ""),
    ]
