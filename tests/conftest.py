"""The native engine for the whole run, Spark where a test is about it, the real exports where they are."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

from jobs import demo, samples
from lakehouse import engines, graph
from lakehouse.engines import jvm
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.runs.run import Run
from lakehouse.sources import broker as kafka
from lakehouse.writes.lake import Lake
from tests import real
from tests.bench.bench_day import deliver_a_day
from tests.real import Built, Continued

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession
    from xdist.remote import Producer

    from lakehouse.engines.native import Native
    from lakehouse.engines.protocol import Engine
    from lakehouse.engines.spark import Spark
    from lakehouse.graph import Table
    from lakehouse.sources.broker import Broker

HOME = Path(__file__).parents[1]
SHARED = HOME.parent / "shared" / "data"
SPARK = "spark"
ON_SPARK = "on_spark"
RELEASED = "released"
OF_RELEASES = [
    "gold.basket_pairs", "gold.category_daily", "gold.customer_cohorts", "gold.customer_metrics", "gold.daily_sales",
    "gold.delivery_areas", "gold.delivery_daily", "gold.order_reconciliation", "gold.products",
]  # fmt: skip
# What takes longest goes first, so that neither process waits long for the other at the end.
FIRST = (SPARK, "tests/jobs/test_spark_submit.py", "tests/test_bombs.py", ON_SPARK)
# Containers often forbid to keep what was compiled: then each of hundreds of commands compiles all it imports anew, and
# each process all tests, which doubles what either takes to start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite, or a folder of it, by three processes; single files by this one, which need not start any.

    One more than two cores: much of a test's time is spent waiting, for Java, for other processes, for the disk.
    """
    return 0 if any(".py" in one for one in config.args) else min(3, 1 + (os.cpu_count() or 1))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return Together(config, log)


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """A file's tests in one process, for what they build once; those that share a lake too, so that one is built.

    By file and not by `xdist_group`, which xdist 3.8 does not find with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return needs if (needs := _needs(path)) in {SPARK, RELEASED} else path


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_long = any(item.get_closest_marker(name) for name in ("spark", "kafka", "long"))
        if is_long or RELEASED in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(_needs(item.nodeid.partition("::")[0]), len(FIRST)))


@cache
def _needs(path: str) -> str:
    """What a file's tests wait for: the lake that Spark builds, a released one, Spark alone, or only themselves."""
    text = (HOME / path).read_text(encoding="utf-8")
    if "lake_by_spark:" in text or "continued:" in text:
        return SPARK
    if "released:" in text:
        return RELEASED
    return ON_SPARK if "on_spark:" in text or '"on_spark"' in text else path


@pytest.fixture(scope="session")
def engine() -> Native:
    """What computes in nearly all tests: in this process, without Java."""
    return engines.start(engines.NATIVE)  # type: ignore[return-value]


@pytest.fixture(scope="session")
def spark(engine: Native) -> SparkSession:
    """The native engine's session: PySpark's API, and no Spark."""
    return engine.spark


@pytest.fixture
def on_spark(engine: Native) -> Iterator[Spark]:
    """Spark's JVM, one for the run; `pyspark.sql.functions` are its own as long as the test runs."""
    with _spark(engine) as started:
        yield started


@contextmanager
def _spark(engine: Native) -> Iterator[Spark]:
    try:
        jvm.check_java()
    except LakehouseError as error:
        pytest.skip(str(error))
    try:
        yield engines.start(engines.SPARK)  # type: ignore[misc]
    finally:
        engines.start(engine.name)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One Kafka broker for the tests of a process; each test makes topics of its own."""
    folder = tmp_path_factory.mktemp("broker") / "kafka"
    try:
        jvm.check_java("Kafka's broker")
    except LakehouseError as error:
        pytest.skip(str(error))
    yield kafka.start(folder, say=lambda _: None)
    kafka.stop(folder)


@pytest.fixture(scope="session")
def tables() -> dict[str, Table]:
    return graph.load()


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"needs the real exports in {SHARED}")
    return SHARED


# The real exports, delivered once and built once by each engine that tests of this run ask for; they only read them.


@pytest.fixture(scope="session")
def real_exports(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real.deliver(shared, tmp_path_factory.mktemp("real") / "landing")


@pytest.fixture(scope="session")
def lake_by_native(
    engine: Native, real_exports: Path, tables: dict[str, Table], tmp_path_factory: pytest.TempPathFactory
) -> Built:
    return _built(engine, real_exports, tables, tmp_path_factory.mktemp("by_native") / "lake")


@pytest.fixture(scope="session")
def lake_by_spark(
    engine: Native, real_exports: Path, tables: dict[str, Table], tmp_path_factory: pytest.TempPathFactory
) -> Built:
    with _spark(engine) as spark:
        return _built(spark, real_exports, tables, tmp_path_factory.mktemp("by_spark") / "lake")


@pytest.fixture(scope="session")
def released(engine: Native, tables: dict[str, Table], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The root of a lake of samples with two releases, the second a day later, with a wrong row; tests only read it."""
    landing, lake = (str(tmp_path_factory.mktemp("released") / name) for name in ("landing", "lake"))
    wanted = graph.selected(tables, OF_RELEASES)
    for days in (range(8), [8]):
        made = samples.generate(Path(landing), lines=1500, days=10, deliver=days)
        if 0 not in days:
            demo.typed_by_hand(next(path for path in made.files if path.name == "Market 1 Orders.csv"))
        Run(lake, landing, tables, engine=engine).execute(wanted)
        releases.publish(lake, tables)
    return lake


@pytest.fixture(scope="session")
def continued(
    lake_by_native: Built, lake_by_spark: Built, engine: Native, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Continued:
    folder = tmp_path_factory.mktemp("continued")
    landing = shutil.copytree(lake_by_native.landing, folder / "landing")
    deliver_a_day(shared, landing, 0)
    by_spark, by_native = (
        replace(begun, lake=Lake(str(shutil.copytree(begun.lake.root, folder / name))), landing=landing)
        for begun, name in ((lake_by_native, "by_spark"), (lake_by_spark, "by_native"))
    )
    native = replace(by_native, report=by_native.run(engine))
    with _spark(engine) as spark:
        return Continued(replace(by_spark, report=by_spark.run(spark)), native)


def _built(engine: Engine, landing: Path, tables: dict[str, Table], lake: Path) -> Built:
    report = Run(str(lake), str(landing), tables, engine=engine).execute(tables)
    return Built(Lake(str(lake)), landing, tables, report)
