"""How an explanation looks: the row, the tree of what it was made from, and how it changed; or all of it as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text
from rich.tree import Tree

from jobs import printed
from jobs.printed import GRID, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console, RenderableType

    from lakehouse.causes.changes import Brought, Change, Rows, Values
    from lakehouse.causes.explain import Answer, File, Step
    from lakehouse.graph import Table

WIDEST = 36
FILES = 10
NAMED = 3
INDENT = 4
GAP = 2
CHANGED_ROWS = 8
CHANGED_COLUMNS = 10


def as_json(answer: Answer) -> str:
    """Decimals and dates are texts, with all their digits; times are ISO, in UTC."""
    return printed.json_text(json.dumps(asdict(answer), default=_text_in_json, ensure_ascii=False, indent=1))


def _text_in_json(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def explained(console: Console, table: Table, answer: Answer) -> None:
    """For people, from top to bottom as a question would go on; words wrap, numbers never do."""
    console.print(Group(*_parts(console.width, table, answer)), soft_wrap=False)


def _parts(width: int, table: Table, answer: Answer) -> Iterator[RenderableType]:
    step = answer.step
    rest = step.rows.rows - len(step.rows.examples)
    if step.rows.rows:
        yield Text.assemble((_many(step.rows.rows), "bold"), " of ", (table.name, "bold"), _version(step))
        yield _rows_of_the_answer(table, step)
    else:
        yield Text(f"No row of {table.name}, version {step.version}, is where {answer.where}.")
        for one in answer.removed:
            yield Text(f"{_named(one.unit)} was removed: the full dump {visible(one.dump)} does not have it.")
        yield Text(f"`lakehouse rejected {table.name}` shows what was rejected on the way to it.", style="dim")
    if rest:
        yield Text(f"and {rest:,} more", style="dim")
    if answer.behind:
        words = f"Behind: {'; '.join(answer.behind)}. `lakehouse run {table.name}` brings it up to date."
        yield Text(words, style="yellow")
    if step.rows.rows:
        yield Text()
        yield _tree(width, table, step)
    yield from _history(table, answer)


def _many(rows: int) -> str:
    return f"{rows:,} row" if rows == 1 else f"{rows:,} rows"


def _version(step: Step) -> str:
    return f", version {step.version}"


def _rows_of_the_answer(table: Table, step: Step) -> Grid:
    """One line per column; beside a single row stands what its columns mean."""
    rows = step.rows.examples
    grid = Grid(show_header=False, **GRID)  # type: ignore[arg-type]
    grid.add_column()
    for _ in rows:
        grid.add_column(justify="right")
    for name in rows[0]:
        promised = table.contract.columns.get(name)
        meaning = [Text(promised.meaning if promised else "", style="dim")] if len(rows) == 1 else []
        grid.add_row(Text(name), *(Text(_text(row[name]), style="bold") for row in rows), *meaning)
    return grid


def _tree(width: int, table: Table, step: Step) -> Tree:
    promise = table.contract
    is_part = promise.write == "refresh" and not promise.unit_is_one_row
    whole = f", for the whole unit of {', '.join(promise.unit)}" if is_part else ""
    tree = Tree(Text(f"made from{whole}", style="dim"), guide_style="dim")
    _add_inputs(tree, width - INDENT, step)
    if step.note:
        tree.add(Text(step.note, style="yellow"))
    return tree


def _add_inputs(tree: Tree, width: int, step: Step) -> None:
    for one in step.inputs:
        _add_inputs(tree.add(Group(*_about(width - INDENT, one))), width - INDENT, one)
    for kept in step.kept:
        words = f": {_many(kept.rows)}, whose own file has no such column"
        tree.add(Text.assemble(kept.column, " kept from ", (visible(kept.file), "cyan"), words))
    if step.files:
        tree.add(_files(step.files))
    if step.conf:
        tree.add(Text(f"and {', '.join(step.conf)}", style="dim"))


def _about(width: int, step: Step) -> Iterator[RenderableType]:
    """A step's head, its sums and its examples."""
    through = f", through {step.through}" if step.through else ""
    note = f": {step.note}" if step.note else ""
    many = _many(step.rows.rows) if step.rows.rows else "no rows"
    yield Text.assemble((many, "bold"), " of ", (step.table, "bold"), _version(step), through, (note, "dim"))
    if step.rows.same:
        yield Text(f"all with {_named(step.rows.same)}", style="dim")
    if step.rows.sums:
        yield _sums(width, step)
    examples = step.rows.examples
    if len(examples) < step.rows.rows and examples:
        by = f"with the largest {step.rows.largest_by}" if step.rows.largest_by else "first"
        yield Text(f"the {len(examples)} {by}, of {step.rows.rows:,}:", style="dim")
    if examples:
        yield _grid(width, examples)


def _sums(width: int, step: Step) -> Grid:
    """What the table above adds up, by kind where there are a few, and in all."""
    by = next(iter(step.rows.groups[0])) if step.rows.groups else ""
    total = {by: "all", "rows": step.rows.rows} | step.rows.sums
    return _grid(width, [*step.rows.groups, total], total_is_last=True)


def _grid(width: int, rows: Sequence[Values], *, total_is_last: bool = False) -> Grid:
    """As many columns as there is room for: of a number that is cut nobody would notice."""
    grid = Grid(**(GRID | {"header_style": "dim"}))  # type: ignore[arg-type]
    names = _fitting(width, rows)
    for name in names:
        is_number = all(not isinstance(row[name], str) for row in rows)
        grid.add_column(Text(name), justify="right" if is_number else "left", no_wrap=True)
    for place, row in enumerate(rows, start=1):
        style = "bold" if total_is_last and place == len(rows) else ""
        grid.add_row(*(Text(_text(row[name]), style=style) for name in names))
    return grid


def _fitting(width: int, rows: Sequence[Values]) -> list[str]:
    names: list[str] = []
    for name in rows[0]:
        width -= max(len(name), *(len(_text(row[name])) for row in rows)) + GAP
        if width + GAP < 0 and names:
            return names
        names.append(name)
    return names


def _files(files: Sequence[File]) -> Group:
    lines = [Text.assemble((visible(one.path), "cyan"), f": {_places(one)}") for one in files[:FILES]]
    rest = files[FILES:]
    if rest:
        lines.append(Text(f"and {sum(one.rows for one in rest):,} rows in {len(rest):,} more files"))
    return Group(*lines)


def _places(file: File) -> str:
    ranges = [f"{first}" if first == last else f"{first}-{last}" for first, last in file.ranges]
    more = f" and {file.more:,} more" if file.more else ""
    number, of = file.delivery
    version = f"; the file's version {number} of {of}" if of > 1 else ""
    taken_back = f"; retracted: {visible(file.retracted)}" if file.retracted else ""
    pages = f", that is {', '.join(map(str, file.pages[:NAMED]))}" if file.pages else ""
    pages += " and more" if len(file.pages) > NAMED else ""
    rows = f"{'row' if file.rows == 1 else 'rows'} {', '.join(ranges)}{more}"
    return f"{rows} ({_many(file.rows)}{version}){pages}{taken_back}"


def _history(table: Table, answer: Answer) -> Iterator[RenderableType]:
    history = answer.history
    if history.changes or history.note:
        yield Text()
        yield Text("How it changed, newest first", style="bold")
    for change in history.changes:
        who = f"run {change.run}" if change.run else f"somebody else's {change.operation}"
        yield Text(f"version {change.version}, {change.at:%Y-%m-%d %H:%M}, {who}")
        causes = [Text(words, style="dim") for words in _causes(change)]
        yield Padding(Group(*differences(table, change.before, change.after), *causes), (0, 0, 0, 2))
    if history.note:
        yield Text(history.note, style="dim")


def differences(table: Table, before: Rows, after: Rows) -> list[Text]:
    """One line per row that came, went or changed, with its changed columns."""
    grain = table.contract.grain
    old, new = ({tuple(row[name] for name in grain): row for row in rows} for rows in (before, after))
    lines = []
    for key in [*new, *(key for key in old if key not in new)]:
        if old.get(key) != new.get(key):
            name = _named(dict(zip(grain, key, strict=True))) if max(len(old), len(new)) > 1 else ""
            lines.append(_difference(name, grain, old.get(key), new.get(key)))
    more = [Text(f"and {len(lines) - CHANGED_ROWS:,} more rows")] if len(lines) > CHANGED_ROWS else []
    return lines[:CHANGED_ROWS] + more


def _difference(name: str, grain: Sequence[str], old: Values | None, new: Values | None) -> Text:
    head = f"{name} " if name else ""
    if old is None or new is None:
        there = {column: one for column, one in (old or new or {}).items() if column not in grain and one is not None}
        word, style = ("went", "red") if new is None else ("came", "green")
        return Text.assemble(head, (word, style), f": {_first(_named({k: v}) for k, v in there.items())}")
    moved = [column for column in new if old[column] != new[column]]
    return Text.assemble(head, _first(f"{column} {_text(old[column])} -> {_text(new[column])}" for column in moved))


def _first(texts: Iterable[str]) -> str:
    every = list(texts)
    more = f", and {len(every) - CHANGED_COLUMNS} more columns" if len(every) > CHANGED_COLUMNS else ""
    return ", ".join(every[:CHANGED_COLUMNS]) + more


def _causes(change: Change) -> Iterator[str]:
    yield from change.because
    found = [one for one in change.files if one.rows]
    others = [one for one in change.files if not one.rows]
    if found:
        yield f"brought by {_some(found)}"
    elif others:
        yield f"with {len(others):,} new {'file' if len(others) == 1 else 'files'}: {_some(others)}"


def _some(files: Sequence[Brought]) -> str:
    named = [visible(one.file) + (f" ({_many(one.rows)})" if one.rows else "") for one in files[:NAMED]]
    more = f", and {len(files) - NAMED:,} more" if len(files) > NAMED else ""
    return ", ".join(named) + more


def _named(values: Values) -> str:
    return ", ".join(f"{name} {_text(value)}" for name, value in values.items())


def _text(value: Any) -> str:  # noqa: ANN401
    """As SQL would write it, short enough for a line."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = str(value).lower() if isinstance(value, bool) else visible(str(value))
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."
