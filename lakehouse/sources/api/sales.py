"""Sales of an API for Python: `SalesAPIClient(base_url, api_key).fetch_sales("2026-01-01", "2026-01-31")`."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.contract import DIGITS_OF_64_BITS, Source
from lakehouse.described.api import Api, address
from lakehouse.sources.api import contents
from lakehouse.sources.api.auth import Key
from lakehouse.sources.api.client import Client
from lakehouse.sources.api.walk import Walk
from lakehouse.sources.credentials import Secret
from lakehouse.sources.windows import SourceError, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import httpx2

# As a contract's `source:` says it (docs/how-to/api.md); the address and the key are the client's own.
SALES: Mapping[str, Any] = {
    "format": "json",
    "rows": "data",
    "api": {
        "path": "sales",
        "query": {"limit": 100},
        "paging": {"by": "cursor", "parameter": "cursor", "next": "next_cursor"},
        "window": {"since": "start_date", "until": "end_date", "first": "2000-01-01"},
    },
}


class SalesAPIClient:
    """Asks as patiently, and as seldom, as `lakehouse fetch` does; the key is sent to `base_url` alone.

    `source` is an API of another shape, as a contract has it. `key`: the column that names a row, which is a line of a
    sale; where pages repeat one, it counts as it was said last.
    """

    def __init__(self, base_url: str, api_key: str, source: Mapping[str, Any] = SALES, key: str = "line_id") -> None:
        try:
            self.base_url = address(base_url)
        except ValueError as error:
            raise SourceError(f"base_url {error}.") from None
        said = {**source, "api": {**source["api"], "base_url": self.base_url}}
        self._source, self._api = Source.model_validate(said), Api.model_validate(said["api"])
        self._secret, self.key = Secret("api_key", api_key), key

    def __repr__(self) -> str:
        """Without the key."""
        return f"SalesAPIClient({self.base_url!r})"

    def fetch_sales(self, start_date: date | str, end_date: date | str) -> pa.Table:
        """The sales of these days, both counted in, each once; `.to_pandas()` makes a frame of pandas of it.

        Numbers are exact: bigint where all are whole, else decimals. Raises SourceError where the API does not give all
        of it: never a part of the sales.
        """
        window = Window(_midnight("start_date", start_date), _midnight("end_date", end_date), datetime.now(UTC))
        if window.since > window.until:  # type: ignore[operator]
            raise SourceError(f"start_date {start_date} is after end_date {end_date}, so no day lies between.")
        with closing(self._client()) as client:
            pages = [*Walk(client, self._source, self._api, window).pages()]
        counting = (pages[-1].facts or {}).get("pages", [page.name for page in pages])
        bodies = (page.body for page in pages if page.name in counting and isinstance(page.body, bytes))
        read = (contents.read(body, self._source, Decimal) for body in bodies)
        return _table(self._each_once(row for content in read for row in content.rows))

    def handle_rate_limit(self, response: httpx2.Response) -> float:
        """The seconds for which a 429 or 503 asks to be left alone; nobody of this user asks before they are over."""
        with closing(self._client()) as client:
            return client.handle_rate_limit(response)

    def _client(self) -> Client:
        return Client(self._api, lambda _: Key("Authorization", "Bearer ", lambda: self._secret))

    def _each_once(self, rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        sales: dict[str, Mapping[str, Any]] = {}
        for row in rows:
            if row.get(self.key) is None:
                raise SourceError(f"A row has no `{self.key}`. Name by `key=` the column that tells one from another.")
            sales[str(row[self.key])] = row
        return [*sales.values()]


def _midnight(argument: str, day: date | str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(str(day)), time(), UTC)
    except ValueError:
        raise SourceError(f"{argument} {str(day)!r} is no day. Write it as '2026-01-31', or give a date.") from None


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _array([row.get(name) for row in rows]) for name in names})


def _array(values: list[Any]) -> pa.Array:
    """What Arrow makes of them; text where they are of several kinds."""
    try:
        found = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([_text(one) for one in values])
    is_whole = pa.types.is_decimal(found.type) and found.type.scale <= 0 and found.type.precision <= DIGITS_OF_64_BITS
    return found.cast(pa.int64()) if is_whole else found


def _text(value: Any) -> str | None:  # noqa: ANN401  JSON
    if value is None or isinstance(value, str):
        return value
    return str(value) if isinstance(value, Decimal) else json.dumps(value, default=str)
