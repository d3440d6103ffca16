"""What is wrong with a lake: from facts and limits, and nothing else. A problem has one key for as long as it lasts."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lakehouse.alerts.rules import KINDS
from lakehouse.described.terms import roughly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from lakehouse.alerts.facts import Facts
    from lakehouse.alerts.rules import Alerts, Kind, Severity
    from lakehouse.writes.measures import Measure

GIB = 1 << 30
CRITICAL: frozenset[Kind] = frozenset({"lake_unreachable", "never_started", "run_failed", "not_released", "disk"})
NAMED = 3


@dataclass(frozen=True)
class Problem:
    """`of`: what it is about, a table with its market or a name; `what` happened, `since` when, where that is known.

    `usual`: how bad that is against what is usual or promised. `remedy`: what to do; by the `command` one looks.
    """

    kind: Kind
    of: str
    what: str
    usual: str
    remedy: str
    command: str
    since: datetime | None = None
    severity: Severity = "warning"

    @property
    def key(self) -> str:
        """The same for as long as it is the same trouble, however its numbers move."""
        return f"{self.kind}:{self.of}"

    @property
    def title(self) -> str:
        return f"{self.kind.replace('_', ' ')}: {self.of}"


def found(facts: Facts, alerts: Alerts) -> list[Problem]:
    """Every problem that the facts tell of, but for those that are to be ignored."""
    every = [one for kind in KINDS if kind not in facts.unknown for one in OF_A_KIND[kind](facts, alerts)]
    return [one for one in every if not any(fnmatchcase(one.key, pattern) for pattern in alerts.ignore)]


def unjudged(facts: Facts) -> frozenset[str]:
    """The kinds of which the facts tell nothing: what was wrong may still be."""
    beside = {"never_started", "run_failed", "source_not_fetched"} if facts.unreachable else set[str]()
    return frozenset({*facts.unknown, *beside})


def _lake_unreachable(facts: Facts, _: Alerts) -> Iterator[Problem]:
    if facts.unreachable:
        last = facts.last.succeeded_at if facts.last else None
        yield _problem(
            "lake_unreachable",
            "lake",
            facts.unreachable,
            f"The last run that succeeded ended {_time(last)}." if last else "",
            "See whether the disk or the store is there, and whether this user still may read and write it.",
            "lakehouse status",
            since=last,
        )


def _never_started(facts: Facts, alerts: Alerts) -> Iterator[Problem]:
    """Of a lake that cannot be reached that is said instead."""
    last = facts.last.ended_at if facts.last else None
    if facts.unreachable or (last and facts.at - last <= alerts.limits.run_within):
        return
    yield _problem(
        "never_started",
        "run",
        f"No run has ended for {roughly(facts.at - last)}." if last else "No run has ever ended here.",
        f"One is to end within {roughly(alerts.limits.run_within)} (run_within).",
        "See whether the scheduler starts it, and whether one hangs: cron, timers, pods, and the machine's processes.",
        "lakehouse status",
        since=last,
    )


def _run_failed(facts: Facts, _: Alerts) -> Iterator[Problem]:
    last = facts.last
    if facts.unreachable:
        return
    good = f"The last run that succeeded ended {_time(last.succeeded_at)}." if last and last.succeeded_at else ""
    for table, turn in facts.failed.items():
        yield _problem(
            "run_failed",
            table,
            turn.error,
            good,
            "Do what the error says, and run again; the tables that do not depend on it are up to date.",
            "lakehouse status",
            since=turn.at,
        )
    if last and last.error and not facts.failed:
        yield _problem(
            "run_failed",
            "run",
            last.error,
            good,
            "Do what the error says, and run again.",
            "lakehouse plan",
            since=last.failing_since,
        )


def _source_not_fetched(facts: Facts, _: Alerts) -> Iterator[Problem]:
    if facts.unreachable or not facts.last:
        return
    for table, (why, since) in facts.last.not_fetched.items():
        yield _problem(
            "source_not_fetched",
            table,
            why,
            "Each run fetches what is due; what was landed before stays.",
            "See whether the API or database answers, and whether the key is still taken. The next run goes on where "
            "this one ended.",
            f"lakehouse fetch {table.partition('.')[2]} --dry-run",
            since=since,
        )


def _file_not_taken(facts: Facts, _: Alerts) -> Iterator[Problem]:
    for one in facts.unreadable:
        yield _problem(
            "file_not_taken",
            one.delivery.path,
            f"{one.delivery.path} cannot be read: {one.reason}",
            "All others were taken." if len(facts.unreadable) == 1 else f"It is one of {len(facts.unreadable):,}.",
            "Deliver it again, whole, under the same name; or take it away.",
            "lakehouse plan",
            since=one.delivery.modified_at,
        )


def _source_late(facts: Facts, _: Alerts) -> Iterator[Problem]:
    for one in facts.fresh:
        if one.is_broken and one.value is not None:
            promised = facts.promised[one.table_name]
            yield _problem(
                "source_late",
                _place(one),
                f"Its newest delivery is {one.value:,.1f} hours old.",
                f"{promised:g} hours are promised (fresh_within_hours): {one.value / promised:,.1f} times that.",
                "Ask who delivers it. Tables go on with what there is; the next run takes up what comes.",
                'lakehouse sql "select * from ops.freshness"',
                since=facts.at - timedelta(hours=one.value - promised),
            )


def _volume(facts: Facts, _: Alerts) -> Iterator[Problem]:
    for one in facts.compared:
        measure = one.noted.measure
        if measure.measure == "volume" and measure.is_broken:
            ratio = "" if measure.value is None else f"The oddest has {measure.value:,.2f} times the usual rows."
            yield _problem(
                "volume",
                _place(measure),
                f"{measure.note}.",
                f"{ratio} Compared with the median of the last deliveries.".strip(),
                "See whether the export is whole: then nothing need be done. Else deliver it again.",
                _rows("path, rows, status", "ops.files", "modified_at", table_name=measure.table_name),
                since=one.noted.at,
            )


def _reject_share(facts: Facts, alerts: Alerts) -> Iterator[Problem]:
    """One for a table and market, however many rules its last delivery breaks."""
    over: dict[str, list[tuple[float, str, str]]] = {}
    since: dict[str, tuple[str, datetime]] = {}
    for one in facts.compared:
        measure = one.noted.measure
        is_rejecting = measure.measure == "rule" and measure.severity == "reject"
        if is_rejecting and measure.share is not None and measure.share > alerts.limits.reject_share:
            usual = f"{measure.name} {_percent(one.usual or 0.0)}"
            what = f"{measure.name} {measure.broken:,} of {measure.checked:,} ({_percent(measure.share)})"
            over.setdefault(_place(measure), []).append((measure.share, what, usual))
            since[_place(measure)] = (measure.table_name, one.noted.at)
    for place, rules in over.items():
        worst = sorted(rules, reverse=True)[:NAMED]
        table, at = since[place]
        yield _problem(
            "reject_share",
            place,
            f"Rows of the last delivery are rejected by {'; '.join(what for _, what, _ in worst)}.",
            f"At most {_percent(alerts.limits.reject_share)} may be (reject_share). "
            f"Usual is: {', '.join(usual for *_, usual in worst)}.",
            "Correct them where they come from and deliver them again, or change the rule in the table's contract.",
            f"lakehouse rejected {table}",
            since=at,
        )


def _score(facts: Facts, alerts: Alerts) -> Iterator[Problem]:
    for one in facts.compared:
        measure = one.noted.measure
        if measure.measure == "score" and measure.value is not None and measure.value < alerts.limits.score:
            usual = "" if one.usual is None else f" Usual is {one.usual:.1f}."
            yield _problem(
                "score",
                _place(measure),
                f"The score of its last deliveries is {measure.value:.1f}.",
                f"At least {alerts.limits.score:g} is wanted (score).{usual}",
                "See which rules their rows break, and where they come from.",
                f"lakehouse rejected {measure.table_name}",
                since=one.noted.at,
            )


def _check(facts: Facts, _: Alerts) -> Iterator[Problem]:
    for one in facts.compared:
        measure = one.noted.measure
        is_sum = measure.measure == "reconciliation"
        if (is_sum or measure.severity == "warn") and measure.measure in {"rule", "check", "reconciliation"}:
            usual = "" if one.usual is None else f"Usual is {_percent(one.usual)}."
            why = facts.why.get((measure.table_name, measure.name), "").rstrip(".")
            broken = f"{measure.broken:,} of {measure.checked:,} do not hold it ({_percent(measure.share or 0.0)})."
            what = f"A sum does not close: {measure.note}." if is_sum else broken
            yield _problem(
                "check",
                f"{_place(measure)}/{measure.name}",
                f"{what} {why}." if why else what,
                usual,
                "Look at the rows, and correct them where they come from.",
                _rows(
                    "at, checked, broken, note", "ops.quality", "at", table_name=measure.table_name, name=measure.name
                ),
                since=one.noted.at,
            )


def _lag(facts: Facts, alerts: Alerts) -> Iterator[Problem]:
    """One for a topic and table, by its oldest message."""
    oldest: dict[str, tuple[datetime, int]] = {}
    for topic, one in facts.lags:
        if one.since and facts.at - one.since > alerts.limits.lag:
            place = f"{one.table}/{topic}"
            since, behind = oldest.get(place, (one.since, 0))
            oldest[place] = (min(since, one.since), behind + one.behind)
    for place, (since, behind) in oldest.items():
        yield _problem(
            "lag",
            place,
            f"{behind:,} offsets wait, the oldest message for {roughly(facts.at - since)}.",
            f"At most {roughly(alerts.limits.lag)} is wanted (lag).",
            "See whether `lakehouse run --every` runs; a round takes at most what the contract's `megabytes` says.",
            "lakehouse status",
            since=since,
        )


def _not_released(facts: Facts, alerts: Alerts) -> Iterator[Problem]:
    if facts.unreachable or (one := facts.unreleased) is None:
        return
    readers = f"Readers still have release {one.newest}." if one.newest else "There is no release yet."
    yield _problem(
        "not_released",
        "release",
        f"What was written {roughly(facts.at - one.since)} ago is in no release: {one.why}",
        f"It is to be within {roughly(alerts.limits.released_within)} (released_within). {readers}",
        "Mend what stops it and run again, or publish the rest by the command that these words name.",
        "lakehouse publish",
        since=one.since,
    )


def _disk(facts: Facts, alerts: Alerts) -> Iterator[Problem]:
    for one in facts.disks:
        if one.free < alerts.limits.disk_free * one.total:
            free = one.free / one.total
            yield _problem(
                "disk",
                one.path,
                f"{one.free / GIB:,.1f} of {one.total / GIB:,.1f} GiB are free ({_percent(free)}).",
                f"At least {_percent(alerts.limits.disk_free)} is to be (disk_free).",
                "Delete what no version and release needs, or make room: a run on a full disk fails.",
                "lakehouse maintain --dry-run",
            )


def _sql(facts: Facts, alerts: Alerts) -> Iterator[Problem]:
    for name, one in alerts.conditions.items():
        answer = facts.answers.get(name)
        if answer is None or not (answer.rows or answer.problem):
            continue
        rows = f"{answer.rows:,} {'row' if answer.rows == 1 else 'rows'}: {'; '.join(answer.first)}"
        yield Problem(
            "sql",
            name,
            f"The condition cannot be asked: {answer.problem}" if answer.problem else f"{one.why}. It finds {rows}",
            "No row is wanted.",
            "Correct its `sql` in conf/alerts.yml." if answer.problem else one.remedy,
            f"lakehouse sql {shlex.quote(one.sql.strip())}",
            severity=one.severity,
        )


OF_A_KIND: Mapping[Kind, Callable[[Facts, Alerts], Iterator[Problem]]] = {
    "lake_unreachable": _lake_unreachable,
    "never_started": _never_started,
    "run_failed": _run_failed,
    "source_not_fetched": _source_not_fetched,
    "file_not_taken": _file_not_taken,
    "source_late": _source_late,
    "volume": _volume,
    "reject_share": _reject_share,
    "score": _score,
    "check": _check,
    "lag": _lag,
    "not_released": _not_released,
    "disk": _disk,
    "sql": _sql,
}


def _problem(
    kind: Kind, of: str, what: str, usual: str, remedy: str, command: str, since: datetime | None = None
) -> Problem:
    return Problem(kind, of, what, usual, remedy, command, since, "critical" if kind in CRITICAL else "warning")


def _rows(columns: str, table: str, newest_by: str, **of: str) -> str:
    """The command that shows the newest rows of a table of the core."""
    where = " and ".join(f"{name} = '{value}'" for name, value in of.items())
    return f'lakehouse sql "select {columns} from {table} where {where} order by {newest_by} desc limit 20"'  # noqa: S608


def _place(measure: Measure) -> str:
    return measure.table_name if measure.market is None else f"{measure.table_name}/{measure.market}"


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "never"
