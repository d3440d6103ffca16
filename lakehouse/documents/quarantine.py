"""`<table>__rejected`: what is wrong now, a part of the table's state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.contract import ANOTHER_ROW, EVIDENCE
from lakehouse.documents.judgement.parsing import has_key
from lakehouse.writes import units

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame

    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.writes.lake import Writer


def settle_rejected(
    writer: Writer,
    judged: DataFrame,
    replacing: DataFrame | None,
    newest_of_file: DataFrame,
    gone: DataFrame | None,
    *,
    any_wrong: bool,
    is_whole: bool,
) -> None:
    """`<table>__rejected` holds what is wrong now; written only where that changed, created when first needed."""
    wrong, before = rejected_rows(writer.table, judged), writer.rejected()
    if before is None:
        if any_wrong:
            writer.overwrite_rejected(wrong)
        return
    if not is_whole:
        unit = list(writer.table.contract.unit)
        there = before if gone is None else before.join(gone.select(*unit), on=unit, how="left_anti")
        wrong = wrong.unionByName(_still_wrong(writer.table, there, judged, replacing, newest_of_file))
    if sorted(before.dtypes) != sorted(wrong.dtypes) or _content(before) != _content(wrong):
        writer.overwrite_rejected(wrong)
    else:
        writer.keep_rejected()


def rejected_rows(table: Table, judged: DataFrame) -> DataFrame:
    """The rows to quarantine: the unit as far as it is readable, the broken rules, and where the raw text stands."""
    rules = F.when(F.size("_broken") > 0, F.col("_broken")).otherwise(F.array(F.lit(ANOTHER_ROW)))
    wrong = judged.where("_status = 'rejected'")
    since = F.col("_delivered_at").alias("since")
    return wrong.select(*table.contract.unit, rules.alias("rules"), *EVIDENCE, "_sequence", since)


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
    return rest.join(F.broadcast(replacing), on=[*EVIDENCE, "_sequence"], how="left_anti").select(*before.columns)


def newest_of_file(engine: Engine, taken: Iterable[Entry]) -> DataFrame:
    """`_file` and `_newest`: the sequence of each file's newest version."""
    import pyarrow as pa  # noqa: PLC0415  as in `records`: a question to a table does not pay for it

    newest: dict[str, str] = {}
    for one in taken:
        newest[one.delivery.path] = max(newest.get(one.delivery.path, ""), one.delivery.sequence)
    columns = {"_file": list(newest), "_newest": list(newest.values())}
    return engine.frame(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}))


def versions(engine: Engine, taken: Iterable[Entry]) -> DataFrame:
    """`_file`, `_sequence` and `_content`, as much of it as a sequence has, of all versions of each file."""
    import pyarrow as pa  # noqa: PLC0415  as above

    rows = [(one.delivery.path, one.delivery.sequence, one.delivery.short_content) for one in taken]
    columns = dict(zip(("_file", "_sequence", "_content"), zip(*rows, strict=True), strict=True))
    return engine.frame(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}))
