"""A topic of a real broker and all that was committed to it, and a lake with one table that takes it."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]

from lakehouse import conf, graph
from lakehouse.delta.files.feed import read
from lakehouse.delta.tables import log, progress
from lakehouse.described.kafka import Kafka
from lakehouse.runs.run import Run
from lakehouse.runs.topics import Readers
from lakehouse.sources.kafka.topics import look

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lakehouse.audit.turns import Report
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

EVENTS = "bronze.events"
LARGE = {"max.message.bytes": str(8 << 20)}
Place = tuple[int, int]


@dataclass
class Topic:
    """`committed`: by partition and offset the values that count."""

    address: str
    partitions: int = 2
    name: str = field(default_factory=lambda: f"events-{uuid.uuid4().hex[:8]}")
    committed: dict[Place, bytes | None] = field(default_factory=dict)
    _producers: dict[str, Any] = field(default_factory=dict)

    @property
    def admin(self) -> Any:  # noqa: ANN401
        return AdminClient({"bootstrap.servers": self.address})

    def make(self) -> Topic:
        asked = self.admin
        asked.create_topics([NewTopic(self.name, self.partitions, 1, config=LARGE)])[self.name].result()
        return self

    def make_anew(self) -> Topic:
        asked = self.admin
        asked.delete_topics([self.name])[self.name].result()
        while True:  # it goes in the background
            try:
                return self.make()
            except Exception as error:
                if "already exists" not in str(error):
                    raise

    def widen(self, partitions: int) -> None:
        asked = self.admin
        asked.create_partitions([NewPartitions(self.name, partitions)])[self.name].result()
        self.partitions = partitions
        self._producers.clear()  # which know of no other partitions for a while

    def forget(self, partition: int, before: int) -> None:
        """As retention does it: the messages of the partition before that offset go."""
        from confluent_kafka import TopicPartition  # noqa: PLC0415

        asked = self.admin
        (gone,) = asked.delete_records([TopicPartition(self.name, partition, before)]).values()
        gone.result()
        self.committed = {
            place: value for place, value in self.committed.items() if place[0] != partition or place[1] >= before
        }

    def send(self, *values: bytes | None, partition: int | None = None, **more: object) -> None:
        """By turns to all partitions, or to one."""
        self._produce(self._producer(""), values, partition, self.committed, more)

    def send_together(self, *values: bytes | None, commit: bool, partition: int | None = None) -> None:
        """In a transaction, which is committed, or aborted."""
        producer, found = self.begun(*values, partition=partition)
        (producer.commit_transaction if commit else producer.abort_transaction)()
        self.settle()
        self.committed |= found if commit else {}

    def settle(self) -> None:
        """Until no transaction is open: a producer hears that one has ended a moment before its messages count."""
        kafka = Kafka(topic=self.name, servers="KAFKA_SERVERS")
        while any(one.stable < one.high for one in look(kafka).partitions):
            time.sleep(0.01)

    def begun(
        self, *values: bytes | None, partition: int | None = None, name: str = "t"
    ) -> tuple[Any, dict[Place, Any]]:
        """A transaction that is open, with what counts once it is committed."""
        producer = self._producer(name)
        producer.begin_transaction()
        found: dict[Place, bytes | None] = {}
        self._produce(producer, values, partition, found, {})
        return producer, found

    def _producer(self, transaction: str) -> Any:  # noqa: ANN401
        if transaction not in self._producers:
            how: dict[str, Any] = {"bootstrap.servers": self.address, "message.max.bytes": 8 << 20}
            how |= {"transactional.id": f"{self.name}-{transaction}"} if transaction else {}
            made = self._producers[transaction] = Producer(how)
            if transaction:
                made.init_transactions()
        return self._producers[transaction]

    def _produce(
        self,
        producer: Any,  # noqa: ANN401
        values: Iterable[bytes | None],
        partition: int | None,
        found: dict[Place, bytes | None],
        more: dict[str, Any],
    ) -> None:
        def landed(error: object, message: Any) -> None:  # noqa: ANN401
            assert error is None, error
            found[message.partition(), message.offset()] = message.value()

        for number, value in enumerate(values):
            to = number % self.partitions if partition is None else partition
            producer.produce(self.name, value, partition=to, on_delivery=landed, **more)
        assert producer.flush(30) == 0


@cache
def tables() -> dict[str, Table]:
    return graph.load()


@dataclass
class Taker:
    """A lake in a folder whose only table takes the topic; `kafka`: what its contract says beside topic and servers.

    `readers`: those of one round, or kept ones.
    """

    folder: Path
    topic: str
    engine: Engine | str
    kafka: dict[str, Any] = field(default_factory=dict)
    readers: Readers = field(default_factory=Readers)

    @property
    def root(self) -> str:
        return str(self.folder / "lake")

    @property
    def address(self) -> str:
        return progress.address(self.root, EVENTS)

    @property
    def table(self) -> Table:
        known = tables()[EVENTS]
        promise: dict[str, Any] = conf.read(conf.HOME / "conf" / "bronze" / "events.yml")  # type: ignore[assignment]
        promise["source"]["kafka"] |= {"topic": self.topic, "patience": "20s"} | self.kafka
        return replace(known, contract=type(known.contract).model_validate(promise))

    def run(self, *more: str) -> Report:
        """Its table, and more that are made of it."""
        landing = self.folder / "landing"
        landing.mkdir(parents=True, exist_ok=True)
        wanted = {EVENTS: self.table} | {name: tables()[name] for name in more}
        run = Run(self.root, str(landing), wanted, engine=self.engine, is_kept=True)
        run.readers = self.readers
        return run.execute(wanted)

    def rows(self, name: str = EVENTS) -> list[dict[str, Any]]:
        address = progress.address(self.root, name)
        now = log.snapshot(address)
        return read(address, now.version).to_pylist() if now else []

    def taken(self) -> list[tuple[int, int, bytes | None]]:
        """Every row's partition, offset and value, in their order; as often as it is there."""
        return sorted(_places(self.rows()), key=str)


def _places(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[int, int, bytes | None]]:
    return ((int(row["_file"].rpartition("/")[2]), row["_row"], row["_value"]) for row in rows)


def as_rows(committed: dict[Place, bytes | None]) -> list[tuple[int, int, bytes | None]]:
    return sorted(((*place, value) for place, value in committed.items()), key=str)
