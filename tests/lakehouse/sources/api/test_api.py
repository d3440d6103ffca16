"""What an API gives arrives once and whole, by each way of paging and through each kind of bad day."""

from __future__ import annotations

import gzip
import importlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from jobs.demo.sales_api import SalesAPI, served
from lakehouse.errors import LackingExtraError
from lakehouse.sources.api import contents
from lakehouse.sources.windows import Landed, SourceError
from tests.selling import CURSOR, KEY, LINES, ONCE, PAGE, Shop, as_landed, lines, read, reading

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.sources.windows import Page

WAYS: dict[str, dict[str, Any]] = {
    "cursor": CURSOR,
    "keyset": {"by": "keyset", "parameter": "after", "column": "line_id"},
    "page": PAGE,
    "offset": {"by": "offset", "parameter": "offset"},
    "Link": {"by": "link"},
    "link": {"by": "link", "next": "next"},
}
NINTH = datetime(2026, 1, 9, 12, tzinfo=UTC)


@pytest.mark.parametrize("way", WAYS)
def test_by_each_way_of_paging_each_line_arrives_once(shop: Shop, way: str) -> None:
    source = shop.source(WAYS[way])
    pages = read(source)
    assert lines(source, pages) == ONCE
    assert sum(page.rows or 0 for page in pages) == len(LINES) * (2 if way in {"page", "offset"} else 1)


@pytest.mark.parametrize(("way", "form"), [("keyset", "csv"), ("offset", "csv.gz"), ("Link", "csv.gz")])
def test_pages_of_csv_arrive_as_they_were_sent(shop: Shop, way: str, form: str) -> None:
    source = shop.source(WAYS[way], form)
    pages = read(source)
    assert lines(source, pages) == ONCE
    assert {page.name.partition(".")[2] for page in pages} == {form}


@pytest.mark.parametrize("fault", ["429", "500", "503", "drop", "cut", "html", "late", "moved-here"])
def test_what_breaks_off_is_asked_for_again(shop: Shop, fault: str) -> None:
    source = shop.source(timeout=timedelta(seconds=0.5 if fault == "late" else 10))
    shop.api.faults.extend(["", fault, "", fault])
    assert lines(source, read(source)) == ONCE
    assert len(shop.api.pages_asked) == -(-len(LINES) // 10) + (2 if fault != "moved-here" else 0)


def test_in_a_storm_of_429_nothing_is_asked_before_the_time_that_they_name(shop: Shop) -> None:
    shop.api.faults.extend(["429"] * 5)
    assert lines(shop.source(), read(shop.source())) == ONCE
    asked = [one.at for one in shop.api.pages_asked[:6]]
    assert min(later - at for at, later in pairwise(asked)) >= shop.api.retry_after


def test_who_asks_to_be_left_alone_for_longer_than_the_contract_waits_is_left_alone(shop: Shop) -> None:
    shop.api.retry_after = 3600
    shop.api.faults.append("429")
    with pytest.raises(SourceError, match=r"lets nobody ask for 3,\d\d\d more seconds.* The next fetch goes on where"):
        read(shop.source())
    with pytest.raises(SourceError, match="lets nobody ask"):  # and by the next process
        read(shop.source())
    assert len(shop.api.pages_asked) == 1


@pytest.mark.slow
@pytest.mark.parametrize("way", ["cursor", "Link", "page"])
def test_a_fetch_that_is_killed_behind_any_page_goes_on_with_the_next(shop: Shop, way: str) -> None:
    source = shop.source(WAYS[way])
    whole = read(source)
    for landed in range(1, len(whole)):
        before, shop.api.asked = whole[:landed], []
        rest = read(source, as_landed(before))
        assert lines(source, [*before, *rest]) == ONCE
        assert len(shop.api.pages_asked) == len(rest) == len(whole) - landed


def test_a_fetch_that_is_killed_behind_its_last_page_asks_nothing_more(shop: Shop) -> None:
    pages = read(shop.source())
    shop.api.asked = []
    assert read(shop.source(), as_landed(pages)) == []
    assert not shop.api.asked


FETCHING = """
import sys
from lakehouse.sources import fetch
from tests.selling import Shop, of
fetch.fetch(sys.argv[2], "bronze.sales", of(Shop(sys.argv[1]).source()), "")
"""


@pytest.mark.slow
def test_a_process_that_is_killed_at_each_page_lands_each_line_once(shop: Shop, tmp_path: Path) -> None:
    begun, turns = list[subprocess.Popen[bytes]](), count()
    shop.api.before = lambda _: (
        begun[-1].kill() if next(turns) % 2 == 0 else None
    )  # each page when it is first asked for
    while not begun or begun[-1].wait(60):
        begun.append(subprocess.Popen([sys.executable, "-c", FETCHING, shop.url, str(tmp_path)]))
    assert len(begun) == -(-len(LINES) // 10) + 1
    (whole,) = tmp_path.glob("fetched/sales/*/_complete.json")
    pages = [whole.parent / page["name"] for page in json.loads(whole.read_text())["pages"]]
    assert Counter(row["line_id"] for page in pages for row in json.loads(page.read_text())["data"]) == ONCE


def test_a_cursor_that_is_known_no_more_begins_the_window_again(shop: Shop) -> None:
    source = shop.source()
    before = read(source)[:2]
    shop.api.faults.append("gone")
    rest = read(source, as_landed(before))
    assert [page.name for page in rest][:2] == ["pass02_000001.json", "pass02_000002.json"]
    assert lines(source, [*before, *rest]) == ONCE
    shop.api.faults.extend(["", "gone"])
    with pytest.raises(SourceError, match=r"/sales answers 410: .*unknown cursor"):
        read(source)


# --- rows that change or move between pages


def touch(api: SalesAPI) -> None:
    """Before each page the oldest line is changed, and so moves to the first page."""
    oldest = min(api.rows, key=lambda row: row["updated_at"])
    moved = {**oldest, "updated_at": f"2026-02-{len(api.asked) % 28 + 1:02}T{len(api.asked) % 24:02}:00:00Z"}
    api.rows = [moved if row is oldest else row for row in api.rows]


@pytest.mark.parametrize("way", ["page", "offset"])
def test_a_window_whose_rows_move_is_read_until_two_passes_agree(shop: Shop, way: str) -> None:
    source = shop.source(WAYS[way])
    shop.api.before = lambda api: touch(api) if len(api.asked) < 12 else None
    pages = read(source)
    assert lines(source, pages) == ONCE
    first = [page for page in pages if page.name.startswith("0")]
    assert lines(source, [*first[:-1], replace(first[-1], facts={})]) != ONCE  # as a single pass would have had it
    assert pages[-1].name.startswith("pass")


def test_a_window_whose_rows_never_rest_stays_open_and_goes_on_later(shop: Shop) -> None:
    source = shop.source(PAGE)
    shop.api.before = touch
    landed: list[Page] = []
    with pytest.raises(SourceError, match=r"had other rows in each of 5 passes .*the next fetch reads it again"):
        landed.extend(reading(source))
    shop.api.before = lambda _: None
    rest = read(source, as_landed(landed))
    assert lines(source, [*landed, *rest]) == ONCE


def test_by_cursor_a_row_that_changes_between_pages_arrives_once(shop: Shop) -> None:
    shop.api.before = touch
    assert lines(shop.source(), read(shop.source())) == ONCE


# --- what is said of an API that is not as the contract says


def test_a_page_that_stays_broken_is_named(shop: Shop) -> None:
    shop.api.faults.extend(["", *["html"] * 50])
    with pytest.raises(SourceError, match=r"is no JSON \(.*\)\. It is page 2 of the window. So it did for"):
        read(shop.source(patience=timedelta(seconds=0.1)))


def test_a_next_page_is_found_where_the_words_say(shop: Shop) -> None:
    with pytest.raises(
        SourceError, match=r"says nothing of the next one at `after`. Correct `next:`; or write `next: after\?`"
    ):
        read(shop.source({**CURSOR, "next": "after"}))
    assert len(read(shop.source({**CURSOR, "next": "after?"}))) == 1
    with pytest.raises(SourceError, match="The last row of a page has no `id`, so nothing says where the next"):
        read(shop.source({"by": "keyset", "parameter": "after", "column": "id"}))
    with pytest.raises(SourceError, match=r"has no array of rows at `sales`: data, next, next_cursor. Say by `rows:`"):
        read(shop.source().model_copy(update={"rows": "sales"}))
    assert lines(shop.source(), read(shop.source())) == ONCE


def test_a_link_that_is_none_is_said(shop: Shop) -> None:
    shop.api.elsewhere = "http://a:b"
    shop.api.faults.append("elsewhere")
    with pytest.raises(SourceError, match="names as the next page what is no address"):
        read(shop.source(WAYS["link"]))


def test_a_page_that_unpacks_to_more_than_memory_holds_is_not_taken(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "LARGEST", 1 << 20)
    with pytest.raises(ValueError, match=r"has more than 1 MiB when it is unpacked\."):
        contents.read(gzip.compress(bytes(2 << 20)), shop.source())
    with pytest.raises(ValueError, match="ends in the middle of its gzip stream"):
        contents.read(gzip.compress(b"[]")[:-3], shop.source())


def test_pages_that_lead_back_to_one_another_have_an_end(shop: Shop) -> None:
    source = shop.source({**CURSOR, "parameter": "curser"})  # so the server always gives its first page
    with pytest.raises(
        SourceError, match=r"names as the next page one that it gave before \(page 2 .*Correct `paging:`"
    ):
        read(source)
    assert lines(shop.source(), read(shop.source())) == ONCE


def test_what_the_api_refuses_is_said_once_in_its_own_words(shop: Shop) -> None:
    with pytest.raises(SourceError, match=r"/v1/sale answers 404: .*nothing at /v1/sale"):
        read(shop.source(path="sale"))
    assert len(shop.api.asked) == 1


# --- who asks, and where that goes


@pytest.mark.parametrize(("fault", "way"), [("elsewhere", "Link"), ("elsewhere", "link"), ("moved", "cursor")])
def test_credentials_go_to_no_other_host(shop: Shop, fault: str, way: str) -> None:
    other = SalesAPI(LINES, KEY)
    with served(other) as there:
        shop.api.elsewhere = there.removesuffix("/v1")
        shop.api.faults.extend(["", fault])
        with pytest.raises(
            SourceError, match=rf"leads to {shop.api.elsewhere}, and its credentials go to {shop.url[:-3]}"
        ):
            read(shop.source(WAYS[way]))
    assert len(shop.api.pages_asked) == 2
    assert other.asked == []


def test_what_somebody_wrote_into_landing_sends_no_credentials_elsewhere(shop: Shop) -> None:
    landed = [Landed("000001.json", {"place": {"url": "https://sales.example.org/v1/sales"}})]
    with pytest.raises(SourceError, match=r"leads to https://sales\.example\.org, and its credentials go to"):
        read(shop.source(), landed)


def test_a_page_of_csv_may_be_empty_and_end_in_a_footer(shop: Shop) -> None:
    source = shop.source(WAYS["keyset"], "csv").model_copy(update={"footer": "Total,.*"})
    assert contents.read(b"", source).rows == []
    assert contents.read(b"line_id,n\n1,2\nTotal,2\n", source).rows == [{"line_id": "1", "n": "2"}]


def test_redirects_have_an_end(shop: Shop) -> None:
    shop.api.faults.extend(["around"] * 9)
    with pytest.raises(SourceError, match="leads on and on"):
        read(shop.source())


def test_a_key_in_a_header_of_its_own_is_taken(shop: Shop) -> None:
    source = shop.source(auth={"header": "X-API-Key", "key": "SHOP_KEY"})
    assert lines(source, read(source)) == ONCE


def test_a_key_that_was_changed_in_its_file_is_read_again_once(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old")
    source = shop.source(auth={"bearer": f"file:{tmp_path / 'key'}"})
    with pytest.raises(SourceError, match=r"answers 401: .*\*\*\* may not read sales"):
        read(source)
    shop.api.key = "old"
    pages = reading(source)
    first = next(pages)
    shop.api.key = "new"
    (tmp_path / "key").write_text("new")
    assert lines(source, [first, *pages]) == ONCE
    assert [one.status for one in shop.api.asked].count(401) == 2


def test_a_token_that_expires_in_the_middle_is_renewed_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.api.client = ("shop", "p:ss w%rd")
    source = shop.source(auth=by_token(shop, monkeypatch, "shop", shop.api.client[1]))
    shop.api.faults.extend(["", "", "expire"])
    assert lines(source, read(source)) == ONCE
    assert shop.api.tokens_given == 2


def test_a_client_that_is_unknown_is_said(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"/v1/token answers 401: .*unknown client"):
        read(shop.source(auth=by_token(shop, monkeypatch, "shop", "wrong")))
    assert shop.api.pages_asked == []


def by_token(shop: Shop, monkeypatch: pytest.MonkeyPatch, client: str, password: str) -> dict[str, str]:
    monkeypatch.setenv("SHOP_CLIENT", client)
    monkeypatch.setenv("SHOP_SECRET", password)
    return {"token_url": f"{shop.url}/token", "client_id": "SHOP_CLIENT", "client_secret": "SHOP_SECRET"}


# --- what is needed


@pytest.mark.parametrize(
    ("lacking", "module", "words"),
    [
        ("httpx2", "lakehouse.sources.api.client", "APIs are asked by httpx2"),
        ("uvicorn", "jobs.demo.sales_api", "The sales API is served by uvicorn"),
    ],
)
def test_a_lacking_extra_of_apis_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, lacking: str, module: str, words: str
) -> None:
    monkeypatch.setitem(sys.modules, lacking, None)
    monkeypatch.delitem(sys.modules, module)
    with pytest.raises(LackingExtraError, match=f"{words}, which is not installed. .*--extra sources"):
        importlib.import_module(module)


# --- Retry-After


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "7"}, 7),
        (429, {"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT", "Date": "Thu, 01 Jan 2026 00:00:30 GMT"}, 30),
        (503, {"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}, 0),  # it is over
        (429, {"Retry-After": "inf"}, 86_400),
        (429, {"Retry-After": "soon"}, 0),
        (429, {}, 0),
        (500, {"Retry-After": "7"}, 0),
    ],
)
def test_a_rate_limit_says_for_how_long(shop: Shop, status: int, headers: dict[str, str], seconds: float) -> None:
    from lakehouse import SalesAPIClient  # noqa: PLC0415

    answer = httpx2.Response(status, headers=headers)
    assert SalesAPIClient(shop.url, KEY).handle_rate_limit(answer) == seconds
