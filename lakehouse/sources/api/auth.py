"""What a request says of who asks, as a contract's `auth:` names it.

What is quoted of a refusal is `masked` before, and no answer is taken in which something secret is `told`.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from urllib.parse import quote

from lakehouse.errors import RECOGNISED
from lakehouse.sources.credentials import Secret, secret
from lakehouse.sources.windows import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakehouse.described.api import Auth

# What an address of tokens answers to a form that is sent with these headers.
Ask: TypeAlias = "Callable[[str, Mapping[str, str], Mapping[str, str]], Mapping[str, Any]]"
EARLY = 0.9  # of a token's life, after which it is replaced: a request under way with it would come too late


class Credentials(Protocol):
    """What stands in a request's headers; `renew` says whether that is something else from now on."""

    def headers(self) -> Mapping[str, str]: ...

    def renew(self) -> bool: ...

    def masked(self, text: str) -> str: ...

    def told(self, text: bytes) -> bool: ...


def credentials(auth: Auth | None, ask: Ask) -> Credentials:
    """As the contract says them; nothing is read, and no token asked for, before the first request."""
    if auth is None:
        return Nobody()
    if auth.token_url:
        return Token(auth, ask)
    name = auth.bearer or auth.key or ""
    return Key(auth.header or "Authorization", "Bearer " if auth.bearer else "", lambda: secret(name))


class Nobody:
    """An API that asks nobody who he is."""

    def headers(self) -> Mapping[str, str]:
        return {}

    def renew(self) -> bool:
        return False

    def masked(self, text: str) -> str:
        return text

    def told(self, text: bytes) -> bool:  # noqa: ARG002  nothing is secret
        return False


class Key:
    """A key, which `read` gives again: its file or variable may hold another one by now."""

    def __init__(self, header: str, scheme: str, read: Callable[[], Secret]) -> None:
        self.header, self.scheme, self.read = header, scheme, read
        self.key: Secret | None = None

    def headers(self) -> Mapping[str, str]:
        self.key = self.key or _sendable(self.read())
        return {self.header: self.scheme + self.key.revealed}

    def renew(self) -> bool:
        before, self.key = self.key, _sendable(self.read())
        return self.key != before

    def masked(self, text: str) -> str:
        return _without([self.key], text)

    def told(self, text: bytes) -> bool:
        return _has([self.key], text)


class Token:
    """OAuth 2, client credentials (RFC 6749, 4.4)."""

    def __init__(self, auth: Auth, ask: Ask) -> None:
        self.auth, self.ask = auth, ask
        self.token: Secret | None = None
        self.until = 0.0
        self.known: list[Secret] = []  # that an answer could repeat

    def headers(self) -> Mapping[str, str]:
        if self.token is None or time.monotonic() > self.until:
            self._fetch()
        return {"Authorization": f"Bearer {self.token.revealed}"} if self.token else {}

    def renew(self) -> bool:
        self.token = None
        return True

    def masked(self, text: str) -> str:
        return _without([*self.known, self.token], text)

    def told(self, text: bytes) -> bool:
        return _has([*self.known[1:], self.token], text)  # a client's id is no secret, and may be a word of the data

    def _fetch(self) -> None:
        form = {"grant_type": "client_credentials"} | ({"scope": self.auth.scope} if self.auth.scope else {})
        said = self.ask(self.auth.token_url or "", self._basic(), form)
        found, life = said.get("access_token"), said.get("expires_in")
        if not isinstance(found, str) or not found:
            raise SourceError(f"{self.auth.token_url} gives no `access_token`. Check `token_url:` and its credentials.")
        self.token = _sendable(Secret(f"of {self.auth.token_url}", found))
        self.until = time.monotonic() + EARLY * life if isinstance(life, int | float) else float("inf")

    def _basic(self) -> Mapping[str, str]:
        one, other = (_sendable(secret(name or "")) for name in (self.auth.client_id, self.auth.client_secret))
        pair = f"{quote(one.revealed, safe='')}:{quote(other.revealed, safe='')}"
        basic = b64encode(pair.encode()).decode()
        self.known = [one, other, Secret("", basic)]
        return {"Authorization": f"Basic {basic}"}


def _sendable(one: Secret) -> Secret:
    """What HTTP cannot send its library would repeat."""
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", one.revealed):
        raise SourceError(
            f"The credential {one.name} cannot be sent: it has blanks round it, or signs beyond ASCII, or is empty."
        )
    return one


def _has(secrets: list[Secret | None], text: bytes) -> bool:
    known = [one.revealed for one in secrets if one and len(one.revealed) >= RECOGNISED]
    return any(spelled.encode() in text for one in known for spelled in {one, quote(one, safe="")})


def _without(secrets: list[Secret | None], text: str) -> str:
    for one in sorted((one.revealed for one in secrets if one), key=len, reverse=True):
        text = text.replace(one, "***")
    return text
