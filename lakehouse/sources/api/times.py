"""Which times to ask for, and how they are written in a request."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from lakehouse.sources.windows import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lakehouse.described.api import Times

UPPER = "upper"  # of a window that was due: up to when all is known with it. One that somebody asked for has none
DAY, TICK, DATE = timedelta(days=1), timedelta(microseconds=1), len("2026-01-31")


def windows(
    said: Times | None, done: Sequence[Window], since: datetime | None, until: datetime | None, now: datetime
) -> list[Window]:
    """What somebody asks for; else from the last `upper`, less the overlap. A window without an end goes to its start.

    So one that was killed is found again, whenever that was.
    """
    if said is None:
        return [Window(None, None, now)]
    first = datetime.combine(said.first, time(), UTC) if said.first else None
    if since or until:
        return [Window(*bounds, now) for bounds in _bounds(said, since or first, until, now)]
    upper = next((datetime.fromisoformat(one.facts[UPPER]) for one in reversed(done) if UPPER in one.facts), None)
    begin = max((one for one in (first, upper and upper - said.overlap) if one), default=None)
    return [Window(*bounds, now, {UPPER: (bounds[1] or now).isoformat()}) for bounds in _bounds(said, begin, None, now)]


def _bounds(
    said: Times, since: datetime | None, until: datetime | None, now: datetime
) -> Iterator[tuple[datetime | None, datetime | None]]:
    """In parts of `at_most`; an API that knows no end gives all there is."""
    while said.at_most and since and since + said.at_most < (until or now):
        yield since, since + said.at_most
        since += said.at_most
    yield since, until if said.until else None


def query(said: Times | None, window: Window) -> Mapping[str, str]:
    """A day is asked for whole, whether or not the API counts its end in, and never one that is still to come."""
    if said is None:
        return {}
    is_days, end = said.written_as == "date", window.until or window.started_at
    last = min(end + DAY - TICK, window.started_at) if is_days else end
    texts = {name: _instant(at) for name, at in ((said.since, window.since), (said.until, last)) if name and at}
    return {name: text[:DATE] if is_days else text for name, text in texts.items()}


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
