"""SQL over the lake by the tables' names, reading only, in Spark's dialect."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from lakehouse import conf
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log, progress, types
from lakehouse.errors import LakehouseError
from lakehouse.readers.columns import defused
from lakehouse.serving.questions import local, plain
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from sqlglot import exp

    from lakehouse.delta.tables.progress import Input
    from lakehouse.engines.protocol import Reader

Point: TypeAlias = "Mapping[str, Input] | None"  # what each table is to be read at; None for the newest
DIGEST = "_digest"
OTHERWISE_IN_SQL = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint"}
DESCRIBE = re.compile(r"\s*desc(?:ribe)?\s+(?:table\s+)?(?:extended\s+)?`?(\w+)`?\.`?(\w+)`?\s*;?\s*", re.IGNORECASE)
HISTORY = re.compile(r"\s*desc(?:ribe)?\s+history\s+`?(\w+)`?\.`?(\w+)`?\s*;?\s*", re.IGNORECASE)
EXPLAIN = re.compile(r"\s*explain\s+(.*)", re.IGNORECASE | re.DOTALL)
SHOW = re.compile(r"\s*show\s+(tables|views)(?:\s+(?:in|from)\s+`?(\w+)`?)?\s*;?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What a statement says; it is computed when its rows are asked for.

    `is_query`: whether it may stand in another one; others, such as `explain`, answer in texts.
    """

    reader: Reader
    statement: str
    schema: pa.Schema
    is_query: bool = True

    @property
    def columns(self) -> list[str]:
        return _distinct(self.schema.names)

    def arrow(self) -> pa.Table:
        """The whole answer, which is small."""
        return self.reader.arrow(self.statement).rename_columns(self.columns)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The answer in its types, part by part."""
        for batch in self.reader.batches(self.statement):
            yield batch.rename_columns(self.columns)

    def texts(self) -> Iterator[tuple[str | None, ...]]:
        """Row by row, each value as Spark writes it: times in UTC, decimals with all their digits."""
        return self._rows("cast({} as string)" for _ in self.schema)

    def cells(self) -> Iterator[tuple[str | None, ...]]:
        """Row by row as `texts`; no text is a formula to a spreadsheet."""
        are_texts = [_kind(one.type) == "text" for one in self.schema]
        for row in self.texts():
            pairs = zip(row, are_texts, strict=True)
            yield tuple(defused(value) if value and is_text else value for value, is_text in pairs)

    def objects(self) -> Iterator[str]:
        """Row by row as JSON; decimals are numbers with all their digits, times are texts in UTC."""
        kinds = [_kind(one.type) for one in self.schema]
        for row in self._rows("to_json({})" if kind == "nested" else "cast({} as string)" for kind in kinds):
            pairs = zip(self.columns, row, kinds, strict=True)
            yield "{" + ", ".join(f"{_quoted(name)}: {_in_json(value, kind)}" for name, value, kind in pairs) + "}"

    def _rows(self, spelled: Iterable[str]) -> Iterator[tuple[str | None, ...]]:
        """Its columns by places, since two may have one name."""
        if not self.is_query:
            return self.reader.rows(self.statement)
        names = [f"c{place}" for place, _ in enumerate(self.schema)]
        columns = ", ".join(f"{one.format(name)} as {name}" for one, name in zip(spelled, names, strict=True))
        return self.reader.rows(f"select {columns} from ({self.statement}) as answer({', '.join(names)})")  # noqa: S608


def query(reader: Reader, root: str, statement: str, point: Point = None) -> Answer:
    """The answer to one reading statement; `gold.daily_sales` is the table of that name.

    At a `point`, such as that of a release, every table is the version that it had there, unless the statement says
    another; what runs recorded (`ops`, but for the ledger) is as it is now.
    Raises LakehouseError for anything that writes, and with the engine's own words for what it cannot understand.
    """
    check_reading(statement)
    root = storage.normalise(root)
    if found := DESCRIBE.fullmatch(statement):
        return _told(reader, _described(reader, root, f"{found[1]}.{found[2]}".lower(), point))
    if found := HISTORY.fullmatch(statement):
        return _told(reader, history(root, f"{found[1]}.{found[2]}".lower()))
    if found := SHOW.fullmatch(statement):
        return _told(reader, _shown(root, found[2]))
    if found := EXPLAIN.fullmatch(statement):
        explained = f"explain {_over_views(reader, root, found[1], point)[0]}"
        return Answer(reader, explained, reader.schema(explained), is_query=False)
    text, is_query = _over_views(reader, root, statement, point)
    return Answer(reader, text, reader.schema(text), is_query)


def _told(reader: Reader, rows: pa.Table) -> Answer:
    """What needs no engine, but for the spelling of its values."""
    reader.frame("told", rows)
    return Answer(reader, "select * from told", rows.schema)


def _over_views(
    reader: Reader, root: str, statement: str, point: Point, views: set[str] | None = None
) -> tuple[str, bool]:
    """The statement over views instead of tables, each of a table at a version; and whether it is a query.

    `views` are those that the reader has of this question already.
    """
    views = set() if views is None else views
    named = plain.tables(statement)
    if named is None:
        return _parsed_over_views(reader, root, statement, point, views)
    statement, text, at = plain.spelled(statement), "", 0
    for one in named:
        view = _view(reader, root, one.table, None, point, views)
        alias = "" if one.has_alias else f" as {one.table.partition('.')[2]}"
        text, at = f"{text}{statement[at : one.start]}{view}{alias}", one.end
    return text + statement[at:], True


def _parsed_over_views(reader: Reader, root: str, statement: str, point: Point, views: set[str]) -> tuple[str, bool]:
    from sqlglot import exp  # noqa: PLC0415

    from lakehouse.serving.questions import allowed  # noqa: PLC0415  with sqlglot: a third of a second

    parsed = allowed.query(statement)
    for select in parsed.find_all(exp.Select):
        _spell_out(select)
    for table in list(parsed.find_all(exp.Table)):
        if not table.db:  # a name that the statement gives, or a function
            continue
        view = _view(reader, root, f"{table.db}.{table.name}".lower(), table.args.get("version"), point, views)
        alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name))
        keep = {key: table.args[key] for key in ("joins", "laterals", "sample", "pivots") if table.args.get(key)}
        table.replace(exp.Table(this=exp.to_identifier(view), alias=alias, **keep))
    return allowed.written(parsed), isinstance(parsed, exp.Query)


def _spell_out(select: exp.Select) -> None:
    """`group by all` and `order by all` by the places that they mean: words that only Spark knows."""
    from sqlglot import exp  # noqa: PLC0415

    if select.is_star:
        return
    group, order = select.args.get("group"), select.args.get("order")
    if group and group.args.get("all"):
        keys = [place for place, one in enumerate(select.expressions, 1) if not one.find(exp.AggFunc)]
        select.set("group", exp.Group(expressions=[exp.Literal.number(place) for place in keys]) if keys else None)
    first = order.expressions[0] if order else None
    if order and first and isinstance(first.this, exp.Var) and first.this.name.upper() == "ALL":
        places = [exp.Literal.number(place) for place, _ in enumerate(select.expressions, 1)]
        order.set("expressions", [exp.Ordered(**(first.args | {"this": place})) for place in places])


def _view(reader: Reader, root: str, name: str, version: exp.Version | None, point: Point, views: set[str]) -> str:
    """The view's name: of a table at a version, as it is or as its market writes, or of a question from conf/ops."""
    schema, _, table = name.partition(".")
    if schema not in plain.SCHEMAS:
        raise LakehouseError(f"There is no table {name}: tables are in {', '.join(plain.SCHEMAS)}.")
    text = conf.HOME / "conf" / schema / f"{table}.sql"
    if text.exists():
        view = f"{schema}_{table}"
        if view not in views:
            reader.view(view, _over_views(reader, root, text.read_text(encoding="utf-8"), point, views)[0])
    elif schema == local.SCHEMA:
        of = _view(reader, root, f"{local.OF}.{table}", version, point, views)
        view = f"{schema}_{of}"
        if view not in views:
            reader.view(view, local.question(table, of, reader.schema(f"select * from {of}")))  # noqa: S608
    else:
        at, address = _version(root, name, version, point), progress.address(root, name)
        view = f"{schema}_{table}_{at}"
        if view not in views:
            reader.table(view, address, at, shown(address, at))
    views.add(view)
    return view


def _version(root: str, name: str, asked: exp.Version | None, point: Point = None) -> int:
    if asked is None:
        return version(root, name, None, point)
    kind, value = asked.this, asked.expression.name
    is_number = str(kind).upper() == "VERSION" and value.isdigit()
    newest = version(root, name, int(value) if is_number else None)
    return newest if is_number else _version_at(root, name, value)


def version(root: str, name: str, asked: int | None = None, point: Point = None) -> int:
    """The table's: as asked for, else at the point, else the newest. Raises LakehouseError where it has no such one."""
    now = log.snapshot(progress.address(root, name))
    if now is None:
        raise LakehouseError(f"There is no table {name} in {root}. `lakehouse status` shows those that are there.")
    if asked is None:
        return now.version if point is None else _version_then(root, name, now.version, point)
    if not 0 <= asked <= now.version:
        raise LakehouseError(f"{name} has no version {asked}; its newest is {now.version}.")
    return asked


def shown(address: str, version: int) -> list[str]:
    """The columns that people see: a row's hash is the core's."""
    found = log.snapshot(address, version)
    return [one for one in log.schema(found).names if one != DIGEST] if found else []


def _version_then(root: str, name: str, newest: int, point: Mapping[str, Input]) -> int:
    """What runs recorded belongs to no release; what they took from landing does."""
    at = progress.version_at(root, name, point)
    if at is None and not name.startswith("ops."):
        raise LakehouseError(f"{name} was not there yet then. Read it as it is now, or at a newer release.")
    return newest if at is None else at


def _version_at(root: str, name: str, moment: str) -> int:
    """The newest version that was there at a time (UTC where it says no zone)."""
    at = ops.moment(moment)
    for commit in log.history(progress.address(root, name)):
        if commit.timestamp <= at.timestamp() * 1000:
            return commit.version
    raise LakehouseError(f"{name} was not there yet at {moment}, or its log of that time was cleaned away.")


def _described(reader: Reader, root: str, name: str, point: Point) -> pa.Table:
    """As Spark's `describe table`: each column with its type and its meaning."""
    now = log.snapshot(progress.address(root, name))
    if now and point is not None:
        now = log.snapshot(now.address, _version(root, name, None, point))
    schema = log.schema(now) if now else reader.schema(f"select * from {_view(reader, root, name, None, point, set())}")  # noqa: S608
    meanings = log.comments(now) if now else {}
    rows = [(one.name, _in_sql(types.delta_type(one.type)), meanings.get(one.name, "")) for one in schema]
    return _texts_of(("col_name", "data_type", "comment"), rows)


def _in_sql(said: Any) -> str:  # noqa: ANN401  as a Delta log has it
    """A type as Spark's SQL writes it."""
    if isinstance(said, str):
        return OTHERWISE_IN_SQL.get(said, said)
    if said["type"] == "array":
        return f"array<{_in_sql(said['elementType'])}>"
    if said["type"] == "map":
        return f"map<{_in_sql(said['keyType'])},{_in_sql(said['valueType'])}>"
    fields = ",".join(f"{one['name']}:{_in_sql(one['type'])}" for one in said["fields"])
    return f"struct<{fields}>"


def history(root: str, name: str) -> pa.Table:
    """As Delta's `describe history`: the table's commits, the newest first."""
    import pyarrow as pa  # noqa: PLC0415

    _version(root, name, None)
    commits = log.history(progress.address(root, name))
    columns = {
        "version": pa.array([one.version for one in commits], pa.int64()),
        "timestamp": pa.array([one.timestamp * 1000 for one in commits], pa.timestamp("us", "UTC")),
        "operation": pa.array([one.operation for one in commits], pa.string()),
        "operationMetrics": pa.array([json.dumps(dict(one.metrics)) for one in commits], pa.string()),
        "userMetadata": pa.array([one.user_metadata for one in commits], pa.string()),
    }
    return pa.table(columns)


def _shown(root: str, schema: str | None) -> pa.Table:
    from lakehouse import graph  # noqa: PLC0415  with contracts, which no other question needs

    tables = {name: one for name, one in graph.load().items() if _is_there(progress.address(root, name))}
    views = [f"ops.{one.stem}" for one in sorted((conf.HOME / "conf" / "ops").glob("*.sql"))]
    names = [*tables, *filter(None, map(local.name, tables.values())), *views]
    pairs = [name.split(".") for name in names if schema is None or name.startswith(f"{schema.lower()}.")]
    return _texts_of(("namespace", "tableName"), pairs)


def _is_there(address: str) -> bool:
    """Also a table whose log cannot be read: who asks for its rows is told."""
    return bool(log.harm(address)) or log.snapshot(address) is not None


def _texts_of(names: Sequence[str], rows: Iterable[Sequence[str]]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415

    rows = list(rows)
    return pa.table({name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(names)})


def _kind(of: pa.DataType) -> str:
    """How JSON writes it: nested, plain (without quotes) or text."""
    from pyarrow import types  # noqa: PLC0415

    if types.is_nested(of):
        return "nested"
    is_number = types.is_integer(of) or types.is_floating(of) or types.is_decimal(of)
    return "plain" if is_number or types.is_boolean(of) else "text"


def _in_json(value: str | None, kind: str) -> str:
    is_number = kind != "text" and value not in {"NaN", "Infinity", "-Infinity"}
    return "null" if value is None else value if is_number else _quoted(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def check_reading(statement: str) -> None:
    """Raise LakehouseError unless the statement only reads tables of the lake. Needs no engine."""
    if any(kind.fullmatch(statement) for kind in (DESCRIBE, HISTORY, SHOW)):
        return
    explained = EXPLAIN.fullmatch(statement)
    question = explained[1] if explained else statement
    if plain.tables(question) is None:
        from lakehouse.serving.questions import allowed  # noqa: PLC0415  with sqlglot: a third of a second

        allowed.query(question)


def _distinct(columns: list[str]) -> list[str]:
    """A join may give one name twice; readers of csv and json need two."""
    seen: dict[str, int] = {}
    names = []
    for name in columns:
        seen[name] = seen.get(name, 0) + 1
        names.append(name.replace("`", "") if seen[name] == 1 else f"{name.replace('`', '')}_{seen[name]}")
    return names
