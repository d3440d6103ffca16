"""What is shown of rows that are too many to show: how many, what they add up to, and the few that matter most."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from lakehouse import graph
from lakehouse.transforms import whole_sum
from lakehouse.writes import needed, units

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pyspark.sql import Column, DataFrame

    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

Values = dict[str, Any]

EVIDENCE = ("_file", "_row")
PLACE = (*EVIDENCE, "_batch")
MOST_COLUMNS = 8
CANDIDATES = 16  # some have one value only, and are said once
GROUPS = range(2, 7)  # so many values of a column are worth a sum each
SUMS = {"sum", "whole_sum", "sum_where"}
NUMBERS = ("int", "bigint", "double", "decimal")


@dataclass(frozen=True)
class Excerpt:
    """`rows` counts them all, `hash` tells them from others. `sums` are over all, `groups` by the values of one column.

    `examples` are the `largest_by` a column where there are more, else the first by the grain; `same` holds the columns
    that have one value in all rows and are therefore not in the examples.
    """

    rows: int
    hash: str = ""
    sums: Values = field(default_factory=dict)
    groups: tuple[Values, ...] = ()
    same: Values = field(default_factory=dict)
    largest_by: str = ""
    examples: tuple[Values, ...] = ()


@dataclass(frozen=True)
class Use:
    """What a table does with the rows of one of its inputs: the columns it is made from, and those that it adds up."""

    columns: Collection[str]
    summed: Collection[str] = ()


def uses(engine: Engine, reader: Table, inputs: Mapping[str, DataFrame]) -> dict[str, Use]:
    """By input, from the reader's code: what the optimizer leaves of it, and what it hands to a sum."""
    if reader.contract.judges:
        sources = [one.source for one in reader.contract.columns.values() if one.source]
        return {name: Use(sources) for name in reader.parents}
    summed = _summed(ast.parse(graph.code(reader.module)))
    used = needed.of_build(engine, reader, inputs)
    return {name: Use(used[name], [one for one in summed if one in used[name]]) for name in reader.parents}


def _summed(tree: ast.Module) -> list[str]:
    """The words in all calls of sum(), in order: names of columns are texts there."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [(getattr(call.func, "attr", "") or getattr(call.func, "id", ""), call) for call in calls]
    sums = [one for name, call in named if name in SUMS for one in ast.walk(call)]
    texts = [node.value for node in sums if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return list(dict.fromkeys(word for text in texts for word in re.findall(r"\w+", text)))


def excerpt(table: Table, rows: DataFrame, use: Use | None, most: int) -> Excerpt:
    """Of rows of a table, for what another one does with them; with all columns for a person who asked for these rows.

    `rows` should be cached: this takes up to three passes. Times are texts, in UTC.
    """
    columns = _Columns(table, use, tuple(rows.columns))
    totals = rows.agg(*_totals(columns)).collect()[0].asDict()
    count = totals["rows"]
    if not count:
        return Excerpt(0)
    same = _same(columns, totals) if use else {}
    sums = {name: totals[f"sum {name}"] for name in columns.summed} if count > 1 else {}
    by = next((name for name in columns.kinds if totals[f"kinds {name}"] in GROUPS), "") if sums else ""
    # Delivered rows that are too many stand in their files, side by side.
    examples = () if columns.are_delivered and count > most else _examples(columns, rows, same, most)
    return Excerpt(
        rows=count,
        hash=str(totals["hash"]),
        sums=sums,
        groups=_groups(columns.table, rows, by, columns.summed) if by else (),
        same={} if columns.are_delivered else {name: one for name, one in same.items() if one is not None},
        largest_by=columns.summed[0] if sums and count > most else "",
        examples=examples,
    )


def shown(table: Table, rows: DataFrame, columns: Sequence[str]) -> tuple[Values, ...]:
    """Rows for people; a time is text, since the driver's own clock would change it."""
    return tuple(row.asDict() for row in rows.select(*(_readable(table, name) for name in columns)).collect())


class _Columns:
    """Of one table's rows, for one use of them."""

    def __init__(self, table: Table, use: Use | None, there: tuple[str, ...]) -> None:
        self.table, self.use, self.there = table, use, there

    @cached_property
    def are_delivered(self) -> bool:
        """Whether these are texts of files, under what was made from them."""
        return self.use is not None and self.table.contract.source is not None

    @cached_property
    def identity(self) -> tuple[str, ...]:
        return PLACE if self.table.contract.source else tuple(self.table.contract.columns)

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The key first, then what is summed, then what else is used."""
        promise = self.table.contract
        if self.use is None:
            wanted = [*promise.columns, *PLACE]
        else:
            key = EVIDENCE if promise.source else promise.grain
            wanted = [*key, *self.summed, *(name for name in promise.columns if name in self.use.columns)]
        found = [name for name in dict.fromkeys(wanted) if name in self.there]
        return tuple(found[:CANDIDATES] if self.use else found)

    @cached_property
    def summed(self) -> tuple[str, ...]:
        """Amounts first. To sum anything else, such as a total that is repeated on lines, would mislead."""
        kinds = {name: one.type for name, one in self.table.contract.columns.items()}
        numbers = [name for name in (self.use.summed if self.use else ()) if kinds.get(name, "").startswith(NUMBERS)]
        narrow = [
            name for name in numbers if name not in self.table.contract.wide_decimals
        ]  # sums of others may overflow
        return tuple(sorted(narrow, key=lambda name: not kinds[name].startswith("decimal")))

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """What the rows may be of several kinds by: texts and truths beside the key."""
        promise = self.table.contract
        beside = [name for name in self.shown if name in promise.columns and name not in promise.grain]
        return tuple(name for name in beside if promise.columns[name].type in {"string", "boolean"})


def _totals(columns: _Columns) -> list[Column]:
    """All that one pass can tell."""
    counts = [
        F.count("*").alias("rows"),
        units.hash_sum(units.row_hash(columns.identity, columns.table.contract.wide_decimals)).alias("hash"),
    ]
    for name in columns.shown:
        value = _readable(columns.table, name)
        counts += [
            F.min(value).alias(f"min {name}"),
            F.max(value).alias(f"max {name}"),
            F.count(name).alias(f"n {name}"),
        ]
    counts += [_sum(columns.table, name).alias(f"sum {name}") for name in columns.summed]
    return counts + [F.count_distinct(name).alias(f"kinds {name}") for name in columns.kinds]


def _sum(table: Table, name: str) -> Column:
    """Whole numbers of 64 bits by way of decimals: one of the engines wraps in silence."""
    promised = table.contract.columns.get(name)
    return whole_sum(name) if promised and promised.type == "bigint" else F.sum(name)


def _same(columns: _Columns, totals: Values) -> Values:
    """The columns that have one value in all rows; of a single row only its file, which is named elsewhere."""
    count = totals["rows"]
    names = columns.shown if count > 1 else ("_file",) if columns.are_delivered else ()
    is_full = {name: totals[f"n {name}"] in {0, count} for name in names}
    one = [name for name in names if is_full[name] and totals[f"min {name}"] == totals[f"max {name}"]]
    return {name: totals[f"min {name}"] for name in one}


def _groups(table: Table, rows: DataFrame, by: str, summed: Sequence[str]) -> tuple[Values, ...]:
    sums = [_sum(table, name).alias(name) for name in summed]
    groups = rows.groupBy(by).agg(F.count("*").alias("rows"), *sums).orderBy(F.desc("rows"), by)
    found = groups.limit(max(GROUPS) + 2).collect()  # the number of kinds was an estimate
    return tuple(row.asDict() for row in found) if len(found) <= max(GROUPS) + 1 else ()


def _examples(columns: _Columns, rows: DataFrame, same: Values, most: int) -> tuple[Values, ...]:
    largest = [F.col(name).desc_nulls_last() for name in columns.summed[:1]]
    key = [name for name in (*columns.table.contract.grain, *PLACE) if name in columns.there]
    order = [*largest, *(F.col(name) for name in key)]
    wanted = [name for name in columns.shown if name not in same]
    return shown(columns.table, rows.orderBy(*order).limit(most), wanted[:MOST_COLUMNS] if columns.use else wanted)


def _readable(table: Table, name: str) -> Column:
    promised = table.contract.columns.get(name)
    return F.col(name).cast("string").alias(name) if promised and promised.type == "timestamp" else F.col(name)
