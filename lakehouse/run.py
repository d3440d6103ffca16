"""Do what the plan says: tables in the order of the graph, independent ones side by side in one Spark session."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from lakehouse import graph, landing, ledger, plan, progress, quality, schema_changes, status, storage
from lakehouse.errors import LakehouseError
from lakehouse.ledger import ClaimedMeanwhileError, Ledger
from lakehouse.progress import Input, Progress
from lakehouse.quality import ChecksFailedError, Loaded, Measure, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.contract import Source
    from lakehouse.graph import Table
    from lakehouse.lake import Lake, Writer
    from lakehouse.landing import Found
    from lakehouse.ledger import Entry
    from lakehouse.plan import Decision

SIDE_BY_SIDE = 2
WAITING = wait_random(0.05, 0.5)
Counts = Mapping[str, Mapping[str, int]]
ByFile = Mapping[tuple[str, int], Mapping[str, int]]


@dataclass(frozen=True)
class Done:
    """What one table's turn did. `rows_in` counts the rows that came in, `counts` where they went.

    `by_file`: of a table that judges delivered rows, the same by (file, batch). `measures`: what its checks counted.
    """

    decision: Decision
    seconds: float = 0.0
    version: int | None = None
    rows_in: int | None = None
    counts: Counts = field(default_factory=dict)
    by_file: ByFile = field(default_factory=dict)
    measures: Sequence[Measure] = ()


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
        self.at = datetime.now(UTC)
        self._starting = threading.Lock()
        self._failed: list[Measure] = []
        self._new: set[tuple[str, str, int]] = set()
        self.ledger = Ledger()

    def open(self) -> None:
        """Read the ledger; fails early, and with words, where the lake cannot be reached."""
        storage.check(self.root, role="lake", must_exist=False)
        self.ledger = ledger.read(self.root)

    @property
    def ledger(self) -> Ledger:
        return self._ledger

    @ledger.setter
    def ledger(self, now: Ledger) -> None:
        self._ledger, self.taken = now, now.taken()

    def look(self) -> Found:
        """List landing against the ledger; fails early, and with words, where either place is not right."""
        self.open()
        storage.check(self.landing, role="landing", must_exist=True)
        return landing.find(self.landing, self.tables.values(), self.ledger)

    def execute(self, wanted: Mapping[str, Table], say: Callable[[Done], None] = lambda _: None) -> Report:
        """Load what is new and bring the wanted tables up to date; the first error stops what has not begun."""
        found = self._take(wanted)
        done: list[Done] = []
        try:
            self._turns(wanted, done, say)
        finally:
            self._settle(done)
            quality.write(self.root, self.id, self.at, [*self._measured(done), *self._failed])
        return Report(tuple(done), found)

    @retry(retry=retry_if_exception_type(ClaimedMeanwhileError), stop=stop_after_attempt(5), wait=WAITING, reraise=True)
    def _take(self, wanted: Container[str]) -> Found:
        """Claim what landing has for these tables; where another run was quicker, look again at what is left."""
        found = self.look()
        mine = found.of(wanted)
        if not self.taken and not mine.new:
            raise LakehouseError(self._nothing_to_load(mine))
        if news := mine.news(self.ledger):
            self.ledger = ledger.claim(self.root, self.ledger, news)
            schema_changes.note(self.root, self.taken)
        return found

    def _nothing_to_load(self, found: Found) -> str:
        refused = [f"{one.delivery.path} {one.reason}" for one in found.entries]
        patterns = [p for t in self.tables.values() if t.contract.source for p in t.contract.source.files]
        why = "\n".join(refused) or f"no file is wanted by a contract. Wanted are: {', '.join(patterns)}."
        return (
            f"There is nothing to load in {self.landing}: {why}\nName the right folder by --landing or "
            "LAKEHOUSE_LANDING, deliver the files again, or change conf/."
        )

    def _turns(self, wanted: Mapping[str, Table], done: list[Done], say: Callable[[Done], None]) -> None:
        order = TopologicalSorter({name: [p for p in table.parents if p in wanted] for name, table in wanted.items()})
        order.prepare()
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

    @retry(retry=retry_if_exception_type(ClaimedMeanwhileError), stop=stop_after_attempt(5), wait=WAITING, reraise=True)
    def _settle(self, done: Iterable[Done]) -> None:
        """Note in the ledger what became of each file; what a run that broke off did not note is noted by the next."""
        judged: dict[tuple[str, str, int], Mapping[str, int]] = {}
        for one in done:
            parents = self.tables[one.decision.table].parents
            judged |= {(parents[0], file, batch): counts for (file, batch), counts in one.by_file.items()}
        if not judged and all(one.status != "claimed" for one in self.taken):
            return
        self.ledger = ledger.read(self.root)
        loaded = self._loaded_rows()
        self._new |= loaded.keys()
        outcomes = [_outcome(one, loaded, judged) for one in self.taken]
        self.ledger = ledger.settle(
            self.root, self.ledger, [new for new, old in zip(outcomes, self.taken, strict=True) if new != old]
        )

    def _measured(self, done: Iterable[Done]) -> Iterator[Measure]:
        """What this run knows of quality, from what it counted anyway."""
        for one in done:
            table = self.tables[one.decision.table]
            yield from one.measures
            if table.contract.write == "latest" and one.decision.does_something:
                tallies = self._tallies(table, one.by_file)
                yield from quality.rules(table.name, table.contract, one.counts)
                yield from quality.reconcile(tallies)
                yield from quality.score(table.contract.score, tallies) if table.contract.score else ()
            if table.contract.source and one.decision.does_something:
                yield from self._measured_files(table.name, table.contract.source)

    def _tallies(self, table: Table, by_file: ByFile) -> list[Tally]:
        """Where the rows went, per market."""
        parts = {one.place: one.delivery.parts for one in self.taken}
        markets: dict[int | None, Counter[str]] = {}
        for (file, batch), counts in by_file.items():
            market = parts[table.parents[0], file, batch].get("market")
            tally = markets.setdefault(market, Counter())
            tally.update(counts)
            tally["rows"] += sum(count for name, count in counts.items() if name in quality.PLACES)
        return [Tally(table.name, market, counts) for market, counts in sorted(markets.items(), key=str)]

    def _measured_files(self, name: str, source: Source) -> Iterator[Measure]:
        """The files of this run's batches against those before them."""
        mine = [one for one in self._deliveries_of(name) if "rows" in one.counts]
        loaded = {one.place: _loaded(one) for one in mine}
        new = [loaded[one.place] for one in mine if one.place in self._new]
        yield from quality.freshness(source, loaded.values(), self.at)
        yield from quality.volume(source, new, [loaded[one.place] for one in mine if one.place not in self._new])

    def _loaded_rows(self) -> dict[tuple[str, str, int], int]:
        """Rows in bronze of each file that is claimed and appended, by its place in the ledger."""
        rows: dict[tuple[str, str, int], int] = {}
        claimed = [one for one in self.taken if one.status == "claimed"]
        for table in {one.delivery.table for one in claimed}:
            state = self.lake.state(table)
            included = int(state.progress.inputs[ledger.FILES].version) if state and state.progress else -1
            mine = [one for one in claimed if one.delivery.table == table and one.batch <= included]
            if mine:
                first = min(one.batch for one in mine)
                statement = f"select _file, _batch, count(*) as n from t where _batch >= {first} group by _file, _batch"  # noqa: S608
                counted = status.query(self.lake.address(table), statement)
                rows |= {one.place: 0 for one in mine} | {(table, r["_file"], r["_batch"]): r["n"] for r in counted}
        return rows

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
            done = self._write(table, decision)
        state = self.lake.state(table.name)
        return replace(done, seconds=time.monotonic() - begin, version=state.version if state else None)

    def _write(self, table: Table, decision: Decision) -> Done:
        from lakehouse.lake import Writer  # noqa: PLC0415

        state = decision.state
        note = Progress(table.name, self.id, table.fingerprint, state.version if state else -1, dict(decision.inputs))
        # A session of its own for each table, so that a commit carries that table's progress and no other's.
        writer = Writer(self.lake, self.spark().newSession(), table, note, state.progress if state else None)
        write = {"append": self._append, "latest": self._latest}.get(table.contract.write, self._rebuild)
        return write(writer, decision)

    def _append(self, writer: Writer, decision: Decision) -> Done:
        from lakehouse import append  # noqa: PLC0415

        since = int(writer.before.inputs[ledger.FILES].version) if writer.before else -1
        batch = [one for one in self._deliveries_of(writer.table.name) if one.batch > since]
        rows = append.rows(writer.spark, writer.table, self.landing, batch)
        writer.append(rows, int(decision.inputs[ledger.FILES].version))
        written = progress.last_metrics(self.lake.address(writer.table.name)).get("numOutputRows", 0)
        return Done(decision, rows_in=written, counts={"rows": {"kept": written}})

    def _latest(self, writer: Writer, decision: Decision) -> Done:
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
        account = latest.settle(writer, batch)
        return Done(decision, rows_in=batch.rows_in, counts=account.counts, by_file=account.by_file)

    def _rebuild(self, writer: Writer, decision: Decision) -> Done:
        from lakehouse import refresh  # noqa: PLC0415

        tables = {
            name: self.lake.read(writer.spark, name, decision.inputs[name].version) for name in writer.table.parents
        }
        try:
            counts, measures = refresh.rebuild(writer, tables | _conf(writer.spark, writer.table))
        except ChecksFailedError as error:
            self._failed += error.measures
            raise
        return Done(decision, counts=counts, measures=measures)

    def _deliveries_of(self, name: str) -> list[Entry]:
        return [one for one in self.taken if one.delivery.table == name]

    def _rows_between(self, source: str, known: Input | None, now: Input) -> int:
        """From bronze's own log, so that the sums are closed against something that was counted elsewhere."""
        address = self.lake.address(source)
        return progress.rows(address, int(now.version)) - (progress.rows(address, int(known.version)) if known else 0)


def _outcome(
    entry: Entry, loaded: Mapping[tuple[str, str, int], int], judged: Mapping[tuple[str, str, int], Mapping[str, int]]
) -> Entry:
    """The ledger's row with what this run knows of it beyond what it says."""
    if entry.place in loaded:
        rows = loaded[entry.place]
        entry = replace(entry, status="loaded" if rows else "empty", counts={"rows": rows})
    if entry.place in judged:
        counts = {name: judged[entry.place].get(name, 0) for name in ledger.COUNTS if name != "rows"}
        entry = replace(entry, counts={**entry.counts, **counts})
    return entry


def _loaded(entry: Entry) -> Loaded:
    one = entry.delivery
    return Loaded(one.table, one.parts.get("market"), entry.counts["rows"], one.delivered_at, one.path)


@contextmanager
def _spark_in_words(table: Table) -> Iterator[None]:
    """What Spark could not do is a sentence, not a page; the page is the error's cause."""
    from py4j.protocol import Py4JJavaError  # noqa: PLC0415  only a table with work pays for these
    from pyspark.errors import PySparkException  # noqa: PLC0415

    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        first = _innermost(error)
        raise LakehouseError(
            f"{table.name} could not be written. Spark says: {first} If that is about a column, change {table.files}; "
            "LAKEHOUSE_LOG=info shows all that Spark says."
        ) from error


def _innermost(error: Exception) -> str:
    """The first line of what went wrong at the bottom; of a worker's Python error its last, which says what it was."""
    cause = getattr(error, "java_exception", None)
    while cause is not None and cause.getCause() is not None:
        cause = cause.getCause()
    lines = str(error if cause is None else cause).strip().splitlines()
    return lines[-1] if "Traceback" in lines[0] else lines[0]


def _conf(spark: SparkSession, table: Table) -> dict[str, DataFrame]:
    names = [name for name in table.inputs if name.startswith("conf.")]
    return {name: spark.createDataFrame(graph.conf_file(name)[1]) for name in names}


def _newest_of_file(spark: SparkSession, taken: list[Entry]) -> DataFrame:
    newest: dict[str, str] = {}
    for one in taken:
        newest[one.delivery.path] = max(newest.get(one.delivery.path, ""), one.delivery.sequence)
    return spark.createDataFrame(list(newest.items()), "_file string, _newest string")
