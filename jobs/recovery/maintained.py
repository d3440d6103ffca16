"""How `lakehouse maintain` looks: one line for each table with which something was done, and what it freed in all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import typer
from rich.filesize import decimal
from rich.markup import escape

from jobs import printed
from jobs.options import LakeOption, LandingOption, messages
from jobs.places import engine_name, places, retention
from jobs.printed import visible
from lakehouse import engines, graph
from lakehouse.errors import LakehouseError
from lakehouse.recovery import maintain
from lakehouse.recovery import retention as let_go
from lakehouse.serving.plain_parquet import generations as older
from lakehouse.serving.plain_parquet import plans
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from lakehouse.graph import Table
    from lakehouse.recovery.maintain import Maintained
    from lakehouse.recovery.retention import Removed


def run_maintenance() -> None:
    """As spark-submit starts it."""

    def main(lake: LakeOption = None, landing: LandingOption = None) -> None:
        printed.begin(messages)
        maintained(messages, *places(lake, landing), engine_name(None))

    with printed.errors(messages):
        typer.run(main)


def maintained(console: Console, root: str, landing: str, engine: str, *, dry_run: bool = False) -> None:
    """Maintain the lake, and say what was done; the engine of this name starts where bronze has rows that are over."""
    root, known = storage.normalise(root), graph.load()
    storage.check(root, role="lake", must_exist=True)
    width = max(map(len, known)) + len("__rejected") + 2

    def say(one: Maintained) -> None:
        if words := _words(one, dry_run=dry_run):
            console.print(f"{one.table:<{width}}{words}")
        if one.problem:
            console.print(f"{one.table:<{width}}[yellow]not done:[/] {escape(visible(one.problem))}")

    kept = retention()
    released = maintain.released(root, kept)
    gone = let_go.remove(root, landing, known, released, lambda: engines.start(engine), dry_run=dry_run)
    removed(console, gone, width, dry_run=dry_run)
    generations(console, root, known.values(), kept.versions, width, dry_run=dry_run)
    done = maintain.maintain(root, known, kept, released, say, dry_run=dry_run)
    summary(console, done, dry_run=dry_run)
    for words in let_go.said(root, known):
        console.print(f"[dim]{escape(visible(words))}[/]")


def removed(console: Console, gone: list[Removed], width: int = 0, *, dry_run: bool = False) -> None:
    """What contracts let go."""
    verb = "would leave" if dry_run else "left"
    for one in gone:
        if one.problem:
            console.print(f"{one.table:<{width}}[yellow]not done:[/] {escape(visible(one.problem))}")
        if one.deliveries:
            what = f"{one.rows:,} rows of {one.deliveries:,} deliveries that newer ones replaced"
            if one.is_of_a_topic:
                what = f"{one.rows:,} messages of {one.deliveries:,} rounds"
            console.print(f"{one.table:<{width}}{what} {verb} bronze, as its contract's retention says")
        if one.files:
            what = f"{one.files:,} files that were loaded ({decimal(one.bytes)})"
            console.print(f"{one.table:<{width}}{what} {verb} landing, as its contract's retention says")


def generations(
    console: Console, root: str, tables: Iterable[Table], days: int, width: int = 0, *, dry_run: bool = False
) -> None:
    """Of plain Parquet those that readers have had so many days to leave."""
    before = datetime.now(UTC) - timedelta(days=days)
    for table in (one for one in tables if one.contract.published):
        name = f"published/{plans.name_of(table)}"
        try:
            gone = older.let_go(root, table, before, dry_run=dry_run)
        except LakehouseError as error:
            console.print(f"{name:<{width}}[yellow]not done:[/] {escape(visible(str(error)))}")
            continue
        for one in gone:
            files, were = ("file", "was") if one.files == 1 else ("files", "were")
            what = f"{one.files:,} {files} of v{one.generation} ({decimal(one.bytes)})"
            verb = "would be" if dry_run else were
            console.print(f"{name:<{width}}{what} {verb} deleted: CURRENT has named a newer one for {days} days")


def summary(console: Console, done: list[Maintained], *, dry_run: bool = False) -> None:
    files, freed = sum(one.freed + one.logs for one in done), sum(one.bytes for one in done)
    compacted = sum(one.compacted is not None for one in done)
    verb = "would be " if dry_run else ""
    console.print(
        f"[bold]{compacted} of {len(done)} tables {verb}compacted, {files:,} files ({decimal(freed)}) {verb}deleted.[/]"
    )


def _words(one: Maintained, *, dry_run: bool) -> str:
    parts = []
    if found := one.compacted:
        hidden = f", {found.hidden:,} hidden rows leave" if found.hidden else ""
        size = "" if dry_run else f" ({decimal(found.old_bytes)} -> {decimal(found.new_bytes)})"
        parts.append(f"{found.old:,} files -> {'about ' if dry_run else ''}{found.new:,}{size}{hidden}")
    if one.freed or one.logs:
        of_log = f" and {one.logs:,} of its log" if one.logs else ""
        parts.append(f"{one.freed:,} files{of_log} that nobody needs, {decimal(one.bytes)}")
    return "; ".join(parts)
