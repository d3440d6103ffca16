"""The files of a plan, put where they are not there yet."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.delta.commits.conflicts import after_others
from lakehouse.delta.files import feed, parquet
from lakehouse.delta.files.feed import UnreadableChangesError
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Progress
from lakehouse.errors import LakehouseError
from lakehouse.serving.plain_parquet import plans
from lakehouse.serving.plain_parquet.plans import AnewError, Plan
from lakehouse.store import storage
from lakehouse.store.storage import BrokenOffError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from threading import Event

    from lakehouse.delta.tables.log import Action, Snapshot
    from lakehouse.graph import Table

MOST = 1_000_000  # rows of a file, and those that wait in memory for the rest of theirs


@dataclass(frozen=True)
class Done:
    """What was written, into which place, by which plan."""

    place: str
    plan: Plan
    files: int
    rows: int


@after_others
def bring(root: str, table: Table, now: datetime, stopping: Event | None = None) -> Done | None:
    """Finish what was planned, and write what has been closed since; None where there is nothing to do, or it stopped.

    `now`: the clock by which hours are closed. `stopping` is heard between two files. Raises LakehouseError where the
    store refuses; the next call goes on from what is there.
    """
    root, done, why = storage.normalise(root), None, ""
    snapshot, stored = (log.snapshot(one) for one in (progress.address(root, table.name), plans.address(root, table)))
    if snapshot is None:
        return None
    last = plans.newest(root, table)
    if last and plans.current(root, table) != last.current():
        try:
            _check_same(table, last, snapshot)
            if (done := _write(root, table, last, None, stopping)) is None:
                return None
        except LakehouseError as error:
            why = _of_lost(error)
    planned = _next(root, table, snapshot, last, now, why)
    if planned is None:
        return done
    plan, late = planned
    plans.add(root, table, plan, stored.version if stored else -1)
    return _write(root, table, plan, late, stopping)


def _next(
    root: str, table: Table, snapshot: Snapshot, last: Plan | None, now: datetime, why: str
) -> tuple[Plan, pa.Table | None] | None:
    """What to do next, with the rows that came late; None where no hour was closed, or nothing came.

    `why` the last plan cannot be followed to its end, where that is so.
    """
    until, late = plans.closed_until(table, now), None
    if last is None and not snapshot.files:
        return None
    if last and not why:
        if not plans.has_news(table, last, snapshot, until):
            return None
        try:
            _check_same(table, last, snapshot)
            late = _late(table, snapshot, last.version, last.closed_until)
        except LakehouseError as error:
            why = _of_lost(error)
    generation = last.generation if last else plans.newest_folder(plans.place_of(root, table))
    continued = last if last and not why else None
    plan = Plan(
        planned_at=now,
        generation=generation if continued else generation + 1,
        source_id=snapshot.id,
        since=continued.version if continued else -1,
        version=snapshot.version,
        closed_from=continued.closed_until if continued else None,
        closed_until=max(until, last.closed_until)
        if last
        else until,  # what was closed stays so, whatever a clock says
        layout=plans.layout(table),
        why=why or ("" if last else "the first"),
    )
    return plan, late


def _check_same(table: Table, last: Plan, snapshot: Snapshot) -> None:
    if snapshot.id != last.source_id or snapshot.version < last.version:
        raise AnewError("the table was made anew")
    if plans.layout(table) != last.layout:
        raise AnewError("its columns, or what its hours or folders go by, are others")


def _of_lost(error: LakehouseError) -> str:
    """Its words, where it says that rows left, or cannot be read any more; a store that is not well passes."""
    lost = (AnewError, UnreadableChangesError, *log.NO_SNAPSHOT, storage.MissingFileError)
    if isinstance(error, lost) and not isinstance(error.__cause__, BrokenOffError):
        return str(error)
    raise error


# Rows -----------------------------------------------------------------------------------------------------------------


def _names(table: Table) -> list[str]:
    """The columns that are read: those of the contract, and the grain, by which rows are told apart and sorted."""
    return [*dict.fromkeys((*table.contract.columns, *table.contract.grain))]


def _late(table: Table, snapshot: Snapshot, since: int, before: datetime) -> pa.Table:
    """Rows of hours before `before` that came in the versions (since, snapshot's].

    Raises AnewError where one of such an hour left, or came by another definition, and UnreadableChangesError and
    others where a version cannot be read.
    """
    names, schema = _names(table), log.schema(snapshot)
    fields_of = [*(schema.field(name) for name in names), pa.field(feed.SIGN, pa.int32())]
    found = [pa.schema(fields_of).empty_table()]
    definition = _definition(log.actions(snapshot.address, since), "")
    for version in range(since + 1, snapshot.version + 1):
        done = log.actions(snapshot.address, version)
        before_it, definition = definition, _definition(done, definition)
        if log.is_retention(done) or not any(_may_hold(table, one, before) for one in done):
            continue
        if _is_overwritten(done):
            raise AnewError(f"version {version} wrote the table anew")
        rows = feed.signed(snapshot.address, version - 1, version, names)
        rows = rows.filter(pc.less(rows[plans.published(table).time], pa.scalar(before, pa.timestamp("us", "UTC"))))
        if rows.num_rows and before_it and definition != before_it:
            raise AnewError("its definition changed")
        found.append(rows.select([*names, feed.SIGN]).cast(found[0].schema))
    every = pa.concat_tables(found)
    went, came = feed.apart(every.select(names), every[feed.SIGN])
    if went.num_rows:
        raise AnewError(f"{went.num_rows:,} rows of closed hours left or changed")
    return came


def _definition(done: Iterable[Action], before: str) -> str:
    """The fingerprint of the table in a commit; that of `before` where it does not say."""
    note = Progress.from_json(_info(done).get("userMetadata"))
    return note.fingerprint if note else before


def _info(done: Iterable[Action]) -> Action:
    return next((one["commitInfo"] for one in done if "commitInfo" in one), {})


def _is_overwritten(done: Iterable[Action]) -> bool:
    """Whether whole files left and no change file says which of their rows: all of them may be too many to read."""
    done = list(done)
    info = _info(done)
    mode = (info.get("operationParameters") or {}).get("mode")
    came, went = ({one[kind]["path"] for one in done if kind in one} for kind in ("add", "remove"))
    is_told = any("cdc" in one for one in done)
    return info.get("operation") == progress.RESTORE or (mode == "Overwrite" and not is_told and bool(went - came))


def _may_hold(table: Table, action: Action, before: datetime) -> bool:
    """Whether a commit's file may hold rows of before that time; what says no bounds may."""
    if "cdc" in action:
        return True
    file = action.get("add") or action.get("remove")
    if not file or not file.get("dataChange"):
        return False
    first = plans.bound(table, file, "minValues")
    return first is None or first < before


def _closed(table: Table, snapshot: Snapshot, since: datetime | None, until: datetime) -> Iterator[pa.Table]:
    """All rows of the hours in [since, until), some of each of some files at a time."""
    time, schema = pc.field(plans.published(table).time), log.schema(snapshot)
    where = time < _scalar(until) if since is None else (time < _scalar(until)) & (time >= _scalar(since))
    for file in plans.files_of(table, snapshot, since, until):
        yield feed.live(snapshot.address, file, schema, _names(table), where)


def _scalar(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment, pa.timestamp("us", "UTC"))


# Files ----------------------------------------------------------------------------------------------------------------


def _write(root: str, table: Table, plan: Plan, late: pa.Table | None, stopping: Event | None) -> Done | None:
    """Put what the plan says, where it is not there yet; None where it stopped, or another run is at a newer plan."""
    snapshot = log.snapshot(progress.address(root, table.name), plan.version)
    if snapshot is None:
        raise AnewError("the table was made anew")
    place, files, rows = plans.place_of(root, table), 0, 0
    if late is None and plan.closed_from is not None:
        late = _late(table, snapshot, plan.since, plan.closed_from)
    closed = _closed(table, snapshot, plan.closed_from, plan.closed_until)
    for path, part in _parts(table, plan.version, [*([late] if late is not None else [])], closed):
        if stopping and stopping.is_set():
            return None
        _put(place, f"v{plan.generation}/{path}", _content(table, part))
        files, rows = files + 1, rows + part.num_rows
    if plans.newest(root, table) != plan:
        return None
    storage.replace(place, plans.CURRENT, json.dumps(plan.current()).encode())
    return Done(place, plan, files, rows)


def _parts(
    table: Table, version: int, late: Iterable[pa.Table], closed: Iterator[pa.Table]
) -> Iterator[tuple[str, pa.Table]]:
    """Files by their paths: an hour's rows, the fullest hour's first where more than MOST rows wait for more.

    What is in which only depends on the rows and their order, so that it is the same at each try.
    """
    waiting, numbers = defaultdict[tuple[str, str], list[pa.Table]](list), Counter[tuple[str, str]]()

    def sizes() -> dict[tuple[str, str], int]:
        return {key: sum(one.num_rows for one in parts) for key, parts in waiting.items()}

    def cut(key: tuple[str, str]) -> Iterator[tuple[str, pa.Table]]:
        rows = pa.concat_tables(waiting.pop(key))
        order = dict.fromkeys((plans.published(table).time, *table.contract.grain))
        rows = rows.sort_by([(name, "ascending") for name in order if name not in table.contract.partition_by])
        for start in range(0, rows.num_rows, MOST):
            folder, hour = key
            yield f"{folder}/{hour}-{version:010}-{numbers[key]:05}.parquet", rows.slice(start, MOST)
            numbers[key] += 1

    for rows in chain(late, closed):
        for key, some in _by_hour(table, rows):
            waiting[key].append(some)
        while sum((there := sizes()).values()) > MOST:
            yield from cut(max(sorted(there), key=lambda key: there[key]))
    for key in sorted(waiting):
        yield from cut(key)


def _by_hour(table: Table, rows: pa.Table) -> Iterator[tuple[tuple[str, str], pa.Table]]:
    """By folder and hour, such as (`event_date=2026-11-29`, `20261129T13`)."""
    for values, some in parquet.split(rows, table.contract.partition_by):
        hours = pc.floor_temporal(some[plans.published(table).time], unit="hour")
        for hour in pc.unique(hours).sort():
            key = ("/".join(parquet.folders(values)), f"{hour.as_py():%Y%m%dT%H}")
            yield key, some.filter(pc.equal(hours, hour))


def _content(table: Table, rows: pa.Table) -> bytes:
    """The same bytes for the same rows, as long as Arrow's writer is the same."""
    inside = [name for name in table.contract.columns if name not in table.contract.partition_by]
    content = pa.BufferOutputStream()
    pq.write_table(
        rows.select(inside),
        content,
        compression="zstd",
        coerce_timestamps="us",
        store_schema=False,
        write_page_checksum=True,
    )
    return bytes(content.getvalue().to_pybytes())


def _put(place: str, path: str, content: bytes) -> None:
    """One that is there stays: it was put by an earlier try, whole."""

    def put() -> None:
        if storage.put_if_absent(place, path, content) is None:
            raise BrokenOffError(
                f"The store did not say whether {place}/{path} was written. Start the run again once the store "
                "answers; it goes on from what is there."
            )

    storage.patiently(put, BrokenOffError)
