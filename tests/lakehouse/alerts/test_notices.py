"""Who is told what, and how often: whatever routes, processes, stores and the machine do meanwhile."""

from __future__ import annotations

import json
import logging
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lakehouse.alerts import notices, record, rules
from lakehouse.alerts.facts import Answer, Facts
from lakehouse.alerts.record import ALERTS, CLAIM, LastRun, Record
from lakehouse.alerts.routes import beat
from lakehouse.alerts.rules import Alerts, load
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

pytest.importorskip("apprise", reason="needs the extra `ops`: uv sync --inexact --extra ops")

from tests.told import CANARY, ROUTES, Told, told

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
WEBHOOK = {"webhook": {"url": "TO_WEBHOOK"}}


@pytest.fixture(scope="module")
def servers() -> Iterator[Told]:
    with told() as one:
        yield one


@pytest.fixture
def people(servers: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    for name, value in servers.addresses.items():
        monkeypatch.setenv(name, value)
    servers.taken()
    servers.deaf.clear()
    servers.beats.clear()
    return servers


@pytest.fixture
def lake(tmp_path: Path) -> str:
    (tmp_path / "lake").mkdir()
    return str(tmp_path / "lake")


def wanted(**said: Any) -> Alerts:  # noqa: ANN401
    """All routes, and nobody waits for runs."""
    routes = {name: {"url": f"TO_{name.upper()}"} for name in ROUTES}
    return Alerts.model_validate({"routes": routes, "limits": {"run_within": "9999d"}, **said})


def facts(root: str, error: str = "a table stopped", **more: Any) -> Facts:  # noqa: ANN401
    """Of a lake whose last run failed, or did not where there is no `error`."""
    return replace(Facts(root, NOW, last=LastRun(NOW, error=error, failing_since=NOW if error else None)), **more)


def counts(one: Told) -> dict[str, int]:
    return {name: len(texts) for name, texts in one.taken().items()}


def rows(root: str) -> list[dict[str, Any]]:
    return ops.query(progress.address(root, ALERTS), "select * from t order by at, route")


def repeated(times: int, people: Told, alerts: Alerts, *, of: Facts) -> None:
    for _ in range(times):
        notices.tell(alerts, of)
    assert counts(people) == dict.fromkeys(ROUTES, 1)


@pytest.mark.slow
def test_a_thousand_repeats_send_no_second_notice(people: Told, tmp_path: Path) -> None:
    """Of a lake that is gone: the local file has it."""
    repeated(1000, people, wanted(), of=facts(str(tmp_path / "gone"), unreachable="it is gone"))
    assert not (tmp_path / "gone").exists()


@pytest.mark.slow
@pytest.mark.parametrize("times", [20, pytest.param(1000, marks=pytest.mark.long)])
def test_nor_do_repeats_of_a_lake_that_is_there(people: Told, lake: str, times: int) -> None:
    repeated(times, people, wanted(), of=facts(lake))
    assert [(row["event"], row["kind"]) for row in rows(lake)] == [("raised", "run_failed")] * len(ROUTES)


def test_what_the_lake_did_not_take_it_gets_when_it_is_back(people: Told, tmp_path: Path) -> None:
    root = str(tmp_path / "lake")
    notices.tell(wanted(), facts(root, unreachable="it is gone"))
    assert counts(people) == dict.fromkeys(ROUTES, 1)
    (tmp_path / "lake").mkdir()
    notices.tell(wanted(), facts(root, error=""))
    assert all("over: lake unreachable" in text for texts in people.taken().values() for text in texts)
    assert {(row["route"], row["event"]) for row in rows(root)} == {
        (name, event) for name in ROUTES for event in ("raised", "cleared")
    }
    assert not [*(tmp_path / "cache").rglob("kept.json")]


@pytest.mark.parametrize("what", ["a folder", "a damaged log"])
def test_a_lake_that_takes_no_row_leaves_it_here(people: Told, lake: str, what: str) -> None:
    notices.tell(wanted(), facts(lake))
    counts(people)
    log = Path(lake, "ops", "alerts", "_delta_log")
    if what == "a folder":
        Path(log, f"{1:020}.json").mkdir()
    else:
        Path(log, f"{0:020}.json").write_text("{", encoding="utf-8")
    for _ in range(3):
        notices.tell(wanted(), facts(lake, error=""))
    assert set(counts(people).values()) <= {0, 1}
    notices.tell(wanted(), facts(lake, "another trouble"))
    assert counts(people) == dict.fromkeys(ROUTES, 1)


def test_a_route_that_takes_nothing_is_seen_once_and_gets_it_when_it_does(people: Told, lake: str) -> None:
    people.deaf.add("slack")
    looked = [notices.tell(wanted(), facts(lake)) for _ in range(3)]
    assert counts(people) == {**dict.fromkeys(ROUTES, 1), "slack": 0}
    assert [[one.route for one in each.failed] for each in looked] == [["slack"]] * 3
    failed = [row for row in rows(lake) if row["event"] == "failed"]
    assert [(row["route"], row["words"]) for row in failed] == [
        ("slack", "Failed to send to Slack: Servers are overloaded., error=503.")
    ]
    assert [*Record(lake, is_there=True).heard().failing] == ["slack"]
    people.deaf.clear()
    notices.tell(wanted(), facts(lake))
    assert counts(people) == {**dict.fromkeys(ROUTES, 0), "slack": 1}
    assert not Record(lake, is_there=True).heard().failing


def test_of_several_processes_one_tells_it(people: Told, lake: str) -> None:
    begin = threading.Barrier(4)

    def tell() -> None:
        begin.wait()
        notices.tell(wanted(routes=WEBHOOK), facts(lake))

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(people.taken()["webhook"]) == 1
    assert not Path(lake, CLAIM).exists()


def test_a_claim_of_one_who_died_holds_nobody(people: Told, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, suppress(Killed):
        patched.setattr(Record, "add", die)  # sent, and not recorded
        patched.setattr(storage, "delete", die)
        notices.tell(wanted(routes=WEBHOOK), facts(lake))
    assert len(people.taken()["webhook"]) == 1
    assert Path(lake, CLAIM).exists()
    monkeypatch.setattr(record, "OLD", timedelta(seconds=0.2))
    for _ in range(2):
        notices.tell(wanted(routes=WEBHOOK), facts(lake))
    assert len(people.taken()["webhook"]) == 1


def test_what_cannot_be_judged_is_neither_raised_nor_over(people: Told, lake: str) -> None:
    alerts = wanted(routes=WEBHOOK, conditions={"x": {"sql": "select 1", "why": "a test"}})
    notices.tell(alerts, facts(lake, "", answers={"x": Answer(1, ("n 1",))}))
    assert len(people.taken()["webhook"]) == 1
    notices.tell(alerts, facts(lake, "", unknown={"sql": "the engine does not start"}))
    assert people.taken()["webhook"] == []
    notices.tell(alerts, facts(lake, "", answers={"x": Answer()}))
    assert "over: sql: x" in people.taken()["webhook"][0]


def test_of_much_trouble_the_worst_comes_first_and_the_rest_later(people: Told, lake: str) -> None:
    names = [f"x{number}" for number in range(notices.MOST + 4)]
    conditions = {name: {"sql": "select 1", "why": "a test"} for name in names}
    alerts = wanted(routes=WEBHOOK, conditions=conditions)
    trouble = facts(lake, answers={name: Answer(1) for name in names})
    assert notices.tell(alerts, trouble).waits == 5
    first = people.taken()["webhook"]
    assert (len(first), first[0].partition("\n")[0]) == (notices.MOST, "[lakehouse] run failed: run")
    assert notices.tell(alerts, trouble).waits == 0
    assert len(people.taken()["webhook"]) == 5


def test_a_route_gets_what_it_is_for_and_nobody_what_is_ignored(people: Told, lake: str) -> None:
    routes = {
        "mail": {"url": "TO_MAIL", "kinds": ["sql"]},
        "slack": {"url": "TO_SLACK", "severity": "critical"},
        "webhook": {"url": "TO_WEBHOOK"},
    }
    conditions = {name: {"sql": "select 1", "why": "a test"} for name in ("loud", "silent")}
    alerts = wanted(routes=routes, conditions=conditions, ignore=["sql:sil*"])
    notices.tell(alerts, facts(lake, answers={name: Answer(1) for name in conditions}))
    assert counts(people) == {"mail": 1, "slack": 1, "telegram": 0, "webhook": 2}


def test_names_of_files_are_no_commands_of_a_chat(people: Told, lake: str) -> None:
    notices.tell(wanted(), facts(lake, "<!channel> & <b>\x1b[2J\r\nBcc: all@example.org"))
    taken = {name: texts[0].replace("\r\n", "\n") for name, texts in people.taken().items()}
    assert "&lt;!channel&gt; &amp; " in taken["slack"]
    assert "&lt;b&gt;" in taken["telegram"]
    assert "\x1b" not in "".join(taken.values())
    assert taken["mail"].startswith("[lakehouse] run failed: run\n<!channel>")


@pytest.mark.parametrize("is_deaf", [False, True])
def test_no_secret_of_a_route_is_said_logged_or_kept(
    people: Told, lake: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_deaf: bool
) -> None:
    """Whether the server takes it, or repeats in its refusal what it was sent."""
    caplog.set_level(logging.DEBUG)
    people.deaf |= {*ROUTES, "beat"} if is_deaf else set()
    looked = notices.tell(wanted(), facts(lake))
    said = [str(looked), *(notices.test(one, lake) for one in wanted().routes.values())]
    said.append(beaten := beat("HEARTBEAT"))
    assert bool(beaten) == is_deaf
    kept = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    told = [text for text in (*said, caplog.text, *kept, json.dumps(rows(lake), default=str)) if CANARY in text]
    assert not told


@pytest.mark.usefixtures("people")
def test_what_is_no_address_is_named_and_not_shown(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TO_WEBHOOK", f"nosuch://{CANARY}-of-a-route/{CANARY}")
    (failed,) = notices.tell(wanted(routes=WEBHOOK), facts(lake)).failed
    assert failed.words.startswith("TO_WEBHOOK holds no address that Apprise knows (")
    assert CANARY not in failed.words


@pytest.mark.usefixtures("people")
def test_without_apprise_the_command_that_brings_it_is_named(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    (failed,) = notices.tell(wanted(routes=WEBHOOK), facts(lake)).failed
    assert failed.words == (
        "Notices are sent by Apprise, which is not installed. Install it: `uv sync --inexact --extra ops`."
    )


WRONG = {
    "routes: {team: {url: 'slack://T/B/x'}}": "routes.team.url: must be the name of an environment variable",
    "routes: {team: {}}": "routes.team.url: is missing",
    "limits: {score: 101}": "limits.score: Input should be less than or equal to 100",
    "limits: {lag: soon}": "limits.lag: 'soon' is no span of time; write it as 90s, 15m, 6h or 2d",
    "louder: true": "louder: is not a known key; take it out or correct its spelling",
    "routes: {": "is not YAML",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_alerts_are_right_when_they_are_written_as_the_words_say(text: str, tmp_path: Path) -> None:
    (tmp_path / "alerts.yml").write_text(text, encoding="utf-8")
    with pytest.raises(LakehouseError, match="No notice is sent, because this is not right:") as wrong:
        load(tmp_path)
    assert WRONG[text] in str(wrong.value)
    right = {"routes": {"team": {"url": "TEAM"}}, "limits": {"score": 99, "lag": "15m"}}
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(right), encoding="utf-8")
    assert load(tmp_path).limits.score == 99


def test_without_a_file_nobody_is_told(tmp_path: Path) -> None:
    assert load(tmp_path) == rules.Alerts()
