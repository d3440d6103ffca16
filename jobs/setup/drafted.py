"""What `lakehouse new` says: which files there are now, what was found, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from jobs.printed import visible
from lakehouse.conf import HOME

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from lakehouse.scaffold import source as of_source
    from lakehouse.scaffold import table as of_table


def source(messages: Console, draft: of_source.Draft, written: list[Path], landing: str) -> None:
    """The way from the draft to rows in the lake."""
    _files(messages, written)
    for note in draft.notes:
        messages.print(f"  [dim]{escape(visible(note))}[/]")
    name = draft.silver.partition(".")[2]
    _next(
        messages,
        f"read and correct conf/silver/{name}.yml; what begins with TODO is to be written",
        f"put the file into {landing}/{draft.folder}/ and a folder of its day, as 2022-01-05"
        if draft.folder
        else "leave the file where it lies in landing",
        f"lakehouse run {draft.silver}; lakehouse rejected {draft.silver}",
        f"pytest {' '.join(one for one in draft.files if one.startswith('tests'))} tests/test_layout.py",
    )


def table(messages: Console, draft: of_table.Draft, written: list[Path]) -> None:
    """The way from the draft to a number that is right."""
    _files(messages, written)
    layer, _, name = draft.name.partition(".")
    messages.print(f"  [dim]{escape(draft.note)}[/]")
    _next(
        messages,
        f"say in conf/{layer}/{name}.yml what it answers, and compute that in {layer}/{name}.py",
        f"lakehouse run {draft.name}",
        f"pytest tests/{layer}/test_{name}.py tests/test_layout.py",
    )


def _files(messages: Console, written: list[Path]) -> None:
    for path in written:
        messages.print(f"[green]wrote[/] {path.relative_to(HOME)}")


def _next(messages: Console, *steps: str) -> None:
    for number, step in enumerate(steps, start=1):
        messages.print(f"{number}. {escape(step)}")
