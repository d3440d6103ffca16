from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Texts, only

if TYPE_CHECKING:
    from tests.rows import Read

TABLE = "bronze.exchange_rates"
HEADER = "rate_date,currency,reporting_currency,rate"
DATED = "exchange_rates/2022-01-05/rates.csv"
UNDATED = "exchange_rates/of the bank/rates.csv"
MORE = "exchange_rates/2022-01-06/rates.csv"
FILES = {
    DATED: f"{HEADER}\r\n2022-01-05,KES,USD,0.00880\r\n05/01/2022, kes,-,1e3\r\n",
    UNDATED: f"{HEADER}\n2022-01-04,NGN,USD,0.00242\n2022-01-04,NGN,USD\n",
    MORE: "Rate,Source of rate,Currency,Rate Date,Reporting Currency\n0.0088,CBK,KES,2022-01-06,USD\n",
}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    return read(TABLE, FILES)


def test_a_rate_is_text_as_delivered_and_of_no_market(delivered: dict[str, list[Texts]]) -> None:
    names = ("rate_date", "currency", "reporting_currency", "rate", "_row", "_problem")
    assert only(delivered[DATED], *names) == [
        ("2022-01-05", "KES", "USD", "0.00880", "1", None),
        ("05/01/2022", " kes", "-", "1e3", "2", None),
    ]
    assert "market" not in delivered[DATED][0]


def test_columns_are_found_by_name_and_an_unknown_one_is_kept(delivered: dict[str, list[Texts]]) -> None:
    names = ("rate_date", "currency", "reporting_currency", "rate", "source_of_rate")
    assert only(delivered[MORE], *names) == [("2022-01-06", "KES", "USD", "0.0088", "CBK")]


def test_a_row_that_is_too_short_is_kept_with_its_text(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[UNDATED], "rate", "_problem", "_raw") == [
        ("0.00242", None, None),
        (None, "row_is_too_short", "2022-01-04,NGN,USD"),
    ]


def test_the_date_of_the_folder_says_when_it_was_delivered_and_need_not_be_there(
    delivered: dict[str, list[Texts]],
) -> None:
    assert delivered.keys() == FILES.keys()
    assert only(delivered[DATED][:1] + delivered[MORE], "_delivered_at") == [
        ("2022-01-05 00:00:00",),
        ("2022-01-06 00:00:00",),
    ]
