"""What `lakehouse rewind` and `lakehouse retract` say."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table as Grid

from jobs.printed import GRID, NAMED, visible
from lakehouse.writes.rewind import NOT_THERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.recovery.rewind import Prospect
    from lakehouse.writes.rewind import Restored


def prospect(console: Console, one: Prospect) -> None:
    """Table by table what leaves and what comes back, and the files that are taken again."""
    console.print(f"A rewind {escape(one.where)}:")
    if one.unfinished:
        console.print(
            "  [yellow]warning[/]: another rewind broke off; the next run finishes it, or this one takes its place"
        )
    moved = [step for step in one.steps if step.lost != 0 or step.back != 0]
    grid = Grid("table", "version", "back to", "rows", "then", "lost", "come back", **GRID)  # type: ignore[arg-type]
    for column in grid.columns[1:]:
        column.justify = "right"
    for step in moved:
        then = "before its first" if step.then == NOT_THERE else str(step.then)
        grid.add_row(step.table, str(step.now), then, *map(_count, (*step.rows, step.lost, step.back)))
    if moved:
        console.print(grid)
    if still := len(one.steps) - len(moved):
        console.print(f"[dim]{still} tables hold the same rows as then.[/]")
    if one.again:
        console.print(f"Delivered since, and taken again from {one.below} by the next run:")
        _files(console, one.again)
    if one.touched:
        console.print(
            "[yellow]Touched since[/]: taken again by the time that they have now, which may order them otherwise:"
        )
        _files(console, one.touched)
    if one.lost:
        console.print(
            "[yellow]Taken back, and not in landing any more[/]: no table counts them, and their rows leave bronze "
            "for good:"
        )
        _files(console, one.lost)
    if one.missing:
        console.print(
            "[red]Not in landing any more[/] as they were delivered; their rows would be lost, so it is refused "
            "(--layer silver keeps bronze):"
        )
        _files(console, one.missing)


def _count(rows: int | None) -> str:
    return "?" if rows is None else f"{rows:,}"


def _files(console: Console, entries: Sequence[Entry]) -> None:
    for one in entries[:NAMED]:
        console.print(f"  {one.delivery.table}: {escape(visible(one.delivery.path))}")
    if len(entries) > NAMED:
        console.print(f"  and {len(entries) - NAMED:,} more files")


def restored(console: Console, one: Prospect, done: Iterable[Restored]) -> None:
    console.print(
        f"Rewound {escape(one.where)}: {len([*done])} of {len(one.steps)} tables got a commit. "
        "`lakehouse run` takes up again what came since."
    )


def taken_back(console: Console, rows: Iterable[str], entries: Iterable[Entry], tables: Mapping[str, Table]) -> None:
    written, counts = list(rows), Counter[str]()
    console.print("Written into conf/retracted.yml:")
    for row in written[:NAMED]:
        console.print(f"  {escape(row)}")
    if len(written) > NAMED:
        console.print(f"  and {len(written) - NAMED:,} more rows")
    for one in entries:
        counts[one.delivery.table] += one.counts.get("rows", 0)
    for source, count in counts.items():
        readers = ", ".join(name for name, table in tables.items() if source in table.parents)
        console.print(
            f"{source} keeps its {count:,} rows; {readers}, and what is made from it, are without them after "
            "`lakehouse run`."
        )


def messages_taken_back(console: Console, rows: Mapping[str, str], tables: Mapping[str, Table]) -> None:
    """`rows`: of each source the row that was written."""
    console.print("Written into conf/retracted.yml:")
    for source, row in rows.items():
        readers = ", ".join(name for name, table in tables.items() if source in table.parents)
        console.print(f"  {escape(row)}")
        console.print(
            f"{source} keeps them; {readers}, and what is made from it, are without them after `lakehouse run`."
        )
