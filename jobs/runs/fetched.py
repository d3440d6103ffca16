"""How fetching looks: a line for each source with what it landed, or why it could not; and what is due."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table as Grid

from jobs.printed import GRID, visible
from lakehouse.sources import due
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from rich.console import Console

    from lakehouse.graph import Table
    from lakehouse.sources.fetch import Fetched

SECONDS = 5  # between two lines of progress


def first(
    messages: Console,
    landing: str,
    tables: Mapping[str, Table],
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, str]:
    """Before a run: fetch what is due, or all for a time that somebody asks for; by source why it could not be."""
    return fetch(messages, landing, wanted(landing, tables, since, until), since, until)


def wanted(
    landing: str, tables: Mapping[str, Table], since: datetime | None = None, until: datetime | None = None
) -> list[Table]:
    """What is due; where somebody asks for a time, all that does not rest."""
    looked = [(one, due.due(storage.normalise(landing), one)) for one in due.fetched_ones(tables)]
    asked = since is not None or until is not None
    return [one for one, its in looked if its.is_due or (asked and not its.rests)]


def fetch(
    messages: Console,
    landing: str,
    tables: Collection[Table],
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, str]:
    """Fetch these now; by source why it could not be."""
    landing, problems = storage.normalise(landing), dict[str, str]()
    width, begin = max((len(one.name) for one in tables), default=0) + 2, time.monotonic()
    told = begin

    def say(so_far: Fetched) -> None:
        nonlocal told
        if time.monotonic() - told >= SECONDS:
            told = time.monotonic()
            messages.print(f"[dim]{so_far.table:<{width}}{_landed(so_far)} so far[/]")

    for one in due.fetch_all(landing, tables, since, until, say):
        seconds, begin = time.monotonic() - begin, time.monotonic()
        messages.print(f"{one.landed.table:<{width}}{_landed(one.landed):<62}{seconds:5.1f} s  [dim]fetched[/]")
        if one.problem:
            problems[one.landed.table] = f"{one.landed.table} was not fetched whole: {one.problem}"
            messages.print(f"[red]{escape(visible(problems[one.landed.table]))}[/]")
    return problems


def _landed(one: Fetched) -> str:
    windows, pages = (
        f"{n:,} {word}{'' if n == 1 else 's'}" for n, word in ((one.windows, "window"), (one.pages, "page"))
    )
    rows = f", {one.rows:,} rows" if one.rows else ""
    return f"{windows:>10}, {pages}{rows}"


def show(console: Console, landing: str, tables: Collection[Table], *, with_resting: bool = True) -> None:
    """What is due, and why; nothing is fetched, nor asked."""
    looked = [due.due(storage.normalise(landing), table) for table in tables]
    grid = Grid("source", "would", "because", **GRID)  # type: ignore[arg-type]
    for one in looked:
        if with_resting or not one.rests:
            grid.add_row(one.table, "rest" if one.rests else "fetch" if one.is_due else "wait", escape(one.why))
    if grid.row_count:
        console.print(grid)
