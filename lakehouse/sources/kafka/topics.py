"""What a topic holds now, and which of its offsets a table takes next.

All ends at a partition's *last stable offset*: behind it a transaction is open, and nobody knows yet what of it counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from lakehouse.delta.tables.progress import Offsets
from lakehouse.sources.kafka import clients
from lakehouse.sources.windows import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka.admin import AdminClient

    from lakehouse.described.kafka import Kafka
    from lakehouse.errors import LakehouseError


@dataclass(frozen=True)
class Partition:
    """Offsets: the first that is still there, the last stable one, and the one behind the last message."""

    number: int
    low: int
    stable: int
    high: int


@dataclass(frozen=True)
class Topic:
    """A topic as it stands; `id` is another one when it is made anew under its name.

    `starts`: by partition where a new table begins.
    """

    name: str
    id: str
    partitions: tuple[Partition, ...]
    starts: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Offer:
    """What a table may take of a topic: `ranges`, which may be empty, up to the last stable offsets.

    `path` stands for the topic in the names of its files.
    """

    topic: Topic
    path: str
    ranges: tuple[Offsets, ...]

    @property
    def messages(self) -> int:
        """At most: markers of transactions, and what was aborted, have offsets too."""
        return sum(one.next - one.first for one in self.ranges)

    @property
    def is_held_up(self) -> bool:
        """Whether nothing of a partition can be taken for a transaction that is open."""
        moving = {one.partition for one in self.ranges}
        return any(one.stable < one.high for one in self.topic.partitions if one.number not in moving)


# By table; an error where its topic cannot be read. Tables of topics that rest have none.
Offers: TypeAlias = "Mapping[str, Offer | LakehouseError]"


def look(kafka: Kafka) -> Topic:
    """Ask the brokers. Raises SourceError where they do not answer, or have no such topic."""
    asked = clients.admin(kafka)
    return clients.patiently(kafka, lambda: _look(kafka, asked))


def _look(kafka: Kafka, asked: AdminClient) -> Topic:
    from confluent_kafka import IsolationLevel, TopicCollection, TopicPartition  # noqa: PLC0415
    from confluent_kafka.admin import AclOperation, OffsetSpec  # type: ignore[attr-defined]  # noqa: PLC0415

    described = asked.describe_topics(
        TopicCollection([kafka.topic]), include_authorized_operations=True, request_timeout=clients.ANSWERS_WITHIN
    )
    found = clients.answered(kafka, asked, described[kafka.topic])
    allowed = found.authorized_operations  # none where brokers do not say
    if allowed and AclOperation.READ not in allowed:  # or they would say so with the first message alone
        raise clients.refused(kafka)
    numbers = sorted(one.id for one in found.partitions)

    def offsets(spec: OffsetSpec, level: IsolationLevel) -> dict[int, int]:
        wanted = {TopicPartition(kafka.topic, one): spec for one in numbers}
        answers = asked.list_offsets(wanted, isolation_level=level, request_timeout=clients.ANSWERS_WITHIN)
        return {place.partition: clients.answered(kafka, asked, one).offset for place, one in answers.items()}

    committed, all_of_it = IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED
    low = offsets(OffsetSpec.earliest(), all_of_it)  # type: ignore[no-untyped-call]
    stable = offsets(OffsetSpec.latest(), committed)  # type: ignore[no-untyped-call]
    high = offsets(OffsetSpec.latest(), all_of_it)  # type: ignore[no-untyped-call]  # asked last, so that no stable one is behind it
    if isinstance(kafka.start, datetime):
        found_at = offsets(OffsetSpec.for_timestamp(int(kafka.start.timestamp() * 1000)), committed)
        starts = {number: stable[number] if first < 0 else first for number, first in found_at.items()}
    else:
        starts = low if kafka.start == "earliest" else stable
    partitions = (Partition(one, low[one], stable[one], high[one]) for one in numbers)
    return Topic(kafka.topic, _readable(str(found.topic_id)), tuple(partitions), starts)


def offer(table: str, kafka: Kafka, now: Topic, known_id: str | None, known: Iterable[Offsets]) -> Offer:
    """What is new in the topic for a table that includes the `known` offsets of the topic of that id; None: nothing.

    Raises SourceError where what is there does not go on with what was taken, until the contract says that it is known.
    """
    path = now.name
    if now.id in {one.topic_id for one in kafka.made_anew}:
        path = f"{now.name}@{now.id}"
    if known_id is not None and known_id != now.id:
        if path == now.name:
            raise SourceError(_of_another(table, kafka, now, known_id))
        known_id, known = None, ()
    taken = {one.partition: one.next for one in known}
    ranges = [_range(table, kafka, one, taken, now.starts, is_first=known_id is None) for one in now.partitions]
    return Offer(now, path, tuple(one for one in ranges if one.next > one.first))


def _range(
    table: str, kafka: Kafka, now: Partition, taken: Mapping[int, int], starts: Mapping[int, int], *, is_first: bool
) -> Offsets:
    """A partition that came later is read from its beginning, whatever the start is."""
    begin = taken.get(now.number, starts[now.number] if is_first else 0)
    if begin > now.high:
        held = f"hold it up to {now.high - 1} only" if now.high else "hold nothing of it"
        raise SourceError(
            f"{table} includes messages of {kafka.topic}, partition {now.number}, up to offset {begin - 1}, and its "
            f"brokers {held}: they lost messages, and will give their offsets to others. "
            "Delete the topic and make it anew with what is still to come; then its id is another, and the next "
            "`lakehouse run` says how to go on."
        )
    if begin < now.low:
        is_known = any(one.partition == now.number and one.first <= begin and now.low <= one.next for one in kafka.lost)
        if not is_known:
            raise SourceError(_of_a_gap(table, kafka, now, begin))
        begin = now.low
    return Offsets(now.number, begin, max(begin, now.stable))


def _of_another(table: str, kafka: Kafka, now: Topic, known_id: str) -> str:
    return (
        f"Topic {kafka.topic} was made anew: {table} was read from the one with the id {known_id}, and this one has "
        f"{now.id}. Its offsets begin again, and what the old one held and {table} did not take is gone. Where that is "
        f"meant, add to `kafka:` in conf/{table.replace('.', '/')}.yml: "
        f'`made_anew: [{{topic_id: {now.id}, why: "..."}}]`, and it is read by `start:`.'
    )


def _of_a_gap(table: str, kafka: Kafka, now: Partition, begin: int) -> str:
    return (
        f"Of topic {kafka.topic}, partition {now.number}, the offsets {begin} to {now.low - 1} are gone before {table} "
        "took them: the topic keeps messages for a shorter time than this lake was behind. Nothing brings them back, "
        "unless their sender sends them again. To go on without them, add to `kafka:` in "
        f"conf/{table.replace('.', '/')}.yml: `lost: [{{partition: {now.number}, first: {begin}, next: {now.low}, "
        'why: "..."}]`, and let the topic keep them longer (retention.ms).'
    )


def _readable(identity: str) -> str:
    """As Kafka's own tools write it, in letters that may stand in a path."""
    return identity.translate(str.maketrans("+/", "-_"))
