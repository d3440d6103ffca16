"""The only writer of tables: every commit carries the progress of its table."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lakehouse import graph, markets
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import VECTORS, Input
from lakehouse.delta.tables.types import arrow_schema
from lakehouse.engines.protocol import Change
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa
    from pyspark.sql import DataFrame

    from lakehouse.delta.tables.log import Snapshot
    from lakehouse.delta.tables.progress import Progress, State
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table


class Lake:
    """The tables below one root, a local folder or an S3 prefix; all as they were at one `point`, such as a release."""

    def __init__(self, root: str, point: Mapping[str, Input] | None = None) -> None:
        self.root = storage.normalise(root)
        self.point = point

    def address(self, name: str) -> str:
        return progress.address(self.root, name)

    def state(self, name: str) -> State | None:
        if self.point is None:
            return progress.state(self.address(name))
        at = progress.version_at(self.root, name, self.point)
        return None if at is None else progress.state(self.address(name), at)

    def read(self, engine: Engine, name: str, version: int) -> DataFrame:
        return engine.read(self.address(name), version)


@dataclass
class Writer:
    """One table's turn to be written, upon the version `note.base`.

    `note` is the progress that its commit carries, `before` what the table had, `size` the bytes that the turn may have
    to read, `seconds` what its commits took.
    """

    lake: Lake
    engine: Engine
    table: Table
    note: Progress
    before: Progress | None
    size: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def target(self) -> Target:
        """The table as its contract promises it."""
        promise = self.table.contract
        types = {name: column.type for name, column in promise.columns.items()} | promise.types_of_the_core
        schema = {name: types[name] for name in promise.stored_columns}
        return self._target(self.table.name, schema, promise.comments, vectors=promise.vectors)

    def _target(
        self, name: str, schema: Mapping[str, str], comments: Mapping[str, str] | None = None, *, vectors: bool = False
    ) -> Target:
        partition_by = self.table.contract.partition_by if name == self.table.name else ()
        address = self.lake.address(name)
        return Target(address, arrow_schema(dict(schema)), dict(comments or {}), partition_by, vectors)

    def stored(self) -> DataFrame | None:
        """What the table held when the turn began; None for no table, one of another shape, or one that lost files."""
        target, base = self.target, self.note.base
        if base < 0:
            return None
        found = log.snapshot(target.address, base)
        is_there = found and _is_shape_of(target, found) and not progress.lost_files(found)
        return self.engine.read(target.address, base) if is_there else None

    def append(
        self, rows: DataFrame | pa.Table, schema: Mapping[str, str], comments: Mapping[str, str], batch: int
    ) -> int:
        """One batch of deliveries, with the columns that they have; the commit is refused beside another run's."""
        target = self._target(self.table.name, schema, comments)
        return self._write(target, self.note.base, Change("append", rows, txn=(self.table.name, self._number(batch))))

    def _number(self, batch: int) -> int:
        """Of the append's transaction. A batch that RESTORE took back comes again as a new one: it stays seen."""
        stored = log.snapshot(self.lake.address(self.table.name), self.note.base) if self.note.base >= 0 else None
        is_included = self.before is not None and batch <= ledger.last_batch(self.before.inputs)
        if stored is None or is_included:
            return batch + 1
        return max(batch, stored.txn.get(self.table.name, -1)) + 1

    def add(self, rows: DataFrame) -> None:
        """Rows beside those that are there; refused beside another run's, like every commit."""
        self._write(self.target, self.note.base, Change("append", rows))

    def overwrite(self, rows: DataFrame) -> None:
        """The whole table, in one commit, in place: a table is never dropped."""
        self._write(self.target, self.note.base, Change("overwrite", rows))

    def replace_units(self, rows: DataFrame, differing: DataFrame | None = None) -> None:
        """Write units whole, in one commit: those of the rows, or the `differing` ones; of these `_gone` ones go.

        Where they are told apart by more than the unit, such as by the grain, only that much of a unit is written.
        """
        promise = self.table.contract
        unit = promise.unit if differing is None else [name for name in differing.columns if name != "_gone"]
        self._write(self.target, self.note.base, Change("units", rows, differing, tuple(unit), promise.grain))

    def note_progress(self) -> None:
        """Progress without data, which no reader takes for a change."""
        self._write(self.target, self.note.base, Change("note"))

    def rejected(self) -> DataFrame | None:
        """The table's quarantine as its last commit left it; None where there is none.

        Where it is another one all is judged anew, and what somebody else made of it is what has to be mended. The
        version that the note names may be vacuumed.
        """
        name = progress.rejected(self.table.name)
        state = self.lake.state(name)
        if state is None or progress.lost_files(state.snapshot):
            return None
        if not self._is_ahead(state):
            return self.lake.read(self.engine, name, state.version)
        return self.lake.read(self.engine, name, int(self._had.version)) if self._had else None

    @property
    def _had(self) -> Input | None:
        """The quarantine that the table's last commit named."""
        return self.before.rejected if self.before else None

    def _is_ahead(self, state: State) -> bool:
        """Whether the quarantine holds what a turn wrote that ended before the table's own commit."""
        address = self.lake.address(progress.rejected(self.table.name))
        return self.before is not None and progress.never_landed(address, self.table.name, self._had, state)

    def keep_rejected(self) -> None:
        """The quarantine stays what it was with the table's last commit."""
        name = progress.rejected(self.table.name)
        state = self.lake.state(name)
        if state and self._is_ahead(state):
            then = int(self._had.version) if self._had else -1
            version = committer.restore(self.lake.address(name), state.version, then, self.note.to_json())
            state = replace(state, version=version)
        self._belongs(state)

    def overwrite_rejected(self, rows: DataFrame) -> None:
        """The table's quarantine, a part of its state: the note says which version of it belongs to the table."""
        self._write_rejected(Change("overwrite", rows))

    def add_rejected(self, rows: DataFrame) -> None:
        """Rows beside those that its quarantine had with the table's last commit."""
        self.keep_rejected()
        self._write_rejected(Change("append", rows))

    def _write_rejected(self, change: Change) -> None:
        name = progress.rejected(self.table.name)
        state = self.lake.state(name)
        target = self._target(name, self.table.contract.types_of_rejected)
        self._write(target, state.version if state else -1, change)
        self._belongs(self.lake.state(name))

    def _belongs(self, state: State | None) -> None:
        self.note = replace(self.note, rejected=Input(state.version, state.id) if state else None)

    def _write(self, target: Target, base: int, change: Change) -> int:
        begin = time.monotonic()
        try:
            return self.engine.write(target, base, change, self.note.to_json())
        finally:
            self.seconds.append(time.monotonic() - begin)


def _is_shape_of(target: Target, found: Snapshot) -> bool:
    """Whether the table is stored as its contract promises: columns in any order, partitions, vectors or none."""
    columns, promised = ({one.name: one.type for one in schema} for schema in (log.schema(found), target.schema))
    has_vectors = found.metadata["configuration"].get(VECTORS) == "true"
    partition_by = tuple(found.metadata["partitionColumns"])
    return (columns, partition_by, has_vectors) == (promised, target.partition_by, target.vectors)


def conf_rows(engine: Engine, inputs: Iterable[str]) -> dict[str, DataFrame]:
    """The rows of those of the inputs that are conf files."""
    return {name: engine.frame(conf_table(name)) for name in inputs if name.startswith("conf.")}


def conf_table(name: str) -> pa.Table:
    """The rows of a conf file; only conf.accepted may have none, and has columns all the same."""
    import pyarrow as pa  # noqa: PLC0415  as in `records`: a question to a table does not pay for it

    texts = pa.schema([(key, pa.string()) for key in graph.ACCEPTED_KEYS])
    rows = graph.conf_file(name)[1]
    if name == markets.NAME:
        rows = markets.marked(rows)
    return pa.Table.from_pylist(rows, schema=texts if name == graph.ACCEPTED else None)


def conform(table: Table, built: DataFrame, *, without: str | None = None) -> DataFrame:
    """What build() returned, checked against the contract; columns that begin with _ are for rules and pass through.

    Raises LakehouseError with every discrepancy. `without` is a column that the core adds later.
    """
    promised = {name: column.type for name, column in table.contract.columns.items() if name != without}
    found = {one.name: one.dataType.simpleString() for one in built.schema}
    returned = {name: kind for name, kind in found.items() if not name.startswith("_")}
    if promised.items() != returned.items():
        wrong = {name: kind for name, kind in promised.items() if returned.get(name) != kind}
        answer = {name: kind for name, kind in returned.items() if promised.get(name) != kind}
        raise LakehouseError(
            f"{table.name} promises {wrong or 'nothing else'}, but its build() returned {answer or 'no such column'}. "
            f"Change {table.files}."
        )
    return built.select(*promised, *(name for name in found if name.startswith("_")))
