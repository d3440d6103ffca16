"""A lake of gold tables alone, written without an engine, and its releases: what `lakehouse serve` has to do with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.delta.commits import committer, ops
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.types import arrow_schema
from lakehouse.recovery import releases
from lakehouse.recovery.releases import Release

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lakehouse.graph import Table


@dataclass
class Served:
    """`write` rows of tables, or some of their units anew; `release` them as they stand."""

    root: str
    tables: Mapping[str, Table]
    clock: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    number: int = 0
    names: list[str] = field(default_factory=list)

    def target(self, name: str) -> Target:
        promise = self.tables[name].contract
        schema = arrow_schema({column: one.type for column, one in promise.columns.items()})
        return Target(progress.address(self.root, name), schema, promise.comments, vectors=promise.vectors)

    def write(
        self, name: str, columns: Mapping[str, Any], unit: Sequence[str] = (), gone: Sequence[Mapping[str, Any]] = ()
    ) -> int:
        """Its new version. Columns that are not given are null; `gone` units vanish."""
        target, size = self.target(name), len(next(iter(columns.values()), ()))
        given = {one.name: columns.get(one.name) for one in target.schema}
        arrays = [
            pa.nulls(size, one.type) if given[one.name] is None else pa.array(given[one.name]).cast(one.type)
            for one in target.schema
        ]
        rows, now = pa.table(arrays, schema=target.schema), log.snapshot(target.address)
        self.names += [] if name in self.names else [name]
        if now and unit:
            left = pa.Table.from_pylist(list(gone), pa.schema([target.schema.field(one) for one in unit]))
            return committer.replace_units(target, now.version, unit, rows, left, None)
        return committer.overwrite(target, now.version if now else -1, rows, None)

    def release(self) -> Release:
        """All that was written, under the next number."""
        self.clock, self.number = self.clock + timedelta(hours=1), self.number + 1
        found = {name: log.snapshot(progress.address(self.root, name)) for name in self.names}
        there = {name: one for name, one in found.items() if one}
        versions = {name: one.version for name, one in there.items()}
        ids = {name: one.id for name, one in there.items()}
        made = Release(self.number, self.clock, "run", "native", "code", versions, {}, {}, ids)
        texts = {name: json.dumps(getattr(made, name)) for name in ("tables", "ids", "quality", "despite")}
        ops.append(self.root, releases.RELEASES, releases.TYPES, [asdict(made) | texts])
        return made

    def opened(self, name: str) -> DeltaTable:
        """The table, as somebody else's writer has it."""
        return DeltaTable(progress.address(self.root, name))
