"""Which columns of its inputs a table is made from, as the engine's optimizer finds them: others are not read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from pyspark.sql import DataFrame

    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

    Columns = Mapping[str, set[str]]

_known: dict[tuple[str, ...], Columns] = {}  # a session that is kept asks again at every round


def pruned(inputs: Mapping[str, DataFrame], wanted: Columns) -> dict[str, DataFrame]:
    """The inputs with null in place of what nothing depends on: build() may name it and yet not use it."""
    return {name: _pruned(rows, wanted[name]) for name, rows in inputs.items()}


def _pruned(rows: DataFrame, wanted: Container[str]) -> DataFrame:
    nothing = {one.name: F.lit(None).cast(one.dataType) for one in rows.schema if one.name not in wanted}
    return rows.withColumns(nothing) if nothing else rows


def columns(engine: Engine, table: Table, inputs: Mapping[str, DataFrame]) -> Columns:
    """By input the columns that build(), the checks and the ways to the units use."""
    key = (engine.name, table.name, table.fingerprint, *(f"{name}{rows.dtypes}" for name, rows in inputs.items()))
    if key not in _known:
        used = of_build(engine, table, inputs)
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


def of_build(engine: Engine, table: Table, inputs: Mapping[str, DataFrame]) -> Columns:
    """By input the columns that build() uses."""
    return engine.used(lambda frames: table.build(*(frames[name] for name in table.inputs)), inputs)
