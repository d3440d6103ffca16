"""Which columns of its inputs a table is made from, as Spark's optimizer finds them: others are not read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import DataFrame

    from lakehouse.graph import Table

    Columns = Mapping[str, set[str]]

_known: dict[tuple[str, ...], Columns] = {}  # a session that is kept asks again at every round


def pruned(table: Table, inputs: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    """The inputs with null in place of what nothing depends on: build() may name it and yet not use it."""
    wanted = columns(table, inputs)
    return {name: _pruned(rows, wanted[name]) for name, rows in inputs.items()}


def _pruned(rows: DataFrame, wanted: set[str]) -> DataFrame:
    nothing = {one.name: F.lit(None).cast(one.dataType) for one in rows.schema if one.name not in wanted}
    return rows.withColumns(nothing) if nothing else rows


def columns(table: Table, inputs: Mapping[str, DataFrame]) -> Columns:
    """By input the columns that build(), the checks and the ways to the units use."""
    key = (table.name, table.fingerprint, *(f"{name}{rows.dtypes}" for name, rows in inputs.items()))
    if key not in _known:
        used = of_build(table, inputs)
        texts = " ".join(_other_texts(table))
        words = set(re.findall(r"\w+", texts))
        _known[key] = {name: (used[name] | words) & set(rows.columns) for name, rows in inputs.items()}
    return _known[key]


def _other_texts(table: Table) -> Iterator[str]:
    """What may name an input's column beside build(); a word too many costs a column that is not needed."""
    promise = table.contract
    yield from promise.unit
    for reach in promise.inputs.values():
        yield from (*reach.unit.values(), *reach.on)
    for check in promise.checks.values():
        yield from (*check.key, *check.by, check.that or "")


def of_build(table: Table, inputs: Mapping[str, DataFrame]) -> dict[str, set[str]]:
    """By input the columns that build() uses; asked of frames without rows, so that nothing is listed or read."""
    spark = next(iter(inputs.values())).sparkSession
    nothing = spark.sparkContext.emptyRDD()
    empty = {name: spark.createDataFrame(nothing, rows.schema) for name, rows in inputs.items()}
    plan = _plan(table.build(*(empty[name] for name in table.inputs)))
    if not plan.subqueriesAll().isEmpty():
        return {name: set(rows.columns) for name, rows in inputs.items()}
    owners = {leaf.rdd().id(): name for name, rows in empty.items() for leaf in _each(_plan(rows).collectLeaves())}
    wanted = _ids(plan.outputSet().toSeq()).union(*(_wanted_by(node) for node in _nodes(plan)))
    used: dict[str, set[str]] = {name: set() for name in inputs}
    for leaf in _each(plan.collectLeaves()):
        used[owners[leaf.rdd().id()]] |= {one.name() for one in _each(leaf.output()) if one.exprId().id() in wanted}
    return used


def _plan(rows: DataFrame) -> Any:  # noqa: ANN401
    return rows._jdf.queryExecution().optimizedPlan()  # noqa: SLF001


def _nodes(plan: Any) -> Iterator[Any]:  # noqa: ANN401
    yield plan
    for child in _each(plan.children()):
        yield from _nodes(child)


def _wanted_by(node: Any) -> set[int]:  # noqa: ANN401
    """The columns that its expressions name; a union names none and takes all, by their places."""
    if node.nodeName() != "Union":
        return _ids(node.references().toSeq())
    return {number for child in _each(node.children()) for number in _ids(child.output())}


def _ids(attributes: Any) -> set[int]:  # noqa: ANN401
    return {one.exprId().id() for one in _each(attributes)}


def _each(seq: Any) -> list[Any]:  # noqa: ANN401
    return [seq.apply(place) for place in range(seq.size())]
