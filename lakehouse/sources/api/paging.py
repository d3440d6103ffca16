"""Where the next page is, by each way in which APIs say it. A place is JSON: parameters of a query, or an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from lakehouse.sources.api.contents import ABSENT, at
from lakehouse.sources.windows import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakehouse.described.api import Paging
    from lakehouse.sources.api.client import Answer
    from lakehouse.sources.api.contents import Content

Place: TypeAlias = "Mapping[str, Any]"
MAY_LACK = "?"  # behind a key that the last page leaves out


def first(paging: Paging) -> Place:
    starts = {"page": paging.first, "offset": 0}
    return {"query": {paging.parameter: starts[paging.by]} if paging.by in starts else {}}


def following(
    paging: Paging, place: Place, content: Content, answer: Answer, within: Callable[[str, str], str]
) -> Place | None:
    """The place behind a page; None behind the last. `within` makes an address of a link, of the same origin.

    By keys and by numbers only a page without rows is the last: a server may send fewer than it was asked for.
    """
    match paging.by:
        case "link":
            link = _said(content, paging.next) if paging.next else answer.next_link
            return {"url": within(answer.url, link)} if link else None
        case "cursor":
            cursor = _said(content, paging.next) if paging.next else answer.headers.get(paging.header, "")
            return {"query": {paging.parameter: cursor}} if cursor else None
    if not content.rows:
        return None
    if paging.by == "keyset":
        return {"query": {paging.parameter: _key(content, paging.column)}}
    step = 1 if paging.by == "page" else len(content.rows)
    return {"query": {paging.parameter: place["query"][paging.parameter] + step}}


def _said(content: Content, name: str) -> str:
    """What the page has under a name; nothing (null, an empty text) is the end, but a lacking key may be misspelt."""
    found = at(content.said, name.removesuffix(MAY_LACK))
    if found is ABSENT and not name.endswith(MAY_LACK):
        raise SourceError(
            f"A page says nothing of the next one at `{name}`. Correct `next:`; or write `next: {name}?`, if the last "
            "page of this API leaves it out."
        )
    return found if isinstance(found, str) else ""


def _key(content: Content, column: str) -> str:
    found = content.rows[-1].get(column)
    if not isinstance(found, str) or not found:
        raise SourceError(f"The last row of a page has no `{column}`, so nothing says where the next page begins.")
    return found
