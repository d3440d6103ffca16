"""Sales of an API for Python."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from jobs.demo.sales_api import SalesAPI
from lakehouse import SalesAPIClient
from lakehouse.sources.api.sales import SALES
from lakehouse.sources.windows import SourceError
from tests.selling import KEY, LINES, PAGE, Shop

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def asking(shop: Shop, key: str = "line_id", paging: Mapping[str, Any] = SALES["api"]["paging"]) -> SalesAPIClient:
    quick = {"rate": "5000/s", "burst": 50, "query": {"limit": 10}, "paging": paging}
    return SalesAPIClient(shop.url, KEY, source={**SALES, "api": {**SALES["api"], **quick}}, key=key)


@pytest.mark.parametrize("paging", [SALES["api"]["paging"], PAGE])
def test_sales_of_some_days_are_a_frame(shop: Shop, paging: Mapping[str, Any]) -> None:
    found = asking(shop, paging=paging).fetch_sales("2026-01-02", date(2026, 1, 3))
    wanted = [row for row in LINES if row["sold_at"][8:10] in {"02", "03"}]
    assert sorted(found["line_id"].to_pylist()) == sorted(row["line_id"] for row in wanted)
    assert len(found.to_pandas()) == len(wanted)
    assert asking(shop).fetch_sales("2025-01-01", "2025-01-02").num_rows == 0


def test_numbers_are_exact_and_what_is_mixed_is_text(shop: Shop) -> None:
    values = [(1, 0.1, "a", None, {"n": 1.5}), (2, 10, 3, "x", {"n": 2})]
    named = [dict(zip("abcde", said, strict=True)) for said in values]
    rows = [{**LINES[0], "line_id": str(place), **said} for place, said in enumerate(named)]
    shop.api = SalesAPI(rows, KEY)
    found = asking(shop).fetch_sales("2026-01-01", "2026-01-01")
    assert found.schema.field("a").type == pa.int64()
    assert found["b"].to_pylist() == [Decimal("0.1"), Decimal(10)]
    assert found["c"].to_pylist() == ["a", "3"]
    assert found["e"].to_pylist() == [{"n": Decimal("1.5")}, {"n": Decimal(2)}]


def test_a_row_that_comes_twice_counts_once(shop: Shop) -> None:
    shop.api.faults.extend(["twice", "", "twice"])
    assert asking(shop).fetch_sales("2026-01-01", "2026-01-09").num_rows == len(LINES)


def test_rows_are_told_apart_by_the_column_that_the_words_ask_for(shop: Shop) -> None:
    with pytest.raises(SourceError, match=r"A row has no `id`. Name by `key=` the column that tells one from another"):
        asking(shop, key="id").fetch_sales("2026-01-01", "2026-01-09")
    assert asking(shop, key="line_id").fetch_sales("2026-01-01", "2026-01-09").num_rows == len(LINES)


def test_an_address_that_is_none_is_said_without_what_may_be_a_password() -> None:
    with pytest.raises(SourceError, match="base_url must be an address such as https") as said:
        SalesAPIClient("https://me:s3cr3t@api.example.com", KEY)
    assert "s3cr3t" not in str(said.value)
    with pytest.raises(SourceError, match="base_url must begin with https: by http a key goes to"):
        SalesAPIClient("http://api.example.com", KEY)
    assert repr(SalesAPIClient("https://api.example.com/v1", KEY)) == "SalesAPIClient('https://api.example.com/v1')"


@pytest.mark.parametrize(
    ("key", "days", "words"),
    [
        ("", ("2026-01-01", "2026-01-02"), "api_key cannot be sent: it has blanks round it, .* or is empty"),
        (KEY, ("2026-01-02", "2026-01-01"), "start_date 2026-01-02 is after end_date 2026-01-01"),
        (KEY, ("2026-01-01", "2026-02-30"), "end_date '2026-02-30' is no day. Write it as '2026-01-31'"),
    ],
)
def test_what_cannot_be_asked_for_is_said_at_once(shop: Shop, key: str, days: tuple[str, str], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        SalesAPIClient(shop.url, key).fetch_sales(*days)
    assert not shop.api.asked
    assert SalesAPIClient(shop.url, KEY).fetch_sales(date(2026, 1, 1), "2026-01-02").num_rows
