"""Telling people, after runs and by `lakehouse alerts`: how it looks here, and that its failing fails no run."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table as Grid

from jobs.printed import GRID, in_words, visible
from lakehouse import conf
from lakehouse.alerts import record, rules
from lakehouse.alerts.record import Record
from lakehouse.errors import LakehouseError, is_failure
from lakehouse.runs.run import Run, StoppedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from rich.console import Console

    from lakehouse.alerts.facts import Facts
    from lakehouse.alerts.notices import Looked
    from lakehouse.alerts.rules import Alerts
    from lakehouse.intake.deliveries.landing import Found


class Watch:
    """What is told of one lake, run after run. `run`, `found` and `not_fetched` are those of the last, `wanted` its."""

    def __init__(self, messages: Console, run: Run) -> None:
        self.messages, self.run = messages, run
        self.found: Found | None = None
        self.wanted: Collection[str] = ()
        self.not_fetched: Mapping[str, str] = {}
        self._last: record.LastRun | None = None  # that was written, or read
        self._looked_at = 0.0
        self._said = set[str]()

    def succeeded(self, *, moved: bool = True) -> None:
        """The run did what it was to do, `moved` or not. Where a source was not fetched, no heartbeat says that."""
        self._ended("", moved=moved)

    def failed(self, words: str) -> None:
        self._ended(words, moved=True)

    def _ended(self, error: str, *, moved: bool) -> None:
        try:
            alerts = rules.load(conf.HOME / "conf")
            kept = Record(self.run.root, is_there=record.is_there(self.run.root))
            before = self._last or kept.last_run()
            not_fetched = {name: why for name, (why, _) in before.not_fetched.items()} if before else {}
            not_fetched = {name: why for name, why in not_fetched.items() if name not in self.wanted}
            last = record.after(before, self.run.id, error, {**not_fetched, **self.not_fetched})
            self._last = last if kept.ended(last, before, is_told=bool(alerts.routes)) else before
            if alerts.heartbeat and not error and not self.not_fetched:
                self._beat(alerts.heartbeat)
            is_old = time.monotonic() - self._looked_at >= alerts.every.total_seconds()
            if alerts.routes and (moved or error or self.not_fetched or is_old):
                self._look(alerts, last)
        except BaseException as failed:
            if not is_failure(failed):
                raise
            self._once(f"Nobody was told how it stands: {_words(failed)}")

    def _look(self, alerts: Alerts, last: record.LastRun) -> None:
        from lakehouse.alerts import facts, notices  # noqa: PLC0415  what answers questions, which only they need

        self._looked_at = time.monotonic()
        looked = notices.tell(alerts, facts.gather(self.run, alerts, last, self.found))
        said(self.messages, looked)

    def _beat(self, name: str) -> None:
        from lakehouse.alerts import routes  # noqa: PLC0415

        if why := routes.beat(name):
            self._once(f"The heartbeat was not heard: {why}")

    def _once(self, words: str) -> None:
        if words not in self._said:
            self.messages.print(f"[yellow]alerts[/] {escape(visible(words))}")
        self._said.add(words)


@contextmanager
def after(messages: Console, root: str, landing: str, engine: str) -> Iterator[Watch]:
    """Whatever ends the run that is done meanwhile is told; what somebody stopped has neither failed nor succeeded."""
    watch = Watch(messages, Run(root, landing, {}, engine=engine))
    try:
        yield watch
    except StoppedError:
        raise
    except BaseException as error:
        if is_failure(error):
            watch.failed(_words(error))
        raise
    watch.succeeded()


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, LakehouseError) else in_words(error)


def look(run: Run, alerts: Alerts, *, dry_run: bool) -> tuple[Facts, Looked]:
    """From outside of any run; with `dry_run` nothing is sent."""
    from lakehouse.alerts import facts, notices, problems  # noqa: PLC0415

    kept = Record(run.root, is_there=record.is_there(run.root))
    found = facts.gather(run, alerts, kept.last_run())
    if dry_run:
        return found, notices.Looked(problems.found(found, alerts))
    return found, notices.tell(alerts, found)


def shown(console: Console, facts: Facts, looked: Looked) -> None:
    """The problems, each with what to do; and of which kinds nothing could be learnt."""
    if not looked.problems:
        console.print("Nothing is wrong.")
    for one in looked.problems:
        since = f" [dim]since {one.since:%Y-%m-%d %H:%M} UTC[/]" if one.since else ""
        color = "red" if one.severity == "critical" else "yellow"
        console.print(f"[{color}]{one.severity}[/] [bold]{escape(visible(one.title))}[/]{since}")
        for text in filter(None, (one.what, one.usual, one.remedy)):
            console.print(f"  {escape(visible(text))}")
        console.print(f"  [dim]{escape(visible(one.command))}[/]")
    if not facts.unreachable:
        for kind, why in facts.unknown.items():
            console.print(f"[yellow]not judged[/] {kind}: {escape(visible(why))}")


def said(messages: Console, looked: Looked) -> None:
    """What went out, and what did not."""
    grid = Grid("notice", "route", "about", **GRID)  # type: ignore[arg-type]
    for one in looked.sent:
        grid.add_row(one.event, one.route, escape(visible(one.title)))
    if looked.sent:
        messages.print(grid)
    for one in looked.failed:
        messages.print(f"[yellow]alerts[/] the route {one.route} took no notice: {escape(visible(one.words))}")
    if looked.waits:
        messages.print(f"[dim]{looked.waits:,} more notices go out when it is looked again[/]")


def failing(console: Console, root: str) -> None:
    """What `lakehouse status` says of notices: the routes that take none."""
    for name, one in Record(root, is_there=record.is_there(root)).heard().failing.items():
        console.print(
            f"[yellow]warning[/] the route {name} took no notice at {one.at:%Y-%m-%d %H:%M} UTC: "
            f"{escape(visible(one.words))}"
        )
