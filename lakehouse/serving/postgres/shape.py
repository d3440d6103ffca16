"""What a release's gold is in PostgreSQL: columns as stored, words and grains of the contracts, and conf/postgres.

Beside it stands `gold_local`: a view of each table whose rows belong to a market, as that one writes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import yaml
from psycopg.sql import SQL, Identifier, Literal
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from lakehouse import conf, contract
from lakehouse.delta.tables import log, progress, types
from lakehouse.errors import LakehouseError
from lakehouse.serving.questions import local

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from psycopg.sql import Composed

    from lakehouse.contract import Contract
    from lakehouse.graph import Table
    from lakehouse.recovery.releases import Release

    Place = tuple[str, str, str | None]  # schema, table or view, and perhaps a column

LAYER = SCHEMA = "gold"
LOCAL = local.SCHEMA
SCHEMAS = (SCHEMA, LOCAL)
FOLDER = conf.HOME / "conf" / "postgres"
TABLES = "tables.yml"
TYPES = {
    "boolean": "boolean",
    "integer": "integer",
    "long": "bigint",
    "double": "double precision",
    "string": "text",
    "date": "date",
    "timestamp": "timestamptz",
}
BY_TEN, MONTHS = 100, 12


class Promise(BaseModel):
    """What conf/postgres/tables.yml says of one table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    references: dict[str, str] = {}
    by_month: str | None = None
    filtered: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Shape:
    """One `table` of gold at its `version` in a release; in PostgreSQL it has this `name`, and its columns these types.

    A table that is cut `by_month` can keep nothing unique without the day, so that is in its key too.
    """

    table: str
    address: str
    version: int
    name: str
    columns: Mapping[str, str]
    stored: Mapping[str, pa.DataType]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    filtered: tuple[tuple[str, ...], ...]
    references: Mapping[str, str]
    by_month: str | None
    comment: str
    comments: Mapping[str, str]

    def create(self, schema: str) -> Composed:
        """The bare table: what is indexed after it is filled is indexed in a fraction of the time."""
        columns = SQL(", ").join(SQL("{} " + kind).format(Identifier(name)) for name, kind in self.columns.items())
        cut = SQL("partition by range ({})").format(Identifier(self.by_month)) if self.by_month else SQL("")
        return SQL("create table {} ({}) {}").format(Identifier(schema, self.name), columns, cut)

    def of_month(self, month: int) -> str:
        """The name of the part with the rows of one month, yyyymm."""
        return f"{self.name}_{month // BY_TEN}_{month % BY_TEN:02}"

    def months(self, days: Iterable[int]) -> list[int]:
        """Those of the days, yyyymm, and the one that follows: a part is there before its rows."""
        found = sorted({day // BY_TEN for day in days})
        return [*found, _after(found[-1])] if found else []

    def parts(self, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """The rows by the part that holds them: frozen ones can be sent to no table that is cut."""
        if self.by_month is None:
            yield self.name, rows
            return
        months = pc.divide(rows[self.by_month], BY_TEN)
        for month in pc.unique(months).to_pylist():
            yield self.of_month(month), rows.filter(pc.equal(months, month))

    def part(self, schema: str, month: int) -> Composed:
        table, part = Identifier(schema, self.name), Identifier(schema, self.of_month(month))
        return SQL("create table {} partition of {} {}").format(part, table, self.bounds(month))

    def bounds(self, month: int) -> Composed:
        days = (Literal(one * BY_TEN + 1) for one in (month, _after(month)))
        return SQL("for values from ({}) to ({})").format(*days)

    def constraints(self, schema: str) -> Iterator[Composed]:
        table = Identifier(schema, self.name)
        yield SQL("alter table {} add primary key ({})").format(table, names(self.key))
        for columns in self.unique:
            yield SQL("alter table {} add unique ({})").format(table, names(columns))
        for columns in (*self.filtered, *((one,) for one in self.references)):
            yield SQL("create index on {} ({})").format(table, names(columns))

    def links(self, schema: str) -> Iterator[Composed]:
        """Once every table is there and has its keys."""
        text = "alter table {} add foreign key ({}) references {} ({}) deferrable initially deferred"
        for column, other in self.references.items():
            to = Identifier(schema, other)
            yield SQL(text).format(Identifier(schema, self.name), Identifier(column), to, Identifier(column))

    def words(self) -> Iterator[tuple[Place, str]]:
        """What is said of the table and of each column."""
        yield (SCHEMA, self.name, None), self.comment
        yield from (((SCHEMA, self.name, column), said) for column, said in self.comments.items())

    def local(self) -> View | None:
        """The table as its market writes; it has the table's columns, and their words."""
        if local.MARKET not in self.columns:
            return None
        schema = pa.schema([(column, self.stored[column]) for column in self.columns])
        text = local.question(self.name, self.name, schema, local.POSTGRES)
        said = (
            f"-- {self.table} as each market writes: its clock, its days and numbers. To compute by, read {self.table}."
        )
        return View(LOCAL, self.name, f"{said}\n{text}", self.comments)


def _after(month: int) -> int:
    return month + 1 if month % BY_TEN < MONTHS else (month // BY_TEN + 1) * BY_TEN + 1


@dataclass(frozen=True)
class View:
    """A question of conf/postgres/<name>.sql, or a table as its market writes; it begins with its comment."""

    schema: str
    name: str
    text: str
    comments: Mapping[str, str]

    @property
    def reads(self) -> set[str]:
        return set(re.findall(r"\b(?:from|join)\s+(\w+)", self.text))

    @property
    def comment(self) -> str:
        lines = (line.removeprefix("--").strip() for line in self.text.splitlines() if line.startswith("--"))
        return " ".join(lines)

    def create(self, prefix: str) -> Composed:
        return SQL("create view {} as ").format(Identifier(prefix + self.schema, self.name)) + SQL(self.text)

    def words(self) -> Iterator[tuple[Place, str]]:
        yield (self.schema, self.name, None), self.comment
        yield from (((self.schema, self.name, column), said) for column, said in self.comments.items())


@dataclass(frozen=True)
class Star:
    """All that is served."""

    shapes: tuple[Shape, ...]
    views: tuple[View, ...]

    @property
    def relations(self) -> list[tuple[str, str]]:
        """Schema and name of what is served, parts of months apart."""
        return [*((SCHEMA, one.name) for one in self.shapes), *((one.schema, one.name) for one in self.views)]

    @property
    def fingerprint(self) -> str:
        """Another one where a table or view is other than before, words apart."""
        tables = [replace(one, address="", version=0, stored={}, comment="", comments={}) for one in self.shapes]
        views = [replace(one, comments={}) for one in self.views]
        return hashlib.sha256(f"{tables} {views}".encode()).hexdigest()[:16]

    def words(self) -> dict[Place, str]:
        of_views = dict(pair for one in self.views for pair in one.words())
        return of_views | dict(pair for one in self.shapes for pair in one.words())


def names(columns: Iterable[str]) -> Composed:
    return SQL(", ").join(map(Identifier, columns))


def star(root: str, tables: Mapping[str, Table], release: Release, folder: Path) -> Star:
    """The tables of gold that the release has, and the views that stand on these alone."""
    promises = _promises(tables, folder)
    there = [name for name in tables if name.startswith(f"{LAYER}.") and name in release.tables]
    shapes = [_shape(root, name, tables[name].contract, release, promises.get(name, Promise())) for name in there]
    asked = [View(SCHEMA, path.stem, path.read_text(encoding="utf-8"), {}) for path in sorted(folder.glob("*.sql"))]
    without = {_bare(name) for name in tables} - {one.name for one in shapes}
    views = [one for one in asked if without.isdisjoint(one.reads)]
    return Star(tuple(shapes), (*views, *filter(None, (one.local() for one in shapes))))


def _shape(root: str, name: str, promised: Contract, release: Release, promise: Promise) -> Shape:
    address, version = progress.address(root, name), progress.version_at(root, name, release.point)
    found = log.snapshot(address, version)
    stored = {one.name: one.type for one in (log.schema(found) if found else ()) if one.name != contract.DIGEST}
    columns = {column: _type(types.delta_type(kind)) for column, kind in stored.items()}
    by_month = promise.by_month
    return Shape(
        table=name,
        address=address,
        version=release.tables[name],
        name=_bare(name),
        columns=columns,
        stored=stored,
        key=promised.grain if by_month in {None, *promised.grain} else (*promised.grain, str(by_month)),
        unique=() if by_month else tuple(one.unique for one in promised.checks.values() if one.unique),
        filtered=promise.filtered,
        references={column: _bare(to) for column, to in promise.references.items() if to in release.tables},
        by_month=by_month,
        comment=" ".join(promised.description.split()),
        comments={column: _meaning(promised, column) for column in columns if column in promised.columns},
    )


def _bare(name: str) -> str:
    return name.removeprefix(f"{LAYER}.")


def _type(said: str) -> str:
    return TYPES.get(said) or said.replace("decimal", "numeric")


def _meaning(promised: Contract, column: str) -> str:
    unit = promised.columns[column].measured_in
    return promised.comments[column] + (f" [{unit}]" if unit else "")


def _promises(tables: Mapping[str, Table], folder: Path) -> dict[str, Promise]:
    """Raises LakehouseError with all that is wrong in conf/postgres/tables.yml."""
    path = folder / TABLES
    try:
        found = TypeAdapter(dict[str, Promise]).validate_python(conf.read(path) or {})
        wrong = [line for name, promise in found.items() for line in _strange(tables, name, promise)]
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        wrong = [" ".join(str(error).split())]
    if wrong:
        raise LakehouseError(
            "What PostgreSQL is to hold is not right:\n" + "\n".join(f"  {path}: {one}" for one in wrong)
        )
    return found


def _strange(tables: Mapping[str, Table], name: str, promise: Promise) -> Iterator[str]:
    """Names that are no table's or column's, and references to what is not unique."""
    if name not in tables or not name.startswith(f"{LAYER}."):
        yield f"{name} is no table of {LAYER}"
        return
    days = [promise.by_month] if promise.by_month else []
    for column in (*days, *promise.references, *(one for columns in promise.filtered for one in columns)):
        if column not in tables[name].contract.columns:
            yield f"{name}: it has no column {column}"
    for column, other in promise.references.items():
        if other not in tables or (column,) not in _keys(tables[other].contract):
            yield f"{name}: no column {column} of {other} is unique, so it cannot be referenced"


def _keys(promised: Contract) -> Sequence[tuple[str, ...]]:
    return [promised.grain, *(one.unique for one in promised.checks.values())]
