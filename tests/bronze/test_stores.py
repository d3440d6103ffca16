from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Texts, only

if TYPE_CHECKING:
    from tests.rows import Read

TABLE = "bronze.stores"
HEADER = "store_id,installHistory,subscriptionHistory"
ONE_DAY = (
    '[{""toNow"":false,""startType"":null,""fromDate"":""2022-05-30 00:00:00.000000"",""endType"":null,'
    '""toDate"":""2022-05-30 23:59:59.999000""}]'
)
GOES_ON = (
    '[{""toNow"":true,""startType"":""CUSTOMER_REOPENED"",""fromDate"":""2022-06-03 00:00:00.000000"",'
    '""endType"":null,""toDate"":null}]'
)
PLANS = (
    '[{""price"":15.2,""planName"":""regular_1_discount"",""fromDate"":""2022-06-03 01:10:17.000000"",'
    '""toDate"":""2022-06-03 01:10:18.000000"",""billingOnDate"":null},{""price"":29.0,""planName"":""regular_2_5"",'
    '""fromDate"":""2022-06-03 01:10:18.000000"",""toDate"":""2022-06-05 00:16:06.378000"",""billingOnDate"":null}]'
)
TWICE = (
    '[{""toNow"":false,""startType"":null,""fromDate"":""2022-05-02 00:00:00.000000"",""endType"":""CUSTOMER_CLOSED"",'
    '""toDate"":""2022-05-04 23:59:59.999000""},{""toNow"":false,""startType"":null,'
    '""fromDate"":""2022-05-06 00:00:00.000000"",""endType"":null,""toDate"":""2022-05-09 23:59:59.999000""}]'
)
PLAN = (
    '[{""price"":49.0,""planName"":""regular_5"",""fromDate"":""2022-05-02 08:00:00.000000"",'
    '""toDate"":""2022-05-06 08:00:00.000000"",""billingOnDate"":null}]'
)
DATED = "stores/2022-06-05/dataset_sample.csv"
UNDATED = "stores/dataset.csv"
FILES = {
    DATED: f'{HEADER}\nStore_1,"{ONE_DAY}",[]\nStore_2,"{GOES_ON}","{PLANS}"\n',
    "stores/2022-06-06.csv": f'{HEADER}\nStore_5,"{TWICE}","{PLAN}"\nStore_6,"{TWICE}",[]\n',
    UNDATED: f'{HEADER}\nStore_3,"{ONE_DAY[:-2]}",[]\nStore_4,"{ONE_DAY}"\n',
}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    return read(TABLE, FILES)


def test_histories_are_the_text_of_their_cells_whatever_it_is(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[DATED], "store_id", "installhistory", "subscriptionhistory") == [
        ("Store_1", ONE_DAY.replace('""', '"'), "[]"),
        ("Store_2", GOES_ON.replace('""', '"'), PLANS.replace('""', '"')),
    ]
    assert "market" not in delivered[DATED][0]


def test_a_history_that_breaks_off_is_kept_and_a_row_that_is_too_short_named(
    delivered: dict[str, list[Texts]],
) -> None:
    assert only(delivered[UNDATED], "store_id", "_problem") == [("Store_3", None), ("Store_4", "row_is_too_short")]
    assert str(delivered[UNDATED][0]["installhistory"]).endswith('23:59:59.999000"')
