"""Kafka's broker runs once a folder, keeps its address and topics, is told from others, and says what it lacks."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from jobs import cli
from lakehouse.engines.spark import jvm
from lakehouse.errors import LakehouseError
from lakehouse.sources import broker as kafka

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lakehouse.sources.broker import Broker


@pytest.fixture
def without_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    jvm.check_java.cache_clear()
    yield
    jvm.check_java.cache_clear()


@pytest.mark.kafka
def test_a_broker_is_the_one_of_its_folder(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it has its messages, at the same address, after it was killed is in kafka/test_killed.py."""
    monkeypatch.setattr(kafka, "FOLDER", broker.folder.with_name("another"))
    asked = CliRunner().invoke(cli.app, ["kafka", "status"])
    assert str(asked.exception) == "Kafka is not running. Start it with `lakehouse kafka start`."
    monkeypatch.setattr(kafka, "FOLDER", broker.folder)
    assert f"Kafka is running at {broker.address}" in CliRunner().invoke(cli.app, ["kafka", "status"]).output
    running = kafka.status(broker.folder)  # other tests may have killed the one that the fixture started
    assert running is not None
    assert kafka.start(broker.folder) == running == replace(broker, pid=running.pid)


def test_a_pid_that_belongs_to_another_program_now_is_left_alone(tmp_path: Path) -> None:
    state = {"address": "127.0.0.1:1", "controller": "127.0.0.1:2", "pid": os.getpid()}
    (tmp_path / "kafka.json").write_text(json.dumps(state))
    assert kafka.status(tmp_path / "kafka") is None
    assert not kafka.stop(tmp_path / "kafka")


def test_a_state_that_cannot_be_read_is_deleted(tmp_path: Path) -> None:
    state = tmp_path / "kafka.json"
    state.write_text("{}")
    words = r"kafka\.json cannot be read \(KeyError\), so the address of Kafka's broker is unknown\. .* topics stay"
    with pytest.raises(LakehouseError, match=words):
        kafka.status(tmp_path / "kafka")
    state.unlink()
    assert kafka.status(tmp_path / "kafka") is None


@pytest.mark.usefixtures("without_java")
def test_without_java_it_is_said_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(
        LakehouseError, match=r"Kafka's broker needs Java, and there is none that works in PATH\. Install"
    ):
        kafka.start(tmp_path / "kafka")


@pytest.mark.kafka
@pytest.mark.long
def test_a_broker_that_cannot_start_says_why_and_starts_when_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    with pytest.raises(
        LakehouseError, match=r"Kafka's broker cannot use .*/kafka: .*broker\.id: Not a number.* Check the settings"
    ):
        kafka.start(folder, settings={"node.id": "none"})
    assert kafka.status(folder) is None
    try:
        with pytest.raises(
            LakehouseError, match=r"Kafka's broker does not answer at 127\.0\.0\.1:\d+: .*no\.such\.Class"
        ):
            kafka.start(folder, settings={"authorizer.class.name": "no.such.Class"})
        assert kafka.start(folder) == kafka.status(folder)
    finally:
        kafka.stop(folder)
