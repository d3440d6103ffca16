"""`lakehouse demo --events`: a day's messages through a real broker, and the funnel after each part."""

from __future__ import annotations

import io
import os
import sys
from datetime import date
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from typer.testing import CliRunner

from jobs import cli
from jobs.demo import traffic
from jobs.samples import events
from lakehouse.errors import LackingExtraError, LakehouseError

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.sources.broker import Broker

pytest.importorskip("confluent_kafka", reason="needs the extra `kafka`: uv sync --inexact --extra kafka")


@pytest.mark.long
@pytest.mark.kafka
def test_the_demo_of_events_shows_a_funnel_growing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(traffic, "FOLDER", tmp_path / "demo")
    monkeypatch.setattr(traffic, "SESSIONS", 200)
    console, before = Console(file=io.StringIO(), width=200), os.environ.get("KAFKA_SERVERS")
    traffic.demo(console)
    assert os.environ.get("KAFKA_SERVERS") == before
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("The funnel so far") == 4
    assert text.count("bronze.events ") >= 4
    last = capsys.readouterr().out.rpartition("the last late one")[2].splitlines()[0].split()
    views, clicks, purchases = (int(one.replace(",", "")) for one in last[1:])
    assert views > clicks > purchases > 0
    assert f"silver.events has {views + clicks + purchases:,} events" in text
    assert f"{views + clicks + purchases:,} events (" in text  # so many were sent
    assert f"published/events_parquet v1: {views + clicks + purchases:,} rows" in text.replace("\n", " ")


@pytest.mark.kafka
def test_messages_have_their_times_and_each_users_are_in_one_partition(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    import confluent_kafka as clients  # noqa: PLC0415  which may be lacking

    some = events.generate(date(2026, 3, 1), sessions=20).messages
    traffic.make(broker.address, "traffic")
    traffic.send(broker.address, "traffic", some)
    consumer = clients.Consumer({"bootstrap.servers": broker.address, "group.id": "traffic"})
    consumer.assign([clients.TopicPartition("traffic", one, 0) for one in range(traffic.PARTITIONS)])
    found = consumer.consume(len(some), 30)
    consumer.close()
    assert sorted(map(str, ((one.key(), one.value()) for one in found))) == sorted(
        map(str, ((one.key, one.value) for one in some))
    )
    assert {one.timestamp()[1] for one in found} == {int(one.sent_at.timestamp() * 1000) for one in some}
    assert len({(one.key(), one.partition()) for one in found if one.key()}) == len(
        {one.key for one in some if one.key}
    )
    monkeypatch.setattr(traffic, "LONGEST", 0.2)
    with pytest.raises(
        LakehouseError, match=r"did not take 1 messages within 0\.2 s\. See its log, kafka\.log in .*demo"
    ):
        traffic.send("127.0.0.1:9", "traffic", some[:1])
    traffic.send(broker.address, "traffic", [])


def test_without_its_client_the_command_that_brings_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka.admin", None)
    with pytest.raises(
        LackingExtraError, match=r"Kafka is spoken to by confluent-kafka, which is not installed\. Install"
    ):
        traffic.make("127.0.0.1:9", "traffic")


def test_a_demo_of_events_is_one_of_its_own() -> None:
    asked = CliRunner().invoke(cli.app, ["demo", "--events", "--minio"])  # and --events alone is the demo above
    assert str(asked.exception) == "--events is a demo of its own. Leave out the other options."
