"""Do what the plan says: tables in the order of the graph, independent ones side by side in one Spark session."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from lakehouse import graph, landing, plan, progress, storage
from lakehouse.errors import LakehouseError
from lakehouse.progress import Input, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.graph import Table
    from lakehouse.lake import Lake
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

    def look(self) -> Found:
        """List landing against the ledger; fails early, and with words, where either place is not right."""
        storage.check(self.root, role="lake", must_exist=False)
        storage.check(self.landing, role="landing", must_exist=True)
        self.taken = landing.read_ledger(self.root)
        return landing.find(self.landing, self.tables.values(), self.taken)

    def execute(self, wanted: Mapping[str, Table], say: Callable[[Done], None] = lambda _: None) -> Report:
        """Load what is new and bring the wanted tables up to date, in order; the first error stops what has not begun."""
        found = self.look()
        mine = found.of(wanted)
        if not self.taken and not mine.new:
            patterns = [p for t in self.tables.values() if t.contract.source for p in t.contract.source.files]
            raise LakehouseError(
                f"There is nothing to load: no file in {self.landing} is wanted by a contract. Wanted are: "
                f"{', '.join(patterns)}. Give the right folder with --landing or LAKEHOUSE_LANDING, or change conf/bronze/."
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
            raise LakehouseError(
                f"{table.name} cannot be built: {decision.reason}. Run its inputs first, or `lakehouse run`."
            )
        if not decision.does_something:
            return Done(decision)
        begin = time.monotonic()
        before = decision.state.progress if decision.state else None
        base = decision.state.version if decision.state else -1
        note = Progress(table.name, self.id, table.fingerprint, base, dict(decision.inputs))
        # A session of its own for each table, so that a commit carries that table's progress and no other's.
        write = {"append": self._append, "latest": self._latest}.get(table.contract.write, self._rebuild)
        rows_in, counts = write(self.spark().newSession(), table, decision, note, before)
        state = self.lake.state(table.name)
        return Done(decision, time.monotonic() - begin, state.version if state else None, rows_in, counts)

    def _append(
        self, spark: SparkSession, table: Table, decision: Decision, note: Progress, before: Progress | None
    ) -> Written:
        from lakehouse import append  # noqa: PLC0415

        since = int(before.inputs[landing.LEDGER].version) if before else -1
        batch = [t for t in self.taken if t.delivery.table == table.name and not t.is_repeat and t.batch > since]
        rows = append.rows(spark, table, self.landing, batch)
        version = int(decision.inputs[landing.LEDGER].version)
        self.lake.append(spark, table, rows, note, version)
        written = progress.last_metrics(self.lake.address(table.name)).get("numOutputRows", 0)
        return written, {"rows": {"kept": written}}

    def _latest(
        self, spark: SparkSession, table: Table, decision: Decision, note: Progress, before: Progress | None
    ) -> Written:
        from lakehouse import latest  # noqa: PLC0415

        source = table.parents[0]
        is_whole = before is None or decision.path in {"first", "whole"}
        known = None if is_whole or before is None else before.inputs[source]
        now = decision.inputs[source]
        taken = [
            t for t in self.taken if t.delivery.table == source and not t.is_repeat and t.batch <= int(now.batch or 0)
        ]
        batch = latest.Batch(
            bronze=self.lake.read(spark, source, now.version),
            contract=self.tables[source].contract,
            conf=self._conf(spark, table),
            newest_of_file=_newest_of_file(spark, taken),
            since=-1 if known is None else int(known.batch or 0),
            is_late=decision.path == "late",
        )
        counts = latest.settle(spark, self.lake, table, batch, note, before)
        rows_in = self._rows_between(source, known, now)
        if rows_in != sum(counts["rows"].values()):
            raise LakehouseError(
                f"{table.name}: {rows_in} rows came in, but {sum(counts['rows'].values())} are accounted for: "
                f"{counts['rows']}. Its build() or repair() must return one row for each row it gets. Change {table.files}."
            )
        return rows_in, counts

    def _rows_between(self, source: str, known: Input | None, now: Input) -> int:
        address = self.lake.address(source)
        return progress.rows(address, int(now.version)) - (progress.rows(address, int(known.version)) if known else 0)

    def _rebuild(
        self, spark: SparkSession, table: Table, decision: Decision, note: Progress, before: Progress | None
    ) -> Written:
        from lakehouse import refresh  # noqa: PLC0415

        inputs = {name: self.lake.read(spark, name, decision.inputs[name].version) for name in table.parents}
        counts = refresh.rebuild(spark, self.lake, table, inputs | self._conf(spark, table), note, before)
        return None, counts

    @staticmethod
    def _conf(spark: SparkSession, table: Table) -> dict[str, DataFrame]:
        names = [name for name in table.inputs if name.startswith("conf.")]
        return {name: spark.createDataFrame(graph.conf_file(name)[1]) for name in names}


def _newest_of_file(spark: SparkSession, taken: list[Taken]) -> DataFrame:
    newest: dict[str, str] = {}
    for one in taken:
        newest[one.delivery.path] = max(newest.get(one.delivery.path, ""), one.delivery.sequence)
    return spark.createDataFrame(list(newest.items()), "_file string, _newest string")
