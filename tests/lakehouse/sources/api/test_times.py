"""Which windows are due, and how their bounds stand in a request."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from lakehouse.described.api import Times
from lakehouse.sources.api import times
from lakehouse.sources.windows import Window
from tests.selling import ONCE, Shop, lines, read

NOW = datetime(2026, 1, 9, 12, 30, tzinfo=UTC)
DAYS: dict[str, Any] = {"since": "start_date", "until": "end_date", "first": date(2026, 1, 1), "overlap": "2d"}
CHANGES: dict[str, Any] = {"since": "updated_since", "as": "time", "overlap": "10m"}


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, minute, tzinfo=UTC)


def due(said: dict[str, Any], *done: Window, **asked: datetime) -> list[tuple[datetime | None, datetime | None]]:
    found = times.windows(Times(**said), done, asked.get("since"), asked.get("until"), NOW)
    return [(one.since, one.until) for one in found]


def test_the_first_window_begins_with_the_data_and_the_next_with_the_overlap() -> None:
    (first,) = times.windows(Times(**DAYS), [], None, None, NOW)
    assert (first.since, first.until) == (at(1), None)
    asked_for = Window(at(1), at(2), NOW)  # by somebody: it says nothing of the days since then
    assert due(DAYS, first, asked_for) == [(at(7, 12, 30), None)]
    assert due(CHANGES) == [(None, None)]
    assert due(CHANGES, Window(None, None, NOW, {"upper": NOW.isoformat()})) == [(at(9, 12, 20), None)]


def test_a_long_time_falls_into_several_windows() -> None:
    assert due({**DAYS, "at_most": "4d"}) == [(at(1), at(5)), (at(5), at(9)), (at(9), None)]


def test_what_somebody_asks_for_is_fetched_and_nothing_else() -> None:
    assert due(DAYS, since=at(3), until=at(4)) == [(at(3), at(4))]
    assert due(DAYS, until=at(4)) == [(at(1), at(4))]
    assert due(DAYS, since=at(3)) == [(at(3), None)]
    assert due(CHANGES, since=at(3), until=at(4)) == [(at(3), None)]  # this API knows no end
    assert times.windows(None, [], at(3), None, NOW) == [Window(None, None, NOW)]


def test_days_are_asked_for_whole_and_none_that_is_still_to_come() -> None:
    def query(since: datetime, until: datetime | None) -> dict[str, str]:
        return dict(times.query(Times(**DAYS), Window(since, until, NOW)))

    assert query(at(3, 10), at(4)) == {"start_date": "2026-01-03", "end_date": "2026-01-04"}
    assert query(at(3), at(4, 1)) == {"start_date": "2026-01-03", "end_date": "2026-01-05"}
    assert query(at(3), NOW) == query(at(3), None) == {"start_date": "2026-01-03", "end_date": "2026-01-09"}
    assert times.query(Times(**CHANGES), Window(at(3), None, NOW)) == {"updated_since": "2026-01-03T00:00:00Z"}
    assert times.query(Times(**CHANGES), Window(None, None, NOW)) == {}


def test_a_window_is_known_up_to_when_the_server_was_asked_by_its_own_clock(shop: Shop) -> None:
    said: dict[str, Any] = {"since": "updated_since", "as": "time"}
    late = datetime.now(UTC) + timedelta(hours=3)  # our clock is wrong
    (window,) = times.windows(Times(**said), [], None, None, late)
    source = shop.source(window=said)
    pages = read(source, window=window)
    assert lines(source, pages) == ONCE
    assert datetime.fromisoformat((pages[-1].facts or {})["upper"]) < late - timedelta(hours=2)
    assert read(source, window=Window(at(4), None, NOW))[-1].facts == {}


def test_windows_bring_what_belongs_to_them(shop: Shop) -> None:
    source = shop.source(window=DAYS)
    found = lines(source, read(source, window=Window(at(2), at(3), NOW)))
    assert found == {row["line_id"]: 1 for row in shop.api.rows if row["sold_at"][8:10] in {"02", "03"}}
