"""`source: {api: ...}`: how pages of an HTTP API are fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003  pydantic reads it
from datetime import date  # noqa: TC003  pydantic reads it
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lakehouse.described.terms import SECONDS, Fetched, Span, Strict

OF_ENVIRONMENT = re.compile(r"[A-Z_][A-Z0-9_]*")
ON_THIS_MACHINE = {"127.0.0.1", "localhost", "::1"}
RATE = re.compile(r"([1-9]\d{0,6})/([smhd])")


def _named(text: str) -> str:
    """What is no name may be the secret itself, so it is not repeated."""
    if not (OF_ENVIRONMENT.fullmatch(text) or re.fullmatch(r"file:.+", text)):
        raise ValueError("must be the name of an environment variable, as SALES_API_KEY, or a file, as file:/run/key")
    return text


def address(text: str) -> str:
    """An address to which a key may go; what follows `?` or stands before `@` may be one, so it is not repeated."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or "@" in text:
        raise ValueError("must be an address such as https://api.example.com/v1, without a user, ? or #")
    if parts.scheme == "http" and parts.hostname not in ON_THIS_MACHINE:
        raise ValueError(f"must begin with https: by http a key goes to {parts.hostname} for all to read")
    return text.rstrip("/")


def _address_or_name(text: str) -> str:
    return text if OF_ENVIRONMENT.fullmatch(text) else address(text)


def _a_second(said: object) -> object:
    found = RATE.fullmatch(said) if isinstance(said, str) else None
    if not found:
        raise ValueError(f"{said!r} is no rate; write it as 5/s, 300/m or 10000/d")
    return int(found[1]) / SECONDS[found[2]]


SecretName = Annotated[str, AfterValidator(_named)]
Address = Annotated[str, AfterValidator(address)]


class Auth(Strict):
    """A key for `Authorization: Bearer`, a `key` in a header of its own, or OAuth 2 client credentials.

    Secrets stand in an environment variable or a `file:`, by whose name they are called.
    """

    bearer: SecretName | None = None
    header: str | None = None
    key: SecretName | None = None
    token_url: Address | None = None
    client_id: SecretName | None = None
    client_secret: SecretName | None = None
    scope: str = ""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Auth:
        whole = {
            "bearer": bool(self.bearer),
            "header with key": bool(self.header and self.key),
            "token_url with client_id and client_secret": bool(
                self.token_url and self.client_id and self.client_secret
            ),
        }
        begun = [self.bearer, self.header or self.key, self.token_url or self.client_id or self.client_secret]
        if [*whole.values()] != [*map(bool, begun)] or sum(whole.values()) != 1:
            raise ValueError(f"must be exactly one of: {', '.join(whole)}")
        return self


class Paging(Strict):
    """Which page is next. `next`: where the page says it, keys with points between (`meta.next_cursor`).

    One that ends in ? may be left out, by the last page.

    `cursor`: `parameter` is sent what the page before says at `next`, or in its `header`. `link`: the address at
    `next`, or of the header `Link`. `keyset`: `parameter` is sent the last row's `column`, which must be unique.
    `page` and `offset`: `parameter` counts pages from `first`, or rows. A row that moves meanwhile is not seen by these
    two, so a window is read until two passes over it say the same.
    """

    by: Literal["cursor", "keyset", "page", "offset", "link"]
    parameter: str = ""
    next: str = ""
    header: str = ""
    column: str = ""
    first: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="after")
    def _parts_agree(self) -> Paging:
        needed = {
            "cursor": bool(self.parameter) and bool(self.next) != bool(self.header) and not self.column,
            "keyset": bool(self.parameter and self.column) and not (self.next or self.header),
            "link": not (self.parameter or self.header or self.column),
        }
        if not needed.get(self.by, bool(self.parameter) and not (self.next or self.header or self.column)):
            raise ValueError(
                "by: cursor goes with parameter, and next or header; keyset with parameter and column; page and "
                "offset with parameter; link alone or with next"
            )
        return self

    @property
    def counts(self) -> bool:
        """Whether pages are told by numbers, which say nothing of the rows on them."""
        return self.by in {"page", "offset"}


class Times(Strict):
    """By which parameters a time is asked for: `since`, and `until` unless the API gives all up to now.

    The next window begins `overlap` before the end of the last, for what was changed late; the first one at `first`.
    A longer time than `at_most` is fetched in several windows.
    """

    since: Annotated[str, Field(min_length=1)]
    until: str = ""
    written_as: Annotated[Literal["date", "time"], Field(alias="as")] = "date"
    overlap: Span = Field("1d", validate_default=True)
    first: date | None = None
    at_most: Span | None = None

    @model_validator(mode="after")
    def _parts_agree(self) -> Times:
        if self.until and not self.first:
            raise ValueError("first: is needed with `until`: the day with which its data begin")
        if self.at_most and not self.until:
            raise ValueError("at_most: goes with `until`, without which a window cannot end early")
        return self


class Api(Fetched):
    """An HTTP API that gives pages: `base_url`, or the name of the environment variable that holds it, and `path`.

    `query` is sent with each request. Never more than `rate` times t and `burst` requests are sent to its host in any
    time t, by all processes of this user; `limit` is the name of one that some of the host's addresses have of their
    own. An answer must be there whole within `timeout`, a page at last, after every
    try, within `patience`.
    """

    base_url: Annotated[str, AfterValidator(_address_or_name)]
    path: str = ""
    auth: Auth | None = None
    query: Mapping[str, str | int] = {}
    paging: Paging
    window: Times | None = None
    rate: Annotated[float, BeforeValidator(_a_second)] = Field("5/s", validate_default=True)
    burst: Annotated[int, Field(ge=1)] = 5
    limit: str = ""
    timeout: Span = Field("30s", validate_default=True)
    patience: Span = Field("2m", validate_default=True)

    @property
    def origin(self) -> str:
        """To which requests go, as far as the contract says it: else the variable's name."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else self.base_url
