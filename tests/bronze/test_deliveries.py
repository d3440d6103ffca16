from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.samples.daily import DELIVERIES_1, DELIVERIES_2
from tests.rows import Texts, only

if TYPE_CHECKING:
    from tests.rows import Read

TABLE = "bronze.deliveries"
KENYA = "market_1/2022-01-03/Market 1 Deliveries.csv"
NIGERIA = "market_2/2022-01-03/Market 2 Deliveries.csv"
START = '900,"YR-7,0",3.68E+29,Default Team,Delivery'
PLACE = "Completed,-,0,-,-1.25,36.75,,-,Order_Details,1,KSh 20.00"
ITEM = f"{START},,12,Agent 05,19871,-,{PLACE},-,-,-,-,-,-,-,0,-,,"
LAST = f"{START},,12,Agent 05,19871,-,{PLACE},Call,KSh 0.00,KSh 0.00,KSh 1.50,18.5,CASH,-,0,-,,"
SHIFTED = (
    f"{START},BY 6,30 PLEASE,12,Agent 05,19871,-,{PLACE},BY 6,30 PLEASE,KSh 0.00,KSh 0.00,KSh 0.00,20,Bank,-,0,-,,"
)
SECOND = (
    '900,"YR-7,0",3.68E+29,Default Team,Pick-up,"Call,\non arrival",12,0,98.7,Completed,-,5,"Fast, good",6.5,3.3,,-,'
    "Order_Details,1,₦11500.00,-,-,-,₦ 0.00,11500,CASH,-,-,-"
)
FILES = {
    KENYA: f"{DELIVERIES_1}\r\n{ITEM}\r\n{ITEM}\r\n{LAST}\r\n{SHIFTED}",
    NIGERIA: f"{DELIVERIES_2}\r\n{SECOND}",
}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    return read(TABLE, FILES)


def test_items_keep_the_order_of_the_file_and_exact_repeats_are_rows(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[KENYA], "_row", "task_id", "task_details_amount", "discount", "subtotal")[:3] == [
        ("1", "900", "KSh 20.00", "-", "-"),
        ("2", "900", "KSh 20.00", "-", "-"),
        ("3", "900", "KSh 20.00", "KSh 1.50", "18.5"),
    ]


def test_a_row_is_text_as_delivered(delivered: dict[str, list[Texts]]) -> None:
    names = ("market", "order_id", "relationship", "distance_m", "total_time_taken_min", "agent_name")
    assert only(delivered[KENYA][:1], *names) == [("1", "YR-7,0", "3.68E+29", "19871", "-", "Agent 05")]


def test_the_two_nameless_columns_of_market_1_are_named_for_their_place(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[KENYA][:1], "unnamed_31", "unnamed_32", "earning") == [("", "", "0")]


def test_a_row_that_unquoted_commas_made_too_long_is_kept_with_its_text(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[KENYA], "_problem", "_raw") == [(None, None)] * 3 + [("row_is_too_long", SHIFTED)]


def test_market_2_has_no_agent_names_and_its_cells_are_where_its_header_says(delivered: dict[str, list[Texts]]) -> None:
    names = ("market", "task_type", "agent_id", "agent_name", "distance_m", "rating", "task_details_amount", "subtotal")
    assert only(delivered[NIGERIA], *names) == [("2", "Pick-up", "12", None, "0", "5", "₦11500.00", "11500")]


def test_commas_and_line_breaks_in_quotes_are_text(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[NIGERIA], "_row", "notes", "review") == [("1", "Call,\non arrival", "Fast, good")]
