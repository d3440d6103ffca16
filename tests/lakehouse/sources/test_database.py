"""Rows of a real PostgreSQL: each with all its digits, none lost, and the server is asked for little."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from lakehouse.audit import quality
from lakehouse.delta.commits.ops import query
from lakehouse.delta.tables import progress
from lakehouse.described.database import Database
from lakehouse.errors import LakehouseError
from lakehouse.intake.deliveries import fetched as windows
from lakehouse.intake.records import ledger, schema_changes
from lakehouse.sources import due
from lakehouse.sources.windows import Landed, SourceError, Window
from tests.toy import Toy

psycopg = pytest.importorskip("psycopg", reason="needs the extra `sources`: uv sync --inexact --extra sources")

from lakehouse.sources.database import columns, snapshot  # noqa: E402  which is lacking without psycopg
from lakehouse.sources.database import rows as written  # noqa: E402  as above
from lakehouse.sources.database.fetch import Rows, source  # noqa: E402
from tests.bench import bench_database  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from psycopg import Connection

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table

pytestmark = pytest.mark.slow
PLACE = "SHOP_DATABASE"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
WHOLE = Window(None, None, NOW)
AN_HOUR, A_DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def shop(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection[Any]]:
    """Somebody else's connection: a table of three products, changed long ago, two hours ago and at no known time."""
    monkeypatch.setenv(PLACE, url.replace("postgresql://", "postgresql+psycopg://"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table products (sku text primary key, price numeric(18,2), updated_at timestamptz)")
        connection.execute("insert into products values ('A', 1.10, '2020-01-01'), ('C', 3, null)")
        connection.execute("insert into products values ('B', 2.20, now() - interval '2 hours')")
        yield connection


def rows_of(**said: Any) -> Rows:  # noqa: ANN401  what a contract says
    promise = {"url": PLACE, "table": "public.products", "watermark": "updated_at", "every": "1h"} | said
    return Rows(Database.model_validate(promise))


def fetched(rows: Rows, window: Window, landed: Sequence[Landed] = ()) -> tuple[pa.Table | None, Window]:
    """What counts of its rows, and the window as it is known afterwards."""
    pages = [(page, parquet.read_table(page.body)) for page in rows.pages(window, landed)]
    facts = pages[-1][0].facts or {}
    counted = [table for page, table in pages if page.name in facts["pages"]]
    ended = Window(window.since, window.until, window.started_at, facts)
    return pa.concat_tables(counted) if counted else None, ended


def skus(rows: pa.Table | None) -> list[str]:
    return [] if rows is None else sorted(rows["sku"].to_pylist())


def next_of(rows: Rows, done: Window, after: timedelta = AN_HOUR) -> Window:
    """The one that is due so long after another."""
    (window,) = rows.windows([done], None, None, done.started_at + after)
    return window


def all_of(rows: Rows) -> tuple[pa.Table | None, Window]:
    (window,) = rows.windows([], None, None, NOW)
    return fetched(rows, window)


SOURCES = {
    "bronze.products": (
        f"""
        owner: tests
        description: products as fetched
        write: append
        grain: [_file, _row]
        source:
          database: {{url: {PLACE}, table: public.products, every: 1h}}
          files: ["products/*.csv"]
          format: csv
          required: [sku]
        columns:
          sku: {{type: string, meaning: its code}}
          price: {{type: string, meaning: its price}}
          updated_at: {{type: string, meaning: when it changed}}
        """,
        "def build(landing):\n    return landing\n",
    ),
    "silver.products": (
        """
        owner: tests
        description: products
        write: latest
        grain: [sku]
        unit: [sku]
        full_dump: {of: [], least: 0.5}
        columns:
          sku: {type: string, meaning: its code}
          price: {type: string, meaning: its price}
          updated_at: {type: string, meaning: when it changed}
        """,
        """
        def build(bronze_products):
            return bronze_products.select("sku", "price", "updated_at", "_source")
        """,
    ),
}


def test_rows_reach_silver_with_all_their_digits_and_leave_it_when_they_are_deleted(
    shop: Connection[Any], tmp_path: Path, engine: Native
) -> None:
    toy, known = Toy(tmp_path, engine, dict(SOURCES)), os.environ[PLACE].partition("@")[0]
    toy.landing.mkdir(parents=True)
    assert run(toy) == [("A", "1.10", "2020-01-01T00:00:00Z"), ("C", "3.00", None)]
    run(toy)
    told = query(progress.address(toy.lake.root, quality.QUALITY), "select note from t where broken > 0")
    assert [*told] == []  # that nothing changed is nothing odd
    shop.execute("delete from products where sku = 'A'")
    assert run(toy) == [("C", "3.00", None)]
    secret = known.rpartition(":")[2].encode()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_columns_that_change_between_two_fetches_are_what_they_are_with_files(
    shop: Connection[Any], tmp_path: Path, engine: Native
) -> None:
    toy = Toy(tmp_path, engine, dict(SOURCES))
    toy.landing.mkdir(parents=True)
    shop.execute("alter table products add stock int default 7, add weight numeric default 1.50")
    run(toy)
    shop.execute("alter table products alter stock type text using 'many', alter price type numeric(18,4)")
    shop.execute("alter table products drop weight, add colour text default 'red'")
    assert run(toy) == [("A", "1.1000", "2020-01-01T00:00:00Z"), ("C", "3.0000", None)]
    cells = [("A", "7", "1.50", None), ("A", "many", None, "red")]
    assert toy.rows("bronze.products", "sku", "stock", "weight", "colour")[:2] == cells
    taken = schema_changes.changes(ledger.read(toy.lake.root).taken())
    told = [(one.column_name, one.change, one.before, one.after) for one in taken]
    assert sorted(told) == [
        ("colour", "new", "", ""),
        ("stock", "type", "number", "text"),
        ("weight", "vanished", "", ""),
    ]
    shop.execute("alter table products rename sku to code")
    with pytest.raises(LakehouseError, match=r"has no column sku, .*`lakehouse fetch products`"):
        run(toy)
    shop.execute("alter table products rename code to sku")
    shutil.rmtree(toy.landing / max(windows.windows(str(toy.landing), "bronze.products")))
    assert run(toy) == [("A", "1.1000", "2020-01-01T00:00:00Z"), ("C", "3.0000", None)]


def test_nobody_rewrites_a_table_between_a_look_at_its_columns_and_the_end_of_the_fetch(
    shop: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a snapshot of before, PostgreSQL shows a rewritten table as empty: all rows would be gone."""
    shop.execute("set lock_timeout = '50ms'")

    def meanwhile(*arguments: Any) -> Any:  # noqa: ANN401  as asked
        found = columns.columns_of(*arguments)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            shop.execute("alter table products alter price type text")
        return found

    monkeypatch.setattr("lakehouse.sources.database.fetch.columns_of", meanwhile)
    assert skus(all_of(rows_of())[0]) == ["A", "B", "C"]


def test_many_rows_are_several_pages_also_those_that_changed_and_of_a_view(
    shop: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "BLOCK", 1000)
    monkeypatch.setattr(written, "BLOCKS", 2)
    shop.execute("insert into products select 'S' || n, n, now() from generate_series(1, 300) n")
    shop.execute("insert into products values ('N', 'NaN', now())")  # which makes all of its part text
    shop.execute("create view all_of_them as select * from products")
    for said, window in (({}, Window(NOW - A_DAY, None, NOW)), ({"table": "public.all_of_them"}, WHOLE)):
        pages = [(page, parquet.read_table(page.body)) for page in rows_of(**said).pages(window, [])]
        names = [page.name for page, _ in pages]
        assert (len(names) > 4, names) == (True, [f"{number:06}.parquet" for number in range(1, len(pages) + 1)])
        assert [page.facts and page.facts["pages"] for page, _ in pages] == [*[None] * (len(names) - 1), names]
        assert len({sku for _, page in pages for sku in page["sku"].to_pylist()}) == 303 + (window is WHOLE)
        assert [page.rows for page, _ in pages] == [table.num_rows for _, table in pages]


@pytest.mark.long
def test_a_million_rows_and_as_many_that_changed_are_fetched_in_little_memory(
    shop: Connection[Any], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(bench_database.PLACE, url)
    shop.execute("drop table products")
    shop.execute(bench_database.MADE.format(1_000_000))
    for _ in range(2):
        rows, _, peak = bench_database.fetch_of_its_own(tmp_path / "landing")
        assert (rows, peak < 300) == (1_000_000, True), peak
        shop.execute("update products set updated_at = now()")


def run(toy: Toy) -> list[tuple[object, ...]]:
    """Fetch and load; what silver says of A and C. Raises where a delivery cannot be read."""
    tables = toy.tables()
    (done,) = due.fetch_all(str(toy.landing), due.fetched_ones(tables))
    assert not done.problem
    toy.run()
    newest, known = max(windows.windows(str(toy.landing))), ledger.read(toy.lake.root).entries
    for one in known:
        if one.delivery.path == newest and one.status == "unreadable":
            raise LakehouseError(one.reason)
    return [row for row in toy.rows("silver.products", "sku", "price", "updated_at") if row[0] != "B"]


BRANCHES = ["bronze.branches", "silver.branch_names", "bronze.stock", "silver.stock_levels"]


def test_what_the_database_says_of_all_markets_stands_beside_files_in_the_folders_of_one(
    url: str, tmp_path: Path, engine: Native, tables: dict[str, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_SHOP_DATABASE", url.replace("postgresql://", "postgresql+psycopg://"))
    toy, chosen = Toy(tmp_path, engine, {}), {name: tables[name] for name in BRANCHES}
    monkeypatch.setattr(toy, "tables", lambda: chosen)

    deliver = partial(toy.deliver, "Stock.csv", market=2, header="branch_id,sku,counted_on,on_hand")
    toy.landing.mkdir()

    def stock() -> list[tuple[object, ...]]:
        done = [*due.fetch_all(str(toy.landing), due.fetched_ones(chosen))]
        assert [one.problem for one in done] == ["", ""]
        toy.run()
        return toy.rows("silver.stock_levels", "market", "branch_id", "on_hand", "unit_price")

    with psycopg.connect(url, autocommit=True) as shop:
        shop.execute("create table branches (market int, branch_id int, branch_name text, opened_on date)")
        shop.execute("insert into branches values (1, 3, 'Westlands', '2021-11-29'), (2, 3, 'Ikeja', null)")
        shop.execute(
            "create table stock (market int, branch_id int, sku text, counted_on date, on_hand int,"
            " unit_price numeric(18,2), updated_at timestamptz default now())"
        )
        shop.execute(
            "insert into stock values (1, 3, 'A', '2022-01-03', 12, 1234.5), (2, 3, 'A', '2022-01-03', 5, null)"
        )
        deliver("3,A,2022-01-03,7", "3,B,2022-01-03,1", day=4)
        both = [(1, 3, 12, Decimal("1234.50")), (2, 3, 1, None), (2, 3, 5, None)]
        assert stock() == both  # the fetch is newer than the file, and both are of one market
        shop.execute("update stock set on_hand = 6, updated_at = now() where market = 2")
        deliver("3,A,2022-01-03,8", day=5)
        assert stock() == [*both[:2], (2, 3, 6, None)]
    assert toy.rows("silver.branch_names", "market", "branch_id", "branch_name", "opened_on") == [
        (1, 3, "Westlands", date(2021, 11, 29)),
        (2, 3, "Ikeja", None),
    ]
    deliver("3,A,2022-01-03,9", day=6)
    toy.run()  # a file alone, older than the last fetch, which is of no market
    assert toy.rows("silver.stock_levels", "market", "branch_id", "on_hand", "unit_price") == [
        *both[:2],
        (2, 3, 6, None),
    ]


CELLS = {
    "boolean": ("true", True, pa.bool_()),
    "smallint": ("-32768", -32768, pa.int16()),
    "bigint": ("9223372036854775807", 2**63 - 1, pa.int64()),
    "double precision": ("0.1", 0.1, pa.float64()),
    "real": ("'-infinity'", float("-inf"), pa.float32()),
    "numeric(38,8)": ("1.10", "1.10000000", pa.decimal128(38, 8)),
    "numeric(5,-2)": ("1200", "1200", pa.string()),
    "numeric": ("'NaN'", "NaN", pa.string()),
    "date": ("'2024-02-29'", "2024-02-29", pa.date32()),
    "timestamp": ("'2024-02-29 23:59:59.999999'", "2024-02-29 23:59:59.999999", pa.timestamp("us")),
    "timestamptz": ("'2024-03-01 01:30:00+03'", "2024-02-29 22:30:00.000000Z", pa.timestamp("us", "UTC")),
    "bytea": (r"'\x00ff'", b"\x00\xff", pa.binary()),
    "text": ("E'a\"b,\\n\\\\N'", 'a"b,\n\\N', pa.string()),
    "varchar(3)": ("''", "", pa.string()),
    "jsonb": ("""'{"a": 1.50}'""", '{"a": 1.50}', pa.string()),
    "numeric(9,2)[]": ("array[1.50, null]", "[1.50,null]", pa.string()),
    "interval": ("'1 day'", "1 day", pa.string()),
    "small": ("'t'", True, pa.bool_()),
}


def test_each_cell_has_its_type_and_all_its_digits(shop: Connection[Any]) -> None:
    shop.execute("create domain small as boolean")
    shop.execute("drop table products")
    shop.execute(f"create table products ({', '.join(f'c{n} {kind}' for n, kind in enumerate(CELLS))})")
    shop.execute(f"insert into products values ({', '.join(cell for cell, *_ in CELLS.values())})")
    shop.execute("insert into products default values")
    rows, _ = all_of(rows_of(watermark=None))
    assert rows is not None
    assert rows.schema.types == [kind for *_, kind in CELLS.values()]
    cells = [cell.cast(pa.string()) if pa.types.is_temporal(cell.type) else cell for cell in rows.columns]
    first, nothing = zip(*(cell.to_pylist() for cell in cells), strict=True)
    assert [*map(str, first)] == [str(cell) for _, cell, _ in CELLS.values()]
    assert set(nothing) == {None}


def test_values_that_arrow_does_not_know_are_text(shop: Connection[Any]) -> None:
    shop.execute("alter table products add valid_from date default '2024-02-29'")
    shop.execute("insert into products values ('N', 'NaN', 'infinity', '-infinity')")
    rows, _ = all_of(rows_of())
    assert rows is not None
    assert rows.sort_by("sku").slice(2).to_pylist() == [
        {"sku": "C", "price": "3.00", "updated_at": None, "valid_from": "2024-02-29"},
        {"sku": "N", "price": "NaN", "updated_at": "infinity", "valid_from": "-infinity"},
    ]
    assert rows.sort_by("sku")["updated_at"][0].as_py() == "2020-01-01T00:00:00Z"


def test_all_rows_are_read_side_by_side_as_they_were_at_one_moment(
    shop: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "BLOCKS", 1)
    shop.execute("insert into products select 'S' || n, n, now() from generate_series(1, 2000) n")

    def changed_meanwhile(*arguments: Any) -> Any:  # noqa: ANN401  as asked
        found = columns.columns_of(*arguments)
        shop.execute("update products set sku = 'X' || sku where sku like 'S1%'")
        return found

    monkeypatch.setattr("lakehouse.sources.database.fetch.columns_of", changed_meanwhile)
    seen, found = list[int](), list[str]()
    for page in rows_of(connections=3).pages(Window(None, None, NOW), []):
        found += parquet.read_table(page.body)["sku"].to_pylist()
        ours = "select count(*) from pg_stat_activity where application_name = 'lakehouse fetch'"
        seen += [count for (count,) in shop.execute(ours)]
    assert sorted(found) == sorted(["A", "B", "C", *(f"S{n}" for n in range(1, 2001))])
    assert (len(seen) > 9, max(seen)) == (True, 3)
    assert shop.execute("select count(*) from products where sku like 'XS%'").fetchone() != (0,)


@pytest.mark.parametrize(
    "made",
    [
        "create view all_of_them as select * from products",
        "create materialized view all_of_them as select * from products",
        """create table all_of_them (like products) partition by list (sku);
        create table a partition of all_of_them for values in ('A');
        create table others partition of all_of_them default; insert into all_of_them select * from products""",
    ],
    ids=["view", "materialized view", "partitioned table"],
)
def test_what_only_looks_like_a_table_is_read_as_one(
    shop: Connection[Any], monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    monkeypatch.setattr(snapshot, "BLOCKS", 1)
    for statement in made.split(";"):
        shop.execute(statement)
    assert skus(all_of(rows_of(table="public.all_of_them"))[0]) == ["A", "B", "C"]


def test_what_changed_is_read_from_the_bound_on_and_what_has_no_time(shop: Connection[Any]) -> None:
    rows = rows_of()
    _, done = all_of(rows)
    shop.execute("update products set price = 9, updated_at = now() where sku = 'A'")
    assert skus(fetched(rows, next_of(rows, done))[0]) == ["A", "C"]


def test_a_row_at_the_very_bound_is_read_again(shop: Connection[Any]) -> None:
    rows = rows_of(overlap="1s")
    _, done = all_of(rows)
    bound = datetime.fromisoformat(done.facts["upper"])
    shop.execute("insert into products values ('T', 1, %s), ('U', 1, %s)", [bound, bound - timedelta(seconds=1)])
    shop.execute("insert into products values ('V', 1, %s)", [bound - timedelta(microseconds=1_000_001)])
    assert skus(fetched(rows, next_of(rows, done))[0]) == ["C", "T", "U"]


@pytest.mark.usefixtures("shop")
def test_what_a_transaction_brings_that_was_open_during_two_fetches_is_not_lost(url: str) -> None:
    rows = rows_of(overlap="1s")
    with psycopg.connect(url) as long:
        long.execute("insert into products values ('L', 1, now())")
        began = long.execute("select now()").fetchone()
        _, done = all_of(rows)
        again, done = fetched(rows, next_of(rows, done))
        assert (datetime.fromisoformat(done.facts["upper"]),) == began
        assert skus(again) == ["C"]
    assert skus(fetched(rows, next_of(rows, done))[0]) == ["C", "L"]


def test_what_was_prepared_began_no_longer_ago_than_the_contract_says(shop: Connection[Any]) -> None:
    for statement in ("begin", "insert into products values ('P', 1, now())", "prepare transaction 'one'"):
        shop.execute(statement)
    with pytest.raises(SourceError, match="longest_transaction"):
        all_of(rows_of())
    _, done = all_of(rows_of(longest_transaction="1h"))
    shop.execute("rollback prepared 'one'")
    assert datetime.fromisoformat(done.facts["upper"]) < datetime.now(UTC) - AN_HOUR + timedelta(minutes=5)


def test_a_role_that_sees_no_others_needs_to_know_how_long_they_last(
    shop: Connection[Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.execute("drop role if exists reader")
    shop.execute("create role reader login password 'canary-of-a-reader'")
    shop.execute("grant select on products to reader")
    monkeypatch.setenv(PLACE, f"postgresql://reader:canary-of-a-reader@{url.rpartition('@')[2]}")
    with pytest.raises(SourceError, match="Grant it pg_read_all_stats"):
        all_of(rows_of())
    _, done = all_of(rows_of(longest_transaction="2h"))
    assert datetime.fromisoformat(done.facts["upper"]) < datetime.now(UTC) - AN_HOUR
    shop.execute("grant pg_read_all_stats to reader")
    _, done = all_of(rows_of())
    assert datetime.fromisoformat(done.facts["upper"]) > datetime.now(UTC) - AN_HOUR


def test_rows_with_an_old_time_and_rows_that_are_gone_are_found_by_a_comparison(shop: Connection[Any]) -> None:
    rows = rows_of(compare="1d")
    _, done = all_of(rows)
    shop.execute("insert into products values ('O', 1, '2019-01-01')")
    shop.execute("delete from products where sku = 'A'")
    again, later = fetched(rows, next_of(rows, done))
    assert skus(again) == ["C"]
    due, at = next_of(rows, later, A_DAY), later.started_at + A_DAY
    assert rows.said.costs(later.facts, at) == "all rows of public.products are read once"
    assert rows.said.costs(later.facts, at - A_DAY) == ""
    assert (due.since, due.until) == (None, None)
    assert skus(fetched(rows, due)[0]) == ["B", "C", "O"]


def test_a_table_in_which_nothing_changed_is_not_delivered_again(shop: Connection[Any]) -> None:
    rows = rows_of(watermark=None)
    _, done = all_of(rows)
    same, done = fetched(rows, next_of(rows, done))
    assert same is None
    shop.execute("update products set price = 9 where sku = 'A'")
    assert skus(fetched(rows, next_of(rows, done))[0]) == ["A", "B", "C"]


@pytest.mark.usefixtures("shop")
def test_a_fetch_that_was_killed_begins_again_and_counts_no_page_of_before() -> None:
    rows = rows_of()
    found, ended = fetched(rows, Window(None, None, NOW), [Landed("000001.parquet", {}), Landed("000002.parquet", {})])
    assert (skus(found), ended.facts["pages"]) == (["A", "B", "C"], ["000003.parquet"])
    found, _ = fetched(rows, ended, [Landed("000003.parquet", {})])  # killed behind its last page
    assert skus(found) == ["A", "B", "C"]


@pytest.mark.usefixtures("shop")
def test_rows_are_delivered_again_that_are_as_they_were_before_others_were_delivered() -> None:
    rows = rows_of(compare="1d")
    _, whole = all_of(rows)
    changed, done = fetched(rows, next_of(rows, whole))
    assert skus(changed) == ["C"]
    assert skus(fetched(rows, next_of(rows, done, A_DAY))[0]) == ["A", "B", "C"]
    asked = Window(NOW - A_DAY, None, NOW + AN_HOUR)
    (window,) = rows.windows([whole, asked], None, None, NOW + 2 * A_DAY)
    assert skus(fetched(rows, window)[0]) == ["A", "B", "C"]


@pytest.mark.usefixtures("shop")
def test_a_time_that_somebody_asks_for_is_read_and_moves_no_bound() -> None:
    rows = rows_of()
    _, done = all_of(rows)
    (asked,) = rows.windows([done], datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC), NOW + AN_HOUR)
    found, asked = fetched(rows, asked)
    assert skus(found) == ["A", "C"]
    (window,) = rows.windows([done, asked], None, None, NOW + AN_HOUR)
    assert (window.facts["upper"], "digest" in window.facts) == (done.facts["upper"], False)


def test_a_time_without_a_zone_is_in_the_contracts(shop: Connection[Any]) -> None:
    rows = rows_of(zone="Africa/Nairobi")
    shop.execute("alter table products alter updated_at type timestamp")
    _, done = all_of(rows)
    bound = datetime.fromisoformat(done.facts["upper"]).replace(tzinfo=None)
    shop.execute("insert into products values ('N', 1, %s), ('O', 1, %s)", [bound + 3 * AN_HOUR, bound + 2 * AN_HOUR])
    assert skus(fetched(rows, next_of(rows, done))[0]) == ["C", "N"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"table": "public.nothing"}, "The database has no table public.nothing"),
        ({"columns": ["sku", "weight", "updated_at"]}, "The table has no column weight; it has sku, price, updated_at"),
        ({"watermark": "sku"}, "sku is no column of type timestamp"),
        (
            {"timeout": "1s", "table": "public.slow"},
            "statement timeout\nNothing of this fetch counts",
        ),
        ({"table": "public.writes"}, "read-only transaction"),
        ({"url": "NOT_SET"}, "NOT_SET is not set"),
    ],
)
def test_what_cannot_be_read_is_said(shop: Connection[Any], said: dict[str, Any], words: str) -> None:
    shop.execute("create view slow as select *, pg_sleep(30)::text as waited from products")
    shop.execute("create sequence s")
    shop.execute("create view writes as select *, nextval('s') from products")
    rows = rows_of(**said)
    with pytest.raises(LakehouseError, match=words):
        fetched(rows, Window(NOW - A_DAY, None, NOW))
    assert skus(fetched(rows_of(), Window(NOW - A_DAY, None, NOW))[0]) == ["B", "C"]


def test_a_table_of_files_is_fetched_from_no_database(tables: dict[str, Table]) -> None:
    with pytest.raises(SourceError, match=r"bronze\.orders is fetched from no database"):
        source("bronze.orders", tables["bronze.orders"].contract)
    assert rows_of().windows([], None, None, NOW)


@pytest.mark.parametrize("wrong", ["canary-7431@127.0.0.1:1/shop", "canary-7431@/shop?pasword=canary-7431&port=x"])
def test_a_password_is_in_no_error(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv(PLACE, f"postgresql+psycopg://shop:{wrong}")
    with pytest.raises(LakehouseError) as raised:
        fetched(rows_of(), Window(None, None, NOW))
    behind = [raised.value, raised.value.__cause__, raised.value.__context__]
    assert not [one for one in behind if "canary-7431" in f"{one} {one!r}"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"url": "postgresql://shop:canary@host/shop"}, "never the URL"),
        ({"table": "products; drop table x"}, "is no table with its schema"),
        ({"columns": ['sku" from x --']}, "is no name of a column"),
        ({"columns": ["sku"]}, "watermark: 'updated_at' is not one of the columns"),
        ({"watermark": None, "compare": "1d"}, "watermark: is missing; without one say `every: 1d`"),
        ({"zone": "Nairobi"}, "is no time zone"),
    ],
)
def test_a_contract_that_cannot_be_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rows_of(**said)
    assert rows_of(columns=["sku", "updated_at"], zone="Africa/Nairobi").said.table == "public.products"
