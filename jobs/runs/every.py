"""`lakehouse run --every 60s`: the same process looks for what is new again and again, and keeps its engine."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.markup import escape

from jobs import printed
from jobs.monitoring import alerted
from jobs.places import retention
from jobs.recovery import published
from jobs.runs import fetched, plain, ran
from lakehouse import conf, engines, logs
from lakehouse.described import terms
from lakehouse.errors import LakehouseError, is_failure
from lakehouse.intake.records.ledger import Ledger
from lakehouse.recovery import releases
from lakehouse.runs import plan, topics
from lakehouse.runs.run import Run, StoppedError
from lakehouse.store.cache import looked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from rich.console import Console

    from lakehouse.audit.turns import Done, Report
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.recovery.retention import Removed

SECONDS = {"s": 1, "m": 60, "h": 3600}
WORK, IDLE = "work", "idle"
HOUR, DAY = 3600, 86400


def seconds(text: str, of: str = "--every") -> int:
    """What 30s, 5m and 1h mean."""
    found = re.fullmatch(r"([1-9]\d*)([smh])", text.strip())
    if not found:
        raise LakehouseError(f"{of} {text!r} is no time. Give seconds, minutes or hours, such as 30s, 5m or 1h.")
    return int(found[1]) * SECONDS[found[2]]


def release_every() -> int:
    """Seconds, as conf/lake.yml says."""
    return seconds(conf.settings(conf.HOME / "conf").releases.at_most_every, "conf/lake.yml: releases.at_most_every")


@dataclass
class Rounds:
    """What one look after the other needs to know of those before it."""

    messages: Console
    root: str
    landing: str
    tables: dict[str, Table]
    wanted: Mapping[str, Table]
    every: int
    stopping: threading.Event = field(default_factory=threading.Event)
    is_busy: bool = False
    engine_name: str = engines.NATIVE
    release_every: int = 0
    _is_released: bool = False
    _engine: Engine | None = None
    _ledger: Ledger = field(default_factory=Ledger)
    _looks: plan.Looks = field(default_factory=plan.Looks)
    _readers: topics.Readers = field(default_factory=lambda: topics.Readers(are_kept=True))
    _said: str = ""
    _in_landing: frozenset[object] = frozenset()
    _published: plain.Beside = field(default_factory=plain.Beside)
    _watch: alerted.Watch | None = None
    _began_at: float = field(default_factory=time.monotonic)
    _compacted_at: float = field(default_factory=time.monotonic)
    _freed_at: float = field(default_factory=time.monotonic)

    def go_on(self) -> None:
        """Until SIGTERM or SIGINT; what fails in one round is said, and the next one tries again."""
        self._listen()
        where = f"lake {self.root}, landing {self.landing}, looked at every {self.every} s"
        self.messages.print(f"[dim]{escape(where)}[/]")
        while not self.stopping.is_set():
            looked()
            begin = time.monotonic()
            is_behind = self._round()
            self._maintain()
            if not is_behind:
                self.stopping.wait(max(0.0, begin + self.every - time.monotonic()))
        self._let_go()
        self.messages.print("Stopped. What is not done yet, the next run does.")

    def _listen(self) -> None:
        def heard(number: int, _: FrameType | None) -> None:
            if self.stopping.is_set():  # Delta's commits are whole or not there, so nothing is left half
                os._exit(128 + number)
            self.stopping.set()
            if self.is_busy:  # not by the console, which may be in the middle of a line
                words = "Stopping when the tables that are being written are done; once more stops at once.\n"
                os.write(sys.stderr.fileno(), words.encode())

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, heard)

    def _round(self) -> bool:
        """Whether more waits than a round may take: then the next one begins at once."""
        is_behind = False
        run = Run(self.root, self.landing, self.tables, engine=self._engine or self.engine_name, is_kept=True)
        run.stopping, run.ledger, run.readers, run.looks = self.stopping, self._ledger, self._readers, self._looks
        watch = self._watch = self._watch or alerted.Watch(self.messages, run)
        watch.run, watch.wanted = run, self.wanted
        self.is_busy = True
        try:
            problems = watch.not_fetched = fetched.first(self.messages, self.landing, self.wanted)
            try:
                report = run.execute(self.wanted, self._say)
            finally:
                ran.untold(self.messages, run)
            is_behind = report.is_behind
            self._tell(report)
            self._tidy(report)
            self._release(run, report)
            self._published.look(self.messages, run.root, self.wanted, self.stopping)
            if problems:
                self._complain("\n".join(problems.values()))
            watch.found = report.found
            watch.succeeded(moved=any(one.decision.does_something for one in report.done))
        except StoppedError as stopped:
            self.messages.print(str(stopped))
        except LakehouseError as error:
            logs.failed("round failed", error)
            self._complain("\n".join(words for words in (str(error), published.words_of_a_stop(run)) if words))
            watch.failed(str(error))
        except BaseException as error:  # whatever it is, the next round may go well
            if not is_failure(error):
                raise
            logs.failed("round failed", error)
            self._complain(words := printed.in_words(error))
            watch.failed(words)
        finally:
            self.is_busy = False
            self._engine, self._ledger = run.engine, run.ledger
        if self._engine and (why := self._engine.spent()):
            self._start_over(why)
        return is_behind

    def _tidy(self, report: Report) -> None:
        """Tables of topics get a file or more each round: they are compacted as they go, a piece at a time."""
        written = {one.decision.table for one in report.done if one.decision.does_something}
        mine = [name for name in written if topics.follows(self.tables[name])]
        if not mine or self.stopping.is_set():
            return
        from lakehouse.recovery import maintain  # noqa: PLC0415  as in `_maintain`

        for one in maintain.compact_some(self.root, mine, retention()):
            if one.problem:
                self._complain(f"{one.table}: {one.problem}")

    def _maintain(self) -> None:
        """Once an hour what piled up is compacted, where it is worth a commit; once a day old files are deleted."""
        now = time.monotonic()
        if now - self._compacted_at < HOUR or self.stopping.is_set():
            return
        from jobs.recovery.maintained import generations, removed, summary  # noqa: PLC0415  Arrow, which idle rounds do not need
        from lakehouse.recovery import maintain  # noqa: PLC0415
        from lakehouse.recovery import retention as let_go  # noqa: PLC0415

        self._compacted_at, kept = now, retention()
        gone: list[Removed] = []
        try:
            if now - self._freed_at < DAY:
                done = maintain.compact(self.root, self.tables, kept)
            else:
                self._freed_at = now
                released = maintain.released(self.root, kept)
                gone = let_go.remove(self.root, self.landing, self.tables, released, self._started)
                done = maintain.maintain(self.root, self.tables, kept, released)
                generations(self.messages, self.root, self.tables.values(), kept.versions)
        except LakehouseError as error:
            self._complain(str(error))
            return
        if gone or any(one.compacted or one.freed or one.logs for one in done):
            self.messages.print(f"[dim]{_now()}[/]")
            removed(self.messages, gone, max(map(len, self.tables)) + 2)
            summary(self.messages, done)

    def _started(self) -> Engine:
        self._engine = self._engine or engines.start(self.engine_name, long=True)
        return self._engine

    def _say(self, done: Done) -> None:
        if not done.decision.does_something:
            return
        if self._said != WORK:
            self.messages.print(f"[dim]{_now()}[/]")
        self._said = WORK
        ran.turn(self.messages, done, max(map(len, self.wanted)) + 2)

    def _tell(self, report: Report) -> None:
        """One line for any number of rounds without work; what waits in landing is said when it changes."""
        worked, in_landing = any(one.decision.does_something for one in report.done), frozenset(_facts(report))
        if worked:
            ran.summary(self.messages, report)
        elif in_landing != self._in_landing:
            ran.waiting(self.messages, report)
        if worked or self._said != IDLE:
            what = "done" if worked else "nothing new"
            self.messages.print(f"[dim]{_now()} {what}; looking again every {self.every} s[/]")
        self._in_landing, self._said = in_landing, IDLE

    def _release(self, run: Run, report: Report) -> None:
        """What moved since the last release, also before this process began, once that is old enough."""
        if any(one.decision.does_something for one in report.done):
            self._is_released = False
        if self._is_released:
            return
        last = releases.newest(run.root)
        if last and datetime.now(UTC) - last.published_at < timedelta(seconds=self.release_every):
            return
        published.after(self.messages, run, report)
        self._is_released = True

    def _complain(self, said: str) -> None:
        """The same error is said once, for as long as nothing else happens."""
        if self._said != said:
            printed.error(self.messages, f"{_now()} {said}")
            self.messages.print(f"[dim]Trying again every {self.every} s.[/]")
        self._said = said

    def _start_over(self, why: str) -> None:
        """As a new process in the place of this one, with the same arguments."""
        if not self.stopping.is_set():
            self._let_go()
            lasted = terms.roughly(timedelta(seconds=time.monotonic() - self._began_at))
            printed.error(self.messages, f"{_now()} {why} Starting anew, {lasted} after it began.")
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606

    def _let_go(self) -> None:
        self._readers.close()
        self._published.end(self.messages)


def _facts(report: Report) -> list[object]:
    stuck = [words.partition(" has been open")[0] for words in report.stuck]
    return [
        report.found.absent,
        *stuck,
        *((one.delivery.path, one.status, one.reason) for one in report.found.entries),
    ]


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
