"""From bronze's texts to a row of a document: what build() makes of it, where it stands, and the rules it breaks."""

from __future__ import annotations

import operator
from functools import partial, reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.contract import EVIDENCE
from lakehouse.documents.judgement.rules import broken, is_of_document, rules_of
from lakehouse.errors import LakehouseError
from lakehouse.transforms import stripped
from lakehouse.writes import units
from lakehouse.writes.lake import conform

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from pyspark.sql import Column, DataFrame

    from lakehouse.contract import Contract
    from lakehouse.graph import Table

PLACE = (*EVIDENCE, "_batch")
OF_THE_ROW = ("_file", "_row", "_batch", "_sequence", "_delivered_at", "_problem", "_is_last", "_repaired", "_hash")


def parse(
    table: Table, bronze: Contract, rows: DataFrame, columns: Mapping[str, str], conf: Mapping[str, DataFrame]
) -> DataFrame:
    """Bronze rows -> the contract's columns, plus `_source`, `_broken` and `_warned` (names of rules).

    `columns` are those of the rows, with their types. What is spelled as nothing is null before `build` sees it; texts
    that build could not read are broken rules.
    """
    built = typed(table, bronze, rows, columns, conf, partial(_source, table))
    problem = F.col("_source._problem")
    rules = {name: one for name, one in rules_of(table).items() if not is_of_document(table, name)}
    return built.select(
        *(name for name in table.contract.columns if name != table.contract.position),
        "_source",
        # Of a row that is not what its header announces no other rule says anything.
        F.when(problem.isNotNull(), F.array(problem)).otherwise(broken(rules, "reject")).alias("_broken"),
        broken(rules, "warn").alias("_warned"),
        broken(rules, "stop").alias("_stopped"),
    )


def units_of(
    table: Table, bronze: Contract, rows: DataFrame, columns: Mapping[str, str], conf: Mapping[str, DataFrame]
) -> DataFrame:
    """The unit of each of bronze's rows, as far as it can be read, and where the row stands."""
    built = typed(table, bronze, rows, columns, conf, lambda *_: F.struct(*PLACE))
    return built.select(*table.contract.unit, *(F.col(f"_source.{name}").alias(name) for name in PLACE))


def typed(
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


def _blanks(table: Table, bronze: Contract) -> dict[str, set[str]]:
    """The spellings of nothing, per delivered column."""
    everywhere = set(bronze.source.blank if bronze.source else ()) | {""}
    blank = {name: set(everywhere) for name in bronze.columns}
    for column in table.contract.columns.values():
        if column.source:
            blank.setdefault(column.source, set(everywhere)).update(column.blank)
    return blank


def _source(table: Table, there: Container[str], texts: Sequence[str]) -> Column:
    """Where a row stands, and the texts that its readable-rules need; it travels through build as one column."""
    optional = ("_repaired", "_replaces_file", "_replaces_row")
    marks = [F.col(name) if name in there else F.lit(None).cast("string").alias(name) for name in optional]
    row_hash = units.row_hash(texts).alias("_hash")
    evidence = (*EVIDENCE, "_batch", "_sequence", "_delivered_at", "_problem", "_is_last")
    return F.struct(*evidence, *marks, row_hash, read_texts(table, there))


def read_texts(table: Table, there: Container[str]) -> Column:
    """The texts that columns are read from, for the rules `<column>_is_readable`; `there` are the columns that are."""
    named = {c.source for c in table.contract.columns.values() if c.source}
    if unknown := {name for name in named if name not in there}:
        raise LakehouseError(
            f"{table.name}: `from: {min(unknown)}` is no column of {table.parents[0]}. Change {table.files}."
        )
    # A struct has at least one field.
    return F.struct(F.lit(None).cast("string").alias("nothing"), *sorted(named)).alias("text")


def flat(parsed: DataFrame, since: int) -> DataFrame:
    """Parsed rows with what is needed of `_source`, column by column."""
    return parsed.select(
        *(name for name in parsed.columns if name != "_source"),
        *(F.col(f"_source.{name}").alias(name) for name in OF_THE_ROW),
        (F.col("_source._batch") > since).alias("_new"),
    )


def has_key(table: Table) -> Column:
    """Whether the row names its unit; one that does not stands alone, by its place in its file."""
    return reduce(operator.and_, (F.col(name).isNotNull() for name in table.contract.unit))
