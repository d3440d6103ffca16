"""The only reader and writer of tables: every commit carries the progress of its table."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from delta.tables import DeltaTable
from pyspark.sql import functions as F

from lakehouse import graph, progress, storage
from lakehouse.errors import LakehouseError
from lakehouse.session import in_one_piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyspark.sql import DataFrame, DataFrameWriter, SparkSession

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


class Lake:
    """The tables below one root, a local folder or an S3 prefix."""

    def __init__(self, root: str) -> None:
        self.root = storage.normalise(root)

    def address(self, name: str) -> str:
        return progress.address(self.root, name)

    def spark_address(self, name: str) -> str:
        return storage.for_spark(self.address(name))

    def state(self, name: str) -> State | None:
        return progress.state(self.address(name))

    def read(self, spark: SparkSession, name: str, version: int | str | None = None) -> DataFrame:
        reader = spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return in_one_piece(reader.load(self.spark_address(name)))

    def changes(self, spark: SparkSession, name: str, since: int, until: int) -> DataFrame:
        """The rows before and after each change in the versions (since, until], from the table's change feed."""
        feed = spark.read.format("delta").option("readChangeFeed", "true")
        feed = feed.option("startingVersion", since + 1).option("endingVersion", until)
        return in_one_piece(feed.load(self.spark_address(name)))


@dataclass(frozen=True)
class Writer:
    """One table's turn to be written: `note` is the progress that its last commit carries, `before` what it had.

    `seconds` that its commits took, one after the other.
    """

    lake: Lake
    spark: SparkSession
    table: Table
    note: Progress
    before: Progress | None
    seconds: list[float] = field(default_factory=list)

    def stored(self, like: DataFrame) -> DataFrame | None:
        """What the table holds now; None where it is not there yet or has not the columns of `like`."""
        if self.lake.state(self.table.name) is None:
            return None
        stored = self.lake.read(self.spark, self.table.name)
        return stored if sorted(stored.dtypes) == sorted(like.dtypes) else None

    def append(self, rows: DataFrame, batch: int) -> None:
        """One batch of deliveries; Delta itself skips it a second time, and refuses one beside another run's."""
        writer = self._new(rows).option("mergeSchema", "true").mode("append")
        writer = writer.option("txnAppId", self.table.name).option("txnVersion", batch + 1)
        with self._stamped(self.note):
            writer.save(self._address)

    def overwrite(self, rows: DataFrame) -> None:
        """The whole table, in one commit, in place: a table is never dropped."""
        with self._stamped(self.note):
            self._new(rows).option("overwriteSchema", "true").mode("overwrite").save(self._address)

    def replace_units(self, changed: DataFrame | None, gone: DataFrame | None) -> None:
        """Write the changed units whole and delete the gone ones; without any, a commit that moves progress alone.

        By `replaceUsing`, which copies nothing and takes half the time of a MERGE (design, section 7). Units that are
        gone are deleted first, in a commit that still carries the progress from before.
        """
        version = self._version()
        if gone is not None:
            with self._stamped(self.note if changed is None else self._interim()):
                self._target().merge(gone.alias("s"), self._same_unit()).whenMatchedDelete().execute()
        if changed is not None:
            version = self._version() if gone is not None else version
            using = ",".join(self.table.contract.unit)
            with self._stamped(self.note):
                changed.write.format("delta").option("replaceUsing", using).mode("overwrite").save(self._address)
        if self._version() == version:  # Delta makes no commit that changes nothing
            self.note_progress()

    def note_progress(self) -> None:
        """Progress without data: an empty commit, which no reader takes for a change."""
        nothing = self.spark.createDataFrame([], self.lake.read(self.spark, self.table.name).schema)
        self.spark.conf.set(SKIP_EMPTY, "false")
        try:
            with self._stamped(self.note):
                nothing.write.format("delta").mode("append").save(self._address)
        finally:
            self.spark.conf.unset(SKIP_EMPTY)

    def overwrite_rejected(self, rows: DataFrame) -> None:
        """The table's quarantine, which has no progress of its own: it is a part of the table's state."""
        writer = rows.write.format("delta").options(**PROPERTIES).option("overwriteSchema", "true")
        writer.mode("overwrite").save(self.lake.spark_address(progress.rejected(self.table.name)))

    @property
    def _address(self) -> str:
        return self.lake.spark_address(self.table.name)

    def _target(self) -> DeltaTable:
        return DeltaTable.forPath(self.spark, self._address).alias("t")

    def _same_unit(self) -> str:
        return " and ".join(f"t.`{name}` = s.`{name}`" for name in self.table.contract.unit)

    def _interim(self) -> Progress:
        """For a commit that is not the last: this run's, but it includes no more than the table did before."""
        inputs = self.before.inputs if self.before else {}
        return replace(self.note, inputs=inputs, fingerprint=self.before.fingerprint if self.before else "")

    def _new(self, rows: DataFrame) -> DataFrameWriter:
        writer = rows.write.format("delta").options(**PROPERTIES)
        return writer.partitionBy(*self.table.contract.partition_by) if self.table.contract.partition_by else writer

    def _version(self) -> int:
        log = progress.open_table(self.lake.address(self.table.name))
        return log.version() if log else -1

    @contextmanager
    def _stamped(self, note: Progress) -> Iterator[None]:
        """The session's next commit carries the note. Each table has a session of its own, so no other commit does."""
        begin = time.monotonic()
        self.spark.conf.set(METADATA, note.to_json())
        try:
            yield
        finally:
            self.spark.conf.unset(METADATA)
            self.seconds.append(time.monotonic() - begin)


def conf_rows(spark: SparkSession, inputs: Iterable[str]) -> dict[str, DataFrame]:
    """The rows of those of the inputs that are conf files.

    Of an Arrow table the planner itself holds the rows; a list would be read by a job.
    """
    import pyarrow as pa  # noqa: PLC0415  as in `records`: a question to a table does not pay for it

    names = [name for name in inputs if name.startswith("conf.")]
    return {name: spark.createDataFrame(pa.Table.from_pylist(graph.conf_file(name)[1])) for name in names}


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
