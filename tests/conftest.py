"""The native engine for the whole run, Spark where a test is about it, the real exports where they are."""

from __future__ import annotations

import ast
import os
import signal
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

from jobs import cli
from jobs.demo import two_days
from jobs.samples import daily
from lakehouse import engines, graph
from lakehouse.engines.spark import jvm
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.runs.run import Run
from lakehouse.sources import broker as kafka
from lakehouse.store import minio
from tests import real
from tests.real import OF_EACH_KIND, Built, Continued

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyspark.sql import SparkSession
    from xdist.remote import Producer

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.graph import Table
    from lakehouse.sources.broker import Broker

HOME = Path(__file__).parents[1]
SHARED = HOME.parent / "shared" / "data"
ONE_IN = 10
SPARK = "spark"
RELEASED = "released"
# By what they ask for, tests are of one of these, each of which one process does: so Spark is started twice, a broker
# once, and a lake is built once. The lakes of both engines, and the rows of each build, take as long as all else that
# asks for Spark.
LAKES, ON_SPARK, BROKER = "lakes of both engines", "on_spark", "broker"
NEEDS = {
    "few_by_native": LAKES, "few_by_spark": LAKES, "continued": LAKES, "arrows": LAKES,
    "on_spark": ON_SPARK, "broker": BROKER, "topic": BROKER, "released": RELEASED,
}  # fmt: skip
OF_RELEASES = [
    "gold.basket_pairs", "gold.category_daily", "gold.customer_cohorts", "gold.customer_metrics", "gold.daily_sales",
    "gold.delivery_areas", "gold.delivery_daily", "gold.order_reconciliation", "gold.products",
]  # fmt: skip
# What takes longest goes first, and whole lakes go before parts of the core and single tables, so that neither process
# waits long for the other at the end.
FIRST = (LAKES, ON_SPARK, BROKER, "tests/jobs/test_spark_submit.py", "tests/test_bombs.py")
# Containers often forbid to keep what was compiled: then each of hundreds of commands compiles all it imports anew, and
# each process all tests, which doubles what either takes to start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite, or a folder of it, by three processes; single files by this one, which need not start any.

    One more than two cores: much of a test's time is spent waiting, for Java, for other processes, for the disk. The
    quick part waits for nothing, and each process more begins by reading all tests.
    """
    processes = 2 if "not slow" in config.option.markexpr else 3
    return 0 if any(".py" in one for one in config.args) else min(processes, 1 + (os.cpu_count() or 1))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return Together(config, log)


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """A file's tests in one process, for what they build once; those that share a lake or Java too.

    By file and not by `xdist_group`, which xdist 3.8 does not find with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _scope(item.nodeid) in {LAKES, ON_SPARK}:
            item.add_marker(SPARK)
        if any(item.get_closest_marker(name) for name in (SPARK, "kafka", "long")) or _scope(item.nodeid) == RELEASED:
            item.add_marker(pytest.mark.slow)
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: (places.get(scope := _scope(item.nodeid), len(FIRST)), scope.count("/")))


def _scope(nodeid: str) -> str:
    """What the test shares with others: a lake, Spark's Java, a broker; or else its file."""
    path, _, test = nodeid.partition("::")
    return _needs(path).get(test.partition("[")[0], path)


@cache
def _needs(path: str) -> dict[str, str]:
    """By test of a file the first of NEEDS that it asks for, itself or by a fixture of the file."""
    text = (HOME / path).read_text(encoding="utf-8")
    if not any(name in text for name in NEEDS):
        return {}
    functions = [one for one in ast.parse(text).body if isinstance(one, ast.FunctionDef)]
    asked = {one.name: _asked(one) for one in functions if one.name.startswith("test_") or "fixture" in _marks(one)}
    by_test = {name: _with_fixtures(name, asked) & NEEDS.keys() for name in asked if name.startswith("test_")}
    return {
        test: next(needs for name, needs in NEEDS.items() if name in names) for test, names in by_test.items() if names
    }


def _with_fixtures(name: str, asked: Mapping[str, set[str]]) -> set[str]:
    found, waiting = set[str](), {name}
    while waiting:
        found |= waiting
        waiting = set[str]().union(*(asked.get(one, ()) for one in waiting)) - found
    return found


def _marks(function: ast.FunctionDef) -> str:
    return " ".join(ast.unparse(one) for one in function.decorator_list)


def _asked(function: ast.FunctionDef) -> set[str]:
    """Its parameters, and what is named as a text: `usefixtures("on_spark")`, `getfixturevalue("on_spark")`."""
    parameters = {one.arg for one in (*function.args.args, *function.args.kwonlyargs)}
    calls = [one for one in ast.walk(function) if isinstance(one, ast.Call)]
    named = [*function.decorator_list, *(one for one in calls if ast.unparse(one.func).endswith("getfixturevalue"))]
    return parameters | {str(one.value) for part in named for one in ast.walk(part) if isinstance(one, ast.Constant)}


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
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")  # to compile it well takes longer than it lives
        started = kafka.start(folder, say=lambda _: None)
    yield started
    if running := kafka.status(folder):
        os.kill(running.pid, signal.SIGKILL)  # asked to end it takes seconds to leave all in order, for nobody
    kafka.stop(folder)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[minio.Account]:
    """A MinIO of the test's own, for processes that it starts: the environment has the account of who writes."""
    server = minio.start(tmp_path / "minio" / "data")
    minio.ensure_bucket(server)
    _, writer = minio.reader_and_writer(server)
    for name, value in writer.environment().items():
        monkeypatch.setenv(name, value)
    yield writer
    minio.stop(server.folder)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`lakehouse` in this process: its exit code, and what it says on either stream."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["lakehouse", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return run


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
    return real.built(engine, real_exports, tables, tmp_path_factory.mktemp("by_native") / "lake")


# Both engines hold the same of fewer orders, and of a table of each kind: Spark takes seconds for each. Of all orders
# the native engine's lake alone is held against DuckDB; what Spark makes of all is behind `-m long`.


@pytest.fixture(scope="session")
def few_exports(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real.thinned(shared, tmp_path_factory.mktemp("few") / "exports", ONE_IN)


@pytest.fixture(scope="session")
def few_by_native(
    engine: Native, few_exports: Path, tables: dict[str, Table], tmp_path_factory: pytest.TempPathFactory
) -> Built:
    landing = real.deliver(few_exports, few_exports.with_name("landing"))
    return real.built(engine, landing, tables, tmp_path_factory.mktemp("few_by_native") / "lake")


@pytest.fixture(scope="session")
def few_by_spark(engine: Native, few_by_native: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    with _spark(engine) as spark:
        lake = tmp_path_factory.mktemp("few_by_spark") / "lake"
        return real.built(spark, few_by_native.landing, few_by_native.tables, lake, *OF_EACH_KIND)


@pytest.fixture(scope="session")
def released(engine: Native, tables: dict[str, Table], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The root of a lake of samples with two releases, the second a day later, with a wrong row; tests only read it."""
    landing, lake = (str(tmp_path_factory.mktemp("released") / name) for name in ("landing", "lake"))
    wanted = graph.selected(tables, OF_RELEASES)
    for days in (range(8), [8]):
        made = daily.generate(Path(landing), lines=1500, days=10, deliver=days)
        if 0 not in days:
            two_days.typed_by_hand(next(path for path in made.files if path.name == "Market 1 Orders.csv"))
        Run(lake, landing, tables, engine=engine).execute(wanted)
        releases.publish(lake, tables)
    return lake


@pytest.fixture(scope="session")
def continued(
    few_by_native: Built,
    few_by_spark: Built,
    few_exports: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Continued:
    return real.continued(few_by_native, few_by_spark, few_exports, tmp_path_factory.mktemp("continued"), *OF_EACH_KIND)
