"""What a bronze table appends: the rows of a batch of files, through the table's build, in the contract's shape."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError
from lakehouse.intake import files

if TYPE_CHECKING:
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.files import Delivered
    from lakehouse.intake.ledger import Entry


def rows(engine: Engine, table: Table, landing: str, batch: list[Entry]) -> Delivered:
    """Core columns, the contract's columns (null where no file has them), then the columns no contract knows yet.

    Raises LakehouseError where build() changed a promised type or dropped a core column.
    """
    delivered = files.rows(engine, landing, table.contract, batch)
    built = table.build(delivered.rows)
    if built is delivered.rows:
        return delivered
    returned = {field.name: field.dataType.simpleString() for field in built.schema}
    wrong = {name: kind for name, kind in returned.items() if delivered.types.get(name, kind) != kind}
    wrong |= dict.fromkeys(delivered.types.keys() - returned.keys(), "missing")
    if wrong:
        promise = {name: delivered.types[name] for name in wrong}
        raise LakehouseError(
            f"{table.name} promises {promise}, but its build() returned {wrong}. Change {table.files}."
        )
    types = dict(delivered.types) | returned
    return replace(delivered, rows=built.select(*types), types=types)
