"""The facts of conf/markets.yml by which texts of a market are read and shown: time zone, signs, format of dates.

Nothing is guessed from what files hold. A market that does not say how it writes has no `decimal_sign`, `group_sign` or
`date_format`: what fits two readings is then rejected (lakehouse.transforms.spelled_alike).
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    Row = Mapping[str, object]

NAME = "conf.markets"
DECIMAL_SIGN, GROUP_SIGN, DATE_FORMAT, TIME_ZONE = "decimal_sign", "group_sign", "date_format", "time_zone"
CAN_BE = {
    DECIMAL_SIGN: (".", ","),
    GROUP_SIGN: ("", ".", ",", "'", " "),
    DATE_FORMAT: ("yyyy-MM-dd", "dd.MM.yyyy", "dd/MM/yyyy", "dd-MM-yyyy", "MM/dd/yyyy"),
}
AS_READ = {DECIMAL_SIGN: ".", GROUP_SIGN: "", DATE_FORMAT: "yyyy-MM-dd"}  # what builds read without a further step
YEARS = range(1970, 2100)  # in which clocks are looked at: engines know no later ones


def check(path: Path, rows: Sequence[Row]) -> None:
    """Raises LakehouseError with all that can be no fact of a market; what is null is not said."""
    if wrong := [line for row in rows for line in _wrong(row)]:
        raise LakehouseError(
            "How markets write is not right:\n" + "\n".join(f"  {path}: market {line}" for line in wrong)
        )


def _wrong(row: Row) -> Iterator[str]:
    said = {name: row[name] for name in (*CAN_BE, TIME_ZONE) if row.get(name) is not None}
    for name, allowed in CAN_BE.items():
        if name in said and said[name] not in allowed:
            yield f"{row.get('market')}: {name} is one of {', '.join(map(repr, allowed))}, not {said[name]!r}"
    if (group := said.get(GROUP_SIGN)) and said.get(DECIMAL_SIGN) in {group, None}:
        yield f"{row.get('market')}: with {GROUP_SIGN} {group!r} it has a {DECIMAL_SIGN} of its own; say it"
    if TIME_ZONE in said and _zone(str(said[TIME_ZONE])) is None:
        yield f"{row.get('market')}: there is no time zone {said[TIME_ZONE]}; they are named as Africa/Nairobi"


def marked(rows: Sequence[Row]) -> list[dict[str, object]]:
    """The rows, with a column for each step that no market needs and builds then leave out (see lakehouse.transforms).

    `write_alike`: all write as builds read. `never_twice`: no clock of theirs shows an hour twice.
    """
    marks = {
        "write_alike": all(row.get(name) == value for row in rows for name, value in AS_READ.items()),
        "never_twice": all(_shows_each_hour_once(str(row.get(TIME_ZONE))) for row in rows),
    }
    return [{**row, **{name: True for name, holds in marks.items() if holds}} for row in rows]


@cache
def _zone(name: str) -> ZoneInfo | None:
    """None where there is no such zone."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a folder, a path that leads out, a name that is none
        return None


@cache
def _shows_each_hour_once(time_zone: str) -> bool:
    """Whether the zone's clocks always have the same difference to UTC, looked at month by month."""
    zone, months = _zone(time_zone), range(1, 13)
    days = (datetime(year, month, 1, tzinfo=UTC) for year in YEARS for month in months)
    return zone is not None and len({day.astimezone(zone).utcoffset() for day in days}) == 1
