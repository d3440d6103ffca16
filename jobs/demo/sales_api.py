"""A sales API as shops have them, on this machine: keys and tokens, pages, a rate limit, and bad days on demand.

For `lakehouse demo --sources`, and for tests, which let it fail (`faults`), change its rows between two pages (`rows`)
and read what it was asked, by its own clock (`asked`). A row is a line of a sale, and all of it is text but numbers.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import socket
import threading
import time
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections import deque
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote, urlencode

from lakehouse.errors import LackingExtraError

try:
    import uvicorn
except ImportError as error:
    raise LackingExtraError("The sales API is served by uvicorn", "sources") from error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

Row: TypeAlias = "dict[str, Any]"
PATH, MOVED, TOKENS = "/v1/sales", "/v2/sales", "/v1/token"
MOST = 500  # rows of a page
# What befalls the next requests for sales, one after the other; "" lets one through.
FAULTS = (
    "429",
    "500",
    "503",
    "late",  # no answer comes, until the client goes
    "drop",  # the connection ends without an answer
    "cut",  # and within one
    "html",  # what is no JSON, with 200
    "echo",  # a refusal that repeats the credential
    "gone",  # the cursor is known no more
    "expire",  # all tokens are forgotten
    "elsewhere",  # the next page is said to be on another host
    "moved",  # a redirect to another host
    "moved-here",  # and to this one
    "around",  # which leads to itself
    "twice",  # the page has its rows twice
)


class Asked(NamedTuple):
    """A request as the server saw it; `at` is monotonic, in seconds."""

    at: float
    path: str
    query: dict[str, str]
    status: int


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str] = {}  # noqa: RUF012  nobody changes it
    is_cut: bool = False


class SalesAPI:
    """An ASGI app, whose `rows` are in the order of their `line_id`.

    `key` is taken as bearer or X-API-Key; for `client`, an id and a secret, a token is given. `rate` a second and
    `burst` are what it lets through, 0 for all; beyond it answers 429, to come again in `retry_after` seconds. `before`
    is called before each page, and may change `rows`. `elsewhere` is another host.
    """

    retry_after = 0.05
    token_field = "access_token"  # noqa: S105  a name
    elsewhere = "https://sales.example.org"

    def __init__(
        self,
        rows: Sequence[Row],
        key: str,
        client: tuple[str, str] = ("", ""),
        rate: float = 0,
        burst: int = 1,
        before: Callable[[SalesAPI], None] = lambda _: None,
    ) -> None:
        self.rows, self.key, self.client, self.rate, self.burst = [*rows], key, client, rate, burst
        self.before = before
        self.faults, self.asked = deque[str](), list[Asked]()
        self.tokens, self.tokens_given = set[str](), 0
        self._level, self._at = 0.0, 0.0

    @property
    def pages_asked(self) -> list[Asked]:
        """The requests for sales, whatever they were answered."""
        return [one for one in self.asked if one.path == PATH]

    @property
    def fullest(self) -> float:
        """By how many requests, in any time t, there were more than rate x t; at most `burst` is right."""
        level, last, most = 0.0, 0.0, 0.0
        for one in self.pages_asked:
            level = max(0.0, level - (one.at - last) * self.rate) + 1
            last, most = one.at, max(most, level)
        return most

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  ASGI
        """Only HTTP is served (uvicorn is told so)."""
        at, path = time.monotonic(), scope["path"]
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        headers = {name.decode().lower(): text.decode("latin-1") for name, text in scope["headers"]}
        fault = self.faults.popleft() if path == PATH and self.faults else ""
        answer = self._token(headers) if path == TOKENS else self._sales(at, path, query, headers, fault)
        self.asked.append(Asked(at, path, query, answer.status))
        while fault == "late" and (await receive())["type"] != "http.disconnect":
            pass
        if fault in {"late", "drop"}:
            receive.__self__.transport.abort()  # uvicorn's own; ASGI knows no other way
            return
        length = len(answer.body) * (2 if answer.is_cut else 1)
        sent = {"content-type": "application/json", **answer.headers, "content-length": str(length)}
        pairs = [(name.encode(), text.encode()) for name, text in sent.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        await send({"type": "http.response.body", "body": answer.body, "more_body": answer.is_cut})

    def _token(self, headers: dict[str, str]) -> Answer:
        scheme, _, pair = headers.get("authorization", "").partition(" ")
        said = tuple(unquote(part) for part in b64decode(pair).decode().split(":"))  # RFC 6749, 2.3.1
        if scheme != "Basic" or said != self.client:
            return _error(401, "unknown client")
        self.tokens_given += 1
        token = f"token-{self.tokens_given}-{self.client[1]}"
        self.tokens.add(token)
        return _json({self.token_field: token, "token_type": "Bearer", "expires_in": 3600})

    def _sales(self, at: float, path: str, query: dict[str, str], headers: dict[str, str], fault: str) -> Answer:
        said = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if fault == "expire":
            self.tokens.clear()
        if path not in {PATH, MOVED}:
            return _error(404, f"nothing at {path}")
        if said not in {self.key, *self.tokens}:
            return _error(401, f"{said} may not read sales")
        if self._is_too_soon(at) or fault == "429":
            return _error(429, "too many requests", {"retry-after": str(self.retry_after)})
        if fault in self._spoilt(said, query):
            return self._spoilt(said, query)[fault]
        self.before(self)
        return self._page(query, fault)

    def _spoilt(self, said: str, query: dict[str, str]) -> dict[str, Answer]:
        to = f"{MOVED}?{urlencode(query)}"
        return {
            "500": _error(500, "something is broken"),
            "503": _error(503, "something is broken", {"retry-after": str(self.retry_after)}),
            "html": Answer(200, b"<html>We are back soon</html>", {"content-type": "text/html"}),
            "echo": _error(403, f"{said} may not read sales"),
            "gone": _error(410, "unknown cursor"),
            "moved": Answer(307, b"", {"location": self.elsewhere + to}),
            "moved-here": Answer(307, b"", {"location": to}),
            "around": Answer(307, b"", {"location": f"{PATH}?{urlencode(query)}"}),
        }

    def _is_too_soon(self, at: float) -> bool:
        self._level = max(0.0, self._level - (at - self._at) * self.rate)
        self._at = at
        if self.rate and self._level + 1 > self.burst:
            return True
        self._level += 1
        return False

    def _page(self, query: dict[str, str], fault: str) -> Answer:
        """By cursor or `after` in the order of ids, by page or offset the newest first, as a shop shows them."""
        size = min(int(query.get("limit", 100)), MOST)
        if "page" in query or "offset" in query:
            start = int(query["offset"]) if "offset" in query else (int(query["page"]) - 1) * size
            newest_first = sorted(self.rows, key=lambda row: (row["updated_at"], row["line_id"]), reverse=True)
            rows: Iterator[Row] = islice(_asked_for(query, newest_first), start, None)
        else:
            after = urlsafe_b64decode(query["cursor"]).decode() if query.get("cursor") else query.get("after", "")
            start = bisect_right(self.rows, after, key=lambda row: row["line_id"])
            rows = _asked_for(query, (self.rows[place] for place in range(start, len(self.rows))))
        page = [*islice(rows, size)]
        cursor = urlsafe_b64encode(page[-1]["line_id"].encode()).decode() if page and any(rows) else None
        host = self.elsewhere if fault == "elsewhere" else ""
        there = f"{host}{PATH}?{urlencode(query | {'cursor': cursor or ''})}"
        headers = {"link": f'<{there}>; rel="next"'} if cursor else {}
        page = page * 2 if fault == "twice" else page
        if query.get("format", "json") == "json":
            answer = _json({"data": page, "next_cursor": cursor, "next": there if cursor else None}, headers)
        else:
            answer = _csv(page, headers, is_packed=query["format"] == "csv.gz")
        return answer._replace(is_cut=fault == "cut")


def _asked_for(query: dict[str, str], rows: Iterable[Row]) -> Iterator[Row]:
    begin, end = query.get("start_date", ""), query.get("end_date", "9999")
    for row in rows:
        if begin <= row["sold_at"][:10] <= end and row["updated_at"] >= query.get("updated_since", ""):
            yield row


def _json(said: Any, headers: dict[str, str] | None = None, status: int = 200) -> Answer:  # noqa: ANN401
    return Answer(status, json.dumps(said).encode(), {"content-type": "application/json"} | (headers or {}))


def _error(status: int, words: str, headers: dict[str, str] | None = None) -> Answer:
    return _json({"error": words}, headers, status)


def _csv(rows: Sequence[Row], headers: dict[str, str], *, is_packed: bool) -> Answer:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    body = text.getvalue().encode()
    kind = "application/gzip" if is_packed else "text/csv"
    return Answer(200, gzip.compress(body) if is_packed else body, {"content-type": kind, **headers})


# Sales ----------------------------------------------------------------------------------------------------------------

COLUMNS = (
    "line_id", "sale_id", "line", "market", "channel", "status", "customer_id", "sold_at", "updated_at", "sku",
    "product_name", "quantity", "unit_price", "total_price", "sale_total", "currency",
)  # fmt: skip
PRODUCTS = (("A100", "Maize flour 2 kg", 21_000), ("B200", "Cooking oil 1 l", 34_500), ("C300", "Rice 5 kg", 89_900))
CURRENCIES = {1: "KES", 2: "NGN"}


def some_sales(first: date, days: int, a_day: int = 20, seed: int = 7) -> list[Row]:
    """Lines of so many sales a day, the same each time; a sale has up to three."""
    chance, rows = Random(seed), list[Row]()  # noqa: S311  no secret
    for number in range(days * a_day):
        sold_at = datetime(first.year, first.month, first.day, 6, tzinfo=UTC) + timedelta(
            days=number // a_day, seconds=int(chance.random() * 50_000)
        )
        rows += _lines_of_sale(number, sold_at, chance)
    return rows


def _lines_of_sale(number: int, sold_at: datetime, chance: Random) -> list[Row]:
    market, sale_id = 1 + number % 2, str(20_000_000 + number)
    moment = sold_at.isoformat().replace("+00:00", "Z")
    lines = [(product, 1 + int(chance.random() * 4)) for product in PRODUCTS[: 1 + int(chance.random() * 3)]]
    total = sum(price * quantity for (_, _, price), quantity in lines)
    return [
        {
            "line_id": f"{sale_id}-{line}",
            "sale_id": sale_id,
            "line": line,
            "market": market,
            "channel": "app" if number % 3 else "web",
            "status": "COMPLETED" if number % 7 else "CANCELLED",
            "customer_id": str(3_144_000 + int(chance.random() * 400)),
            "sold_at": moment,
            "updated_at": moment,
            "sku": sku,
            "product_name": name,
            "quantity": quantity,
            "unit_price": _money(price),
            "total_price": _money(price * quantity),
            "sale_total": _money(total),
            "currency": CURRENCIES[market],
        }
        for line, ((sku, name, price), quantity) in enumerate(lines, 1)
    ]


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


# The server -----------------------------------------------------------------------------------------------------------


@contextmanager
def served(api: Callable[[Any, Any, Any], Awaitable[None]]) -> Iterator[str]:
    """The address of the API, which is there as long as this block; nobody else on the network sees it."""
    config = uvicorn.Config(api, interface="asgi3", lifespan="off", ws="none", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    # asyncio sends small parts at once only where it sees that it is TCP: else 40 ms for each answer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()
