"""docker/prometheus and docker/grafana by the real programs: rules fire and resolve, and every panel has an answer."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
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
from lakehouse.delta.commits import ops
from lakehouse.metrics.measured import FAMILIES
from lakehouse.proof import verify
from lakehouse.recovery import releases
from lakehouse.runs import topics
from lakehouse.runs.run import Run
from lakehouse.store.service import free_port, within
from tests.tools import unpacked
from tests.toy import SOURCES, Toy

told = pytest.importorskip("lakehouse.metrics.told", reason="needs the extra `ops`: uv sync --inexact --extra ops")
psycopg = pytest.importorskip("psycopg", reason="needs the extra `postgres`: uv sync --inexact --extra postgres")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakehouse.engines.native.engine import Native

HOME = Path(__file__).parents[3]
SETTINGS, DASHBOARDS = HOME / "docker" / "prometheus", HOME / "docker" / "grafana" / "dashboards"
GRAFANA = HOME / "docker" / "grafana" / "provisioning" / "datasources" / "lakehouse.yml"
TEMPLATES = Path("/usr/share/prometheus/alertmanager/default.tmpl")  # Debian's Alertmanager does not begin without it
LONGEST = 60  # seconds until something is told, on the slowest machine
PROMISED = ("source: {", "source: {fresh_within_hours: 48, ")
SCORED = ("position: line_number\n", "position: line_number\n        score: 100 * (1 - rejected / rows)\n")


def panels() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Dashboard and title, and each query of the panel."""
    for file in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            assert panel["targets"], panel["title"]
            yield from ((file.stem, panel["title"], one) for one in panel["targets"])


def test_rules_and_panels_name_what_there_is_and_the_settings_are_right() -> None:
    (group,) = yaml.safe_load((SETTINGS / "rules.yml").read_text())["groups"]
    named = [one["expr"] for one in group["rules"]]
    named += [one["expr"] for *_, one in panels() if "expr" in one]
    assert set(re.findall(r"\blakehouse_\w+", " ".join(named))) <= FAMILIES.keys()
    assert all(one["annotations"].keys() == {"summary", "action"} for one in group["rules"] if "alert" in one)
    uids = {one["uid"] for one in yaml.safe_load(GRAFANA.read_text())["datasources"]}
    assert {one["datasource"]["uid"] for *_, one in panels()} == uids
    said = subprocess.run([unpacked("promtool"), "check", "config", SETTINGS / "prometheus.yml"], check=False)
    assert said.returncode == 0
    amtool = [unpacked("amtool"), "check-config", str(SETTINGS / "alertmanager.yml")]
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
    """Of which no run has ended yet."""
    prometheus, alertmanager = unpacked("prometheus"), unpacked("prometheus-alertmanager")
    if not TEMPLATES.exists():
        pytest.skip(f"needs {TEMPLATES}, which .ci/run makes where it is root")
    folder = tmp_path_factory.mktemp("watched")
    sources = dict(SOURCES)
    for name, (before, after) in {"bronze.orders": PROMISED, "silver.order_lines": SCORED}.items():
        sources[name] = (sources[name][0].replace(before, after), sources[name][1])
    toy = Toy(folder / "toy", engine, sources)
    toy.deliver("monday.csv", "7,A,2,10.00", "9,C,two,3.00")
    Path(toy.lake.root).mkdir()
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
        again = "--rules.alert.resend-delay=1s"  # what fires before Alertmanager is there
        until.enter_context(started(folder, prometheus, "--config.file=prometheus.yml", again, *stored))
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
    watched.toy.run()
    assert watched.is_told("LakehouseNeverSucceeded", fires=False)
    long_ago = datetime.now(UTC) - timedelta(hours=30)
    record_of(watched.toy).ended(LastRun(long_ago, succeeded_at=long_ago), None, is_told=False)
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
def test_every_panel_of_prometheus_has_an_answer(watched: Watched) -> None:
    """Of a lake with a release, a certificate and a round of a topic."""
    toy, at = watched.toy, datetime.now(UTC)
    toy.run()
    releases.publish(toy.lake.root, toy.tables())
    compared = {"at": at, "table_name": "gold.totals", "version": 0, "equal": True}
    ops.append(toy.lake.root, verify.CERTIFICATES, verify.TYPES, [dict.fromkeys(verify.TYPES) | compared])
    taken = {"at": at, "table_name": "gold.totals", "topic": "events", "partition": 0, "behind": 3, "seconds": 1.0}
    ops.append(toy.lake.root, topics.LAG, topics.TYPES, [dict.fromkeys(topics.TYPES) | taken])
    assert within(LONGEST, lambda: bool(watched.ask("query", query="lakehouse_lag_offsets")["result"]))
    now = time.time()

    def answer(query: str) -> Any:  # noqa: ANN401
        return watched.ask("query_range", query=query, start=now - 30, end=now + 1, step="1s")["result"]

    assert [(where, title) for where, title, one in panels() if "expr" in one and not answer(one["expr"])] == []


def test_every_panel_of_postgresql_says_what_the_tables_do(url: str) -> None:
    """Of a day with sales, one without a completed order, and one that is too long ago to be shown."""
    promised = contract.load(HOME / "conf")["gold.daily_sales"].columns
    columns = ", ".join(f"{name} {one.type.replace('string', 'text')}" for name, one in promised.items())
    today = date.today()  # noqa: DTZ011  as PostgreSQL's own
    days = [datetime.combine(today - timedelta(days=ago), datetime.min.time()) for ago in (2, 1)]
    sold = "market, currency, order_date, orders, cancelled_orders, revenue, new_revenue, average_order_value"
    rows = """(1, 'KES', current_date - 2, 4, 1, 10.50, 2.50, 3.50), (1, 'KES', current_date - 1, 0, 0, 0, 0, null),
        (2, 'NGN', current_date - 200, 9, 9, 9, 9, 9)"""
    said = {
        "Revenue a day, in the market's currency": (10.5, 0.0),
        "Orders placed a day": (4, 0),
        "Average order value": (3.5, None),
        "Share of cancelled orders": (0.25, None),
    }
    expected = {title: [*zip(days, ["1 KES"] * 2, values, strict=True)] for title, values in said.items()}
    of_markets = {"Revenue of these days by market": [(1, "KES", 4, Decimal("10.50"), Decimal("2.50"))]}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create schema gold; create table gold.daily_sales ({columns})")
        connection.execute(f"insert into gold.daily_sales ({sold}) values {rows}")
        found = {title: answered(connection, one) for _, title, one in panels() if "rawSql" in one}
    ((reader, state, _),) = found.pop("Queries that PostgreSQL runs for readers")
    assert (found, reader, state) == (expected | of_markets, "lakehouse", "active")


def answered(connection: Any, query: dict[str, Any]) -> list[tuple[Any, ...]]:  # noqa: ANN401
    """As Grafana asks it of the last ninety days."""
    when = r"\1 between now() - interval '90 days' and now()"
    answer = connection.execute(re.sub(r"\$__timeFilter\((\w+)\)", when, query["rawSql"]))
    if query["format"] == "time_series":
        assert [column.name for column in answer.description] == ["time", "metric", "value"]
    found: list[tuple[Any, ...]] = answer.fetchall()
    return found
