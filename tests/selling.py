"""A sales API that runs (jobs/demo/sales_api.py), as contracts describe it, and what is read of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from jobs.demo.sales_api import SalesAPI, some_sales
from lakehouse.contract import Source
from lakehouse.sources.api import ApiSource, contents
from lakehouse.sources.windows import Landed, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lakehouse.sources.windows import Page

KEY = "k3y-of-the-shop"
LINES = some_sales(date(2026, 1, 1), 5, a_day=5)
CURSOR = {"by": "cursor", "parameter": "cursor", "next": "next_cursor"}
PAGE = {"by": "page", "parameter": "page"}
WHOLE = Window(None, None, datetime(2026, 1, 9, tzinfo=UTC))


@dataclass
class Shop:
    """`api` is what answers at `url`; its variable SHOP_KEY holds the key."""

    url: str = ""
    api: SalesAPI = field(default_factory=lambda: SalesAPI(LINES, KEY))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  ASGI
        await self.api(scope, receive, send)

    def source(self, paging: dict[str, Any] = CURSOR, form: str = "json", **said: Any) -> Source:  # noqa: ANN401
        """With pages of ten rows, and a rate that no test waits for."""
        query = {"limit": 10} if form == "json" else {"limit": 10, "format": form}
        usual = {
            "base_url": self.url,
            "path": "sales",
            "auth": {"bearer": "SHOP_KEY"},
            "rate": "5000/s",
            "burst": 50,
            "patience": "3s",
        }
        api = usual | {"paging": paging, "query": query} | said
        rows = {"rows": "data"} if form == "json" else {}
        return Source.model_validate({"format": form[:4].rstrip("."), "api": api, **rows})


def of(source: Source) -> ApiSource:
    assert source.api is not None
    return ApiSource(source, source.api)


def reading(source: Source, landed: Sequence[Landed] = (), window: Window = WHOLE) -> Iterator[Page]:
    return of(source).pages(window, landed)


def read(source: Source, landed: Sequence[Landed] = (), window: Window = WHOLE) -> list[Page]:
    return [*reading(source, landed, window)]


def as_landed(pages: Iterable[Page]) -> list[Landed]:
    """As they are found again by the next process."""
    return [Landed(page.name, json.loads(json.dumps(page.state))) for page in pages]


def lines(source: Source, pages: Sequence[Page]) -> Counter[str]:
    """How often each line stands in what counts of a whole window."""
    facts = pages[-1].facts
    assert facts is not None
    counting = [page for page in pages if page.name in facts.get("pages", [page.name])]
    return Counter(row["line_id"] for page in counting for row in contents.read(page.body, source).rows)  # type: ignore[arg-type]


ONCE = Counter(row["line_id"] for row in LINES)
