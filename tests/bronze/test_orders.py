from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.samples.daily import ORDERS_1, ORDERS_2
from tests.rows import Texts, only

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Read

TABLE = "bronze.orders"
BEFORE = "COMPLETED,Flour & Sugar,KKFL0001,,,2,65,-,-,130,130,130,-,-,-,-,0,CASH,-,-,0"
TIMES = "0.5,2022-01-03T18:12:33.000Z,2022-01-03T18:13:00.000Z,2022-01-04T08:00:00.000Z"
KENYA = f"7,{BEFORE},KSh,,,42,893555,null,{TIMES},,,,,,0,-,10,3,,0,-,-"
NIGERIA = f"7,{BEFORE},₦,,,43,1048159,,{TIMES},5,,,,,0,20,4,,0,-,-"
QUOTED = "market_1/2022-01-03/Market 1 Orders.csv"
STRANGE = "market_1/2022-01-04/deep/100%25 {a} [b] Orders ü.csv"
WIDTHS = "market_1/Orders widths.csv"
SECOND = "market_2/2022-01-03/Market 2 Orders.csv"
MORE = "market_2/2022-01-05/Orders with more.csv"
FILES = {
    QUOTED: "\r\n".join(
        [
            ORDERS_1,
            KENYA,
            KENYA.replace("null", '"Ring twice,\nthen ""call"""'),
            KENYA.replace("null", '""').replace("KKFL0001", " A "),
            KENYA,
        ]
    ),
    STRANGE: f"\ufeff{ORDERS_1}\r\n{KENYA}\r\n",
    WIDTHS: "\n".join([ORDERS_1, KENYA, KENYA + ",extra", "9,COMPLETED", KENYA]),
    SECOND: f"{ORDERS_2}\r\n{NIGERIA}",
    MORE: "\r\n".join(
        [
            "Loyalty  Tier (new)," + ORDERS_2.replace("SKU,", ""),
            "Gold," + NIGERIA.replace("KKFL0001,", ""),
            "," + NIGERIA.replace("KKFL0001,", "").replace("COMPLETED", f"{'0' * 40}1.10"),
        ]
    ),
    "market_1/2022-01-06/Market 1 Orders.csv": ORDERS_1,
    "market_1/2022-01-07/Market 1 Orders.csv": "",
}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    """Seven files in one batch."""
    return read(TABLE, FILES)


def test_a_row_is_text_as_delivered_with_its_place_and_the_market_of_its_folder(
    delivered: dict[str, list[Texts]], tables: dict[str, Table]
) -> None:
    first = delivered[QUOTED][0]
    assert only([first], "market", "_file", "_row", "_batch", "_problem", "_raw") == [
        ("1", QUOTED, "1", "5", None, None)
    ]
    assert only([first], "unit_price", "cost_price", "description", "currency_symbol") == [("65", "-", "null", "KSh")]
    assert only([first], "order_time", "distance_in_km") == [("2022-01-03T18:12:33.000Z", "0.5")]
    assert set(tables[TABLE].contract.columns) <= first.keys()


def test_rows_are_counted_by_records_and_line_breaks_in_quotes_are_text(delivered: dict[str, list[Texts]]) -> None:
    """An empty cell is the empty text, in quotes or not; null is said of a column that the file does not have."""
    assert only(delivered[QUOTED], "_row", "description", "sku") == [
        ("1", "null", "KKFL0001"),
        ("2", 'Ring twice,\nthen "call"', "KKFL0001"),
        ("3", "", " A "),
        ("4", "null", "KKFL0001"),
    ]


def test_each_file_is_read_by_its_own_header(delivered: dict[str, list[Texts]]) -> None:
    both = [delivered[QUOTED][0], delivered[SECOND][0]]
    names = ("market", "debt_amount", "redeemed_loyalty_points", "consumed_loyalty_points", "flat_discount")
    assert only(both, *names) == [("1", "-", "10", "3", "0"), ("2", None, "20", "4", "0")]
    assert only(both, "currency_symbol", "ratings", "customer_id") == [("KSh", "", "42"), ("₦", "5", "43")]


def test_a_row_of_the_wrong_width_is_kept_with_its_text(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[WIDTHS], "_row", "_problem", "_raw", "order_id") == [
        ("1", None, None, "7"),
        ("2", "row_is_too_long", KENYA + ",extra", "7"),
        ("3", "row_is_too_short", "9,COMPLETED", "9"),
        ("4", None, None, "7"),
    ]


def test_a_file_may_have_any_name_and_begin_with_a_byte_order_mark(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[STRANGE], "_file", "_row", "order_id", "sku") == [(STRANGE, "1", "7", "KKFL0001")]


def test_a_column_no_contract_knows_is_kept_by_its_name_in_snake_case(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[MORE], "order_id", "loyalty_tier_new", "order_status", "sku") == [
        ("7", "Gold", "COMPLETED", None),
        ("7", "", f"{'0' * 40}1.10", None),
    ]
    assert delivered[QUOTED][0]["loyalty_tier_new"] is None


def test_a_file_without_rows_has_none(delivered: dict[str, list[Texts]]) -> None:
    assert delivered.keys() == {QUOTED, STRANGE, WIDTHS, SECOND, MORE}


def test_the_date_of_the_folder_says_when_it_was_delivered(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[QUOTED][:1] + delivered[MORE][:1], "_delivered_at") == [
        ("2022-01-03 00:00:00",),
        ("2022-01-05 00:00:00",),
    ]
    assert str(delivered[QUOTED][0]["_sequence"]) < str(delivered[MORE][0]["_sequence"])
