"""End to end on the real exports, on a folder and on MinIO: every number of data.md, and a recomputation by DuckDB."""

from __future__ import annotations

import csv
import io
import os
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse import minio, storage
from lakehouse.lake import Lake
from lakehouse.run import Report, Run
from tests.oracle.recompute import numbers, recompute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from lakehouse.graph import Table

pytestmark = pytest.mark.slow
GOLD = {"gold.customer_metrics": ["market", "customer_id"], "gold.daily_sales": ["market", "order_date"]}


@pytest.fixture(scope="module")
def landing(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, since the later tests deliver more files."""
    return shutil.copytree(shared, tmp_path_factory.mktemp("real") / "landing", copy_function=shutil.copyfile)


@pytest.fixture(scope="module")
def lake(landing: Path) -> Lake:
    return Lake(str(landing.parent / "lake"))


def _run(lake: Lake, landing: Path | str, tables: dict[str, Table], spark: SparkSession) -> Report:
    return Run(lake.root, str(landing), tables, session=spark).execute(tables)


def _versions(lake: Lake, tables: dict[str, Table]) -> dict[str, int]:
    return {name: state.version for name in tables if (state := lake.state(name))}


def _rows(lake: Lake, spark: SparkSession, name: str, key: list[str]) -> list[dict[str, Any]]:
    return [row.asDict() for row in lake.read(spark, name).orderBy(*key).collect()]


@pytest.fixture(scope="module")
def first(lake: Lake, landing: Path, tables: dict[str, Table], spark: SparkSession) -> Report:
    return _run(lake, landing, tables, spark)


def test_every_row_is_in_one_place_and_the_known_dirt_is_counted(first: Report) -> None:
    done = {one.decision.table: one for one in first.done}
    lines, items = done["silver.order_lines"], done["silver.delivery_items"]
    assert (lines.rows_in, lines.counts["rows"]["kept"], lines.counts["rows"]["duplicate"]) == (13_671, 13_666, 5)
    assert (items.rows_in, items.counts["rows"]["kept"], items.counts["repaired"]) == (
        53_002,
        53_002,
        {"comma_shifted": 109},
    )
    assert done["silver.orders"].counts["warned"] == {
        "completed_orders_earn_points": 7,
        "only_completed_orders_earn_points": 1,
    }
    assert first.found.ignored == ("stores/dataset_sample.csv",)


@pytest.mark.usefixtures("first")
def test_the_numbers_to_meet(lake: Lake, spark: SparkSession, landing: Path) -> None:
    counts = {
        "customers": "select market, count(*) from customers group by 1",
        "order_rows_after_duplicates": "select market, count(*) from order_lines group by 1",
        "orders": "select market, count(*) from orders group by 1",
        "completed_orders": "select market, count_if(order_status = 'COMPLETED') from orders group by 1",
        "completed_total": "select market, sum(order_total) from orders where order_status = 'COMPLETED' group by 1",
        "order_total": "select market, sum(order_total) from orders group by 1",
        "delivery_rows": "select market, count(*) from delivery_items group by 1",
        "tasks": "select market, count(*) from deliveries group by 1",
    }
    for table in ("customers", "order_lines", "orders", "delivery_items", "deliveries"):
        lake.read(spark, f"silver.{table}").createOrReplaceTempView(table)
    met = {name: dict(map(tuple, spark.sql(query).collect())) for name, query in counts.items()}
    assert met == {
        "customers": {1: 4_177, 2: 1_095},
        "order_rows_after_duplicates": {1: 12_240, 2: 1_426},
        "orders": {1: 3_451, 2: 944},
        "completed_orders": {1: 3_193, 2: 761},
        "completed_total": {1: Decimal("31415898.46"), 2: Decimal("86249302.90")},
        "order_total": {1: Decimal("34185956.22"), 2: Decimal("104145984.90")},
        "delivery_rows": {1: 44_983, 2: 8_019},
        "tasks": {1: 19_770, 2: 5_427},
    }
    by_duckdb = numbers(landing)
    assert {name: {market: by_duckdb[market][name] for market in (1, 2)} for name in met} == met


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("name", GOLD)
def test_gold_equals_the_recomputation_by_duckdb_row_by_row(
    lake: Lake, spark: SparkSession, landing: Path, name: str
) -> None:
    _assert_equals_duckdb(lake, spark, landing, name)


def _assert_equals_duckdb(lake: Lake, spark: SparkSession, landing: Path, name: str) -> None:
    expected = recompute(landing, name.removeprefix("gold."))
    found = [{column: row[column] for column in expected[0]} for row in _rows(lake, spark, name, GOLD[name])]
    assert len(found) == len(expected) > 90
    assert found == expected


@pytest.mark.usefixtures("first")
def test_a_second_run_commits_nothing(lake: Lake, landing: Path, tables: dict[str, Table], spark: SparkSession) -> None:
    before = {path for path in (landing.parent / "lake").rglob("*") if path.is_file()}
    report = _run(lake, landing, tables, spark)
    assert {one.decision.path for one in report.done} == {"nothing"}
    assert {path for path in (landing.parent / "lake").rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("first")
def test_a_changed_order_and_a_removed_line_change_exactly_that_order(
    lake: Lake, landing: Path, tables: dict[str, Table], spark: SparkSession
) -> None:
    """Market 2's orders delivered later under another name, one order changed in total and one of its lines gone."""
    market = landing / "market_2"
    header, *rows = csv.reader(io.StringIO((market / "Market 2 Orders.csv").read_text(encoding="utf-8"), newline=""))
    changed = rows[0][0]
    kept = [row for place, row in enumerate(rows) if place != 1 or row[0] != changed]
    assert len(kept) == len(rows) - 1
    for row in kept:
        if row[0] == changed:
            row[header.index("Order Total")] = row[header.index("Sub Total")] = row[header.index("Total Price")]
    with (market / "Orders of Tuesday.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *kept])
    before = _versions(lake, tables)
    report = _run(lake, landing, tables, spark)
    done = {one.decision.table: one.counts.get("rows", {}) for one in report.done}
    assert done["silver.order_lines"] == {"kept": 1, "unchanged": 1_424, "duplicate": 3, "rejected": 0, "superseded": 0}
    for name in ("silver.order_lines", "silver.orders", "silver.sales"):
        assert _changed(lake, spark, name, before[name], "order_id") == {int(changed)}
    assert len(_changed(lake, spark, "gold.daily_sales", before["gold.daily_sales"], "order_date")) == 1
    assert _versions(lake, tables)["silver.customers"] == before["silver.customers"]
    for name in GOLD:
        _assert_equals_duckdb(lake, spark, landing, name)


def _changed(lake: Lake, spark: SparkSession, name: str, since: int, column: str) -> set[object]:
    feed = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", since + 1)
    return {row[0] for row in feed.load(lake.spark_address(name)).select(column).distinct().collect()}


@pytest.mark.usefixtures("first")
def test_a_new_column_appears_in_bronze_and_changes_nothing_else(
    lake: Lake, landing: Path, tables: dict[str, Table], spark: SparkSession
) -> None:
    market = landing / "market_1"
    header, *rows = csv.reader(io.StringIO((market / "Market 1 Orders.csv").read_text(encoding="utf-8"), newline=""))
    document = [row for row in rows if row[0] == rows[0][0]]
    with (market / "Orders with channel.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*header, "Sales Channel"], *([*row, "app"] for row in document)])
    before = _versions(lake, tables)
    old_rows = lake.read(spark, "bronze.orders").count()
    _run(lake, landing, tables, spark)
    bronze = lake.read(spark, "bronze.orders")
    assert [tuple(row) for row in bronze.groupBy("sales_channel").count().orderBy("sales_channel").collect()] == [
        (None, old_rows),
        ("app", len(document)),
    ]
    moved = {name for name, version in _versions(lake, tables).items() if version != before[name]}
    assert moved == {"bronze.orders", "silver.order_lines"}  # silver notes that it has seen the rows; no data changes


@pytest.fixture(scope="module")
def on_minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[minio.Account]:
    """A store of its own, as its restricted user; stopped by the test that started it."""
    server = minio.start(tmp_path_factory.mktemp("minio") / "data")
    minio.ensure_bucket(server)
    _, writer = minio.reader_and_writer(server)
    before = dict(os.environ)
    os.environ.update(writer.environment())
    yield writer
    os.environ.clear()
    os.environ.update(before)
    minio.stop(server.folder)


def test_the_same_exports_on_minio_give_equal_tables(
    on_minio: minio.Account, shared: Path, tables: dict[str, Table], spark: SparkSession
) -> None:
    """Landing and lake on S3, through the same session; its S3 settings are those of this store."""
    for file in storage.list_files(str(shared)):
        storage.client().upload_file(str(shared / file.path), minio.BUCKET, f"landing/{file.path}")
    hadoop: Any = spark.sparkContext._jsc.hadoopConfiguration()  # noqa: SLF001
    hadoop.set("fs.s3a.endpoint", on_minio.endpoint)
    hadoop.set("fs.s3a.access.key", on_minio.access_key)
    hadoop.set("fs.s3a.secret.key", on_minio.secret_key)
    lake = Lake(f"s3://{minio.BUCKET}/tables")
    report = _run(lake, f"s3://{minio.BUCKET}/landing", tables, spark)
    assert len(report.done) == len(tables)
    for name in GOLD:
        _assert_equals_duckdb(lake, spark, shared, name)
    again = _run(lake, f"s3://{minio.BUCKET}/landing", tables, spark)
    assert {one.decision.path for one in again.done} == {"nothing"}
