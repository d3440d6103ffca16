"""What PostgreSQL holds: the row of gold.release, which is written in the transaction of the rows, and what is said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from psycopg.sql import SQL, Identifier, Literal

from lakehouse.errors import LakehouseError
from lakehouse.serving.postgres.shape import SCHEMA, SCHEMAS
from lakehouse.store.postgres import only

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import Connection

    from lakehouse.recovery.releases import Release
    from lakehouse.serving.postgres.shape import Star

RELEASE = "release"
CREATE = """create table {} (
  release integer primary key, published_at timestamptz not null, synced_at timestamptz not null,
  tables jsonb not null, views text[] not null, shape text not null)"""
ABOUT = "The lake's release that this schema holds, with the version and Delta's id of each table"
WORDS = """
select n.nspname, c.relname, a.attname, d.description from pg_description d
  join pg_class c on c.oid = d.objoid and d.classoid = 'pg_class'::regclass
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
where n.nspname = any(%s)
"""


@dataclass(frozen=True)
class Held:
    """What the row of gold.release says: of each table its version and Delta's id."""

    release: int
    published_at: datetime
    tables: Mapping[str, tuple[int, str]]
    views: Sequence[str]  # with their schema, as tables have it
    shape: str


def read(connection: Connection[Any], star: Star) -> Held | None:
    """None before the first sync. Where a table is missing, the shape is none that is wanted.

    Raises LakehouseError where a schema gold is not ours.
    """
    ours = [f"{schema}.{name}" for schema, name in [(SCHEMA, RELEASE), *star.relations]]
    schemas, has_release, count = only(
        connection,
        "select (select array_agg(nspname::text order by nspname) from pg_namespace where nspname = any(%s)), "
        "to_regclass(%s) is not null, "
        "(select count(*) from unnest(%s::text[]) as name where to_regclass(name) is not null)",
        [list(SCHEMAS), f"{SCHEMA}.{RELEASE}", ours],
    )
    query = SQL("select release, published_at, tables, views, shape from {}").format(Identifier(SCHEMA, RELEASE))
    found = connection.execute(query).fetchone() if has_release else None
    if found is None and schemas:
        raise LakehouseError(
            f"The database has a schema {schemas[0]} that no sync made. Rename it, or give `lakehouse serve postgres` "
            "a database of its own."
        )
    if found is None:
        return None
    release, published_at, tables, views, known = found
    pairs = {name: (version, identity) for name, (version, identity) in tables.items()}
    return Held(release, published_at, pairs, views, known if count == len(ours) else "")


def note(connection: Connection[Any], schema: str, star: Star, release: Release, options: str = "") -> None:
    """The row that says what is held."""
    tables = {one.table: (release.tables[one.table], release.ids[one.table]) for one in star.shapes}
    views, now = [f"{one.schema}.{one.name}" for one in star.views], datetime.now(UTC)
    into = SQL("copy {} from stdin " + options).format(Identifier(schema, RELEASE))
    with connection.cursor().copy(into) as sent:
        sent.write_row((release.number, release.published_at, now, json.dumps(tables), views, star.fingerprint))


def comment(connection: Connection[Any], star: Star, prefix: str = "") -> None:
    """Say of tables, views and columns what is not said yet; `prefix`: before the names of their schemas."""
    schemas, views = [prefix + one for one in SCHEMAS], {(one.schema, one.name) for one in star.views}
    there = {tuple(place): said for *place, said in connection.execute(WORDS, [schemas])}
    for (schema, name, column), said in (star.words() | {(SCHEMA, RELEASE, None): ABOUT}).items():
        if there.get((prefix + schema, name, column)) != said:
            kind = "column" if column else "view" if (schema, name) in views else "table"
            of = Identifier(prefix + schema, name, *([column] if column else []))
            connection.execute(SQL("comment on " + kind + " {} is {}").format(of, Literal(said)))
