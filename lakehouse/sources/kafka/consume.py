"""The committed messages of exact ranges of offsets, as Arrow.

A range is done when the consumer's position has reached its end, not when its last message came: that may be a marker
of a transaction, or of one that was aborted, and then no message ever has it.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.delta.types import arrow_schema
from lakehouse.intake.messages import OF_A_MESSAGE
from lakehouse.sources.kafka import clients
from lakehouse.sources.windows import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa
    from confluent_kafka import Consumer

    from lakehouse.delta.progress import Offsets
    from lakehouse.described_kafka import Kafka

AT_FIRST, AT_ONCE = 100, 20_000  # messages: as long as their size is not known, and at most
PAUSE = 0.1  # seconds for which messages are gathered
MIB = 1 << 20
FETCHING = {
    "fetch.message.max.bytes": 4 * MIB,  # of a partition; a larger message comes all the same
    "fetch.max.bytes": 32 * MIB,
    "receive.message.max.bytes": 1024 * MIB,
    "queued.max.messages.kbytes": 64 * 1024,  # of a partition, that are here and not asked for yet
    "fetch.wait.max.ms": 100,
}


def read(kafka: Kafka, group: str, ranges: Sequence[Offsets]) -> tuple[pa.Table, tuple[Offsets, ...]]:
    """The messages in these ranges, ordered by partition and offset, and the ranges that they are all of.

    Where there are more than `kafka.megabytes` these end earlier. Raises SourceError where for `kafka.patience` nothing
    comes, or what is to come is not there any more.
    """
    import pyarrow as pa  # noqa: PLC0415

    reader = _Reader(kafka, group, ranges)
    try:
        parts = reader.parts()
    finally:
        reader.close()
    schema = arrow_schema(dict(OF_A_MESSAGE))
    together = pa.concat_tables([schema.empty_table(), *parts])
    ordered = together.sort_by([("partition", "ascending"), ("offset", "ascending")]) if len(ranges) > 1 else together
    return ordered, reader.taken()


class _Reader:
    """One consumer with a position in each partition."""

    def __init__(self, kafka: Kafka, group: str, ranges: Sequence[Offsets]) -> None:
        from confluent_kafka import TopicPartition  # noqa: PLC0415

        self.kafka, self.ranges = kafka, {one.partition: one for one in ranges}
        self.positions = {one.partition: one.first for one in ranges}
        self.consumer: Consumer = clients.consumer(kafka, group, **FETCHING)
        self.consumer.assign([TopicPartition(kafka.topic, one.partition, one.first) for one in ranges])

    def close(self) -> None:
        self.consumer.close()

    def taken(self) -> tuple[Offsets, ...]:
        ends = {number: min(one.next, self.positions[number]) for number, one in self.ranges.items()}
        return tuple(one._replace(next=ends[one.partition]) for one in self.ranges.values())

    def parts(self) -> list[pa.Table]:
        from confluent_kafka import KafkaException  # noqa: PLC0415

        found, size, came_at = list[Any](), 0, time.monotonic()
        try:
            while (left := self._left()) and size < self.kafka.megabytes * MIB:
                came = self.consumer.consume(self._at_once(sum(map(len, found)), size), PAUSE)
                before = dict(self.positions)
                part = self._taken_in(came)
                if part is not None:
                    found.append(part)
                    size += part.nbytes
                if before != self.positions:
                    came_at = time.monotonic()
                elif time.monotonic() - came_at > self.kafka.patience.total_seconds():
                    raise self._gave_up(left)
        except KafkaException as error:
            raise clients.failed(self.kafka, error) from None
        return found

    def _at_once(self, messages: int, size: int) -> int:
        """As many as a round may still take, if the next ones are as large as those before."""
        left = self.kafka.megabytes * MIB - size
        return min(AT_ONCE, 1 + left * messages // size) if size else AT_FIRST

    def _left(self) -> list[Offsets]:
        return [one for one in self.ranges.values() if self.positions[one.partition] < one.next]

    def _taken_in(self, came: Sequence[Any]) -> pa.Table | None:
        """Messages within the ranges; by what came, wherever, the positions move."""
        from confluent_kafka import Message  # noqa: PLC0415

        if any(map(Message.error, came)):
            for one in filter(Message.error, came):
                self._hear(one)
            came = [one for one in came if not one.error()]
        if not came:
            return None
        partitions: list[Any] = list(map(Message.partition, came))
        offsets: list[Any] = list(map(Message.offset, came))
        part = _table(came, partitions, offsets)
        lasts = dict(zip(partitions, offsets, strict=True))  # of each the last one
        is_over = [number for number, last in lasts.items() if last >= self.ranges[number].next]
        for number, last in lasts.items():
            self.positions[number] = max(self.positions[number], last + 1)
        return self._within(part) if is_over else part

    def _within(self, part: pa.Table) -> pa.Table:
        from pyarrow import compute as pc  # noqa: PLC0415

        inside: Any = None
        for number, one in self.ranges.items():
            mine = pc.and_(pc.equal(part["partition"], number), pc.less(part["offset"], one.next))
            inside = mine if inside is None else pc.or_(inside, mine)
        return part.filter(inside)

    def _hear(self, told: Any) -> None:  # noqa: ANN401  a Message, whose types know no error that is one
        """That a partition has no more for now, at which offset; or what is wrong."""
        from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415

        error, number = told.error(), told.partition()
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  its name in librdkafka too
            self.positions[number] = max(self.positions[number], told.offset())
        elif error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:  # noqa: SLF001
            raise SourceError(
                f"Of topic {self.kafka.topic}, partition {number}, the messages from offset {self.positions[number]} "
                "on were deleted while they were read. Run again, which says from where on there are some."
            )
        elif not error.retriable():
            raise KafkaException(error)

    def _gave_up(self, left: Iterable[Offsets]) -> SourceError:
        where = ", ".join(f"{one.partition} at {self.positions[one.partition]} of {one.next}" for one in left)
        return SourceError(
            f"Topic {self.kafka.topic} gave nothing for {self.kafka.patience.total_seconds():.0f} s (partition: "
            f"{where}). Nothing was taken. Check its brokers and run again; the contract's `patience:` says how long "
            "to wait."
        )


def _table(came: Sequence[Any], partitions: Sequence[int], offsets: Sequence[int]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415
    from confluent_kafka import Message  # noqa: PLC0415

    headers: list[Any] = list(map(Message.headers, came))
    texts = [one and _as_json(one) for one in headers] if any(headers) else [None] * len(came)
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


def _as_json(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """A list of [name, text]; what is no text is in base64, as {"base64": ...}. A name may stand there twice."""
    return json.dumps([[name, _said(value)] for name, value in headers], ensure_ascii=False)


def _said(value: bytes | None) -> str | Mapping[str, str] | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value or b"").decode()}


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
            came: Sequence[Any] = asked.consume(len(waiting), PAUSE)
            for one in came:
                number, (kind, at) = one.partition(), one.timestamp()
                if number in waiting and kind and not one.error():
                    found[number] = datetime.fromtimestamp(at / 1000, UTC)
                waiting.discard(number)
    finally:
        asked.close()
    return found


def tell_group(kafka: Kafka, group: str, offsets: Iterable[Offsets]) -> None:
    """Commit to the group how far the table is: tools that show lag look there. Nobody reads it here."""
    from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415

    told = clients.consumer(kafka, group)
    try:
        told.commit(
            offsets=[TopicPartition(kafka.topic, one.partition, one.next) for one in offsets], asynchronous=False
        )
    except KafkaException as error:
        clients.LOG.info("group %s was not told: %s", group, error)
    finally:
        told.close()
