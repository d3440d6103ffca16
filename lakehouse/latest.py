"""`write: latest`: of each unit the newest delivery that is right (design: row protocol, what happens to a row).

Every new row gets one status: kept, unchanged (kept, and the table has it already), rejected, duplicate or superseded.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from lakehouse import units
from lakehouse.errors import LakehouseError
from lakehouse.lake import conform, rejected, with_meanings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame

    from lakehouse.contract import Contract
    from lakehouse.graph import Table
    from lakehouse.lake import Writer

STATUSES = ("kept", "unchanged", "rejected", "duplicate", "superseded")
EVIDENCE = ("_file", "_row")
ANOTHER_ROW = "another_row_of_its_document"


@dataclass(frozen=True)
class Batch:
    """What a run gives to a `latest` table. `since`: the last batch that the table includes, -1 for none."""

    bronze: DataFrame
    contract: Contract
    conf: Mapping[str, DataFrame]
    newest_of_file: DataFrame
    since: int
    is_late: bool
    rows_in: int

    @property
    def is_whole(self) -> bool:
        return self.since < 0


def settle(writer: Writer, batch: Batch) -> dict[str, dict[str, int]]:
    """Bring the table and its quarantine up to date with the batch; the counts of the rows that came in."""
    table = writer.table
    rows = batch.bronze if batch.is_whole or batch.is_late else batch.bronze.where(F.col("_batch") > batch.since)
    parsed = parse(table, batch.contract, rows, batch.conf)
    replacing = _replaced_places(parsed) if "_replaces_file" in rows.columns else None
    if batch.is_late:
        parsed = _of_touched_units(table, parsed, batch.since)
    judged = judge(table, parsed, batch.newest_of_file, replacing, batch.since).persist()
    stored = _stored(writer, judged, batch)
    marked = judged if stored is None else mark_unchanged(table, judged, stored).persist()
    try:
        counts = account(table, marked)
        _check_sums(table, batch.rows_in, counts["rows"])
        wrong = _wrong_now(writer, judged, replacing, batch)
        _settle_rejected(writer, wrong, any_rejected=counts["rows"]["rejected"] > 0)
        _write(writer, marked, stored, batch)
    finally:
        marked.unpersist()
        judged.unpersist()
    return counts


def _check_sums(table: Table, rows_in: int, counts: Mapping[str, int]) -> None:
    """Before anything is written: every row that came in is in exactly one place."""
    if rows_in != sum(counts.values()):
        raise LakehouseError(
            f"{table.name}: {rows_in} rows came in, but {sum(counts.values())} are accounted for: {dict(counts)}. "
            f"Its build() and repair() must return one row for each row they get. Change {table.files}."
        )


def _of_touched_units(table: Table, parsed: DataFrame, since: int) -> DataFrame:
    """All rows, old and new, of the units that new rows name; and the new rows without a readable unit."""
    is_new = F.col("_source._batch") > since
    unit = list(table.contract.unit)
    touched = parsed.where(is_new & _has_key(table)).select(*unit).distinct()
    with_key = parsed.where(_has_key(table)).join(touched, on=unit, how="left_semi")
    return with_key.unionByName(parsed.where(is_new & ~_has_key(table)))


def _stored(writer: Writer, judged: DataFrame, batch: Batch) -> DataFrame | None:
    """What the table holds of the judged units (of all, when whole); None where it must be written anew."""
    promise = writer.table.contract
    stored = writer.stored(like=judged.select(*promise.columns, *EVIDENCE))
    if stored is None or batch.is_whole:
        return stored
    return stored.join(judged.select(*promise.unit).distinct(), on=list(promise.unit), how="left_semi")


def _write(writer: Writer, marked: DataFrame, stored: DataFrame | None, batch: Batch) -> None:
    """Overwrite where nothing comparable is stored; else write the changed units and delete those nobody delivers."""
    kept = stored_rows(writer.table, marked)
    if stored is None:
        writer.overwrite(kept)
        return
    gone = None
    if batch.is_whole:
        unit = list(writer.table.contract.unit)
        right = marked.where("_status in ('kept', 'unchanged')").select(*unit)
        missing = stored.select(*unit).distinct().join(right, on=unit, how="left_anti")
        gone = None if missing.isEmpty() else missing
    if gone is None and kept.isEmpty():
        writer.note_progress()
    else:
        writer.replace_units(kept, gone)


def parse(table: Table, bronze: Contract, rows: DataFrame, conf: Mapping[str, DataFrame]) -> DataFrame:
    """Bronze rows -> the contract's columns, plus `_source`, `_broken` and `_warned` (names of rules).

    What is spelled as nothing is null before `build` sees it; texts that build could not read are broken rules.
    """
    delivered = [name for name in bronze.columns if bronze.columns[name].type == "string"]
    rows = rows.withColumns({name: F.lit(None).cast("string") for name in delivered if name not in rows.columns})
    if table.repair:
        rows = table.repair(rows.withColumn("_repaired", F.lit(None).cast("string")))
    texts = [field.name for field in rows.schema if field.dataType == StringType() and not field.name.startswith("_")]
    blank = _blanks(table, bronze)
    rows = rows.withColumns({name: F.when(~F.trim(F.col(name)).isin(*blank[name]), F.col(name)) for name in delivered})
    source = rows.withColumn("_source", _source(table, rows, texts))
    built = table.build(*(source if name.startswith("bronze.") else conf[name] for name in table.inputs))
    if "_source" not in built.columns:
        raise LakehouseError(
            f"{table.name}: build() must select `_source` too, so that a row can be traced. Change {table.files}."
        )
    built = conform(table, built, without=table.contract.position)
    rules = _rules(table)
    return built.select(
        *(name for name in table.contract.columns if name != table.contract.position),
        "_source",
        _names_of_broken({name: check for name, (check, severity) in rules.items() if severity == "reject"}).alias(
            "_broken"
        ),
        _names_of_broken({name: check for name, (check, severity) in rules.items() if severity == "warn"}).alias(
            "_warned"
        ),
    )


def _blanks(table: Table, bronze: Contract) -> dict[str, set[str]]:
    """The spellings of nothing, per delivered column."""
    everywhere = set(bronze.source.blank if bronze.source else ()) | {""}
    blank = {name: set(everywhere) for name in bronze.columns}
    for column in table.contract.columns.values():
        if column.source:
            blank[column.source] |= set(column.blank)
    return blank


def _source(table: Table, rows: DataFrame, texts: Sequence[str]) -> Column:
    """Where a row stands, and the texts that its readable-rules need; it travels through build as one column."""
    named = {c.source for c in table.contract.columns.values() if c.source}
    if unknown := named - set(rows.columns):
        raise LakehouseError(
            f"{table.name}: `from: {min(unknown)}` is no column of {table.parents[0]}. Change {table.files}."
        )
    optional = ("_repaired", "_replaces_file", "_replaces_row")
    there = [F.col(name) if name in rows.columns else F.lit(None).cast("string").alias(name) for name in optional]
    read = F.struct(F.lit(None).alias("nothing"), *sorted(named))  # a struct has at least one field
    row_hash = units.row_hash(texts).alias("_hash")
    return F.struct(*EVIDENCE, "_batch", "_sequence", "_problem", *there, row_hash, read.alias("text"))


def _rules(table: Table) -> dict[str, tuple[Column, str]]:
    """The contract's rules and those of the core, as conditions that hold for a right row."""
    rules: dict[str, tuple[Column, str]] = {
        "row_has_the_width_of_its_header": (F.col("_source._problem").isNull(), "reject"),
    }
    for name, column in table.contract.columns.items():
        present = F.col(name).isNotNull()
        if column.source:
            text = F.col(f"_source.text.`{column.source}`")
            rules[f"{name}_is_readable"] = (text.isNull() | F.col(name).isNotNull(), "reject")
            present = text.isNotNull()
        if column.required or name in table.contract.unit:
            rules[f"{name}_is_present"] = (present, "reject")
    return rules | {name: (F.expr(rule.check), rule.severity) for name, rule in table.contract.rules.items()}


def _names_of_broken(rules: Mapping[str, Column]) -> Column:
    """Unknown (null) passes, as in SQL constraints: `required` is the rule for what must be there."""
    broken = [F.when(~F.coalesce(check, F.lit(True)), F.lit(name)) for name, check in rules.items()]  # noqa: FBT003
    return F.array_compact(F.array(*broken)) if broken else F.array().cast("array<string>")


def judge(
    table: Table, parsed: DataFrame, newest_of_file: DataFrame, replacing: DataFrame | None, since: int
) -> DataFrame:
    """One `_status` per row: of its unit the newest right delivery is kept, and the newest, if not right, is rejected.

    `newest_of_file` (_file, _newest): the sequence of each file's newest version, which supersedes the keyless rows of
    its older ones. `replacing`: the places (_file, _row) that newer rows correct. `since`: rows of later batches
    are new (`_new`).
    """
    flat = parsed.select(
        *(name for name in parsed.columns if name != "_source"),
        *(F.col(f"_source.{name}").alias(name) for name in ("_file", "_row", "_sequence", "_repaired", "_hash")),
        (F.col("_source._batch") > since).alias("_new"),
    )
    keyless = _judge_keyless(table, flat.where(~_has_key(table)), newest_of_file)
    judged = _judge_units(table, flat.where(_has_key(table))).unionByName(keyless)
    return judged if replacing is None else _without_replaced(judged, replacing)


def _without_replaced(judged: DataFrame, replacing: DataFrame) -> DataFrame:
    is_replaced = (F.col("_status") == "rejected") & (F.col("_by") > F.col("_sequence"))
    joined = judged.join(F.broadcast(replacing), on=list(EVIDENCE), how="left")
    return joined.withColumn("_status", F.when(is_replaced, "superseded").otherwise(F.col("_status"))).drop("_by")


def _replaced_places(replacing: DataFrame) -> DataFrame:
    """The places that newer rows say they correct, with the newest sequence (`_by`) that says so."""
    places = replacing.select(
        F.col("_source._replaces_file").alias("_file"),
        F.col("_source._replaces_row").try_cast("bigint").alias("_row"),
        F.col("_source._sequence").alias("_by"),
    )
    return places.where("_file is not null").groupBy(*EVIDENCE).agg(F.max("_by").alias("_by"))


def _judge_units(table: Table, rows: DataFrame) -> DataFrame:
    promise = table.contract
    unit, delivery = [F.col(name) for name in promise.unit], [*promise.unit, "_sequence"]
    of_unit, of_delivery = Window.partitionBy(*unit), Window.partitionBy(*delivery)
    in_place = Window.partitionBy(*delivery, "_repeat").orderBy("_row")
    nth = F.row_number().over(Window.partitionBy(*delivery, "_hash").orderBy("_row"))
    # One shuffle by unit serves all the windows below.
    rows = rows.repartition(*unit).withColumn("_repeat", nth > 1 if promise.repeats == "duplicate" else F.lit(False))  # noqa: FBT003
    is_right = F.sum(F.size("_broken")).over(of_delivery) == 0
    if promise.unit_is_one_row:
        alone = F.count_if(~F.col("_repeat")).over(of_delivery) == 1
        rows = rows.withColumn(
            "_broken", F.when(alone, F.col("_broken")).otherwise(F.array_append("_broken", "unit_is_unique"))
        )
    if promise.position:
        rows = rows.withColumn(promise.position, F.row_number().over(in_place))
    rows = rows.withColumn("_right", is_right).withColumns(
        {
            "_newest_right": F.max(F.when(F.col("_right"), F.col("_sequence"))).over(of_unit),
            "_newest": F.max("_sequence").over(of_unit),
        }
    )
    is_kept = F.col("_sequence") == F.col("_newest_right")
    is_rejected = ~F.col("_right") & (F.col("_sequence") == F.col("_newest"))
    status = (
        F.when(is_kept & F.col("_repeat"), "duplicate")
        .when(is_kept, "kept")
        .when(is_rejected, "rejected")
        .otherwise("superseded")
    )
    return rows.withColumn("_status", status).drop("_repeat", "_right", "_newest_right", "_newest")


def _judge_keyless(table: Table, rows: DataFrame, newest_of_file: DataFrame) -> DataFrame:
    """A row without a readable unit stands alone, by its place in its file."""
    if table.contract.position:
        rows = rows.withColumn(table.contract.position, F.lit(None).cast("int"))
    joined = rows.join(F.broadcast(newest_of_file), on="_file", how="left")
    is_newest = F.col("_sequence") == F.coalesce("_newest", "_sequence")
    return joined.withColumn("_status", F.when(is_newest, "rejected").otherwise("superseded")).drop("_newest")


def mark_unchanged(table: Table, judged: DataFrame, stored: DataFrame) -> DataFrame:
    """Kept rows of units that the table holds already, to the last value, become `unchanged`."""
    unit, columns = table.contract.unit, list(table.contract.columns)
    of_unit = Window.partitionBy(*unit)
    is_kept = F.col("_status") == "kept"
    hashes = F.when(is_kept, units.row_hash(columns))
    before = units.sums(stored, unit, columns).withColumnsRenamed({"_rows": "_stored_rows", "_sum": "_stored_sum"})
    compared = (
        judged.withColumns({"_rows": F.count(hashes).over(of_unit), "_sum": units.hash_sum(hashes).over(of_unit)})
        .join(before, on=list(unit), how="left")
        .withColumn("_same", (F.col("_rows") == F.col("_stored_rows")) & (F.col("_sum") == F.col("_stored_sum")))
    )
    status = F.when(is_kept & F.col("_same"), "unchanged").otherwise(F.col("_status"))
    return compared.withColumn("_status", status).drop("_rows", "_sum", "_stored_rows", "_stored_sum", "_same")


def account(table: Table, judged: DataFrame) -> dict[str, dict[str, int]]:
    """Counts of the new rows: by status (`rows`), by rule that rejected or warned, by defect that was repaired."""
    rules = {name: severity for name, (_, severity) in _rules(table).items()} | {"unit_is_unique": "reject"}
    broken = [
        F.count_if(F.array_contains("_broken" if severity == "reject" else "_warned", name)).alias(name)
        for name, severity in rules.items()
    ]
    counted = judged.where("_new").groupBy("_status", "_repaired").agg(F.count("*").alias("_count"), *broken).collect()
    counts: dict[str, dict[str, int]] = {
        "rows": dict.fromkeys(STATUSES, 0),
        "rejected": {},
        "warned": {},
        "repaired": {},
    }
    for row in counted:
        counts["rows"][row["_status"]] += row["_count"]
        if row["_repaired"]:
            counts["repaired"][row["_repaired"]] = counts["repaired"].get(row["_repaired"], 0) + row["_count"]
        if row["_status"] in {"superseded", "duplicate"}:
            continue
        for name, severity in rules.items():
            by_rule = counts["rejected" if severity == "reject" else "warned"]
            if row[name] and (severity == "warn" or row["_status"] == "rejected"):
                by_rule[name] = by_rule.get(name, 0) + row[name]
    return counts


def stored_rows(table: Table, judged: DataFrame) -> DataFrame:
    """The rows to write, as they are stored: the contract's columns and where each stands."""
    return with_meanings(table, judged.where("_status = 'kept'").select(*table.contract.columns, *EVIDENCE))


def rejected_rows(table: Table, judged: DataFrame) -> DataFrame:
    """The rows to quarantine: the unit as far as it is readable, the broken rules, and where the raw text stands."""
    rules = F.when(F.size("_broken") > 0, F.col("_broken")).otherwise(F.array(F.lit(ANOTHER_ROW)))
    wrong = judged.where("_status = 'rejected'")
    return wrong.select(*table.contract.unit, rules.alias("rules"), *EVIDENCE, "_sequence")


def _wrong_now(writer: Writer, judged: DataFrame, replacing: DataFrame | None, batch: Batch) -> DataFrame:
    """What the quarantine must hold: what was judged wrong, and what was wrong before and is not touched."""
    wrong = rejected_rows(writer.table, judged)
    name = rejected(writer.table.name)
    if batch.is_whole or writer.lake.state(name) is None:
        return wrong
    before = writer.lake.read(writer.spark, name)
    return wrong.unionByName(_still_wrong(writer.table, before, judged, replacing, batch.newest_of_file))


def _settle_rejected(writer: Writer, wrong: DataFrame, *, any_rejected: bool) -> None:
    """`<table>__rejected` holds what is wrong now; written only where that changed, created when first needed."""
    name = rejected(writer.table.name)
    if writer.lake.state(name) is None:
        if any_rejected:
            writer.overwrite_rejected(wrong)
        return
    before = writer.lake.read(writer.spark, name)
    if before.dtypes != wrong.dtypes or _content(before) != _content(wrong):
        writer.overwrite_rejected(wrong)


def _content(rows: DataFrame) -> tuple[object, ...]:
    """Enough of a frame to tell whether it is the same as another: the count and the sum of its rows' hashes."""
    return tuple(rows.agg(F.count("*"), units.hash_sum(units.row_hash(rows.columns))).collect()[0])


def _still_wrong(
    table: Table, before: DataFrame, judged: DataFrame, replacing: DataFrame | None, newest_of_file: DataFrame
) -> DataFrame:
    """What was in quarantine and was neither judged again, nor delivered again by its file, nor replaced by name."""
    unit = list(table.contract.unit)
    with_key = before.where(_has_key(table)).join(judged.select(*unit).distinct(), on=unit, how="left_anti")
    keyless = before.where(~_has_key(table)).join(F.broadcast(newest_of_file), on="_file", how="left")
    keyless = keyless.where("_sequence = coalesce(_newest, _sequence)").drop("_newest")
    rest = with_key.unionByName(keyless).select(*before.columns)
    if replacing is None:
        return rest
    by_place = rest.join(F.broadcast(replacing), on=list(EVIDENCE), how="left")
    return by_place.where("_by is null or _by <= _sequence").select(*before.columns)


def _has_key(table: Table) -> Column:
    """Whether the row names its unit; one that does not stands alone, by its place in its file."""
    return reduce(operator.and_, (F.col(name).isNotNull() for name in table.contract.unit))
