"""How the lineage of a column looks: the tree of the columns that it is made from, or of those made from it."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from rich.text import Text
from rich.tree import Tree

from jobs import printed
from lakehouse.errors import LakehouseError
from lakehouse.lineage.origins import DIRECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from lakehouse.graph import Table
    from lakehouse.lineage.columns import Lineage
    from lakehouse.lineage.origins import Origins, Place

WORDS = {
    "IDENTITY": "as it is",
    "TRANSFORMATION": "computed",
    "AGGREGATION": "aggregated",
    "CONDITIONAL": "condition",
    "WINDOW": "window",
    "FILTER": "filter",
    "JOIN": "join",
    "GROUP_BY": "group",
    "SORT": "order",
}


@dataclass(frozen=True)
class Trace:
    """A table (then `column` is empty) or a column of it, or of `landing`, which is what is delivered.

    `ways` by which it gives values to the one above it, or, `--readers`, gets them from there. `chosen_by` and `rows`:
    what chooses among values, and what decides which rows of its table there are, each with its ways.
    """

    table: str
    column: str
    meaning: str = ""
    ways: tuple[str, ...] = ()
    chosen_by: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rows: Mapping[str, Sequence[str]] = field(default_factory=dict)
    of: tuple[Trace, ...] = ()
    unknown: str = ""

    @property
    def name(self) -> str:
        return f"{self.table}.{self.column}".rstrip(".")


def place(tables: Mapping[str, Table], of: str) -> Place:
    """Table and column; no column for all. Raises LakehouseError for what there is not."""
    parts = of.split(".")
    name, column = ".".join(parts[:2]), ".".join(parts[2:])
    if name not in tables:
        raise LakehouseError(f"There is no table {name}. There are: {', '.join(tables)}.")
    if column and column not in tables[name].contract.columns:
        there = ", ".join(tables[name].contract.columns)
        raise LakehouseError(f"{name} has no column {column}. It has: {there}.")
    return name, column


def trace(tables: Mapping[str, Table], lineages: Mapping[str, Lineage], of: Place, *, readers: bool = False) -> Trace:
    name, column = of
    way = _Readers(tables, lineages) if readers else _Sources(tables, lineages)
    if column:
        return way.column(of, ())
    columns = tuple(way.column((name, one), (), levels=1) for one in tables[name].contract.columns)
    return Trace(
        name,
        "",
        tables[name].contract.description,
        rows={} if readers else _named(lineages[name].rows),
        of=columns,
        unknown=lineages[name].unknown,
    )


def choosing(origins: Origins) -> Origins:
    """What only chooses among values; what gives some as well is said already."""
    return {one: ways for one, ways in origins.items() if not ways & {*DIRECT}}


def said(lineage: Lineage, column: str) -> str:
    """What a column is made from, in a line."""
    origins = lineage.columns.get(column, {})
    direct = {one: [way for way in DIRECT if way in ways] for one, ways in origins.items() if ways & {*DIRECT}}
    parts = [f"{'.'.join(one)} {WORDS[ways[0]]}" for one, ways in direct.items()]
    parts += [f"chosen by {_listed(_named(choosing(origins)))}"] if choosing(origins) else []
    return "; ".join(parts)


def said_of_rows(lineage: Lineage) -> str:
    """What decides which rows there are, in a line."""
    return _listed(_named(lineage.rows))


class _Sources:
    def __init__(self, tables: Mapping[str, Table], lineages: Mapping[str, Lineage]) -> None:
        self.tables, self.lineages = tables, lineages

    def column(self, of: Place, ways: Iterable[str], levels: int = 99) -> Trace:
        name, column = of
        if name not in self.tables:
            return Trace(name, column, ways=tuple(ways))
        lineage, promised = self.lineages[name], self.tables[name].contract.columns.get(column)
        origins = lineage.columns.get(column, {})
        direct = {one: [way for way in DIRECT if way in some] for one, some in origins.items()}
        made_from = (self.column(one, some, levels - 1) for one, some in direct.items() if some and levels)
        return Trace(
            name,
            column,
            promised.meaning if promised else "",
            tuple(ways),
            _named(choosing(origins)),
            _named(lineage.rows) if levels > 1 else {},
            tuple(made_from),
            lineage.unknown,
        )


class _Readers:
    """The other way round; what a column only chooses is a line of its reader, as its ways say."""

    def __init__(self, tables: Mapping[str, Table], lineages: Mapping[str, Lineage]) -> None:
        self.tables = tables
        self.readers: dict[Place, dict[Place, tuple[str, ...]]] = defaultdict(dict)
        self.rows: dict[Place, dict[str, list[str]]] = defaultdict(dict)
        for name, lineage in lineages.items():
            for column, origins in lineage.columns.items():
                for one, ways in origins.items():
                    self.readers[one][name, column] = tuple(sorted(ways, key=[*WORDS].index))
            for one, ways in lineage.rows.items():
                self.rows[one][name] = sorted(ways)

    def column(self, of: Place, ways: Iterable[str], levels: int = 99) -> Trace:
        name, column = of
        promised = self.tables[name].contract.columns.get(column)
        made = (self.column(one, some, levels - 1) for one, some in self.readers[of].items() if levels)
        return Trace(
            name, column, promised.meaning if promised else "", tuple(ways), {}, self.rows.get(of, {}), tuple(made)
        )


def _named(origins: Origins) -> dict[str, Sequence[str]]:
    return {".".join(one): sorted(ways) for one, ways in origins.items()}


def as_json(found: Trace) -> str:
    return printed.json_text(json.dumps(asdict(found), ensure_ascii=False, indent=1))


def traced(console: Console, found: Trace) -> None:
    """For people. What decides which rows there are is said once, at the top."""
    tree = Tree(Text.assemble((found.name, "bold"), "  ", (found.meaning, "dim")), guide_style="dim")
    if found.unknown:
        tree.add(Text(f"not known column by column: {found.unknown}", style="yellow"))
    for one in found.of:
        _add(tree, one, is_column_of=found.name if not found.column else "")
    if found.chosen_by:
        tree.add(Text(f"chosen by {_listed(found.chosen_by)}", style="dim"))
    if found.rows:
        tree.add(Text(f"which rows there are: {_listed(found.rows)}", style="dim"))
    if not (found.of or found.chosen_by or found.unknown):
        tree.add(Text("no column", style="dim"))
    console.print(tree, soft_wrap=True)


def _add(tree: Tree, one: Trace, is_column_of: str = "") -> None:
    name = one.column if is_column_of else one.name
    made = f"  {' and '.join(WORDS[way] for way in one.ways)}" if one.ways else ""
    branch = tree.add(Text.assemble((name, "bold" if is_column_of else ""), (made, "dim")))
    for other in one.of:
        _add(branch, other)
    if is_column_of and not (one.of or one.chosen_by):
        branch.add(Text("of no column: of which rows there are", style="dim"))
    if one.chosen_by:
        branch.add(Text(f"chosen by {_listed(one.chosen_by)}", style="dim"))


def _listed(places: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{name} ({', '.join(WORDS[way] for way in ways)})" for name, ways in places.items())
