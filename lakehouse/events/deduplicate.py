"""`write: deduplicate`: a turn, from the rows that arrived in bronze to one commit of the table and its quarantine.

What arrived is judged row by row, held against the rows kept for the days around, and appended: kept rows never change.
Where what counts changed, all that bronze still has is judged again upon the rows that it has no longer.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from lakehouse.contract import EVIDENCE
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Input, Progress
from lakehouse.engines.protocol import FEW_ROWS, SLICE
from lakehouse.errors import LakehouseError
from lakehouse.events.judging import (
    ID,
    KEPT,
    REJECTED,
    SPAN,
    Account,
    are_among,
    counted,
    id_of,
    judged,
    rejected_rows,
    said_of,
    seen,
)
from lakehouse.events.repeats import repeats
from lakehouse.intake.records import ledger
from lakehouse.writes import measures as measured
from lakehouse.writes import units
from lakehouse.writes.measures import ChecksFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from pyspark.sql import Column, DataFrame

    from lakehouse.contract import Contract
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.writes.lake import Writer

    Once = Callable[[DataFrame], DataFrame]

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Bronze:
    """The table that rows arrive in, as it stands at `now`; `contract` is its own, `conf` what build() reads beside it.

    `rows_in`: how many rows came to it since the table was written, by its log, for the sums.
    """

    address: str
    name: str
    now: Input
    contract: Contract
    conf: Mapping[str, DataFrame]
    rows_in: int

    def judged(self, table: Table, rows: DataFrame, note: Progress) -> DataFrame:
        return judged(table, self.contract, rows, dict(rows.dtypes), self.conf, note.retracted, note.accepted)

    def read(self, engine: Engine) -> DataFrame:
        return engine.read(self.address, int(self.now.version))


def add(writer: Writer, bronze: Bronze, since: int) -> Account:
    """Append what arrived in the batches after `since`, or in the first of them, where their days are too many.

    Raises LakehouseError, before anything is written, where sums do not close or a rule stops.
    """
    table, engine = writer.table, writer.engine
    until = bronze.now.batch or 0
    with ExitStack() as cached:
        once = partial(engine.once, until=cached)
        arrived = engine.part(bronze.address, int(bronze.now.version), "_batch", since + 1, until)
        rows = once(bronze.judged(table, arrived, writer.note))
        groups: Sequence[dict[str, Any]] = engine.arrow(counted(table, rows)).to_pylist()
        _check_sums(table, bronze.rows_in, sum(one["_count"] for one in groups))
        last, waiting = _last_batch(table, groups)
        if waiting:
            groups = [one for one in groups if one["_batch"] <= last]
            rows = rows.where(F.col("_batch") <= last)
            writer.note = _including(writer.note, bronze, last)
        account = Account.of(table, groups)
        account.waiting = waiting
        days = {one["_day"] for one in groups if one["_day"] is not None}
        right = rows.where(F.col("_status") == KEPT)
        twice = repeats(right, _around(writer, days), said_of(table), once)
        count = _count_repeats(engine, account, twice)
        _finish(writer, account)
        if account.counts["rows"][REJECTED]:
            writer.add_rejected(rejected_rows(rows))
        else:
            writer.keep_rejected()
        if account.counts["rows"][KEPT]:
            writer.add(_unrepeated(right, twice, count).select(*table.contract.stored_columns))
        else:
            writer.note_progress()
    return account


def judge_again(writer: Writer, bronze: Bronze, why: str, since: date | None) -> Account:
    """All that bronze has is judged upon the rows that the table has and bronze no longer; written is what differs.

    Raises LakehouseError where there are such rows, which `why` would have judged too, unless `since` names the day
    since which bronze has all.
    """
    table, engine = writer.table, writer.engine
    with ExitStack() as cached:
        once = partial(engine.once, until=cached)
        every = bronze.read(engine)
        reach = Reach.of(engine, every)
        held = _held(writer, reach, why, since)
        older = None if held is None else once(held.where(~reach.has()))
        _check_reach(writer, reach, older, why, since)
        rows = bronze.judged(table, every, writer.note)
        parts, account = in_slices(engine, table, writer.size, rows, older, cached)
        _check_sums(table, bronze.rows_in, sum(account.counts["rows"].values()))
        _finish(writer, account)
        _settle_rejected(writer, units.together(rejected_rows(part.rows) for part in parts), ~reach.has())
        kept = units.together(part.kept for part in parts).select(*table.contract.stored_columns)
        stored = writer.stored()
        if stored is None:
            writer.overwrite(kept if older is None else kept.unionByName(older))
        else:
            _write_differing(writer, once, kept, stored.where(reach.has()))
    return account


def judge_some(writer: Writer, bronze: Bronze, changed: Mapping[str, str]) -> Account:
    """What the table includes of the ids of these messages is judged again.

    They are retracted or accepted, or no longer are, by the file of conf/ that `changed` says of each. Raises
    LakehouseError where bronze does not have one of them.
    """
    table, engine = writer.table, writer.engine
    with ExitStack() as cached:
        once = partial(engine.once, until=cached)
        every = bronze.read(engine)
        reach = Reach.of(engine, every)
        _check_messages(table, reach, changed)
        included = every.where(F.col("_batch") <= (bronze.now.batch or 0))
        rows = bronze.judged(table, included, writer.note)
        some = once(rows.where(are_among(changed)).select(ID, *EVIDENCE))
        stored = writer.stored()
        if stored is None:
            raise LakehouseError(f"{table.name} is not stored as its contract promises it. Start the run again.")
        mine = once(_of_some(table, stored, some))
        rows, older = _of_some(table, rows, some), mine.where(~reach.has())
        parts, account = in_slices(engine, table, writer.size, rows, older, cached)
        _finish(writer, account)
        there = are_among(changed)
        wrong = units.together(rejected_rows(part.rows) for part in parts).where(there)
        _settle_rejected(writer, wrong, ~there)
        kept = units.together(part.kept for part in parts).select(*table.contract.stored_columns)
        _write_differing(writer, once, kept, mine.where(reach.has()))
    return account


# New rows -------------------------------------------------------------------------------------------------------------


def _last_batch(table: Table, groups: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """The last batch that goes into this commit, at least the first there is, and how many wait behind it."""
    days: dict[int, set[date]] = defaultdict(set)
    for one in groups:
        days[one["_batch"]] |= {one["_day"]} - {None}
    last, together, batches = -1, set[Any](), sorted(days)
    for place, batch in enumerate(batches):
        together |= days[batch]
        if place and len(together) > said_of(table).most_days:
            return last, len(batches) - place
        last = batch
    return last, 0


def _including(note: Progress, bronze: Bronze, batch: int) -> Progress:
    """The note of a turn that includes bronze up to this batch alone: with the newest version that has no more."""
    version = int(bronze.now.version)
    for commit in log.history(bronze.address, until=version):
        said = Progress.from_json(commit.user_metadata)
        if said and ledger.last_batch(said.inputs) <= batch:
            version = commit.version
            break
    return replace(note, inputs={**note.inputs, bronze.name: replace(bronze.now, version=version, batch=batch)})


def _around(writer: Writer, days: Collection[date]) -> DataFrame | None:
    """What is `seen` of the table's rows of these days and those within the horizon; None where that is nothing."""
    said, base = said_of(writer.table), writer.note.base
    if base < 0 or not days:
        return None
    wanted = sorted({day + DAY * near for day in days for near in range(-said.horizon, said.horizon + 1)})
    runs: list[tuple[date, date]] = []
    for day in wanted:
        first = runs.pop()[0] if runs and day - runs[-1][1] == DAY else day
        runs.append((first, day))
    parts = [writer.engine.by_day(writer.target.address, base, said.day, run, seen(said)) for run in runs]
    return units.together(parts)


def _count_repeats(engine: Engine, account: Account, twice: DataFrame | None) -> int:
    """As such, in the account; how many there are."""
    if twice is None:
        return 0
    counts = engine.arrow(twice.groupBy("_file").agg(F.count("*").alias("_rows"))).to_pylist()
    account.repeated({one["_file"]: one["_rows"] for one in counts})
    return sum(one["_rows"] for one in counts)


def _unrepeated(right: DataFrame, twice: DataFrame | None, count: int) -> DataFrame:
    if twice is None:
        return right
    return right.join(F.broadcast(twice) if count <= FEW_ROWS else twice, on=list(EVIDENCE), how="left_anti")


# What is judged again -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reach:
    """By file, of a topic by partition, the first and the last row that bronze has: what is before has left it.

    `since`: when the first of all came.
    """

    rows: Mapping[str, tuple[int, int]]
    since: datetime | None = None

    @classmethod
    def of(cls, engine: Engine, bronze: DataFrame) -> Reach:
        ends = (F.min("_row").alias("_first"), F.max("_row").alias("_last"), F.min("_ingested_at").alias("_at"))
        found = engine.arrow(bronze.groupBy("_file").agg(*ends)).to_pylist()
        rows = {one["_file"]: (one["_first"], one["_last"]) for one in found}
        return cls(rows, min((one["_at"] for one in found), default=None))

    def has(self) -> Column:
        """Whether a row stands where bronze has all."""
        conditions = [(F.col("_file") == file) & (F.col("_row") >= first) for file, (first, _) in self.rows.items()]
        return reduce(operator.or_, conditions, F.lit(False))  # noqa: FBT003

    @property
    def day(self) -> str:
        return f"{self.since:%Y-%m-%d}" if self.since else "no day"


def _held(writer: Writer, reach: Reach, why: str, since: date | None) -> DataFrame | None:
    """What the table has, in the columns that it is to have; None where it is not there, or `since` gives it up."""
    base, target = writer.note.base, writer.target
    found = log.snapshot(target.address, base) if base >= 0 else None
    if found is None or (progress.lost_files(found) and since is not None):
        return None
    if progress.lost_files(found):
        raise LakehouseError(_beyond(writer.table, reach, why, "gives up older ones"))
    stored = writer.engine.read(target.address, base)
    kinds = dict(stored.dtypes)
    types = {name: column.type for name, column in writer.table.contract.columns.items()}
    types |= writer.table.contract.types_of_the_core
    columns = (
        F.col(name) if kinds.get(name) == types[name] else F.lit(None).cast(types[name]).alias(name)
        for name in writer.table.contract.stored_columns
    )
    return stored.select(*columns)


def _check_reach(writer: Writer, reach: Reach, older: DataFrame | None, why: str, since: date | None) -> None:
    """Raises LakehouseError where rows would stay as they are that bronze no longer has, and nobody said so."""
    if since is not None:
        if reach.since is None or since != reach.since.date():
            source = writer.table.parents[0]
            raise LakehouseError(f"{source} has rows since {reach.day}, not {since}. Say --from {reach.day}.")
    elif older is not None and not older.isEmpty():
        raise LakehouseError(_beyond(writer.table, reach, why, "leaves older ones as they are"))


def _beyond(table: Table, reach: Reach, why: str, what: str) -> str:
    return (
        f"{table.name} is to be built anew ({why}), but {table.parents[0]} has rows since {reach.day} only, by its "
        f"contract's retention. `lakehouse run {table.name} --from {reach.day}` judges these again, and {what}."
    )


def _check_messages(table: Table, reach: Reach, changed: Mapping[str, str]) -> None:
    for one, said_in in sorted(changed.items()):
        found = SPAN.fullmatch(one)
        first, last = reach.rows.get(found[1] if found else "", (0, -1))
        if found is None or int(found[3]) > last:
            raise LakehouseError(
                f"{said_in} names {one}, which {table.parents[0]} does not have: of that partition it has "
                f"{f'{first}-{last}' if last >= 0 else 'nothing'}. Correct that row, or take it out."
            )
        if int(found[2]) < first:
            raise LakehouseError(
                f"{said_in} names {one}, or did, but {table.parents[0]} has rows since {reach.day} only, of "
                f"that partition {first}-{last}: what else was sent under the same ids is not known any more. Take its "
                "row out, or put it back."
            )


def _of_some(table: Table, rows: DataFrame, some: DataFrame) -> DataFrame:
    """The rows that have one of the ids, or stand at one of the places."""
    hashed = rows if ID in rows.columns else rows.withColumn(ID, id_of(said_of(table)))
    places = hashed.join(F.broadcast(some.select(*EVIDENCE)), on=list(EVIDENCE), how="left_semi")
    ids = some.where(F.col(ID).isNotNull()).select(ID).distinct()
    others = hashed.join(F.broadcast(some.select(*EVIDENCE)), on=list(EVIDENCE), how="left_anti")
    same = others.join(F.broadcast(ids), on=ID, how="left_semi")
    return places.select(*rows.columns).unionByName(same.select(*rows.columns))


@dataclass(frozen=True)
class Part:
    """Judged rows, and of these the kept ones."""

    rows: DataFrame
    kept: DataFrame


def in_slices(
    engine: Engine, table: Table, size: int, rows: DataFrame, older: DataFrame | None, cached: ExitStack
) -> tuple[list[Part], Account]:
    """Judged rows of `size` bytes in slices of the ids, each by itself, to bound memory. `older`: kept before them."""
    once, of = partial(engine.once, until=cached), engine.slices(size)
    if of > 1:
        rows = rows.withColumn(SLICE, F.coalesce(F.pmod(ID, F.lit(of)), F.lit(0)).cast("string"))
    rows = once(rows)
    account, parts = Account.of(table, engine.arrow(counted(table, rows)).to_pylist()), list[Part]()
    for place in range(of):
        mine = rows if of == 1 else rows.where(F.col(SLICE) == str(place)).drop(SLICE)
        right = mine.where(F.col("_status") == KEPT)
        before = (
            older if of == 1 or older is None else older.where(units.slice_of([F.col(said_of(table).id)], of) == place)
        )
        known = None if before is None else before.select(*seen(said_of(table)))
        twice = repeats(right, known, said_of(table), once)
        parts.append(Part(mine, _unrepeated(right, twice, _count_repeats(engine, account, twice))))
    return parts, account


def _write_differing(writer: Writer, once: Once, kept: DataFrame, stored: DataFrame) -> None:
    kept = once(kept)
    differing = once(units.differing(writer.table.contract, kept, stored))
    if differing.isEmpty():
        writer.note_progress()
    else:
        writer.replace_units(kept, differing)


def _settle_rejected(writer: Writer, wrong: DataFrame, stays: Column) -> None:
    """The quarantine has these, and of what it had what `stays`."""
    before = writer.rejected()
    if before is not None:
        writer.overwrite_rejected(before.where(stays).unionByName(wrong))
    elif wrong.isEmpty():
        writer.keep_rejected()
    else:
        writer.overwrite_rejected(wrong)


# Both -----------------------------------------------------------------------------------------------------------------


def _check_sums(table: Table, rows_in: int, counted: int) -> None:
    """Before anything is written: every row that came in is in exactly one place."""
    if rows_in != counted:
        raise LakehouseError(
            f"{table.name}: {rows_in} rows came in, but {counted} are accounted for. Its build() must return one row "
            f"for each row it gets. Change {table.files}."
        )


def _finish(writer: Writer, account: Account) -> None:
    """The sums into the note; raises ChecksFailedError where a rule stops."""
    table = writer.table
    went = tuple((file, -1, dict(counts)) for file, counts in sorted(account.by_file.items()))
    writer.note = replace(writer.note, went=went)
    for rule, count in account.counts["stopped"].items():
        raise ChecksFailedError(
            f"{table.name} was not written: {count:,} rows break {rule}, whose severity is stop "
            f"({table.contract.why(rule)}). Change {table.files}.",
            measured.rules(table.name, table.contract, {None: account.counts}),
        )
