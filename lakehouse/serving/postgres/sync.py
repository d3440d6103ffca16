"""Brings PostgreSQL from the release that it holds to the newest, writing the rows that differ, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg.errors import LockNotAvailable
from psycopg.sql import SQL, Identifier, Literal

from lakehouse.delta.files import feed
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.serving.postgres import beside, held, shape
from lakehouse.serving.postgres.rows import copy, days, each_file
from lakehouse.serving.postgres.shape import SCHEMA, names
from lakehouse.store.postgres import only

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from psycopg import Connection
    from psycopg.sql import Composed

    from lakehouse.graph import Table
    from lakehouse.recovery.releases import Release
    from lakehouse.serving.postgres.held import Held
    from lakehouse.serving.postgres.shape import Shape, Star

STAGED, GONE = "lakehouse_staged", "lakehouse_gone"
ONE_SYNC = 0x6C616B65  # the advisory lock's number
PATIENCE = 600  # seconds, for another sync


@dataclass(frozen=True)
class Synced:
    """What was done: rows that came and went by table, where they did; `anew`: everything was built beside."""

    release: int
    before: int | None
    tables: int
    came: Mapping[str, int] = field(default_factory=dict)
    went: Mapping[str, int] = field(default_factory=dict)
    anew: bool = False


def sync(connection: Connection[Any], root: str, tables: Mapping[str, Table], folder: Path | None = None) -> Synced:
    """Bring the newest release into PostgreSQL. One sync runs at a time: another one waits.

    Raises LakehouseError where there is no release, or the schema holds what others made.
    """
    _take_turn(connection)
    release = releases.newest(root)
    if release is None:
        raise LakehouseError(f"{root} has no release yet, so nothing to serve. `lakehouse run` makes one.")
    star = shape.star(root, tables, release, folder or shape.FOLDER)
    beside.clear(connection)
    before = held.read(connection, star)
    if before is None or before.shape != star.fingerprint:
        came = beside.build(connection, star, release, before)
        return Synced(release.number, before.release if before else None, len(star.shapes), came, anew=True)
    return _moved(connection, root, star, release, before)


def _take_turn(connection: Connection[Any]) -> None:
    """Until the connection ends, however it does. Nor do the server's settings end a long sync."""
    settings = "set lock_timeout = {}; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0"
    connection.execute(SQL(settings).format(Literal(f"{PATIENCE}s")))
    try:
        connection.execute("select pg_advisory_lock(%s)", [ONE_SYNC])
    except LockNotAvailable:
        raise LakehouseError(
            f"Another sync has been writing this database for {PATIENCE} seconds. Wait for its end, or end it "
            "(application_name 'lakehouse serve postgres' in pg_stat_activity)."
        ) from None


def _moved(connection: Connection[Any], root: str, star: Star, release: Release, before: Held) -> Synced:
    """All that differs, with the row that says so, in one transaction."""
    known, came, went = _known(root, before, release), dict[str, int](), dict[str, int]()
    moved = [one for one in star.shapes if _has_moved(one, known.get(one.table))]
    for one in moved:
        _attach(connection, one)
    with connection.transaction():
        for one in moved:
            since = known.get(one.table)
            counts = None if since is None else _changed(connection, one, since)
            went[one.table], came[one.table] = counts or _compared(connection, one)
        if (release.number, release.published_at) != (before.release, before.published_at):
            connection.execute(SQL("delete from {}").format(Identifier(SCHEMA, held.RELEASE)))
            held.note(connection, SCHEMA, star, release)
        held.comment(connection, star)
    return Synced(release.number, before.release, len(star.shapes), came, went)


def _has_moved(one: Shape, since: int | None) -> bool:
    """Whether PostgreSQL may hold other rows of the table than the release."""
    return since is None or progress.moved(one.address, since, one.version)


def _known(root: str, before: Held, release: Release) -> dict[str, int]:
    """The held versions from which the lake's changes lead to the release's.

    None where they are of a table that was made anew, or of another life of the lake, which came out of a backup.
    """
    mine = next((one for one in reversed(releases.releases(root)) if one.number == before.release), None)
    if mine is None or mine.published_at != before.published_at:
        return {}
    return {
        name: version
        for name, (version, identity) in before.tables.items()
        if identity == release.ids[name] and version <= release.tables[name]
    }


def _changed(connection: Connection[Any], one: Shape, since: int) -> tuple[int, int] | None:
    """How many rows went and came between two versions of the lake; None where that is not to be had here."""
    try:
        old, new = feed.difference(one.address, since, one.version, list(one.columns))
    except feed.UnreadableChangesError:
        return None
    table, staged = Identifier(SCHEMA, one.name), _staged(connection, one, STAGED, one.columns, new)
    gone = _staged(connection, one, GONE, one.key, old)
    same = _and(one.key, "t.{0} = gone.{0}") + _within(one, old)
    went = connection.execute(SQL("delete from {} t using {} gone where {}").format(table, gone, same)).rowcount
    text = "insert into {} select * from {} on conflict do nothing"
    came = connection.execute(SQL(text).format(table, staged)).rowcount
    return (went, came) if (went, came) == (old.num_rows, new.num_rows) else None  # else somebody else wrote here


def _compared(connection: Connection[Any], one: Shape) -> tuple[int, int]:
    """The whole table is staged, and the rows that differ are written: whatever was there, it is exact then."""
    table, staged = Identifier(SCHEMA, one.name), _staged(connection, one, STAGED, one.columns)
    each_file(one, lambda rows: copy(connection, staged, rows))
    connection.execute(SQL("analyze {}").format(staged))
    key, row = _and(one.key, "s.{0} = t.{0}"), _and(one.columns, "s.{0} is not distinct from t.{0}")
    text = "delete from {} t where not exists (select from {} s where {} and {})"
    went = connection.execute(SQL(text).format(table, staged, key, row)).rowcount
    text = "insert into {} select * from {} s where not exists (select from {} t where {})"
    came = connection.execute(SQL(text).format(table, staged, table, key)).rowcount
    return went, came


def _within(one: Shape, rows: pa.Table) -> Composed:
    """Of a table that is cut by months, only those of the rows are looked into."""
    if one.by_month is None or not rows.num_rows:
        return SQL("").format()
    ends = pc.min_max(rows[one.by_month]).as_py()
    return SQL(" and t.{} between {} and {}").format(Identifier(one.by_month), ends["min"], ends["max"])


def _and(columns: Iterable[str], condition: str) -> Composed:
    return SQL(" and ").join(SQL(condition).format(Identifier(name)) for name in columns)


def _staged(
    connection: Connection[Any], one: Shape, name: str, columns: Iterable[str], rows: pa.Table | None = None
) -> Identifier:
    """A temporary table with these columns of a table, and the rows."""
    staged = Identifier("pg_temp", name)
    connection.execute(SQL("drop table if exists {}").format(staged))
    text = "create temp table {} on commit drop as select {} from {} with no data"
    connection.execute(SQL(text).format(Identifier(name), names(columns), Identifier(SCHEMA, one.name)))
    if rows is not None:
        copy(connection, staged, rows.select(list(columns)))
        connection.execute(SQL("analyze {}").format(staged))
    return staged


def _attach(connection: Connection[Any], one: Shape) -> None:
    """A part for each month that has none. It is made beside and attached, which no reader waits for.

    Before the transaction of its rows, and the next month's ahead of time: a reader learns of a part a moment after its
    commit, in which he would see the rows that went, and not those that came.
    """
    for month in one.months(days(one)):
        part, table = Identifier(SCHEMA, one.of_month(month)), Identifier(SCHEMA, one.name)
        with connection.transaction():
            (is_there,) = only(connection, "select to_regclass(%s) is not null", [f"{SCHEMA}.{one.of_month(month)}"])
            if not is_there:
                connection.execute(SQL("create table {} (like {})").format(part, table))
                connection.execute(SQL("alter table {} attach partition {} {}").format(table, part, one.bounds(month)))
