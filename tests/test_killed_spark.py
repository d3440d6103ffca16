"""A run by Spark that ends at a table's commit, whole or its Java alone: one more run, and the lake is as undisturbed.

What is asked of a native run at all of its writes, tests/test_killed.py; the ledger and releases are written by the
same code there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakehouse.engines.spark import jvm
from tests.events import an_event
from tests.test_killed import a_lake, published, state

if TYPE_CHECKING:
    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.sources.broker import Broker
    from tests.toy import Toy

pytestmark = [pytest.mark.long, pytest.mark.spark]
HOME = Path(__file__).parents[1]
TABLES = ("bronze/orders", "silver/order_lines__rejected", "silver/order_lines", "silver/orders", "gold/totals")
MOMENTS = BEFORE, WRITTEN, COMMITTED = "before the write", "files written but not committed", "committed"
# The point between a table's files and its commit is in Java: a log store that ends there.
CALLED, ENDS = (
    "byte[] content = whole(actions);",
    """
        if (path.toString().endsWith(System.getenv("ENDS_AT"))) {
            if (System.getenv("PYTHON_TOO") != null) {
                ProcessHandle.current().parent().get().destroyForcibly();
            }
            Runtime.getRuntime().halt(137);
        }
""",
)
MORTAL = """
import os, signal, sys
from pathlib import Path
from lakehouse.engines.spark import jvm
from lakehouse.engines.spark.engine import Spark
from lakehouse.errors import LakehouseError

folder, jar, table, moment, *topics = sys.argv[1:]
known, commit = jvm.jars(), Spark._commit
jvm.jars = lambda: [Path(jar), *known]

def end(spark):
    os.kill(spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid(), signal.SIGKILL)
    if "PYTHON_TOO" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)

def mortal(engine, target, *given):
    is_here = target.address.endswith("/" + table)
    if is_here and moment == "before the write":
        end(engine.spark)
    version = commit(engine, target, *given)
    if is_here and moment == "committed":
        end(engine.spark)
    return version

Spark._commit = mortal
try:
    run()
except LakehouseError as error:
    sys.exit(str(error))
"""
OF_FILES = """
def run():
    from tests.toy import Toy, with_vectors
    toy = Toy(Path(folder), None)
    toy.engine, toy.sources = "spark", with_vectors(toy.sources)
    toy.run()
"""
OF_A_TOPIC = """
def run():
    from tests.lakehouse.sources.kafka.sent import Taker
    Taker(Path(folder), *topics, "spark").run("silver.events")
"""


@pytest.fixture(scope="module")
def begun(engine: Native, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return a_lake(tmp_path_factory.mktemp("killed") / "begun", engine)


@pytest.fixture(scope="module")
def undisturbed(begun: Toy) -> dict[str, object]:
    toy = begun.copied(begun.folder.with_name("undisturbed"))
    published(toy)
    return state(toy)


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log store that ends its process."""
    if not shutil.which("javac"):
        pytest.skip("needs a JDK, by which it is compiled")
    source = tmp_path_factory.mktemp("java") / jvm.LOG_STORE_SOURCE.name
    whole = jvm.LOG_STORE_SOURCE.read_text(encoding="utf-8")
    assert whole.count(CALLED) == 1
    source.write_text(whole.replace(CALLED, CALLED + ENDS), encoding="utf-8")
    jvm.compile_log_store(source.with_suffix(".jar"), source)
    return source.with_suffix(".jar")


def killed(
    folder: Path, jar: Path, table: str, moment: str, *topics: str, python_too: bool
) -> subprocess.CompletedProcess[str]:
    version = len([*(folder / "lake" / table / "_delta_log").glob("*.json")])
    ends_at = f"{table}/_delta_log/{version:020}.json" if moment == WRITTEN else "nowhere"
    facts = {"ENDS_AT": ends_at, "LAKEHOUSE_MASTER": "local[1]", "LAKEHOUSE_DRIVER_MEMORY": "700m"}
    facts |= {"PYTHON_TOO": "yes"} if python_too else {}
    script = (OF_A_TOPIC if topics else OF_FILES) + MORTAL
    command = [sys.executable, "-c", script, str(folder), str(jar), table, moment, *topics]
    return subprocess.run(command, cwd=HOME, env=os.environ | facts, capture_output=True, text=True, check=False)


@pytest.fixture
def toy(begun: Toy, tmp_path: Path) -> Toy:
    return begun.copied(tmp_path / "toy")


@pytest.mark.parametrize("victim", ["process", "java"])
@pytest.mark.parametrize(("table", "moment"), [*product(TABLES, MOMENTS)])
def test_killed_at_each_commit(
    toy: Toy, undisturbed: dict[str, object], jar: Path, on_spark: Spark, table: str, moment: str, victim: str
) -> None:
    died = killed(toy.folder, jar, table, moment, python_too=victim == "process")
    if victim == "process":
        assert died.returncode == -signal.SIGKILL, died.stderr
    elif (table, moment) != (TABLES[-1], COMMITTED):  # behind it Java has nothing to do
        assert died.returncode == 1, died.stderr
        assert "Java ended while it computed" in died.stderr
    again = replace(toy, engine=on_spark)
    published(again)
    assert state(again) == undisturbed


@pytest.mark.kafka
def test_killed_while_it_takes_a_topic_it_has_each_message_once(
    broker: Broker, jar: Path, engine: Native, on_spark: Spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Driver and all, in bronze's write, and between silver's quarantine and silver, and in silver's own."""
    sent = pytest.importorskip("tests.lakehouse.sources.kafka.sent", reason="needs the extra `kafka`")
    monkeypatch.setenv("KAFKA_SERVERS", broker.address)
    topic = sent.Topic(broker.address).make()
    taker, silver = sent.Taker(tmp_path, topic.name, engine.name), "silver.events"

    def send(turn: int) -> None:
        right = [an_event(datetime.now(UTC).isoformat(), event_id=f"{turn} {number}") for number in range(7)]
        topic.send(*right, b"broken", None)
        topic.send_together(*right, commit=False)

    def assert_each_is_there_once() -> None:
        assert taker.taken() == sent.as_rows(topic.committed)
        wrong = {place for place, value in topic.committed.items() if value == b"broken"}
        right = {place for place, value in topic.committed.items() if value} - wrong
        for name, wanted in ((silver, right), (f"{silver}__rejected", wrong)):
            places = [(int(row["_file"].rpartition("/")[2]), row["_row"]) for row in taker.rows(name)]
            assert sorted(places) == sorted(wanted), name

    send(0)
    taker.run(silver)
    assert_each_is_there_once()
    taker.engine = on_spark.name
    points = (("bronze/events", WRITTEN), ("silver/events__rejected", COMMITTED), ("silver/events", WRITTEN))
    for turn, (table, moment) in enumerate(points, 1):
        send(turn)
        died = killed(tmp_path, jar, table, moment, topic.name, python_too=True)
        assert died.returncode == -signal.SIGKILL, died.stderr
        taker.run(silver)
        assert_each_is_there_once()
