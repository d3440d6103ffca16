"""The lineage as pictures: tables in columns from left to right, lines from what is read to what reads it.

Where everything stands, in pixels; templates/lineage.html draws it.

A line that passes columns goes through a gap in each, one gap for all lines of a table, so that they run as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from lakehouse.contract import LAYERS
from lakehouse.lineage.origins import DIRECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lakehouse.graph import Table
    from lakehouse.lineage.columns import Lineage

LETTER, PADDING = 7.3, 26  # of a monospaced font of 12 px; what a box has beside its letters
HEIGHT, SPACE, GAP = 28, 8, 10  # of a box, between two, and of the way for lines
BETWEEN, HEADING = 72, 34  # two columns; what stands above them
SWEEPS = 12

Edge = tuple[str, str]


@dataclass(frozen=True)
class Column:
    """Tables that stand below each other; `title` is the layer, where a layer begins."""

    names: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True)
class Box:
    """Where a table, or the way of a table's lines, stands: its left upper corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True)
class Line:
    """`path` as SVG writes one."""

    from_: str
    to: str
    path: str


@dataclass(frozen=True)
class Node:
    """A table, or a column, with the word that stands in its box."""

    name: str
    word: str
    box: Box

    @property
    def place(self) -> str:
        """Where the page says more of it: of a file of conf/ all columns are one place."""
        return ".".join(self.name.split(".")[: 2 if self.name.startswith("conf.") else None])


@dataclass(frozen=True)
class Picture:
    """`headings` are the layers' names with where they begin."""

    label: str
    width: float
    height: float
    headings: Sequence[tuple[float, str]]
    lines: Sequence[Line]
    nodes: Sequence[Node]


Spot = tuple[str, int]  # a table in its column, or the way of its lines through another


def whole(tables: Mapping[str, Table]) -> Picture:
    """Every table; within a layer, one that reads another of it stands to its right."""
    level: dict[str, int] = {}
    for name, one in tables.items():
        of_its_layer = [level[parent] for parent in one.parents if parent.split(".")[0] == name.split(".")[0]]
        level[name] = 1 + max(of_its_layer, default=-1)
    columns = []
    for layer in LAYERS:
        mine = [name for name in tables if name.startswith(f"{layer}.")]
        for at in range(1 + max((level[name] for name in mine), default=-1)):
            names = tuple(name for name in mine if level[name] == at)
            columns.append(Column(names, layer if at == 0 else ""))
    edges = [(parent, name) for name, one in tables.items() for parent in one.parents]
    return picture(columns, edges, f"How the {len(tables)} tables are made from each other", short=True)


def neighbours(name: str, inputs: Sequence[str], readers: Sequence[str]) -> Picture:
    """A table between what it reads and what reads it."""
    columns = [Column(tuple(inputs), "reads"), Column((name,)), Column(tuple(readers), "is read by")]
    edges = [*((one, name) for one in inputs), *((name, one) for one in readers)]
    return picture([one for one in columns if one.names], edges, f"What {name} reads, and what reads it", short=False)


def by_column(name: str, lineage: Lineage) -> Picture | None:
    """From columns of the inputs to those of a table that they give values to; None where none does.

    What only chooses, and what decides which rows there are, is no line: it would be one to nearly each column.
    """
    edges = [
        (".".join(place), f"{name}.{column}")
        for column, of in lineage.columns.items()
        for place, ways in of.items()
        if ways & {*DIRECT}
    ]
    sides = [tuple(dict.fromkeys(edge[side] for edge in edges)) for side in (0, 1)]
    label = f"Which columns those of {name} are made from"
    return picture([Column(one) for one in sides], edges, label, short=False) if edges else None


def picture(columns: Sequence[Column], edges: Sequence[Edge], label: str, *, short: bool) -> Picture:
    """`short` names leave out the layer, which then stands above the columns."""
    place = {name: at for at, column in enumerate(columns) for name in column.names}
    ways = {edge: [(edge[0], at) for at in range(place[edge[0]], place[edge[1]])] + [(edge[1], place[edge[1]])]
            for edge in edges}  # fmt: skip
    order = _ordered(columns, ways.values())
    boxes = _boxes(columns, order, short=short)
    return Picture(
        label,
        width=2 + max(box.x + box.width for box in boxes.values()),
        height=2 + max(box.y + box.height for box in boxes.values()),
        headings=[(boxes[one.names[0], at].x, one.title) for at, one in enumerate(columns) if one.title],
        lines=[Line(*edge, _path([boxes[spot] for spot in way])) for edge, way in ways.items()],
        nodes=[Node(name, _word(name, short=short), boxes[name, at]) for name, at in place.items()],
    )


def _ordered(columns: Sequence[Column], ways: Iterable[list[Spot]]) -> list[list[Spot]]:
    """Each column's spots from top to bottom: near to what they are joined with, so that few lines cross."""
    steps = {step for way in ways for step in pairwise(way)}
    order = [[(name, at) for name in column.names] for at, column in enumerate(columns)]
    for spot in sorted({spot for step in steps for spot in step}):
        if spot not in order[spot[1]]:
            order[spot[1]].append(spot)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for at in range(1, len(order)) if forward else range(len(order) - 2, -1, -1):
            beside = order[at - 1 if forward else at + 1]
            height = {spot: (place + 0.5) / len(beside) for place, spot in enumerate(beside)}
            joined = {spot: [a if forward else b for a, b in steps if (b if forward else a) == spot]
                      for spot in order[at]}  # fmt: skip
            here = {spot: (place + 0.5) / len(order[at]) for place, spot in enumerate(order[at])}
            means = {spot: sum(height[one] for one in others) / len(others) if others else here[spot]
                     for spot, others in joined.items()}  # fmt: skip
            order[at].sort(key=lambda spot: (means[spot], spot))
    return order


def _boxes(columns: Sequence[Column], order: list[list[Spot]], *, short: bool) -> dict[Spot, Box]:
    heights = [sum((HEIGHT if spot[0] in columns[at].names else GAP) + SPACE for spot in spots)
               for at, spots in enumerate(order)]  # fmt: skip
    boxes, x = {}, 1.0
    for at, spots in enumerate(order):
        width = PADDING + LETTER * max(len(_word(name, short=short)) for name in columns[at].names)
        y = HEADING + (max(heights) - heights[at]) / 2
        for spot in spots:
            height = HEIGHT if spot[0] in columns[at].names else GAP
            boxes[spot] = Box(x, y, width, height)
            y += height + SPACE
        x += width + BETWEEN
    return boxes


def _word(name: str, *, short: bool) -> str:
    return name.split(".", 1)[-1] if short else name


def _path(way: list[Box]) -> str:
    """From the right side of the first box to the left side of the last, straight through the gaps between."""
    first, last = way[0], way[-1]
    parts = [f"M{first.x + first.width:.1f} {first.middle:.1f}"]
    for one, two in pairwise(way):
        start, half = one.x + one.width, (two.x - one.x - one.width) / 2
        curve = f"C{start + half:.1f} {one.middle:.1f} {two.x - half:.1f} {two.middle:.1f} {two.x:.1f} {two.middle:.1f}"
        parts += [curve, "" if two is last else f"H{two.x + two.width:.1f}"]
    return "".join(parts)
