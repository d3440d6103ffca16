"""How `lakehouse rejected` looks: what stands in quarantine, and the files that it was written to."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table as Grid

from jobs.printed import GRID, visible

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

    from lakehouse.contract import Source
    from lakehouse.graph import Table


def rejected(console: Console, root: str, table: Table, examples: int, landing: str) -> None:
    """Of a window the page is named where `landing` still has it."""
    from lakehouse.intake.deliveries import fetched  # noqa: PLC0415
    from lakehouse.serving import quarantine  # noqa: PLC0415

    by_rule = quarantine.by_rule(root, table)
    if not by_rule:
        console.print(f"Nothing is rejected in {table.name}.")
        return
    grid = Grid(f"{table.name}: rule", "rows", "why", **GRID)  # type: ignore[arg-type]
    for rule, count in by_rule.items():
        grid.add_row(rule, f"{count:,}", table.contract.why(rule))
    console.print(grid)
    for row in quarantine.examples(root, table, examples):
        key = ", ".join(f"{name} {row[name]}" for name in table.contract.unit if row[name] is not None)
        rules = escape(", ".join(row["rules"]))
        page = "".join(f", that is {one}" for one in fetched.on_pages(landing, row["_file"], row["_row"], row["_row"]))
        place = f"{visible(row['_file'])} row {row['_row']}{page}" + f" ({visible(key)})" * bool(key)
        console.print(f"\n{escape(place)}, since {row['since']:%Y-%m-%d}: [red]{rules}[/]")
        text = row["text"]
        shown = text if isinstance(text, str) else ", ".join(f"{name}={value}" for name, value in text.items())
        console.print(f"  {escape(visible(shown))}")


def exported(messages: Console, table: Table, source: Source | None, written: Mapping[Path, int]) -> None:
    if not written:
        messages.print(f"Nothing is rejected in {table.name}, so no file was written.")
    for path, rows in written.items():
        messages.print(f"Wrote {rows:,} {'row' if rows == 1 else 'rows'} to {escape(str(path))}.")
    if written and source and not source.files:
        messages.print(
            "Correct them, and leave the first columns as they are. Its source takes no files: say in its contract "
            f"where corrections lie, as `files: {escape(f'[corrections/**/{{date}}/*.{source.format}]')}`, and put the "
            "file there."
        )
    elif written and source:
        name = source.files[0].replace("{date}", f"{datetime.now(UTC):%Y-%m-%d}").replace("**/", "")
        name = name.replace("/*.", "/corrected.").replace("*", "")
        name = re.sub(r"{(\w+):int}", r"<\1>", name)
        messages.print(
            "Correct them, leave the first columns as they are, and put the file into landing, into a folder of today "
            f"and under a name like {escape(name)}; the next run takes it up."
        )
