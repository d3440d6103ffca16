"""The report, served with choices of release, market and days: the same page, made anew for each question.

By the standard library, on this machine's loopback alone, and read only: there is nothing but one page to get, so that
no telemetry, session or upload has to be switched off.
"""

from __future__ import annotations

from datetime import date
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from jobs.report import html
from jobs.report.html import Choice, Form
from lakehouse.errors import LakehouseError, refusal
from lakehouse.recovery import releases

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakehouse.engines.protocol import Reader

T = TypeVar("T")
HOST = "127.0.0.1"
NAMES = ("release", "market", "since", "until")
KEPT = 32  # pages: a release's never change
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",  # the page itself says the rest
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Dashboard:
    """The pages of one lake, by what is asked for; one at a time, since the engine answers one question after another.

    `days`: for how many a release can be read for sure.
    """

    def __init__(self, reader: Reader, root: str, days: int) -> None:
        self.reader, self.root, self.days = reader, root, days
        self.lock = Lock()
        self.made: dict[object, Any] = {}

    def page(self, asked: Mapping[str, str]) -> str:
        """Raises LakehouseError for a question that has no answer."""
        choice, number = chosen(asked), _number("release", asked["release"]) if "release" in asked else None
        with self.lock:
            one = releases.last(self.root) if number is None else releases.release(self.root, number)
            known = releases.releases(self.root)
            expired = releases.expired(self.root, known, self.days)
            there = [each for each in reversed(known) if each.number not in expired]
            form = Form(there, html.countries(), number is None)
            which = one.number, one.published_at
            changes = self._once(which, lambda: html.changes(self.root, one))
            key = which, choice, number is None, len(there)
            with releases.reading(self.root, one):
                return self._once(
                    key, lambda: html.page(html.gather(self.reader, self.root, one, changes, choice), form)
                )

    def _once(self, key: object, make: Callable[[], T]) -> T:
        """What was made for the key, or is made now; what was made first is forgotten first."""
        if key not in self.made:
            while len(self.made) >= KEPT:
                del self.made[next(iter(self.made))]
            self.made[key] = make()
        return self.made[key]  # type: ignore[no-any-return]


def chosen(asked: Mapping[str, str]) -> Choice:
    """What a query string asks for. Raises LakehouseError where it is not what the form would send."""
    market = _number("market", asked["market"]) if "market" in asked else None
    since, until = (_day(name, asked[name]) if name in asked else None for name in ("since", "until"))
    if since and until and until < since:
        raise LakehouseError(f"The last day, {until}, is before the first, {since}. Choose them the other way round.")
    return Choice(market, since, until)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):  # noqa: PLR2004  more are no number of a release
        raise LakehouseError(f"{text!r} is no {name}. Choose one of the form's.")
    return int(text)


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise LakehouseError(f"{name}={text!r} is no day. Give one such as 2022-01-31.") from None


def server(dashboard: Dashboard, port: int) -> ThreadingHTTPServer:
    """It listens, and answers once it is told to. Raises LakehouseError where the port cannot be had."""

    class Handler(Asked):
        of = dashboard

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        why = refusal(error) or error.strerror
        raise LakehouseError(f"Port {port} of {HOST} cannot be used: {why} Name another: --port 8124.") from error


class Asked(BaseHTTPRequestHandler):
    """GET of one page, by browsers that were sent to this machine; all else is refused."""

    of: Dashboard
    server: ThreadingHTTPServer
    server_version, sys_version = "lakehouse", ""
    timeout = 30

    def do_GET(self) -> None:
        """A page of another site may have its name lead here, but not under our names (DNS rebinding)."""
        ours = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        where = urlsplit(self.path)
        if self.headers.get("Host") not in ours:
            self._say(HTTPStatus.MISDIRECTED_REQUEST, "This is not the address of this dashboard.")
        elif where.path != "/":
            self._say(HTTPStatus.NOT_FOUND, "There is one page, at /.")
        else:
            self._page(where.query)

    def _page(self, query: str) -> None:
        asked = {name: text for name, text in parse_qsl(query) if name in NAMES}
        try:
            self._say(HTTPStatus.OK, self.of.page(asked), "text/html")
        except LakehouseError as error:
            self._say(HTTPStatus.BAD_REQUEST, str(error))

    def _say(self, status: HTTPStatus, text: str, kind: str = "text/plain") -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said: object) -> None:
        """Nothing: what somebody looked at is nobody's business."""
