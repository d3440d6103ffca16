"""Tables as they were at one point of the lake, each restored with its progress. Needs no engine.

What is to be done stands in the ledger's log before anything else is written, that it is done in the ledger's commit
after everything else: whoever comes next sees a rewind that broke off, and finishes it. What is done is not done twice.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from lakehouse.delta.commits import committer
from lakehouse.delta.commits.conflicts import after_others
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Input, Progress
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lakehouse.intake.records.ledger import Entry

NOT_THERE = -1
OF_BRONZE = {ledger.FILES, ledger.TOPIC}  # inputs that are no tables of the graph
SAID = "rewind"  # what the note is known by


@dataclass(frozen=True)
class Rewind:
    """`where` it goes, in words; `point`: the version of every table that is restored, NOT_THERE where there was none.

    With bronze goes the ledger, so that what came since is new again; tables that are not in the point stay. `lost` are
    the deliveries, by their places, that were taken back and that landing no longer holds: the ledger goes on knowing
    them. `at` was it begun, by the ledger's version `number`.
    """

    id: str
    where: str
    point: Mapping[str, Input]
    number: int
    at: datetime
    lost: frozenset[tuple[str, str, int]] = frozenset()


@dataclass(frozen=True)
class Restored:
    """A table's commit of a rewind, if it needed one; `seconds` that it took, where this process made it."""

    table: str
    before: int
    version: int
    seconds: float = 0.0


@after_others
def begin(root: str, where: str, point: Mapping[str, Input], lost: Sequence[Entry] = ()) -> None:
    """Say what is to be done, and was found to be possible (`check`); it takes the place of a rewind that broke off."""
    address, tables = progress.address(root, ledger.FILES), {name: [one.version, one.id] for name, one in point.items()}
    said = {"id": uuid.uuid4().hex[:12], "where": where, "point": tables, "lost": [one.place for one in lost]}
    note = json.dumps({SAID: said}, separators=(",", ":"))
    if (now := log.snapshot(address)) is None:
        raise LakehouseError(f"{address} is gone. `lakehouse run` notes again what was delivered; then rewind.")
    committer.note_only(address, now.version, note, txn=(ledger.REWIND, now.version + 1))


def finish(root: str) -> tuple[Rewind, list[Restored]] | None:
    """Do what was begun and not done, also by others; what this process brought to its end, with its commits in all."""
    done = None
    while (work := _unfinished(root)) is not None:
        with suppress(_OvertakenError):
            done = work, _finish(root, work)
    return done


class _OvertakenError(Exception):
    """Another process has finished the rewind, or begun another one, which takes its place."""


def _finish(root: str, work: Rewind) -> list[Restored]:
    """What a table is made from, and its quarantine, are restored before it; its note names their new versions."""
    names = [name for name in work.point if name != ledger.FILES]
    there = [name for name in names if _has_progress(name) and work.point[name].version != NOT_THERE]
    notes = dict(storage.each(lambda name: (name, _included(root, name, int(work.point[name].version))), there))
    behind = {name: {progress.rejected(name), *(notes[name].inputs if name in notes else ())} for name in names}
    order = TopologicalSorter({name: some & {*names} for name, some in behind.items()})
    order.prepare()
    done: dict[str, Restored] = {}
    while ready := order.get_ready():
        now = {name: replace(work.point[name], version=one.version) for name, one in done.items()}
        turns = storage.each(lambda name: _back(root, work, name, notes.get(name), now), ready)  # noqa: B023
        done |= {one.table: one for one in turns}
        order.done(*ready)
    _close(root, work)
    return [done[name] for name in names if _has_progress(name) and done[name].before < done[name].version]


# What can be done -----------------------------------------------------------------------------------------------------


def check(root: str, point: Mapping[str, Input]) -> None:
    """Raises LakehouseError where a version of the point cannot be restored."""
    there = [name for name, one in point.items() if one.version != NOT_THERE]
    storage.each(lambda name: _check(root, name, point), there)


def _check(root: str, name: str, point: Mapping[str, Input]) -> None:
    progress.version_at(root, name, point)  # the table's own, and not of one that was there before it
    committer.restorable(progress.address(root, name), int(point[name].version))
    if _has_progress(name):
        _included(root, name, int(point[name].version))


def _has_progress(name: str) -> bool:
    return name != ledger.FILES and not progress.is_quarantine(name)


def _included(root: str, name: str, version: int) -> Progress:
    """Raises LakehouseError where the table's version does not say it."""
    address = progress.address(root, name)
    if (state := progress.state(address, version)) is None:
        committer.there(address, log.snapshot(address))
    if state is None or state.progress is None:
        raise LakehouseError(
            f"Version {version} of {name} does not say what it includes, so nothing could go on from there. Rewind to "
            "another release."
        )
    return state.progress


# What is done ---------------------------------------------------------------------------------------------------------


def _unfinished(root: str) -> Rewind | None:
    address = progress.address(root, ledger.FILES)
    now = log.snapshot(address)
    number = ledger.unfinished_rewind(now) if now else None
    if number is None:
        return None
    (said,) = log.history(address, 1, until=number)
    facts = json.loads(said.user_metadata or "")[SAID]
    point = {name: Input(version, identity) for name, (version, identity) in facts["point"].items()}
    lost = frozenset((table, path, batch) for table, path, batch in facts.get("lost", ()))
    return Rewind(facts["id"], facts["where"], point, number, datetime.fromtimestamp(said.timestamp / 1000, UTC), lost)


def _files_of(root: str, work: Rewind) -> int:
    """The ledger's version, as long as it is this rewind that is to be finished."""
    now = log.snapshot(progress.address(root, ledger.FILES))
    if now is None or ledger.unfinished_rewind(now) != work.number:
        raise _OvertakenError
    return now.version


@after_others
def _back(root: str, work: Rewind, name: str, then: Progress | None, now: Mapping[str, Input]) -> Restored:
    """The table is what it was, and says that it includes what it did; by a commit where it is not so already."""
    begin, address, version = time.monotonic(), progress.address(root, name), int(work.point[name].version)
    base = committer.there(address, log.snapshot(address)).version
    _files_of(root, work)  # a table that is read later may be of the run behind the one that finished this
    note = _note(root, work, name, base, then, now) if _has_progress(name) else None
    text = note.to_json() if note else ""
    if not _is_as_it_was(address, version, base):
        return Restored(name, base, committer.restore(address, base, version, text), time.monotonic() - begin)
    state = progress.state(address) if note else None
    had = state.progress if state else None
    if note and not (had and _is_said(root, had, note, now)):
        return Restored(name, base, committer.note_only(address, base, text), time.monotonic() - begin)
    return Restored(name, had.base if had and had.run == work.id else base, base)


def _is_as_it_was(address: str, then: int, now: int) -> bool:
    if then == NOT_THERE:
        return not progress.held(address, now)[0]
    return progress.held(address, then) == progress.held(address, now) or not progress.changed(address, then, now)


def _note(root: str, work: Rewind, name: str, base: int, then: Progress | None, now: Mapping[str, Input]) -> Progress:
    """What the table included then, by the versions that its inputs and its quarantine have now."""
    rejected = now.get(progress.rejected(name))
    if then is None:
        none = {ledger.FILES: Input(NOT_THERE)} if name.startswith("bronze.") else {}
        return Progress(name, work.id, "", base, none, rejected)
    inputs = {one: _translated(root, work, one, was, now) for one, was in then.inputs.items()}
    return replace(then, run=work.id, base=base, inputs=inputs, rejected=rejected or then.rejected)


def _translated(root: str, work: Rewind, name: str, was: Input, now: Mapping[str, Input]) -> Input:
    """An input's new version, which holds what the noted one did.

    Where it does not, since the table had not followed its input, or the input stays, the noted one is as true as ever.
    """
    if name not in now or now[name].id != was.id:
        return was
    versions = sorted((int(was.version), int(work.point[name].version)))
    is_the_same = not progress.moved(progress.address(root, name), *versions)
    return replace(was, version=now[name].version) if is_the_same else was


def _is_said(root: str, had: Progress, note: Progress, now: Mapping[str, Input]) -> bool:
    """Whether the note that the table has says the same of what was restored."""
    mine = {name: one for name, one in note.inputs.items() if name in now or name in OF_BRONZE}
    if note.rejected:
        mine[progress.rejected(note.table)] = note.rejected
    known = had.inputs | ({progress.rejected(note.table): had.rejected} if had.rejected else {})
    return all(name in known and _is_same(root, name, known[name], one) for name, one in mine.items())


def _is_same(root: str, name: str, mine: Input, other: Input) -> bool:
    if (mine.id, mine.batch) != (other.id, other.batch):
        return False
    if name in OF_BRONZE:
        return mine == other
    return not progress.moved(progress.address(root, name), int(mine.version), int(other.version))


@after_others
def _close(root: str, work: Rewind) -> int:
    """The ledger goes back last: until then nothing counts as new that is restored already."""
    address, base = progress.address(root, ledger.FILES), _files_of(root, work)
    then = work.point.get(ledger.FILES, Input(base))
    lost = [one for one in ledger.read(root).entries if one.place in work.lost] if work.lost else []
    rows = ledger.rows_of_lost(root, lost, int(then.version))
    return committer.restore(address, base, int(then.version), None, txn=(ledger.REWOUND, work.number), more=rows)
