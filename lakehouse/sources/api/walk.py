"""From page to page of a window, and again from the first where no page says whether a row was missed.

By cursor, keyset or link a page begins where the one before ended. By page number or offset a row that moves meanwhile
is met twice or never: a window is read until two passes over it have the same rows.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from lakehouse.sources.api import contents, paging, times
from lakehouse.sources.api.client import RefusedError
from lakehouse.sources.windows import Page, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lakehouse.contract import Source
    from lakehouse.described.api import Api
    from lakehouse.sources.api.client import Answer, Client
    from lakehouse.sources.api.contents import Content
    from lakehouse.sources.api.paging import Place
    from lakehouse.sources.windows import Landed, Window

MOST_PASSES = 5  # of one fetch
DIGESTS = 1 << 256


@dataclass(frozen=True)
class State:
    """How far a window is read: `place` is that of the next page, None behind the last.

    `rows` and `digest` are of this pass's pages so far, `before` those of the pass before. `asked_at`: when the server
    answered first, by its clock.
    """

    place: Place | None
    number: int = 1  # of the pass
    page: int = 0
    rows: int = 0
    digest: int = 0
    before: Sequence[int] = ()
    asked_at: str = ""

    def again(self, first: Place) -> State:
        """From the first page, to be compared with what was read so far."""
        return State(first, self.number + 1, before=(self.rows, self.digest), asked_at=self.asked_at)

    @property
    def agrees(self) -> bool:
        return [*self.before] == [self.rows, self.digest]

    @property
    def prefix(self) -> str:
        """Of the names of this pass's pages."""
        return f"pass{self.number:02}_" if self.number > 1 else ""


class _Fetched(NamedTuple):
    body: bytes
    content: Content
    answer: Answer
    place: Place | None


class Walk:
    """Over one window of a source, whose client is open."""

    def __init__(self, client: Client, described: Source, api: Api, window: Window) -> None:
        self.client, self.described, self.api, self.window = client, described, api, window
        self.query = {**api.query, **times.query(api.window, window)}

    def pages(self, landed: Sequence[Landed] = ()) -> Iterator[Page]:
        """From behind the last page that is landed; what counts stands with the last one."""
        first, names = paging.first(self.api.paging), [one.name for one in landed]
        state = State(**landed[-1].state) if landed else State(first)
        is_resumed, asked, last_pass = bool(landed), set[str](), state.number + MOST_PASSES
        while state.place is not None:
            self._check(state, last_pass, asked)
            try:
                found = self._fetched(state)
            except RefusedError:
                if not is_resumed:
                    raise
                state, is_resumed, asked = state.again(first), False, set()  # its cursor is known no more
                continue
            names.append(f"{state.prefix}{state.page + 1:06}{found.content.suffix}")
            state, is_resumed = self._behind(state, found), False
            facts = None
            if state.place is None and self.api.paging.counts and not state.agrees:
                state, asked = state.again(first), set()
            elif state.place is None:
                facts = self._facts(state, names)
            yield Page(names[-1], found.body, asdict(state), len(found.content.rows), facts)

    def _check(self, state: State, last_pass: int, asked: set[str]) -> None:
        if state.number == last_pass:
            raise SourceError(
                f"{self.client.url} had other rows in each of {MOST_PASSES} passes over the pages of one window: rows "
                "change or move meanwhile. The window stays open, and the next fetch reads it again. Where the API has "
                "cursors, take them (`paging: {by: cursor, ...}`)."
            )
        place = json.dumps(state.place, sort_keys=True)
        if place in asked:
            raise SourceError(
                f"{self.client.url} names as the next page one that it gave before (page {state.page} of the "
                "window), so there is no end. Correct `paging:`, or tell those who run the API."
            )
        asked.add(place)

    def _fetched(self, state: State) -> _Fetched:
        place = state.place or {}

        def read(answer: Answer) -> _Fetched:
            try:
                content = contents.read(answer.body, self.described, look=self.client.check)
            except ValueError as error:
                raise ValueError(f"{error} It is page {state.page + 1} of the window.") from None
            after = paging.following(self.api.paging, place, content, answer, self.client.within)
            return _Fetched(answer.body, content, answer, after)

        if "url" in place:
            return self.client.get(place["url"], {}, read)
        return self.client.get(self.client.url, self.query | place["query"], read)

    def _behind(self, state: State, found: _Fetched) -> State:
        at, rows = found.answer.answered_at, found.content.rows
        return replace(
            state,
            place=found.place,
            page=state.page + 1,
            rows=state.rows + len(rows),
            digest=(state.digest + contents.digest(rows)) % DIGESTS if self.api.paging.counts else 0,
            asked_at=state.asked_at or (at.isoformat() if at else ""),
        )

    def _facts(self, state: State, names: Sequence[str]) -> Mapping[str, object]:
        facts = dict(self.window.facts)
        if times.UPPER in facts and state.asked_at:
            facts[times.UPPER] = min(facts[times.UPPER], state.asked_at, key=datetime.fromisoformat)
        if state.number > 1:
            facts["pages"] = [name for name in names if name.startswith(state.prefix)]
        return facts
