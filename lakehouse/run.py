"""Do what the plan says: tables in the order of the graph, independent ones side by side in one Spark session."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from lakehouse import graph, landing, plan, progress, storage
from lakehouse.errors import LakehouseError
from lakehouse.progress import Input, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.graph import Table
    from lakehouse.lake import Lake, Writer
    from lakehouse.landing import Found, Taken
    from lakehouse.plan import Decision

SIDE_BY_SIDE = 2
Written = tuple[int | None, Mapping[str, Mapping[str, int]]]


@dataclass(frozen=True)
class Done:
    """What one table's turn did. `rows_in` counts the rows that came in, `counts` where they went."""

    decision: Decision
    seconds: float = 0.0
    version: int | None = None
    rows_in: int | None = None
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    done: tuple[Done, ...]
    found: Found


class Run:
    """One run over a lake: one id, one ledger read, one Spark session that starts only when a table has work."""

    def __init__(
        self, root: str, landing_root: str, tables: dict[str, Table], *, session: SparkSession | None = None
    ) -> None:
        self.root = storage.normalise(root)
        self.landing = storage.normalise(landing_root)
        self.tables = tables
        self.id = uuid.uuid4().hex[:12]
        self._session = session
        self._starting = threading.Lock()
        self.taken: list[Taken] = []

    def open(self) -> None:
        """Read the ledger; fails early, and with words, where the lake cannot be reached."""
        storage.check(self.root, role="lake", must_exist=False)
        self.taken = landing.read_ledger(self.root)

    def look(self) -> Found:
        """List landing against the ledger; fails early, and with words, where either place is not right."""
        self.open()
        storage.check(self.landing, role="landing", must_exist=True)
        return landing.find(self.landing, self.tables.values(), self.taken)

    def execute(self, wanted: Mapping[str, Table], say: Callable[[Done], None] = lambda _: None) -> Report:
        """Load what is new and bring the wanted tables up to date; the first error stops what has not begun."""
        found = self.look()
        mine = found.of(wanted)
        if not self.taken and not mine.new:
            patterns = [p for t in self.tables.values() if t.contract.source for p in t.contract.source.files]
            raise LakehouseError(
                f"There is nothing to load: no file in {self.landing} is wanted by a contract. Wanted are: "
                f"{', '.join(patterns)}. Name the right folder by --landing or LAKEHOUSE_LANDING, or change conf/."
            )
        if mine.new or mine.repeats:
            landing.claim(self.root, mine)
            self.taken = landing.read_ledger(self.root)
        order = TopologicalSorter({name: [p for p in table.parents if p in wanted] for name, table in wanted.items()})
        order.prepare()
        done: list[Done] = []
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            running: dict[Future[Done], str] = {}
            while order.is_active():
                running |= {pool.submit(self._turn, wanted[name]): name for name in order.get_ready()}
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    name = running.pop(future)
                    try:
                        done.append(future.result())
                    except BaseException:
                        for other in running:
                            other.cancel()
                        raise
                    say(done[-1])
                    order.done(name)
        return Report(tuple(done), found)

    @cached_property
    def lake(self) -> Lake:
        from lakehouse.lake import Lake  # noqa: PLC0415  loads Spark's Python, which plan and an idle run do not need

        return Lake(self.root)

    def spark(self) -> SparkSession:
        """The process's session, started now if no table has needed it yet."""
        from lakehouse import session  # noqa: PLC0415

        with self._starting:
            self._session = self._session or session.start()
        return self._session

    def _turn(self, table: Table) -> Done:
        decision = plan.decide(self.root, table, self.taken)
        if decision.path == "wait":
            raise LakehouseError(f"{table.name} cannot be built: {decision.reason}. Build that first: `lakehouse run`.")
        if not decision.does_something:
            return Done(decision)
        begin = time.monotonic()
        with _spark_in_words(table):
            rows_in, counts = self._write(table, decision)
        state = self.lake.state(table.name)
        return Done(decision, time.monotonic() - begin, state.version if state else None, rows_in, counts)

    def _write(self, table: Table, decision: Decision) -> Written:
        from lakehouse.lake import Writer  # noqa: PLC0415

        state = decision.state
        note = Progress(table.name, self.id, table.fingerprint, state.version if state else -1, dict(decision.inputs))
        # A session of its own for each table, so that a commit carries that table's progress and no other's.
        writer = Writer(self.lake, self.spark().newSession(), table, note, state.progress if state else None)
        write = {"append": self._append, "latest": self._latest}.get(table.contract.write, self._rebuild)
        return write(writer, decision)

    def _append(self, writer: Writer, decision: Decision) -> Written:
        from lakehouse import append  # noqa: PLC0415

        since = int(writer.before.inputs[landing.LEDGER].version) if writer.before else -1
        batch = [one for one in self._deliveries_of(writer.table.name) if one.batch > since]
        rows = append.rows(writer.spark, writer.table, self.landing, batch)
        writer.append(rows, int(decision.inputs[landing.LEDGER].version))
        written = progress.last_metrics(self.lake.address(writer.table.name)).get("numOutputRows", 0)
        return written, {"rows": {"kept": written}}

    def _latest(self, writer: Writer, decision: Decision) -> Written:
        from lakehouse import latest  # noqa: PLC0415

        table, source = writer.table, writer.table.parents[0]
        now = decision.inputs[source]
        known = writer.before.inputs[source] if writer.before and decision.path in {"new", "late"} else None
        taken = [one for one in self._deliveries_of(source) if one.batch <= int(now.batch or 0)]
        batch = latest.Batch(
            bronze=self.lake.read(writer.spark, source, now.version),
            contract=self.tables[source].contract,
            conf=_conf(writer.spark, table),
            newest_of_file=_newest_of_file(writer.spark, taken),
            since=-1 if known is None else int(known.batch or 0),
            is_late=decision.path == "late",
            rows_in=self._rows_between(source, known, now),
        )
        return batch.rows_in, latest.settle(writer, batch)

    def _rebuild(self, writer: Writer, decision: Decision) -> Written:
        from lakehouse import refresh  # noqa: PLC0415

        tables = {
            name: self.lake.read(writer.spark, name, decision.inputs[name].version) for name in writer.table.parents
        }
        return None, refresh.rebuild(writer, tables | _conf(writer.spark, writer.table))

    def _deliveries_of(self, name: str) -> list[Taken]:
        return [one for one in self.taken if one.delivery.table == name and not one.is_repeat]

    def _rows_between(self, source: str, known: Input | None, now: Input) -> int:
        """From bronze's own log, so that the sums are closed against something that was counted elsewhere."""
        address = self.lake.address(source)
        return progress.rows(address, int(now.version)) - (progress.rows(address, int(known.version)) if known else 0)


@contextmanager
def _spark_in_words(table: Table) -> Iterator[None]:
    """What Spark could not do is a sentence, not a page; the page is the error's cause."""
    from py4j.protocol import Py4JJavaError  # noqa: PLC0415  only a table with work pays for these
    from pyspark.errors import PySparkException  # noqa: PLC0415

    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        first = str(getattr(error, "java_exception", error)).strip().splitlines()[0]
        raise LakehouseError(
            f"{table.name} could not be written. Spark says: {first} If that is about a column, change {table.files}; "
            "LAKEHOUSE_LOG=info shows all that Spark says."
        ) from error


def _conf(spark: SparkSession, table: Table) -> dict[str, DataFrame]:
    names = [name for name in table.inputs if name.startswith("conf.")]
    return {name: spark.createDataFrame(graph.conf_file(name)[1]) for name in names}


def _newest_of_file(spark: SparkSession, taken: list[Taken]) -> DataFrame:
    newest: dict[str, str] = {}
    for one in taken:
        newest[one.delivery.path] = max(newest.get(one.delivery.path, ""), one.delivery.sequence)
    return spark.createDataFrame(list(newest.items()), "_file string, _newest string")
