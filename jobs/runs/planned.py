"""How `lakehouse plan` and `lakehouse status` look."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table as Grid

from jobs.printed import GRID, NAMED, SHOWN, visible
from jobs.runs.ran import landing, retraction, revalued
from lakehouse.described.terms import roughly
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from lakehouse.audit.history import Ran
    from lakehouse.graph import Table
    from lakehouse.runs.plan import Size
    from lakehouse.runs.run import Run
    from lakehouse.sources.kafka.topics import Offers


def plan(console: Console, one: Run, wanted: Mapping[str, Table], engine: str) -> None:
    """What each table's turn would be; a table behind one that will be written may turn out to have nothing to do."""
    from lakehouse.audit.history import History  # noqa: PLC0415
    from lakehouse.runs import plan as planning  # noqa: PLC0415
    from lakehouse.runs import topics  # noqa: PLC0415

    found, offers = one.look().of(wanted), topics.offers(one.root, wanted.values())
    decisions = planning.decide_all(
        one.root, wanted.values(), one.taken, History(one.root, engine), coming=found.new, offers=offers
    )
    sizes = planning.sizes(one.root, wanted, decisions, one.started)
    grid = Grid("table", "would", "because", "units", "rows", **GRID)  # type: ignore[arg-type]
    moving: set[str] = set()
    for name, table in wanted.items():
        new = sum(delivery.table == name for delivery in found.new)
        behind = [parent for parent in table.parents if parent in moving]
        would, because = decisions[name].path, decisions[name].reason
        if would == "stop":
            because = "see below"
        units, rows = _size(would, sizes[name], and_more=bool(behind))
        if new and would != "stop":
            would, because = "load", f"{new} new {'file' if new == 1 else 'files'}"
        elif behind and would in {"nothing", "wait"}:
            would, because = "follow", f"{', '.join(behind)} will be written first"
        if would != "nothing":
            moving.add(name)
        grid.add_row(name, would, because, units, rows)
    for column in grid.columns[3:]:
        column.justify = "right"
    console.print(grid)
    for name, decision in decisions.items():
        if decision.path == "stop":
            console.print(f"\n[red]{name} stops:[/] {escape(visible(decision.reason))}")
    if not moving:
        console.print("Nothing new: a run would make no commit.")
    revalued(console, decisions.values())
    landing(console, found)
    _unfinished(console, one)


def _unfinished(console: Console, one: Run) -> None:
    if one.ledger.rewind is not None:
        console.print(
            "[yellow]A rewind broke off[/], some tables are back and some are not: the next run finishes it first."
        )


def _size(would: str, size: Size, *, and_more: bool) -> tuple[str, str]:
    """Units, at most, and rows; those of inputs that will be written first come on top."""
    if would in {"nothing", "load", "wait", "describe", "stop"}:
        return "", ""
    end = "+" if and_more else ""
    rows = "?" if size.rows is None else f"{size.rows:,}{end}"
    if would in {"first", "whole"}:
        return "all", rows
    return "?" if size.units is None else f"{size.units:,}{end}", rows


def status(console: Console, one: Run, engine: str) -> None:
    """Tables, then sources: how fresh and how good their deliveries are, what changed in them, what is not loaded."""
    from lakehouse.audit.history import History  # noqa: PLC0415
    from lakehouse.runs import status as states  # noqa: PLC0415
    from lakehouse.runs import topics  # noqa: PLC0415

    found = None
    storage.check(one.root, role="lake", must_exist=False)
    with _in_words(console, "The ledger, and what is new,"):
        one.open()
        with _in_words(console, "New files"):  # a reader of the lake need not see its landing
            found = one.look()
    waiting = [delivery.table for delivery in found.new] if found else []
    grid = Grid("table", "version", "rows", "rejected", "changed (UTC)", "behind", "last run", **GRID)  # type: ignore[arg-type]
    now = datetime.now(UTC)
    history = History(one.root, engine)
    offers = topics.offers(one.root, one.tables.values())
    lines = states.lines(one.root, one.tables, one.taken, history, offers)
    for line in lines:
        new = waiting.count(line.table)
        behind = f"{new} new {'file' if new == 1 else 'files'}" if new and not line.problem else line.behind
        changed = f"{line.changed_at:%Y-%m-%d %H:%M} ({_ago(now - line.changed_at)})" if line.changed_at else "-"
        numbers = ["-" if n is None else f"{n:,}" for n in (line.version, line.rows, line.rejected)]
        grid.add_row(line.table, *numbers, changed, behind or "up to date", _last(line.last))
    for column in grid.columns[1:4]:
        column.justify = "right"
    console.print(grid)
    for line in lines:
        if line.problem:
            console.print(f"\n[red]{line.table} stops:[/] {escape(visible(line.problem))}")
        elif line.last and line.last.error:
            console.print(f"\n[red]{line.table} failed[/] in its last run: {escape(visible(line.last.error))}")
    if history.problem:
        console.print(f"\n[red]Past runs are not shown:[/] {escape(visible(history.problem))}")
    with _in_words(console, "Messages that wait"):
        _lags(console, one, offers, now)
    with _in_words(console, "Scores"):
        _sources(console, one, now)
    with _in_words(console, "Changed columns"):
        _schema_changes(console, one)
    if taken_back := [each for each in one.taken if each.retracted]:
        console.print("\nRetracted deliveries, which conf/retracted.yml takes back:")
    for each in taken_back[:SHOWN]:
        console.print(f"  {each.delivery.table}: {retraction(each)}")
    if found:
        landing(console, found)
    _unfinished(console, one)


@contextmanager
def _in_words(console: Console, what: str) -> Iterator[None]:
    """What cannot be read takes nothing else with it."""
    try:
        yield
    except LakehouseError as error:
        console.print(f"[yellow]{what} are not counted:[/] {escape(visible(str(error)))}")


def _last(turn: Ran | None) -> str:
    if turn is None:
        return ""
    by = f" by {turn.engine}" if turn.engine else ""
    return "[red]failed[/]" if turn.error else f"{turn.path} {turn.seconds:,.1f} s{by}"


def _sources(console: Console, one: Run, now: datetime) -> None:
    from lakehouse.audit import quality  # noqa: PLC0415

    newest: dict[tuple[str, int | None], datetime] = {}
    for entry in (each for each in one.taken if not each.retracted):
        key = (entry.delivery.table, entry.delivery.market)
        newest[key] = max(newest.get(key, entry.delivery.as_of), entry.delivery.as_of)
    parents = {name: table.parents[0] for name, table in one.tables.items() if table.contract.write == "latest"}
    scores = {
        (parents[noted.measure.table_name], noted.measure.market): noted.measure.value
        for noted in quality.newest(one.root, "score")
        if noted.measure.table_name in parents
    }
    grid = Grid("source", "market", "newest delivery", "score", **GRID)  # type: ignore[arg-type]
    for (source, market), at in sorted(newest.items(), key=str):
        score = scores.get((source, market))
        age = f"{at:%Y-%m-%d %H:%M} ({_ago(now - at)})"
        grid.add_row(source, "" if market is None else str(market), age, "-" if score is None else f"{score:.1f}")
    if newest:
        console.print()
        console.print(grid)


def _lags(console: Console, one: Run, offers: Offers, now: datetime) -> None:
    """How far behind their topics tables are; `behind` counts offsets, also those that no message has."""
    from lakehouse.runs import topics  # noqa: PLC0415

    known = [(one.tables[name], offer) for name, offer in offers.items() if not isinstance(offer, LakehouseError)]
    lags = [(table, topics.lag(table, offer)) for table, offer in known]
    grid = Grid("topic of", "partition", "next offset", "behind", "oldest of these", **GRID)  # type: ignore[arg-type]
    for table, parts in lags:
        for part in parts:
            open_ones = f", {part.open:,} in open transactions" if part.open else ""
            behind = f"{part.behind:,}{open_ones}"
            oldest = _ago(now - part.since) if part.since else "-"
            grid.add_row(table.name, str(part.partition), f"{part.next:,}", behind, oldest)
    if lags:
        console.print()
        console.print(grid)
    for table, parts in lags:
        for words in topics.hanging(table, parts, now):
            console.print(f"[yellow]warning[/] {escape(words)}")


def _schema_changes(console: Console, one: Run) -> None:
    """The newest ones; all are in ops.schema_changes."""
    from lakehouse.intake.records import schema_changes  # noqa: PLC0415

    changes = sorted(schema_changes.read(one.root), key=lambda change: (change.batch, change.file), reverse=True)
    if changes:
        console.print("\nChanged columns, the newest first:")
    for change in changes[:NAMED]:
        words = f"{change.before} became {change.after}" if change.change == "type" else change.change.replace("_", " ")
        console.print(
            f"  {change.table_name} {change.partition}: {change.column_name} {words} "
            f"[dim]in {escape(visible(change.file))}[/]"
        )
    if len(changes) > NAMED:
        console.print(f"  [dim]and {len(changes) - NAMED:,} more in ops.schema_changes[/]")


def _ago(gap: timedelta) -> str:
    """The day that a path says may be tomorrow."""
    return f"{roughly(max(gap, timedelta()))} ago"
