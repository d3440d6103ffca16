"""`write: latest`: of each unit the newest delivery that is right (design: row protocol, what happens to a row).

Every new row gets one status: kept, unchanged (kept, and the table has it already), rejected, duplicate, superseded or
retracted.
This is a turn from its rows to its commit; what is asked of a row stands in the modules beside it.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.documents import dumps
from lakehouse.documents.accounting import account
from lakehouse.documents.judgement import judging
from lakehouse.documents.judgement.judging import KeptOut, in_force, judge_flat, judged_by, replaced_places
from lakehouse.documents.judgement.lacking import kept_values, with_kept
from lakehouse.documents.judgement.parsing import PLACE, flat, has_key, parse, units_of
from lakehouse.documents.judgement.predecessors import in_doubt
from lakehouse.documents.quarantine import settle_rejected
from lakehouse.engines.protocol import FEW_ROWS, SLICE
from lakehouse.errors import LakehouseError
from lakehouse.writes import measures as measured
from lakehouse.writes import units
from lakehouse.writes.measures import ChecksFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyspark.sql import Column, DataFrame

    from lakehouse.contract import Contract
    from lakehouse.documents.accounting import Account
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.writes.lake import Writer

AT_HAND = 10_000  # keys, that this process may hold
MOST_NOTED = 1000  # files of which a note says where their rows went
BYTES_OF_A_ROW = 64  # compressed in its table, a wide one


@dataclass(frozen=True)
class Batch:
    """What a run gives to a `latest` table. `since`: the last batch that the table includes, -1 for none.

    `columns` are bronze's with their types, `size` the bytes that it may have to read.
    `markets`: (file, batch) -> the market that its folder names. `late` are the new files that are not newer than all
    that was there of their market before. `taken`: all deliveries of the source that count. `versions`, of all these:
    None where nothing can correct their rows. `retracted`: sequences of the deliveries that are taken back.
    """

    bronze: DataFrame
    columns: Mapping[str, str]
    size: int
    contract: Contract
    conf: Mapping[str, DataFrame]
    newest_of_file: DataFrame
    markets: Mapping[tuple[str, int], int | None]
    since: int
    rows_in: int
    taken: Sequence[Entry] = ()
    late: frozenset[str] = frozenset()
    versions: DataFrame | None = None
    retracted: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        return self.since < 0


def settle(writer: Writer, batch: Batch) -> Account:
    """Bring the table and its quarantine up to date with the batch; where the rows that came in went.

    Raises LakehouseError, before anything is written, where sums do not close or a rule stops.
    """
    table, new = writer.table, batch.bronze.where(F.col("_batch") > batch.since)
    with ExitStack() as cached:
        parsed = parse(table, batch.contract, new, batch.columns, batch.conf)
        rows, stored = _sliced(writer, flat(parsed, batch.since), batch, cached), writer.stored()
        if stored is None and not batch.is_whole:
            raise LakehouseError(f"{table.name} is not stored as its contract promises it. Start the run again.")
        older = None if stored is None or batch.is_whole else _older_rows(writer, batch, rows, stored, cached)
        # A late file may have been corrected before it came.
        places = new if older is None and not batch.late else batch.bronze
        replacing = (
            replaced_places(in_force(places, batch.retracted), batch.versions) if batch.versions is not None else None
        )
        rows = rows if older is None else rows.unionByName(older)
        out = KeptOut(writer.before.refused if writer.before and not batch.is_whole else (), batch.retracted)
        parts, gone, accounted = _accounted(writer, rows, replacing, batch, out, stored, cached)
        if accounted.beyond:
            why, out = accounted.refused, replace(out, refused=(*out.refused, *accounted.beyond))
            parts, gone, accounted = _accounted(writer, rows, replacing, batch, out, stored, cached)
            accounted.refused = why
        writer.note = replace(writer.note, refused=out.refused, went=_went(table, accounted))
        judged = units.together(part.judged for part in parts)
        _check_sums(table, batch.rows_in, accounted.counts["rows"])
        _check_stops(table, accounted)
        any_wrong = accounted.to_reject > 0
        settle_rejected(
            writer, judged, replacing, batch.newest_of_file, gone, any_wrong=any_wrong, is_whole=batch.is_whole
        )
        kept = [part.kept(table) for part in parts]
        kept = [writer.engine.once(one, cached) for one in kept] if len(kept) > 1 else kept
        missing = _missing(table, judged, stored, gone, is_whole=batch.is_whole)
        _write(writer, units.together(kept), judged, stored, missing, cached, any_kept=accounted.to_write > 0)
    return accounted


def _went(table: Table, accounted: Account) -> tuple[tuple[str, int, Mapping[str, int]], ...]:
    """For the note of a table that accounts for them, unless they are too many: judging all again costs little more."""
    if not table.accounts or accounted.refused or len(accounted.by_file) > MOST_NOTED:
        return ()
    return tuple((file, batch, dict(counts)) for (file, batch), counts in accounted.by_file.items())


@dataclass(frozen=True)
class Part:
    """Rows of a slice of the units, and what was judged of each, by its place: without what it says, which is wide.

    `is_slice`: the condition under which a row of any frame belongs to it; None where there is one part. `values`: what
    accepted rows say in columns that are kept where a file lacks them; None where none does.
    """

    rows: DataFrame
    judged: DataFrame
    is_slice: Column | None = None
    values: DataFrame | None = None

    def keeping(self, engine: Engine, table: Table, taken: Sequence[Entry], stored: DataFrame | None) -> Part:
        """Accepted rows keep what was known of the columns that their files lack."""
        position = [table.contract.position] if table.contract.position else []
        places = self.judged.where("_accepted and not _repeat").select(*PLACE, *position)
        mine = stored if stored is None or self.is_slice is None else stored.where(self.is_slice)
        accepted = self.rows.join(places, on=list(PLACE), how="inner")
        return replace(self, values=kept_values(engine, table, accepted, taken, mine))

    def compared(self, writer: Writer, stored: DataFrame, cached: ExitStack) -> Part:
        """Kept rows of units that are stored like this already are unchanged."""
        mine = stored if self.is_slice is None else stored.where(self.is_slice)
        same = writer.engine.once(as_stored(writer.table, self._whole(writer.table), mine), cached)
        return replace(self, judged=mark_unchanged(writer.table, self.judged, writer.engine.small_side(same)))

    def kept(self, table: Table) -> DataFrame:
        """The rows to write."""
        return stored_rows(table, self._whole(table))

    def _whole(self, table: Table) -> DataFrame:
        """What is kept, with all that it says."""
        position = [table.contract.position] if table.contract.position else []
        places = self.judged.where("_status = 'kept'").select(*PLACE, *position, "_status")
        whole = self.rows.join(places, on=list(PLACE), how="inner")
        return whole if self.values is None else with_kept(table, whole, self.values)


def _accounted(
    writer: Writer,
    rows: DataFrame,
    replacing: DataFrame | None,
    batch: Batch,
    out: KeptOut,
    stored: DataFrame | None,
    cached: ExitStack,
) -> tuple[list[Part], DataFrame | None, Account]:
    """All rows judged and counted, and what dumps removed; whether a file is within its limit is known only after."""
    table, engine = writer.table, writer.engine
    parts = list(_judged(writer, rows, replacing, batch, out, cached))
    lacking = dumps.vanished(
        engine,
        table,
        units.together(part.judged for part in parts),
        dumps.Delivered(batch.taken, out.refused, batch.since),
        lambda rows: engine.once(rows, cached),
        None if batch.is_whole else stored,
    )
    if lacking.gone is not None:
        left = [dumps.without_vanished(table, part.judged, lacking.gone) for part in parts]
        parts = [replace(part, judged=engine.once(one, cached)) for part, one in zip(parts, left, strict=True)]
    mine = None if stored is None else stored if batch.is_whole else _touched(table, stored, rows)
    if table.contract.keeps_lacking:
        before = None if batch.is_whole else mine
        parts = [part.keeping(engine, table, batch.taken, before) for part in parts]
    if mine is not None:
        parts = [part.compared(writer, mine, cached) for part in parts]
    judged = units.together(part.judged for part in parts)
    accounted = account(engine, table, judged, batch.markets, out.refused)
    accounted.measures = lacking.measures
    return parts, lacking.gone, accounted


def _touched(table: Table, stored: DataFrame, rows: DataFrame) -> DataFrame:
    """What the table holds of the units that these rows name."""
    unit = list(table.contract.unit)
    return stored.join(rows.select(*unit).distinct(), on=unit, how="left_semi")


def _judged(
    writer: Writer,
    rows: DataFrame,
    replacing: DataFrame | None,
    batch: Batch,
    out: KeptOut,
    cached: ExitStack,
) -> Iterator[Part]:
    """All rows judged; of many bytes slice by slice of the units, to bound memory."""
    table, engine = writer.table, writer.engine
    unit = [F.col(name) for name in table.contract.unit]

    def of(some: DataFrame, is_slice: Column | None = None) -> Part:
        narrow = some.select(*judged_by(table, some.columns))
        judged = judge_flat(
            table,
            narrow,
            batch.newest_of_file,
            replacing,
            out,
            lambda rows: engine.once(rows, cached),
            are_many=_rows_to_judge(batch) > judging.MANY,
        )
        return Part(some, engine.once(judged, cached), is_slice)

    slices = _slices(engine, batch)
    if slices == 1:
        yield of(rows)
        return
    for one in range(slices):
        yield of(rows.where(F.col(SLICE) == str(one)).drop(SLICE), units.slice_of(unit, slices) == one)


def _slices(engine: Engine, batch: Batch) -> int:
    slices = engine.slices(batch.size)
    if slices == 1 or batch.is_whole:
        return slices
    return engine.slices(min(batch.size, _rows_to_judge(batch) * BYTES_OF_A_ROW))


def _rows_to_judge(batch: Batch) -> int:
    """The new rows, and as a guess of those of older deliveries that late ones touch, as many again for each of two."""
    return batch.rows_in * (3 if batch.late else 1)


def _sliced(writer: Writer, rows: DataFrame, batch: Batch, cached: ExitStack) -> DataFrame:
    """The rows, parsed once for all that is asked of them; where they are many, with the slice that each belongs to."""
    slices = _slices(writer.engine, batch)
    if slices > 1:
        place = units.slice_of([F.col(name) for name in writer.table.contract.unit], slices)
        rows = rows.withColumn(SLICE, F.coalesce(place, F.lit(0)).cast("string"))
    return writer.engine.once(rows, cached)


def _check_sums(table: Table, rows_in: int, counts: Mapping[str, int]) -> None:
    """Before anything is written: every row that came in is in exactly one place."""
    if rows_in != sum(counts.values()):
        raise LakehouseError(
            f"{table.name}: {rows_in} rows came in, but {sum(counts.values())} are accounted for: {dict(counts)}. "
            f"Its build() and repair() must return one row for each row they get. Change {table.files}."
        )


def _check_stops(table: Table, accounted: Account) -> None:
    for rule, count in accounted.counts["stopped"].items():
        raise ChecksFailedError(
            f"{table.name} was not written: {count:,} rows break {rule}, whose severity is stop "
            f"({table.contract.why(rule)}). Deliver them again, corrected, or change {table.files}.",
            measured.rules(table.name, table.contract, accounted.by_market),
        )


def _older_rows(
    writer: Writer, batch: Batch, rows: DataFrame, stored: DataFrame, cached: ExitStack
) -> DataFrame | None:
    """The rows that bronze has, from before, of the units that late files name, or that are in doubt; None for none.

    They are looked for twice: by their keys alone, which says where they stand, and then only they are read whole.
    """
    table, engine, unit = writer.table, writer.engine, list(writer.table.contract.unit)

    def known(some: DataFrame) -> tuple[DataFrame, int] | None:
        """Computed now, with how many they are: so few that this process holds them, or none, in most runs."""
        few = engine.arrow(some.limit(AT_HAND + 1))
        if few.num_rows <= AT_HAND:
            return (engine.frame(few), few.num_rows) if few.num_rows else None
        found = engine.once(some, cached)
        return found, found.count()

    def having(rows: DataFrame, keys: DataFrame, count: int) -> DataFrame:
        return engine.few_of(rows, keys) if count <= FEW_ROWS else rows.join(keys, on=keys.columns, how="left_semi")

    late = rows.where(has_key(table) & F.col("_file").isin(*batch.late)).select(*unit) if batch.late else None
    doubted = in_doubt(table, rows, _touched(table, stored, rows))
    wanted = [some for some in (late, doubted) if some is not None]
    touched = known(units.together(wanted).distinct()) if wanted else None
    if touched is None:
        return None
    older = batch.bronze.where(F.col("_batch") <= batch.since)
    keys = units_of(table, batch.contract, older, batch.columns, batch.conf)
    places = known(having(keys, *touched).select(*PLACE))
    if places is None:
        return None
    found = having(batch.bronze, *places)
    parsed = parse(table, batch.contract, found, batch.columns, batch.conf)
    return _sliced(writer, flat(parsed, batch.since), batch, cached)


def as_stored(table: Table, judged: DataFrame, stored: DataFrame) -> DataFrame:
    """The units of which the table holds already, to the last value, what is to be kept."""
    promise, unit = table.contract, list(table.contract.unit)
    before = units.sums(promise, stored, with_digest=True).withColumnsRenamed({"_rows": "_were", "_sum": "_sum_was"})
    now = units.sums(promise, judged.where("_status = 'kept'"), with_digest=False)
    return now.join(before, on=unit, how="inner").where("_rows = _were and _sum = _sum_was").select(*unit)


def mark_unchanged(table: Table, judged: DataFrame, same: DataFrame) -> DataFrame:
    """Kept rows of the `same` units become `unchanged`."""
    marks = same.withColumn("_same", F.lit(True))  # noqa: FBT003
    marked = judged.join(marks, on=list(table.contract.unit), how="left")
    is_unchanged = (F.col("_status") == "kept") & F.col("_same").isNotNull()
    return marked.withColumn("_status", F.when(is_unchanged, "unchanged").otherwise(F.col("_status"))).drop("_same")


def stored_rows(table: Table, judged: DataFrame) -> DataFrame:
    """The rows to write, as they are stored: the contract's columns and where each stands."""
    return units.with_digest(table.contract, judged.where("_status = 'kept'")).select(*table.contract.stored_columns)


def _missing(
    table: Table, judged: DataFrame, stored: DataFrame | None, gone: DataFrame | None, *, is_whole: bool
) -> DataFrame | None:
    """The stored units that no delivery has, or that full dumps removed; None where that is not to be asked."""
    if stored is None or not (is_whole or gone is not None):
        return None
    unit = list(table.contract.unit)
    there = stored.select(*unit).distinct()
    if gone is not None and not is_whole:
        return there.join(gone.select(*unit), on=unit, how="left_semi")
    right = judged.where("_status in ('kept', 'unchanged')").select(*unit)
    return there.join(right, on=unit, how="left_anti")


def _write(
    writer: Writer,
    kept: DataFrame,
    judged: DataFrame,
    stored: DataFrame | None,
    missing: DataFrame | None,
    cached: ExitStack,
    *,
    any_kept: bool,
) -> None:
    """Overwrite where nothing comparable is stored; else write the changed units and delete the missing ones."""
    if stored is None:
        writer.overwrite(kept)
        return
    if missing is not None:
        unit = list(writer.table.contract.unit)
        changed = judged.where("_status = 'kept'").select(*unit).distinct()
        marked = [(changed, F.lit(False)), (missing, F.lit(True))]  # noqa: FBT003
        differing = units.together(one.withColumn("_gone", is_gone) for one, is_gone in marked)
        differing = writer.engine.once(differing, cached)
        if differing.isEmpty():
            writer.note_progress()
        else:
            writer.replace_units(kept, differing)
    elif any_kept:
        writer.replace_units(kept)
    else:
        writer.note_progress()
