"""How `lakehouse check` looks: what is wrong, table by table, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from jobs.places import retention
from jobs.printed import visible
from jobs.runs import ran
from lakehouse import graph
from lakehouse.recovery import check
from lakehouse.recovery import retention as let_go
from lakehouse.runs.run import Run
from lakehouse.store import storage

if TYPE_CHECKING:
    from rich.console import Console

    from lakehouse.recovery.check import Finding


def checked(console: Console, root: str, *, deep: bool = False) -> list[Finding]:
    """Look, and say what is wrong."""
    root, known = storage.normalise(root), graph.load()
    storage.check(root, role="lake", must_exist=True)

    def say(one: Finding) -> None:
        console.print(f"[red]{one.table}[/]: {escape(visible(one.what))}")
        if one.remedy:
            console.print(f"  {escape(visible(one.remedy))}")

    found = check.check(root, known, say, deep=deep, days=retention().releases)
    for words in let_go.said(root, known):
        console.print(f"[dim]{escape(visible(words))}[/]")
    console.print(
        f"[bold red]{len(found)} findings.[/]"
        if found[1:]
        else "[bold red]1 finding.[/]"
        if found
        else "[bold]All that was looked at is right.[/]"
    )
    return found


def repaired(console: Console, root: str, landing: str, engine: str, found: list[Finding], *, deep: bool) -> bool:
    """Delete what is damaged and can be made again, and run; whether all is right then."""
    if check.prepare(root, found):
        known = graph.load()
        one = Run(root, landing, known, engine=engine)
        with ran.run(console, one, known) as say:
            report = one.execute(known, say)
        ran.summary(console, report)
    return not checked(console, root, deep=deep)
