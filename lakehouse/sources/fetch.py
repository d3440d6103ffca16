"""Land what a source has: its windows that are due, page by page, each object whole and put once.

Beside each page lies what fetching needs to go on behind it, so a fetch that is killed goes on at the page that it was
killed at. Two at once, of one source, land windows of their own, which is harmless: the same rows twice are quiet.
Where both go on with one window, one of them puts its next page, and the other is told.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, overload

from lakehouse.intake.deliveries import fetched
from lakehouse.intake.deliveries.fetched import COMPLETE, Complete, Part
from lakehouse.readers.records import UnreadableError
from lakehouse.sources.windows import Landed, SourceError, Window
from lakehouse.store import storage
from lakehouse.store.storage import MissingFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakehouse.sources.windows import Page, Source

PAGES = "_pages"  # of a window that is not whole: a state for each page
GOES_ON = timedelta(days=1)  # after its start; later a source may not know any more where it was
TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Fetched:
    """What was landed of a source; of a window in progress so far. `rows`: as far as the source knows them."""

    table: str
    windows: int = 0
    pages: int = 0
    rows: int = 0
    bytes: int = 0

    def with_page(self, part: Part) -> Fetched:
        rows, size = self.rows + (part.rows or 0), self.bytes + part.size
        return replace(self, pages=self.pages + 1, rows=rows, bytes=size)


class Done(Sequence[Window]):
    """The windows that are whole, oldest first; what one says is read when it is looked at."""

    def __init__(self, landing: str, paths: Sequence[str]) -> None:
        self._landing, self._paths = landing, paths

    def __len__(self) -> int:  # noqa: D105  as of any sequence
        return len(self._paths)

    @overload
    def __getitem__(self, place: int) -> Window: ...
    @overload
    def __getitem__(self, place: slice) -> list[Window]: ...
    def __getitem__(self, place: int | slice) -> Window | list[Window]:  # noqa: D105
        if isinstance(place, slice):
            return [self._read(path) for path in self._paths[place]]
        return self._read(self._paths[place])

    def _read(self, path: str) -> Window:
        try:
            said, _ = fetched.complete(self._landing, path)
        except UnreadableError as error:
            raise SourceError(f"{path} {error}") from error
        return Window(said.since, said.until, said.started_at, said.facts)


@dataclass(frozen=True)
class _Begun:
    """A window that is not whole yet, and what is there of it: pages that count by name, and what the last one said."""

    path: str
    window: Window
    parts: Mapping[str, Part]
    landed: Sequence[Landed] = ()


def fetch(
    landing: str,
    table: str,
    source: Source,
    definition: str,
    since: datetime | None = None,
    until: datetime | None = None,
    say: Callable[[Fetched], None] = lambda _: None,
) -> Fetched:
    """Land the windows of a table's source that are due, or what lies in a time that somebody asks for.

    A window that was begun, with this `definition` of the source, is finished first. Raises LakehouseError where the
    source cannot be fetched; what is landed by then stays, and the next fetch goes on behind it.
    """
    there, now, total = _there(landing, table), datetime.now(UTC), Fetched(table)
    open_ones = [path for path, names in there.items() if COMPLETE not in names]
    finished = set[tuple[datetime | None, datetime | None]]()
    if begun := _begun(landing, there, definition, now):
        total = _land(landing, source, begun, definition, total, say)
        there[begun.path].add(COMPLETE)
        finished.add((begun.window.since, begun.window.until))
    done = Done(landing, [path for path in sorted(there) if COMPLETE in there[path]])
    for due in source.windows(done, since, until, now):
        if (due.since, due.until) not in finished:
            started_at = max([datetime.now(UTC), *(fetched.started_at(path) + TICK for path in there)])
            path = fetched.folder(table, started_at)
            there[path] = {COMPLETE}
            total = _land(
                landing, source, _Begun(path, replace(due, started_at=started_at), {}), definition, total, say
            )
    for path in open_ones:
        if fetched.started_at(path) < now - GOES_ON:
            storage.delete_all(f"{landing}/{path}")
    return total


def _there(landing: str, table: str) -> dict[str, set[str]]:
    """By folder the names of what lies in the windows of a table."""
    below = fetched.folder_of(table)
    found = defaultdict[str, set[str]](set)
    for file in storage.list_files(f"{landing}/{below}"):
        started, _, name = file.path.partition("/")
        if fetched.is_window(f"{below}/{started}"):
            found[f"{below}/{started}"].add(name)
    return found


def _begun(landing: str, there: Mapping[str, set[str]], definition: str, now: datetime) -> _Begun | None:
    """The last window, where it is not whole and can be gone on with; a page without its state is no page of it."""
    path = max(there, default="")
    if not path or COMPLETE in there[path] or fetched.started_at(path) < now - GOES_ON:
        return None
    states = sorted(name for name in there[path] if name.startswith(f"{PAGES}/"))
    said = [json.loads(text) for text in storage.each(lambda one: storage.read_bytes(landing, f"{path}/{one}"), states)]
    if not said or said[-1]["definition"] != definition:
        return None
    parts = {one["page"]["name"]: Part(**one["page"]) for one in said}
    for name in there[path]:
        if "/" not in name and name not in parts:
            storage.delete(landing, f"{path}/{name}")
    since, until = (fetched.moment(said[-1][name]) for name in ("since", "until"))
    window = Window(since, until, fetched.started_at(path), said[-1]["facts"])
    return _Begun(path, window, parts, [Landed(one["page"]["name"], one["state"]) for one in said])


def _land(
    landing: str, source: Source, begun: _Begun, definition: str, total: Fetched, say: Callable[[Fetched], None]
) -> Fetched:
    """All pages of the window that are not there yet, and at the end the list of those that count."""
    window, parts = begun.window, dict(begun.parts)
    for page in source.pages(window, begun.landed):
        body = page.body if isinstance(page.body, bytes) else page.body.read_bytes()
        part = Part(page.name, len(body), hashlib.sha256(body).hexdigest(), page.rows)
        window = window if page.facts is None else replace(window, facts=page.facts)
        _put(landing, f"{begun.path}/{page.name}", body)
        _put(landing, f"{begun.path}/{PAGES}/{page.name}.json", _state(window, part, page, definition))
        parts[page.name], total = part, total.with_page(part)
        say(total)
    counting = window.facts.get("pages", parts)
    listed = tuple(parts[name] for name in sorted(parts) if name in counting)
    whole = Complete(window.since, window.until, window.started_at, window.facts, listed)
    _put(landing, f"{begun.path}/{COMPLETE}", whole.to_json())
    storage.delete_all(f"{landing}/{begun.path}/{PAGES}")
    return replace(total, windows=total.windows + 1)


def _state(window: Window, part: Part, page: Page, definition: str) -> bytes:
    times = {name: fetched.text_of(getattr(window, name)) for name in ("since", "until")}
    said: dict[str, Any] = {**times, "facts": window.facts, "definition": definition}
    return json.dumps({**said, "page": asdict(part), "state": page.state}, ensure_ascii=False).encode()


def _put(landing: str, path: str, content: bytes) -> None:
    """Whole, or not at all, and never over what another fetch has put there."""
    if storage.put_if_absent(landing, path, content):
        return
    try:
        is_ours = storage.read_bytes(landing, path) == content  # after an answer that was lost
    except MissingFileError:
        raise SourceError(f"The store did not take {landing}/{path}. Fetch again: it goes on at this page.") from None
    if not is_ours:
        raise SourceError(
            f"{path} was put by another fetch of the same window, which goes on with it. Let that one do it."
        )
