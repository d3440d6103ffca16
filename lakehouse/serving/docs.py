"""What there is to say of each table: its promise, its neighbours, and how it stands in the lake; without a JVM."""

from __future__ import annotations

import ast
import inspect
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

from lakehouse import graph
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.lineage.columns import Lineage
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lakehouse.delta.tables.progress import Input
    from lakehouse.graph import Table

EXAMPLES = 5


@dataclass(frozen=True)
class Stored:
    """A table as it stands in the lake; `examples` are rows of the columns `shown`, the first by its grain.

    A page is passed on more freely than a lake is opened, so examples show neither bronze, whose text may hold
    anything, nor the `withheld` columns, which are personal. `beside` are those that the lake has and the contract
    does not name.
    """

    version: int
    committed_at: datetime
    rows: int
    shown: tuple[str, ...] = ()
    examples: tuple[tuple[object, ...], ...] = ()
    withheld: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One table. `remarks` are what its module says beside what one row is; `stored` is None where it is not there.

    `delivered_at`: of the newest file that it or what it is made from was loaded from. `lineage`: of its columns.
    """

    table: Table
    remarks: str
    readers: tuple[str, ...]
    stored: Stored | None
    delivered_at: datetime | None = None
    lineage: Lineage = field(default_factory=Lineage)


@dataclass(frozen=True)
class Reference:
    """A file of conf/ that tables read, e.g. `conf.markets`; `remarks` are the comment at its top."""

    name: str
    remarks: str
    rows: tuple[Mapping[str, object], ...]
    readers: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """A view of conf/ops, e.g. `ops.freshness`: the meaning of each column, and the tables of `ops` that it reads."""

    name: str
    description: str
    remarks: str
    columns: Mapping[str, str]
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Docs:
    """Every table, parents before children, the reference data, and the views of what runs recorded."""

    root: str
    entries: tuple[Entry, ...]
    references: tuple[Reference, ...]
    views: tuple[View, ...]

    @property
    def newest_commit(self) -> datetime | None:
        return max((one.stored.committed_at for one in self.entries if one.stored), default=None)


def gather(
    root: str,
    tables: Mapping[str, Table],
    home: Path = graph.HOME,
    point: Mapping[str, Input] | None = None,
    lineages: Mapping[str, Lineage] | None = None,
) -> Docs:
    """All of it, from the contracts and the Delta logs; a lake that is not there yet has no tables.

    At a `point`, such as that of a release, every table is as it was there, but for what contracts say today.
    `lineages`: of the columns, where they are to be shown.
    """
    root = storage.normalise(root)
    storage.check(root, role="lake", must_exist=False)
    with ThreadPoolExecutor(log.AT_ONCE) as pool:
        found = pool.map(lambda one: _stored(root, one, point), tables.values())
        stored = dict(zip(tables, found, strict=True))
    newest = _newest_deliveries(root, point)
    known = lineages or {}
    entries = [
        Entry(
            one,
            _remarks(one),
            _readers(name, tables),
            stored[name],
            _newest(newest, tables, name),
            known.get(name, Lineage()),
        )
        for name, one in tables.items()
    ]
    files = sorted({name for one in tables.values() for name in one.inputs if name.startswith("conf.")})
    views = sorted((home / "conf" / "ops").glob("*.sql"))
    return Docs(root, tuple(entries), tuple(_reference(name, tables, home) for name in files), tuple(map(view, views)))


def _newest_deliveries(root: str, point: Mapping[str, Input] | None) -> dict[str, datetime]:
    """By source."""
    newest: dict[str, datetime] = {}
    version = progress.version_at(root, ledger.FILES, point) if point is not None else None
    for one in (entry.delivery for entry in ledger.read(root, version=version).taken()):
        newest[one.table] = max(newest.get(one.table, one.as_of), one.as_of)
    return newest


def _newest(deliveries: Mapping[str, datetime], tables: Mapping[str, Table], name: str) -> datetime | None:
    sources = graph.selected(dict(tables), [name])
    return max((deliveries[source] for source in sources if source in deliveries), default=None)


def _readers(name: str, tables: Mapping[str, Table]) -> tuple[str, ...]:
    return tuple(one.name for one in tables.values() if name in one.inputs)


def _remarks(table: Table) -> str:
    """The docstring's first line says what one row is, as the contract does."""
    docstring = ast.get_docstring(ast.parse(inspect.getsource(table.module))) or ""
    return docstring.partition("\n")[2].strip()


def _reference(name: str, tables: Mapping[str, Table], home: Path) -> Reference:
    _, rows = graph.conf_file(name, home)
    lines = (home / "conf" / f"{name.removeprefix('conf.')}.yml").read_text(encoding="utf-8").splitlines()
    comment = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    return Reference(name, " ".join(comment), tuple(rows), _readers(name, tables))


def view(file: Path) -> View:
    """Its words stand in its comments: above it what a row is, and at the end of each column's line what that means.

    Raises LakehouseError where one of them is not there.
    """
    text, name = file.read_text(encoding="utf-8"), f"conf/ops/{file.name}"
    query = _select(text, name)
    lines = [
        (code.strip(" ,"), words.strip()) for code, _, words in (line.partition("--") for line in text.splitlines())
    ]
    above = [words for _, words in takewhile(lambda line: not line[0], lines)]
    meanings = {code.split()[-1]: words for code, words in lines if code and words}
    columns = [one.output_name or one.sql(comments=False) for one in query.selects]
    unsaid = [*([] if any(above) else ["a row"]), *(column for column in columns if column not in meanings)]
    if unsaid:
        raise LakehouseError(
            f"{name} does not say what {', '.join(unsaid)} is. It begins with a comment, `-- One row per ...`, and the "
            "line of each column that it selects ends with one, `... as hours_old, -- hours since then`."
        )
    description, _, remarks = "\n".join(above).partition("\n\n")
    inputs = sorted({f"{one.db}.{one.name}" for one in query.find_all(exp.Table) if one.db})
    return View(
        f"ops.{file.stem}",
        " ".join(description.split()),
        remarks,
        {column: meanings[column] for column in columns},
        tuple(inputs),
    )


def _select(text: str, name: str) -> exp.Select:
    try:
        statements = sqlglot.parse(text, read="databricks")
    except ParseError as error:
        raise LakehouseError(f"{name} is no SQL: {str(error).splitlines()[0]} Correct it there.") from error
    if len(statements) == 1 and isinstance(statements[0], exp.Select):
        return statements[0]
    raise LakehouseError(f"{name} is not one `select`, which a view of `ops` must be. Correct it there.")


def _stored(root: str, table: Table, point: Mapping[str, Input] | None) -> Stored | None:
    address, promise = progress.address(root, table.name), table.contract
    at = progress.version_at(root, table.name, point) if point is not None else None
    now = None if point is not None and at is None else log.snapshot(address, at)
    if now is None:
        return None
    known = log.schema(now).names
    there = [name for name in promise.columns if name in known]
    withheld = [] if promise.write == "append" else [name for name in there if name in promise.personal]
    shown = [] if promise.write == "append" else [name for name in there if name not in withheld]
    return Stored(
        version=now.version,
        committed_at=datetime.fromtimestamp(log.history(address, 1, now.version)[0].timestamp / 1000, UTC),
        rows=progress.rows(address, now.version) or 0,
        shown=tuple(shown),
        examples=_examples(address, now.version, shown, [name for name in promise.grain if name in known]),
        withheld=tuple(withheld),
        beside=tuple(name for name in known if name not in promise.columns and not name.startswith("_")),
    )


def _examples(address: str, version: int, columns: list[str], order: list[str]) -> tuple[tuple[object, ...], ...]:
    """The first rows by the grain: the same lake gives the same page."""
    if not columns:
        return ()
    names, by = (", ".join(f'"{name}"' for name in some) for some in (columns, order or columns))
    rows = ops.query(address, f"select {names} from t order by {by} limit {EXAMPLES}", version)  # noqa: S608
    return tuple(tuple(row.values()) for row in rows)


def write(page: str, to: Path) -> None:
    """Raises LakehouseError where the file cannot be written."""
    try:
        to.write_text(page, encoding="utf-8")
    except OSError as error:
        raise LakehouseError(
            f"{to} cannot be written: {error.strerror}. Name a file in a folder that is there."
        ) from error
