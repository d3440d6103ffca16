"""One answer of an API, patiently: as often as its rate allows, again where it broke off, and from no other host.

What went wrong is handed on as words, not as an exception: those of HTTP's library hold the request, and so the key.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import tenacity

from lakehouse.described.api import OF_ENVIRONMENT, ON_THIS_MACHINE, address
from lakehouse.errors import LackingExtraError
from lakehouse.sources.api.rate import Bucket
from lakehouse.sources.windows import SourceError
from lakehouse.store.cache import cache_folder

try:
    import httpx2
except ImportError as error:
    raise LackingExtraError("APIs are asked by httpx2", "sources") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakehouse.described.api import Api
    from lakehouse.sources.api.auth import Ask, Credentials

for logger in ("httpx2", "httpcore2"):
    logging.getLogger(logger).setLevel(logging.WARNING)  # below it they print headers, where a server may repeat a key

T = TypeVar("T")
LARGEST = 256 << 20  # bytes of a page
HOPS = 5  # redirects and a renewed credential, one after the other
FIRST_WAIT, LONGEST_WAIT = 0.2, 60.0  # seconds between two tries, at random below this, which doubles
LONGEST_CLOSED = 86_400.0  # seconds: no answer keeps this machine from asking for ever
QUOTED = 200  # characters of what a server says of its refusal
OK, UNAUTHORIZED, TOO_MANY, UNAVAILABLE = 200, 401, 429, 503
PASSING = {408, 425, TOO_MANY, 500, 502, UNAVAILABLE, 504}
REDIRECTS = {301, 302, 303, 307, 308}


class RefusedError(SourceError):
    """The API understood what it was asked, and does not give it."""


@dataclass(frozen=True)
class Answer:
    """What came back whole; `url` is what was asked for, `next_link` of the header `Link` (RFC 8288)."""

    url: str
    status_code: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    next_link: str = ""

    @property
    def answered_at(self) -> datetime | None:
        """By the server's clock."""
        return _date(self.headers.get("date", ""))


@dataclass(frozen=True)
class _Trouble:
    words: str
    passes: bool = True
    is_refusal: bool = False


class Client:
    """Asks one API, whose credentials go to the origin of `base_url` alone."""

    def __init__(self, api: Api, credentials: Callable[[Ask], Credentials]) -> None:
        base_url = _base_url(api)
        self.url = f"{base_url}/{api.path.strip('/')}" if api.path else base_url
        self.base = httpx2.URL(base_url)
        self.timeout, self.patience = api.timeout.total_seconds(), api.patience.total_seconds()
        self.http = httpx2.Client(
            timeout=self.timeout,
            headers={"User-Agent": "lakehouse"},
            trust_env=self.base.host not in ON_THIS_MACHINE,  # what stays here goes through no proxy
        )
        name = hashlib.sha256(f"{_origin(self.base)} {api.limit}".encode()).hexdigest()[:16]
        self.bucket = Bucket(cache_folder() / "rates" / f"{name}.json", _origin(self.base), api.rate, api.burst)
        self.credentials = credentials(self.token)

    def close(self) -> None:
        self.http.close()

    def get(self, url: str, query: Mapping[str, str | int], read: Callable[[Answer], T]) -> T:
        """What `read` makes of the answer. A ValueError of it says that the page is damaged: it is asked for again.

        Raises SourceError once patience is at its end, RefusedError where the API does not give this. Nothing is asked
        of another origin, whoever wrote the address.
        """
        return self._patiently(partial(self._page, self.within(self.url, url), query, read))

    def token(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> Mapping[str, Any]:
        """What a form is answered by the address that gives tokens; it has an origin of its own, and no rate."""
        return self._patiently(partial(self._token, url, headers, form))

    def check(self, text: bytes) -> None:
        """Raises SourceError where it repeats a credential, which would then stand in landing, or in words."""
        if self.credentials.told(text):
            raise SourceError(
                f"{_place(self.url)} repeats the credential that it was sent, so nothing of its answer is taken. Tell "
                "those who run the API, and have the credential replaced."
            )

    def handle_rate_limit(self, response: Answer | httpx2.Response) -> float:
        """The seconds for which an answer asks to be left alone, 0 for none; before they are over nothing is sent."""
        if response.status_code not in {TOO_MANY, UNAVAILABLE}:
            return 0.0
        seconds = min(_retry_after(response.headers), LONGEST_CLOSED)
        self.bucket.close(seconds)
        return seconds

    def within(self, url: str, link: str) -> str:
        """Where a link of the answer from `url` leads; SourceError where that is another origin."""
        try:
            target = httpx2.URL(url).join(link)
            is_own = target.origin == self.base.origin
        except (httpx2.InvalidURL, ValueError):
            raise SourceError(f"{_place(url)} names as the next page what is no address.") from None
        if not is_own:
            raise SourceError(
                f"{_place(url)} leads to {_origin(target)}, and its credentials go to {_origin(self.base)} alone. "
                "If the API has moved, correct `base_url:`."
            )
        return str(target)

    def _patiently(self, ask: Callable[[], T | _Trouble]) -> T:
        again = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda found: isinstance(found, _Trouble) and found.passes),
            stop=tenacity.stop_before_delay(self.patience),
            wait=tenacity.wait_random_exponential(FIRST_WAIT, max=LONGEST_WAIT),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        found: T | _Trouble = again(ask)
        if not isinstance(found, _Trouble):
            return found
        if found.is_refusal:
            raise RefusedError(found.words)
        raise SourceError(found.words + (f" So it did for {self.patience:,.0f} seconds." if found.passes else ""))

    def _page(self, url: str, query: Mapping[str, str | int], read: Callable[[Answer], T]) -> T | _Trouble:
        answer = self._followed(url, query)
        if isinstance(answer, _Trouble):
            return answer
        if answer.status_code != OK:
            self.handle_rate_limit(answer)
            return self._no(answer)
        try:
            return read(answer)
        except ValueError as error:
            return _Trouble(f"{_place(url)} gives a page that {error}")

    def _followed(self, url: str, query: Mapping[str, str | int]) -> Answer | _Trouble:
        """The answer behind redirects, which stay at the origin, and behind a credential that is renewed once."""
        may_renew = True
        for _ in range(HOPS):
            request = self._signed(url, query)
            # To connect, to send and to read may each take so long.
            with self.bucket.request(3 * self.timeout, self.patience):
                answer = self._sent(request)
            if isinstance(answer, _Trouble):
                return answer
            self.check("\n".join(answer.headers.values()).encode())
            if answer.status_code in REDIRECTS:
                url, query = self.within(answer.url, answer.headers.get("location", "")), {}
            elif answer.status_code == UNAUTHORIZED and may_renew and self.credentials.renew():
                may_renew = False
            else:
                return answer
        return _Trouble(f"{_place(url)} leads on and on.", passes=False)

    def _signed(self, url: str, query: Mapping[str, str | int]) -> httpx2.Request:
        return self.http.build_request("GET", url, params=query or None, headers=self.credentials.headers())

    def _token(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> Mapping[str, Any] | _Trouble:
        answer = self._sent(self.http.build_request("POST", url, data=form, headers=headers))
        if isinstance(answer, _Trouble):
            return answer
        if answer.status_code != OK:
            return self._no(answer)
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else _Trouble(f"{_place(url)} gives what is no JSON object.")

    def _no(self, answer: Answer) -> _Trouble:
        """What a server says may repeat what it was sent."""
        said = self.credentials.masked(" ".join(answer.body.decode("utf-8", "replace").split()))[:QUOTED]
        passes = answer.status_code in PASSING
        words = f"{_place(answer.url)} answers {answer.status_code}{said and f': {said}'}."
        return _Trouble(words, passes=passes, is_refusal=not passes)

    def _sent(self, request: httpx2.Request) -> Answer | _Trouble:
        url, until = str(request.url), time.monotonic() + self.timeout
        body = bytearray()
        try:
            response = self.http.send(request, stream=True)
            try:
                for part in response.iter_bytes():
                    body += part
                    if time.monotonic() > until:
                        return _Trouble(f"{_place(url)} did not end its answer within {self.timeout:,.0f} seconds.")
                    if len(body) > LARGEST:
                        return _Trouble(f"{_place(url)} gives a page of more than {LARGEST >> 20} MiB.", passes=False)
            finally:
                response.close()
        except httpx2.RequestError as error:
            is_certain = "CERTIFICATE_VERIFY_FAILED" in str(error) or isinstance(error, httpx2.LocalProtocolError)
            return _Trouble(f"{_place(url)} broke off ({type(error).__name__}: {error}).", passes=not is_certain)
        next_link = response.links.get("next", {}).get("url", "")
        return Answer(url, response.status_code, response.headers, bytes(body), next_link)


def _base_url(api: Api) -> str:
    """The contract's, or what stands in the environment variable that it names."""
    if not OF_ENVIRONMENT.fullmatch(api.base_url):
        return api.base_url
    try:
        return address(os.environ.get(api.base_url, ""))
    except ValueError as error:
        words = f"The environment variable {api.base_url}, where a source's address stands, {error}."
    raise SourceError(words)


def _origin(url: httpx2.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _place(url: str) -> str:
    """Without what was asked for."""
    return url.partition("?")[0]


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds, which stand there as such or as a time of the server's clock (RFC 9110, 10.2.3)."""
    said = headers.get("retry-after", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        at, now = _date(said), _date(headers.get("date", "")) or datetime.now(UTC)
        return max(0.0, (at - now).total_seconds()) if at else 0.0


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC)
    except ValueError:
        return None
