"""Which delivered files moved a number between two releases: from its row down, by the rows that differ in each table.

No engine starts. Where a contract computes what a row belongs to by SQL (`unit:`), rows are told apart by the other
columns of the unit alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.delta.commits.leaving import places_of
from lakehouse.delta.files import feed
from lakehouse.delta.tables import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lakehouse.graph import Table

Files = Counter[tuple[str, str]]  # by bronze table and path, how many rows
FILE, COUNT = "_file", "count_all"


class UnknownFilesError(Exception):
    """The rows that differ do not tell which files they come from."""


@dataclass(frozen=True)
class Rows:
    """The rows of a table that only one of two versions has, in the columns by which others are found.

    `came`: of a table of documents, the files that units were taken from in between, with the versions that did.
    """

    there: pa.Table
    came: pa.Table | None = None


def columns_of(tables: Mapping[str, Table], name: str) -> list[str]:
    """The columns of a table by which its own units are known, and those of tables that are made from it."""
    own = tables[name].contract
    wanted = {*own.unit, *own.grain}
    for child in tables.values():
        if name in child.parents:
            reach = child.contract.inputs.get(name)
            wanted |= {*child.contract.unit, *(reach.unit.values() if reach else ()), *(reach.on if reach else ())}
            through = (one for one in child.contract.inputs.values() if one.through == name)
            wanted |= {column for one in through for column in one.on}
    return [column for column in own.columns if column in wanted]


@dataclass(frozen=True)
class Walk:
    """`versions` are those of the later release; `moved`: the rows of each table that differs, None where not known."""

    root: str
    tables: Mapping[str, Table]
    versions: Mapping[str, int]
    moved: Mapping[str, Rows | None]

    def files(self, name: str, key: Mapping[str, Any]) -> Files:
        """What the rows behind one row of a table were taken from, as far as they differ. Raises UnknownFilesError."""
        found: Files = Counter()
        for source, rows in self.documents(name, self.of_row(name, key)):
            for path, count in zip(rows[FILE].to_pylist(), rows[COUNT].to_pylist(), strict=True):
                found[source, path] += count
        return found

    def rows(self, name: str) -> Rows:
        if (found := self.moved[name]) is None:
            raise UnknownFilesError
        return found

    def of_row(self, name: str, key: Mapping[str, Any]) -> pa.Table:
        """The moved rows of the unit of a row."""
        rows = self.rows(name).there
        unit = [one for one in self.tables[name].contract.unit if one in key]
        keys = pa.table({one: pa.array([key[one]], rows.schema.field(one).type) for one in unit})
        return rows.take(places_of(keys, rows))

    def documents(self, name: str, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """From moved rows of a table to the files of the moved documents that they are made from, by source."""
        table = self.tables[name]
        if table.contract.write == "latest":
            yield table.parents[0], self._files(name, rows)
            return
        keys = None if table.contract.write == "replace" else _different(rows, table.contract.unit)
        for parent in table.parents:
            if parent not in self.moved:
                continue
            moved = self.rows(parent).there
            mine = moved if keys is None else moved.take(places_of(self._keys_in(table, parent, keys, moved), moved))
            if mine.num_rows:
                yield from self.documents(parent, mine)

    def _files(self, name: str, rows: pa.Table) -> pa.Table:
        """Raises UnknownFilesError where a unit is gone: that a dump lacks it, or a rule refuses it, says no row."""
        unit, came = list(self.tables[name].contract.unit), self.rows(name).came
        keys = _different(rows, unit)
        mine = None if came is None else came.take(places_of(keys, came))
        if mine is None or _different(mine, unit).num_rows < keys.num_rows:
            raise UnknownFilesError
        return _last(mine, unit)

    def _keys_in(self, table: Table, name: str, keys: pa.Table, rows: pa.Table) -> pa.Table:
        """The values by which rows of an input belong to units of the table."""
        reach = table.contract.inputs.get(name)
        if reach and reach.through:
            leading = self._leading(table, reach.through, keys, reach.on)
            return _different(leading, reach.on).cast(pa.schema([rows.schema.field(one) for one in reach.on]))
        carried = {one: (reach.unit if reach else {}).get(one, one) for one in keys.column_names}
        carried = {one: column for one, column in carried.items() if column in rows.column_names}
        wanted = pa.schema([rows.schema.field(column) for column in carried.values()])
        keys = _read_by(keys, table.contract.day, reach.days) if reach and reach.days else keys
        renamed = keys.select(list(carried)).rename_columns(list(carried.values()))
        return _different(renamed, wanted.names).cast(wanted)

    def _leading(self, table: Table, name: str, keys: pa.Table, on: tuple[str, ...]) -> pa.Table:
        """The rows of an input, as they are now, by which those of another one belong to the units."""
        address, columns = progress.address(self.root, name), columns_of(self.tables, name)
        rows = feed.read(address, self.versions[name], columns)
        return rows.take(places_of(self._keys_in(table, name, keys, rows), rows)).select(list(on))


def _read_by(keys: pa.Table, day: str, days: tuple[int, int]) -> pa.Table:
    """The units' keys with each of the days that they read in place of their own."""
    place, own = keys.column_names.index(day), keys[day].cast(pa.int32())
    numbers = (pa.scalar(number, pa.int32()) for number in range(days[0], days[1] + 1))
    around = (pc.add(own, number).cast(pa.date32()) for number in numbers)
    return pa.concat_tables([keys.set_column(place, day, one) for one in around])


def _last(came: pa.Table, unit: list[str]) -> pa.Table:
    """By unit the files that it was last taken from."""
    files = came.group_by([*unit, FILE, feed.VERSION]).aggregate([([], "count_all")])
    last = files.group_by(unit).aggregate([(feed.VERSION, "max")])
    files = files.join(last, unit, join_type="inner")
    return files.filter(pc.equal(files[feed.VERSION], files[f"{feed.VERSION}_max"]))


def _different(rows: pa.Table, columns: tuple[str, ...] | list[str]) -> pa.Table:
    chosen = rows.select(list(columns))
    return chosen.group_by(list(columns)).aggregate([]) if columns else chosen
