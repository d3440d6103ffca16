"""How a source is fetched, as its contract describes it: what all kinds of sources have together."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def _span(said: object) -> object:
    if isinstance(said, timedelta):
        return said
    found = re.fullmatch(r"([1-9]\d{0,5})([smhd])", said) if isinstance(said, str) else None
    if not found:
        raise ValueError(f"{said!r} is no span of time; write it as 90s, 15m, 6h or 2d")
    return timedelta(seconds=int(found[1]) * SECONDS[found[2]])


def spelled(span: timedelta) -> str:
    """As a contract writes it, in the largest unit of which it is a whole number: 90s, 15m, 6h, 2d."""
    seconds = int(span.total_seconds())
    unit = max((one for one in SECONDS if seconds % SECONDS[one] == 0), key=lambda one: SECONDS[one])
    return f"{seconds // SECONDS[unit]}{unit}"


def roughly(span: timedelta) -> str:
    """For people, in the largest unit of which it is two or more: 26 h, 3 d."""
    seconds = span.total_seconds()
    size, word = next(((size, word) for size, word in UNITS if seconds >= 2 * size), UNITS[-1])
    return f"{int(seconds // size)} {word}"


Span = Annotated[timedelta, BeforeValidator(_span)]


class Strict(BaseModel):
    """A part of a contract: a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Fetched(Strict):
    """`every`: how long after the start of its last whole fetch a source is due again."""

    every: Span = timedelta(hours=1)

    @property
    def named_by(self) -> str:
        """The environment variable that says where it is, as one may instead of an address: unset, the source rests."""
        said = (getattr(self, key, "") for key in ("url", "base_url"))
        return next((text for text in said if re.fullmatch(r"[A-Z_][A-Z0-9_]*", text)), "")

    def costs(self, facts: Mapping[str, Any], now: datetime) -> str:  # noqa: ARG002  what kinds of sources look at
        """What its next fetch asks of the server, where that is much, by what the last window says; else empty."""
        return ""
