"""Pages of an HTTP API, asked for as a contract's `source: {api: ...}` says, and landed as they were received."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lakehouse.sources.api import times
from lakehouse.sources.windows import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from lakehouse.contract import Contract, Source
    from lakehouse.described.api import Api
    from lakehouse.sources.windows import Landed, Page, Window


def source(table: str, contract: Contract) -> ApiSource:
    """What fetches for a bronze table."""
    if contract.source is None or contract.source.api is None:
        raise SourceError(f"{table} has no `source: {{api: ...}}` in its contract.")
    return ApiSource(contract.source, contract.source.api)


@dataclass(frozen=True)
class ApiSource:
    """A source (lakehouse.sources.windows.Source), as its contract describes it."""

    described: Source
    api: Api

    def windows(
        self, done: Sequence[Window], since: datetime | None, until: datetime | None, now: datetime
    ) -> list[Window]:
        return times.windows(self.api.window, done, since, until, now)

    def pages(self, window: Window, landed: Sequence[Landed]) -> Iterator[Page]:
        # With httpx2, which what is not due need not have.
        from lakehouse.sources.api.auth import credentials  # noqa: PLC0415
        from lakehouse.sources.api.client import Client  # noqa: PLC0415
        from lakehouse.sources.api.walk import Walk  # noqa: PLC0415

        with closing(Client(self.api, partial(credentials, self.api.auth))) as client:
            yield from Walk(client, self.described, self.api, window).pages(landed)
