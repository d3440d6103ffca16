"""Runs tell people, and whatever of that fails fails no run; `lakehouse alerts` says it to whoever asks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from rich.console import Console

from jobs.monitoring import alerted
from jobs.runs.every import Rounds
from lakehouse import conf, graph
from lakehouse.alerts import facts
from lakehouse.runs.run import StoppedError
from tests.toy import Toy

pytest.importorskip("apprise", reason="needs the extra `ops`: uv sync --inexact --extra ops")

from tests.told import Told, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
WEBHOOK = {"webhook": {"url": "TO_WEBHOOK"}}


@pytest.fixture(scope="module")
def people() -> Iterator[Told]:
    with told() as one:
        yield one


@pytest.fixture
def toy(people: Told, engine: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Nothing was delivered yet."""
    toy = Toy(tmp_path / "toy", engine)
    toy.landing.mkdir(parents=True)
    tables = toy.tables()
    (tmp_path / "home" / "conf").mkdir(parents=True)
    (tmp_path / "home" / "conf" / "lake.yml").write_text("{root: lake, landing: landing}", encoding="utf-8")
    monkeypatch.setattr(conf, "HOME", tmp_path / "home")
    monkeypatch.setattr("jobs.places.HOME", tmp_path / "home")
    monkeypatch.setattr(graph, "load", lambda: tables)
    environment = {
        "LAKEHOUSE_CACHE": tmp_path / "cache",
        "LAKEHOUSE_ROOT": toy.lake.root,
        "LAKEHOUSE_LANDING": toy.landing,
    }
    for name, value in {**environment, **people.addresses}.items():
        monkeypatch.setenv(name, str(value))
    people.taken()
    people.beats.clear()
    people.deaf.clear()
    return toy


def wanted(**said: Any) -> None:  # noqa: ANN401
    """However full the disk is."""
    said = {"limits": {"disk_free": 0.0}, **said}
    (conf.HOME / "conf" / "alerts.yml").write_text(yaml.safe_dump(said), encoding="utf-8")


def test_a_run_that_fails_is_told_and_a_later_one_takes_it_back(
    toy: Toy, people: Told, command: Callable[..., tuple[int, str]]
) -> None:
    """A success alone is a heartbeat."""
    wanted(routes=WEBHOOK, heartbeat="HEARTBEAT")
    (toy.folder / "lake").mkdir()
    assert command("run")[0] == 1
    (notice,) = people.taken()["webhook"]
    assert notice.startswith("[lakehouse] run failed: run\nThere is nothing to load in")
    assert people.beats == []
    toy.deliver("monday.csv", "7,A,2,10.00")
    code, said = command("run")
    assert (code, "cleared" in said) == (0, True)
    assert "over: run failed: run" in people.taken()["webhook"][0]
    assert len(people.beats) == 1
    assert command("run")[0] == 0
    assert people.taken()["webhook"] == []
    assert len(people.beats) == 2


@pytest.mark.parametrize("what", ["deaf", "wrong", "no address"])
def test_what_fails_of_telling_fails_no_run_and_is_seen(
    toy: Toy,
    people: Told,
    command: Callable[..., tuple[int, str]],
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted(routes=WEBHOOK, heartbeat="HEARTBEAT", limits={"disk_free": 1.0})
    people.deaf |= {"webhook", "beat"}
    if what == "wrong":
        wanted(louder=True)
    elif what == "no address":
        monkeypatch.delenv("TO_WEBHOOK")
        monkeypatch.delenv("HEARTBEAT")
    toy.deliver("monday.csv", "7,A,2,10.00")
    code, said = command("run")
    assert code == 0
    if what == "wrong":
        assert "Nobody was told how it stands: No notice is sent, because this is not right:" in said
        return
    assert "The heartbeat was not heard: " in said
    assert "the route webhook took no notice: " in said
    assert "warning the route webhook took no notice at 20" in command("status")[1]
    assert command("alerts")[0] == 1
    people.deaf.clear()
    monkeypatch.setenv("TO_WEBHOOK", people.addresses["TO_WEBHOOK"])
    code, said = command("alerts")
    assert (code, len(people.taken()["webhook"])) == (0, 1)
    assert "critical disk: " in said
    assert "took no notice" not in command("status")[1]


def test_a_route_is_tried_by_its_name(toy: Toy, people: Told, command: Callable[..., tuple[int, str]]) -> None:
    wanted(routes=WEBHOOK)
    code, said = command("alerts", "--test", "pager")
    assert (code, "conf/alerts.yml has no route pager. Write it below `routes:`. There are: webhook." in said) == (
        1,
        True,
    )
    people.deaf.add("webhook")
    code, said = command("alerts", "--test", "webhook")
    assert (code, "The route webhook took no notice: Failed to send JSON" in said) == (1, True)
    people.deaf.clear()
    assert command("alerts", "--test", "webhook") == (0, "The route webhook took the notice.\n")
    assert people.taken()["webhook"] == [
        f"[lakehouse] test\nThis is a test: notices of this lake come by this route.\nLake: {toy.lake.root}"
    ]


def test_nobody_need_be_told_to_ask_what_is_wrong(
    toy: Toy, people: Told, command: Callable[..., tuple[int, str]]
) -> None:
    wanted()
    toy.deliver("monday.csv", "7,A,2,10.00")
    assert command("run")[0] == 0
    assert command("alerts") == (0, "Nothing is wrong.\n")
    wanted(routes=WEBHOOK, limits={"disk_free": 1.0})
    assert "critical disk: " in command("alerts", "--dry-run")[1]
    assert people.taken()["webhook"] == []
    assert not (toy.folder / "lake" / "ops" / "alerts").exists()


def test_kept_rounds_without_work_look_every_few_minutes_alone(
    toy: Toy, people: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted(routes=WEBHOOK, limits={"disk_free": 1.0})
    toy.deliver("monday.csv", "7,A,2,10.00")
    looks, rounds = list[object](), list[float | None]()
    gather = facts.gather

    def counted(*given: Any) -> facts.Facts:  # noqa: ANN401
        looks.append(given)
        return gather(*given)

    monkeypatch.setattr(facts, "gather", counted)

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rounds.append(timeout)
            self.set() if len(rounds) > 4 else None
            return True

    kept = Rounds(Console(quiet=True), toy.lake.root, str(toy.landing), toy.tables(), toy.tables(), every=1)
    kept.stopping, kept._engine = Stopping(), toy.engine  # noqa: SLF001
    monkeypatch.setattr(kept, "_listen", lambda: None)
    kept.go_on()
    assert (len(rounds), len(looks)) == (5, 1)
    assert len(people.taken()["webhook"]) == 1


def test_a_stop_is_neither_success_nor_failure(toy: Toy, people: Told) -> None:
    wanted(routes=WEBHOOK, heartbeat="HEARTBEAT")
    with pytest.raises(StoppedError), alerted.after(Console(quiet=True), toy.lake.root, "x", "native"):
        raise StoppedError("stopped")
    assert (people.beats, people.taken()["webhook"]) == ([], [])
