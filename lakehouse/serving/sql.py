"""SQL over the lake by the tables' names, reading only, in Spark's dialect."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlglot
from pyspark.sql import functions as F
from sqlglot import exp
from sqlglot.errors import ParseError

from lakehouse import graph
from lakehouse.delta import log
from lakehouse.engines import protocol
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.sql import DataFrame

    from lakehouse.engines.protocol import Engine
    from lakehouse.writes.lake import Lake

READS = {"select", "values", "table", "describe", "desc", "show", "explain"}
MAY_READ = {"with", "from"}  # unless an insert follows
RUNS_PROGRAMS = re.compile(
    r"\b(java_method|(try_)?reflect)\s*\(|\btransform\b.*\)\s*using\b", re.IGNORECASE | re.DOTALL
)
DIALECT = "databricks"
NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
SCHEMAS = ("bronze", "silver", "gold", "ops")
DESCRIBE = re.compile(r"\s*desc(?:ribe)?\s+(?:table\s+)?(?:extended\s+)?`?(\w+)`?\.`?(\w+)`?\s*;?\s*", re.IGNORECASE)
HISTORY = re.compile(r"\s*desc(?:ribe)?\s+history\s+`?(\w+)`?\.`?(\w+)`?\s*;?\s*", re.IGNORECASE)
SHOW = re.compile(r"\s*show\s+(tables|views)(?:\s+(?:in|from)\s+`?(\w+)`?)?\s*;?\s*", re.IGNORECASE)


def query(engine: Engine, lake: Lake, statement: str) -> DataFrame:
    """The answer to one reading statement; `gold.daily_sales` is the table of that name.

    Raises LakehouseError for anything that writes, and with the engine's own words for what it cannot understand.
    """
    check_reading(statement)
    try:
        if found := DESCRIBE.fullmatch(statement):
            return _described(engine, lake, f"{found[1]}.{found[2]}".lower())
        if found := HISTORY.fullmatch(statement):
            return _told(engine, lake, f"{found[1]}.{found[2]}".lower())
        if found := SHOW.fullmatch(statement):
            return _shown(engine, lake, found[2])
        word, _, rest = statement.strip().partition(" ")
        is_explained = word.lower() == "explain"
        views: dict[str, DataFrame] = {}
        text = _with_views(engine, lake, rest if is_explained else statement, views)
        answer = engine.sql(f"explain {text}" if is_explained else text, views)
        return answer.toDF(*_distinct(answer.columns))
    except protocol.errors() as error:
        raise in_words(error) from error


def _with_views(engine: Engine, lake: Lake, statement: str, views: dict[str, DataFrame]) -> str:
    """The statement over views instead of tables, each of a table at a version; and the views."""
    try:
        parsed = sqlglot.parse_one(statement, read=DIALECT)
    except ParseError as error:
        words = " ".join(str(error).splitlines()[0].split())
        raise LakehouseError(f"That is no SQL that can be read: {words}") from error
    for select in parsed.find_all(exp.Select):
        _spell_out(select)
    own = {one.alias_or_name for one in parsed.find_all(exp.CTE)}
    for table in list(parsed.find_all(exp.Table)):
        if not table.db:
            if table.name not in own and isinstance(table.this, exp.Identifier):
                raise LakehouseError(
                    f"There is no table {table.name}. Tables are named with their layer: `lakehouse status` shows them."
                )
            continue
        view = _view(engine, lake, f"{table.db}.{table.name}".lower(), table.args.get("version"), views)
        alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name))
        keep = {key: table.args[key] for key in ("joins", "laterals", "sample", "pivots") if table.args.get(key)}
        table.replace(exp.Table(this=exp.to_identifier(view), alias=alias, **keep))
    return parsed.sql(dialect=DIALECT)


def _spell_out(select: exp.Select) -> None:
    """`group by all` and `order by all` by the places that they mean: words that only Spark knows."""
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


def _view(engine: Engine, lake: Lake, name: str, version: exp.Version | None, views: dict[str, DataFrame]) -> str:
    """The view's name: of a table at a version, or of a question to what runs recorded, from conf/ops."""
    schema, _, plain = name.partition(".")
    if schema not in SCHEMAS:
        raise LakehouseError(f"There is no table {name}: tables are in {', '.join(SCHEMAS)}.")
    text = graph.HOME / "conf" / schema / f"{plain}.sql"
    if text.exists():
        view = f"{schema}_{plain}"
        if view not in views:
            views[view] = engine.sql(_with_views(engine, lake, text.read_text(encoding="utf-8"), views), views)
        return view
    at = _version(lake, name, version)
    view = f"{schema}_{plain}_{at}"
    if view not in views:
        rows = lake.read(engine, name, at)
        hidden = [one for one in rows.columns if one == "_digest"]
        views[view] = rows.drop(*hidden) if hidden else rows
    return view


def _version(lake: Lake, name: str, asked: exp.Version | None) -> int:
    now = log.snapshot(lake.address(name))
    if now is None:
        raise LakehouseError(f"There is no table {name} in {lake.root}. `lakehouse status` shows those that are there.")
    if asked is None:
        return now.version
    kind, value = asked.this, asked.expression.name
    if str(kind).upper() == "VERSION" and value.isdigit():
        if int(value) > now.version:
            raise LakehouseError(f"{name} has no version {value}; its newest is {now.version}.")
        return int(value)
    return _version_at(lake, name, value)


def _version_at(lake: Lake, name: str, moment: str) -> int:
    """The newest version that was there at a time (UTC where it says no zone)."""
    try:
        at = datetime.fromisoformat(moment)
    except ValueError as error:
        raise LakehouseError(f"{moment!r} is no time. Write one such as '2022-01-05 12:00:00' (UTC).") from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    for commit in log.history(lake.address(name)):
        if commit.timestamp <= at.timestamp() * 1000:
            return commit.version
    raise LakehouseError(f"{name} was not there yet at {moment}, or its log of that time was cleaned away.")


def _described(engine: Engine, lake: Lake, name: str) -> DataFrame:
    """As Spark's `describe table`: each column with its type and its meaning."""
    now = log.snapshot(lake.address(name))
    if now is None:
        views: dict[str, DataFrame] = {}
        rows = engine.sql(f"select * from {_view(engine, lake, name, None, views)} limit 0", views)  # noqa: S608
        return _texts_of(engine, [(one.name, one.dataType.simpleString(), "") for one in rows.schema])
    meanings = log.comments(now)
    kinds = dict(lake.read(engine, name, now.version).dtypes)
    return _texts_of(engine, [(column, kind, meanings.get(column, "")) for column, kind in kinds.items()])


def _told(engine: Engine, lake: Lake, name: str) -> DataFrame:
    """As Delta's `describe history`: the table's commits, the newest first."""
    import pyarrow as pa  # noqa: PLC0415

    _version(lake, name, None)
    commits = log.history(lake.address(name))
    columns = {
        "version": pa.array([one.version for one in commits], pa.int64()),
        "timestamp": pa.array([one.timestamp * 1000 for one in commits], pa.timestamp("us", "UTC")),
        "operation": pa.array([one.operation for one in commits], pa.string()),
        "operationMetrics": pa.array([json.dumps(dict(one.metrics)) for one in commits], pa.string()),
        "userMetadata": pa.array([one.user_metadata for one in commits], pa.string()),
    }
    return engine.frame(pa.table(columns))


def _texts_of(engine: Engine, rows: Sequence[tuple[str, str, str]]) -> DataFrame:
    import pyarrow as pa  # noqa: PLC0415

    names = ("col_name", "data_type", "comment")
    columns = {name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(names)}
    return engine.frame(pa.table(columns))


def _shown(engine: Engine, lake: Lake, schema: str | None) -> DataFrame:
    import pyarrow as pa  # noqa: PLC0415

    views = [f"ops.{one.stem}" for one in sorted((graph.HOME / "conf" / "ops").glob("*.sql"))]
    names = [name for name in graph.load() if lake.state(name)] + views
    pairs = [name.split(".") for name in names if schema is None or name.startswith(f"{schema.lower()}.")]
    columns = {"namespace": [one[0] for one in pairs], "tableName": [one[1] for one in pairs]}
    return engine.frame(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}))


def texts(answer: DataFrame) -> Iterator[tuple[str | None, ...]]:
    """Row by row, each value as Spark writes it: times in UTC, decimals with all their digits."""
    yield from _stream(answer.select(*(F.col(f"`{name}`").cast("string") for name in answer.columns)))


def objects(answer: DataFrame) -> Iterator[str]:
    """Row by row as JSON; decimals are numbers with all their digits, times are texts in UTC."""
    kinds = dict(answer.dtypes)
    nested = {name: kind.startswith(("array", "struct", "map")) for name, kind in kinds.items()}
    columns = [F.to_json(f"`{name}`") if nested[name] else F.col(f"`{name}`").cast("string") for name in kinds]
    is_plain = {name: nested[name] or kind == "boolean" or kind.startswith(NUMBERS) for name, kind in kinds.items()}
    for row in _stream(answer.select(*(column.alias(name) for column, name in zip(columns, kinds, strict=True)))):
        pairs = zip(kinds, row, strict=True)
        yield "{" + ", ".join(f"{_quoted(name)}: {_in_json(value, is_plain[name])}" for name, value in pairs) + "}"


def _in_json(value: str | None, is_plain: bool) -> str:  # noqa: FBT001
    is_number = is_plain and value not in {"NaN", "Infinity", "-Infinity"}
    return "null" if value is None else value if is_number else _quoted(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _stream(answer: DataFrame) -> Iterator[tuple[str | None, ...]]:
    """The driver never holds more than one partition of the answer."""
    try:
        yield from answer.toLocalIterator()
    except protocol.errors() as error:
        raise in_words(error) from error


def check_reading(statement: str) -> None:
    """Raise LakehouseError unless the statement only reads. Needs no JVM."""
    word = _first_word(statement)
    reads = word in READS or (word in MAY_READ and _is_query(statement))
    if not reads:
        raise LakehouseError(
            f"`lakehouse sql` only reads, and this statement, {word or 'nothing'} ..., is not a query (select, with, "
            "values, table, describe, show, explain). Tables are written by `lakehouse run` alone."
        )
    if RUNS_PROGRAMS.search(statement):
        raise LakehouseError("`lakehouse sql` only reads: it starts no programs and calls no Java methods.")


def check_condition(condition: str, table: str, columns: Sequence[str]) -> None:
    """Raise LakehouseError unless it is a condition over one row with these columns. Needs no JVM."""
    try:
        parsed = sqlglot.parse_one(condition, read=DIALECT, into=exp.Condition)
    except ParseError as error:
        raise LakehouseError(
            f"{condition!r} is no condition over the columns of {table}. Write one as after `where` in SQL, e.g. "
            f'"{columns[0]} = 1".'
        ) from error
    if parsed.find(exp.Query, exp.AggFunc, exp.Window, exp.Star) or RUNS_PROGRAMS.search(condition):
        raise LakehouseError(
            f"{condition!r} is more than a condition over one row of {table}: it may compare the row's own columns, "
            "without subqueries, sums over rows and programs."
        )
    known = {name.lower() for name in columns}
    named = {column.sql("databricks") for column in parsed.find_all(exp.Column)}
    if unknown := sorted(name for name in named if name.replace("`", "").lower() not in known):
        there = ", ".join(name for name in columns if not name.startswith("_"))
        raise LakehouseError(f"{table} has no column {', '.join(unknown)}. It has: {there}.")


def _first_word(statement: str) -> str:
    first = re.match(r"[\s(]*(?:--[^\n]*\n[\s(]*|/\*.*?\*/[\s(]*)*(\w*)", statement, re.DOTALL)
    return first[1].lower() if first else ""


def _is_query(statement: str) -> bool:
    try:
        parsed = sqlglot.parse(statement, read=DIALECT)
    except ParseError:
        return False
    return len(parsed) == 1 and isinstance(parsed[0], exp.Query)


def _distinct(columns: list[str]) -> list[str]:
    """A join may give one name twice; readers of csv and json need two."""
    seen: dict[str, int] = {}
    names = []
    for name in columns:
        seen[name] = seen.get(name, 0) + 1
        names.append(name.replace("`", "") if seen[name] == 1 else f"{name.replace('`', '')}_{seen[name]}")
    return names


def in_words(error: BaseException) -> LakehouseError:
    """The engine's first line; what follows it is for its developers."""
    return LakehouseError(f"That cannot be answered: {protocol.words(error)}")
