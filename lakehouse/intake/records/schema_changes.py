"""`ops.schema_changes`: what changed in the columns of a source's deliveries, and in which file it was seen first.

It follows from the ledger alone, which keeps every delivery's columns, so it is never lost and can be computed again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.readers.columns import OF_CORRECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from lakehouse.intake.records.ledger import Entry

CHANGES = "ops.schema_changes"
NUMBERS = {"integer", "decimal"}
TYPES: Mapping[str, ops.Kind] = {
    "table_name": "text",
    "partition": "text",
    "column_name": "text",
    "change": "text",
    "before": "text",
    "after": "text",
    "file": "text",
    "delivered_at": "moment",
    "batch": "whole",
}


@dataclass(frozen=True)
class SchemaChange:
    """`change`: new, vanished, came_back, filled, or type (`before` and `after` are then number, time or text).

    `filled`: a column that no delivery had a value in now has one, of the kind `after`.
    """

    table_name: str
    partition: str
    column_name: str
    change: str
    before: str
    after: str
    file: str
    delivered_at: datetime
    batch: int


def changes(taken: Iterable[Entry]) -> list[SchemaChange]:
    """Each delivery's columns against those of the deliveries before it, of the same source and market."""
    sources = defaultdict(list)
    for one in taken:
        is_whole = one.delivery.header and not set(OF_CORRECTIONS) & set(one.delivery.columns.values())
        if is_whole:
            partition = ", ".join(f"{name} {value}" for name, value in sorted(one.delivery.parts.items()))
            sources[one.delivery.table, partition].append(one)
    return [
        change
        for (_, partition), entries in sorted(sources.items())
        for change in _of_source(partition, sorted(entries, key=lambda one: (one.batch, one.delivery.sequence)))
    ]


def _of_source(partition: str, entries: list[Entry]) -> Iterator[SchemaChange]:
    present: set[str] = set()
    seen: set[str] = set()
    meanings: dict[str, str] = {}
    blank: set[str] = set()
    for entry in entries:
        one = entry.delivery
        names = set(one.columns.values())
        found = [(name, "came_back" if name in seen else "new", "", "") for name in sorted(names - present)]
        found += [(name, "vanished", "", "") for name in sorted(present - names)]
        now = {name: meaning for name, kind in one.kinds.items() if (meaning := _meaning(kind))}
        # Texts may look like numbers for a while; what is read as a number or a time must stay one.
        found += [
            (name, "type", before, now[name])
            for name, before in sorted(meanings.items())
            if before != "text" and now.get(name, before) != before
        ]
        found += [(name, "filled", "", kind) for name, kind in sorted(now.items()) if name in blank - meanings.keys()]
        blank |= {name for name, kind in one.kinds.items() if not _meaning(kind)}
        if seen:
            for name, change, before, after in found:
                yield SchemaChange(
                    one.table, partition, name, change, before, after, one.path, one.delivered_at, entry.batch
                )
        present, seen, meanings = names, seen | names, meanings | now


def _meaning(kind: str) -> str:
    """Empty where a delivery has no value that tells."""
    return "number" if kind in NUMBERS else kind if kind in {"time", "text"} else ""


def note(root: str, taken: Iterable[Entry]) -> list[SchemaChange]:
    """Append the changes that the table does not have yet, and return them.

    A file that comes again after a rewind has another batch, and brings what it brought.
    """
    said = Counter(_without_batch(one) for one in read(root))
    new = []
    for one in changes(taken):
        said[_without_batch(one)] -= 1
        new += [one] if said[_without_batch(one)] < 0 else []
    ops.append(root, CHANGES, TYPES, [asdict(one) for one in new])
    return new


def _without_batch(one: SchemaChange) -> SchemaChange:
    return replace(one, batch=-1)


def read(root: str) -> list[SchemaChange]:
    """All changes noted so far, in no order."""
    return [SchemaChange(**row) for row in ops.query(progress.address(root, CHANGES), "select * from t")]
