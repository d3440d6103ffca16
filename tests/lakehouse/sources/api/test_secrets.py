"""A secret goes where it is meant to go, and stands nowhere else, whatever fails."""

from __future__ import annotations

import gzip
import json
import logging
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jobs.demo.sales_api import SalesAPI
from lakehouse.sources import fetch
from lakehouse.sources.windows import SourceError
from tests.selling import CURSOR, LINES, Shop, of, read

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.contract import Source

CANARY = "c4nary-of-a-secret"
PLACES: dict[str, dict[str, str]] = {
    "bearer": {"bearer": "SHOP_KEY"},
    "header": {"header": "X-API-Key", "key": "SHOP_KEY"},
    "client": {"client_id": "SHOP_CLIENT", "client_secret": "SHOP_KEY"},
}
FAULTS = ("429", "500", "drop", "cut", "html", "late", "echo", "gone", "moved", "around")


def as_said(error: BaseException | None) -> str:
    """All that anybody could print of an error and of what it came from: the words, and the core's variables."""
    if error is None:
        return ""
    said = traceback.TracebackException.from_exception(error, capture_locals=True)
    variables = [str(frame.locals) for frame in said.stack if "/tests/" not in frame.filename]
    return "".join([str(error), repr(error), *variables, as_said(error.__cause__), as_said(error.__context__)])


CASES = [("bearer", fault) for fault in FAULTS]
CASES += [("header", "echo"), ("client", "echo"), ("client", "expire")]


@pytest.mark.parametrize(("place", "fault"), CASES)
def test_no_failure_shows_a_secret(
    shop: Shop,
    place: str,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SHOP_KEY", CANARY)
    monkeypatch.setenv("SHOP_CLIENT", f"shop-{CANARY}")
    shop.api = SalesAPI(LINES, "" if place == "client" else CANARY, (f"shop-{CANARY}", CANARY))
    shop.api.faults.extend(["", *[fault] * 30])
    auth = PLACES[place] | ({"token_url": f"{shop.url}/token"} if place == "client" else {})
    late, soon = timedelta(seconds=0.5), timedelta(seconds=0.1)
    source = shop.source(auth=auth, timeout=late if fault == "late" else timedelta(seconds=9), patience=soon)
    said = as_said(failure(source, tmp_path / "landing"))
    landed = [path for path in (tmp_path / "landing").rglob("*") if path.is_file()]
    assert len(landed) == 2  # a page, for which the secret was taken, and its state
    assert CANARY not in said + repr(source) + caplog.text + "".join(f"{one} {one.read_text()}" for one in landed)


A_PAGE = b'{"data": [{"line_id": "1", "note": "TOLD"}], "next_cursor": null}'
REPEATED = {
    "page": (200, A_PAGE, ""),
    "packed page": (200, gzip.compress(A_PAGE.replace(b"TOLD", CANARY.encode())), ""),
    "names of a page": (200, b'{"TOLD": 1}', ""),
    "next page": (200, b'{"data": [{"line_id": "1"}], "next_cursor": "TOLD"}', ""),
    "header": (200, A_PAGE.replace(b"TOLD", b""), "TOLD"),
    "redirect": (307, b"", "/v1/elsewhere/TOLD"),
    "redirect to a host": (307, b"", "https://TOLD.example.org/"),
    "redirect to what is none": (307, b"", "http://[TOLD"),
}


class Repeating:
    """An API that says in its answer, instead of TOLD, what it was sent."""

    def __init__(self, status: int, body: bytes, location: str) -> None:
        self.status, self.body, self.location = status, body, location.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401, ARG002  ASGI
        said = dict(scope["headers"])[b"authorization"].removeprefix(b"Bearer ")
        body, location = (one.replace(b"TOLD", said) for one in (self.body, self.location))
        headers = [(b"content-length", str(len(body)).encode()), (b"location", location)]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("where", REPEATED)
def test_an_answer_that_repeats_the_secret_is_not_taken(
    shop: Shop, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SHOP_KEY", CANARY)
    monkeypatch.setattr(shop, "api", Repeating(*REPEATED[where]))
    refused = failure(shop.source(), tmp_path / "landing")
    assert "/sales repeats the credential that it was sent, so nothing of its answer is taken" in str(refused)
    assert CANARY not in "".join(traceback.format_exception(refused)) + caplog.text
    assert not (tmp_path / "landing").exists()


def test_a_word_of_the_data_is_no_secret(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "COMPLETED")
    shop.api = SalesAPI(LINES, "COMPLETED")
    assert read(shop.source())


def failure(source: Source, landing: Path) -> SourceError | None:
    with pytest.raises(SourceError) as failed:
        fetch.fetch(str(landing), "bronze.sales", of(source), "")
    return failed.value


@pytest.mark.parametrize("wrong", [f"{CANARY}\n{CANARY}", f" {CANARY}", f"{CANARY}é", f"{CANARY}\x00"])
def test_a_secret_that_cannot_be_sent_is_named_and_not_shown(
    shop: Shop, wrong: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = tmp_path / "key"
    key.write_text(wrong)
    source = shop.source(auth={"bearer": f"file:{key}"})
    with pytest.raises(
        SourceError, match=f"The credential file:{key} cannot be sent: it has blanks round it"
    ) as refused:
        read(source)
    assert CANARY not in as_said(refused.value) + caplog.text
    key.write_text(shop.api.key)
    assert read(source)


def test_a_token_that_is_none_is_said(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_CLIENT", CANARY)
    shop.api.client = (CANARY, shop.api.key)
    auth = {"token_url": f"{shop.url}/token", "client_id": "SHOP_CLIENT", "client_secret": "SHOP_KEY"}
    monkeypatch.setattr(shop.api, "token_field", "token")
    with pytest.raises(SourceError, match=r"/token gives no `access_token`. Check `token_url:` and its") as refused:
        read(shop.source(CURSOR, auth=auth))
    assert CANARY not in as_said(refused.value)
    monkeypatch.setattr(shop.api, "token_field", "access_token")
    assert read(shop.source(CURSOR, auth=auth))


def test_an_address_is_found_where_the_contract_says(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    source = shop.source(base_url="SHOP_URL")
    for wrong in ("", f"https://me:{CANARY}@shop.example.com"):
        monkeypatch.setenv("SHOP_URL", wrong)
        with pytest.raises(SourceError, match="variable SHOP_URL, where a source's address stands, must be") as refused:
            read(source)
        assert CANARY not in str(refused.value)
    monkeypatch.setenv("SHOP_URL", shop.url)
    assert read(source)


def asked(api: SalesAPI) -> list[dict[str, Any]]:
    return [one.query for one in api.asked]


def test_no_secret_stands_in_an_address(shop: Shop) -> None:
    read(shop.source())
    assert shop.api.key not in json.dumps(asked(shop.api))
