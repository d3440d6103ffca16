"""Do what the plan says: tables in the order of the graph, independent ones side by side in one Spark session."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from lakehouse import engines, graph, logs
from lakehouse.audit import accounts, history, quality
from lakehouse.audit.turns import Decision, Done, Report
from lakehouse.delta.commits.conflicts import after_others
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Input, Progress
from lakehouse.engines import protocol
from lakehouse.errors import LakehouseError, is_panic, refusal
from lakehouse.intake.deliveries import landing
from lakehouse.intake.records import ledger, retracted, schema_changes
from lakehouse.intake.records.ledger import Ledger
from lakehouse.lineage.telling import Telling
from lakehouse.readers.columns import NAMES_A_ROW
from lakehouse.runs import plan, topics
from lakehouse.store import storage
from lakehouse.writes.measures import ChecksFailedError, Measure

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from datetime import date

    from lakehouse.audit.history import Ran
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.deliveries.landing import Found
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.intake.records.retracted import Retraction
    from lakehouse.intake.records.schema_changes import SchemaChange
    from lakehouse.sources.kafka.topics import Offers
    from lakehouse.writes.lake import Lake, Writer

# Turns at a time: small ones wait for each other's round trips, those of a table of so many bytes for the cores.
SIDE_BY_SIDE, OF_LARGE_ONES, LARGE = 3, 2, 64 << 20
BY_HAND = ("retract", "accept")  # what messages count, as somebody wrote it into conf/
# Bytes of new files, and of the tables that others are computed whole from: so many are worth compiling the code well.
MUCH, MUCH_STORED = 128 << 20, 16 << 20


class StoppedError(LakehouseError):
    """Somebody asked the run to stop; the tables that were being written are written."""


class Run:
    """One run over a lake: one id, one ledger read, one Spark session that starts only when a table has work."""

    def __init__(
        self,
        root: str,
        landing_root: str,
        tables: dict[str, Table],
        *,
        engine: Engine | str = engines.NATIVE,
        is_kept: bool = False,
        since: date | None = None,
    ) -> None:
        """`engine`: one that runs, or the name of the one to start. `is_kept`: whether it serves others after it.

        `since`: the day since which bronze has all, for a table that is judged again although older rows left it.
        """
        self.root = storage.normalise(root)
        self.landing = storage.normalise(landing_root)
        self.tables = tables
        self.id = uuid.uuid4().hex[:12]
        self.engine_name = engine if isinstance(engine, str) else engine.name
        self.engine = None if isinstance(engine, str) else engine
        self.is_kept, self.since = is_kept, since
        self.at = datetime.now(UTC)
        self._starting = threading.Lock()
        self._to_compute = 0  # bytes of the tables that others are computed whole from, when no file is new
        self.stopped_by: list[Measure] = []  # what the checks counted that kept a table as it was
        self._broken: list[Ran] = []
        self._changes: list[SchemaChange] = []
        self.history = history.History(self.root, self.engine_name)
        self.lineage = Telling(self.root, self.landing, self.id, self.at, tables, self.engine_name)
        self.stopping = threading.Event()
        self.retracted: tuple[Retraction, ...] = ()
        self.rewound = ""
        self.offers: Offers = {}
        self._rounds: list[topics.Taken] = []
        self.readers = topics.Readers()
        self.looks: plan.Looks | None = None
        self.ledger = Ledger()

    def again(self) -> Run:
        """Another run after this one, by the same engine."""
        engine = self.engine or self.engine_name
        after = Run(self.root, self.landing, self.tables, engine=engine, is_kept=self.is_kept)
        after.ledger = self.ledger
        return after

    def open(self) -> None:
        """Read the ledger; fails early, and with words, where the lake cannot be reached."""
        storage.check(self.root, role="lake", must_exist=False)
        self.retracted = retracted.read()
        self.ledger = ledger.read(self.root, self.ledger)

    @property
    def ledger(self) -> Ledger:
        return self._ledger

    @ledger.setter
    def ledger(self, now: Ledger) -> None:
        self._ledger, self.taken = now, retracted.marked(now.taken(), self.retracted)

    def look(self) -> Found:
        """List landing against the ledger; fails early, and with words, where either place is not right."""
        self.open()
        storage.check(self.landing, role="landing", must_exist=True)
        zones = {int(str(row["market"])): str(row["time_zone"]) for row in graph.conf_file("conf.markets")[1]}
        found = landing.find(self.landing, self.tables.values(), self.ledger, zones)
        retracted.check(self.retracted, (*self.ledger.entries, *found.entries))
        return replace(found, entries=tuple(retracted.marked(found.entries, self.retracted)))

    def execute(self, wanted: Mapping[str, Table], say: Callable[[Done], None] = lambda _: None) -> Report:
        """Load what is new and bring the wanted tables up to date; an error stops the tables that depend on its table.

        The others go on, and then it is raised. `stopping`, from another thread or a signal, stops all that has not
        begun: StoppedError.
        """
        logs.of_run(self.id)
        begin, level = time.monotonic(), logging.DEBUG if self.is_kept else logging.INFO
        where = {"lake": self.root, "landing": self.landing, "engine": self.engine_name}
        logs.event("run started", level, **where, tables=len(wanted))
        self.offers = topics.offers(self.root, wanted.values())
        found = self._take(wanted)
        done: list[Done] = []
        measures: list[Measure] = []
        failed: list[BaseException] = []

        def work() -> None:
            if self._is_idle(wanted, done):
                for one in done:
                    say(one)
            else:
                self._turns(wanted, done, say)

        def close() -> None:
            measures.extend((*self._close(done), *self.stopped_by))
            if self.stopped_by or any(one.decision.does_something for one in done):
                quality.write(self.root, self.id, self.at, measures)

        def note() -> None:
            history.note(self.root, self.id, self.at, self.engine_name, done, self._broken)
            topics.note(self.root, self.id, self._rounds)

        for step in (work, close, note):
            try:
                step()
            except BaseException as error:  # noqa: BLE001  raised below, with what the steps after it could not do
                failed.append(error)
        first = failed[0] if failed else None
        is_stopped = isinstance(first, StoppedError)
        self.lineage.close("ABORT" if is_stopped else "FAIL" if first else "COMPLETE", first)
        self._say_ended(done, time.monotonic() - begin)
        _raise(failed)
        suspects = tuple(self._suspects(found, done))
        is_behind = any(one.is_behind for one in self._rounds) or any(one.waiting for one in done)
        said = (tuple(measures), tuple(self._changes), suspects, self.rewound, is_behind, self._stuck(done))
        return Report(tuple(done), found, *said)

    def _say_ended(self, done: Sequence[Done], seconds: float) -> None:
        """To programs; most rounds of a day are idle."""
        moved = sum(one.decision.does_something for one in done)
        is_idle_round = self.is_kept and not (moved or self._broken)
        facts = {"tables": moved, "failed": len(self._broken), "seconds": round(seconds, 3)}
        logs.event("run ended", logging.DEBUG if is_idle_round else logging.INFO, **facts)

    def _stuck(self, done: Sequence[Done]) -> tuple[str, ...]:
        """Of tables that have messages: nobody says where the brokers are, or a transaction has been open for long."""
        now, found = datetime.now(UTC), list[str]()
        there = (one.decision.table for one in done if one.decision.state)
        for name in there:
            if name not in self.offers and (kafka := topics.kafka_of(self.tables[name])):
                found.append(f"{name} goes on with its topic no more: {plan.unsaid(kafka)}.")
        for name, offer in self.offers.items():
            if not isinstance(offer, LakehouseError) and offer.is_held_up:
                found += topics.hanging(self.tables[name], topics.lag(self.tables[name], offer), now)
        return tuple(found)

    def _suspects(self, found: Found, done: Sequence[Done]) -> Iterator[Entry]:
        """The deliveries that were kept out whole, and new ones that hold what another market's do."""
        refused = {(self.tables[one.decision.table].parents[0], *place) for one in done for place in one.refused}
        strangers = {one.version for one in found.strangers}
        return (one for one in self.taken if one.place in refused or one.delivery.version in strangers)

    @after_others
    def _take(self, wanted: Container[str]) -> Found:
        """Claim what landing has for these tables; where another run was quicker, look again at what is left."""
        found = self.look()
        if self.ledger.rewind is not None:
            self._finish_rewind()
            found = self.look()
        sources = [name for name, one in self.tables.items() if name in wanted and one.contract.takes_files]
        states = {name: plan.state(self.root, name) for name in sources}
        # Before anything is claimed: what a lost or rewound ledger does not know would come a second time.
        known = [accounts.forgotten(self.root, *one, self.taken, found) for one in states.items()]
        if again := [entry for entries in known for entry in entries]:
            self.ledger = ledger.claim(self.root, self.ledger, again)
            found = self.look()
        gone = [accounts.let_go(self.root, self.tables[name], one, self.taken) for name, one in states.items()]
        self.ledger = ledger.settle(self.root, self.ledger, [entry for entries in gone for entry in entries])
        if unsaid := accounts.left_unsaid(self.root, self.tables, self.taken):
            self.ledger = ledger.settle(self.root, self.ledger, unsaid)
        mine = found.of(wanted)
        news = mine.news(self.ledger)
        if not self.taken and not mine.new and not self.offers and not self.topics:
            raise LakehouseError(self._nothing_to_load(mine))
        changed = {one.place: one for one in mine.gone if news}
        for one in accounts.lost(self.root, self.landing, self.taken):
            changed[one.place] = replace(one, is_gone=one.place in changed)
        self.ledger = ledger.settle(self.root, self.ledger, changed.values())
        if news:
            included = max(map(accounts.included_batch, states.values()))
            self.ledger = ledger.claim(self.root, self.ledger, news, after=included)
        is_sent = any(not isinstance(one, LakehouseError) and one.ranges for one in self.offers.values())
        if self.ledger.version < 0 and is_sent:
            self.ledger = ledger.claim(self.root, self.ledger, [])  # a rewind says in it what it does
        return found

    def _finish_rewind(self) -> None:
        """Somebody's, that broke off: its tables do not go with each other yet."""
        from lakehouse.writes import rewind  # noqa: PLC0415  Arrow, which a look at the lake does not pay for

        if done := rewind.finish(self.root):
            history.rewound(self.root, *done)
            self.rewound = done[0].where

    def _nothing_to_load(self, found: Found) -> str:
        refused = [f"{one.delivery.path} {one.reason}" for one in found.entries]
        patterns = [p for t in self.tables.values() if t.contract.source for p in t.contract.source.files]
        why = "\n".join(refused) or f"no file is wanted by a contract. Wanted are: {', '.join(patterns)}."
        return (
            f"There is nothing to load in {self.landing}: {why}\nName the right folder by --landing or "
            "LAKEHOUSE_LANDING, deliver the files again, or change conf/."
        )

    @after_others
    def _close(self, done: Sequence[Done]) -> list[Measure]:
        """Note in the ledger what became of each file; what a run that broke off did not note, the next one notes."""
        by_file = {one.decision.table: one.by_file for one in done if one.by_file and one.accounts}
        if not by_file and all(one.status != "claimed" for one in self.taken):
            return [*accounts.measures(self.tables, self.taken, {}, done, self.at)]
        self.ledger = ledger.read(self.root)
        loaded = accounts.loaded(self.root, self.taken)
        refused = {one.decision.table: one.refused for one in done if one.accounts}
        outcomes = accounts.outcomes(self.tables, self.taken, loaded, by_file, refused)
        self.ledger = ledger.settle(self.root, self.ledger, outcomes)
        if loaded:
            self._changes = schema_changes.note(self.root, self.taken)
        return [*accounts.measures(self.tables, self.taken, loaded, done, self.at)]

    def _is_idle(self, wanted: Mapping[str, Table], done: list[Done]) -> bool:
        """Whether no table has anything to do, as they stand now; then this is what there is to say of them."""
        if any(one.status == "claimed" for one in self.taken):
            return False
        decisions = plan.decide_all(
            self.root, wanted.values(), self.taken, self.history, offers=self.offers, looks=self.looks
        ).values()
        if any(one.does_something for one in decisions):
            whole = [wanted[one.table] for one in decisions if one.path in {"first", "whole"}]
            self._to_compute = sum(self._size(name) for name in {name for table in whole for name in table.parents})
            return False
        done += [Done(one) for one in decisions]
        return True

    def _turns(self, wanted: Mapping[str, Table], done: list[Done], say: Callable[[Done], None]) -> None:
        # Before there are threads: its parts import each other in circles, of which a second thread sees a half.
        import pyspark.sql  # noqa: F401, PLC0415

        parents = {name: [one for one in table.parents if one in wanted] for name, table in wanted.items()}
        order = TopologicalSorter(parents)
        behind = _longest_ways(parents)
        order.prepare()
        failed: list[BaseException] = []
        at_once = OF_LARGE_ONES if any(map(self._is_large, wanted)) else SIDE_BY_SIDE
        with ThreadPoolExecutor(at_once) as pool:
            ready: list[str] = []
            running: dict[Future[Done], str] = {}
            while True:
                ready = sorted([*ready, *order.get_ready()], key=lambda name: -behind[name])
                free = at_once - len(running)
                running |= {pool.submit(self._turn, wanted[name]): name for name in ready[:free]}
                ready = ready[free:]
                if not running:
                    break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    name = running.pop(future)
                    if error := future.exception():
                        failed.append(error)
                        continue
                    done.append(future.result())
                    say(done[-1])
                    order.done(name)
        _raise(failed)

    @cached_property
    def lake(self) -> Lake:
        from lakehouse.writes.lake import Lake  # noqa: PLC0415  loads Spark's Python, which plan and an idle run do not need

        return Lake(self.root)

    @cached_property
    def topics(self) -> frozenset[str]:
        """The tables of topics that have messages."""
        return frozenset(
            name
            for name, one in self.tables.items()
            if topics.kafka_of(one) and plan.state(self.root, name) is not None
        )

    def started(self) -> Engine:
        """The process's engine, started now if no table has needed it yet; all of its machines see lake and landing."""
        with self._starting:
            if self.engine is None:
                is_long = self.is_kept or self._size() > MUCH or self._to_compute > MUCH_STORED
                self.engine = engines.start(self.engine_name, long=is_long)
            self.engine.check_shared(self.root, self.landing)
        return self.engine

    def _turn(self, table: Table) -> Done:
        if self.stopping.is_set():
            raise StoppedError(f"Stopped before {table.name}. The next run goes on from there.")
        begin, decision = time.monotonic(), Decision(table.name, "", "")
        try:
            decision = plan.decide(self.root, table, self.taken, self.history, self.topics, self.offers, self.looks)
            return self._told(table, decision) if decision.does_something else Done(decision)
        except BaseException as error:
            seconds = time.monotonic() - begin
            self.lineage.fails(table.name, error)
            self._broken.append(history.failed(decision, seconds, error))
            logs.failed("table failed", error, table=table.name, path=decision.path, seconds=round(seconds, 3))
            raise

    def _told(self, table: Table, decision: Decision) -> Done:
        self.lineage.begins(table.name, decision.path)
        done = self._settle(table, decision)
        versions = (decision.state.version if decision.state else -1, -1 if done.version is None else done.version)
        self.lineage.ends(table.name, decision.inputs, versions, (done.counts, done.measures))
        counts = {kind: dict(some) for kind, some in done.counts.items()}
        facts = {"version": done.version, "rows_in": done.rows_in, "units": done.units, **counts}
        logs.event("table written", table=table.name, path=decision.path, seconds=round(done.seconds, 3), **facts)
        return done

    def _settle(self, table: Table, decision: Decision) -> Done:
        if decision.path == "wait":
            raise LakehouseError(f"{table.name} cannot be built: {decision.reason}. Build that first: `lakehouse run`.")
        begin = time.monotonic()
        with _in_words(table):
            self.started()
            waiting = time.monotonic() - begin
            done, writing = self._write(table, decision)
        state = self.lake.state(table.name)
        seconds, version = time.monotonic() - begin, state.version if state else None
        phases = {history.WAITING: waiting, history.COMPUTING: seconds - waiting - writing, history.WRITING: writing}
        return replace(done, seconds=seconds, version=version, phases=phases)

    def _write(self, table: Table, decision: Decision) -> tuple[Done, float]:
        """What was done, and the seconds of its commits."""
        from lakehouse.writes.lake import Writer  # noqa: PLC0415

        for name in decision.unreadable:
            log.drop(self.lake.address(name))
        state = decision.state
        size = self._size(table.name, *table.parents)
        engine = self.started().for_a_turn(size)
        base, name = state.version if state else -1, f"{engine.name} {engine.version}"
        note = Progress(table.name, self.id, table.fingerprint, base, dict(decision.inputs), engine=name)
        writer = Writer(self.lake, engine, table, note, state.progress if state else None, size)
        if decision.path == "describe":
            if had := writer.before:
                note = replace(note, rejected=had.rejected, refused=had.refused)
                writer.note = replace(note, retracted=had.retracted, accepted=had.accepted)
            writer.note_progress()
            return Done(decision), sum(writer.seconds)
        if table.contract.source and table.contract.source.kafka:
            return self._round(writer, decision), sum(writer.seconds)
        write = {"append": self._append, "latest": self._latest, "deduplicate": self._deduplicate}.get(
            table.contract.write, self._rebuild
        )
        return write(writer, decision), sum(writer.seconds)

    def _is_large(self, name: str) -> bool:
        try:
            return progress.size(progress.address(self.root, name)) > LARGE
        except LakehouseError:  # its own turn says what is wrong with it
            return False

    def _size(self, *names: str) -> int:
        """Bytes of the new files, for all tables or these, and of what these hold: what may have to be read."""
        new = [one.delivery for one in self.taken if one.status == "claimed"]
        files = sum(one.size for one in new if not names or one.table in names)
        return files + sum(progress.size(progress.address(self.root, name)) for name in names)

    def _append(self, writer: Writer, decision: Decision) -> Done:
        from lakehouse.delta.files import feed  # noqa: PLC0415
        from lakehouse.writes import append  # noqa: PLC0415

        base, address = writer.note.base, self.lake.address(writer.table.name)
        if progress.after_maintenance(address, base) is None:
            raise LakehouseError(f"Another run is writing {writer.table.name}. Start this one when it is done.")
        since = int(writer.before.inputs[ledger.FILES].version) if writer.before else -1
        pending = [one for one in self._deliveries_of(writer.table.name) if one.batch > since]
        batch = accounts.at_hand(self.landing, writer.table.name, pending)
        rows = append.rows(writer.engine, writer.table, self.landing, batch)
        version = writer.append(rows.rows, rows.types, rows.headers, int(decision.inputs[ledger.FILES].version))
        did = feed.written(address, base, version)
        written = did.rows if did and did.rows else 0
        return Done(decision, rows_in=written, counts={"rows": {"kept": written}})

    def _round(self, writer: Writer, decision: Decision) -> Done:
        """What a topic holds beyond what its table includes, as far as a round may take."""
        from lakehouse.delta.files import feed  # noqa: PLC0415
        from lakehouse.writes import append  # noqa: PLC0415

        name = writer.table.name
        offer = self.offers[name]
        if isinstance(offer, LakehouseError):
            raise offer
        with self.readers.of(writer.table, offer) as reader:
            given, ranges = reader.taken(writer.engine, offer.ranges)
            taken = append.Round(offer.path, offer.topic.id, ranges, datetime.now(UTC))
            version = append.write_round(writer, taken, given)
            self._rounds.append(topics.Taken(name, offer, ranges, topics.lasts(writer.table, offer, ranges, given)))
            reader.tell_group(ranges)
        did = feed.written(self.lake.address(name), writer.note.base, version)
        written = did.rows if did and did.rows else 0
        return Done(decision, rows_in=written, counts={"rows": {"kept": written}})

    def _latest(self, writer: Writer, decision: Decision) -> Done:
        from lakehouse.documents import latest, quarantine  # noqa: PLC0415
        from lakehouse.writes.lake import conf_rows  # noqa: PLC0415

        table, source, engine = writer.table, writer.table.parents[0], writer.engine
        now = decision.inputs[source]
        bronze = self.lake.read(engine, source, int(now.version))
        known = writer.before.inputs[source] if writer.before and decision.path in {"new", "late"} else None
        taken = [one for one in self._deliveries_of(source) if one.batch <= int(now.batch or 0)]
        taken_back = tuple(sorted(one.delivery.sequence for one in taken if one.retracted))
        writer.note = replace(writer.note, retracted=taken_back)
        counting, columns = [one for one in taken if not one.retracted], dict(bronze.dtypes)
        batch = latest.Batch(
            bronze=bronze,
            columns=columns,
            size=writer.size,
            contract=self.tables[source].contract,
            conf=conf_rows(engine, table.inputs),
            newest_of_file=quarantine.newest_of_file(engine, counting),
            versions=quarantine.versions(engine, counting) if set(NAMES_A_ROW) <= columns.keys() else None,
            retracted=taken_back,
            markets={(one.delivery.path, one.batch): one.delivery.market for one in taken},
            since=-1 if known is None else int(known.batch or 0),
            late=self._late_files(table, known, decision),
            rows_in=self._rows_between(source, known, now),
            taken=counting,
        )
        try:
            account = latest.settle(writer, batch)
        except ChecksFailedError as error:
            self.stopped_by += error.measures
            raise
        return Done(
            decision,
            rows_in=batch.rows_in,
            counts=account.counts,
            by_file=account.by_file,
            by_market=account.by_market,
            accounts=table.accounts,
            late=batch.late,
            refused=account.refused,
            changed=account.changed,
            measures=account.measures,
        )

    def _deduplicate(self, writer: Writer, decision: Decision) -> Done:
        from lakehouse.events import deduplicate  # noqa: PLC0415
        from lakehouse.writes.lake import conf_rows  # noqa: PLC0415

        table, source = writer.table, writer.table.parents[0]
        now, had = decision.inputs[source], writer.before
        known = had.inputs[source] if had and decision.path in {"new", *BY_HAND} else None
        taken_back = retracted.messages(source, self.retracted)
        writer.note = replace(writer.note, retracted=taken_back, accepted=table.accepted)
        rows_in = self._rows_between(source, known, now)
        conf, contract = conf_rows(writer.engine, table.inputs), self.tables[source].contract
        bronze = deduplicate.Bronze(self.lake.address(source), source, now, contract, conf, rows_in)
        try:
            if decision.path == "new" and known is not None:
                account = deduplicate.add(writer, bronze, int(-1 if known.batch is None else known.batch))
            elif decision.path in BY_HAND and had is not None and known is not None:
                writer.note = replace(writer.note, inputs={**writer.note.inputs, source: known})
                before = replace(bronze, now=replace(now, batch=known.batch))
                accepted = {one.rpartition(" ")[2] for one in {*had.accepted} ^ {*table.accepted}}
                changed = dict.fromkeys(accepted, "conf/accepted.yml")
                changed |= dict.fromkeys({*had.retracted} ^ {*taken_back}, "conf/retracted.yml")
                account = deduplicate.judge_some(writer, before, changed)
                account.waiting = int(now.batch or 0) - int(known.batch or 0)
            else:
                account = deduplicate.judge_again(writer, bronze, decision.reason, self.since)
        except ChecksFailedError as error:
            self.stopped_by += error.measures
            raise
        return Done(
            decision,
            rows_in=sum(account.counts["rows"].values()),
            counts=account.counts,
            by_market={None: account.counts},
            accounts=True,
            waiting=account.waiting,
        )

    def _rebuild(self, writer: Writer, decision: Decision) -> Done:
        from lakehouse.delta.files import feed  # noqa: PLC0415
        from lakehouse.writes import refresh  # noqa: PLC0415
        from lakehouse.writes.lake import conf_rows  # noqa: PLC0415

        engine, table = writer.engine, writer.table
        tables = {name: self.lake.read(engine, name, int(decision.inputs[name].version)) for name in table.parents}
        inputs = tables | conf_rows(engine, table.inputs)
        try:
            if decision.path == "incremental":
                try:
                    outcome = refresh.update(writer, inputs, decision.moved, decision.rows)
                except feed.UnreadableChangesError as error:
                    decision = replace(decision, path="whole", reason=f"{decision.reason}, but {error}")
            if decision.path != "incremental":
                outcome = refresh.rebuild(writer, inputs, writer.size)
        except ChecksFailedError as error:
            self.stopped_by += error.measures
            raise
        warned = {one.name: one.broken for one in outcome.measures if one.broken}
        counts = {"rows": {"kept": outcome.rows}, "warned": warned}
        return Done(decision, counts=counts, measures=outcome.measures, units=outcome.touched)

    def _late_files(self, table: Table, known: Input | None, decision: Decision) -> frozenset[str]:
        source = table.parents[0]
        if known is None:
            return frozenset()
        return plan.late_files(source, known, decision.inputs[source], self.taken) or frozenset()

    def _deliveries_of(self, name: str) -> list[Entry]:
        return [one for one in self.taken if one.delivery.table == name]

    def _rows_between(self, source: str, known: Input | None, now: Input) -> int:
        """From bronze's own log, so that the sums are closed against something that was counted elsewhere."""
        from lakehouse.delta.files import feed  # noqa: PLC0415

        address = self.lake.address(source)
        there = progress.rows(address, int(now.version)) or 0
        if known is None:
            return there
        did = feed.written(address, int(known.version), int(now.version))
        if did and did.rows is not None:  # what retention took meanwhile came in before
            return did.rows
        return there - (progress.rows(address, int(known.version)) or 0)


def _longest_ways(parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many turns wait for each, one behind the other: what others wait for longest goes first."""
    behind = dict.fromkeys(parents, 0)
    for name in reversed([*TopologicalSorter(parents).static_order()]):
        for parent in parents[name]:
            behind[parent] = max(behind[parent], behind[name] + 1)
    return behind


def _raise(errors: Sequence[BaseException]) -> None:
    """One error as it is; several are one that says each of them once."""
    for error in errors:
        if not isinstance(error, LakehouseError) or isinstance(error, StoppedError) or len(errors) == 1:
            raise error
    if errors:
        quoted = [one for error in errors if isinstance(error, LakehouseError) for one in error.quoted]
        raise LakehouseError("\n".join(dict.fromkeys(str(error) for error in errors)), quoted) from errors[0]


@contextmanager
def _in_words(table: Table) -> Iterator[None]:
    """What the engine could not do is a sentence, not a page; the page is the error's cause."""
    try:
        yield
    except BaseException as error:
        if not (isinstance(error, protocol.errors()) or is_panic(error)):
            raise
        if said := refusal(error):
            raise LakehouseError(f"{table.name} could not be written: {said}") from error
        if said := protocol.said_by_a_worker(error):
            raise LakehouseError(f"{table.name} could not be written: {said}", [said]) from error
        said = protocol.words(error)
        raise LakehouseError(
            f"{table.name} could not be written. The engine says: {said} If that is about a column, "
            f"change {table.files}; LAKEHOUSE_LOG=info shows all that it says.",
            [said],
        ) from error
