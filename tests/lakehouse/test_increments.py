"""What a small change costs, as far as it can be counted: rows, files, commits and jobs, on a small lake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse import engines
from lakehouse.delta.files import feed
from lakehouse.delta.tables import progress
from lakehouse.store import storage
from tests.toy import SOURCES, Toy, with_vectors

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark

pytestmark = pytest.mark.slow
LINES, ORDERS, SALES = "silver.order_lines", "silver.orders", "silver.sales"
SALES_SOURCE = (
    """
    owner: tests
    description: lines with what their order says
    write: refresh
    grain: [market, order_id, line_number]
    unit: [market, order_id]
    columns:
      market: {type: int, meaning: of the folder}
      order_id: {type: bigint, meaning: the order}
      line_number: {type: int, meaning: place in the order}
      quantity: {type: int, meaning: how many}
      units: {type: bigint, meaning: of the order}
    checks:
      no_line_is_lost:
        {agrees_with: silver.order_lines, by: [market], this: count(*), that: count(*), severity: stop, why: a test}
    """,
    """
    def build(silver_order_lines, silver_orders):
        lines = silver_order_lines.select("market", "order_id", "line_number", "quantity")
        return lines.join(silver_orders, on=["market", "order_id"], how="inner")
    """,
)  # fmt: skip
PRODUCTS = "gold.products"
PRODUCTS_SOURCE = (
    """
    owner: tests
    description: products
    write: refresh
    grain: [market, product]
    unit: [market, product]
    columns:
      market: {type: int, meaning: of the folder}
      product: {type: string, meaning: what}
      units: {type: bigint, meaning: how many}
    """,
    """
    from pyspark.sql import functions as F

    def build(silver_order_lines):
        return silver_order_lines.groupBy("market", "product").agg(F.sum("quantity").alias("units"))
    """,
)
MANY = [f"{order},{product},1,1.00" for order in range(100, 200) for product in "AB"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Toy:
    """A hundred orders of two lines each, in tables with vectors."""
    sources = with_vectors(SOURCES | {SALES: SALES_SOURCE})
    one = Toy(tmp_path_factory.mktemp("increments"), engine, sources)
    one.deliver("many.csv", *MANY, day=1)
    one.run()
    return one


@pytest.fixture
def toy(loaded: Toy, tmp_path: Path) -> Toy:
    return loaded.copied(tmp_path / "toy")


def actions(toy: Toy, name: str, version: int, kind: str) -> list[dict[str, Any]]:
    log = storage.read_bytes(progress.address(toy.lake.root, name), f"_delta_log/{version:020}.json").decode()
    return [found[kind] for line in log.splitlines() if kind in (found := json.loads(line))]


def rows_written(toy: Toy, name: str, version: int) -> int:
    return sum(
        json.loads(one["stats"])["numRecords"]
        for one in actions(toy, name, version, "add")
        if not one.get("deletionVector")
    )


def test_one_changed_order_writes_its_rows_and_no_others(toy: Toy) -> None:
    before = toy.versions()
    toy.deliver("change.csv", "150,A,1,1.00", "150,B,9,1.00", day=2)
    done = toy.run()
    assert {name: (one.decision.path, one.units) for name, one in done.items()} == {
        "bronze.orders": ("load", None),
        LINES: ("new", None),
        ORDERS: ("incremental", 1),
        SALES: ("incremental", 1),
        "gold.totals": ("whole", None),
    }
    after = toy.versions()
    assert after == {name: version + 1 for name, version in before.items()}
    assert {name: rows_written(toy, name, after[name]) for name in (LINES, ORDERS, SALES)} == {
        LINES: 2,
        ORDERS: 1,
        SALES: 2,
    }


def test_a_table_without_vectors_changes_the_same_rows_and_copies_the_rest_of_their_file(
    toy: Toy,
) -> None:
    toy.sources = SOURCES | {SALES: SALES_SOURCE}
    assert toy.run()[ORDERS].decision.reason == "it is stored with deletion vectors, and its contract wants none"
    assert not actions(toy, ORDERS, toy.versions()[ORDERS], "cdc")
    toy.deliver("change.csv", "150,A,1,1.00", "150,B,9,1.00", day=2)
    toy.run()
    assert rows_written(toy, ORDERS, toy.versions()[ORDERS]) == 100
    now = toy.versions()[ORDERS]
    did = feed.written(toy.lake.address(ORDERS), now - 1, now)
    assert did
    assert (did.rows, did.deleted, did.changed, did.files) == (1, 1, 1, 1)
    assert toy.changes(ORDERS, now - 1) == [("delete", 1, 150), ("insert", 1, 150)]
    assert (len(toy.rows(LINES)), len(toy.rows(ORDERS)), toy.rows("gold.totals")) == (200, 100, [(1, 208)])


def test_a_full_dump_with_one_change_wakes_the_units_that_changed_alone(toy: Toy) -> None:
    versions = toy.versions()
    toy.deliver("dump.csv", *MANY[:-1], "199,B,7,1.00", day=2)
    done = toy.run()
    assert done[LINES].counts["rows"] == {"kept": 2, "unchanged": 198, "rejected": 0, "duplicate": 0, "superseded": 0}
    assert (done[ORDERS].units, done[SALES].units) == (1, 1)
    assert toy.changes(SALES, versions[SALES]) == [
        (kind, 1, 199, line) for kind in ("delete", "insert") for line in (1, 2)
    ]


def test_a_dump_without_a_change_moves_progress_and_nothing_else(toy: Toy) -> None:
    before = toy.versions()
    toy.deliver("dump.csv", *MANY, day=2)
    paths = {name: one.decision.path for name, one in toy.run().items()}
    after = toy.versions()
    assert paths == {
        "bronze.orders": "load",
        LINES: "new",
        ORDERS: "nothing",
        SALES: "nothing",
        "gold.totals": "nothing",
    }
    assert {name for name in after if after[name] != before[name]} == {"bronze.orders", LINES}
    assert not actions(toy, LINES, after[LINES], "add")


def test_lines_that_change_without_changing_their_sum_are_the_same_result_downstream(toy: Toy) -> None:
    before = toy.versions()
    toy.deliver("change.csv", "150,A,2,1.00", "150,B,0,1.00", day=2)
    done = toy.run()
    assert (done[LINES].counts["rows"]["kept"], done[ORDERS].units, done[SALES].units) == (2, 1, 1)
    assert not actions(toy, ORDERS, toy.versions()[ORDERS], "add")
    assert toy.versions()["gold.totals"] == before["gold.totals"]


def test_what_changes_in_columns_that_a_table_does_not_use_wakes_nothing_of_it(toy: Toy) -> None:
    toy.deliver("dearer.csv", "150,A,1,7.00", "150,B,1,7.00", day=2)
    done = toy.run()
    assert (done[LINES].counts["rows"]["kept"], done[ORDERS].units, done[SALES].units) == (2, 0, 0)


def test_lines_that_are_written_again_with_their_order_do_not_wake_what_is_made_from_them(toy: Toy) -> None:
    """Order 150 is written whole, its line of A as it was: of the products B alone is computed again."""
    toy.sources[PRODUCTS] = PRODUCTS_SOURCE
    toy.run()
    toy.deliver("change.csv", "150,A,1,1.00", "150,B,9,1.00", day=2)
    done = toy.run()
    assert (done[LINES].counts["rows"]["kept"], done[PRODUCTS].units) == (2, 1)
    assert toy.rows(PRODUCTS) == [(1, "A", 100), (1, "B", 108)]


@pytest.mark.spark
def test_a_small_refresh_takes_few_jobs(toy: Toy, on_spark: Spark) -> None:
    """Each is scheduling, a plan and a task; what they read is next to nothing. Delta's own are most of them."""
    toy.deliver("change.csv", "150,A,1,1.00", "150,B,9,1.00", day=2)
    engines.start(engines.NATIVE)
    toy.run(LINES)
    toy.engine = engines.start(on_spark.name)
    scheduler: Any = on_spark.spark.sparkContext._jsc.sc().dagScheduler()  # noqa: SLF001
    before = scheduler.numTotalJobs()
    toy.run(ORDERS)
    assert 0 < scheduler.numTotalJobs() - before <= JOBS_OF_A_REFRESH


JOBS_OF_A_REFRESH = 24  # measured: 22
