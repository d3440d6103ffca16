"""End to end on the real exports, on a folder and on MinIO: every number of data.md, and a recomputation by DuckDB."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse import graph
from lakehouse.delta.files import feed
from lakehouse.store import minio, storage
from lakehouse.writes.lake import Lake
from tests import real
from tests.oracle.recompute import numbers, recompute_all
from tests.oracle.recompute import tables as recomputed
from tests.real import BUYERS, OF_EACH_KIND

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table
    from tests.real import Built

    Recomputed = dict[str, list[dict[str, object]]]

pytestmark = pytest.mark.slow
GOLD = [name for name in real.filled() if name.startswith("gold.")]
# What must be the same sum, however it is reached, by market and day, and by market: (of which table, what).
COMPLETED = "filter (where order_status = 'COMPLETED')"
CANCELLED = "filter (where order_status = 'CANCELLED')"
OPEN = "filter (where order_status not in ('COMPLETED', 'CANCELLED'))"
SALES = ("daily_sales", "weekly_sales", "hourly_demand")  # which have every measure of sales
TOTALS = (*SALES, "customer_rfm", "customer_cohorts", "market_comparison_utc")
DAYS_OF_LINES = (
    "calendar_date as order_date, is_completed, quantity, line_total, line_margin"
    " from (select * from fact_sales where taken_from = 'exports') join dim_date using (date_key)"
)
LINES = f"(select market, {DAYS_OF_LINES})"
LINES_OF_PRODUCTS = f"(select dim_product.market, {DAYS_OF_LINES} join dim_product using (product_key))"
LINES_OF_CUSTOMERS = f"(select dim_customer.market, {DAYS_OF_LINES} join dim_customer using (customer_key))"
COHORTS = (  # what each is worth at its last age: a margin may be negative, so that is not the highest
    "(select market, max_by(cumulative_revenue, age_months) as revenue, max_by(cumulative_margin, age_months) as margin"
    " from customer_value group by market, cohort_month)"
)
ROADS = {
    "market, order_date": [
        ("daily_sales", "sum(revenue)"),
        ("daily_sales", "sum(gross_revenue - points_value + pay_later_surcharge)"),
        ("payment_mix", "sum(revenue)"),
        ("market_comparison", "sum(revenue)"),
        ("order_reconciliation", f"coalesce(sum(order_total) {COMPLETED}, 0)"),
    ],
    "market, order_date, 'gross'": [
        ("daily_sales", "sum(gross_revenue)"),
        ("category_daily", "sum(gross_revenue)"),
        *(
            (lines, "coalesce(sum(line_total) filter (where is_completed), 0)")
            for lines in (LINES, LINES_OF_PRODUCTS, LINES_OF_CUSTOMERS)
        ),
    ],
    "market, order_date, 'surcharge'": [
        ("daily_sales", "sum(pay_later_surcharge)"),
        ("payment_mix", "sum(pay_later_surcharge)"),
        (
            "order_reconciliation",  # where it is 2 % of the lines, so with what differs from that
            f"coalesce(sum(surcharge + total_difference - lines_difference) {COMPLETED}, 0)",
        ),
    ],
    "market, order_date, 'points'": [
        ("daily_sales", "sum(points_value)"),
        ("order_reconciliation", f"coalesce(sum(points_value) {COMPLETED}, 0)"),
    ],
    "market, order_date, 'cancelled'": [
        ("daily_sales", "sum(cancelled_value)"),
        ("order_status_daily", "sum(cancelled_value)"),
        ("order_reconciliation", f"coalesce(sum(order_total) {CANCELLED}, 0)"),
    ],
    "market, order_date, 'open'": [
        ("daily_sales", "sum(open_value)"),
        ("order_status_daily", "sum(open_value)"),
        ("order_reconciliation", f"coalesce(sum(order_total) {OPEN}, 0)"),
    ],
    "market, order_date, 'units'": [
        ("daily_sales", "sum(completed_units)"),
        ("category_daily", "sum(completed_units)"),
        (LINES, "coalesce(sum(quantity) filter (where is_completed), 0)"),
    ],
    "market, order_date, 'margin'": [
        ("category_daily", "sum(margin)"),
        (LINES, "coalesce(sum(line_margin) filter (where is_completed), 0)"),
    ],
    "market": [
        *((name, "sum(revenue)") for name in TOTALS),
        ("customer_metrics", "sum(total_order_amount)"),
        ("customer_windows", "sum(total_order_amount)"),
        (COHORTS, "sum(revenue)"),
    ],
    "market, 'gross'": [(name, "sum(gross_revenue)") for name in (*SALES, "products", "product_abc")],
    "market, 'surcharge'": [(name, "sum(pay_later_surcharge)") for name in SALES],
    "market, 'points'": [
        *((name, "sum(points_value)") for name in SALES),
        ("loyalty_points", "sum(redeemed_value)"),
    ],
    "market, 'units'": [
        *((name, "sum(completed_units)") for name in (*SALES, "products")),
        ("customer_metrics", "sum(total_quantity_ordered)"),
        ("customer_windows", "sum(total_quantity_ordered)"),
    ],
    "market, 'margin'": [
        ("products", "sum(margin)"),
        ("category_daily", "sum(margin)"),
        (COHORTS, "sum(margin)"),
    ],
}


@pytest.fixture(scope="module")
def changing(lake_by_native: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A copy of the lake and of its landing, where tests deliver more."""
    folder = tmp_path_factory.mktemp("changing")
    landing = shutil.copytree(lake_by_native.landing, folder / "landing")
    shutil.copytree(lake_by_native.lake.root, folder / "lake")
    return replace(lake_by_native, lake=Lake(str(folder / "lake")), landing=landing)


def test_every_row_is_in_one_place_and_the_known_dirt_is_counted(lake_by_native: Built) -> None:
    first = lake_by_native.report
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
    assert first.found.ignored == ()
    of_lines = [one for one in first.measures if one.table_name == "silver.order_lines"]
    by_market = {one.market: (one.checked, one.broken) for one in of_lines if one.name == "order_id_is_readable"}
    assert by_market == {1: (12_240, 0), 2: (1_426, 0)}


def test_the_numbers_to_meet(lake_by_native: Built, engine: Native) -> None:
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
        view(engine, lake_by_native.lake, f"silver.{table}").createOrReplaceTempView(table)
    met = {name: dict(map(tuple, engine.spark.sql(query).collect())) for name, query in counts.items()}
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
    by_duckdb = numbers(lake_by_native.landing)
    assert {name: {market: by_duckdb[market][name] for market in (1, 2)} for name in met} == met


# As published, of the same 1,000 stores: days of a lifespan; cash; active, new and uninstalled.
LIFESPANS = {
    "Store_5407": 947,
    "Store_5125": 288,
    "Store_5168": 464,
    "Store_5133": 25,
    "Store_4882": 2,
    "Store_4902": 0,
}
CASH = {
    "05-04": "19.0",
    "05-08": "29.0",
    "05-09": "148.2",
    "05-10": "218.0",
    "05-16": "308.2",
    "05-17": "211.0",
    "05-26": "601.0",
}
STORES = {
    "04-29": (3, 7, 2),
    "04-30": (2, 14, 1),
    "05-04": (8, 43, 9),
    "05-10": (11, 33, 6),
    "05-16": (9, 33, 10),
    "05-18": (8, 37, 7),
}


def test_the_published_numbers_of_stores_are_met_to_the_digit(lake_by_native: Built) -> None:
    names = ("gold.store_lifespan", "gold.subscription_revenue_daily", "gold.store_activity_daily")
    lives, revenue, activity = (_rows(lake_by_native.lake, name) for name in names)
    of_store = {row["store_id"]: row for row in lives}
    assert {name: of_store[name]["published_lifespan_days"] for name in LIFESPANS} == LIFESPANS
    days = [str(of_store["Store_5407"][f"published_{name}_date"]) for name in ("from", "until")]
    assert days == ["2022-05-30", "2025-01-01"]
    of_day = {str(row["revenue_date"])[5:]: row for row in revenue if row["revenue_date"].year == 2022}
    assert {day: of_day[day]["published_revenue"] for day in CASH} == {day: Decimal(cash) for day, cash in CASH.items()}
    # what the code printed with them gives on the whole data
    assert [of_day[day]["cash_revenue"] for day in ("05-17", "05-26")] == [Decimal("310.0"), Decimal("616.2")]
    states = {str(row["activity_date"])[5:]: row for row in activity if row["activity_date"].year == 2022}
    columns = ("published_active", "published_new", "published_uninstall")
    assert {day: tuple(states[day][name] for name in columns) for day in STORES} == STORES


def test_what_stores_md_says_of_the_difference_is_so(lake_by_native: Built) -> None:
    names = ("gold.store_lifespan", "gold.subscription_revenue_daily", "gold.store_activity_daily")
    lives, revenue, activity = (_rows(lake_by_native.lake, name) for name in names)
    days = [(row["published_lifespan_days"], row["lifespan_days"], row["away_days"]) for row in lives]
    published, real, away = zip(*days, strict=True)
    assert (sum(published), sum(real), published.count(0), sum(away), away.count(0)) == (
        419_544,
        366_117,
        154,
        18_139,
        840,
    )
    assert (sum(row["is_installed"] for row in lives), str(lives[0]["as_of"])) == (324, "2024-09-11")
    amounts = [
        str(sum(row[name] for row in revenue)) for name in ("published_revenue", "cash_revenue", "accrued_revenue")
    ]
    assert amounts == ["12988.80", "25173.55", "25173.5500"]
    [until_then] = [row for row in revenue if str(row["revenue_date"]) == "2024-08-12"]
    assert (until_then["active_subscriptions"], sum(row["provisional_ends"] for row in revenue)) == (172, 172)
    measures = ("new_stores", "churned_stores", "reactivated_stores", "published_uninstall")
    assert [sum(row[name] for row in activity) for name in measures] == [1_000, 882, 206, 181]
    most = max(activity, key=lambda row: row["active_stores"])
    assert (str(most["activity_date"]), most["active_stores"]) == ("2022-05-30", 680)


def test_every_delivered_interval_of_a_store_is_in_one_that_is_merged(lake_by_native: Built) -> None:
    for name, delivered, merged in (("installs", 1_470, 1_206), ("subscriptions", 528, 527)):
        intervals = [row["delivered_intervals"] for row in _rows(lake_by_native.lake, f"silver.store_{name}")]
        assert (sum(intervals), len(intervals)) == (delivered, merged)


@pytest.fixture(scope="module")
def by_duckdb(real_exports: Path) -> Recomputed:
    return recompute_all(real_exports, [name.removeprefix("gold.") for name in GOLD])


def test_every_gold_table_has_a_recomputation() -> None:
    assert set(recomputed()) == {name.removeprefix("gold.") for name in graph.load() if name.startswith("gold.")}


@pytest.mark.parametrize("name", GOLD)
def test_gold_equals_the_recomputation_by_duckdb_row_by_row(
    lake_by_native: Built, by_duckdb: Recomputed, tables: dict[str, Table], name: str
) -> None:
    _assert_equals_duckdb(lake_by_native.lake, by_duckdb, tables[name])


def _assert_equals_duckdb(lake: Lake, by_duckdb: Recomputed, table: Table) -> None:
    """Every column of the contract but partitions, which only repeat another column."""
    expected, grain = by_duckdb[table.name.removeprefix("gold.")], list(table.contract.grain)
    assert expected
    assert set(table.contract.columns) - set(expected[0]) <= {"order_month"}
    found = [{column: row[column] for column in expected[0]} for row in _rows(lake, table.name)]
    assert sorted(found, key=_key(grain)) == sorted(expected, key=_key(grain)), table.name


def _rows(lake: Lake, name: str) -> list[dict[str, Any]]:
    """Read from files, by no engine; times without a zone, as DuckDB has them."""
    rows = feed.read(lake.address(name)).to_pylist()
    return [{column: _plain(value) for column, value in row.items()} for row in rows]


def _plain(value: object) -> object:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _key(grain: list[str]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    return lambda row: tuple(row[name] for name in grain)


def test_the_oracle_was_asked_about_rates_and_about_customers_who_change(by_duckdb: Recomputed) -> None:
    assert sum(not row["is_rate_missing"] for row in by_duckdb["market_comparison"]) == 3
    changed = {row["customer_key"] for row in by_duckdb["dim_customer"] if row["customer_id"] in BUYERS}
    sold = {row["customer_key"] for row in by_duckdb["fact_sales"]}
    assert (len(changed), len(changed & sold)) == (9, 9)


@pytest.mark.parametrize("by", ROADS)
def test_every_road_to_a_sum_leads_to_the_same(lake_by_native: Built, engine: Native, by: str) -> None:
    for name in GOLD:
        view(engine, lake_by_native.lake, name).createOrReplaceTempView(name.removeprefix("gold."))
    columns = ", ".join(one for one in by.split(", ") if not one.startswith("'"))
    queries = [f"select {by}, {what} from {table} group by {columns}" for table, what in ROADS[by]]
    first, *others = [sorted(map(tuple, engine.spark.sql(query).collect())) for query in queries]
    assert first
    assert others == [first] * len(others)


def test_a_second_run_commits_nothing(lake_by_native: Built, engine: Native) -> None:
    before = {path for path in Path(lake_by_native.lake.root).rglob("*") if path.is_file()}
    report = lake_by_native.run(engine)
    assert {one.decision.path for one in report.done} == {"nothing"}
    assert {path for path in Path(lake_by_native.lake.root).rglob("*") if path.is_file()} == before


def test_a_changed_order_and_a_removed_line_change_exactly_that_order(changing: Built, engine: Native) -> None:
    """Market 2's orders delivered later under another name, one order changed in total and one of its lines gone."""
    market = changing.landing / "market_2"
    header, *rows = csv.reader(io.StringIO((market / "Market 2 Orders.csv").read_text(encoding="utf-8"), newline=""))
    changed = rows[0][0]
    kept = [row for place, row in enumerate(rows) if place != 1 or row[0] != changed]
    assert len(kept) == len(rows) - 1
    for row in kept:
        if row[0] == changed:
            row[header.index("Order Total")] = row[header.index("Sub Total")] = row[header.index("Total Price")]
    with (market / "Orders of Tuesday.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *kept])
    before = changing.versions()
    report = changing.run(engine)
    done = {one.decision.table: one.counts.get("rows", {}) for one in report.done}
    assert done["silver.order_lines"] == {"kept": 1, "unchanged": 1_424, "duplicate": 3, "rejected": 0, "superseded": 0}
    for name in ("silver.order_lines", "silver.orders", "silver.sales"):
        assert _changed(changing, name, before[name], "order_id") == {int(changed)}
    assert len(_changed(changing, "gold.daily_sales", before["gold.daily_sales"], "order_date")) == 1
    assert changing.versions()["silver.customers"] == before["silver.customers"]
    again = recompute_all(changing.landing, [name.removeprefix("gold.") for name in GOLD])
    for name in GOLD:
        _assert_equals_duckdb(changing.lake, again, changing.tables[name])


def _changed(built: Built, name: str, since: int, column: str) -> set[object]:
    changes = feed.changes(built.lake.address(name), since, built.versions()[name], [column])
    return set(changes.column(column).to_pylist())


def test_a_new_column_appears_in_bronze_and_changes_nothing_else(changing: Built, engine: Native) -> None:
    market = changing.landing / "market_1"
    header, *rows = csv.reader(io.StringIO((market / "Market 1 Orders.csv").read_text(encoding="utf-8"), newline=""))
    document = [row for row in rows if row[0] == rows[0][0]]
    with (market / "Orders with channel.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*header, "Sales Channel"], *([*row, "app"] for row in document)])
    before = changing.versions()
    old_rows = view(engine, changing.lake, "bronze.orders").count()
    changing.run(engine)
    channels = Counter(row["sales_channel"] for row in _rows(changing.lake, "bronze.orders"))
    assert channels == {None: old_rows, "app": len(document)}
    moved = {name for name, version in changing.versions().items() if version != before[name]}
    assert moved == {"bronze.orders", "silver.order_lines"}  # silver notes that it has seen the rows; no data changes


def view(engine: Native, lake: Lake, name: str) -> DataFrame:
    state = lake.state(name)
    assert state
    return lake.read(engine, name, state.version)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "names", [OF_EACH_KIND, pytest.param((), marks=pytest.mark.long)], ids=["of each kind", "all that are delivered"]
)
def test_the_same_exports_on_minio_give_equal_tables(
    names: tuple[str, ...], shared: Path, tables: dict[str, Table]
) -> None:
    """Landing and lake on S3, by a process of its own: an engine learns where its store is when it starts."""
    for file in storage.list_files(str(shared)):
        storage.client().upload_file(str(shared / file.path), minio.BUCKET, f"landing/{file.path}")
    lake = Lake(f"s3://{minio.BUCKET}/tables_{len(names)}")
    _run_by_a_process(lake, *names)
    made = [name for name in GOLD if lake.state(name)]
    expected = recompute_all(shared, [name.removeprefix("gold.") for name in made])
    for name in made:
        _assert_equals_duckdb(lake, expected, tables[name])
    wanted = [name for name in graph.selected(tables, names) if name in GOLD]
    of_branches = {name for name in wanted if name not in made}  # of which nothing real is delivered
    assert all("bronze.branches" in tables[name].serves for name in of_branches)
    assert made


def _run_by_a_process(lake: Lake, *names: str) -> None:
    places = ("--lake", lake.root, "--landing", f"s3://{minio.BUCKET}/landing")
    command = [sys.executable, "-m", "jobs.cli", "run", *names, *places]
    done = subprocess.run(command, cwd=graph.HOME, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
