"""Maintenance that knows its readers: tables are compacted, and what nobody can want to read any more is deleted.

Kept is what was the newest within the days of `retention: versions`, what kept releases hold, and what tables that are
behind have not read yet: the version of the input that their note names, and all changes since. A table's properties
say how long releases are kept, so that somebody else's VACUUM keeps them, too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lakehouse.conf import LONGEST
from lakehouse.delta.commits import committer, conflicts
from lakehouse.delta.tables import log, progress
from lakehouse.delta.upkeep import compaction, logs, vacuum
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.logs import event
from lakehouse.recovery import releases
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from lakehouse.conf import Retention
    from lakehouse.delta.upkeep.compaction import Compacted
    from lakehouse.graph import Table

OPS = "ops"
DELETED, LOGS = "delta.deletedFileRetentionDuration", "delta.logRetentionDuration"
DAYS_OF_DELTA = {DELETED: 7, LOGS: 30}  # where a table does not say
INTERVAL = re.compile(r"(?:interval )?(\d+) (hour|day|week|month|year)s?", re.IGNORECASE)
HOURS = {"hour": 1, "day": 24, "week": 7 * 24, "month": 30 * 24, "year": 365 * 24}
Versions = dict[str, list[int]]  # by table


@dataclass(frozen=True)
class Maintained:
    """What was done with one table, or would be. `freed`: files that were deleted, and their `bytes`.

    `logs`: how many of its log were. `problem`: why it was left as it is, or a part of it.
    """

    table: str
    compacted: Compacted | None = None
    freed: int = 0
    bytes: int = 0
    logs: int = 0
    problem: str = ""


def maintain(
    root: str,
    tables: Mapping[str, Table],
    retention: Retention,
    released: Versions,
    say: Callable[[Maintained], None] = lambda _: None,
    *,
    dry_run: bool = False,
) -> list[Maintained]:
    """Each table in turn, also quarantines and the core's own; `released`: the versions that kept releases hold.

    What stops one table stops no other, and a run that is quicker wins.
    """
    root, done = storage.normalise(root), list[Maintained]()
    behind = _behind(root, tables)
    for name in names(root, tables):
        address = progress.address(root, name)
        needed = Needed(retention, behind.get(name, ()), tuple(released.get(name, ())))
        first = _would(name, address) if dry_run else _compacted(name, address, needed)
        done.append(one := _freed(first, address, needed, dry_run=dry_run))
        if not dry_run and (one.compacted or one.freed or one.logs):
            event("table maintained", table=name, compacted=bool(one.compacted), files=one.freed, bytes=one.bytes)
        say(one)
    return done


def compact(root: str, tables: Mapping[str, Table], retention: Retention) -> list[Maintained]:
    """Only that: of what piled up since an hour ago nothing is old enough to be deleted."""
    root = storage.normalise(root)
    return [_compacted(name, progress.address(root, name), Needed(retention)) for name in names(root, tables)]


def compact_some(root: str, tables: Iterable[str], retention: Retention) -> list[Maintained]:
    """One file of what piled up in each of these tables, which takes a second at most; nothing of a table without."""
    places = {name: progress.address(storage.normalise(root), name) for name in tables}
    found = [_compacted(name, address, Needed(retention), most=1) for name, address in places.items()]
    return [one for one in found if one.compacted or one.problem]


def released(root: str, retention: Retention) -> Versions:
    """The versions that the kept releases hold."""
    found = defaultdict[str, list[int]](list)
    for one in releases.kept(releases.releases(storage.normalise(root)), retention.releases):
        for name, version in one.tables.items():
            found[name].append(version)
    return found


@dataclass(frozen=True)
class Needed:
    """What of a table is still read: for some days, by tables that are behind, and by releases."""

    retention: Retention
    behind: Collection[int] = ()
    released: Collection[int] = ()

    def unnamed(self, address: str) -> list[storage.StoredFile]:
        """The files that nobody needs."""
        return vacuum.unnamed(address, self._since(address, self.retention.versions), self.released)

    def entries(self, address: str) -> list[storage.StoredFile]:
        """The files of its log that nobody needs."""
        longest = max(self.retention.logs, self.retention.versions)
        return logs.unneeded(address, min([self._since(address, longest), *self.released]))

    def _since(self, address: str, days: int) -> int:
        return min([vacuum.current_at(address, datetime.now(UTC) - timedelta(days=days)), *self.behind])

    @property
    def properties(self) -> dict[str, int]:
        """Days that others must keep."""
        return {DELETED: max(self.retention.versions, self.retention.releases), LOGS: LONGEST}


def names(root: str, tables: Iterable[str]) -> Iterator[str]:
    """The tables that are there: the project's, their quarantines, and the core's own."""
    core = {one.path.split("/")[0] for one in storage.list_files(f"{root}/{OPS}")}
    known = (one for name in tables for one in (name, progress.rejected(name)))
    for name in (*known, *(f"{OPS}.{one}" for one in sorted(core))):
        if next(storage.list_files(f"{progress.address(root, name)}/_delta_log"), None):
            yield name


def _behind(root: str, tables: Iterable[str]) -> dict[str, list[int]]:
    """By input, the versions of it that tables have read last: all that came since is news to them."""
    found = defaultdict[str, list[int]](list)
    with suppress(LakehouseError):
        files = log.snapshot(progress.address(root, ledger.FILES))
        if files and (number := ledger.unfinished_rewind(files)) is not None:
            found[ledger.FILES].append(number)
    for name in tables:
        try:
            state = progress.state(progress.address(root, name))
        except LakehouseError:  # it will be computed anew, and reads what is the newest then
            continue
        note = state.progress if state else None
        if note is None:
            continue
        if note.rejected:
            found[progress.rejected(name)].append(int(note.rejected.version))
        for parent, one in note.inputs.items():
            if one.id is not None:
                found[parent].append(int(one.version))
    return found


def _would(name: str, address: str) -> Maintained:
    try:
        return Maintained(name, compaction.would(address))
    except LakehouseError as error:
        return Maintained(name, problem=str(error))


def _compacted(name: str, address: str, needed: Needed, most: int | None = None) -> Maintained:
    try:
        _keep_for(address, needed.properties)
        return Maintained(name, compaction.compact(address, most))
    except conflicts.ConflictError:
        return Maintained(name, problem="a run wrote it at the same moment; the next time it is compacted")
    except LakehouseError as error:
        return Maintained(name, problem=str(error))


def _freed(one: Maintained, address: str, needed: Needed, *, dry_run: bool) -> Maintained:
    try:
        files, entries = needed.unnamed(address), needed.entries(address)
        if not dry_run:
            storage.each(lambda file: storage.delete(address, file.path), files)
            for entry in entries:  # one after the other: see logs.py
                storage.delete(address, f"_delta_log/{entry.path}")
    except LakehouseError as error:
        return replace(one, problem=one.problem or str(error))
    return replace(one, freed=len(files), bytes=sum(file.size for file in (*files, *entries)), logs=len(entries))


def _keep_for(address: str, properties: Mapping[str, int]) -> None:
    """Somebody else's VACUUM and cleaning of logs keep for so many days what is removed; longer if they do already."""
    now = log.snapshot(address)
    if now is None:
        return
    said = {name: _days(now.configuration.get(name), DAYS_OF_DELTA[name]) for name in properties}
    if longer := {name: f"interval {days} days" for name, days in properties.items() if said[name] < days}:
        committer.set_properties(address, now.version, longer, progress.copied(address, now.version))


def _days(text: str | None, default: int) -> int:
    """What a property says; 0 for what we do not read, which is set anew."""
    if text is None:
        return default
    found = INTERVAL.fullmatch(text.strip())
    return int(found[1]) * HOURS[found[2].lower()] // HOURS["day"] if found else 0
