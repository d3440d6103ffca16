"""`write: refresh` and `write: replace`: computed from other tables. Only the units that differ are written.

Refreshed are the units that changed rows of the inputs belong to; all of them where there is no telling which. Before
the write the rows are held against the contract.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.delta.files.feed import UnreadableChangesError
from lakehouse.delta.tables import progress
from lakehouse.engines import protocol
from lakehouse.engines.protocol import FEW_ROWS
from lakehouse.writes import needed, units
from lakehouse.writes.checks import ROWS, check
from lakehouse.writes.lake import conform

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pyspark.sql import DataFrame

    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.writes.lake import Writer
    from lakehouse.writes.measures import Measure

MOST_COLUMNS = 0.55  # of an input
TOUCHED, DIFFERING = "touched units", "differing rows"


@dataclass(frozen=True)
class Outcome:
    """What was computed: its `rows`, what was measured, how many units were touched, and how many rows differ.

    `touched` is None where all were computed, `differing` where the table is written anew.
    """

    rows: int
    measures: Sequence[Measure]
    touched: int | None = None
    differing: int | None = None


@dataclass(frozen=True)
class Computed:
    """Rows as they are to be, and the grains that are stored otherwise now; None where nothing comparable is."""

    rows: DataFrame
    differing: DataFrame | None
    outcome: Outcome


def rebuild(writer: Writer, inputs: Mapping[str, DataFrame], size: int) -> Outcome:
    """Compute the table from all of its inputs' rows, of `size` bytes, and write what differs from what is stored.

    Raises ChecksFailedError, with nothing written, where something of severity `stop` does not hold.
    """
    with ExitStack() as cached:
        return _write(writer, _compute(writer, inputs, None, cached, size))


def update(
    writer: Writer,
    inputs: Mapping[str, DataFrame],
    moved: Mapping[str, tuple[int, int]],
    rows: int | None,
) -> Outcome:
    """Compute the units that changed rows of the inputs belong to, from those units' rows, and write what differs.

    `moved`: by input its versions (since, until], in which `rows` changed. Raises ChecksFailedError as `rebuild` does,
    and UnreadableChangesError where what changed cannot be read.
    """
    engine, table = writer.engine, writer.table
    small_side = engine.small_side if (rows or 0) <= FEW_ROWS else (lambda keys: keys)
    with ExitStack() as cached:
        try:
            used = needed.columns(engine, table, inputs)
            really = {name: _really(writer, inputs[name], name, *span, used[name]) for name, span in moved.items()}
            touched = engine.once(units.touched(table, really, inputs), cached)
        except protocol.errors() as error:
            raise UnreadableChangesError(
                f"the changes of {', '.join(moved)} cannot be read: {protocol.words(error)}"
            ) from error
        keep = partial(engine.narrow, share=partial(_share, writer, touched), until=cached)
        # build() may use an input in several places, and the checks once more.
        narrow = units.narrowed(table, needed.pruned(inputs, used), touched, small_side, keep)
        return _write(writer, _compute(writer, narrow, small_side(touched), cached))


def _really(writer: Writer, rows: DataFrame, name: str, since: int, until: int, used: Collection[str]) -> DataFrame:
    """The changed rows of an input that say something else in the columns that build() uses.

    All of them where it uses most, since hardly one of them does not: then only what leads to units is read.
    """
    engine, address, all_columns = writer.engine, writer.lake.address(name), rows.columns
    if len(used) > MOST_COLUMNS * len(all_columns):
        return engine.changes(address, since, until, units.leading(writer.table, name, all_columns))
    return units.net(engine.changes(address, since, until, sorted(used)), sorted(used))


def _share(writer: Writer, touched: DataFrame) -> float:
    """Of the table's units so many are touched at least, since a unit has a row or more."""
    stored = progress.rows(writer.target.address, writer.note.base) or 1
    return int(writer.engine.arrow(touched).num_rows) / stored


def _compute(
    writer: Writer, inputs: Mapping[str, DataFrame], touched: DataFrame | None, cached: ExitStack, size: int = 0
) -> Computed:
    """All that is to be known before the write is asked in one query, since each costs more than few rows do."""
    table, promise, once = writer.table, writer.table.contract, partial(writer.engine.once, until=cached)
    built = _built(writer, inputs, size, cached, touched)
    stored = None if promise.write == "replace" else writer.stored()
    if stored is None and touched is not None:
        raise UnreadableChangesError(f"{table.name} is not stored as its contract promises it")
    if stored is None:
        measures, counts = check(writer.engine, table, built, inputs)
        return Computed(built, None, Outcome(counts[ROWS], measures))
    unit = list(promise.unit)
    mine = stored if touched is None else units.near(table, stored, touched).join(touched, on=unit, how="left_semi")
    others = None if touched is None else stored.join(touched, on=unit, how="left_anti")
    differing = once(units.differing(promise, built, mine))
    beside = [_counted(DIFFERING, differing), *([] if touched is None else [_counted(TOUCHED, touched)])]
    measures, counts = check(writer.engine, table, built, inputs, others, beside)
    return Computed(built, differing, Outcome(counts[ROWS], measures, counts.get(TOUCHED), counts[DIFFERING]))


def _built(
    writer: Writer, inputs: Mapping[str, DataFrame], size: int, cached: ExitStack, touched: DataFrame | None
) -> DataFrame:
    """What build() returns of these rows, computed once; of many bytes slice by slice of the units, to bound memory."""
    table, engine = writer.table, writer.engine

    def of(rows: Mapping[str, DataFrame]) -> DataFrame:
        return conform(table, table.build(*(rows[name] for name in table.inputs)))

    def once(built: DataFrame) -> DataFrame:
        return engine.once(units.with_digest(table.contract, built), cached)

    slices = engine.slices(size) if table.contract.unit else 1
    if touched is not None:
        return once(units.only(table, of(inputs), touched))
    if slices == 1:
        return once(of(inputs))
    return units.together(
        once(units.only_of_slice(table, of(units.of_slice(table, inputs, place, slices)), place, slices))
        for place in range(slices)
    )


def _write(writer: Writer, computed: Computed) -> Outcome:
    rows, differing, outcome = computed.rows, computed.differing, computed.outcome
    if differing is None:
        writer.overwrite(rows)
        return outcome
    if outcome.differing:
        writer.replace_units(rows, differing)
    else:
        writer.note_progress()
    return outcome


def _counted(name: str, rows: DataFrame) -> DataFrame:
    return rows.agg(F.lit(name).alias("name"), F.count("*").alias("checked"))


def touched_units(
    engine: Engine, root: str, table: Table, inputs: Mapping[str, int], moved: Mapping[str, tuple[int, int]]
) -> int | None:
    """How many units the changed rows of the inputs belong to, at these versions; None where what changed is gone.

    Fewer are computed where rows changed that say what they said in the columns that build() uses.
    """
    own = engine.for_a_turn(0)
    frames = {name: own.read(progress.address(root, name), version) for name, version in inputs.items()}
    try:
        changed = {name: own.changes(progress.address(root, name), *span) for name, span in moved.items()}
        return units.touched(table, changed, frames).count()
    except UnreadableChangesError:
        return None
    except protocol.errors():
        return None
