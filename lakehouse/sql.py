"""Spark SQL over the lake by the tables' names, reading only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlglot
from pyspark.errors import PySparkException
from pyspark.sql import functions as F
from sqlglot import exp
from sqlglot.errors import ParseError

from lakehouse import graph
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.lake import Lake

READS = {"select", "values", "table", "describe", "desc", "show", "explain"}
MAY_READ = {"with", "from"}  # unless an insert follows
RUNS_PROGRAMS = re.compile(
    r"\b(java_method|(try_)?reflect)\s*\(|\btransform\b.*\)\s*using\b", re.IGNORECASE | re.DOTALL
)
COMMENT = re.compile(r"--[^\n]*")  # as the views of conf/ops have them
TABLE = re.compile(r"`?\b(bronze|silver|gold|ops)\b`?\s*\.\s*`?([a-z_][a-z0-9_]*)`?", re.IGNORECASE)


def query(spark: SparkSession, lake: Lake, statement: str) -> DataFrame:
    """The answer to one reading statement; `gold.daily_sales` is the table of that name.

    Raises LakehouseError for anything that writes, and with Spark's own words for what it cannot understand.
    """
    check_reading(statement)
    named = {f"{found[1]}.{found[2]}".lower() for found in TABLE.finditer(statement)}
    if _first_word(statement) == "show":  # the only statement that asks for tables it does not name
        named |= graph.load().keys()
    try:
        for name in named:
            _register(spark, lake, *name.split("."))
        answer = spark.sql(statement)
        return answer.toDF(*_distinct(answer.columns))
    except PySparkException as error:
        raise in_words(error) from error


def texts(answer: DataFrame) -> Iterator[tuple[str | None, ...]]:
    """Row by row, each value as Spark writes it: times in UTC, decimals with all their digits."""
    yield from _stream(answer.select(*(F.col(f"`{name}`").cast("string") for name in answer.columns)))


def objects(answer: DataFrame) -> Iterator[str]:
    """Row by row as JSON; decimals are numbers with all their digits."""
    for row in _stream(answer.select(F.to_json(F.struct("*"), {"ignoreNullFields": "false"}))):
        yield str(row[0])


def _stream(answer: DataFrame) -> Iterator[tuple[str | None, ...]]:
    """The driver never holds more than one partition of the answer."""
    try:
        yield from answer.toLocalIterator()
    except PySparkException as error:
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
        parsed = sqlglot.parse_one(condition, read="databricks", into=exp.Condition)
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
        parsed = sqlglot.parse(statement, read="databricks")
    except ParseError:
        return False
    return len(parsed) == 1 and isinstance(parsed[0], exp.Query)


def _register(spark: SparkSession, lake: Lake, schema: str, name: str) -> None:
    """A table of the lake, or a view, of what runs recorded, from conf/ops."""
    spark.sql(f"create database if not exists {schema}")
    view = graph.HOME / "conf" / schema / f"{name}.sql"
    if view.exists():
        text = view.read_text(encoding="utf-8")
        for source in TABLE.finditer(COMMENT.sub("", text)):
            _register(spark, lake, source[1], source[2])
        spark.sql(f"create or replace view {schema}.{name} as {text}")
    elif lake.state(f"{schema}.{name}") is not None:
        address = lake.spark_address(f"{schema}.{name}").replace("'", "\\'")
        spark.sql(f"create table if not exists {schema}.{name} using delta location '{address}'")


def _distinct(columns: list[str]) -> list[str]:
    """A join may give one name twice; readers of csv and json need two."""
    seen: dict[str, int] = {}
    names = []
    for name in columns:
        seen[name] = seen.get(name, 0) + 1
        names.append(name.replace("`", "") if seen[name] == 1 else f"{name.replace('`', '')}_{seen[name]}")
    return names


def in_words(error: PySparkException) -> LakehouseError:
    """Spark's first line; what follows it is for its developers."""
    return LakehouseError(f"Spark cannot answer that: {str(error.getMessage() or error).strip().splitlines()[0]}")
