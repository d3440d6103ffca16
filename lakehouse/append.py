"""What a bronze table appends: the rows of a batch of files, through the table's build, in the contract's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse import files
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.graph import Table
    from lakehouse.ledger import Entry

CORE_TYPES = {name: kind.simpleString() for name, kind in files.CORE_COLUMNS.items()}


def rows(spark: SparkSession, table: Table, landing: str, batch: list[Entry]) -> DataFrame:
    """Core columns, the contract's columns (null where no file has them), then the columns no contract knows yet.

    Raises LakehouseError where build() changed a promised type or dropped a core column.
    """
    promised = table.contract.columns
    built = table.build(files.rows(spark, landing, table.contract, batch))
    returned = {field.name: field.dataType.simpleString() for field in built.schema}
    expected = CORE_TYPES | {name: column.type for name, column in promised.items()}
    wrong = {name: kind for name, kind in returned.items() if expected.get(name, kind) != kind}
    wrong |= dict.fromkeys(CORE_TYPES.keys() - returned.keys(), "missing")
    if wrong:
        promise = {name: expected[name] for name in wrong}
        raise LakehouseError(
            f"{table.name} promises {promise}, but its build() returned {wrong}. Change {table.files}."
        )
    missing = {name: F.lit(None).cast(column.type) for name, column in promised.items() if name not in returned}
    unknown = [name for name in returned if name not in expected]
    return built.withColumns(missing).select(*CORE_TYPES, *promised, *unknown)
