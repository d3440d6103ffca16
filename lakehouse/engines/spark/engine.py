"""Spark: where one machine ends. It computes in its JVM and writes by Delta's own library, in one commit as well."""

from __future__ import annotations

import operator
import os
import re
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from delta.tables import DeltaTable
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from lakehouse.delta.commits.conflicts import ConflictError, beside_maintenance
from lakehouse.delta.tables import log
from lakehouse.engines import SPARK
from lakehouse.engines.joins import semi
from lakehouse.engines.protocol import FEW_BYTES, UnansweredError, errors, words
from lakehouse.engines.spark import jvm, shared, topics
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import ExitStack
    from datetime import date

    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.readwriter import DataFrameWriter

    from lakehouse.delta.commits.committer import Target
    from lakehouse.engines.protocol import Change, Planned

IN_ONE_PROCESS = re.compile(r"local($|\[)")  # masters whose driver is the only executor
METADATA = "spark.databricks.delta.commitInfo.userMetadata"
BASE = "lakehouse.base"  # ConditionalLogStore.java reads it
ARROW_BYTES, BYTES_AT_ONCE = "spark.sql.execution.arrow.maxBytesPerBatch", 32 << 20  # of messages, in a worker
SKIP_EMPTY = "spark.databricks.delta.skipRecordingEmptyCommits"
# On few rows planning, generating code and moving between stages are all of the work (measured: they were 80 %).
# Without generated code, Parquet's vectors would be copied row by row, which takes longer than reading rows does.
OF_FEW_ROWS = {
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.parquet.enableVectorizedReader": "false",
    "spark.sql.autoBroadcastJoinThreshold": "-1",
}


class Spark:
    """A session of its own for one turn, of the process's one JVM: what is set on it, such as a note, no other sees."""

    name = SPARK

    def __init__(self, spark: SparkSession, *, is_small: bool = False) -> None:
        self.spark, self.is_small = spark, is_small
        self._asked = frozenset[str]()  # machines that see the folders of the run

    @property
    def version(self) -> str:
        return self.spark.version

    @property
    def parallelism(self) -> int:
        return self.spark.sparkContext.defaultParallelism

    @classmethod
    def start(cls, *, long: bool = False) -> Spark:
        """The process's Spark, started where it is not; from now on `pyspark.sql.functions` are those of the JVM."""
        os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)
        return cls(jvm.start(long=long))

    def check_shared(self, lake: str, landing: str) -> None:
        if not IN_ONE_PROCESS.match(str(self.spark.sparkContext.master)):
            self._asked = shared.check(self.spark.sparkContext, lake, landing, self._asked)

    def for_a_turn(self, size: int) -> Spark:
        own, is_small = self.spark.newSession(), size <= FEW_BYTES
        for key, value in OF_FEW_ROWS.items() if is_small else ():
            own.conf.set(key, value)
        return Spark(own, is_small=is_small)

    # Reading

    def read(self, address: str, version: int) -> DataFrame:
        reader = self.spark.read.format("delta").option("versionAsOf", version)
        return self._in_one_piece(reader.load(storage.for_spark(address)))

    def part(self, address: str, version: int, column: str, least: int | date, most: int | date) -> DataFrame:
        return self.read(address, version).where(F.col(column).between(least, most))

    def by_day(
        self, address: str, version: int, day: str, days: tuple[date, date], what: Sequence[Column]
    ) -> DataFrame:
        return self.part(address, version, day, *days).select(*what)

    def changes(self, address: str, since: int, until: int, columns: Sequence[str] | None = None) -> DataFrame:
        feed = self.spark.read.format("delta").option("readChangeFeed", "true")
        feed = feed.option("startingVersion", since + 1).option("endingVersion", until)
        rows = self._in_one_piece(feed.load(storage.for_spark(address))).drop("_commit_version", "_commit_timestamp")
        return rows if columns is None else rows.select(*columns, "_change_type")

    def _in_one_piece(self, rows: DataFrame) -> DataFrame:
        """Few rows in one partition, which need not be shuffled again to be grouped or joined; many as they are."""
        return rows.coalesce(1) if self.is_small else rows

    def frame(self, rows: pa.Table) -> DataFrame:
        if rows.num_rows:  # the planner itself holds the rows of an Arrow table; a list would be read by a job
            return self.spark.createDataFrame(rows)
        from pyspark.sql.pandas.types import from_arrow_schema  # noqa: PLC0415

        return self.spark.createDataFrame([], from_arrow_schema(rows.schema))

    def arrow(self, rows: DataFrame) -> pa.Table:
        return rows.toArrow()

    def delivered(
        self, groups: int, read: Callable[[Iterable[int]], Iterator[pa.RecordBatch]], schema: pa.Schema
    ) -> DataFrame:
        from pyspark.sql.pandas.types import from_arrow_schema  # noqa: PLC0415

        def of_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            return read(number for batch in batches for number in batch.column(0).to_pylist())

        return self.spark.range(0, groups, 1, groups).mapInArrow(of_groups, from_arrow_schema(schema))

    def sent(self, plan: Callable[[int], Planned]) -> tuple[DataFrame, Planned] | None:
        self.spark.conf.set(ARROW_BYTES, str(BYTES_AT_ONCE))
        asked = plan(self.parallelism)
        return topics.read(self.spark, asked, self.parallelism), asked

    # Computing

    def once(self, rows: DataFrame, until: ExitStack) -> DataFrame:
        if rows.is_cached:
            return rows
        if self.is_small and IN_ONE_PROCESS.match(str(self.spark.sparkContext.master)):
            # Every plan is compared with what is persisted, and a write to a table plans anew what was read from it
            # before: here that takes longer than the rows. A checkpoint goes with the last plan that reads it, but
            # also with the executor that has it: on a cluster it would end the run.
            return rows.localCheckpoint(eager=False)
        kept = rows.persist()
        until.callback(kept.unpersist)
        return kept

    def narrow(self, rows: DataFrame, share: Callable[[], float], until: ExitStack) -> DataFrame:  # noqa: ARG002
        return self.once(rows, until)

    def small_side(self, rows: DataFrame) -> DataFrame:
        return rows.hint("shuffle_hash" if self.is_small else "broadcast")

    def few_of(self, rows: DataFrame, keys: DataFrame) -> DataFrame:
        return rows.join(self.small_side(keys), on=keys.columns, how="left_semi")

    def slices(self, size: int) -> int:  # noqa: ARG002  its shuffles and sorts spill
        return 1

    def used(
        self, build: Callable[[Mapping[str, DataFrame]], DataFrame], inputs: Mapping[str, DataFrame]
    ) -> Mapping[str, set[str]]:
        """As its optimizer finds them; asked of frames without rows, so that nothing is listed or read."""
        nothing = self.spark.sparkContext.emptyRDD()
        empty = {name: self.spark.createDataFrame(nothing, rows.schema) for name, rows in inputs.items()}
        plan = _plan(build(empty))
        if not plan.subqueriesAll().isEmpty():
            return {name: set(rows.columns) for name, rows in inputs.items()}
        owners = {leaf.rdd().id(): name for name, rows in empty.items() for leaf in _each(_plan(rows).collectLeaves())}
        wanted = {*_named(plan.outputSet().toSeq())}.union(*(_wanted_by(node) for node in _nodes(plan)))
        used: dict[str, set[str]] = {name: set() for name in inputs}
        for leaf in _each(plan.collectLeaves()):
            found = _named(leaf.output())
            used[owners[leaf.rdd().id()]] |= {name for number, name in found.items() if number in wanted}
        return used

    # Writing

    def write(self, target: Target, base: int, change: Change, note: str) -> int:
        storage.check_conditional_puts(target.address)
        if isinstance(change.rows, pa.Table):
            change = replace(change, rows=self.frame(change.rows))
        return beside_maintenance(target.address, base, lambda version: self._commit(target, version, change, note))

    def _commit(self, target: Target, base: int, change: Change, note: str) -> int:
        address = storage.for_spark(target.address)
        with self._stamped(note), self._upon(target, base):
            match change.how:
                case "append" if change.rows is not None:
                    writer = self._writer(target, change.rows).option("mergeSchema", "true").mode("append")
                    if change.txn:
                        writer = writer.option("txnAppId", change.txn[0]).option("txnVersion", change.txn[1])
                    writer.save(address)
                case "overwrite" if change.rows is not None:
                    self._writer(target, change.rows).option("overwriteSchema", "true").mode("overwrite").save(address)
                case "units":
                    self._replace_units(target, base, change)
                case _:
                    self._note(target)
            if change.how in {"overwrite", "units"} and _version(target.address) == base:
                self._note(target)  # Delta makes no commit that changes nothing: no rows over no rows
        return _version(target.address)

    def _writer(self, target: Target, rows: DataFrame) -> DataFrameWriter:
        """Readers of the table see what each column means."""
        columns = (F.col(f"`{one}`").alias(one, metadata=_comment(target, one)) for one in target.schema.names)
        writer = rows.select(*columns).write.format("delta").options(**target.configuration)
        return writer.partitionBy(*target.partition_by) if target.partition_by else writer

    def _replace_units(self, target: Target, base: int, change: Change) -> None:
        """By `replaceUsing`, a third of a MERGE's time, where it can do it: with vectors, no unit gone or null."""
        rows, others = change.rows, None
        if change.differing is not None and rows is not None:
            some = change.differing.where("not _gone").drop("_gone")
            rows = semi(rows, some).select(*target.schema.names)
            no_value = [F.col(f"`{name}`").isNull() for name in change.unit]
            others = change.differing.where(reduce(operator.or_, no_value, F.col("_gone")))
        if rows is not None and target.vectors and (others is None or others.isEmpty()):
            using = self._writer(target, rows).option("replaceUsing", ",".join(change.unit))
            using.mode("overwrite").save(storage.for_spark(target.address))
        elif rows is not None:
            self._merge(target, base, change, rows)

    def _merge(self, target: Target, base: int, change: Change, rows: DataFrame) -> None:
        """One commit for rows that came, changed and went: the outer join, by grain, of units as they are and were."""
        touched = (rows if change.differing is None else change.differing).select(*change.unit).distinct()
        were = semi(self.read(target.address, base), touched).select(
            *(F.col(f"`{name}`").alias(f"_was_{name}") for name in change.grain),
            F.lit(True).alias("_was"),  # noqa: FBT003
        )
        same = [F.col(f"`{name}`").eqNullSafe(F.col(f"_was_{name}")) for name in change.grain]
        now = rows.withColumn("_is", F.lit(True))  # noqa: FBT003
        both = now.join(were, on=reduce(operator.and_, same), how="full")
        is_same = " and ".join(f"t.`{name}` <=> s.`_was_{name}`" for name in change.grain)
        values = {f"`{name}`": f"s.`{name}`" for name in target.schema.names}
        merge = DeltaTable.forPath(self.spark, storage.for_spark(target.address)).alias("t")
        (
            merge.merge(both.alias("s"), f"s._was and {is_same}")
            .whenMatchedDelete("s._is is null")
            .whenMatchedUpdate(set=values)  # type: ignore[arg-type]
            .whenNotMatchedInsert(values=values)  # type: ignore[arg-type]
            .execute()
        )

    def _note(self, target: Target) -> None:
        """Progress without data: an empty commit, which no reader takes for a change. Comments become the target's."""
        if stored := log.snapshot(target.address):
            for name, comment in log.other_comments(stored, target.comments).items():
                here, words = f"delta.`{storage.for_spark(target.address)}`", comment.replace("\\", "\\\\")
                words = words.replace("'", "\\'")
                self.spark.sql(f"alter table {here} alter column `{name}` comment '{words}'")
                self.spark.conf.set(BASE, str(_version(target.address)))
        nothing = self.spark.createDataFrame([], self.read(target.address, _version(target.address)).schema)
        self.spark.conf.set(SKIP_EMPTY, "false")
        try:
            nothing.write.format("delta").mode("append").save(storage.for_spark(target.address))
        finally:
            self.spark.conf.unset(SKIP_EMPTY)

    @contextmanager
    def _stamped(self, note: str) -> Iterator[None]:
        """The session's next commit carries the note. Each turn has a session of its own, so no other commit does."""
        if note:
            self.spark.conf.set(METADATA, note)
        try:
            yield
        finally:
            self.spark.conf.unset(METADATA)

    @contextmanager
    def _upon(self, target: Target, base: int) -> Iterator[None]:
        """The session's next commit makes version `base + 1` or none: our log store sees to it, Delta would go on."""
        self.spark.conf.set(BASE, str(base))
        try:
            yield
        except errors() as error:
            if _version(target.address) == base:
                raise
            raise ConflictError(
                f"Another writer made version {base + 1} of {target.address} after it was read here. Start the run "
                "again, it reads the new version."
            ) from error
        finally:
            self.spark.conf.unset(BASE)

    def spent(self) -> str:
        ended = "Java ended: see spark.log in the cache folder."
        try:
            return ended if self.spark.sparkContext._jsc.sc().isStopped() else ""  # noqa: SLF001
        except Exception:  # noqa: BLE001  what a dead Java answers is not Spark's to say
            return ended

    def stop(self) -> None:
        self.spark.stop()


class Asked:
    """Questions alone: see protocol.Reader."""

    def __init__(self, engine: Spark) -> None:
        self.engine = engine

    def table(self, name: str, address: str, version: int, columns: Sequence[str]) -> None:
        self._name(name, self.engine.read(address, version).select(*(f"`{one}`" for one in columns)))

    def view(self, name: str, statement: str) -> None:
        self._name(name, self._answer(statement))

    def frame(self, name: str, rows: pa.Table) -> None:
        self._name(name, self.engine.frame(rows))

    def schema(self, statement: str) -> pa.Schema:
        return to_arrow_schema(self._answer(statement).schema, timezone="UTC")

    def rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """The driver never holds more than one partition of the answer."""
        answer = self._answer(statement)
        with _in_words():
            yield from answer.toLocalIterator()

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        """Of one answer in Arrow, which Spark gives whole."""
        yield from self.arrow(statement).to_batches()

    def arrow(self, statement: str) -> pa.Table:
        answer = self._answer(statement)
        with _in_words():
            return answer.toArrow()

    def _name(self, name: str, rows: DataFrame) -> None:
        with _in_words():
            rows.createOrReplaceTempView(name)

    def _answer(self, statement: str) -> DataFrame:
        with _in_words():
            return self.engine.spark.sql(statement)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except errors() as error:
        raise UnansweredError(words(error)) from error


def running() -> SparkSession | None:
    """See engines.running."""
    from pyspark import SparkContext  # noqa: PLC0415  it is there
    from pyspark.sql import SparkSession  # noqa: PLC0415
    from pyspark.sql.utils import is_remote  # noqa: PLC0415

    return None if is_remote() or SparkContext._active_spark_context is None else SparkSession.active()  # noqa: SLF001


def _version(address: str) -> int:
    found = log.snapshot(address)
    return found.version if found else -1


def _comment(target: Target, name: str) -> dict[str, str]:
    return {"comment": target.comments[name]} if name in target.comments else {}


# The plan, by Java's own objects --------------------------------------------------------------------------------------


def _plan(rows: DataFrame) -> Any:  # noqa: ANN401
    return rows._jdf.queryExecution().optimizedPlan()  # noqa: SLF001


def _nodes(plan: Any) -> Iterator[Any]:  # noqa: ANN401
    yield plan
    for child in _each(plan.children()):
        yield from _nodes(child)


def _wanted_by(node: Any) -> set[int]:  # noqa: ANN401
    """The columns that its expressions name; a union names none and takes all, by their places."""
    if node.nodeName() != "Union":
        return {*_named(node.references().toSeq())}
    return {number for child in _each(node.children()) for number in _named(child.output())}


def _named(attributes: Any) -> dict[int, str]:  # noqa: ANN401
    """The names of attributes by their ids: asked of Java at once, which says `name#12` of each."""
    said = (one.rpartition("#") for one in attributes.mkString("\n").split("\n") if one)
    return {int(re.sub(r"\D.*", "", number)): name for name, _, number in said}


def _each(seq: Any) -> list[Any]:  # noqa: ANN401
    return [seq.apply(place) for place in range(seq.size())]
