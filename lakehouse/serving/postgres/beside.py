"""Another shape: all of gold is built beside and takes the schema's name at once, at a moment when nobody has read it.

So do the views of gold_local, which stand on its tables.

Its rows are frozen: a reader who began before sees all of the new, or has touched the old, which then stays until he
is done. So no reader sees tables of two releases, whichever isolation he asked for.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from psycopg.errors import InsufficientPrivilege, QueryCanceled
from psycopg.sql import SQL, Identifier, Literal

from lakehouse.errors import LakehouseError
from lakehouse.serving.postgres import held
from lakehouse.serving.postgres.rows import FROZEN, copy, days, each_file
from lakehouse.serving.postgres.shape import SCHEMA, SCHEMAS
from lakehouse.store.postgres import only

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg import Connection

    from lakehouse.recovery.releases import Release
    from lakehouse.serving.postgres.held import Held
    from lakehouse.serving.postgres.shape import Shape, Star

READER = "lakehouse_reader"
NEXT, BEFORE = "lakehouse_next_", "lakehouse_before_"  # and a schema's name
PATIENCE = 600  # seconds, for a moment at which no reader holds a table
BLOCKED, PAUSE = 30, 0.2  # milliseconds that readers wait for us at most; seconds between two attempts
STRANGE = """
select format('%%I.%%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
  and n.nspname || '.' || c.relname <> all(%(ours)s)
union select format('%%I.%%I', n.nspname, v.relname) from pg_depend d join pg_rewrite w on w.oid = d.objid
  join pg_class v on v.oid = w.ev_class join pg_namespace n on n.oid = v.relnamespace
  join pg_class t on t.oid = d.refobjid join pg_namespace s on s.oid = t.relnamespace
where s.nspname = any(%(schemas)s) and n.nspname <> all(%(schemas)s)
order by 1
"""
RELATIONS = """
select (select string_agg(format('%%I.%%I', n.nspname, c.relname), ', ' order by n.nspname desc, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any(%s) and c.relkind in ('r', 'p', 'v') and not c.relispartition),
  (select array_agg(nspname::text) from pg_namespace where nspname = any(%s))
"""


def build(connection: Connection[Any], star: Star, release: Release, before: Held | None) -> dict[str, int]:
    """The release instead of what was there; the rows of each table."""
    if before:
        _check_ours(connection, before)
    _check_reader(connection)
    with connection.transaction():
        for schema in SCHEMAS:
            connection.execute(SQL("create schema {}").format(Identifier(NEXT + schema)))
        beside = NEXT + SCHEMA
        came = {one.table: _filled(connection, one) for one in star.shapes}
        for statement in (link for one in star.shapes for link in one.links(beside)):
            connection.execute(statement)
        connection.execute(SQL("set local search_path = {}").format(Identifier(beside)))
        for view in star.views:
            connection.execute(view.create(NEXT))
        connection.execute(SQL(held.CREATE).format(Identifier(beside, held.RELEASE)))
        held.note(connection, beside, star, release, FROZEN)
        held.comment(connection, star, NEXT)
        _grant(connection, star)
    until = time.monotonic() + PATIENCE
    while not _renamed(connection):
        if time.monotonic() > until:
            raise LakehouseError(
                f"For {PATIENCE} seconds there was no moment at which nobody read {SCHEMA}, whose shape changes. Sync "
                "again when a long question has ended (pg_stat_activity shows which run)."
            )
        time.sleep(PAUSE)
    clear(connection)
    return came


def _grant(connection: Connection[Any], star: Star) -> None:
    """Not the parts of months: tools list what a user may read, and these are no tables to ask."""
    every, reader = [(SCHEMA, held.RELEASE), *star.relations], Identifier(READER)
    whole = SQL(", ").join(Identifier(NEXT + schema, name) for schema, name in every)
    schemas = SQL(", ").join(Identifier(NEXT + schema) for schema in SCHEMAS)
    connection.execute(SQL("grant usage on schema {} to {}").format(schemas, reader))
    connection.execute(SQL("grant select on {} to {}").format(whole, reader))


def clear(connection: Connection[Any]) -> None:
    """Drop what was, and what a sync that was ended had built."""
    for leftover in (prefix + schema for prefix in (NEXT, BEFORE) for schema in reversed(SCHEMAS)):
        connection.execute(SQL("drop schema if exists {} cascade").format(Identifier(leftover)))


def _check_ours(connection: Connection[Any], before: Held) -> None:
    ours = [f"{SCHEMA}.{held.RELEASE}", *before.tables, *before.views]
    rows = connection.execute(STRANGE, {"schemas": list(SCHEMAS), "ours": ours}).fetchall()
    if rows:
        raise LakehouseError(
            f"The shape of {SCHEMA} changed, so all of it is replaced, and with it would go what others made on it: "
            f"{', '.join(name for (name,) in rows)}. Drop that, sync, and make it again; or give the view's question "
            "to conf/postgres, whose views are always made again."
        )


def _check_reader(connection: Connection[Any]) -> None:
    if connection.execute("select from pg_roles where rolname = %s", [READER]).fetchone() is not None:
        return
    try:
        connection.execute(SQL("create role {}").format(Identifier(READER)))
    except InsufficientPrivilege:
        raise LakehouseError(
            f"There is no role {READER}, which may read {SCHEMA}, and this user may not make it. An administrator "
            f"does: create role {READER}."
        ) from None


def _filled(connection: Connection[Any], one: Shape) -> int:
    """The table with its rows; how many they are."""
    count = 0
    beside = NEXT + SCHEMA
    connection.execute(one.create(beside))
    for month in one.months(days(one)):
        connection.execute(one.part(beside, month))

    def send(rows: pa.Table) -> None:
        nonlocal count
        count += rows.num_rows
        for name, some in one.parts(rows):
            copy(connection, Identifier(beside, name), some, FROZEN)

    each_file(one, send)
    for statement in one.constraints(beside):
        connection.execute(statement)
    connection.execute(SQL("analyze {}").format(Identifier(beside, one.name)))
    return count


def _renamed(connection: Connection[Any]) -> bool:
    """Whether there was a moment at which nobody had touched a table or view in a transaction that goes on.

    The time is that of all locks together: lock_timeout counts for each table anew, while readers wait for the first.
    """
    with suppress(QueryCanceled), connection.transaction():
        relations, there = only(connection, RELATIONS, [list(SCHEMAS)] * 2)
        if relations:
            connection.execute(SQL("set local statement_timeout = {}").format(Literal(BLOCKED)))
            connection.execute(f"lock table {relations} in access exclusive mode")
            connection.execute("set local statement_timeout = 0")
        moves = [(schema, BEFORE + schema) for schema in there or ()]
        for now, then in [*moves, *((NEXT + schema, schema) for schema in SCHEMAS)]:
            connection.execute(SQL("alter schema {} rename to {}").format(Identifier(now), Identifier(then)))
        return True
    return False
