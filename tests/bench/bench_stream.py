"""From Kafka to bronze.events and silver.events on MinIO, by `lakehouse run --every`, as its user runs it.

    python -m tests.bench.bench_stream FOLDER backlog [--megabytes 2000]      all is there, the producer stopped: MB/s
                                              [--peers]                   the same by Polars and by Spark after it
    python -m tests.bench.bench_stream FOLDER steady --rate 6.2 --minutes 10  sent meanwhile: seconds until it counts

Broker, MinIO and producer run on the same machine, below FOLDER. JSON of about 300 bytes in 4 partitions, a hundredth
sent twice. Seconds until a message counts: from its time in Kafka to the commit of silver that has it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pyarrow.compute as pc

from lakehouse import graph
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Progress
from lakehouse.intake.records import ledger
from lakehouse.sources import broker as kafka
from lakehouse.store import minio
from tests.bench.bench_events import values

TOPIC, PARTITIONS, SOME = "events", 4, 50_000
TABLES = ("bronze.events", "silver.events")
YESTERDAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)


def send(address: str, total: int, rate: float) -> None:
    """That many bytes, at `rate` MB a second, or as quickly as it goes."""
    from confluent_kafka import Producer  # noqa: PLC0415

    producer = Producer({"bootstrap.servers": address, "linger.ms": 20, "batch.size": 256 << 10, "acks": 1})
    chance, sent, number, begin = np.random.default_rng(1), 0, 1, time.monotonic()
    some = SOME if not rate else max(1000, int(rate * 1e6 / 300 / 10))
    while sent < total:
        told = values(chance, number, some, YESTERDAY)
        number += some
        sent += (pc.sum(pc.binary_length(told)).as_py()) or 0
        each = told.to_pylist()
        for one in range(PARTITIONS):
            messages = [{"value": value} for value in each[one::PARTITIONS]]
            while messages:
                taken = producer.produce_batch(TOPIC, messages, partition=one)
                messages = messages[taken:]
                producer.poll(0.05 if messages else 0)
        if rate:
            time.sleep(max(0.0, begin + sent / rate / 1e6 - time.monotonic()))
    producer.flush(60)


class Place:
    """A broker with an empty topic and an empty bucket's folder."""

    def __init__(self, folder: Path) -> None:
        self.children: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True)
        self.folder, self.broker = folder, kafka.start(folder / "kafka")
        server = minio.start(folder / "minio")
        minio.ensure_bucket(server)
        _, writer = minio.reader_and_writer(server)
        os.environ.update(writer.environment())
        os.environ["KAFKA_SERVERS"] = self.broker.address
        self.pids = {"broker": self.broker.pid, "minio": server.pid}
        self.root = f"s3://{minio.BUCKET}/{datetime.now(UTC):%H%M%S}"
        from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # noqa: PLC0415

        asked = AdminClient({"bootstrap.servers": self.broker.address})
        asked.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result()

    def cli(self, *words: str) -> list[str]:
        return [str(Path(sys.executable).with_name("lakehouse")), *words]

    def producer(self, total: int, rate: float) -> subprocess.Popen[bytes]:
        words = ["-m", "tests.bench.bench_stream", str(self.folder), "send", "--megabytes", str(total // 10**6)]
        self.children.append(subprocess.Popen([sys.executable, *words, "--rate", str(rate)], cwd=graph.HOME))
        return self.children[-1]

    def lakehouse(self, every: str) -> subprocess.Popen[bytes]:
        landing = self.folder / "landing"
        landing.mkdir(exist_ok=True)
        said = ["--lake", f"{self.root}/lake", "--landing", str(landing), "--every", every]
        with (self.folder / "run.txt").open("wb") as words:
            run = subprocess.Popen(self.cli("run", *TABLES, *said), cwd=graph.HOME, stdout=words, stderr=words)
        self.children.append(run)
        return run

    def run_peer(self, peer: str) -> None:
        root = f"{self.root}/{peer}"
        words = [sys.executable, "-m", f"tests.bench.stream_{peer}", root]
        subprocess.run(words, cwd=graph.HOME, check=True, stdout=subprocess.DEVNULL)
        ids = self.table_at(f"{root}/silver").select(pl.len(), pl.col("event_id").n_unique()).collect().row(0)
        say(f"{peer}: {ids[0]:,} rows in silver, {ids[1]:,} ids")

    def until(self) -> dict[int, int]:
        """Up to which offset silver is now, by partition."""
        bronze, silver = (progress.address(f"{self.root}/lake", one) for one in TABLES)
        state = progress.state(silver)
        if state is None or state.progress is None:
            return {}
        version = int(state.progress.inputs[TABLES[0]].version)
        said = progress.state(bronze, version)
        return {one.partition: one.next for one in said.progress.offsets} if said and said.progress else {}

    def ends(self) -> dict[int, int]:
        from confluent_kafka import Consumer, TopicPartition  # noqa: PLC0415

        one = Consumer({"bootstrap.servers": self.broker.address, "group.id": "bench"})
        found = {number: one.get_watermark_offsets(TopicPartition(TOPIC, number))[1] for number in range(PARTITIONS)}
        one.close()
        return found

    def table(self, name: str) -> pl.LazyFrame:
        return self.table_at(progress.address(f"{self.root}/lake", name))

    def table_at(self, address: str) -> pl.LazyFrame:
        how = {"AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"], "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
        how |= {one: os.environ[one] for one in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        return pl.scan_delta(address, storage_options=how)

    def waited(self, silver: list[tuple[int, datetime]]) -> pl.DataFrame:
        """Of each message when it came, and the seconds until the commit of silver that has it."""
        commits = pl.DataFrame({"_batch": [one for one, _ in silver], "counts": [at for _, at in silver]})
        rows = self.table(TABLES[0]).select("_batch", at="_time").sort("_batch").collect()
        found = rows.join_asof(commits.cast({"_batch": rows.schema["_batch"]}), on="_batch", strategy="forward")
        return found.select("at", seconds=(pl.col("counts") - pl.col("at")).dt.total_milliseconds() / 1000)

    def check(self, ends: dict[int, int]) -> None:
        """Each message is in bronze once, and each id of a right one in silver once."""
        bronze, silver = (self.table(one) for one in TABLES)
        there = bronze.select(rows=pl.len(), places=pl.struct("_file", "_row").n_unique()).collect().row(0)
        ids = pl.col("_value").cast(pl.String).str.extract('"event_id": "([0-9a-f]+)"')
        sent = bronze.filter(~pl.col("_value").bin.contains(b'"buy"')).select(ids.n_unique()).collect().item()
        kept = silver.select(rows=pl.len(), ids=pl.col("event_id").n_unique()).collect().row(0)
        assert there == (sum(ends.values()),) * 2, (there, ends)
        assert kept == (sent, sent), (kept, sent)
        say(f"{there[0]:,} messages are in bronze, {kept[0]:,} ids in silver, each once")

    def held(self) -> str:
        """How many files the tables have now, and their logs."""
        said = []
        for name in TABLES:
            address = progress.address(f"{self.root}/lake", name)
            now = log.snapshot(address)
            said.append(f"{name} {len(now.files) if now else 0} files, version {now.version if now else -1}")
        return ", ".join(said)

    def commits(self) -> tuple[list[tuple[int, datetime]], list[tuple[int, datetime]]]:
        """Of bronze and silver the batches with the moments of their commits."""
        bronze, silver = (progress.address(f"{self.root}/lake", one) for one in TABLES)
        found: list[list[tuple[int, datetime]]] = []
        for address, of in ((bronze, ledger.TOPIC), (silver, TABLES[0])):
            mine = []
            for commit in log.history(address):
                said = Progress.from_json(commit.user_metadata)
                if said and of in said.inputs:
                    one = said.inputs[of]
                    mine.append(
                        (
                            int(one.version if of == ledger.TOPIC else one.batch or 0),
                            datetime.fromtimestamp(commit.timestamp / 1000, UTC),
                        )
                    )
            found.append(sorted(mine))
        return found[0], found[1]


class Seconds:
    """Of the processor, by process, since this began."""

    def __init__(self, pids: dict[str, int]) -> None:
        self.processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self.begin = self._now()

    def _now(self) -> dict[str, float]:
        return {name: sum(one.cpu_times()[:2]) for name, one in self.processes.items()}

    def told(self) -> str:
        return ", ".join(f"{name} {now - self.begin[name]:.0f} s" for name, now in self._now().items())


def say(words: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S} {words}\n")
    sys.stdout.flush()


def backlog(place: Place, said: argparse.Namespace) -> None:
    """All of it is there before the first look."""
    place.producer(said.megabytes * 10**6, 0).wait()
    ends = place.ends()
    say(f"{sum(ends.values()):,} messages are there")
    begin, run = datetime.now(UTC), place.lakehouse(said.every)
    used = Seconds(place.pids | {"lakehouse": run.pid})
    while place.until() != ends:
        if run.poll() is not None:
            raise SystemExit((place.folder / "run.txt").read_text())
        time.sleep(1)
    cost = used.told()
    memory = used.processes["lakehouse"].memory_info().rss >> 20
    end(run)
    bronze, silver = place.commits()
    first = (bronze[0][1] - begin).total_seconds()
    seconds = (silver[-1][1] - begin).total_seconds()
    say(
        f"{said.megabytes / seconds:.1f} MB/s: {seconds:.1f} s from the process's start, of which {first:.1f} s until "
        f"the first round of bronze; {len(bronze)} rounds of bronze, {len(silver)} of silver; processor: {cost}; "
        f"{memory} MB at the end"
    )
    place.check(ends)
    for peer in ("polars", "spark") if said.peers else ():
        begin = datetime.now(UTC)
        place.run_peer(peer)
        took = (datetime.now(UTC) - begin).total_seconds()
        say(f"{peer}: {said.megabytes / took:.1f} MB/s, {took:.1f} s; ours is {took / seconds:.2f} times as fast")


def steady(place: Place, said: argparse.Namespace) -> None:
    """What is sent while it is taken."""
    run = place.lakehouse(said.every)
    total = int(said.rate * 1e6 * said.minutes * 60)
    time.sleep(5)
    producer = place.producer(total, said.rate)
    used = Seconds(place.pids | {"lakehouse": run.pid, "producer": producer.pid})
    begin, memory, cost = time.monotonic(), list[tuple[float, float]](), ""
    while producer.poll() is None:
        if run.poll() is not None:
            raise SystemExit((place.folder / "run.txt").read_text())
        memory.append((time.monotonic() - begin, used.processes["lakehouse"].memory_info().rss / 2**20))
        cost = used.told()
        time.sleep(1)
    ends = place.ends()
    while place.until() != ends:
        time.sleep(1)
    end(run)
    bronze, silver = place.commits()
    waited = place.waited(silver)
    middle = waited.select((pl.col("at").min() + (pl.col("at").max() - pl.col("at").min()) / 2).alias("at")).item()
    for name, some in (
        ("all", waited),
        ("first half", waited.filter(pl.col("at") < middle)),
        ("second half", waited.filter(pl.col("at") >= middle)),
    ):
        p50, p95, most = (some["seconds"].quantile(one) or 0.0 for one in (0.5, 0.95, 1.0))
        say(
            f"{name}: {some.height:,} messages, seconds until they count: median {p50:.1f}, p95 {p95:.1f}, "
            f"most {most:.1f}"
        )
    say("MB of memory, by minute: " + ", ".join(f"{held:.0f}" for _, held in memory[::60]))
    at = np.array([second for second, _ in memory])
    held = np.array([megabytes for _, megabytes in memory])
    late = at > at[-1] / 3
    slope, _ = np.polyfit(at[late], held[late], 1)
    say(
        f"{len(bronze)} rounds of bronze, {len(silver)} of silver; processor: {cost}; memory after a third "
        f"{held[late][0]:.0f} MB, at the end {held[-1]:.0f}, by fit {slope * 3600 / held[late].mean():.1%} an hour; "
        f"{place.held()}"
    )
    place.check(ends)


def end(run: subprocess.Popen[bytes]) -> None:
    run.send_signal(signal.SIGTERM)
    run.wait(120)


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("folder", type=Path)
    asked.add_argument("what", choices=["backlog", "steady", "send"])
    asked.add_argument("--megabytes", type=int, default=2000)
    asked.add_argument("--rate", type=float, default=0.0)
    asked.add_argument("--minutes", type=float, default=10)
    asked.add_argument("--every", default="1s")
    asked.add_argument("--peers", action="store_true")
    said = asked.parse_args()
    if said.what == "send":
        send(os.environ["KAFKA_SERVERS"], said.megabytes * 10**6, said.rate)
        return
    place = Place(said.folder.resolve() / f"{datetime.now(UTC):%H%M%S}")
    try:
        (backlog if said.what == "backlog" else steady)(place, said)
    finally:
        for one in place.children:
            one.kill()
        kafka.stop(place.folder / "kafka")
        minio.stop(place.folder / "minio")


if __name__ == "__main__":
    main()
