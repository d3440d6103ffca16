"""The committed messages of exact ranges of offsets, as Arrow.

A range is done when the consumer's position has reached its end, not when its last message came: that may be a marker
of a transaction, or of one that was aborted, and then no message ever has it.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from lakehouse.delta.tables.progress import Offsets
from lakehouse.delta.tables.types import arrow_schema
from lakehouse.engines.protocol import Planned
from lakehouse.intake.rows import messages
from lakehouse.intake.rows.messages import OF_A_MESSAGE, as_json
from lakehouse.sources.kafka import clients
from lakehouse.sources.windows import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Future

    import pyarrow as pa
    from confluent_kafka import Consumer
    from confluent_kafka.admin import AdminClient
    from pyspark.sql import DataFrame

    from lakehouse.described.kafka import Kafka
    from lakehouse.engines.protocol import Engine
    from lakehouse.intake.rows.messages import Sent

AT_FIRST, AT_ONCE = 100, 20_000  # messages: as long as their size is not known, and at most
PAUSE = 0.1  # seconds for which messages are gathered
TOLD_WITHIN = 5.0  # seconds: for what is advice alone no round waits longer
MIB = 1 << 20
FETCHING = {
    "fetch.message.max.bytes": 4 * MIB,  # of a partition; a larger message comes all the same
    "fetch.max.bytes": 32 * MIB,
    "receive.message.max.bytes": 1024 * MIB,
    "queued.max.messages.kbytes": 64 * 1024,  # that are here and not asked for yet
    "fetch.wait.max.ms": 100,
}


Round: TypeAlias = "tuple[Sent, tuple[Offsets, ...]]"


class Reader:
    """A consumer of the topic with that id. If it `goes_on`, it reads the next round while one is written.

    `columns`: what is wanted of the messages; `group`: who takes them, for tools that show lag.
    """

    def __init__(self, kafka: Kafka, group: str, topic_id: str, columns: Sequence[str], *, goes_on: bool) -> None:
        self.kafka, self.group, self.topic_id = kafka, group, topic_id
        self.columns, self.goes_on = columns, goes_on
        self._consumer: Consumer | None = None
        self._admin: AdminClient | None = None  # by which the group is told
        self._positions: dict[int, int] = {}  # of the consumer
        self._given: dict[int, int] = {}  # up to which offset rounds have the messages; the rest waits here
        self._waiting: list[pa.Table] = []
        self._pool = ThreadPoolExecutor(1, "messages")
        self._ahead: Future[Round] | None = None

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._let_go()

    def _let_go(self) -> None:
        if self._consumer:
            self._consumer.close()
        self._consumer, self._waiting = None, []

    def read(self, ranges: Sequence[Offsets]) -> Round:
        """The messages in these ranges, ordered by partition and offset, and the ranges that they are all of.

        Where there are more than `kafka.megabytes` these end earlier. Raises SourceError where for `kafka.patience`
        nothing comes, or what is to come is not there any more.
        """
        sent, taken = self._known(ranges) or self._gathered(ranges)
        left = [one._replace(first=done.next) for one, done in zip(ranges, taken, strict=True) if done.next < one.next]
        if left and self.goes_on:
            self._ahead = self._pool.submit(self._gathered, left)
        return sent, taken

    def taken(self, engine: Engine, ranges: Sequence[Offsets]) -> tuple[Sent | DataFrame, tuple[Offsets, ...]]:
        """As `read`, here or by the engine's workers; there a round has `kafka.megabytes` for each task at a time."""
        by_workers = engine.sent(lambda tasks: self._planned(tasks, ranges))
        if by_workers is None:
            return self.read(ranges)
        rows, planned = by_workers
        return rows, planned.ranges

    def _planned(self, tasks: int, ranges: Sequence[Offsets]) -> Planned:
        """Of each range the same share, so that they fit if all is as large as the first messages, which are read."""
        firsts = [one._replace(next=min(one.next, one.first + AT_FIRST)) for one in ranges]
        sent, looked = self._gathered(firsts)
        fit = tasks * self.kafka.megabytes * MIB * _offsets(looked) // max(1, sent.messages.nbytes)
        if (count := _offsets(ranges)) > fit:
            shares = (max(1, (one.next - one.first) * fit // count) for one in ranges)
            ranges = [one._replace(next=one.first + share) for one, share in zip(ranges, shares, strict=True)]
        patience = self.kafka.patience.total_seconds()
        return Planned(self.kafka.topic, tuple(ranges), clients.settings(self.kafka), self.group, patience)

    def _known(self, ranges: Sequence[Offsets]) -> Round | None:
        """What was read ahead, where these ranges begin there too."""
        ahead, self._ahead = self._ahead, None
        if ahead is None or ahead.exception() is not None:  # where it still is wrong, it is raised when these are read
            return None
        sent, taken = ahead.result()
        ends = {one.partition: one for one in taken}
        begins = {one.partition: one.first for one in ranges}
        if any(begins.get(number) != one.first for number, one in ends.items()) or not sent.messages.num_rows:
            return None
        nothing = {number: Offsets(number, first, first) for number, first in begins.items()}
        return sent, tuple((nothing | ends).values())

    def _gathered(self, ranges: Sequence[Offsets]) -> Round:
        from confluent_kafka import KafkaException  # noqa: PLC0415

        try:
            self._begin(ranges)
            self._gather(ranges)
        except BaseException as error:
            self._let_go()
            if isinstance(error, KafkaException):
                raise clients.failed(self.kafka, error) from None
            raise
        taken = tuple(one._replace(next=min(one.next, self._positions[one.partition])) for one in ranges)
        return messages.read(self._take(taken), self.columns), taken

    def _begin(self, ranges: Sequence[Offsets]) -> None:
        """It goes on where it is, unless these ranges begin elsewhere."""
        from confluent_kafka import TopicPartition  # noqa: PLC0415

        begins = {one.partition: one.first for one in ranges}
        if self._consumer and begins.items() <= self._given.items():
            return
        self._consumer = self._consumer or clients.consumer(self.kafka, self.group, **FETCHING)
        self._consumer.assign([TopicPartition(self.kafka.topic, number, first) for number, first in begins.items()])
        self._positions, self._given, self._waiting = dict(begins), begins, []

    def _gather(self, ranges: Sequence[Offsets]) -> None:
        """Messages until all that these ranges have are here, or as many as a round takes."""
        consumer, came_at = self._consumer, time.monotonic()
        if consumer is None:
            raise AssertionError
        while (left := self._left(ranges)) and (size := self._size()) < self.kafka.megabytes * MIB:
            came = _come(consumer, self._at_once(size))
            before = dict(self._positions)
            self._take_in(came)
            if before != self._positions:
                came_at = time.monotonic()
            elif time.monotonic() - came_at > self.kafka.patience.total_seconds():
                raise self._gave_up(left)

    def _size(self) -> int:
        return sum(one.nbytes for one in self._waiting)

    def _at_once(self, size: int) -> int:
        """As many as a round may still take, if the next ones are as large as those before."""
        left, count = self.kafka.megabytes * MIB - size, sum(map(len, self._waiting))
        return min(AT_ONCE, 1 + left * count // size) if size else AT_FIRST

    def _left(self, ranges: Sequence[Offsets]) -> list[Offsets]:
        return [one for one in ranges if self._positions[one.partition] < one.next]

    def _take_in(self, came: Sequence[Any]) -> None:
        """By what comes the positions move."""
        from confluent_kafka import Message  # noqa: PLC0415

        if any(map(Message.error, came)):
            for one in filter(Message.error, came):
                self._hear(one)
            came = [one for one in came if not one.error()]
        if came:
            partitions: list[Any] = list(map(Message.partition, came))
            offsets: list[Any] = list(map(Message.offset, came))
            self._waiting.append(_table(came, partitions, offsets))
            for number, last in dict(zip(partitions, offsets, strict=True)).items():  # of each the last one
                self._positions[number] = max(self._positions[number], last + 1)

    def _take(self, ranges: Sequence[Offsets]) -> pa.Table:
        """Of what is here the messages in these ranges, in their order; what comes after them waits."""
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import compute as pc  # noqa: PLC0415

        here = pa.concat_tables([arrow_schema(dict(OF_A_MESSAGE)).empty_table(), *self._waiting])
        mine, rest = [here.slice(0, 0)], list[pa.Table]()
        for number in self._positions:
            some = here.filter(pc.equal(here["partition"], number))
            end = next((one.next for one in ranges if one.partition == number), 0)
            count = pc.sum(pc.less(some["offset"], end)).as_py() or 0
            mine.append(some.slice(0, count))
            rest.append(some.slice(count))
        self._waiting = [pa.concat_tables(rest).combine_chunks()] if any(map(len, rest)) else []
        self._given |= {one.partition: one.next for one in ranges}
        return pa.concat_tables(mine)

    def tell_group(self, offsets: Iterable[Offsets]) -> None:
        """Commit to the group how far the table is: tools that show lag look there. Nobody reads it here.

        Not by the consumer: where brokers refuse it the group, it waits for them for 45 s.
        """
        from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition  # noqa: PLC0415

        said = [TopicPartition(self.kafka.topic, one.partition, one.next) for one in offsets]
        asked = [ConsumerGroupTopicPartitions(self.group, said)]
        try:
            if self._admin is None:  # a client is false while it has nothing to do
                self._admin = clients.admin(self.kafka)
            self._admin.alter_consumer_group_offsets(asked, request_timeout=TOLD_WITHIN)[self.group].result()
            self._admin.poll(0)  # or what it says of its connection would be kept for as long as it is
        except (KafkaException, SourceError) as error:
            clients.LOG.info("group %s was not told: %s", self.group, error)

    def _hear(self, told: Any) -> None:  # noqa: ANN401  a Message, whose types know no error that is one
        """That a partition has no more for now, at which offset; or what is wrong."""
        from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415

        error, number = told.error(), told.partition()
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  its name in librdkafka too
            self._positions[number] = max(self._positions[number], told.offset())
        elif error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:  # noqa: SLF001
            raise SourceError(
                f"Of topic {self.kafka.topic}, partition {number}, the messages from offset {self._positions[number]} "
                "on were deleted while they were read. Run again, which says from where on there are some."
            )
        elif not error.retriable():
            raise KafkaException(error)

    def _gave_up(self, left: Iterable[Offsets]) -> SourceError:
        where = ", ".join(f"{one.partition} at {self._positions[one.partition]} of {one.next}" for one in left)
        return SourceError(
            f"Topic {self.kafka.topic} gave nothing for {self.kafka.patience.total_seconds():.0f} s (partition: "
            f"{where}). Nothing was taken. Check its brokers and run again; the contract's `patience:` says how long "
            "to wait."
        )


def _come(consumer: Consumer, most: int) -> list[Any]:
    """Messages, and what is said of partitions. That this account may not use the group, nothing here needs to know."""
    from confluent_kafka import KafkaError, Message  # noqa: PLC0415

    came: list[Any] = consumer.consume(most, PAUSE)
    if any(map(Message.error, came)):
        of_group = KafkaError.GROUP_AUTHORIZATION_FAILED
        came = [one for one in came if not one.error() or one.error().code() != of_group]
    return came


def _offsets(ranges: Iterable[Offsets]) -> int:
    return sum(one.next - one.first for one in ranges)


def _table(came: Sequence[Any], partitions: Sequence[int], offsets: Sequence[int]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415
    from confluent_kafka import Message  # noqa: PLC0415

    headers: list[Any] = list(map(Message.headers, came))
    texts = [one and as_json(one) for one in headers] if any(headers) else [None] * len(came)
    times = [at if kind else None for kind, at in map(Message.timestamp, came)]
    return pa.Table.from_arrays(
        [
            pa.array(partitions, pa.int32()),
            pa.array(offsets, pa.int64()),
            pa.array(times, pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC")),
            pa.array(list(map(Message.key, came)), pa.binary()),
            pa.array(list(map(Message.value, came)), pa.binary()),
            pa.array(texts, pa.string()),
        ],
        schema=arrow_schema(dict(OF_A_MESSAGE)),
    )


def oldest(kafka: Kafka, group: str, places: Mapping[int, int], *, uncommitted: bool = False) -> dict[int, datetime]:
    """When the first message at or behind these offsets was sent, by partition; without those that have none."""
    from confluent_kafka import TopicPartition  # noqa: PLC0415

    if not places:
        return {}
    level = "read_uncommitted" if uncommitted else "read_committed"
    asked = clients.consumer(kafka, group, **{"isolation.level": level, "fetch.wait.max.ms": 10})
    found, waiting, until = dict[int, datetime](), set(places), time.monotonic() + clients.ANSWERS_WITHIN
    try:
        asked.assign([TopicPartition(kafka.topic, number, at) for number, at in places.items()])
        while waiting and time.monotonic() < until:
            for one in _come(asked, len(waiting)):
                number, (kind, at) = one.partition(), one.timestamp()
                if number in waiting and kind and not one.error():
                    found[number] = datetime.fromtimestamp(at / 1000, UTC)
                waiting.discard(number)
    finally:
        asked.close()
    return found
