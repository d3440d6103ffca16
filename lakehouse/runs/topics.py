"""Topics in a run: what their brokers offer, asked once, so that what is decided is what is read; a round; how far.

`ops.lag` has a row for each partition of a round: how far the table is then, and behind what the topic held.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse.delta.commits import ops
from lakehouse.described.terms import roughly
from lakehouse.errors import LackingExtraError, LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.runs import plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyspark.sql import DataFrame

    from lakehouse.delta.tables.progress import Offsets
    from lakehouse.described.kafka import Kafka
    from lakehouse.graph import Table
    from lakehouse.intake.rows.messages import Sent
    from lakehouse.sources.kafka.consume import Reader
    from lakehouse.sources.kafka.topics import Offer

LAG = "ops.lag"
TYPES: Mapping[str, ops.Kind] = {
    "run": "text",
    "at": "moment",
    **dict.fromkeys(("table_name", "topic", "topic_id"), "text"),
    **dict.fromkeys(("partition", "first", "next", "stable", "high", "behind"), "whole"),
    "seconds": "real",
}


def kafka_of(table: Table) -> Kafka | None:
    return table.contract.source.kafka if table.contract.source else None


def follows(table: Table) -> bool:
    """Whether a table grows with each round of a topic."""
    return kafka_of(table) is not None or table.contract.deduplicate is not None


def group_of(table: Table) -> str:
    """The consumer group by which lag tools see the table."""
    kafka = kafka_of(table)
    return (kafka.group if kafka else "") or f"lakehouse.{table.name}"


def offers(root: str, tables: Iterable[Table]) -> dict[str, Offer | LakehouseError]:
    """What the topics of these tables hold beyond what they include, as it is now."""
    from lakehouse.sources.kafka import clients  # noqa: PLC0415  most lakes have no topics

    found = dict[str, "Offer | LakehouseError"]()
    for table in tables:
        if (kafka := kafka_of(table)) and clients.is_set(kafka):
            try:
                found[table.name] = _offer(root, table, kafka)
            except LakehouseError as error:
                found[table.name] = error
            except ImportError:
                found[table.name] = LackingExtraError(f"{table.name} is read from Kafka by confluent-kafka", "kafka")
    return found


def _offer(root: str, table: Table, kafka: Kafka) -> Offer:
    from lakehouse.sources.kafka import topics  # noqa: PLC0415  as in `offers`

    state = plan.state(root, table.name)
    said = state.progress if state else None
    known = said.inputs.get(ledger.TOPIC) if said else None  # none where a rewind went back to before it was there
    return topics.offer(
        table.name, kafka, topics.look(kafka), known.id if known else None, said.offsets if said else ()
    )


class Readers:
    """The consumers of topics, by table; `are_kept` by who makes one round after the other."""

    def __init__(self, *, are_kept: bool = False) -> None:
        self.are_kept, self._of_tables = are_kept, dict[str, "Reader"]()

    @contextmanager
    def of(self, table: Table, offer: Offer) -> Iterator[Reader]:
        """For a round of what was offered."""
        from lakehouse.sources.kafka.consume import Reader  # noqa: PLC0415  as in `offers`

        kafka, columns = kafka_of(table), list(table.contract.columns)
        if kafka is None:
            raise ValueError(table.name)
        known = self._of_tables.pop(table.name, None)
        if known and known.topic_id != offer.topic.id:
            known.close()
            known = None
        reader = known or Reader(kafka, group_of(table), offer.topic.id, columns, goes_on=self.are_kept)
        self._of_tables[table.name] = reader
        try:
            yield reader
        finally:
            if not self.are_kept:
                self.close()

    def close(self) -> None:
        while self._of_tables:
            self._of_tables.popitem()[1].close()


@dataclass(frozen=True)
class Taken:
    """A round of one table: of which ranges it took all; where these end before the topic does, when the last was sent.

    `is_behind`: more was offered than a round may take.
    """

    table: str
    offer: Offer
    ranges: tuple[Offsets, ...]
    lasts: Mapping[int, datetime] = field(default_factory=dict)

    @property
    def is_behind(self) -> bool:
        return any(one.next < offered.next for one, offered in zip(self.ranges, self.offer.ranges, strict=True))

    def rows(self) -> Iterator[dict[str, object]]:
        now, ends = datetime.now(UTC), {one.partition: one for one in self.ranges}
        for one in self.offer.topic.partitions:
            mine = ends.get(one.number)
            if mine is None:
                continue
            behind, last = one.high - mine.next, self.lasts.get(one.number)
            yield {
                "table_name": self.table,
                "topic": self.offer.topic.name,
                "topic_id": self.offer.topic.id,
                "partition": one.number,
                "first": mine.first,
                "next": mine.next,
                "stable": one.stable,
                "high": one.high,
                "behind": behind,
                "seconds": (now - last).total_seconds() if behind and last else 0.0,
            }


def lasts(table: Table, offer: Offer, ranges: Sequence[Offsets], given: Sent | DataFrame) -> dict[int, datetime]:
    """When the last message of each partition was sent: of those that are here, in the order of their offsets.

    Of those that workers read the brokers are asked, where the topic goes on; without those of which they do not say.
    """
    from lakehouse.intake.rows.messages import Sent  # noqa: PLC0415  it brings Arrow
    from lakehouse.sources.kafka import consume  # noqa: PLC0415  as in `offers`

    if isinstance(given, Sent):
        found = given.messages.group_by("partition").aggregate([("time", "max")])
        return {row["partition"]: row["time_max"] for row in found.to_pylist() if row["time_max"]}
    kafka, highs = kafka_of(table), {one.number: one.high for one in offer.topic.partitions}
    ends = {one.partition: max(0, one.next - 1) for one in ranges if one.next < highs[one.partition]}
    return consume.oldest(kafka, group_of(table), ends, uncommitted=True) if kafka else {}


def note(root: str, run: str, taken: Iterable[Taken]) -> None:
    """Append the rounds of a run to `ops.lag`, in one commit; without any there is none."""
    at = datetime.now(UTC)
    ops.append(root, LAG, TYPES, [row | {"run": run, "at": at} for one in taken for row in one.rows()])


@dataclass(frozen=True)
class Lag:
    """A partition as it stands: `behind` so many offsets, of which the oldest was sent `since`; some are `open`.

    These stand behind the first message of a transaction that is not ended, and that was sent `opened_at`.
    """

    table: str
    partition: int
    next: int
    behind: int
    open: int
    since: datetime | None = None
    opened_at: datetime | None = None


def lag(table: Table, offer: Offer) -> list[Lag]:
    """Asks the brokers when the first message that is not taken was sent; without a time where they do not say."""
    from lakehouse.sources.kafka import consume  # noqa: PLC0415  as in `offers`

    kafka = kafka_of(table)
    if kafka is None:
        return []
    waiting = {one.partition: one.first for one in offer.ranges}
    parts = {one.number: one for one in offer.topic.partitions}
    oldest = consume.oldest(kafka, group_of(table), waiting)
    open_ones = {number: one.stable for number, one in parts.items() if one.stable < one.high}
    opened = consume.oldest(kafka, group_of(table), open_ones, uncommitted=True)
    nexts = {number: one.stable for number, one in parts.items()} | waiting
    return [
        Lag(
            table.name,
            number,
            nexts[number],
            one.high - nexts[number],
            one.high - one.stable,
            oldest.get(number),
            opened.get(number),
        )
        for number, one in parts.items()
    ]


def hanging(table: Table, lags: Iterable[Lag], now: datetime) -> list[str]:
    """A sentence for each transaction that has been open for longer than the contract says."""
    kafka = kafka_of(table)
    if kafka is None:
        return []
    return [
        f"{table.name}: a transaction in partition {one.partition} of {kafka.topic} has been open for "
        f"{roughly(now - one.opened_at)}, and {one.open:,} offsets from {one.next + one.behind - one.open} on wait for "
        "its end. Its producer must end it, or who runs the brokers: `kafka-transactions.sh find-hanging` and `abort`."
        for one in lags
        if one.opened_at and now - one.opened_at > kafka.open_transaction
    ]
