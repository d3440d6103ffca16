"""Full dumps: what a file that should hold every document of its scope lacks is gone, or told of.

A fold over the dumps in the order of sequences: a document is known from its first accepted delivery on until a dump
removes it, and again from the next one. A dump removes what it lacks of the known documents if it was loaded whole,
each of its rows names its document, and it holds enough of them; a rejected row is there as well. A removal has the
dump's sequence. One that comes back is held against its last accepted delivery: what it was does not end with it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse.documents.judgement.parsing import has_key
from lakehouse.readers.columns import OF_CORRECTIONS
from lakehouse.writes import units
from lakehouse.writes.measures import Measure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pyspark.sql import Column, DataFrame

    from lakehouse.contract import Contract, FullDump
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry

Scope = tuple[int, ...]
ALWAYS, NEVER = 1_000_000, -1_000_000  # days of a window that there is not, and of a document that does not say its day
EPOCH = date(1970, 1, 1)
NAMED = 3


@dataclass(frozen=True)
class Delivered:
    """What was delivered by now, without the sequences that were `refused` whole; new are batches after `since`."""

    taken: Sequence[Entry]
    refused: Collection[str] = ()
    since: int = -1

    @property
    def new(self) -> list[Entry]:
        return [one for one in self.taken if one.batch > self.since]


@dataclass(frozen=True)
class Vanished:
    """`gone`: the units that dumps removed, `_by` which sequence; None for none. `measures`: what new dumps lack."""

    gone: DataFrame | None = None
    measures: tuple[Measure, ...] = ()


@dataclass
class Lives:
    """So many documents that were accepted and replaced between the same dumps, by their numbers in the scope.

    Known from the dump `begin` on, in those whose day is at most `until`; `there`: dumps that have a rejected row of
    them. The delivery that replaces them comes before the dump `end`, or `is_end` in it; -1 for none. `removed` by.
    """

    key: str
    begin: int
    until: int
    end: int
    is_end: bool
    there: frozenset[int]
    count: int
    removed: int | None = None

    def is_over(self, number: int, day: int) -> bool:
        is_replaced = self.end >= 0 and (number > self.end or (number == self.end and not self.is_end))
        return is_replaced or self.removed is not None or day > self.until

    def is_in(self, number: int) -> bool:
        return number in self.there or (self.is_end and number == self.end)


@dataclass
class Dump:
    """A file that should hold all documents of its scope; how many are known of it, and how many of these `there`."""

    entry: Entry
    nameless: int = 0
    known: int = 0
    there: int = 0

    @property
    def sequence(self) -> str:
        return self.entry.delivery.sequence

    @property
    def day(self) -> int:
        return (self.entry.delivery.delivered_at.date() - EPOCH).days

    def is_believed(self, promise: FullDump) -> bool:
        return not self.nameless and self.there >= promise.least * self.known

    def words(self, promise: FullDump) -> str:
        lacks = f"{self.entry.delivery.path} lacks {self.known - self.there:,} of {self.known:,} known documents"
        if promise.vanished == "keep":
            return f"{lacks}, which stay, as the contract says"
        if self.nameless:
            return f"{lacks}; nothing is removed, since {self.nameless:,} of its rows name no document"
        if not self.is_believed(promise):
            return f"{lacks}; nothing is removed, since it must hold {promise.least:.0%} of them"
        return f"{lacks}, which are removed"


def vanished(
    engine: Engine,
    table: Table,
    judged: DataFrame,
    delivered: Delivered,
    once: Callable[[DataFrame], DataFrame],
    stored: DataFrame | None = None,
) -> Vanished:
    """What the new dumps lack of what the table had `stored`, and of what was delivered before them.

    They are newer than all that the table includes; what is left of that is `stored`.
    """
    promise = table.contract.full_dump
    if promise is None:
        return Vanished()
    before = None if stored is None else once(_removed_before(table, judged, stored))
    before = None if before is None or before.isEmpty() else before
    scopes = _scopes(promise, delivered)
    if not scopes:
        return Vanished(before)
    for sequence, count in _nameless(engine, judged, table).items():
        for dump in (one for dumps in scopes.values() for one in dumps if one.sequence == sequence):
            dump.nameless = count
    places = F.broadcast(_places(engine, promise, delivered.new, scopes))
    documents = _documents(table, judged).join(places, on="_sequence")
    if stored is not None:
        documents = documents.unionByName(_stored(table.contract, stored))
    lives = once(_lives(table.contract, documents))
    counted = engine.arrow(lives.groupBy("_key").agg(F.count("*").alias("_count"))).to_pylist()
    groups = defaultdict[Scope, list[Lives]](list)
    for row in counted:
        scope, one = _parsed(row["_key"], row["_count"], len(promise.of))
        groups[scope].append(one)
    for scope, dumps in scopes.items():
        _fold(promise, dumps, groups[scope])
    removed = {
        one.key: scopes[scope][one.removed].sequence
        for scope, some in groups.items()
        for one in some
        if one.removed is not None and one.end < 0
    }
    gone = once(_gone(engine, table.contract, lives, removed)) if removed else None
    both = [one for one in (before, gone) if one is not None]
    return Vanished(units.together(both) if both else None, tuple(_measures(table.name, promise, scopes)))


def _removed_before(table: Table, judged: DataFrame, stored: DataFrame) -> DataFrame:
    """Units in doubt of which only an older delivery is accepted, and that the table does not hold: a dump took it."""
    unit = list(table.contract.unit)
    is_old = F.max((F.col("_status") == "kept") & ~F.col("_new"))
    first = F.min(F.when(F.col("_new"), F.col("_sequence")))
    older = (
        judged.where(has_key(table)).groupBy(*unit).agg(is_old.alias("_is_old"), first.alias("_by")).where("_is_old")
    )
    return older.join(stored.select(*unit).distinct(), on=unit, how="left_anti").select(*unit, "_by")


def _scopes(promise: FullDump, delivered: Delivered) -> dict[Scope, list[Dump]]:
    """The new dumps of each scope, oldest first; a correction is none, nor what is a part, nor a file kept out."""
    found = defaultdict[Scope, list[Dump]](list)
    for one in sorted(delivered.new, key=lambda one: one.delivery.sequence):
        is_correction = set(OF_CORRECTIONS) & set(one.delivery.columns.values())
        is_part = is_correction or one.delivery.is_part
        if not is_part and one.delivery.sequence not in delivered.refused:
            found[_scope(promise, one)].append(Dump(one))
    return dict(found)


def _scope(promise: FullDump, entry: Entry) -> Scope:
    return tuple(entry.delivery.parts[name] for name in promise.of)


def _places(engine: Engine, promise: FullDump, taken: Iterable[Entry], scopes: Mapping[Scope, list[Dump]]) -> DataFrame:
    """Of each delivery how many dumps of its scope come before it (`_at`), and whether it is one (1 or 0)."""
    rows = []
    for one in taken:
        sequences = [dump.sequence for dump in scopes.get(_scope(promise, one), [])]
        at = sum(sequence < one.delivery.sequence for sequence in sequences)
        rows.append((one.delivery.sequence, at, int(one.delivery.sequence in sequences)))
    columns = dict(zip(("_sequence", "_at", "_is_dump"), zip(*dict.fromkeys(rows), strict=True), strict=True))
    types = {"_sequence": pa.string(), "_at": pa.int32(), "_is_dump": pa.int32()}
    return engine.frame(pa.table({name: pa.array(columns[name], kind) for name, kind in types.items()}))


def _nameless(engine: Engine, judged: DataFrame, table: Table) -> dict[str, int]:
    """By delivery the rows that name no document: any of the known ones may be meant."""
    counted = judged.where(~has_key(table)).groupBy("_sequence").agg(F.count("*").alias("_count"))
    return {row["_sequence"]: row["_count"] for row in engine.arrow(counted).to_pylist()}


def _until(promise: Contract) -> Column:
    """The last day of dumps that should have the document, as a number."""
    window = promise.full_dump.window if promise.full_dump else None
    if window is None:
        return F.lit(ALWAYS)
    return F.coalesce(F.unix_date(F.max(window.column)) + window.days, F.lit(NEVER))


def _documents(table: Table, judged: DataFrame) -> DataFrame:
    """Each delivery of a document: whether it was accepted (1 or 0), and how long dumps should have it."""
    grouped = judged.where(has_key(table)).groupBy(*table.contract.unit, "_sequence")
    is_accepted = F.max(F.col("_accepted").cast("int")).alias("_accepted")
    return grouped.agg(is_accepted, _until(table.contract).alias("_until"))


def _stored(promise: Contract, stored: DataFrame) -> DataFrame:
    """What the table holds, as if it was accepted before all that is new."""
    before = {"_sequence": F.lit(""), "_accepted": F.lit(1), "_at": F.lit(0), "_is_dump": F.lit(0)}
    return stored.groupBy(*promise.unit).agg(_until(promise).alias("_until")).withColumns(before)


def _lives(promise: Contract, documents: DataFrame) -> DataFrame:
    """The units, once for each accepted delivery, with `_key`: what decides whether a dump removes them, as a text."""
    unit = list(promise.unit)
    of = promise.full_dump.of if promise.full_dump else ()
    in_order = Window.partitionBy(*unit).orderBy("_sequence")
    by_life = Window.partitionBy(*unit).orderBy("_life")
    is_accepted = F.col("_accepted") == 1
    rejected_there = F.when(~is_accepted & (F.col("_is_dump") == 1), F.col("_at").cast("string"))
    numbered = documents.withColumn("_life", F.sum("_accepted").over(in_order)).where("_life > 0")
    lives = numbered.groupBy(*unit, "_life").agg(
        F.max(F.when(is_accepted, F.col("_at"))).alias("_at"),
        F.max(F.when(is_accepted, F.col("_is_dump"))).alias("_is_dump"),
        F.max(F.when(is_accepted, F.col("_until"))).alias("_until"),
        F.array_join(F.sort_array(F.collect_set(rejected_there)), ",").alias("_there"),
    )
    lives = lives.withColumns({"_end": F.lead("_at").over(by_life), "_is_end": F.lead("_is_dump").over(by_life)})
    end, is_end = (F.coalesce(name, F.lit(-1)) for name in ("_end", "_is_end"))
    parts = [*map(F.col, of), F.col("_at") + F.col("_is_dump"), F.col("_until"), end, is_end, F.col("_there")]
    return lives.select(*unit, F.concat_ws("|", *parts).alias("_key"))


def _parsed(key: str, count: int, scope: int) -> tuple[Scope, Lives]:
    parts = key.split("|")
    begin, until, end, is_end = (int(one) for one in parts[scope:-1])
    there = frozenset(int(one) for one in parts[-1].split(",") if one)
    return tuple(int(one) for one in parts[:scope]), Lives(key, begin, until, end, is_end == 1, there, count)


def _fold(promise: FullDump, dumps: Sequence[Dump], groups: Iterable[Lives]) -> None:
    """One dump after the other: what is known at it, what it holds, and what it removes."""
    begin = defaultdict[int, list[Lives]](list)
    for one in groups:
        begin[one.begin].append(one)
    known: list[Lives] = []
    for number, dump in enumerate(dumps):
        known = [one for one in (*known, *begin[number]) if not one.is_over(number, dump.day)]
        dump.known = sum(one.count for one in known)
        dump.there = sum(one.count for one in known if one.is_in(number))
        if promise.vanished == "remove" and dump.is_believed(promise):
            for one in known:
                one.removed = None if one.is_in(number) else number


def _gone(engine: Engine, promise: Contract, lives: DataFrame, removed: Mapping[str, str]) -> DataFrame:
    columns = {"_key": pa.array(removed.keys(), pa.string()), "_by": pa.array(removed.values(), pa.string())}
    return lives.join(F.broadcast(engine.frame(pa.table(columns))), on="_key").select(*promise.unit, "_by")


def without_vanished(table: Table, judged: DataFrame, gone: DataFrame) -> DataFrame:
    """What a newer dump removed is superseded."""
    marked = judged.join(gone, on=list(table.contract.unit), how="left")
    is_gone = F.coalesce(F.col("_sequence") < F.col("_by"), F.lit(False))  # noqa: FBT003
    return marked.withColumn("_status", F.when(is_gone, "superseded").otherwise(F.col("_status"))).drop("_by")


def _measures(table: str, promise: FullDump, scopes: Mapping[Scope, list[Dump]]) -> Iterable[Measure]:
    """By market, what its new dumps lack."""
    for scope, dumps in sorted(scopes.items()):
        new = [one for one in dumps if one.known]
        known, there = sum(one.known for one in new), sum(one.there for one in new)
        lacking = [one.words(promise) for one in new if one.there < one.known]
        more = f"; and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
        market = dict(zip(promise.of, scope, strict=True)).get("market")
        note = "; ".join(lacking[:NAMED]) + more
        if known:
            name = "known_documents_are_in_the_dump"
            yield Measure(table, "volume", name, market, "warn", known, known - there, there / known, note)
