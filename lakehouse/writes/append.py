"""What a bronze table appends: rows of a batch of files, or of a round of a topic, through the table's build."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.intake.rows import files, messages
from lakehouse.intake.rows.files import Delivered
from lakehouse.intake.rows.messages import Sent

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pyspark.sql import DataFrame

    from lakehouse.delta.tables.progress import Offsets
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.writes.lake import Writer


def rows(engine: Engine, table: Table, landing: str, batch: list[Entry]) -> Delivered:
    """Core columns, the contract's columns (null where no file has them), then the columns no contract knows yet.

    Raises LakehouseError where build() changed a promised type or dropped a core column.
    """
    return _built(table, files.rows(engine, landing, table.contract, batch))


def _built(table: Table, delivered: Delivered) -> Delivered:
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


@dataclass(frozen=True)
class Round:
    """Some of a topic: all committed messages in the `offsets` of its partitions, taken `at` that time.

    `topic`: what stands for it in the names of files.
    """

    topic: str
    topic_id: str
    offsets: tuple[Offsets, ...]
    at: datetime


def write_round(writer: Writer, taken: Round, given: Sent | DataFrame) -> int:
    """Messages in one commit, whose note says up to where they go; its version.

    They are here, or read by workers (protocol.Engine.sent).
    The writer's note lacks only the offsets. Raises ConflictError where another run wrote the table meanwhile.
    """
    before, contract, batch = writer.before, writer.table.contract, ledger.last_batch(writer.note.inputs)
    known = before.inputs.get(ledger.TOPIC) if before else None
    had = before.offsets if before and known and known.id == taken.topic_id else ()
    writer.note = replace(writer.note, offsets=_together(had, taken.offsets))
    types = messages.types(contract)
    how = (types, taken.topic, batch, taken.at)
    if isinstance(given, Sent):
        here = messages.rows(*how, given)
        nothing = writer.engine.frame(here.slice(0, 0))
        if writer.table.build(nothing) is nothing:  # then no engine needs to have the rows, which are many
            return writer.append(here, types, contract.comments, batch)
        rows = writer.engine.frame(here)
    else:
        schema = ", ".join(f"`{name}` {kind}" for name, kind in types.items())
        rows = given.mapInArrow(partial(messages.rows_of_source, *how), schema)
    built = _built(writer.table, Delivered(rows, types, contract.comments))
    return writer.append(built.rows, built.types, built.headers, batch)


def _together(had: Iterable[Offsets], new: Iterable[Offsets]) -> tuple[Offsets, ...]:
    """From where a partition was begun to where it is included now."""
    known = {one.partition: one for one in had}
    known |= {one.partition: one._replace(first=min(one.first, known.get(one.partition, one).first)) for one in new}
    return tuple(known[number] for number in sorted(known))
