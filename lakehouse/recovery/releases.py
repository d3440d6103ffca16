"""Releases: points of the lake at which every table goes with every other, one row of `ops.releases` each.

A release is closed: each table includes the versions of its inputs that the release names, or ones that differ from
them by no data. It is made from the logs alone, no engine starts.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from lakehouse import conf, logs
from lakehouse.audit import quality
from lakehouse.audit.history import History
from lakehouse.delta.commits import ops
from lakehouse.delta.commits.conflicts import after_others
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Input, State
from lakehouse.delta.upkeep import vacuum
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger, retracted
from lakehouse.runs import plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lakehouse.audit.turns import Decision
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Ledger
    from lakehouse.writes.measures import Measure

RELEASES = "ops.releases"
NOTE = "release"
OVERLAP = timedelta(days=1)  # by which a run may have begun before a release that was published while it ran
NAMED = 3
NEWEST = 8  # kept releases that are named
TYPES: Mapping[str, ops.Kind] = {
    "number": "whole",
    "published_at": "moment",
    "run": "text",
    "engine": "text",
    "code": "text",
    "moved": "whole",
    **dict.fromkeys(("tables", "ids", "quality", "despite"), "text"),
}


class NotClosedError(LakehouseError):
    """Some table does not go with the others, so there is no release."""


@dataclass(frozen=True)
class Release:
    """`tables`: the version of every table that there was, of quarantines and the ledger too, and `ids` Delta's.

    `moved` tables are others than in the release before, `run` wrote the last of them by `engine`; `code` is a hash of
    all definitions. `quality`: the newest score of each table that has one, by market. `despite`: why it was published
    although these rules kept tables as they were.
    """

    number: int
    published_at: datetime
    run: str
    engine: str
    code: str
    tables: Mapping[str, int]
    quality: Mapping[str, float]
    despite: Mapping[str, str]
    ids: Mapping[str, str] = field(default_factory=dict)
    moved: int = 0

    @property
    def point(self) -> dict[str, Input]:
        """What readers of tables take (`Lake`, `serving.sql`)."""
        return {name: Input(version, self.ids[name]) for name, version in self.tables.items()}


# Which there are ------------------------------------------------------------------------------------------------------


def releases(root: str) -> list[Release]:
    """All that were published, the oldest first."""
    with _whole(root):
        rows = ops.query(progress.address(root, RELEASES), "select * from t order by number")
    return [_release(row) for row in rows]


@contextmanager
def _whole(root: str) -> Iterator[None]:
    """The table can be read; what else can be done about it than about others."""
    try:
        yield
    except log.NO_SNAPSHOT as error:
        address = progress.address(root, RELEASES)
        raise LakehouseError(
            f"{RELEASES} cannot be read, so nothing is released, and no release can be asked for: {error} Tables are "
            f"what they are all the same, and are read without --release. Or move {address} away: releases begin anew "
            "with 1, and who went by older ones is told that there are none."
        ) from error


def release(root: str, number: int) -> Release:
    """Raises LakehouseError with the numbers that there are, or where it has expired."""
    known = releases(root)
    for one in known:
        if one.number == number:
            return _not_expired(root, one, known)
    raise LakehouseError(f"There is no release {number}. {_there_are(root, known)}")


def as_of(root: str, moment: datetime) -> Release:
    """The newest that was published by then. Raises LakehouseError where there was none yet, or it has expired."""
    known = releases(root)
    if found := [one for one in known if one.published_at <= moment]:
        return _not_expired(root, found[-1], known)
    raise LakehouseError(f"There was no release yet at {_time(moment)}. {_there_are(root, known)}")


def kept(known: Sequence[Release], days: int) -> list[Release]:
    """Those that maintenance keeps: the newest, and all that were published within so many days."""
    since = datetime.now(UTC) - timedelta(days=days)
    return [one for one in known if one.published_at >= since or one is known[-1]]


def expired(root: str, known: Sequence[Release], days: int) -> dict[int, str]:
    """By number why older ones cannot be read any more, where that is so."""
    older = [one for one in known if one not in kept(known, days)]
    versions: dict[str, set[int]] = {}
    for one in older:
        for name, version in one.tables.items():
            versions.setdefault(name, set()).add(version)
    gone = vacuum.lost(root, versions)
    why = {one.number: [gone[place] for place in one.tables.items() if place in gone] for one in older}
    return {number: words[0] for number, words in why.items() if words}


def _not_expired(root: str, one: Release, known: list[Release]) -> Release:
    """What maintenance keeps is not looked at, since that takes a request and more for each table."""
    if one not in kept(known, _days()) and (words := _gone(root, one, known)):
        raise LakehouseError(words)
    return one


@contextmanager
def reading(root: str, one: Release | None) -> Iterator[None]:
    """What fails at a release that somebody took files from is said like that."""
    try:
        yield
    except Exception as error:
        if one and (words := _gone(root, one, releases(root))):
            raise LakehouseError(words) from error
        raise


def _days() -> int:
    return conf.settings(conf.HOME / "conf").retention.releases


def _gone(root: str, one: Release, known: list[Release]) -> str:
    """That a release cannot be read any more, and which can; empty where it can."""
    lost = vacuum.lost(root, {name: [version] for name, version in one.tables.items()})
    if not lost:
        return ""
    days, (table, _), why = _days(), *next(iter(lost.items()))
    until = one.published_at + timedelta(days=days)
    if until < datetime.now(UTC):
        said = f"has expired: releases are kept for {days} days (`retention:` in conf/lake.yml), it was until"
    else:
        said = "cannot be read, since somebody else than `lakehouse maintain` deleted of it: it was to be kept until"
    others = [str(other.number) for other in kept(known, days) if other != one]
    older = "older ones, and " if others[NEWEST:] else ""
    return (
        f"Release {one.number} of {_time(one.published_at)} {said} {_time(until)}. Of {table}: {why.rstrip('.')}. "
        f"Kept are: {older}{', '.join(others[-NEWEST:]) or 'none besides'}."
    )


def asked(root: str, number: int | None, moment: str | None) -> Release | None:
    """By its number or a time, as people give them; None where they give neither."""
    if number is not None and moment is not None:
        raise LakehouseError("A release is named by its number or by a time. Give one of them.")
    if moment is not None:
        return as_of(root, ops.moment(moment))
    return None if number is None else release(root, number)


def _there_are(root: str, known: list[Release]) -> str:
    if not known:
        return f"{root} has none yet: `lakehouse publish` makes the first."
    first, last = known[0], known[-1]
    numbers = f"{first.number} to {last.number}" if len(known) > 1 else f"{first.number}"
    return f"There are: {numbers}, published from {_time(first.published_at)} to {_time(last.published_at)}."


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def newest(root: str) -> Release | None:
    """The last one; None before the first."""
    return _newest(root, None)


def last(root: str) -> Release:
    """The newest one. Raises LakehouseError before the first."""
    found = newest(root)
    if found is None:
        raise LakehouseError(f"There is no release to read. {_there_are(root, [])}")
    return found


def _newest(root: str, version: int | None) -> Release | None:
    """Its commit's note tells it, without the rows of all others, unless somebody's OPTIMIZE came after it."""
    address = progress.address(root, RELEASES)
    with _whole(root):
        commits = log.history(address, 1, until=version)
    if commits and (row := _noted(commits[0].user_metadata)):
        return _release(row | {"published_at": datetime.fromisoformat(row["published_at"])})
    with _whole(root):
        rows = ops.query(address, "select * from t order by number desc limit 1", version)
    return _release(rows[0]) if rows else None


def _noted(text: str | None) -> dict[str, Any] | None:
    try:
        return json.loads(text or "{}").get(NOTE)  # type: ignore[no-any-return]
    except (ValueError, AttributeError):
        return None


def _release(row: Mapping[str, Any]) -> Release:
    texts = {name: json.loads(row[name]) for name in ("tables", "ids", "quality", "despite")}
    return Release(**{one.name: row[one.name] for one in fields(Release) if one.name in row} | texts)


def _row(one: Release) -> dict[str, Any]:
    texts = {name: json.dumps(getattr(one, name)) for name in ("tables", "ids", "quality", "despite")}
    return asdict(one) | texts


# One more -------------------------------------------------------------------------------------------------------------


def is_behind(root: str, there: Mapping[str, State]) -> bool:
    """Whether these tables hold other data than the newest release says; a look at few logs."""
    last = newest(root)
    return last is None or any(_moved(root, last, name, one) for name, one in there.items())


@dataclass(frozen=True)
class Unreleased:
    """Since when a table holds what no release has, which one is the newest, and why there is none after it."""

    since: datetime
    newest: int | None
    why: str


def unreleased(root: str, tables: Mapping[str, Table], known: Ledger, before: datetime) -> Unreleased | None:
    """What was committed before a moment and is in no release; None where there is no such thing."""
    last, states = newest(root), plan.states(root, tables.values())
    there = {name: one for name, one in states.items() if isinstance(one, State) and name in tables}
    since = [at for name, one in there.items() if (at := _waiting_since(root, last, name, one)) and at < before]
    if not since:
        return None
    try:
        _closed(root, tables, known, {})
        why = "nobody has published since; `lakehouse publish` does it"
    except LakehouseError as error:
        why = str(error)
    return Unreleased(min(since), last.number if last else None, why)


def _waiting_since(root: str, last: Release | None, name: str, now: State) -> datetime | None:
    """When the first commit was made that the release lacks; None where it lacks no data."""
    address = progress.address(root, name)
    if last is None or last.ids.get(name) != now.id:
        return progress.written_at(address)
    if not progress.moved(address, last.tables[name], now.version):
        return None
    first = log.history(address, 1, until=last.tables[name] + 1)
    return datetime.fromtimestamp(first[0].timestamp / 1000, UTC) if first else last.published_at


@after_others  # then all is looked at again: a later number is never an older lake
def publish(
    root: str, tables: Mapping[str, Table], despite: Mapping[str, str] | None = None, known: Ledger | None = None
) -> Release | None:
    """The lake as it stands, under the next number; None where nothing moved since the last release.

    `despite` says, by rule, why it does no harm that the rule kept a table, and what is made from it, at a version
    before. Raises NotClosedError where a table does not go with the others.
    """
    with _whole(root):
        stored = log.snapshot(progress.address(root, RELEASES))
    version = stored.version if stored else -1
    last = _newest(root, version) if stored else None
    there = _closed(root, tables, ledger.read(root, known), despite or {})
    moved = [name for name, one in there.items() if last is None or _moved(root, last, name, one)]
    if last and not moved and last.tables.keys() - {ledger.FILES} <= there.keys():
        return None
    files = log.snapshot(progress.address(root, ledger.FILES))
    notes = [note for name in tables if name in moved and (note := there[name].progress)]
    versions = {name: (one.version, one.id) for name, one in there.items()}
    versions |= {ledger.FILES: (files.version, files.id)} if files else {}
    scores = quality.newest(root, "score", last.published_at - OVERLAP if last else ops.EPOCH)
    made = Release(
        number=last.number + 1 if last else 1,
        published_at=datetime.now(UTC),
        run=notes[-1].run if notes else "",
        engine=notes[-1].engine if notes else "",
        code=_code(tables),
        tables={name: versions[name][0] for name in sorted(versions)},
        quality=dict(last.quality if last else {}) | _by_table(one.measure for one in scores),
        despite=despite or {},
        ids={name: versions[name][1] for name in sorted(versions)},
        moved=sum(name in tables for name in moved),
    )
    row = _row(made)
    said = json.dumps({NOTE: row | {"published_at": made.published_at.isoformat()}}, separators=(",", ":"))
    ops.follow(root, RELEASES, TYPES, [row], version, said)
    logs.event("release published", release=made.number, moved=made.moved)
    return made


def _moved(root: str, last: Release, name: str, now: State) -> bool:
    """Whether a table holds other data than in that release, or is another one; its versions since then are few."""
    is_same = last.ids.get(name) == now.id
    return not is_same or progress.moved(progress.address(root, name), last.tables[name], now.version)


def _code(tables: Mapping[str, Table]) -> str:
    """Of two releases the same where all definitions, and the core's part of them, were."""
    definitions = "\n".join(f"{name} {tables[name].fingerprint}" for name in sorted(tables))
    return hashlib.sha256(definitions.encode()).hexdigest()[:12]


def _by_table(scores: Iterable[Measure]) -> dict[str, float]:
    markets = {one: "" if one.market is None else f" market {one.market}" for one in scores}
    return {f"{one.table_name}{market}": one.value for one, market in markets.items() if one.value is not None}


# Whether it is closed -------------------------------------------------------------------------------------------------


def _closed(root: str, tables: Mapping[str, Table], files: Ledger, despite: Mapping[str, str]) -> dict[str, State]:
    """The tables that there are, and their quarantines, all read at one moment, of which each goes with the others.

    That is so where a run that saw these versions would have nothing to do. Raises NotClosedError where it would.
    """
    states, history = plan.states(root, tables.values()), History(root)
    taken = retracted.marked(files.taken(), retracted.read())
    decisions = plan.decide_all(root, tables.values(), taken, history, states)
    behind = {name: one for name, one in decisions.items() if _is_behind(tables[name], one)}
    stopped = _stopped(root, behind, history)
    if strange := sorted(despite.keys() - {rule for rules in stopped.values() for rule in rules}):
        raise LakehouseError(_stopped_nothing(strange, stopped))
    excused = {name for name, rules in stopped.items() if despite.keys() >= {*rules}}
    for name, table in tables.items():  # parents come first; what is made from these did not run
        excused |= {name} if excused & {*table.parents} else set()
    if left := {name: one for name, one in behind.items() if name not in excused or not _is_as_it_was(one)}:
        raise NotClosedError(_not_closed(left, {name: rules for name, rules in stopped.items() if name in left}))
    there = {name: one for name, one in states.items() if isinstance(one, State)}
    if not there:
        raise LakehouseError(f"There is no table in {root} yet, so nothing to release. Build them: `lakehouse run`.")
    return there


def _is_behind(table: Table, one: Decision) -> bool:
    """Deliveries that bronze does not hold yet are in no table; a table that is not there disagrees with none."""
    if table.contract.source:
        return one.path == "stop"
    is_not_there = one.state is None and one.path in {"first", "wait"} and not one.unreadable
    return one.path not in {"nothing", "describe"} and not is_not_there


def _is_as_it_was(one: Decision) -> bool:
    """Whether a table that lacks what is new holds what its own last commit wrote."""
    if one.path == "stop" or one.unreadable:
        return False
    return one.state is None or (one.state.progress is not None and not progress.lost_files(one.state.snapshot))


def _stopped(root: str, behind: Mapping[str, Decision], history: History) -> dict[str, tuple[str, ...]]:
    """Of the tables that are behind those that a check kept so in their last run, with the rules that did not hold."""
    last = {name: next(iter(history.of(name)), None) for name in behind}
    return quality.stopped(root, {name: one.run for name, one in last.items() if one and one.error})


def _stopped_nothing(rules: Sequence[str], stopped: Mapping[str, Sequence[str]]) -> str:
    there_are = "; ".join(f"{', '.join(names)} stopped {table}" for table, names in stopped.items())
    return f"{', '.join(rules)} stopped no table in its last run. {there_are or 'No rule did'}."


def _not_closed(behind: Mapping[str, Decision], stopped: Mapping[str, Sequence[str]]) -> str:
    """First what rules stopped: the others may only wait for it."""
    if stopped:
        said = "; ".join(f"{table} was stopped by {', '.join(rules)}" for table, rules in stopped.items())
        named = " ".join(
            f"--despite {rule}" for rule in dict.fromkeys(one for rules in stopped.values() for one in rules)
        )
        return (
            f"Nothing is released: {said}. Correct that and run again; or release the others, and these as they were: "
            f'`lakehouse publish {named} --why "..."`.'
        )
    said = "; ".join(f"{name}: {one.reason}" for name, one in islice(behind.items(), NAMED))
    more = f"; and {len(behind) - NAMED} more tables" if len(behind) > NAMED else ""
    return f"Nothing is released: {said}{more}. `lakehouse run` brings all tables up to date and releases them."
