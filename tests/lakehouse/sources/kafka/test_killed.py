"""Runs that SIGKILL ends, at any of their writes or at any time, and killed brokers: nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

pytest.importorskip("confluent_kafka", reason="needs the extra `kafka`: uv sync --inexact --extra kafka")

from lakehouse.errors import LakehouseError
from lakehouse.runs.topics import Readers
from lakehouse.sources import broker as kafka
from lakehouse.sources.kafka import clients
from tests.lakehouse.sources.kafka.sent import Taker, Topic, as_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakehouse.engines.native.engine import Native
    from lakehouse.sources.broker import Broker

pytestmark = pytest.mark.kafka
HOME = Path(__file__).parents[4]
# A line from outside, at which write (a whole number) or after how many seconds a run is to die, for each run; forked
# before an engine starts, so that Python's modules are loaded once. It says whether the run was done by then.
MORTAL = """
import os, signal, sys
from pathlib import Path
from lakehouse.runs.topics import Readers
from lakehouse.store import storage
from tests.lakehouse.sources.kafka.sent import Taker
import lakehouse.delta.commits.committer, lakehouse.runs.run, lakehouse.writes.append, pyspark.sql

def until(point):
    written = iter(range(1, 1000))
    def mortal(write):
        def attempt(*args):
            if next(written) == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*args)
        return attempt
    for name in ("put", "link", "put_if_absent"):
        setattr(storage, name, mortal(getattr(storage, name)))
    if isinstance(point, float):
        signal.setitimer(signal.ITIMER_REAL, point)
    Taker(Path(sys.argv[1]), sys.argv[2], "native", readers=Readers(are_kept=True)).run()

for line in sys.stdin:
    child = os.fork()
    if not child:
        until(float(line) if "." in line else int(line))
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture
def topic(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Topic:
    monkeypatch.setenv("KAFKA_SERVERS", broker.address)
    return Topic(broker.address).make()


@pytest.fixture
def mortal(topic: Topic, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", MORTAL, str(tmp_path), topic.name]
    with subprocess.Popen(command, cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()  # type: ignore[union-attr]  # it has one


def lives(mortal: subprocess.Popen[str], until: float) -> bool:
    """Whether a run was done before it was to be killed."""
    assert mortal.stdin
    assert mortal.stdout
    mortal.stdin.write(f"{until}\n")
    mortal.stdin.flush()
    return mortal.stdout.readline().strip() == "0"


def traffic(topic: Topic, chance: random.Random) -> None:
    """Single messages, and transactions of which some are aborted."""
    values: list[bytes | None] = [b'{"user_id": %d}' % number for number in range(chance.randint(1, 40))]
    topic.send(*values)
    topic.send_together(*values, commit=chance.random() < 0.5)


def test_a_run_that_is_killed_before_any_of_its_writes_takes_nothing_twice(
    topic: Topic, mortal: subprocess.Popen[str], engine: Native, tmp_path: Path
) -> None:
    chance, killed = random.Random(18), 0  # noqa: S311  no secret
    traffic(topic, chance)
    while not lives(mortal, killed + 1):
        killed += 1
        traffic(topic, chance)
    assert killed > 3  # the claim, a file of rows, bronze's commit, what is noted behind it
    taker = Taker(tmp_path, topic.name, engine)
    taker.run()
    assert taker.taken() == as_rows(topic.committed)


def test_a_broker_that_is_killed_while_it_is_read_is_waited_for(
    broker: Broker, topic: Topic, engine: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "ANSWERS_WITHIN", 120.0)  # where much else runs, a broker starts for longer than 30 s
    chance = random.Random(1)  # noqa: S311  no secret
    taker = Taker(tmp_path, topic.name, engine, {"patience": "120s"}, readers=Readers(are_kept=True))
    traffic(topic, chance)
    taker.run()
    traffic(topic, chance)
    os.kill(broker.pid, signal.SIGKILL)
    again = threading.Timer(0.5, lambda: kafka.start(broker.folder))
    again.start()
    taker.run()
    again.join()
    running = kafka.status(broker.folder)
    assert running is not None
    assert (running.address, running.pid == broker.pid) == (broker.address, False)
    taker.readers.close()
    assert taker.taken() == as_rows(topic.committed)


@pytest.mark.long
def test_a_broker_that_lost_its_disk_is_gone_on_with_once_its_topic_is_made_anew(
    broker: Broker, topic: Topic, engine: Native, tmp_path: Path
) -> None:
    """What was taken stays, what is sent from then on is taken once; under the old topic nothing more is."""
    taker = Taker(tmp_path, topic.name, engine, readers=Readers(are_kept=True))
    topic.send(*[b"before"] * 6)
    taker.run()
    before = taker.taken()
    os.kill((kafka.status(broker.folder) or broker).pid, signal.SIGKILL)
    for partition in range(topic.partitions):
        shutil.rmtree(broker.folder / "data" / f"{topic.name}-{partition}")
    kafka.start(broker.folder)
    with pytest.raises(LakehouseError, match=r"up to offset 2, and its brokers hold nothing of it: they lost messages"):
        taker.run()
    topic.send(b"others", b"others")
    with pytest.raises(LakehouseError, match="and its brokers hold it up to 0 only: they lost messages"):
        taker.run()
    assert taker.taken() == before
    topic.make_anew()
    topic.committed.clear()
    topic.send(b"others", b"others", b"after")
    with pytest.raises(LakehouseError, match="was made anew") as refused:
        taker.run()
    said = re.search(r"made_anew: (\[\{topic_id: .*\}\])", str(refused.value))
    assert said
    taker.kafka = {"made_anew": yaml.safe_load(said[1])}
    for _ in range(2):
        taker.run()
        assert taker.taken() == sorted([*before, *as_rows(topic.committed)], key=str)
    taker.readers.close()


@pytest.mark.long
def test_fifty_kills_of_runs_and_brokers_at_any_time(
    broker: Broker, topic: Topic, mortal: subprocess.Popen[str], engine: Native, tmp_path: Path
) -> None:
    """The committed records are those that a consumer of the broker's own tools lists."""
    chance, killed = random.Random(), 0  # noqa: S311  no secret
    while killed < 50:
        traffic(topic, chance)
        if chance.random() < 0.1:
            topic.widen(topic.partitions + 1)
        if chance.random() < 0.2:
            os.kill((kafka.status(broker.folder) or broker).pid, signal.SIGKILL)
            kafka.start(broker.folder)
            killed += 1
        killed += not lives(mortal, chance.uniform(0.1, 4.0))
    taker = Taker(tmp_path, topic.name, engine)
    taker.run()
    listed = listed_by_kafka(broker, topic.name, len(topic.committed))
    assert sorted(one[:2] for one in taker.taken()) == listed
    assert taker.taken() == as_rows(topic.committed)


def listed_by_kafka(broker: Broker, topic: str, count: int) -> list[tuple[int, int]]:
    """Partition and offset of each message, as a read_committed consumer of Kafka's own tools prints them."""
    asked = ["--bootstrap-server", broker.address, "--topic", topic, "--from-beginning", "--timeout-ms", "20000"]
    shown = [f"--property=print.{what}=true" for what in ("partition", "offset")] + ["--property=print.value=false"]
    command = [*kafka.tool("org.apache.kafka.tools.consumer.ConsoleConsumer"), *asked, *shown]
    answer = subprocess.run(
        [*command, "--isolation-level", "read_committed", "--max-messages", str(count + 1)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line.split("\t") for line in answer.stdout.splitlines() if line.startswith("Partition:")]
    return sorted((int(place[0].partition(":")[2]), int(place[1].partition(":")[2])) for place in lines)
