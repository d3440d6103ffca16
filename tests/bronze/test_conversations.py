from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Texts, only

if TYPE_CHECKING:
    from tests.rows import Read

TABLE = "bronze.conversations"
KENYA = "market_1/2022-01-16/Market 1 Conversations.json"
FILES = {
    KENYA: """[
 {"Conversation ID": 70001, "Branch ID": 3, "Customer ID": null, "Topic": "PRICE", "Channel": "counter",
  "Opened At": "2022-01-03T13:05:46+03:00", "Resolved At": null},
 {"Conversation ID": 70001, "Branch ID": 3, "Opened At": "2022-01-03T13:05:46+03:00",
  "Resolved At": "2022-01-05T02:01:46+03:00", "Rating": 4.50}
]""",
}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    return read(TABLE, FILES)


def test_a_conversation_is_a_row_each_time_that_it_is_told_of(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[KENYA], "market", "conversation_id", "topic", "resolved_at") == [
        ("1", "70001", "PRICE", None),
        ("1", "70001", None, "2022-01-05T02:01:46+03:00"),
    ]


def test_a_key_that_nobody_knows_is_a_column(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[KENYA], "rating", "_row") == [(None, "1"), ("4.50", "2")]
