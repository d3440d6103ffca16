"""The only reader and writer of tables: every commit carries the progress of its table."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from delta.tables import DeltaTable
from pyspark.sql import functions as F

from lakehouse import progress, storage
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.graph import Table
    from lakehouse.progress import Progress, State

METADATA = "spark.databricks.delta.commitInfo.userMetadata"
SKIP_EMPTY = "spark.databricks.delta.skipRecordingEmptyCommits"
PROPERTIES = {
    "delta.enableChangeDataFeed": "true",
    "delta.enableDeletionVectors": "true",
    # Progress and time travel are read from the log, so it is kept longer than Delta's 30 days.
    "delta.logRetentionDuration": "interval 400 days",
}


def rejected(name: str) -> str:
    """The name of a table's quarantine."""
    return f"{name}__rejected"


class Lake:
    """The tables below one root, a local folder or an S3 prefix."""

    def __init__(self, root: str) -> None:
        self.root = storage.normalise(root)

    def address(self, name: str) -> str:
        return f"{self.root}/{name.replace('.', '/')}"

    def spark_address(self, name: str) -> str:
        return storage.for_spark(self.address(name))

    def state(self, name: str) -> State | None:
        return progress.state(self.address(name))

    def read(self, spark: SparkSession, name: str, version: int | str | None = None) -> DataFrame:
        reader = spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.spark_address(name))

    def append(self, spark: SparkSession, table: Table, rows: DataFrame, note: Progress, batch: int) -> None:
        """One batch of deliveries; the same batch a second time is skipped by Delta itself."""
        with _stamped(spark, note):
            self._creating(rows, table).option("mergeSchema", "true").option(
                "txnAppId", f"{table.name}/{batch}"
            ).option("txnVersion", 1).mode("append").save(self.spark_address(table.name))

    def overwrite(self, spark: SparkSession, table: Table, rows: DataFrame, note: Progress) -> None:
        """The whole table, in one commit, in place: a table is never dropped."""
        with _stamped(spark, note):
            self._creating(rows, table).option("overwriteSchema", "true").mode("overwrite").save(
                self.spark_address(table.name)
            )

    def replace_units(
        self,
        spark: SparkSession,
        table: Table,
        changed: DataFrame,
        gone: DataFrame | None,
        note: Progress,
        before: Progress | None,
    ) -> int:
        """Write the changed units whole and delete the gone ones; the number of commits made (0: Delta saw no change).

        MERGE where a unit is one row; `replaceUsing` where it is many, which copies nothing (design, section 7). There
        the gone units are deleted first, in a commit that still carries the progress of `before`.
        """
        version = self._version(table.name)
        if table.contract.unit_is_one_row:
            with _stamped(spark, note):
                self._merge(spark, table, changed, gone)
        else:
            if gone is not None:
                with _stamped(spark, before):
                    target = DeltaTable.forPath(spark, self.spark_address(table.name)).alias("t")
                    matches = _same_unit(table)
                    target.merge(gone.alias("s"), matches).whenMatchedDelete().execute()
            with _stamped(spark, note):
                changed.write.format("delta").option("replaceUsing", ",".join(table.contract.unit)).mode(
                    "overwrite"
                ).save(self.spark_address(table.name))
        return self._version(table.name) - version

    def note(self, spark: SparkSession, table: Table, note: Progress) -> None:
        """Progress without data: an empty commit, which no reader takes for a change."""
        nothing = spark.createDataFrame([], self.read(spark, table.name).schema)
        spark.conf.set(SKIP_EMPTY, "false")
        try:
            with _stamped(spark, note):
                nothing.write.format("delta").mode("append").save(self.spark_address(table.name))
        finally:
            spark.conf.unset(SKIP_EMPTY)

    def overwrite_rejected(self, spark: SparkSession, table: Table, rows: DataFrame) -> None:
        with _stamped(spark, None):
            writer = rows.write.format("delta").options(**PROPERTIES).option("overwriteSchema", "true")
            writer.mode("overwrite").save(self.spark_address(rejected(table.name)))

    def _merge(self, spark: SparkSession, table: Table, changed: DataFrame, gone: DataFrame | None) -> None:
        source = changed.withColumn("_gone", F.lit(False))  # noqa: FBT003
        if gone is not None:
            source = source.unionByName(gone.withColumn("_gone", F.lit(True)), allowMissingColumns=True)  # noqa: FBT003
        target = DeltaTable.forPath(spark, self.spark_address(table.name)).alias("t")
        values = {name: f"s.`{name}`" for name in changed.columns}
        (
            target.merge(source.alias("s"), _same_unit(table))
            .whenMatchedDelete("s._gone")
            .whenMatchedUpdate(set=values)
            .whenNotMatchedInsert("not s._gone", values=values)
            .execute()
        )

    def _creating(self, rows: DataFrame, table: Table):  # noqa: ANN202  pyspark's writer
        writer = rows.write.format("delta").options(**PROPERTIES)
        return writer.partitionBy(*table.contract.partition_by) if table.contract.partition_by else writer

    def _version(self, name: str) -> int:
        log = progress.open_table(self.address(name))
        return log.version() if log else -1


def _same_unit(table: Table) -> str:
    return " and ".join(f"t.`{name}` = s.`{name}`" for name in table.contract.unit)


@contextmanager
def _stamped(spark: SparkSession, note: Progress | None) -> Iterator[None]:
    """The session's next commit carries the note. Each table has a session of its own, so no other commit does."""
    if note:
        spark.conf.set(METADATA, note.to_json())
    try:
        yield
    finally:
        spark.conf.unset(METADATA)


def conform(table: Table, built: DataFrame, *, without: str | None = None) -> DataFrame:
    """What build() returned, checked against the contract; columns that begin with _ are for rules and pass through.

    Raises LakehouseError with every discrepancy. `without` is a column that the core adds later.
    """
    promised = {name: column.type for name, column in table.contract.columns.items() if name != without}
    returned = {f.name: f.dataType.simpleString() for f in built.schema if not f.name.startswith("_")}
    if promised.items() != returned.items():
        wrong = {name: kind for name, kind in promised.items() if returned.get(name) != kind}
        answer = {name: kind for name, kind in returned.items() if promised.get(name) != kind}
        raise LakehouseError(
            f"{table.name} promises {wrong or 'nothing else'}, but its build() returned {answer or 'no such column'}. "
            f"Change {table.files}."
        )
    extras = [name for name in built.columns if name.startswith("_")]
    return built.select(*promised, *extras)


def with_meanings(table: Table, rows: DataFrame) -> DataFrame:
    """Readers of the table see what each column means."""
    columns = table.contract.columns
    return rows.select(
        *(
            F.col(name).alias(name, metadata={"comment": re.sub(r"\s+", " ", columns[name].meaning)})
            if name in columns
            else name
            for name in rows.columns
        )
    )
