"""`write: latest`: of each unit the newest delivery that is right (design: row protocol, what happens to a row).

Every new row gets one status: kept, unchanged (kept, and the table has it already), rejected, duplicate or superseded.
"""

from __future__ import annotations

import operator
import re
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse.contract import ANOTHER_ROW, EVIDENCE, KEEPS_TOTALS, NOT_REPEATED, WITHIN_LIMIT
from lakehouse.engines.protocol import FEW_ROWS, SLICE
from lakehouse.errors import LakehouseError
from lakehouse.intake.ledger import MISDATED
from lakehouse.transforms import stripped
from lakehouse.writes import measures as measured
from lakehouse.writes import units
from lakehouse.writes.lake import conform
from lakehouse.writes.measures import ChecksFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from pyspark.sql import Column, DataFrame
    from pyspark.sql.window import WindowSpec

    from lakehouse.contract import Contract
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.ledger import Entry
    from lakehouse.writes.lake import Writer

STATUSES = ("kept", "unchanged", "rejected", "duplicate", "superseded")
RULES_OF = {"reject": "_broken", "warn": "_warned", "stop": "_stopped"}  # where the rules that a row breaks stand
Counts = dict[str, dict[str, int]]
PLACE = (*EVIDENCE, "_batch")
BYTES_OF_A_ROW = 64  # compressed in its table, a wide one
OF_THE_ROW = ("_file", "_row", "_batch", "_sequence", "_delivered_at", "_problem", "_is_last", "_repaired", "_hash")


def _no_counts() -> Counts:
    return {"rows": dict.fromkeys(STATUSES, 0)} | {kind: {} for kind in ("rejected", "warned", "stopped", "repaired")}


@dataclass
class Account:
    """Where the new rows went. `counts`: by status (`rows`), by rule that rejected, warned or stops, what was mended.

    `by_market`: the same of each market. `by_file`: (file, batch) -> rows by status, and rows warned of; `rules`:
    (file, rule) -> rows that it rejected. `refused`: (file, batch) -> why, of the new files that are kept out whole,
    and `beyond` their sequences. `to_write` and `to_reject` count all judged rows, also those of older
    deliveries.
    """

    counts: Counts = field(default_factory=_no_counts)
    by_market: dict[int | None, Counts] = field(default_factory=dict)
    by_file: dict[tuple[str, int], Counter[str]] = field(default_factory=dict)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: dict[tuple[str, int], str] = field(default_factory=dict)
    beyond: tuple[str, ...] = ()
    to_write: int = 0
    to_reject: int = 0

    def add(self, market: int | None, kind: str, name: str, count: int) -> None:
        if count:
            for counts in (self.counts, self.by_market.setdefault(market, _no_counts())):
                counts[kind][name] = counts[kind].get(name, 0) + count


@dataclass(frozen=True)
class Batch:
    """What a run gives to a `latest` table. `since`: the last batch that the table includes, -1 for none.

    `columns` are bronze's with their types, `size` the bytes that it may have to read.
    `markets`: (file, batch) -> the market that its folder names. `late` are the new files that are not newer than all
    that was there of their market before.
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
    late: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        return self.since < 0


def settle(writer: Writer, batch: Batch) -> Account:
    """Bring the table and its quarantine up to date with the batch; where the rows that came in went.

    Raises LakehouseError, before anything is written, where sums do not close or a rule stops.
    """
    table, promise, new = writer.table, writer.table.contract, batch.bronze.where(F.col("_batch") > batch.since)
    places = batch.bronze if batch.late else new
    replacing = replaced_places(places) if "_replaces_file" in batch.columns else None
    with ExitStack() as cached:
        parsed = parse(table, batch.contract, new, batch.columns, batch.conf)
        if batch.late:
            parsed = parsed.unionByName(_older_rows(writer, batch, cached))
        rows, stored = _sliced(writer, flat(parsed, batch.since), batch, cached), writer.stored()
        if stored is None and not batch.is_whole:
            raise LakehouseError(f"{table.name} is not stored as its contract promises it. Start the run again.")
        if stored is not None and not batch.is_whole:
            stored = stored.join(rows.select(*promise.unit).distinct(), on=list(promise.unit), how="left_semi")
        known = _known(writer, rows, stored, batch, cached)
        parts, accounted = _accounted(writer, rows, replacing, batch, known, stored, cached)
        if accounted.beyond:
            why, known = accounted.refused, replace(known, refused=(*known.refused, *accounted.beyond))
            parts, accounted = _accounted(writer, rows, replacing, batch, known, stored, cached)
            accounted.refused = why
        writer.note = replace(writer.note, refused=known.refused)
        judged = units.together(part.judged for part in parts)
        _check_sums(table, batch.rows_in, accounted.counts["rows"])
        _check_stops(table, accounted)
        _settle_rejected(writer, judged, replacing, batch, accounted)
        kept = [part.kept(table) for part in parts]
        kept = [writer.engine.once(one, cached) for one in kept] if len(kept) > 1 else kept
        _write(writer, units.together(kept), judged, stored, batch, cached, any_kept=accounted.to_write > 0)
    return accounted


@dataclass(frozen=True)
class Part:
    """Rows of a slice of the units, and what was judged of each, by its place: without what it says, which is wide.

    `is_slice`: the condition under which a row of any frame belongs to it; None where there is one part.
    """

    rows: DataFrame
    judged: DataFrame
    is_slice: Column | None = None

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
        return self.rows.join(places, on=list(PLACE), how="inner")


@dataclass(frozen=True)
class Known:
    """What the rows that are judged do not tell.

    `refused`: the sequences of the files that are kept out whole. `proven`: units that the table holds with totals.
    """

    refused: tuple[str, ...] = ()
    proven: DataFrame | None = None


def _known(writer: Writer, rows: DataFrame, stored: DataFrame | None, batch: Batch, cached: ExitStack) -> Known:
    """Nothing, where all rows of bronze are judged."""
    if batch.is_whole or stored is None or writer.before is None:
        return Known()
    has_totals = writer.table.contract.totals is not None
    return Known(writer.before.refused, _proven(writer, rows, stored, cached) if has_totals else None)


def _accounted(
    writer: Writer,
    rows: DataFrame,
    replacing: DataFrame | None,
    batch: Batch,
    known: Known,
    stored: DataFrame | None,
    cached: ExitStack,
) -> tuple[list[Part], Account]:
    """All rows judged and counted; whether a file is within its limit is known only after that."""
    parts = list(_judged(writer, rows, replacing, batch, known, cached))
    if stored is not None:
        parts = [part.compared(writer, stored, cached) for part in parts]
    judged = units.together(part.judged for part in parts)
    return parts, account(writer.engine, writer.table, judged, batch.markets, known.refused)


def _judged(
    writer: Writer,
    rows: DataFrame,
    replacing: DataFrame | None,
    batch: Batch,
    known: Known,
    cached: ExitStack,
) -> Iterator[Part]:
    """All rows judged; of many bytes slice by slice of the units, to bound memory."""
    table, engine = writer.table, writer.engine
    unit = [F.col(name) for name in table.contract.unit]

    def of(some: DataFrame, is_slice: Column | None = None) -> Part:
        narrow = some.select(*_judged_by(table, some.columns))
        judged = judge_flat(
            table, narrow, batch.newest_of_file, replacing, known, lambda rows: engine.once(rows, cached)
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


def _older_rows(writer: Writer, batch: Batch, cached: ExitStack) -> DataFrame:
    """The rows that bronze has, from before, of the units that late files name.

    They are looked for twice: by their keys alone, which says where they stand, and then only they are read whole.
    """
    table, unit = writer.table, list(writer.table.contract.unit)

    def known(rows: DataFrame) -> DataFrame:
        """Computed now, as the small side of a join where they are few: what they are looked for in stays put."""
        found = writer.engine.once(rows, cached)
        return writer.engine.small_side(found) if found.count() <= FEW_ROWS else found

    def keys(rows: DataFrame) -> DataFrame:
        return units_of(table, batch.contract, rows, batch.columns, batch.conf).where(has_key(table))

    is_new = F.col("_batch") > batch.since
    late = keys(batch.bronze.where(is_new & F.col("_file").isin(*batch.late)))
    touched = known(late.select(*unit).distinct())
    older = batch.bronze.where(~is_new)
    places = known(keys(older).join(touched, on=unit, how="left_semi").select(*PLACE))
    return parse(table, batch.contract, older.join(places, on=list(PLACE), how="left_semi"), batch.columns, batch.conf)


def _write(
    writer: Writer,
    kept: DataFrame,
    judged: DataFrame,
    stored: DataFrame | None,
    batch: Batch,
    cached: ExitStack,
    *,
    any_kept: bool,
) -> None:
    """Overwrite where nothing comparable is stored; else write the changed units and delete those nobody delivers."""
    if stored is None:
        writer.overwrite(kept)
        return
    if batch.is_whole:
        unit = list(writer.table.contract.unit)
        right = judged.where("_status in ('kept', 'unchanged')").select(*unit)
        missing = stored.select(*unit).distinct().join(right, on=unit, how="left_anti")
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


def parse(
    table: Table, bronze: Contract, rows: DataFrame, columns: Mapping[str, str], conf: Mapping[str, DataFrame]
) -> DataFrame:
    """Bronze rows -> the contract's columns, plus `_source`, `_broken` and `_warned` (names of rules).

    `columns` are those of the rows, with their types. What is spelled as nothing is null before `build` sees it; texts
    that build could not read are broken rules.
    """
    built = _typed(table, bronze, rows, columns, conf, partial(_source, table))
    problem = F.col("_source._problem")
    rules = {name: one for name, one in _rules(table).items() if not is_of_document(table, name)}
    return built.select(
        *(name for name in table.contract.columns if name != table.contract.position),
        "_source",
        # Of a row that is not what its header announces no other rule says anything.
        F.when(problem.isNotNull(), F.array(problem)).otherwise(_broken(rules, "reject")).alias("_broken"),
        _broken(rules, "warn").alias("_warned"),
        _broken(rules, "stop").alias("_stopped"),
    )


def units_of(
    table: Table, bronze: Contract, rows: DataFrame, columns: Mapping[str, str], conf: Mapping[str, DataFrame]
) -> DataFrame:
    """The unit of each of bronze's rows, as far as it can be read, and where the row stands."""
    built = _typed(table, bronze, rows, columns, conf, lambda *_: F.struct(*PLACE))
    return built.select(*table.contract.unit, *(F.col(f"_source.{name}").alias(name) for name in PLACE))


def _typed(
    table: Table,
    bronze: Contract,
    rows: DataFrame,
    columns: Mapping[str, str],
    conf: Mapping[str, DataFrame],
    source_of: Callable[[Container[str], Sequence[str]], Column],
) -> DataFrame:
    """What build() makes of the rows; `_source` goes through it as `source_of` the columns and the texts says.

    All texts are without blanks at their ends, so that two of them differ only by what can be seen.
    """
    delivered = [name for name in bronze.columns if bronze.columns[name].type == "string"]
    lacking = {name: "string" for name in delivered if name not in columns}
    if table.repair:
        lacking["_repaired"] = "string"
    rows = rows.select("*", *(F.lit(None).cast(kind).alias(name) for name, kind in lacking.items()))
    there = {**columns, **lacking}
    rows = table.repair(rows) if table.repair else rows
    texts = [name for name, kind in there.items() if kind == "string" and not name.startswith("_")]
    blank = _blanks(table, bronze)
    values = {name: F.when(~stripped(name).isin(*blank.get(name, {""})), stripped(name)) for name in texts}
    source = rows.withColumns(values).withColumn("_source", source_of(there, texts))
    built = table.build(*(source if name.startswith("bronze.") else conf[name] for name in table.inputs))
    if "_source" not in built.columns:
        raise LakehouseError(
            f"{table.name}: build() must select `_source` too, so that a row can be traced. Change {table.files}."
        )
    return conform(table, built, without=table.contract.position)


def is_of_document(table: Table, rule: str) -> bool:
    """Whether the rule needs columns that are computed over the document."""
    words = set(re.findall(r"\w+", table.contract.rules[rule].check)) if rule in table.contract.rules else set()
    return bool(words & table.contract.document.keys())


def _blanks(table: Table, bronze: Contract) -> dict[str, set[str]]:
    """The spellings of nothing, per delivered column."""
    everywhere = set(bronze.source.blank if bronze.source else ()) | {""}
    blank = {name: set(everywhere) for name in bronze.columns}
    for column in table.contract.columns.values():
        if column.source:
            blank[column.source] |= set(column.blank)
    return blank


def _source(table: Table, there: Container[str], texts: Sequence[str]) -> Column:
    """Where a row stands, and the texts that its readable-rules need; it travels through build as one column."""
    named = {c.source for c in table.contract.columns.values() if c.source}
    if unknown := {name for name in named if name not in there}:
        raise LakehouseError(
            f"{table.name}: `from: {min(unknown)}` is no column of {table.parents[0]}. Change {table.files}."
        )
    optional = ("_repaired", "_replaces_file", "_replaces_row")
    marks = [F.col(name) if name in there else F.lit(None).cast("string").alias(name) for name in optional]
    read = F.struct(F.lit(None).cast("string").alias("nothing"), *sorted(named))  # a struct has at least one field
    row_hash = units.row_hash(texts).alias("_hash")
    evidence = (*EVIDENCE, "_batch", "_sequence", "_delivered_at", "_problem", "_is_last")
    return F.struct(*evidence, *marks, row_hash, read.alias("text"))


def _rules(table: Table) -> dict[str, tuple[Column, str]]:
    """The contract's rules and those of the core, as conditions that hold for a right row.

    A cause comes before its consequences: of an unknown market no time can be read, while of a column that cannot be
    read no rule is broken, since unknown passes.
    """
    own = {name: (F.expr(rule.check), rule.severity) for name, rule in table.contract.rules.items()}
    rules = {f"{name}_is_present": (F.col(name).isNotNull(), "reject") for name in table.contract.unit} | own
    for name, column in table.contract.columns.items():
        present = F.col(name).isNotNull()
        if column.source:
            text = F.col(f"_source.text.`{column.source}`")
            rules[f"{name}_is_readable"] = (text.isNull() | F.col(name).isNotNull(), "reject")
            present = text.isNotNull()
        if column.required or name in table.contract.unit:
            rules[f"{name}_is_present"] = (present, "reject")
    return rules


def _broken(rules: Mapping[str, tuple[Column, str]], wanted: str) -> Column:
    """Names of the rules of one severity that the row breaks.

    Unknown (null) passes, as in SQL constraints: `required` is the rule for what must be there.
    """
    checks = {name: check for name, (check, severity) in rules.items() if severity == wanted}
    broken = [F.when(~F.coalesce(check, F.lit(True)), F.lit(name)) for name, check in checks.items()]  # noqa: FBT003
    return F.array_compact(F.array(*broken)) if broken else F.array().cast("array<string>")


def judge(
    table: Table,
    parsed: DataFrame,
    newest_of_file: DataFrame,
    replacing: DataFrame | None,
    since: int,
    known: Known | None = None,
) -> DataFrame:
    """One `_status` per row: of its unit the newest right delivery is kept, and the newest, if not right, is rejected.

    `newest_of_file` (_file, _newest): the sequence of each file's newest version, which supersedes the keyless rows of
    its older ones. `replacing`: the places (_file, _row) that newer rows correct. `since`: rows of later batches
    are new (`_new`). `known`: what these rows alone do not tell.
    """
    return judge_flat(table, flat(parsed, since), newest_of_file, replacing, known or Known())


def flat(parsed: DataFrame, since: int) -> DataFrame:
    """Parsed rows with what is needed of `_source`, column by column."""
    return parsed.select(
        *(name for name in parsed.columns if name != "_source"),
        *(F.col(f"_source.{name}").alias(name) for name in OF_THE_ROW),
        (F.col("_source._batch") > since).alias("_new"),
    )


def judge_flat(
    table: Table,
    rows: DataFrame,
    newest_of_file: DataFrame,
    replacing: DataFrame | None,
    known: Known,
    once: Callable[[DataFrame], DataFrame] = lambda rows: rows,
) -> DataFrame:
    """As `judge`; the rows need no columns but those that they are judged by."""
    if known.refused:
        broken = F.array_append("_broken", WITHIN_LIMIT)
        rows = rows.withColumn(
            "_broken", F.when(F.col("_sequence").isin(*known.refused), broken).otherwise(F.col("_broken"))
        )
    keyless = _judge_keyless(table, rows.where(~has_key(table)), newest_of_file)
    judged = _judge_units(table, rows.where(has_key(table)), known.proven, once).unionByName(keyless)
    return judged if replacing is None else _without_replaced(judged, replacing)


def _judged_by(table: Table, columns: Iterable[str]) -> list[str]:
    """The columns that decide about a row: sorting by five windows takes as long as the rows are wide."""
    promise = table.contract
    rules = [one.check for name, one in promise.rules.items() if is_of_document(table, name)]
    texts = [*promise.document.values(), *rules, promise.totals or ""]
    named = {*re.findall(r"\w+", " ".join(texts)), *promise.unit}
    return [name for name in columns if name in named or name.startswith("_")]


def _rows_to_judge(batch: Batch) -> int:
    """The new rows, and as a guess of those of older deliveries that late ones touch, as many again for each of two."""
    return batch.rows_in * (3 if batch.late else 1)


def _without_replaced(judged: DataFrame, replacing: DataFrame) -> DataFrame:
    is_replaced = (F.col("_status") == "rejected") & (F.col("_by") > F.col("_sequence"))
    joined = judged.join(F.broadcast(replacing), on=list(EVIDENCE), how="left")
    return joined.withColumn("_status", F.when(is_replaced, "superseded").otherwise(F.col("_status"))).drop("_by")


def replaced_places(replacing: DataFrame) -> DataFrame:
    """The places that newer rows say they correct, with the newest sequence (`_by`) that says so."""
    places = replacing.select(
        F.col("_replaces_file").alias("_file"),
        F.col("_replaces_row").try_cast("bigint").alias("_row"),
        F.col("_sequence").alias("_by"),
    )
    return places.where("_file is not null").groupBy(*EVIDENCE).agg(F.max("_by").alias("_by"))


def _judge_units(
    table: Table, rows: DataFrame, proven: DataFrame | None, once: Callable[[DataFrame], DataFrame]
) -> DataFrame:
    promise = table.contract
    unit, delivery = [F.col(name) for name in promise.unit], [*promise.unit, "_sequence"]
    of_unit, of_delivery = Window.partitionBy(*unit), Window.partitionBy(*delivery)
    in_place = Window.partitionBy(*delivery, "_repeat").orderBy("_row")
    # One shuffle by unit serves all the windows below.
    rows = once(_without_repeats(table, rows.repartition(*unit), delivery))
    is_right = F.sum(F.size("_broken")).over(of_delivery) == 0
    if promise.unit_is_one_row:
        alone = F.count_if(~F.col("_repeat")).over(of_delivery) == 1
        rows = rows.withColumn(
            "_broken", F.when(alone, F.col("_broken")).otherwise(F.array_append("_broken", "unit_is_unique"))
        )
    if promise.position:
        rows = rows.withColumn(promise.position, F.row_number().over(in_place))
    rows = _without_lost_totals(table, rows.withColumn("_right", is_right), delivery, proven)
    rows = rows.withColumns(
        {
            "_newest_right": F.max(F.when(F.col("_accepted"), F.col("_sequence"))).over(of_unit),
            "_newest": F.max("_sequence").over(of_unit),
        }
    )
    is_kept = F.col("_sequence") == F.col("_newest_right")
    is_rejected = ~F.col("_accepted") & (F.col("_sequence") == F.col("_newest"))
    status = (
        F.when(is_kept & F.col("_repeat"), "duplicate")
        .when(is_kept, "kept")
        .when(is_rejected, "rejected")
        .otherwise("superseded")
    )
    return rows.withColumn("_status", status).drop("_repeat", "_accepted", "_newest_right", "_newest")


def _without_repeats(table: Table, rows: DataFrame, delivery: Sequence[str]) -> DataFrame:
    """Asks the document's rules; `_repeat` marks the rows that only say again what another row of the document says.

    It is read without them or with them, as the contract says, unless its rules hold only the other way.
    """
    is_duplicate = table.contract.repeats == "duplicate"
    rules = {name: one for name, one in _rules(table).items() if is_of_document(table, name)}
    if not rules and not is_duplicate:
        return rows.withColumn("_repeat", F.lit(False))  # noqa: FBT003
    nth = F.row_number().over(Window.partitionBy(*delivery, "_hash").orderBy("_row"))
    rows = rows.withColumn("_again", nth > 1)
    if not rules:
        return rows.withColumnRenamed("_again", "_repeat")
    rows = _asked(table, rows, rules, "_with", Window.partitionBy(*delivery), F.lit(False))  # noqa: FBT003
    rows = _asked(table, rows, rules, "_without", Window.partitionBy(*delivery, "_again"), F.col("_again"))
    usual, other = ("_without", "_with") if is_duplicate else ("_with", "_without")
    fails = {one: F.max(F.size(f"{one}._broken") > 0).over(Window.partitionBy(*delivery)) for one in (usual, other)}
    rows = rows.withColumns({"_usual_fails": fails[usual], "_other_fails": fails[other]})
    is_other = F.col("_usual_fails") & ~F.col("_other_fails")
    is_doubted = F.col("_again") & F.col("_usual_fails") & F.col("_other_fails") & F.lit(is_duplicate)
    found = {
        column: F.concat(column, F.when(is_other, F.col(f"{other}.{column}")).otherwise(F.col(f"{usual}.{column}")))
        for column in RULES_OF.values()
    }
    found["_broken"] = F.when(is_doubted, F.array_append(found["_broken"], NOT_REPEATED)).otherwise(found["_broken"])
    found["_repeat"] = F.col("_again") & (~is_other if is_duplicate else is_other)
    return rows.withColumns(found).drop("_again", "_with", "_without", "_usual_fails", "_other_fails")


def _asked(
    table: Table,
    rows: DataFrame,
    rules: Mapping[str, tuple[Column, str]],
    reading: str,
    of_document: WindowSpec,
    is_left_out: Column,
) -> DataFrame:
    """`reading`: the rules of the document that the row breaks; none of a row whose cells are not sure."""
    document = {name: F.expr(text).over(of_document) for name, text in table.contract.document.items()}
    says_nothing = is_left_out | (F.count("_problem").over(of_document) > 0)
    nothing = F.array().cast("array<string>")
    broken = [
        F.when(says_nothing, nothing).otherwise(_broken(rules, severity)).alias(column)
        for severity, column in RULES_OF.items()
    ]
    return rows.withColumns(document).withColumn(reading, F.struct(*broken)).drop(*document)


def _without_lost_totals(table: Table, rows: DataFrame, delivery: Sequence[str], proven: DataFrame | None) -> DataFrame:
    """`_accepted`: right by itself, and not without the totals that an earlier accepted delivery of its unit has.

    Whatever has totals and is right is accepted, so the first of these tells. `proven`: units that the table holds with
    totals; it tells of units of which all older deliveries are in it, and none among these rows.
    """
    if table.contract.totals is None:
        return rows.withColumn("_accepted", F.col("_right"))
    unit = list(table.contract.unit)
    of_unit = Window.partitionBy(*unit)
    rows = rows.withColumn("_has_totals", F.max(_has_totals(table)).over(Window.partitionBy(*delivery)))
    first = F.min(F.when(F.col("_right") & F.col("_has_totals"), F.col("_sequence"))).over(of_unit)
    is_later = F.coalesce(first < F.col("_sequence"), F.lit(False))  # noqa: FBT003
    if proven is not None:
        rows = rows.join(proven.withColumn("_proven", F.lit(True)), on=unit, how="left")  # noqa: FBT003
        is_later = is_later | (F.col("_proven").isNotNull() & F.min("_new").over(of_unit))
    rows = rows.withColumn("_lost", ~F.col("_has_totals") & is_later)
    broken = F.when(F.col("_lost"), F.array_append("_broken", KEEPS_TOTALS)).otherwise(F.col("_broken"))
    accepted = {"_broken": broken, "_accepted": F.col("_right") & ~F.col("_lost")}
    return rows.withColumns(accepted).drop("_has_totals", "_lost", "_proven")


def _has_totals(table: Table) -> Column:
    return F.coalesce(F.expr(table.contract.totals or "false"), F.lit(False))  # noqa: FBT003


def _proven(writer: Writer, rows: DataFrame, stored: DataFrame, cached: ExitStack) -> DataFrame | None:
    """The units that the table holds with totals, of those that new rows deliver without; these are few."""
    unit = list(writer.table.contract.unit)
    documents = rows.where(has_key(writer.table)).groupBy(*unit, "_sequence")
    lacking = documents.agg(F.max(_has_totals(writer.table)).alias("_has_totals")).where("not _has_totals")
    lacking = writer.engine.once(lacking.select(*unit).distinct(), cached)
    if lacking.isEmpty():
        return None
    found = stored.where(_has_totals(writer.table)).join(writer.engine.small_side(lacking), on=unit, how="left_semi")
    return writer.engine.small_side(writer.engine.once(found.select(*unit).distinct(), cached))


def _judge_keyless(table: Table, rows: DataFrame, newest_of_file: DataFrame) -> DataFrame:
    """A row without a readable unit stands alone, by its place in its file."""
    rows = rows.withColumn("_right", F.lit(False))  # noqa: FBT003
    if table.contract.position:
        rows = rows.withColumn(table.contract.position, F.lit(None).cast("int"))
    joined = rows.join(F.broadcast(newest_of_file), on="_file", how="left")
    is_newest = F.col("_sequence") == F.coalesce("_newest", "_sequence")
    return joined.withColumn("_status", F.when(is_newest, "rejected").otherwise("superseded")).drop("_newest")


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


def account(
    engine: Engine,
    table: Table,
    judged: DataFrame,
    markets: Mapping[tuple[str, int], int | None],
    refused: Container[str] = (),
) -> Account:
    """Counts of the new rows, in one pass."""
    own = dict.fromkeys(("unit_is_unique", NOT_REPEATED, KEEPS_TOTALS, WITHIN_LIMIT), "reject")
    rules = {name: severity for name, (_, severity) in _rules(table).items()} | own
    broken = [F.count_if(F.array_contains(RULES_OF[severity], name)).alias(name) for name, severity in rules.items()]
    by_its_day = [name for name, one in table.contract.rules.items() if "_delivered_at" in one.check]
    grouped = judged.groupBy("_new", "_file", "_batch", "_sequence", "_right", "_status", "_repaired", "_problem")
    warned = F.count_if(F.size("_warned") > 0).alias("_rows_warned")
    result, shares = Account(), defaultdict[tuple[str, str, int], _Share](_Share)
    counted = grouped.agg(F.count("*").alias("_count"), warned, *broken)
    for row in engine.arrow(counted).to_pylist():
        status, count = row["_status"], row["_count"]
        result.to_write += count if status == "kept" else 0
        result.to_reject += count if status == "rejected" else 0
        if not row["_new"]:
            continue
        place = (row["_file"], row["_batch"])
        if row["_sequence"] not in refused:
            shares[row["_sequence"], *place].add(row, [one for one, severity in rules.items() if severity == "reject"])
        add = partial(result.add, markets[place])
        add("rows", status, count)
        of_file = result.by_file.setdefault(place, Counter())
        of_file[status] += count
        of_file["warned"] += row["_rows_warned"] if status in {"kept", "unchanged"} else 0
        add("repaired", row["_repaired"], count if row["_repaired"] else 0)
        if status == "rejected":
            of_file[MISDATED] += max((row[name] for name in by_its_day), default=0)
            by_rule = {name: row[name] for name, severity in rules.items() if severity == "reject"}
            for name, times in (by_rule | ({row["_problem"]: count} if row["_problem"] else {})).items():
                add("rejected", name, times)
                result.rules[row["_file"], name] += times
        if status not in {"superseded", "duplicate"}:
            for name, severity in rules.items():
                add("warned", name, row[name] if severity == "warn" else 0)
                add("stopped", name, row[name] if severity == "stop" and status != "rejected" else 0)
    beyond = {one: share for one, share in sorted(shares.items()) if share.is_beyond(table.contract)}
    result.beyond = tuple(dict.fromkeys(sequence for sequence, *_ in beyond))
    result.refused = {(file, batch): share.words(table.contract) for (_, file, batch), share in beyond.items()}
    return result


@dataclass
class _Share:
    """How many rows of one file are in documents that are wrong by themselves, whatever else was delivered."""

    rows: int = 0
    wrong: int = 0
    rules: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any], rules: Iterable[str]) -> None:
        self.rows += row["_count"]
        self.wrong += 0 if row["_right"] else row["_count"]
        self.rules.update({name: row[name] for name in rules if row[name]})
        self.rules.update({row["_problem"]: row["_count"]} if row["_problem"] else {})

    def is_beyond(self, promise: Contract) -> bool:
        return self.rows >= promise.reject_limit_rows and self.wrong > promise.reject_limit * self.rows

    def words(self, promise: Contract) -> str:
        rule, count = self.rules.most_common(1)[0]
        return (
            f"{self.wrong:,} of its {self.rows:,} rows ({self.wrong / self.rows:.0%}) are wrong, and the reject_limit "
            f"is {promise.reject_limit:.0%}; {count:,} by {rule} ({promise.why(rule)})"
        )


def stored_rows(table: Table, judged: DataFrame) -> DataFrame:
    """The rows to write, as they are stored: the contract's columns and where each stands."""
    return units.with_digest(table.contract, judged.where("_status = 'kept'")).select(*table.contract.stored_columns)


def rejected_rows(table: Table, judged: DataFrame) -> DataFrame:
    """The rows to quarantine: the unit as far as it is readable, the broken rules, and where the raw text stands."""
    rules = F.when(F.size("_broken") > 0, F.col("_broken")).otherwise(F.array(F.lit(ANOTHER_ROW)))
    wrong = judged.where("_status = 'rejected'")
    since = F.col("_delivered_at").alias("since")
    return wrong.select(*table.contract.unit, rules.alias("rules"), *EVIDENCE, "_sequence", since)


def _settle_rejected(
    writer: Writer, judged: DataFrame, replacing: DataFrame | None, batch: Batch, accounted: Account
) -> None:
    """`<table>__rejected` holds what is wrong now; written only where that changed, created when first needed."""
    wrong, before = rejected_rows(writer.table, judged), writer.rejected()
    if before is None:
        if accounted.to_reject:
            writer.overwrite_rejected(wrong)
        return
    if not batch.is_whole:
        wrong = wrong.unionByName(_still_wrong(writer.table, before, judged, replacing, batch.newest_of_file))
    if sorted(before.dtypes) != sorted(wrong.dtypes) or _content(before) != _content(wrong):
        writer.overwrite_rejected(wrong)
    else:
        writer.keep_rejected()


def _content(rows: DataFrame) -> tuple[object, ...]:
    """Enough of a frame to tell whether it is the same as another: the count and the sum of its rows' hashes."""
    return tuple(rows.agg(F.count("*"), units.hash_sum(units.row_hash(sorted(rows.columns)))).collect()[0])


def _still_wrong(
    table: Table, before: DataFrame, judged: DataFrame, replacing: DataFrame | None, newest_of_file: DataFrame
) -> DataFrame:
    """What was in quarantine and was neither judged again, nor delivered again by its file, nor replaced by name."""
    unit = list(table.contract.unit)
    with_key = before.where(has_key(table)).join(judged.select(*unit).distinct(), on=unit, how="left_anti")
    place = [*EVIDENCE, "_sequence"]  # of rows that a run judged which then broke off, and that are judged again
    again = judged.where(~has_key(table)).select(*place)
    keyless = before.where(~has_key(table)).join(again, on=place, how="left_anti")
    keyless = keyless.join(F.broadcast(newest_of_file), on="_file", how="left")
    keyless = keyless.where("_sequence = coalesce(_newest, _sequence)").drop("_newest")
    rest = with_key.unionByName(keyless).select(*before.columns)
    if replacing is None:
        return rest
    by_place = rest.join(F.broadcast(replacing), on=list(EVIDENCE), how="left")
    return by_place.where("_by is null or _by <= _sequence").select(*before.columns)


def has_key(table: Table) -> Column:
    """Whether the row names its unit; one that does not stands alone, by its place in its file."""
    return reduce(operator.and_, (F.col(name).isNotNull() for name in table.contract.unit))


def newest_of_file(engine: Engine, taken: Iterable[Entry]) -> DataFrame:
    """`_file` and `_newest`: the sequence of each file's newest version."""
    import pyarrow as pa  # noqa: PLC0415  as in `records`: a question to a table does not pay for it

    newest: dict[str, str] = {}
    for one in taken:
        newest[one.delivery.path] = max(newest.get(one.delivery.path, ""), one.delivery.sequence)
    columns = {"_file": list(newest), "_newest": list(newest.values())}
    return engine.frame(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}))
