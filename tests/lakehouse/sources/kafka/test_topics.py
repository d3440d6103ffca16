"""Bronze is what was committed to a topic, offset by offset, whatever happened to its writers, its brokers and us."""

from __future__ import annotations

import logging
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("confluent_kafka", reason="needs the extra `kafka`: uv sync --inexact --extra kafka")

from lakehouse.alerts import facts, problems
from lakehouse.alerts.rules import KINDS, Alerts
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Offsets, Progress
from lakehouse.engines.spark import topics as by_spark
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases, rewind
from lakehouse.runs import plan, topics
from lakehouse.runs.run import Run
from lakehouse.sources.kafka import clients, consume
from lakehouse.sources.kafka.topics import look, offer
from tests.lakehouse.sources.kafka.sent import EVENTS, Taker, Topic, as_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame

    from lakehouse.alerts.problems import Problem
    from lakehouse.described.kafka import Kafka
    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.sources.broker import Broker

pytestmark = pytest.mark.kafka
AN_EVENT = b'{"event_name": "view", "user_id": 7, "sku": "A"}'


@pytest.fixture
def topic(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Topic:
    monkeypatch.setenv("KAFKA_SERVERS", broker.address)
    return Topic(broker.address).make()


@pytest.fixture
def taker(topic: Topic, engine: Native, tmp_path: Path) -> Iterator[Taker]:
    """As `run --every` takes it: by a consumer that is kept."""
    readers = topics.Readers(are_kept=True)
    yield Taker(tmp_path, topic.name, engine, readers=readers)
    readers.close()


def test_bronze_is_what_was_committed_offset_by_offset(topic: Topic, taker: Taker) -> None:
    """A transaction's end has an offset and no message; a partition that came later is read from its beginning."""
    topic.send(AN_EVENT, b"broken", None, b"x" * (3 << 20), key=b"7", headers=[("trace", b"a"), ("raw", b"\xff")])
    topic.send_together(AN_EVENT, AN_EVENT, commit=True)
    topic.send_together(AN_EVENT, AN_EVENT, AN_EVENT, commit=False)
    report = taker.run()
    assert [one.rows_in for one in report.done] == [6]
    assert taker.taken() == as_rows(topic.committed)
    first = next(row for row in taker.rows() if row["_file"] == f"kafka/{topic.name}/0" and row["_row"] == 0)
    assert (first["user_id"], first["_key"], first["_headers"]) == (
        "7", b"7", '[["trace", "a"], ["raw", {"base64": "/w=="}]]',
    )  # fmt: skip
    topic.send_together(AN_EVENT, commit=False)
    topic.widen(3)
    topic.send(AN_EVENT, partition=2)
    taker.run()
    assert taker.taken() == as_rows(topic.committed)
    assert not any(one.decision.does_something for one in taker.run().done)
    lags = ops.query(progress.address(taker.root, topics.LAG), "select partition, next, stable, behind from t")
    assert all(row["next"] == row["stable"] and row["behind"] == 0 for row in lags)
    assert {row["partition"] for row in lags} == {0, 1, 2}


@pytest.mark.spark
def test_both_engines_take_the_same_of_a_topic_and_each_goes_on_with_what_the_other_took(
    topic: Topic, taker: Taker, on_spark: Spark
) -> None:
    """By turns, into two lakes; each range ends by what nobody gets."""
    other = Taker(taker.folder / "other", topic.name, on_spark)
    for _ in range(2):
        topic.send(AN_EVENT, b"broken", None, b"x" * (3 << 20), key=b"7", headers=[("trace", b"a"), ("raw", b"\xff")])
        topic.send(AN_EVENT, headers=[("nothing", None)], timestamp=1_767_225_600_123)
        topic.send_together(AN_EVENT, AN_EVENT, commit=True)
        topic.send_together(AN_EVENT, AN_EVENT, AN_EVENT, commit=False)
        assert [done.rows_in for one in (taker, other) for done in one.run().done] == [7, 7]
        taker.engine, other.engine = other.engine, taker.engine
    assert taker.taken() == as_rows(topic.committed)
    assert held(taker) == held(other)
    mine, theirs = notes(taker), notes(other)
    assert [one.offsets for one in mine] == [one.offsets for one in theirs]
    assert [one.engine.split()[0] for one in mine + theirs] == ["native", "spark", "spark", "native"]


def held(taker: Taker) -> list[str]:
    """All that a lake holds of a topic but when it took it."""
    rows = [row | {"_sequence": row["_sequence"].split()[2:], "_ingested_at": None} for row in taker.rows()]
    return sorted(map(str, rows))


def notes(taker: Taker) -> list[Progress]:
    found = [Progress.from_json(one.user_metadata) for one in log.history(taker.address)]
    return [one for one in reversed(found) if one]


@pytest.mark.spark
def test_spark_takes_no_more_in_a_round_than_its_tasks_may_and_all_of_it_or_nothing(
    topic: Topic, taker: Taker, on_spark: Spark, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First a megabyte for each of its tasks, of one and a half; then what its tasks do not find any more."""
    taker.engine, taker.kafka = on_spark, {"megabytes": 1}
    count = 50 * on_spark.parallelism
    topic.send(*[b"x" * 30_000] * count)
    first = taker.run()
    assert first.is_behind
    assert 0.6 < (first.done[0].rows_in or 0) / count < 0.75
    taken, sent, read = taker.taken(), dict(topic.committed), by_spark.read
    begin = max(offset for partition, offset, _ in taken if not partition) + 1

    def too_late(*asked: Any) -> DataFrame:  # noqa: ANN401
        topic.forget(0, before=begin + 2)
        return read(*asked)

    with monkeypatch.context() as patched:
        patched.setattr(by_spark, "read", too_late)
        with pytest.raises(LakehouseError, match="messages of the topic were deleted while they were read"):
            taker.run()
    with pytest.raises(LakehouseError, match=f"the offsets {begin} to {begin + 1} are gone"):
        taker.run()
    assert taker.taken() == taken
    taker.kafka |= {"lost": [{"partition": 0, "first": begin, "next": begin + 2, "why": "deleted"}]}
    taker.run()
    gone = {(0, begin), (0, begin + 1)}
    assert taker.taken() == as_rows({place: value for place, value in sent.items() if place not in gone})


def test_lag_tools_see_how_far_a_table_is(topic: Topic, taker: Taker) -> None:
    from confluent_kafka import ConsumerGroupTopicPartitions  # noqa: PLC0415

    topic.send(AN_EVENT, AN_EVENT, AN_EVENT)
    taker.run()
    asked, group = topic.admin, topics.group_of(taker.table)
    told = asked.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
    mine = {(one.partition, one.offset) for one in told.topic_partitions if one.topic == topic.name}
    assert mine == {(0, 2), (1, 1)}


def test_people_hear_of_what_a_round_left_for_longer_than_is_wanted_until_another_took_it(
    topic: Topic, taker: Taker
) -> None:
    """A round takes a hundred of the messages that were sent five hours ago."""

    def waits() -> list[Problem]:
        run = Run(taker.root, str(taker.folder), {EVENTS: taker.table}, engine=taker.engine)
        known = facts.gather(run, Alerts(), None, without=[kind for kind in KINDS if kind != "lag"])
        return problems.found(known, Alerts())

    taker.kafka = {"megabytes": 1}
    ago = datetime.now(UTC) - timedelta(hours=5)
    topic.send(*[b"x" * 30_000] * 150, timestamp=int(1000 * ago.timestamp()))
    assert taker.run().is_behind
    (left,) = ops.query(progress.address(taker.root, topics.LAG), "select sum(behind) as n, max(seconds) as s from t")
    (problem,) = waits()
    assert (problem.key, problem.what) == (
        f"lag:{EVENTS}/{topic.name}", "50 offsets wait, the oldest message for 5 h."
    )  # fmt: skip
    assert (left["n"], 5 * 3600 <= left["s"] < 6 * 3600) == (50, True)
    while taker.run().is_behind:
        pass
    assert waits() == []


def test_a_transaction_that_stays_open_holds_nobody_up_and_is_told_of(topic: Topic, taker: Taker) -> None:
    topic.send(AN_EVENT, AN_EVENT)
    producer, found = topic.begun(AN_EVENT, AN_EVENT, partition=0)
    topic.send(AN_EVENT, partition=0)  # committed, and behind it
    behind = topic.committed.pop((0, 3))
    taker.run()
    assert taker.taken() == as_rows(topic.committed)
    offered = topics.offers(taker.root, [taker.table])[taker.table.name]
    assert not isinstance(offered, LakehouseError)
    lags = topics.lag(taker.table, offered)
    assert [(one.partition, one.next, one.behind, one.open) for one in lags] == [(0, 1, 3, 3), (1, 1, 0, 0)]
    assert topics.hanging(taker.table, lags, datetime.now(UTC)) == []
    (words,) = topics.hanging(taker.table, lags, datetime.now(UTC) + timedelta(minutes=6))
    assert f"a transaction in partition 0 of {topic.name} has been open for" in words
    assert "and 3 offsets from 1 on wait for its end" in words
    assert taker.run().stuck == ()
    taker.kafka = {"open_transaction": "1s"}
    time.sleep(1)
    assert f"a transaction in partition 0 of {topic.name} has been open for" in " ".join(taker.run().stuck)
    producer.commit_transaction()
    topic.settle()
    topic.committed |= found | {(0, 3): behind}
    taker.run()
    assert taker.taken() == as_rows(topic.committed)


def test_a_topic_made_anew_is_an_error_until_the_contract_knows_it(topic: Topic, taker: Taker) -> None:
    topic.send(AN_EVENT, AN_EVENT, AN_EVENT)
    taker.run()
    before, old = taker.taken(), look(described(taker)).id
    topic.make_anew()
    topic.committed.clear()
    topic.send(b"anew")
    new = look(described(taker)).id
    with pytest.raises(LakehouseError) as refused:
        taker.run()
    words = f"Topic {topic.name} was made anew: bronze.events was read from the one with the id {old}, and this one has"
    assert words in str(refused.value)
    assert "Its offsets begin again, and what the old one held" in str(refused.value)
    assert f"`made_anew: [{{topic_id: {new}, why:" in str(refused.value)
    taker.kafka = {"made_anew": [{"topic_id": new, "why": "the brokers were moved"}]}
    taker.run()
    assert taker.taken() == sorted([*before, *as_rows(topic.committed)], key=str)
    assert {row["_file"] for row in taker.rows() if row["_value"] == b"anew"} == {f"kafka/{topic.name}@{new}/0"}
    assert not any(one.decision.does_something for one in taker.run().done)


def test_what_a_topic_lost_before_it_was_taken_is_an_error_until_the_contract_knows_it(
    topic: Topic, taker: Taker
) -> None:
    topic.send(*[AN_EVENT] * 6)
    taker.run()
    topic.send(*[AN_EVENT] * 8)
    before = dict(topic.committed)
    topic.forget(1, before=5)
    with pytest.raises(LakehouseError) as refused:
        taker.run()
    assert f"Of topic {topic.name}, partition 1, the offsets 3 to 4 are gone before bronze.events took them" in str(
        refused.value
    )
    assert "`lost: [{partition: 1, first: 3, next: 5, why:" in str(refused.value)
    taker.kafka = {"lost": [{"partition": 1, "first": 3, "next": 5, "why": "the topic kept a minute"}]}
    taker.run()
    gone = {(1, 3), (1, 4)}
    assert taker.taken() == as_rows({place: value for place, value in before.items() if place not in gone})


def test_what_does_not_come_is_not_waited_for_for_ever(topic: Topic, taker: Taker) -> None:
    topic.send(*[AN_EVENT] * 6)
    kafka = described(taker).model_copy(update={"patience": timedelta(seconds=1)})
    read = consume.Reader(kafka, "tests", "id", list(taker.table.contract.columns), goes_on=False).read
    with pytest.raises(LakehouseError, match=r"gave nothing for 1 s \(partition: 0 at 3 of 9\). Nothing was taken."):
        read([Offsets(0, 0, 9)])
    topic.forget(0, before=2)
    with pytest.raises(LakehouseError, match="from offset 0 on were deleted while they were read"):
        read([Offsets(0, 0, 3)])
    found, ranges = read([Offsets(0, 2, 3), Offsets(1, 0, 2)])  # and one more is there
    assert (found.messages.num_rows, ranges) == (3, (Offsets(0, 2, 3), Offsets(1, 0, 2)))


def test_messages_that_came_with_a_round_and_are_beyond_it_are_the_next_ones(topic: Topic, taker: Taker) -> None:
    """A consumer gives what there is, also what came since a round was planned; another beginning is read anew."""
    topic.send(*[b"%d" % number for number in range(10)])
    reader = consume.Reader(described(taker), "tests", "id", list(taker.table.contract.columns), goes_on=True)

    def read(*ranges: Offsets) -> list[tuple[int, int]]:
        sent, taken = reader.read(ranges)
        assert taken == ranges
        return [(row["partition"], row["offset"]) for row in sent.messages.to_pylist()]

    assert read(Offsets(0, 0, 2), Offsets(1, 0, 1)) == [(0, 0), (0, 1), (1, 0)]
    assert read(Offsets(1, 1, 2)) == [(1, 1)]
    assert read(Offsets(0, 2, 5), Offsets(1, 2, 5)) == [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)]
    assert read(Offsets(0, 1, 3), Offsets(1, 4, 5)) == [(0, 1), (0, 2), (1, 4)]
    reader.close()


def test_brokers_that_lost_what_was_taken_are_an_error(topic: Topic, taker: Taker) -> None:
    """Until the topic is made anew, as the words say; then the contract says that this is known."""
    topic.send(AN_EVENT, AN_EVENT)
    now = look(described(taker))
    with pytest.raises(LakehouseError) as refused:
        offer("bronze.events", described(taker), now, now.id, [Offsets(0, 0, 7)])
    assert "up to offset 6, and its brokers hold it up to 0 only: they lost messages" in str(refused.value)
    topic.make_anew().send(AN_EVENT)
    new = look(described(taker))
    taker.kafka = {"made_anew": [{"topic_id": new.id, "why": "messages were lost"}]}
    assert offer("bronze.events", described(taker), new, now.id, [Offsets(0, 0, 7)]).ranges == (Offsets(0, 0, 1),)


def described(taker: Taker) -> Kafka:
    found = topics.kafka_of(taker.table)
    assert found
    return found


def test_a_new_table_begins_where_its_contract_says(topic: Topic, taker: Taker) -> None:
    topic.send(b"before", b"before")
    since = datetime.now(UTC)
    topic.send(b"since")
    latest = Taker(taker.folder / "latest", topic.name, taker.engine, {"start": "latest"})
    at = {
        start: Taker(taker.folder / name, topic.name, taker.engine, {"start": start})
        for name, start in (("time", since), ("all", "earliest"))
    }
    assert look(described(latest)).starts == {0: 2, 1: 1}
    assert latest.run().done[0].decision.path == "nothing"
    assert [{row["_value"] for row in one.rows()} for one in at.values() if one.run()] == [
        {b"since"},
        {b"before", b"since"},
    ]


def test_a_round_takes_no_more_than_it_may_and_the_next_goes_on(topic: Topic, taker: Taker) -> None:
    taker.kafka = {"megabytes": 1}
    topic.send(*[b"x" * 30_000] * 300)
    reports = [taker.run()]
    while reports[-1].is_behind:
        reports.append(taker.run())
    assert [done.rows_in for one in reports for done in one.done] == [100, 100, 100]
    assert taker.taken() == as_rows(topic.committed)


def test_what_is_read_ahead_is_what_the_next_round_takes(
    topic: Topic, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While more comes, also to partitions that had no more, and what is aborted; a run by somebody else is seen."""
    ahead, gathered = list[int](), consume.Reader._gathered  # noqa: SLF001

    def watched(self: consume.Reader, ranges: list[Offsets]) -> consume.Round:
        found = gathered(self, ranges)
        if threading.current_thread() is not threading.main_thread():
            ahead.append(len(found[0].messages))
        return found

    monkeypatch.setattr(consume.Reader, "_gathered", watched)
    taker.kafka = {"megabytes": 1}
    chance = Random(4)  # noqa: S311
    for one in range(12):
        sizes = [chance.choice((10, 1000, 300_000)) for _ in range(chance.randrange(1, 12))]
        topic.send(*[b"%d" % one * size for size in sizes], partition=chance.choice((None, 0, 1)))
        topic.send_together(AN_EVENT, commit=chance.random() < 0.5)
        if one == 6:
            Taker(taker.folder, topic.name, taker.engine, taker.kafka).run()
        taker.run()
        assert set(taker.taken()) <= set(as_rows(topic.committed))
    while taker.run().is_behind:
        pass
    assert taker.taken() == as_rows(topic.committed)
    assert len(ahead) > 3


def test_a_topic_is_not_read_without_its_extra(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka.admin", None)
    with pytest.raises(LakehouseError, match="is read from Kafka by confluent-kafka, which is not installed"):
        taker.run()


def test_a_rewind_takes_the_topic_again_from_where_it_went_back_to(topic: Topic, taker: Taker) -> None:
    """Also to before the table was there: then from its start."""
    for values in ([AN_EVENT] * 3, [b"broken", None]):
        topic.send(*values)
        taker.run()
        releases.publish(taker.root, {taker.table.name: taker.table})
    first = min(releases.releases(taker.root), key=lambda one: one.number)
    landing, tables = str(taker.folder / "landing"), {EVENTS: taker.table}
    for then, rows in ((first.point, 3), ({}, 0)):
        rewind.go(taker.root, rewind.look(taker.root, landing, tables, "back", then))
        assert len(taker.rows()) == rows
        taker.run()
        assert taker.taken() == as_rows(topic.committed)


def test_a_topic_that_is_not_there_is_named_and_taken_once_it_is(topic: Topic, taker: Taker) -> None:
    later = Topic(topic.address)
    taker.topic = later.name
    with pytest.raises(LakehouseError, match=rf"KAFKA_SERVERS names have no topic {later.name}, or do not show it to"):
        taker.run()
    later.make().send(AN_EVENT)
    taker.run()
    assert taker.taken() == as_rows(later.committed)


def test_brokers_that_do_not_answer_are_an_error_in_words_without_a_secret(
    topic: Topic, taker: Taker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor do the client's own lines, one each time that it tries again, stand above that error."""
    monkeypatch.setenv("KAFKA_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr(clients, "ANSWERS_WITHIN", 1.0)
    for name, value in {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_MECHANISM": "PLAIN"}.items():
        monkeypatch.setenv(f"KAFKA_{name}", value)
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "me")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "c4nary")
    with pytest.raises(LakehouseError, match="cannot be read from the brokers that KAFKA_SERVERS names") as refused:
        taker.run()
    assert "Connection refused" in str(refused.value)
    assert not [one for one in caplog.records if one.name == clients.LOG.name and one.levelno >= logging.WARNING]
    assert "c4nary" not in str(refused.value)
    monkeypatch.setenv("KAFKA_SASL_PASSWRD", "c4nary")
    with pytest.raises(LakehouseError, match="KAFKA_SASL_PASSWRD says nothing that is known of") as refused:
        taker.run()
    assert "KAFKA_SASL_PASSWORD" in str(refused.value)
    assert "c4nary" not in str(refused.value)
    monkeypatch.delenv("KAFKA_SASL_PASSWRD")
    monkeypatch.setenv("KAFKA_SASL_MECHANISM", "GSSAPI")
    with pytest.raises(LakehouseError, match=r"names no way by which .* is read\. Known are: PLAIN, SCRAM-SHA-256,"):
        taker.run()
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    monkeypatch.setenv("KAFKA_SERVERS", topic.address)
    topic.send(AN_EVENT)
    assert taker.run().done[0].rows_in == 1


def test_a_plan_and_a_run_say_that_nobody_said_where_the_brokers_are(
    topic: Topic, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a table that is there: not that nothing came."""
    topic.send(AN_EVENT)
    assert taker.run().stuck == ()
    monkeypatch.delenv("KAFKA_SERVERS")
    offered = topics.offers(taker.root, [taker.table])
    decided = plan.decide_all(taker.root, [taker.table], [], offers=offered)[EVENTS]
    assert (decided.path, decided.reason) == (
        "nothing",
        "KAFKA_SERVERS, which says where its brokers are, is not set",
    )
    assert taker.run().stuck == (
        f"{EVENTS} goes on with its topic no more: KAFKA_SERVERS, which says where its brokers are, is not set.",
    )
