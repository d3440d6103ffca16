"""What a bronze table appends: the rows of a batch of files, through the table's build, in the contract's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse import files
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.graph import Table
    from lakehouse.landing import Taken

CORE_TYPES = {"_row": "bigint", "_batch": "bigint", "_delivered_at": "timestamp"}


def rows(spark: SparkSession, table: Table, landing: str, batch: list[Taken]) -> DataFrame:
    """Core columns, the contract's columns (null where no file has them), then the columns no contract knows yet.

    Raises LakehouseError where build() changed a promised type or dropped a core column.
    """
    source, promised = table.contract.source, table.contract.columns
    if source is None:
        raise LakehouseError(f"{table.name} has no source. Change {table.files}.")
    has_rows = any(taken.delivery.header or source.format == "json" for taken in batch)
    delivered = files.rows(spark, landing, source, batch) if has_rows else _nothing(spark, table)
    built = table.build(delivered)
    returned = {field.name: field.dataType.simpleString() for field in built.schema}
    core = {name: CORE_TYPES.get(name, "string") for name in files.CORE_COLUMNS}
    expected = core | {name: column.type for name, column in promised.items()}
    wrong = {name: kind for name, kind in returned.items() if expected.get(name, kind) != kind}
    wrong |= dict.fromkeys(core.keys() - returned.keys(), "missing")
    if wrong:
        promise = {name: expected[name] for name in wrong}
        raise LakehouseError(
            f"{table.name} promises {promise}, but its build() returned {wrong}. Change {table.files}."
        )
    missing = {name: F.lit(None).cast(column.type) for name, column in promised.items() if name not in returned}
    unknown = [name for name in returned if name not in expected]
    return built.withColumns(missing).select(*core, *promised, *unknown)


def _nothing(spark: SparkSession, table: Table) -> DataFrame:
    """No file yet: an empty table, so that what is made from it can be built."""
    core = ", ".join(f"{name} {CORE_TYPES.get(name, 'string')}" for name in files.CORE_COLUMNS)
    columns = ", ".join(f"{name} {column.type}" for name, column in table.contract.columns.items())
    return spark.createDataFrame([], f"{core}, {columns}")
