"""`gold_local.<table>`: a table of gold as its market writes: times of the clock there, dates, numbers.

For reading and for the tools of a place. What is written so is text; gold is what to sort by and to compute with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakehouse import markets
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from lakehouse.graph import Table

SCHEMA, OF, MARKET = "gold_local", "gold", "market"
APOSTROPHE = "\u2019"  # the typographic one, which ends no text of SQL


@dataclass(frozen=True)
class Dialect:
    """How SQL writes a column's name, what a zone's clock showed, a day, its clock's time, and the type of texts.

    And the first part of a text that a pattern fits, and a comma behind each three digits.
    """

    column: str
    clock: str
    day: str
    time: str
    text: str
    part: str
    threes: str


SPARK = Dialect(
    column="`{}`",
    clock="date_format(from_utc_timestamp({}, {}), {})",
    day="date_format({}, {})",
    time="HH:mm:ss",
    text="string",
    part="regexp_extract({}, '{}', 0)",
    threes="regexp_replace({}, '([0-9]{{3}})', '$1,')",
)
TRINO = replace(
    SPARK,
    column='"{}"',
    clock="format_datetime(at_timezone({}, {}), {})",
    day="format_datetime(cast({} as timestamp), {})",
    text="varchar",
)
POSTGRES = Dialect(
    column='"{}"',
    clock="to_char({} at time zone ({}), {})",
    day="to_char({}::timestamp, {})",
    time="HH24:MI:SS",
    text="text",
    part="substring({} from '{}')",
    threes=r"regexp_replace({}, '([0-9]{{3}})', '\1,', 'g')",
)


def name(table: Table) -> str | None:
    """Of the table's local form, where it has one."""
    layer, _, own = table.name.partition(".")
    return f"{SCHEMA}.{own}" if layer == OF and MARKET in table.contract.columns else None


def question(table: str, view: str, schema: pa.Schema, dialect: Dialect = SPARK) -> str:
    """The statement over a view of gold's table, of these columns.

    Raises LakehouseError where its rows belong to no market.
    """
    from lakehouse import graph  # noqa: PLC0415  with contracts, which no other question needs

    if MARKET not in schema.names:
        raise LakehouseError(f"{OF}.{table} has no column {MARKET}, so it has no local form. Read {OF}.{table} itself.")
    rows = [row for row in graph.conf_file(markets.NAME)[1] if row.get(graph.VALID_UNTIL) is None]
    facts = {name: _by_market(name, rows) for name in (*markets.AS_READ, markets.TIME_ZONE)}
    names = [dialect.column.format(one.name) for one in schema]
    columns = ", ".join(
        f"{_written(name, one.type, facts, dialect)} as {name}" for name, one in zip(names, schema, strict=True)
    )
    return f"select {columns} from {view}"  # noqa: S608


def _by_market(name: str, rows: list[dict[str, object]]) -> str:
    """What is said of the row's market, as SQL; otherwise as builds read, in UTC."""
    said = {row[MARKET]: str(row[name]).replace("'", APOSTROPHE) for row in rows if row.get(name) is not None}
    cases = " ".join(f"when {market} then '{value}'" for market, value in said.items())
    otherwise = markets.AS_READ.get(name, "UTC")
    return f"case {MARKET} {cases} else '{otherwise}' end" if said else f"'{otherwise}'"


def _written(name: str, kind: pa.DataType, facts: Mapping[str, str], dialect: Dialect) -> str:
    from pyarrow import types  # noqa: PLC0415

    day = facts[markets.DATE_FORMAT]
    if types.is_timestamp(kind):
        return dialect.clock.format(name, facts[markets.TIME_ZONE], f"concat({day}, ' {dialect.time}')")
    if types.is_date(kind):
        return dialect.day.format(name, day)
    if types.is_decimal(kind):
        return _number(name, kind.scale, facts[markets.DECIMAL_SIGN], facts[markets.GROUP_SIGN], dialect)
    return name


def _number(name: str, scale: int, decimal: str, group: str, dialect: Dialect) -> str:
    """Its text with its digits in groups of three, from behind, and the decimals behind the market's sign."""
    text = f"cast({name} as {dialect.text})"
    from_behind = dialect.threes.format(f"reverse({dialect.part.format(text, '[0-9]+')})")
    whole = f"replace(regexp_replace(reverse({from_behind}), '^,', ''), ',', {group})"
    minus = f"case when {name} < 0 then '-' else '' end"
    rest = f" || {decimal} || {dialect.part.format(text, '[0-9]+$')}" if scale else ""
    return f"({minus} || {whole}{rest})"  # PostgreSQL's concat would leave nulls out
