"""`gold_local.<table>`: a table of gold as its market writes: times of the clock there, dates, numbers.

For reading and for the tools of a place. What is written so is text; gold is what to sort by and to compute with.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """How SQL writes a column's name, what a zone's clock showed, a day, and the type of texts."""

    column: str
    clock: str
    day: str
    text: str


SPARK = Dialect("`{}`", "date_format(from_utc_timestamp({}, {}), {})", "date_format({}, {})", "string")
TRINO = Dialect(
    '"{}"', "format_datetime(at_timezone({}, {}), {})", "format_datetime(cast({} as timestamp), {})", "varchar"
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
        return dialect.clock.format(name, facts[markets.TIME_ZONE], f"concat({day}, ' HH:mm:ss')")
    if types.is_date(kind):
        return dialect.day.format(name, day)
    if types.is_decimal(kind):
        text = f"cast({name} as {dialect.text})"
        return _number(name, text, kind.scale, facts[markets.DECIMAL_SIGN], facts[markets.GROUP_SIGN])
    return name


def _number(name: str, text: str, scale: int, decimal: str, group: str) -> str:
    """Its text with its digits in groups of three, from behind, and the decimals behind the market's sign."""
    from_behind = f"regexp_replace(reverse(regexp_extract({text}, '[0-9]+', 0)), '([0-9]{{3}})', '$1,')"
    whole = f"replace(regexp_replace(reverse({from_behind}), '^,', ''), ',', {group})"
    minus = f"case when {name} < 0 then '-' else '' end"
    rest = f", {decimal}, regexp_extract({text}, '[0-9]+$', 0)" if scale else ""
    return f"concat({minus}, {whole}{rest})"
