"""How releases look: what a run says of the one that it made, the list of them, and what differs between two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table as Grid

from jobs.printed import GRID, visible
from lakehouse.recovery import releases
from lakehouse.recovery.releases import NotClosedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from lakehouse.audit.turns import Report
    from lakehouse.causes.diff import Difference, Number
    from lakehouse.recovery.releases import Release
    from lakehouse.runs.run import Run

SHOWN = 20


def after(messages: Console, one: Run, report: Report) -> None:
    """Release what a run left, if it did something, or if an earlier one could not; a look where nothing moved."""
    if has_news(one, report):
        publish(messages, one)


def has_news(one: Run, report: Report) -> bool:
    there = {done.decision.table: done.decision.state for done in report.done if done.decision.state}
    return any(done.decision.does_something for done in report.done) or releases.is_behind(one.root, there)


def publish(messages: Console, one: Run) -> None:
    """A part of the tables, or another run beside this one, leaves nothing to release: that is said, and no error."""
    try:
        made = releases.publish(one.root, one.tables, known=one.ledger)
    except NotClosedError as error:
        messages.print(f"[dim]{escape(visible(str(error)))}[/]")
        return
    if made:
        published(messages, made)


def published(messages: Console, made: Release) -> None:
    moved = "1 table" if made.moved == 1 else f"{made.moved} tables"
    before = f"  [dim]lakehouse diff {made.number - 1} {made.number}[/]" if made.number > 1 else ""
    messages.print(f"[bold]Release {made.number}[/]: {moved} moved.{before}")
    for rule, why in made.despite.items():
        messages.print(f"  [yellow]despite[/] {rule}: {escape(visible(why))}")


def words_of_a_stop(one: Run) -> str:
    """What a rule that kept a table as it was means for the readers of releases; empty where none did."""
    rules = dict.fromkeys(measure.name for measure in one.stopped_by if measure.severity == "stop" and measure.broken)
    if not rules:
        return ""
    last = releases.newest(one.root)
    readers = f"release {last.number} stays the newest" if last else "there is no release yet"
    named = " ".join(f"--despite {rule}" for rule in rules)
    return (
        f"Nothing was released, because of {', '.join(rules)}: {readers}. To release what was written, with the other "
        f'tables as they were: lakehouse publish {named} --why "..."'
    )


def listed(console: Console, known: Sequence[Release], expired: Mapping[int, str]) -> None:
    """The newest first; `expired`: why some cannot be read any more, by number."""
    if not known:
        console.print("There is no release yet: `lakehouse run` makes one, or `lakehouse publish`.")
        return
    columns = ("release", "published (UTC)", "tables moved", "lowest score", "run", "engine", "code", "despite")
    grid = Grid(*columns, **GRID)  # type: ignore[arg-type]
    for one in [*reversed(known)][:SHOWN]:
        score = f"{min(one.quality.values()):.1f}" if one.quality else "-"
        despite = "; ".join(f"{rule}: {escape(visible(why))}" for rule, why in one.despite.items())
        at = f"{one.published_at:%Y-%m-%d %H:%M:%S}{' [yellow]expired[/]' if one.number in expired else ''}"
        grid.add_row(str(one.number), at, f"{one.moved}", score, one.run, one.engine, one.code, despite)
    for place in (0, 2, 3):
        grid.columns[place].justify = "right"
    console.print(grid)
    if len(known) > SHOWN:
        console.print(f"[dim]and {len(known) - SHOWN:,} older ones, in ops.releases[/]")


def differences(console: Console, found: Sequence[Difference], most: Sequence[Number]) -> None:
    if not found:
        console.print("They are the same: no table holds other rows.")
        return
    grid = Grid("table", "added", "changed", "removed", "", **GRID)  # type: ignore[arg-type]
    for one in found:
        counts = ["?" if n is None else f"{n:,}" for n in (one.added, one.changed, one.removed)]
        rules = "; ".join(f"{rule} {_moves(*moves)}" for rule, moves in one.rules.items())
        grid.add_row(one.table, *counts, escape(visible(one.note or rules)))
    for column in grid.columns[1:4]:
        column.justify = "right"
    console.print(grid)
    if most:
        console.print("\n[bold]What moved most[/], by its share of the column's largest value")
    for number in most:
        where = escape(visible(_texts(number.key)))
        values = f"{_shown(number.before)} -> {_shown(number.after)}"
        console.print(f"{number.table} {number.column} {values}  [dim]{where}[/]")
        for cause in number.causes:
            console.print(f"  {escape(visible(cause))}")


def _moves(came: int, left: int) -> str:
    return " ".join(f"{sign}{count:,}" for sign, count in (("+", came), ("-", left)) if count)


def _texts(key: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in key.items())


def _shown(value: object) -> str:
    return "nothing" if value is None else f"{value:,}"
