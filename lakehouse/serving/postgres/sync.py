"""Brings PostgreSQL from the release that it holds to the newest, writing the rows that differ.

What it holds is the row of gold.release, written in the transaction of the rows. Where a shape is another one, all is
built beside and takes the schema's name at once, frozen: a reader who began before sees all of the new, or has touched
the old, which then stays until he is done. So no reader sees tables of two releases.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import InsufficientPrivilege, LockNotAvailable, QueryCanceled
from psycopg.sql import SQL, Identifier, Literal

from lakehouse.delta import feed, progress
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.serving.postgres import shape
from lakehouse.serving.postgres.shape import BY_TEN, SCHEMA, names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from psycopg import Connection
    from psycopg.sql import Composed

    from lakehouse.graph import Table
    from lakehouse.recovery.releases import Release
    from lakehouse.serving.postgres.shape import Shape, Star

READER = "lakehouse_reader"
NEXT, BEFORE, RELEASE = "lakehouse_next", "lakehouse_before", "release"
STAGED, GONE = "lakehouse_staged", "lakehouse_gone"
ONE_SYNC = 0x6C616B65  # the advisory lock's number
PATIENCE = 600  # seconds, for another sync, and for a moment at which no reader holds a table
BLOCKED, PAUSE = 30, 0.2  # milliseconds that readers wait for us at most; seconds between two attempts
AT_ONCE = 1 << 16  # rows that are sent together
FROZEN = "(freeze)"  # seen by whoever finds the table, whenever he began
HELD = """create table {} (
  release integer primary key, published_at timestamptz not null, synced_at timestamptz not null,
  tables jsonb not null, views text[] not null, shape text not null)"""
ABOUT = "The lake's release that this schema holds, with the version and Delta's id of each table"
STRANGE = """
select format('%%I.%%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
  and c.relname <> all(%(ours)s)
union select format('%%I.%%I', n.nspname, v.relname) from pg_depend d join pg_rewrite w on w.oid = d.objid
  join pg_class v on v.oid = w.ev_class join pg_namespace n on n.oid = v.relnamespace
  join pg_class t on t.oid = d.refobjid join pg_namespace s on s.oid = t.relnamespace
where s.nspname = %(schema)s and n.nspname <> %(schema)s
order by 1
"""
WORDS = """
select c.relname, a.attname, d.description from pg_description d
  join pg_class c on c.oid = d.objoid and d.classoid = 'pg_class'::regclass
  left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
where c.relnamespace = to_regnamespace(%s)
"""
RELATIONS = """
select string_agg(format('%%I.%%I', n.nspname, c.relname), ', ' order by c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind in ('r', 'p', 'v') and not c.relispartition
"""


@dataclass(frozen=True)
class Held:
    """What the row of gold.release says: of each table its version and Delta's id."""

    release: int
    published_at: Any
    tables: Mapping[str, tuple[int, str]]
    views: Sequence[str]
    shape: str


@dataclass(frozen=True)
class Synced:
    """What was done: rows that came and went by table, where they did; `anew`: everything was built beside."""

    release: int
    before: int | None
    tables: int
    came: Mapping[str, int] = field(default_factory=dict)
    went: Mapping[str, int] = field(default_factory=dict)
    anew: bool = False


# Who may, and where ---------------------------------------------------------------------------------------------------


def check_argument(url: str) -> str:
    """The URL as it is. Raises LakehouseError where a password stands in it: everybody on the machine can read that."""
    if urlsplit(url).password or "password" in url:
        raise LakehouseError(
            "The URL holds a password, and arguments are seen by everybody on this machine. Leave it out, and put it "
            "into PGPASSWORD or ~/.pgpass; or put the whole URL into the variable LAKEHOUSE_POSTGRES."
        )
    return url


@contextmanager
def connected(url: str) -> Iterator[Connection[Any]]:
    """A connection whose refusals are LakehouseErrors in PostgreSQL's own words; the URL is in none of them."""
    try:
        said = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise LakehouseError("That is no URL of a PostgreSQL: postgresql://user@host:5432/database is one.") from None
    own: dict[str, Any] = {
        "connect_timeout": 10,
        "application_name": "lakehouse serve postgres",
        "client_encoding": "utf8",
    }
    try:
        with psycopg.connect(make_conninfo(**own | said), autocommit=True) as connection:
            yield connection
    except psycopg.Error as error:
        words = [error.diag.message_primary or str(error).strip(), error.diag.message_detail or ""]
        raise LakehouseError(
            f"PostgreSQL refused: {'. '.join(filter(None, words))}. It holds what it held, and the next sync goes on "
            "from there."
        ) from error


def sync(connection: Connection[Any], root: str, tables: Mapping[str, Table], folder: Path = shape.FOLDER) -> Synced:
    """Bring the newest release into PostgreSQL, in one transaction. One sync runs at a time: another one waits.

    Raises LakehouseError where there is no release, or the schema holds what others made.
    """
    with _alone(connection):
        release = releases.newest(root)
        if release is None:
            raise LakehouseError(f"{root} has no release yet, so nothing to serve. `lakehouse run` makes one.")
        star = shape.star(root, tables, release, folder)
        for leftover in (NEXT, BEFORE):  # of a sync that was ended
            connection.execute(SQL("drop schema if exists {} cascade").format(Identifier(leftover)))
        held = _held(connection, star)
        if held is None or held.shape != star.fingerprint:
            return _anew(connection, root, star, release, held)
        return _moved(connection, root, star, release, held)


@contextmanager
def _alone(connection: Connection[Any]) -> Iterator[None]:
    """The lock is the session's: a sync that is killed leaves none. Nothing else of the server's settings ends us."""
    connection.execute(
        SQL("set lock_timeout = {}; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0").format(
            Literal(f"{PATIENCE}s")
        )
    )
    try:
        connection.execute("select pg_advisory_lock(%s)", [ONE_SYNC])
    except LockNotAvailable:
        raise LakehouseError(
            f"Another sync has been writing this database for {PATIENCE} seconds. Wait for its end, or end it "
            "(application_name 'lakehouse serve postgres' in pg_stat_activity)."
        ) from None
    yield  # and with the connection the lock ends


def _held(connection: Connection[Any], star: Star) -> Held | None:
    """None where a table is missing, or everything. Raises LakehouseError where a schema gold is not ours."""
    ours = [RELEASE, *(one.name for one in star.shapes), *(one.name for one in star.views)]
    has_schema, has_release, count = _one(
        connection,
        "select to_regnamespace(%s) is not null, to_regclass(%s) is not null, "
        "(select count(*) from unnest(%s::text[]) as name where to_regclass(name) is not null)",
        [SCHEMA, f"{SCHEMA}.{RELEASE}", [f"{SCHEMA}.{name}" for name in ours]],
    )
    if has_schema and not has_release:
        raise LakehouseError(
            f"The database has a schema {SCHEMA} that no sync made. Rename it, or give `lakehouse serve postgres` a "
            "database of its own."
        )
    if not has_release:
        return None
    query = SQL("select release, published_at, tables, views, shape from {}").format(Identifier(SCHEMA, RELEASE))
    release, published_at, tables, views, known = _one(connection, query)
    pairs = {name: (version, identity) for name, (version, identity) in tables.items()}
    return Held(release, published_at, pairs, views, known if count == len(ours) else "")


# Only what moved ------------------------------------------------------------------------------------------------------


def _moved(connection: Connection[Any], root: str, star: Star, release: Release, held: Held) -> Synced:
    came, went = dict[str, int](), dict[str, int]()
    known = _known(root, held)
    with connection.transaction():
        for one in star.shapes:
            name = f"{shape.LAYER}.{one.name}"
            version, since = release.tables[name], known.get(name, (-1, ""))
            address = progress.address(root, name)
            is_known = since[1] == release.ids[name] and since[0] <= version
            if is_known and not progress.moved(address, since[0], version):
                continue
            counts = _changed(connection, one, address, since[0], version) if is_known else None
            counts = counts or _compared(connection, one, address, version)
            went[name], came[name] = counts
        if (release.number, release.published_at) != (held.release, held.published_at):
            connection.execute(SQL("delete from {}").format(Identifier(SCHEMA, RELEASE)))
            _note(connection, SCHEMA, star, release)
        _comment(connection, SCHEMA, star)
    return Synced(release.number, held.release, len(star.shapes), came, went)


def _known(root: str, held: Held) -> Mapping[str, tuple[int, str]]:
    """The versions that are held, if they are of this lake's life: one that came out of a backup has lived another."""
    mine = next((one for one in reversed(releases.releases(root)) if one.number == held.release), None)
    return held.tables if mine and mine.published_at == held.published_at else {}


def _changed(connection: Connection[Any], one: Shape, address: str, since: int, until: int) -> tuple[int, int] | None:
    """How many rows went and came between two versions of the lake; None where that is not to be had here."""
    try:
        old, new = feed.difference(address, since, until, list(one.columns))
    except feed.UnreadableChangesError:
        return None
    table, staged = Identifier(SCHEMA, one.name), _staged(connection, one, STAGED, one.columns, new)
    gone = _staged(connection, one, GONE, one.key, old)
    same = _and(one.key, "t.{0} = gone.{0}") + _within(one, old)
    went = connection.execute(SQL("delete from {} t using {} gone where {}").format(table, gone, same)).rowcount
    _months(connection, one, new)
    text = "insert into {} select * from {} on conflict do nothing"
    came = connection.execute(SQL(text).format(table, staged)).rowcount
    return (went, came) if (went, came) == (old.num_rows, new.num_rows) else None  # else somebody else wrote here


def _compared(connection: Connection[Any], one: Shape, address: str, version: int) -> tuple[int, int]:
    """The whole table is staged, and the rows that differ are written: whatever was there, it is exact then."""
    table, staged = Identifier(SCHEMA, one.name), _staged(connection, one, STAGED, one.columns)

    def send(rows: pa.Table) -> None:
        _months(connection, one, rows)
        _copy(connection, staged, rows)

    _each_file(one, address, version, send)
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
        _copy(connection, staged, rows.select(list(columns)))
        connection.execute(SQL("analyze {}").format(staged))
    return staged


def _each_file(one: Shape, address: str, version: int, send: Callable[[pa.Table], None]) -> None:
    """The files of a table are read side by side, and sent one after another."""
    sending = Lock()

    def alone(rows: pa.Table) -> None:
        with sending:
            send(rows)

    feed.of_each_file(address, alone, version, list(one.columns))


def _months(connection: Connection[Any], one: Shape, rows: pa.Table) -> None:
    """A part for each new month. It is made beside and attached, which no reader waits for."""
    for month in _months_of(one, rows):
        part, table = Identifier(SCHEMA, one.of_month(month)), Identifier(SCHEMA, one.name)
        (is_there,) = _one(connection, "select to_regclass(%s) is not null", [f"{SCHEMA}.{one.of_month(month)}"])
        if not is_there:
            connection.execute(SQL("create table {} (like {})").format(part, table))
            connection.execute(SQL("alter table {} attach partition {} {}").format(table, part, one.bounds(month)))


def _months_of(one: Shape, rows: pa.Table) -> list[int]:
    return sorted(pc.unique(pc.divide(rows[one.by_month], BY_TEN)).to_pylist()) if one.by_month else []


def _is_in(days: pa.ChunkedArray, month: int) -> pa.ChunkedArray:
    return pc.equal(pc.divide(days, BY_TEN), month)


# Everything, beside ---------------------------------------------------------------------------------------------------


def _anew(connection: Connection[Any], root: str, star: Star, release: Release, held: Held | None) -> Synced:
    if held:
        _check_ours(connection, held)
    _check_reader(connection)
    with connection.transaction():
        connection.execute(SQL("create schema {}").format(Identifier(NEXT)))
        came = {f"{shape.LAYER}.{one.name}": _filled(connection, root, one, release) for one in star.shapes}
        for statement in (link for one in star.shapes for link in one.links(NEXT)):
            connection.execute(statement)
        connection.execute(SQL("set local search_path = {}").format(Identifier(NEXT)))
        for view in star.views:
            connection.execute(view.create(NEXT))
        connection.execute(SQL(HELD).format(Identifier(NEXT, RELEASE)))
        connection.execute(SQL("comment on table {} is {}").format(Identifier(NEXT, RELEASE), Literal(ABOUT)))
        _note(connection, NEXT, star, release, FROZEN)
        _comment(connection, NEXT, star)
        text = "grant usage on schema {0} to {1}; grant select on all tables in schema {0} to {1}"
        connection.execute(SQL(text).format(Identifier(NEXT), Identifier(READER)))
    until = time.monotonic() + PATIENCE
    while not _renamed(connection, is_first=held is None):
        if time.monotonic() > until:
            raise LakehouseError(
                f"For {PATIENCE} seconds there was no moment at which nobody read {SCHEMA}, whose shape changes. Sync "
                "again when a long question has ended (pg_stat_activity shows which run)."
            )
        time.sleep(PAUSE)
    connection.execute(SQL("drop schema if exists {} cascade").format(Identifier(BEFORE)))
    return Synced(release.number, held.release if held else None, len(star.shapes), came, anew=True)


def _check_ours(connection: Connection[Any], held: Held) -> None:
    ours = [RELEASE, *(name.removeprefix(f"{shape.LAYER}.") for name in held.tables), *held.views]
    rows = connection.execute(STRANGE, {"schema": SCHEMA, "ours": ours}).fetchall()
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


def _filled(connection: Connection[Any], root: str, one: Shape, release: Release) -> int:
    """The table with the rows of the release; how many they are."""
    connection.execute(one.create(NEXT))
    months, count = set[int](), 0

    def send(rows: pa.Table) -> None:
        nonlocal count
        count += rows.num_rows
        for month in _months_of(one, rows):
            if month not in months:
                connection.execute(one.part(NEXT, month))
                months.add(month)
            days = rows[one.by_month]
            _copy(connection, Identifier(NEXT, one.of_month(month)), rows.filter(_is_in(days, month)), FROZEN)
        if not one.by_month:
            _copy(connection, Identifier(NEXT, one.name), rows, FROZEN)

    name = f"{shape.LAYER}.{one.name}"
    _each_file(one, progress.address(root, name), release.tables[name], send)
    for statement in one.constraints(NEXT):
        connection.execute(statement)
    connection.execute(SQL("analyze {}").format(Identifier(NEXT, one.name)))
    return count


def _renamed(connection: Connection[Any], *, is_first: bool) -> bool:
    """Whether there was a moment at which nobody had touched a table in a transaction that goes on.

    The time is that of all locks together: lock_timeout counts for each table anew, while readers wait for the first.
    """
    with suppress(QueryCanceled), connection.transaction():
        if not is_first:
            (relations,) = _one(connection, RELATIONS, [SCHEMA])
            connection.execute(SQL("set local statement_timeout = {}").format(Literal(BLOCKED)))
            connection.execute(f"lock table {relations} in access exclusive mode")
            connection.execute("set local statement_timeout = 0")
            connection.execute(SQL("alter schema {} rename to {}").format(Identifier(SCHEMA), Identifier(BEFORE)))
        connection.execute(SQL("alter schema {} rename to {}").format(Identifier(NEXT), Identifier(SCHEMA)))
        return True
    return False


def _one(connection: Connection[Any], query: str | Composed, values: Sequence[Any] = ()) -> Sequence[Any]:
    """The only row of an answer."""
    (row,) = connection.execute(query, values)
    return row  # type: ignore[no-any-return]


# Rows and words -------------------------------------------------------------------------------------------------------


def _note(connection: Connection[Any], schema: str, star: Star, release: Release, options: str = "") -> None:
    """The row that says what is held."""
    served = [f"{shape.LAYER}.{one.name}" for one in star.shapes]
    tables = {name: (release.tables[name], release.ids[name]) for name in served}
    views, now = [one.name for one in star.views], datetime.now(UTC)
    into = SQL("copy {} from stdin " + options).format(Identifier(schema, RELEASE))
    with connection.cursor().copy(into) as sent:
        sent.write_row((release.number, release.published_at, now, json.dumps(tables), views, star.fingerprint))


def _comment(connection: Connection[Any], schema: str, star: Star) -> None:
    """Say what is not said yet."""
    there = {(name, column): said for name, column, said in connection.execute(WORDS, [schema])}
    for (name, column), said in star.words().items():
        if there.get((name, column)) != said:
            kind = "column" if column else "view" if name in {one.name for one in star.views} else "table"
            of = Identifier(schema, name, *([column] if column else []))
            connection.execute(SQL("comment on " + kind + " {} is {}").format(of, Literal(said)))


def _copy(connection: Connection[Any], table: Identifier, rows: pa.Table, options: str = "") -> None:
    with connection.cursor().copy(SQL("copy {} from stdin " + options).format(table)) as sent:
        for batch in rows.to_batches(AT_ONCE):
            sent.write(_text(batch))


def _text(rows: pa.RecordBatch) -> bytes:
    r"""PostgreSQL's text format, a line for each row: \N is null, and every value has all its digits."""
    cells = [pc.fill_null(_escaped(column), r"\N") for column in rows.columns]
    lines = pc.binary_join_element_wise(pc.binary_join_element_wise(*cells, "\t"), "", "\n").cast(pa.large_string())
    _, ends, text = lines.buffers()
    first, last = (int.from_bytes(ends[8 * at : 8 * at + 8].to_pybytes(), "little") for at in (0, len(lines)))
    return text[first:last].to_pybytes() if text else b""


def _escaped(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column.cast(pa.string())
    for said, written in (("\\", r"\\"), ("\t", r"\t"), ("\n", r"\n"), ("\r", r"\r")):
        column = pc.replace_substring(column, said, written)
    return column
