"""`lakehouse serve postgres` into a real PostgreSQL: exact, only what differs is written, and no reader sees a mix."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from lakehouse import graph, markets
from lakehouse.contract import Contract
from lakehouse.delta.commits import committer
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.graph import Table
from lakehouse.recovery import releases
from tests import regions
from tests.served import Served

psycopg = pytest.importorskip("psycopg", reason="needs the extra `postgres`: uv sync --inexact --extra postgres")

from lakehouse.serving.postgres import beside, server, shape, sync  # noqa: E402  which are lacking without psycopg
from lakehouse.serving.postgres.connection import connected  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from lakehouse.serving.postgres.sync import Synced

pytestmark = pytest.mark.slow
DAYS, PRODUCTS, SALES = "gold.days", "gold.products", "gold.sales"
A_PRODUCT = {"product_key": ["1A"], "market": [1], "sku": ["A"], "price": ["2.20"]}
CONTRACTS = """
gold.days:
  owner: tests
  description: one row per day
  write: replace
  grain: [day_key]
  columns: {day_key: {type: int, meaning: as yyyymmdd}, day: {type: date, meaning: the day}}
gold.products:
  owner: tests
  description: one row per product
  write: refresh
  grain: [market, sku]
  unit: [market, sku]
  columns:
    product_key: {type: string, meaning: of both}
    market: {type: int, meaning: the market}
    sku: {type: string, meaning: its code}
    price: {type: "decimal(18,2)", measured_in: currency, meaning: the last}
  checks:
    key_is_unique: {unique: [product_key], severity: stop, why: a test}
gold.sales:
  owner: tests
  description: one row per line, which it's
  write: refresh
  vectors: true
  grain: [market, order_id, line]
  unit: [market, order_id]
  columns:
    day_key: {type: int, meaning: its day}
    product_key: {type: string, meaning: its product}
    market: {type: int, meaning: the market}
    order_id: {type: bigint, meaning: the order}
    line: {type: int, meaning: the line}
    amount: {type: "decimal(38,8)", measured_in: currency, meaning: exact}
    note: {type: string, meaning: any text}
    ordered_at: {type: timestamp, meaning: when}
    is_big: {type: boolean, meaning: whether}
    share: {type: double, meaning: a share}
"""
IN_POSTGRES = """
gold.sales: {references: {day_key: gold.days, product_key: gold.products}, by_month: day_key, filtered: [[note]]}
"""
BIG = "-- The big ones,\n-- rounded.\nselect order_id, amount::double precision as amount from sales where is_big\n"
STATE = "select md5(string_agg(t::text, '|' order by t::text)) from {} t"
OF_LOCAL = "(select 'gold_local.sales'::regclass as oid) as local"
READ = (DAYS, PRODUCTS, SALES, "gold_local.sales")


@pytest.fixture
def lake(tmp_path: Path) -> Served:
    """Its first release: two products, and lines of January."""
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "tables.yml").write_text(IN_POSTGRES)
    (tmp_path / "postgres" / "big.sql").write_text(BIG)
    tables = {name: a_table(name, one) for name, one in yaml.safe_load(CONTRACTS).items()}
    lake = Served(str(tmp_path / "lake"), tables)
    lake.write(DAYS, {"day_key": [20240101, 20240131, 20240301], "day": ["2024-01-01", "2024-01-31", "2024-03-01"]})
    lake.write(PRODUCTS, {"product_key": ["1A", "1B"], "market": [1, 1], "sku": ["A", "B"], "price": ["1.10", None]})
    lake.write(SALES, some_sales(range(1, 9)))
    lake.release()
    return lake


def a_table(name: str, promise: dict[str, Any]) -> Table:
    return Table(name, Contract.model_validate(promise), cast("Any", None), (), "")


def some_sales(orders: range, note: str | None = "a\tb\\N\n\\.\r 'é'", day: int = 20240131) -> dict[str, Any]:
    """One line each."""
    size = len(orders)
    return {
        "day_key": [day] * size,
        "product_key": ["1A"] * size,
        "market": [1] * size,
        "order_id": list(orders),
        "line": [0] * size,
        "amount": [Decimal("-123456789012345678901234567890.00000001")] * size,
        "note": [note, "", *[None] * (size - 2)][:size],
        "ordered_at": [datetime(2024, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)] * size,
        "is_big": [True] * size,
        "share": [0.1] * size,
    }


def synced(url: str, lake: Served) -> Synced:
    with connected(url) as connection:
        return sync.sync(connection, lake.root, lake.tables, conf_of(lake))


def conf_of(lake: Served) -> Path:
    return Path(lake.root).with_name("postgres")


@contextmanager
def asking(url: str) -> Iterator[Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def ask(url: str, question: str) -> list[tuple[Any, ...]]:
    with asking(url) as connection:
        return connection.execute(question).fetchall()


def rows(url: str, name: str) -> list[tuple[Any, ...]]:
    return sorted(ask(url, f"select * from {name}"), key=repr)


def in_the_lake(lake: Served, name: str, version: int | None = None) -> list[tuple[Any, ...]]:
    found = feed.read(progress.address(lake.root, name), version).to_pylist()
    return sorted((tuple(row.values()) for row in found), key=repr)


def check_exact(url: str, lake: Served) -> None:
    """Every table as in the lake, and the row that says so."""
    for name in lake.names:
        assert comparable(rows(url, name)) == comparable(in_the_lake(lake, name)), name
    versions = {name: one.version for name in lake.names if (one := log.snapshot(progress.address(lake.root, name)))}
    ((number, tables),) = ask(url, "select release, tables from gold.release")
    assert (number, {name: version for name, (version, _) in tables.items()}) == (lake.number, versions)


def comparable(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Instants in one zone."""
    return [tuple(one.astimezone(UTC) if isinstance(one, datetime) else one for one in row) for row in found]


def test_gold_is_there_with_types_keys_references_indexes_months_and_words(url: str, lake: Served) -> None:
    assert synced(url, lake).anew
    check_exact(url, lake)
    types = ask(
        url,
        "select attname, format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = 'gold.sales'::regclass and attnum > 0 order by attnum",
    )
    assert [kind for _, kind in types] == [
        *("integer", "text", "integer", "bigint", "integer", "numeric(38,8)", "text"),
        *("timestamp with time zone", "boolean", "double precision"),
    ]
    kept = "select contype::text, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'gold.{}'::regclass"
    assert sorted(ask(url, kept.format("sales"))) == [
        ("f", "FOREIGN KEY (day_key) REFERENCES gold.days(day_key) DEFERRABLE INITIALLY DEFERRED"),
        ("f", "FOREIGN KEY (product_key) REFERENCES gold.products(product_key) DEFERRABLE INITIALLY DEFERRED"),
        ("p", "PRIMARY KEY (market, order_id, line, day_key)"),
    ]
    assert sorted(ask(url, kept.format("products"))) == [
        ("p", "PRIMARY KEY (market, sku)"),
        ("u", "UNIQUE (product_key)"),
    ]
    assert ask(url, "select count(*) from pg_indexes where tablename = 'sales' and schemaname = 'gold'") == [(4,)]
    assert ask(url, "select count(*) from gold.sales_2024_01") == [(8,)]
    said = "select obj_description('gold.sales'::regclass), obj_description('gold.big'::regclass), "
    assert ask(url, f"{said} col_description('gold.sales'::regclass, 6)") == [
        ("one row per line, which it's", "The big ones, rounded.", "exact [currency]")
    ]


def test_each_market_reads_its_own_clock_days_and_numbers_in_gold_local(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [*graph.conf_file(markets.NAME)[1], *regions.MARKETS]
    monkeypatch.setattr(graph, "conf_file", lambda _: ("", said))
    kinds = {"market": "int", "at": "timestamp", "day": "date", "amount": "decimal(18,2)", "n": "bigint"}
    columns = {name: {"type": kind, "meaning": f"the {name}"} for name, kind in kinds.items()}
    promise = {"owner": "tests", "description": "a test", "write": "replace", "grain": ["market"], "columns": columns}
    lake = Served(str(tmp_path / "lake"), {SALES: a_table(SALES, promise)})
    lake.write(SALES, dict(zip(kinds, zip(*regions.ROWS, strict=True), strict=True)))
    lake.release()
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "tables.yml").touch()
    synced(url, lake)
    local = ask(url, "select market, at, day, amount, n from gold_local.sales order by market")
    assert sorted(" ".join(map(str, row)) for row in local) == sorted(regions.LOCAL)
    comments = "select obj_description('gold_local.sales'::regclass), col_description('gold_local.sales'::regclass, 4)"
    assert ask(url, comments) == [
        (
            "gold.sales as each market writes: its clock, its days and numbers. To compute by, read gold.sales.",
            "the amount",
        )
    ]
    said[0] = said[0] | {"decimal_sign": ","}
    assert synced(url, lake).anew
    assert ask(url, "select amount from gold_local.sales where market = 1") == [("1234567,50",)]


def test_the_month_after_december_is_january(lake: Served) -> None:
    found = releases.newest(lake.root)
    assert found
    *_, sales = shape.star(lake.root, lake.tables, found, conf_of(lake)).shapes
    assert sales.months([20231230, 20231101, 20231231]) == [202311, 202312, 202401]
    assert sales.bounds(202312).as_string() == "for values from (20231201) to (20240101)"


def test_the_published_view_has_the_published_columns_in_their_order(url: str, tmp_path: Path) -> None:
    tables = graph.load()
    lake = Served(str(tmp_path / "lake"), tables)
    window = {"market": [1], "customer_id": [7], "window_start": ["2022-01-01"], "window_end": ["2022-01-10"]}
    amounts = {"total_order_amount": ["10.10"], "highest_order_amount": ["10.10"], "currency": ["KES"]}
    lake.write("gold.customer_windows", window | amounts)
    lake.release()
    with connected(url) as connection:
        sync.sync(connection, lake.root, tables)
    found = ask(
        url,
        "select attname, format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = 'gold.ecommerce'::regclass order by attnum",
    )
    assert found == [
        ("Customer_ID", "integer"),
        ("Total_Order_Amount", "double precision"),
        ("Average_Order_Amount", "double precision"),
        ("Order_Count", "bigint"),
        ("Highest_Order_Amount", "real"),
        ("Lowest_Order_Amount", "real"),
        ("Total_Quantity_Ordered", "bigint"),
        ("Average_Quantity_Per_Ordered", "double precision"),
        ("Total_Delivery_Distance", "double precision"),
        ("Average_Delivery_Distance", "double precision"),
        ("Distict_Products", "bigint"),
        ("start_timestamp", "timestamp without time zone"),
        ("end_timestamp", "timestamp without time zone"),
        ("market", "integer"),
        ("currency", "text"),
    ]
    ((start, end, total),) = ask(url, 'select start_timestamp, end_timestamp, "Total_Order_Amount" from gold.ecommerce')
    assert (start, end, total) == (datetime(2022, 1, 1), datetime(2022, 1, 11), 10.1)  # noqa: DTZ001  local time


def a_day_later(lake: Served) -> None:
    """An order changed, one came in a new month, one vanished, a product has another price."""
    unit = ("market", "order_id")
    lake.write(SALES, some_sales(range(8, 10), "changed", 20240301), unit, [{"market": 1, "order_id": 1}])
    lake.write(PRODUCTS, A_PRODUCT, ("market", "sku"))
    lake.release()


def counted(url: str) -> tuple[int, int]:
    """The rows that came and went by PostgreSQL's own count, but for those of gold.release."""
    question = "select coalesce(sum({}), 0) from pg_stat_user_tables where schemaname = 'gold' and relname <> 'release'"
    ((came,),), ((went,),) = ask(url, question.format("n_tup_ins")), ask(url, question.format("n_tup_del"))
    return int(came), int(went)


def test_a_day_later_only_the_rows_that_differ_are_written(url: str, lake: Served) -> None:
    synced(url, lake)
    before = counted(url)
    a_day_later(lake)
    done = synced(url, lake)
    check_exact(url, lake)
    assert (done.release, done.before, done.anew) == (2, 1, False)
    assert (done.came, done.went) == ({PRODUCTS: 1, SALES: 2}, {PRODUCTS: 1, SALES: 2})
    assert [now - then for now, then in zip(counted(url), before, strict=True)] == [3, 3]
    assert ask(url, "select count(*) from gold.sales_2024_03") == [(2,)]


def test_nothing_new_is_nothing_written(url: str, lake: Served) -> None:
    synced(url, lake)
    at = ask(url, "select synced_at from gold.release")
    lake.opened(SALES).optimize.compact()
    done = synced(url, lake)
    assert (done.came, done.went, ask(url, "select synced_at from gold.release")) == ({}, {}, at)
    lake.release()
    assert not synced(url, lake).came
    check_exact(url, lake)


def test_other_words_are_said_and_no_row_is_written(url: str, lake: Served) -> None:
    synced(url, lake)
    lake.tables = {**lake.tables, DAYS: changed(lake, DAYS, description="a day, called otherwise")}
    assert not synced(url, lake).came
    assert ask(url, "select obj_description('gold.days'::regclass)") == [("a day, called otherwise",)]


def changed(lake: Served, name: str, **other: object) -> Table:
    return replace(lake.tables[name], contract=lake.tables[name].contract.model_copy(update=other))


def test_releases_in_between_may_be_skipped(url: str, lake: Served) -> None:
    synced(url, lake)
    a_day_later(lake)
    lake.write(SALES, some_sales(range(20, 22)), ("market", "order_id"))
    lake.release()
    done = synced(url, lake)
    assert (done.release, done.before, done.came[SALES], done.went[SALES]) == (3, 1, 4, 2)
    check_exact(url, lake)


def test_a_rewound_lake_is_followed_back_and_on(url: str, lake: Served) -> None:
    synced(url, lake)
    first = in_the_lake(lake, SALES)
    a_day_later(lake)
    synced(url, lake)
    address = progress.address(lake.root, SALES)
    committer.restore(address, 1, 0, None)
    lake.release()
    done = synced(url, lake)
    assert (done.release, done.came[SALES], done.went[SALES]) == (3, 2, 2)
    assert comparable(rows(url, SALES)) == comparable(first)
    a_day_later(lake)
    synced(url, lake)
    check_exact(url, lake)


def test_where_the_changes_are_gone_the_rows_are_compared_and_only_others_written(url: str, lake: Served) -> None:
    synced(url, lake)
    a_day_later(lake)
    lake.write(SALES, some_sales(range(20, 21)), ("market", "order_id"))
    lake.release()
    (Path(progress.address(lake.root, SALES)) / log.commit_path(1)).unlink()
    done = synced(url, lake)
    assert (done.came[SALES], done.went[SALES], done.anew) == (3, 2, False)
    check_exact(url, lake)


def test_a_lake_out_of_a_backup_is_compared_since_its_versions_mean_other_rows(
    url: str, lake: Served, tmp_path: Path
) -> None:
    shutil.copytree(lake.root, tmp_path / "backup")
    backup = replace(lake, root=str(tmp_path / "backup"), names=[*lake.names])
    a_day_later(lake)
    synced(url, lake)
    backup.clock += timedelta(minutes=1)
    backup.write(SALES, some_sales(range(3, 5), "another life"), ("market", "order_id"))
    backup.release()
    backup.write(SALES, some_sales(range(5, 6), "another life"), ("market", "order_id"))
    backup.release()
    with connected(url) as connection:
        sync.sync(connection, backup.root, lake.tables, conf_of(lake))
    check_exact(url, backup)


def test_what_others_wrote_into_a_table_is_put_right_when_it_changes_next(url: str, lake: Served) -> None:
    synced(url, lake)
    with asking(url) as connection:
        connection.execute("delete from gold.sales where order_id in (1, 2)")
        connection.execute("update gold.sales set note = 'mine' where order_id = 3")
    a_day_later(lake)
    synced(url, lake)
    check_exact(url, lake)


# Ended, two at once, and readers beside -------------------------------------------------------------------------------


class Ending(psycopg.Connection[Any]):  # type: ignore[misc, name-defined]  # psycopg is only there if it is there
    """Closed before its statement number `left`, as the process that is killed then leaves it; commits count too."""

    left = 0

    def _exec_command(self, *arguments: Any) -> Any:  # noqa: ANN401  as psycopg's own
        self.tick()
        return super()._exec_command(*arguments)

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.close()


class EndingCursor(psycopg.Cursor[Any]):  # type: ignore[misc, name-defined]
    def execute(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        self.connection.tick()
        return super().execute(*arguments, **options)

    def copy(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        self.connection.tick()
        return super().copy(*arguments, **options)


def ended(url: str, lake: Served, statement: int) -> bool:
    """Whether the sync had a statement of that number, before which it was killed."""
    with suppress(psycopg.OperationalError), Ending.connect(url, autocommit=True) as connection:
        connection.left, connection.cursor_factory = statement, EndingCursor
        sync.sync(connection, lake.root, lake.tables, conf_of(lake))
        return False
    return True


def seen(url: str) -> tuple[Any, ...]:
    with asking(url) as connection:
        return seen_by(connection)


def seen_by(connection: Connection[Any]) -> tuple[Any, ...]:
    """The release and all that a reader sees, in one transaction."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        found = connection.execute("select release from gold.release").fetchone()
        return found, *(connection.execute(STATE.format(name)).fetchone() for name in READ)


def check_killed(url: str, lake: Served, step: int) -> int:
    """Kill syncs, each `step` statements later, until one is done; the number of them."""
    with asking(url) as reader:
        before, statement = seen_by(reader), 1
        while ended(url, lake, statement):
            now = seen_by(reader)
            if now[0] != before[0]:
                break
            assert now == before, statement
            statement += step
    synced(url, lake)
    check_exact(url, lake)
    return statement


def test_killed_before_any_statement_readers_see_one_release_and_the_next_sync_is_exact(url: str, lake: Served) -> None:
    synced(url, lake)
    a_day_later(lake)
    assert check_killed(url, lake, 1) > 20


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)])
def test_killed_while_another_shape_is_built_beside_readers_see_one_release(url: str, lake: Served, step: int) -> None:
    synced(url, lake)
    another_shape(lake)
    assert check_killed(url, lake, step) > 40


def another_shape(lake: Served) -> None:
    """Lines have one more column, and a day came."""
    columns = dict(lake.tables[SALES].contract.columns)
    more = columns | {"tip": columns["amount"].model_copy(update={"type": "decimal(18,2)"})}
    lake.tables = {**lake.tables, SALES: changed(lake, SALES, columns=more)}
    lake.write(SALES, some_sales(range(1, 12)) | {"tip": ["0.50"] * 11})
    lake.write(DAYS, {"day_key": [20240101, 20240131, 20240301], "day": ["2024-01-01", "2024-01-31", None]})
    lake.release()


def test_two_syncs_at_once_make_one_of_them_wait_and_both_right(url: str, lake: Served) -> None:
    done: list[Synced] = []
    both = [Thread(target=lambda: done.append(synced(url, lake))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(one.anew for one in done) == [False, True]
    check_exact(url, lake)


def test_a_sync_that_does_not_end_is_told_of_and_the_next_one_goes_on_after_it(
    url: str, lake: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "PATIENCE", 1)
    with asking(url) as other:
        other.execute("select pg_advisory_lock(%s)", [sync.ONE_SYNC])
        with pytest.raises(LakehouseError, match="Another sync has been writing this database for 1 seconds"):
            synced(url, lake)
    synced(url, lake)
    check_exact(url, lake)


def test_who_began_before_another_shape_sees_all_of_the_new_if_he_had_not_read_yet(url: str, lake: Served) -> None:
    synced(url, lake)
    another_shape(lake)
    with asking(url) as reader, reader.transaction():
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select 1")
        synced(url, lake)
        assert reader.execute("select release from gold.release").fetchone() == (2,)
        assert reader.execute("select count(tip) from gold.sales").fetchone() == (11,)
        assert reader.execute("select count(*) from gold.days where day is null").fetchone() == (1,)


def test_who_has_read_before_another_shape_keeps_the_old_release_until_he_ends(
    url: str, lake: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "PATIENCE", 1)
    synced(url, lake)
    another_shape(lake)
    with asking(url) as reader, reader.transaction():
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select release from gold.release")
        with pytest.raises(LakehouseError, match="For 1 seconds there was no moment at which nobody read gold"):
            synced(url, lake)
        assert reader.execute("select count(*) from gold.sales").fetchone() == (8,)
        assert reader.execute("select count(*) from gold.days where day is null").fetchone() == (0,)
    assert synced(url, lake).anew
    check_exact(url, lake)


@contextmanager
def reading(url: str, readers: int) -> Iterator[set[tuple[Any, ...]]]:
    """What so many readers saw meanwhile, each in transactions of several statements."""
    observed, stop = set[tuple[Any, ...]](), Event()

    def read() -> None:
        with asking(url) as connection:
            connection.execute("set deadlock_timeout = '100ms'")  # after which a wait is noted
            while not stop.is_set():
                observed.add(seen_by(connection))

    asked = [Thread(target=read) for _ in range(readers)]
    for one in asked:
        one.start()
    try:
        yield observed
    finally:
        stop.set()
        for one in asked:
            one.join()


@pytest.mark.parametrize("readers", [6, pytest.param(200, marks=pytest.mark.long)])
def test_readers_wait_for_no_lock_and_see_one_release_while_days_come(url: str, lake: Served, readers: int) -> None:
    synced(url, lake)
    expected = {seen(url)}
    with reading(url, readers) as observed:
        for _ in range(3):
            a_day_later(lake)
            synced(url, lake)
            expected.add(seen(url))
    assert len(observed & expected) > 1
    assert observed <= expected
    question = "select pg_read_file(current_setting('data_directory') || '/../log'), oid from pg_database "
    ((noted, database),) = ask(url, question + "where datname = current_database()")
    assert not [line for line in noted.splitlines() if re.search(f"waiting for AccessShare.*database {database}", line)]


def test_another_shape_comes_between_readers_and_a_long_question_is_not_waited_for_in_line(
    url: str, lake: Served
) -> None:
    synced(url, lake)
    before = seen(url)
    another_shape(lake)
    with asking(url) as long, asking(url) as short, long.transaction():
        long.execute("select count(*) from gold.days")
        syncing = Thread(target=synced, args=(url, lake))
        syncing.start()
        built = "select to_regnamespace('lakehouse_next_gold') is not null"
        while short.execute(built).fetchone() == (False,):
            pass
        short.execute("set lock_timeout = '5s'")
        assert {seen_by(short) for _ in range(50)} == {before}
    syncing.join()
    check_exact(url, lake)
    assert ask(url, "select nspname from pg_namespace where nspname like 'lakehouse%'") == []


# What is refused, and what to do --------------------------------------------------------------------------------------


def test_a_reader_may_read_and_nothing_else(url: str, lake: Served) -> None:
    synced(url, lake)
    with asking(url) as connection:
        connection.execute("create role ana; grant lakehouse_reader to ana; set role ana")
        question = (
            "select count(*) from gold.sales join gold.days using (day_key) join gold_local.sales using (order_id)"
        )
        assert connection.execute(question).fetchone() == (8,)
        assert connection.execute("select has_table_privilege('gold.sales_2024_01', 'select')").fetchone() == (False,)
        for written in ("delete from gold.sales", "create table gold.mine (a int)", "truncate gold.days"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(written)
        connection.execute("reset role; drop role ana")


def test_without_the_reader_role_a_user_who_may_not_make_it_is_told_who_does(url: str, lake: Served) -> None:
    with asking(url) as connection:
        name = url.rpartition("/")[2]
        if connection.execute("select from pg_roles where rolname = 'lakehouse_reader'").fetchone() is not None:
            connection.execute("alter role lakehouse_reader rename to reader_of_other_tests")
        connection.execute(f"create role loader login password 'x'; grant create on database {name} to loader")
        mine = url.replace(url.partition("//")[2].partition("@")[0], "loader:x")
        with pytest.raises(LakehouseError, match=r"An administrator does: create role lakehouse_reader\."):
            synced(mine, lake)
        connection.execute("create role lakehouse_reader")
        assert synced(mine, lake).anew
        check_exact(mine, lake)


def test_a_schema_gold_of_others_is_not_touched_until_it_is_renamed(url: str, lake: Served) -> None:
    with asking(url) as connection:
        connection.execute("create schema gold; create table gold.mine (a int)")
        with pytest.raises(LakehouseError, match=r"has a schema gold that no sync made. Rename it, or give"):
            synced(url, lake)
        connection.execute("alter schema gold rename to old; create schema gold_local")
        with pytest.raises(LakehouseError, match=r"has a schema gold_local that no sync made. Rename it, or give"):
            synced(url, lake)
        connection.execute("drop schema gold_local")
    synced(url, lake)
    check_exact(url, lake)


def test_what_others_made_on_gold_stops_another_shape_until_it_is_dropped(url: str, lake: Served) -> None:
    synced(url, lake)
    with asking(url) as connection:
        connection.execute("create schema bi; create view bi.notes as select note from gold.sales")
        connection.execute("create table gold.mine (a int); create view gold_local.mine as select * from gold.mine")
        a_day_later(lake)
        assert not synced(url, lake).anew
        another_shape(lake)
        with pytest.raises(
            LakehouseError, match=r"with it would go what others made on it: bi.notes, gold.mine, gold_local.mine. Drop"
        ):
            synced(url, lake)
        connection.execute("drop view bi.notes; drop table gold.mine cascade")
    assert synced(url, lake).anew
    check_exact(url, lake)


def test_a_table_that_somebody_dropped_is_built_again(url: str, lake: Served) -> None:
    synced(url, lake)
    with asking(url) as connection:
        connection.execute("drop view gold.big; drop table gold.sales cascade")
    assert synced(url, lake).anew
    check_exact(url, lake)


def test_a_table_that_the_release_lacks_goes_with_what_stands_on_it(url: str, lake: Served) -> None:
    synced(url, lake)
    lake.names.remove(SALES)
    lake.release()
    assert synced(url, lake).anew
    check_exact(url, lake)
    assert ask(url, "select count(*) from pg_class where relname in ('sales', 'big')") == [(0,)]


def test_a_lake_without_a_release_is_served_after_its_first(url: str, lake: Served) -> None:
    empty = replace(lake, root=f"{lake.root}_of_others", names=[])
    with pytest.raises(LakehouseError, match=r"has no release yet, so nothing to serve. `lakehouse run` makes one\."):
        synced(url, empty)
    synced(url, lake)
    check_exact(url, lake)


def test_what_conf_says_of_tables_that_are_not_so_is_named_and_corrected(url: str, lake: Served) -> None:
    path = conf_of(lake) / "tables.yml"
    for said, words in {
        "gold.none: {}": "gold.none is no table of gold",
        "gold.sales: {filtered: [[none]]}": "gold.sales: it has no column none",
        "gold.sales: {references: {note: gold.products}}": "no column note of gold.products is unique, so it cannot be",
        "gold.sales: {by_week: day_key}": "gold.sales.by_week: Extra inputs are not permitted",
        "gold.sales: [": "while parsing",
    }.items():
        path.write_text(said)
        with pytest.raises(LakehouseError, match=f"What PostgreSQL is to hold is not right:\n.*{words}"):
            synced(url, lake)
    path.write_text(IN_POSTGRES)
    synced(url, lake)
    check_exact(url, lake)


def test_an_address_that_is_none_and_one_where_nobody_answers_are_said_without_the_password(
    url: str, lake: Served
) -> None:
    with pytest.raises(
        LakehouseError, match=r"That is no URL of a PostgreSQL: postgresql://user@host:5432/database is"
    ):
        synced("postgrs//lakehouse:geheim@127.0.0.1/x", lake)
    with pytest.raises(
        LakehouseError, match=r"PostgreSQL refused what it was asked: .*password authentication failed.*\nIt holds"
    ):
        synced(url.replace("lakehouse:", "lakehouse:geheim"), lake)
    synced(url, lake)


def test_rows_that_postgresql_refuses_leave_it_as_it_was_and_corrected_ones_enter(url: str, lake: Served) -> None:
    synced(url, lake)
    lake.write(SALES, some_sales(range(3, 4)) | {"product_key": ["none"]}, ("market", "order_id"))
    lake.release()
    with pytest.raises(
        LakehouseError,
        match=r"PostgreSQL refused what it was asked: .* violates foreign key .*\(product_key\)=\(none\)",
    ):
        synced(url, lake)
    assert seen(url)[0] == (1,)
    lake.write(SALES, some_sales(range(3, 4)), ("market", "order_id"))
    lake.release()
    synced(url, lake)
    check_exact(url, lake)


def test_without_psycopg_the_command_that_adds_it_is_named() -> None:
    code = "import sys; sys.modules['psycopg'] = None; from lakehouse.serving.postgres import sync"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "by psycopg, which is not installed. Install it: `uv sync --inexact --extra postgres`." in answer.stderr


def test_without_postgresql_its_installation_is_named_and_one_that_does_not_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "OWNER", "pg_lakehouse")
    with pytest.raises(LakehouseError, match=r"PostgreSQL did not start or end: .* says: .*pg_lakehouse"):
        server.running().__enter__()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(server, "INSTALLED", f"{tmp_path}/*")
    with pytest.raises(LakehouseError, match=r"PostgreSQL is not installed here: there is no initdb. Install it"):
        server.programs()
    monkeypatch.undo()
    assert (server.programs() / "pg_ctl").exists()
