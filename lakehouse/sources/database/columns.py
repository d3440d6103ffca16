"""A table's columns: which there are, and how the cells of each are typed in Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from psycopg.sql import SQL, Identifier

from lakehouse.sources.windows import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection
    from psycopg.sql import Composed

LARGEST_DECIMAL = 38
# A domain is what it is made of.
COLUMNS = """
select a.attname, coalesce(d.typname, t.typname), case when d.oid is null then a.atttypmod else t.typtypmod end,
  t.typcategory = 'A' or t.typtype = 'c'
from pg_attribute a join pg_type t on t.oid = a.atttypid
  left join pg_type d on d.oid = t.typbasetype
where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
TYPES = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "bytea": pa.binary(),
}
AS_JSON = "to_json({}) #>> '{{}}'"  # an array or a composite as JSON; a day or time in ISO's spelling, infinity too
INSTANT = rf"regexp_replace({AS_JSON}, '\+00:00$', 'Z')"


@dataclass(frozen=True)
class Column:
    """`select` is the SQL for its cells, of which `type` is the type in Parquet; `as_text` the SQL for any of them."""

    name: str
    type: pa.DataType
    select: Composed
    as_text: Composed

    @property
    def is_doubtful(self) -> bool:
        """Whether PostgreSQL knows values of it that Arrow's type does not: infinity, NaN, the year 10000."""
        return bool(pa.types.is_decimal(self.type) or pa.types.is_temporal(self.type))

    def text(self) -> Column:
        """The same with every value that PostgreSQL knows, as text."""
        return Column(self.name, pa.string(), self.as_text, self.as_text)


def columns_of(connection: Connection[Any], table: Identifier, wanted: Sequence[str]) -> list[Column]:
    """Those that are `wanted`, in their order, else all. Raises SourceError where one is lacking."""
    rows = connection.execute(COLUMNS, [table.as_string()]).fetchall()
    found = {name: _column(name, kind, modifier, is_json) for name, kind, modifier, is_json in rows}
    if lacking := [name for name in wanted if name not in found]:
        raise SourceError(
            f"The table has no column {', '.join(lacking)}; it has {', '.join(found)}. Change `columns:` or "
            "`watermark:` of its contract."
        )
    return [found[name] for name in wanted or found]


def _column(name: str, kind: str, modifier: int, is_json: bool) -> Column:  # noqa: FBT001  as the query says it
    itself = SQL("{}").format(Identifier(name))
    type_ = None if is_json else _decimal(modifier) if kind == "numeric" else TYPES.get(kind)
    spelled = INSTANT if kind == "timestamptz" else AS_JSON if is_json or kind in {"date", "timestamp"} else "{}::text"
    text = SQL(spelled).format(itself)
    return Column(name, type_ or pa.string(), itself if type_ else text, text)


def _decimal(modifier: int) -> pa.DataType | None:
    """Of a numeric that says its digits; as PostgreSQL packs them, the scale as eleven bits with a sign."""
    if modifier < 0:
        return None
    precision, scale = (modifier - 4) >> 16, (((modifier - 4) & 0x7FF) ^ 1024) - 1024
    return pa.decimal128(precision, scale) if 0 <= scale <= precision <= LARGEST_DECIMAL else None
