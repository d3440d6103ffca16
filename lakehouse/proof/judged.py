"""Documents judged anew, as if all that a table includes had come at once; and what one owes to other deliveries.

What it keeps from older ones, since its own file lacks a column, and the dump that removed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.documents import dumps, quarantine
from lakehouse.documents.judgement import judging, lacking, parsing
from lakehouse.documents.judgement.judging import KeptOut
from lakehouse.engines.joins import semi
from lakehouse.intake.records import ledger
from lakehouse.readers.columns import NAMES_A_ROW
from lakehouse.writes import units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyspark.sql import DataFrame

    from lakehouse.contract import Contract
    from lakehouse.delta.tables.progress import Progress
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry


@dataclass(frozen=True)
class Kept:
    """In so many `rows` a column says what they said in an older `file`, since their own lacks it."""

    column: str
    file: str
    rows: int


@dataclass(frozen=True)
class Judge:
    """A table's deliveries, as its `note` says that it includes them; `source` is their bronze table's contract."""

    engine: Engine
    table: Table
    source: Contract
    note: Progress
    counting: Sequence[Entry]
    conf: Mapping[str, DataFrame]

    def parsed(self, bronze: DataFrame) -> DataFrame:
        return parsing.parse(self.table, self.source, bronze, dict(bronze.dtypes), self.conf)

    def judged(self, bronze: DataFrame, parsed: DataFrame) -> Callable[[KeptOut], DataFrame]:
        """By the files that are kept out, one status per row."""
        replacing = None
        if {*NAMES_A_ROW} <= {*bronze.columns}:
            versions = quarantine.versions(self.engine, self.counting)
            replacing = judging.replaced_places(judging.in_force(bronze, self.note.retracted), versions)
        newest = quarantine.newest_of_file(self.engine, self.counting)
        return partial(judging.judge, self.table, parsed, newest, replacing, -1)

    @property
    def kept_out(self) -> KeptOut:
        return KeptOut(self.note.refused, self.note.retracted)

    def kept(self, bronze: DataFrame, rows: DataFrame) -> tuple[Kept, ...]:
        """What the table's rows keep from other files than that which they were last delivered by, most rows first."""
        promise = self.table.contract
        parsed = semi(self.parsed(bronze), rows.select(*promise.unit).distinct())
        judged = self.judged(bronze, parsed)(self.kept_out)
        accepted, said = judged.where("_accepted and not _repeat"), F.struct(*parsing.PLACE)
        found = lacking.kept_values(self.engine, self.table, accepted, self.counting, said=said)
        if found is None:
            return ()
        mine = judged.where("_status = 'kept'").join(rows.select(*promise.grain), on=list(promise.grain))
        last = found.join(mine.select(*parsing.PLACE), on=list(parsing.PLACE))
        by_column = units.together(
            last.where(F.col(name) != said).select(F.lit(name).alias("column"), F.col(name)["_file"].alias("file"))
            for name in promise.keeps_lacking
        )
        counts = by_column.groupBy("column", "file").agg(F.count("*").alias("rows"))
        kept = [Kept(**one) for one in self.engine.arrow(counts).to_pylist()]
        return tuple(sorted(kept, key=lambda one: (-one.rows, one.column, one.file)))

    def removed(
        self, bronze: DataFrame, keys: DataFrame, once: Callable[[DataFrame], DataFrame]
    ) -> list[tuple[dict[str, object], str]]:
        """Of these units those that a dump removed, each with the dump's path.

        Whether one is believed depends on all documents of its scope, so all of them are judged.
        """
        promise = self.table.contract
        of = list(promise.full_dump.of) if promise.full_dump else []
        parsed = self.parsed(bronze)
        parsed = semi(parsed, F.broadcast(keys.select(*of).distinct())) if of else parsed
        judged = once(self.judged(bronze, parsed)(self.kept_out))
        delivered = dumps.Delivered(self.counting, self.note.refused)
        gone = dumps.vanished(self.engine, self.table, judged, delivered, once).gone
        if gone is None:
            return []
        rows = self.engine.arrow(gone.join(F.broadcast(keys), on=list(promise.unit))).to_pylist()
        return [({name: row[name] for name in promise.unit}, ledger.said_by(row["_by"]).path) for row in rows]
