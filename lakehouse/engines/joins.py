"""Joins of frames in which null is a value like any other."""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import Column, DataFrame


def semi(rows: DataFrame, keys: DataFrame, values: Mapping[str, Column] | None = None) -> DataFrame:
    """The rows that the keys have by all of their columns, or whose `values`, by the names of keys, they have."""
    values = values or {name: F.col(f"`{name}`") for name in keys.columns}
    renamed = keys.withColumnsRenamed({name: f"_key_{name}" for name in values})
    same = [value.eqNullSafe(F.col(f"`_key_{name}`")) for name, value in values.items()]
    return rows.join(renamed, on=reduce(operator.and_, same), how="left_semi")
