"""`from lakehouse import Lake`: tables as frames and rows, in a notebook or program of anybody's."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pytest

import lakehouse
from lakehouse import Lake, engines
from lakehouse.delta.commits import committer, ops
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.serving import lake as module
from tests.alike import assert_alike

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark

SALES = "gold.daily_sales"
DAYS = pa.table(
    {
        "market": pa.array([1, 2, 1], pa.int32()),
        "order_date": [date(2022, 1, 5), date(2022, 1, 5), date(2022, 1, 6)],
        "orders": [2, 4, 3],
        "revenue": pa.array([Decimal("10.50"), Decimal("7.25"), Decimal("20.00")], pa.decimal128(18, 2)),
        "_digest": [7, 8, 9],
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of two versions, the first of which was released; each row has a hash that is not shown."""
    made = tmp_path_factory.mktemp("of") / "lake"
    sales = Target(progress.address(str(made), SALES), DAYS.schema)
    committer.overwrite(sales, -1, DAYS.slice(0, 2), None)
    committer.overwrite(sales, 0, DAYS, None)
    stored = log.snapshot(sales.address)
    assert stored
    row = {"number": 1, "published_at": datetime.now(UTC), "moved": 1, "tables": json.dumps({SALES: 0})}
    row |= {"ids": json.dumps({SALES: stored.id})} | dict.fromkeys(("run", "engine", "code"), "")
    ops.append(str(made), releases.RELEASES, releases.TYPES, [row | dict.fromkeys(("quality", "despite"), "{}")])
    return made


@pytest.fixture
def lake(folder: Path) -> Lake:
    return Lake.open(folder, engine="native")


@pytest.mark.slow
def test_what_its_words_show_is_what_one_sees(folder: Path, engine: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(folder))
    monkeypatch.setenv("LAKEHOUSE_ENGINE", engine.name)
    found = doctest.testmod(module, extraglobs={"Lake": Lake}, optionflags=doctest.ELLIPSIS)
    assert (found.failed, found.attempted >= 10) == (0, True)


def test_frames_and_rows_are_the_same_and_without_what_the_core_keeps(lake: Lake, engine: Native) -> None:
    shown = DAYS.drop_columns(["_digest"])
    assert_alike(lake.arrow(SALES), shown)
    assert_alike(engine.arrow(lake.read(SALES)), shown)
    assert_alike(lake.polars(SALES).to_arrow(), shown)
    assert_alike(pa.Table.from_pandas(lake.pandas(SALES)), shown)
    assert_alike(lake.sql(f"select * from {SALES}"), shown)


def test_a_release_and_a_version_are_what_they_were(lake: Lake) -> None:
    count = f"select count(*) as n from {SALES}"
    assert [lake.sql(count, release=at).to_pylist()[0]["n"] for at in (None, 1)] == [3, 2]
    assert [lake.read(SALES, version=at).count() for at in (None, 0, 1)] == [3, 2, 3]
    assert lake.read(SALES, release=1).count() == lake.polars(SALES, ["orders"], release=1).height == 2
    assert lake.pandas(SALES, version=0).orders.sum() == 6


@pytest.mark.parametrize(
    ("table", "at", "words"),
    [
        (SALES, {"release": 1, "version": 0}, "both say which version of gold.daily_sales is meant. Give one of them."),
        (SALES, {"release": 2}, "There is no release 2. There are: 1, published"),
        (SALES, {"version": 2}, "gold.daily_sales has no version 2; its newest is 1."),
        (SALES, {"version": -1}, "gold.daily_sales has no version -1; its newest is 1."),
        ("daily_sales", {}, "There is no table daily_sales in"),
    ],
)
def test_what_is_not_there_is_an_error_in_words(lake: Lake, table: str, at: dict[str, int], words: str) -> None:
    with pytest.raises(LakehouseError) as error:
        lake.arrow(table, **at)  # type: ignore[arg-type]
    assert words in str(error.value)


def test_polars_is_installed_when_it_is_wanted(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(LakehouseError, match=r"Polars is not installed here: `pip install polars`\."):
        lake.polars(SALES)
    monkeypatch.setitem(sys.modules, "polars", pl)
    assert lake.polars(SALES).height == 3


def test_a_lake_is_one_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"does not exist\. Give the folder with --lake, LAKEHOUSE_ROOT or conf"):
        Lake.open(tmp_path / "none")


HEAVY = ("pyspark", "pysail", "py4j", "pyarrow", "pandas", "numpy", "polars", "deltalake", "pydantic", "sqlglot")
OF_ARROW = ("numpy", "pandas")  # which it loads where they are


@pytest.mark.slow
def test_to_import_it_loads_no_engine_and_to_read_rows_no_spark(folder: Path) -> None:
    code = f"""
import sys
import lakehouse
found = [one for one in (*{HEAVY}, "yaml", "lakehouse.serving") if one in sys.modules]
from lakehouse import Lake
lake = Lake.open({str(folder)!r})
found += [one for one in {HEAVY} if one in sys.modules]
assert lake.arrow("gold.daily_sales").num_rows == 3
print(*found, "then", *[one for one in {HEAVY} if one in sys.modules and one not in {OF_ARROW}])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["then", "pyarrow"]


def test_the_package_has_what_it_says_and_nothing_else() -> None:
    assert lakehouse.__all__ == ["Lake", "SalesAPIClient"]
    with pytest.raises(AttributeError, match="module 'lakehouse' has no attribute 'Pond'"):
        lakehouse.Pond  # noqa: B018
    assert lakehouse.Lake is Lake


@pytest.mark.spark
def test_a_session_that_runs_already_computes(folder: Path, on_spark: Spark) -> None:
    active = type(on_spark.spark).active()
    before, tables = dict(active.conf.getAll), active.catalog.listTables()  # those of other tests
    lake = Lake.open(folder)
    found = lake.read(SALES, release=1)
    assert found.sparkSession.sparkContext is on_spark.spark.sparkContext
    assert found.count() == lake.sql(f"select orders from {SALES}", release=1).num_rows == 2
    assert active.catalog.listTables() == tables
    assert before.items() <= active.conf.getAll.items()  # Delta itself sets some more
    assert Lake.open(folder, engine=engines.NATIVE).computes == engines.NATIVE


def test_a_session_that_is_given_computes(folder: Path, engine: Native) -> None:
    """One of Spark Connect's here, as of a cluster elsewhere."""
    lake = Lake.open(folder, spark=engine.spark)
    assert lake.read(SALES, version=0).count() == lake.sql(f"select * from {SALES}", release=1).num_rows == 2
    engine.spark.catalog.dropTempView("gold_daily_sales_0")
