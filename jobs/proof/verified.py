"""How `lakehouse verify` looks: one line per table, and under it the first rows that differ, with both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from jobs.printed import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.console import Console

    from lakehouse.graph import Table
    from lakehouse.proof.compare import Comparison, Difference
    from lakehouse.proof.verify import Verdict

PARTS = {"whole": "", "sample": " of a sample", "since": " of what the last runs touched"}
NAMED = 5


def sayer(console: Console, wanted: Iterable[Table]) -> Callable[[Verdict], None]:
    """What prints a table's verdict when it is there."""
    width = max(len(table.name) for table in wanted) + 2

    def say(one: Verdict) -> None:
        console.print(f"{one.table:<{width}}version {one.version:<5}{_found(one)}  [dim]{one.seconds:.1f} s[/]")
        if one.note:
            console.print(f"  [yellow]note[/] {escape(visible(one.note))}")
        for name, comparison in one.comparisons.items():
            _differences(console, name, comparison)

    return say


def _found(one: Verdict) -> str:
    if one.reason:
        return f"[red]not compared:[/] {escape(visible(one.reason))}"
    if not one.comparisons:
        return "[yellow]nothing to compare[/]"
    table, *others = one.comparisons.values()
    rows = max(table.rows, table.stored)
    counted = f"{_rows(rows)}{PARTS[one.how]}"
    if others and (rejected := max(others[0].rows, others[0].stored)):
        counted += f", {rejected:,} rejected"
    return f"[red]differs[/], {one.differing:,} of {counted}" if one.differing else f"[green]equal[/], {counted}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _differences(console: Console, name: str, comparison: Comparison) -> None:
    if comparison.is_equal:
        return
    console.print(
        f"  {name}: {comparison.rows:,} rebuilt, {comparison.stored:,} stored, {comparison.differing:,} differ"
    )
    if not comparison.first:
        console.print("    rebuilt a second time they are equal: what the table's build() returns is left to chance")
    for one in comparison.first:
        console.print(f"    {escape(_texts(one.key))}: {_sides(one)}")
    if comparison.differing > len(comparison.first) > 0:
        console.print(f"    [dim]and {comparison.differing - len(comparison.first):,} more[/]")


def _sides(one: Difference) -> str:
    """What differs, as it was rebuilt and as it is stored; of a row without a partner what tells it."""
    if one.only_in:
        place = {"rebuilt": 0, "stored": 1}[one.only_in]
        told = {name: both[place] for name, both in one.values.items() if name not in one.key}
        others = f", and {len(told) - NAMED} more columns" if len(told) > NAMED else ""
        missing = {"rebuilt": "is not stored", "stored": "is stored, but not rebuilt"}[one.only_in]
        some = dict(list(told.items())[:NAMED])
        return f"[red]{missing}[/]{': ' if some else ''}{escape(_texts(some))}{others}"
    return "; ".join(
        f"{escape(name)} [green]{escape(_text(rebuilt))}[/] rebuilt, [red]{escape(_text(stored))}[/] stored"
        for name, (rebuilt, stored) in one.values.items()
    )


def _texts(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {_text(value)}" for name, value in values.items())


def _text(value: str | None) -> str:
    return "nothing" if value is None else visible(value) or "''"


def summary(console: Console, verdicts: Sequence[Verdict]) -> bool:
    """Whether all that was compared is equal, said in one line."""
    wrong = [one.table for one in verdicts if not one.is_right]
    equal = [one for one in verdicts if one.is_right and one.comparisons]
    rows = sum(comparison.rows for one in equal for comparison in one.comparisons.values())
    console.print(f"[bold]{len(equal)} of {len(verdicts)} tables are equal[/], {_rows(rows)} compared by value.")
    if wrong:
        console.print(f"[bold red]Not proven:[/] {', '.join(wrong)}")
    return not wrong
