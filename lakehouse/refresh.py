"""`write: refresh` and `write: replace`: computed from other tables. Only the units that differ are written.

Refreshed are the units that changed rows of the inputs belong to; all of them where there is no telling which. Before
the write the rows are held against the contract.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from lakehouse import needed, units
from lakehouse.checks import ROWS, check
from lakehouse.lake import conform, with_meanings
from lakehouse.session import computed_once, small_side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import DataFrame

    from lakehouse.lake import Writer
    from lakehouse.quality import Measure

TOUCHED, CHANGED, GONE = "touched units", "changed units", "gone units"


class UnreadableChangesError(Exception):
    """The change feed of an input does not say what changed: the table must be computed whole."""


@dataclass(frozen=True)
class Outcome:
    """What was computed: its `rows`, what was `measured`, and how many units were touched, had changed, were gone.

    `touched` is None where all were computed; `changed` where the table was written anew.
    """

    rows: int
    measures: Sequence[Measure]
    touched: int | None = None
    changed: int | None = None
    gone: int = 0


@dataclass(frozen=True)
class Computed:
    """Rows as they are stored, and the units that are not as they are stored now; None where nothing comparable is."""

    rows: DataFrame
    differing: DataFrame | None
    outcome: Outcome


def rebuild(writer: Writer, inputs: Mapping[str, DataFrame]) -> Outcome:
    """Compute the table from all of its inputs' rows and write what differs from what is stored.

    Raises ChecksFailedError, with nothing written, where something of severity `stop` does not hold.
    """
    with ExitStack() as cached:
        return _write(writer, _compute(writer, inputs, None, cached))


def update(writer: Writer, inputs: Mapping[str, DataFrame], changed: Mapping[str, DataFrame], *, few: bool) -> Outcome:
    """Compute the units that `changed` rows of the inputs belong to, from those units' rows, and write what differs.

    `changed`: by input, the rows before and after each change since the table's progress. `few`: whether they fit into
    the memory of every worker. Raises ChecksFailedError as `rebuild` does, and UnreadableChangesError where the feeds
    cannot be read.
    """
    with ExitStack() as cached:
        try:
            used = needed.columns(writer.table, inputs)
            really = {name: units.net(rows, sorted(used[name])) for name, rows in changed.items()}
            touched = computed_once(units.touched(writer.table, really, inputs), cached)
            # Read once, although build() may use an input in several places, and the checks once more.
            pruned = needed.pruned(writer.table, inputs)
            narrow = units.narrowed(writer.table, pruned, touched, few=few, keep=partial(computed_once, until=cached))
            computed = _compute(writer, narrow, small_side(touched) if few else touched, cached)
        except (PySparkException, Py4JJavaError) as error:
            words = str(error).strip().partition("\n")[0]
            raise UnreadableChangesError(f"the changes of {', '.join(changed)} cannot be read: {words}") from error
        return _write(writer, computed)


def _compute(writer: Writer, inputs: Mapping[str, DataFrame], touched: DataFrame | None, cached: ExitStack) -> Computed:
    """All that is to be known before the write is asked in one query, since each costs more than few rows do."""
    table, unit = writer.table, list(writer.table.contract.unit)
    built = conform(table, table.build(*(inputs[name] for name in table.inputs)))
    built = computed_once(units.with_digest(table.contract, built), cached)
    rows = with_meanings(table, built.select(*table.contract.stored_columns))
    stored = None if table.contract.write == "replace" else writer.stored(like=rows)
    if stored is None:
        measures, counts = check(table, built, inputs)
        return Computed(rows, None, Outcome(counts[ROWS], measures))
    mine = stored if touched is None else stored.join(touched, on=unit, how="left_semi")
    others = None if touched is None else stored.join(touched, on=unit, how="left_anti")
    differing = computed_once(units.differing(built, mine, unit, list(table.contract.columns)), cached)
    beside = [_counted(differing), *([] if touched is None else [_counted_as(TOUCHED, touched)])]
    measures, counts = check(table, built, inputs, others, beside)
    numbers = (None if touched is None else counts[TOUCHED], counts.get(CHANGED, 0), counts.get(GONE, 0))
    return Computed(rows, differing, Outcome(counts[ROWS], measures, *numbers))


def _write(writer: Writer, computed: Computed) -> Outcome:
    rows, differing, outcome = computed.rows, computed.differing, computed.outcome
    if differing is None:
        writer.overwrite(rows)
        return outcome
    unit = list(writer.table.contract.unit)
    changed = rows.join(differing.where("not _gone").select(*unit), on=unit, how="left_semi").select(*rows.columns)
    gone = differing.where("_gone").select(*unit)
    writer.replace_units(changed if outcome.changed else None, gone if outcome.gone else None)
    return outcome


def _counted(differing: DataFrame) -> DataFrame:
    name = F.when(F.col("_gone"), GONE).otherwise(CHANGED).alias("name")
    return differing.groupBy(name).agg(F.count("*").alias("checked"))


def _counted_as(name: str, rows: DataFrame) -> DataFrame:
    return rows.agg(F.lit(name).alias("name"), F.count("*").alias("checked"))
