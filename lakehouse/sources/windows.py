"""What a source is: it says which windows are due, and gives the pages of one; landing them is the same for all.

The delivery is the window, not its page: whatever is fetched from one start on has that start as its time, is claimed
together, and is one file of the ledger, whose rows are numbered over all pages (intake/deliveries/fetched.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path


class SourceError(LakehouseError):
    """A source that cannot be fetched: files and other sources go on, and the run ends with 1."""


@dataclass(frozen=True)
class Window:
    """What one fetch asks for: from `since` to `until`, None for without a bound. It is never asked for again as such.

    `facts`: what its source must know again at its next fetch (JSON). `started_at` is set when its first page is
    fetched, to what no other window of the source has.
    """

    since: datetime | None
    until: datetime | None
    started_at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """One object in landing, as it was received: 000001.json, 000001.json.gz, 000001.csv, orders_03.parquet.

    Names sort in the order in which pages were fetched: of what two pages say of one row the one behind counts.
    `state` (JSON) is what fetching needs to go on behind this page. `rows`: how many it holds, where that is known.
    `facts` of the last page replace its window's. Where they hold `pages`, a list of names, only those count, as of the
    last of several passes over one window, whose pages have names of their own.
    """

    name: str
    body: bytes | Path
    state: Mapping[str, Any]
    rows: int | None = None
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Landed:
    """A page that is in landing already."""

    name: str
    state: Mapping[str, Any]


class Source(Protocol):
    """A module lakehouse.sources.<kind> has `source(table, contract) -> Source`; `kind` is its key in the contract.

    What it cannot fetch is a SourceError, in words.
    """

    def windows(
        self, done: Sequence[Window], since: datetime | None, until: datetime | None, now: datetime
    ) -> list[Window]:
        """What to fetch now, in this order; `since` and `until` where somebody asks for a time.

        `done`: the windows that are whole, oldest first, also those that somebody asked for. Each is read when it is
        looked at, so begin at the end.
        """

    def pages(self, window: Window, landed: Sequence[Landed]) -> Iterator[Page]:
        """The window's pages from behind the last that is landed: a fetch that was killed goes on."""
