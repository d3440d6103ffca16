"""docker/prometheus and docker/grafana by the real programs: rules fire and resolve, and every panel has an answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml
from rich.console import Console

from jobs.monitoring.scraped import Scraped
from lakehouse import contract
from lakehouse.alerts import record, rules
from lakehouse.alerts.record import LastRun, Record
from lakehouse.delta import ops
from lakehouse.metrics.measured import FAMILIES
from lakehouse.proof import verify
from lakehouse.recovery import releases
from lakehouse.runs import topics
from lakehouse.runs.run import Run
from lakehouse.store.cache import cache_folder
from lakehouse.store.service import free_port, within
from tests.toy import SOURCES, Toy

told = pytest.importorskip("lakehouse.metrics.told", reason="needs the extra `ops`: uv sync --inexact --extra ops")
psycopg = pytest.importorskip("psycopg", reason="needs the extra `postgres`: uv sync --inexact --extra postgres")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakehouse.engines.native import Native

HOME = Path(__file__).parents[3]
SETTINGS, DASHBOARDS = HOME / "docker" / "prometheus", HOME / "docker" / "grafana" / "dashboards"
GRAFANA = HOME / "docker" / "grafana" / "provisioning" / "datasources" / "lakehouse.yml"
TEMPLATES = Path("/usr/share/prometheus/alertmanager/default.tmpl")  # Debian's Alertmanager does not begin without it
LONGEST = 60  # seconds until something is told, on the slowest machine
PROMISED = ("source: {", "source: {fresh_within_hours: 48, ")
SCORED = ("position: line_number\n", "position: line_number\n        score: 100 * (1 - rejected / rows)\n")
IN_POSTGRES = {"int": "integer", "string": "text", "timestamp": "timestamptz", "double": "double precision"}


def program(name: str) -> str:
    """Debian's, installed or unpacked by .ci/run."""
    unpacked = cache_folder() / "prometheus" / "usr" / "bin"
    if not (found := shutil.which(name, path=f"{unpacked}{os.pathsep}{os.environ['PATH']}")):
        pytest.skip(f"needs Debian's {name}, which .ci/run unpacks into {unpacked}")
    return found


def panels() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Dashboard and title, and each query of the panel."""
    for file in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            assert panel["targets"], panel["title"]
            yield from ((file.stem, panel["title"], one) for one in panel["targets"])


def test_rules_and_panels_name_what_there_is_and_the_settings_are_right() -> None:
    judged = yaml.safe_load((SETTINGS / "rules.yml").read_text())["groups"]
    named = [one["expr"] for group in judged for one in group["rules"]]
    named += [one["expr"] for *_, one in panels() if "expr" in one]
    assert set(re.findall(r"\blakehouse_\w+", " ".join(named))) <= FAMILIES.keys()
    assert all(one["annotations"].keys() == {"summary", "action"} for one in judged[1]["rules"])
    uids = {one["uid"] for one in yaml.safe_load(GRAFANA.read_text())["datasources"]}
    assert {one["datasource"]["uid"] for *_, one in panels()} == uids
    said = subprocess.run([program("promtool"), "check", "config", SETTINGS / "prometheus.yml"], check=False)
    assert said.returncode == 0
    amtool = [program("amtool"), "check-config", str(SETTINGS / "alertmanager.yml")]
    assert subprocess.run(amtool, check=False).returncode == 0


@dataclass
class Watched:
    """A lake that is scraped every three seconds, and what Alertmanager told: (name of the rule, whether it fires)."""

    toy: Toy
    prometheus: str
    told: list[tuple[str, bool]] = field(default_factory=list)

    def ask(self, path: str, **of: object) -> Any:  # noqa: ANN401
        with urlopen(f"{self.prometheus}/api/v1/{path}?{urlencode(of)}", timeout=10) as answer:  # noqa: S310  its own Prometheus
            return json.load(answer)["data"]

    def is_told(self, rule: str, *, fires: bool) -> bool:
        return within(LONGEST, lambda: (rule, fires) in self.told)

    def samples(self, query: str) -> list[tuple[float, str]]:
        """Of the last minutes, as Prometheus keeps them."""
        found = self.ask("query", query=f"{query}[5m]")["result"]
        return [(at, value) for one in found for at, value in one["values"]]


def times(text: str) -> str:
    """With what waits for minutes waiting for nothing."""
    return re.sub(r"\bfor: \w+", "for: 0s", text)


@contextmanager
def started(folder: Path, *command: str) -> Iterator[None]:
    with (folder / f"{Path(command[0]).name}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


@contextmanager
def heard(notices: list[tuple[str, bool]]) -> Iterator[str]:
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            notices.extend((one["labels"]["alertname"], one["status"] == "firing") for one in said["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def watched(engine: Native, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Of which no run has ended yet: its tables are there, and its record is not."""
    prometheus, alertmanager = program("prometheus"), program("prometheus-alertmanager")
    if not TEMPLATES.exists():
        pytest.skip(f"needs {TEMPLATES}, which .ci/run makes where it is root")
    folder = tmp_path_factory.mktemp("watched")
    sources = dict(SOURCES)
    for name, (before, after) in {"bronze.orders": PROMISED, "silver.order_lines": SCORED}.items():
        sources[name] = (sources[name][0].replace(before, after), sources[name][1])
    toy = Toy(folder / "toy", engine, sources)
    toy.deliver("monday.csv", "7,A,2,10.00", "9,C,two,3.00")
    toy.run()
    releases.publish(toy.lake.root, toy.tables())
    blank = {"at": datetime.now(UTC), "table_name": "gold.totals", "topic": "events", "partition": 0}
    compared = dict.fromkeys(verify.TYPES) | {"at": blank["at"], "table_name": "gold.totals", "version": 0}
    ops.append(toy.lake.root, verify.CERTIFICATES, verify.TYPES, [compared | {"equal": True}])
    round_of_it = dict.fromkeys(topics.TYPES) | blank | {"behind": 3, "seconds": 1.0}
    ops.append(toy.lake.root, topics.LAG, topics.TYPES, [round_of_it])
    with pytest.MonkeyPatch.context() as patched, ExitStack() as until:
        patched.setenv("LAKEHOUSE_CACHE", str(folder / "cache"))
        patched.setenv("LAKEHOUSE_POSTGRES", postgres)
        patched.setattr(told, "KEPT", 0.0)
        patched.setattr(told, "SHARE", 1)
        run = Run(toy.lake.root, str(toy.landing), toy.tables(), engine=engine.name)
        scraped = Scraped(Console(quiet=True), run, rules.Alerts())
        target = told.serve("127.0.0.1:0", scraped.look).split("/")[2]
        one = Watched(toy, f"http://127.0.0.1:{free_port()}")
        routed = {"route": {"receiver": "hook", "group_wait": "10ms", "group_interval": "200ms", "group_by": ["..."]}}
        routed["receivers"] = [{"name": "hook", "webhook_configs": [{"url": until.enter_context(heard(one.told))}]}]  # type: ignore[assignment]
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(routed))
        tells = f"127.0.0.1:{free_port()}"
        (folder / "rules.yml").write_text(times((SETTINGS / "rules.yml").read_text()))
        settings = yaml.safe_load((SETTINGS / "prometheus.yml").read_text())
        settings["global"] = {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "500ms"}
        settings["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [tells]
        settings["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        alone = ("--cluster.listen-address=", f"--web.listen-address={tells}", "--storage.path=alertmanager")
        until.enter_context(started(folder, alertmanager, "--config.file=alertmanager.yml", *alone))
        stored = ("--storage.tsdb.path=data", f"--web.listen-address={one.prometheus.split('/')[2]}")
        until.enter_context(started(folder, prometheus, "--config.file=prometheus.yml", *stored))
        assert within(LONGEST, lambda: _is_up(one)), (folder / "prometheus.log").read_text()
        yield one


def _is_up(one: Watched) -> bool:
    with suppress(OSError, KeyError):
        return bool(one.ask("query", query="lakehouse_up == 1")["result"])
    return False


def record_of(toy: Toy) -> Record:
    return Record(toy.lake.root, is_there=record.is_there(toy.lake.root))


@pytest.mark.long
def test_a_run_that_never_started_fires_and_one_that_succeeds_resolves_it(watched: Watched) -> None:
    assert watched.is_told("LakehouseNeverSucceeded", fires=True)
    long_ago = datetime.now(UTC) - timedelta(hours=30)
    record_of(watched.toy).ended(LastRun(long_ago, succeeded_at=long_ago), None, is_told=False)
    assert watched.is_told("LakehouseNeverSucceeded", fires=False)
    assert watched.is_told("LakehouseRunLate", fires=True)
    record_of(watched.toy).ended(record.after(None, "a", "", {}), None, is_told=False)
    assert watched.is_told("LakehouseRunLate", fires=False)


@pytest.mark.long
def test_a_rule_fires_within_two_scrapes_and_resolves(watched: Watched) -> None:
    """By Prometheus's own times: of the samples that say so, at most two come before the rule fires."""
    away = watched.toy.folder / "away"
    Path(watched.toy.lake.root).rename(away)
    assert watched.is_told("LakehouseDown", fires=True)
    away.rename(watched.toy.lake.root)
    assert watched.is_told("LakehouseDown", fires=False)
    fired = min(at for at, _ in watched.samples('ALERTS{alertname="LakehouseDown", alertstate="firing"}'))
    gone = [at for at, value in watched.samples("lakehouse_up") if value == "0"]
    assert 1 <= sum(at <= fired for at in gone) <= 2


@pytest.mark.long
def test_every_panel_has_an_answer(watched: Watched, postgres: str) -> None:
    """Of Prometheus, and of a PostgreSQL that has the tables as their contracts say."""
    record_of(watched.toy).ended(record.after(None, "a", "", {}), None, is_told=False)
    assert within(LONGEST, lambda: bool(watched.ask("query", query="lakehouse_last_success_timestamp")["result"]))
    promised = contract.load(HOME / "conf")
    silent, now = list[str](), time.time()
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("create schema if not exists gold")
        for where, title, one in panels():
            if "expr" in one:
                answer = watched.ask("query_range", query=one["expr"], start=now - 30, end=now + 1, step="1s")["result"]
                silent += [] if answer else [f"{where}: {title}"]
                continue
            for name in re.findall(r"\bgold\.\w+", one["rawSql"]):
                columns = ", ".join(f"{key} {_type(each.type)}" for key, each in promised[name].columns.items())
                connection.execute(f"create table if not exists {name} ({columns})")
            asked = re.sub(
                r"\$__timeFilter\((\w+)\)", r"\1 between now() - interval '90 days' and now()", one["rawSql"]
            )
            answer = connection.execute(asked)
            if one["format"] == "time_series":
                assert [column.name for column in answer.description] == ["time", "metric", "value"], title
    assert not silent


def _type(spark: str) -> str:
    return IN_POSTGRES.get(spark, spark.replace("decimal", "numeric"))
