from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.samples.branches import BRANCHES
from tests.rows import Texts, only

if TYPE_CHECKING:
    from tests.rows import Read

TABLE = "bronze.branches"
KENYA = "market_1/2022-01-16/Market 1 Branches.csv"
NIGERIA = "market_2/Market 2 Branches 2022-01-16.csv"
FILES = {
    KENYA: f"{BRANCHES}\r\n1, Westlands ,Nairobi,2021-11-29,-,2022-01-01T00:00:00+03:00\r\n1,WESTLANDS,,,,\r\n",
    NIGERIA: "Branch Name,Branch ID\nIkeja,1\n",
}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    return read(TABLE, FILES)


def test_every_name_of_a_branch_is_a_row_as_written(delivered: dict[str, list[Texts]]) -> None:
    names = ("market", "branch_id", "branch_name", "city", "closed_on", "_row")
    assert only(delivered[KENYA], *names) == [
        ("1", "1", " Westlands ", "Nairobi", "-", "1"),
        ("1", "1", "WESTLANDS", "", "", "2"),
    ]


def test_a_list_of_ids_and_names_alone_is_taken_and_its_day_is_in_its_name(delivered: dict[str, list[Texts]]) -> None:
    names = ("market", "branch_id", "branch_name", "opened_on", "_delivered_at")
    assert only(delivered[NIGERIA], *names) == [("2", "1", "Ikeja", None, "2022-01-16 00:00:00")]
