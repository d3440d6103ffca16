"""What a run sends to whoever collects lineage, as a server of ours receives it; and that no server ever stops it."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from lakehouse import engines, graph
from lakehouse.errors import LakehouseError
from lakehouse.lineage import sending
from lakehouse.runs.run import Run
from tests.toy import Toy

pytest.importorskip("openlineage", reason="needs the extra `ops`: uv sync --inexact --extra ops")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark

pytestmark = pytest.mark.slow
# OpenLineage/OpenLineage (Apache-2.0) at 8f02abf, spec/OpenLineage.json and the facets that are sent, without words.
SPEC = json.loads(Path(__file__).with_name("openlineage_spec.json").read_text(encoding="utf-8"))
NEWER = {"1-0-1/DataQualityMetrics": "1-0-0/DataQualityMetrics"}  # published after that commit
EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"


class Collector(ThreadingHTTPServer):
    """Keeps what it is sent; `answers` says how it answers, and may wait."""

    daemon_threads = True

    def __init__(self, answers: Callable[[], int]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.events = answers, list[dict[str, Any]]()

    def of(self, job: str, state: str) -> dict[str, Any]:
        (found,) = (one for one in self.events if (one["job"]["name"], one["eventType"]) == (job, state))
        return found


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.answers()
        self.server.events.append(json.loads(body))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def collecting(monkeypatch: pytest.MonkeyPatch, answers: Callable[[], int] = lambda: 200) -> Iterator[Collector]:
    with Collector(answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()


@pytest.fixture
def toy(tmp_path: Path, engine: Native) -> Toy:
    made = Toy(tmp_path, engine)
    made.deliver("monday.csv", "7,A,2,10.00", "7,B,1,1.00", "8,B,1,5.00", "9,C,two,1.00")
    return made


def ran(toy: Toy) -> Run:
    """A run of all its tables, whether it ended well or not."""
    run = Run(str(toy.folder / "lake"), str(toy.landing), tables := toy.tables(), engine=toy.engine)
    try:
        run.execute(graph.selected(tables, ()))
    except LakehouseError as error:
        assert "gold.totals" in str(error)  # noqa: PT017  where a test made it wrong
    return run


def wrong(event: dict[str, Any]) -> list[str]:
    """Against the published schemas: the event's, and that of each facet, by the address that it says itself."""
    registry = Registry().with_resources((one["$id"], DRAFT202012.create_resource(one)) for one in SPEC)

    def held(value: object, address: str) -> Iterator[str]:
        for newer, older in NEWER.items():
            address = address.replace(newer, older)
        validator = jsonschema.Draft202012Validator(
            {"$ref": address}, registry=registry, format_checker=jsonschema.FormatChecker()
        )
        yield from (f"{address}: {one.json_path}: {one.message}" for one in validator.iter_errors(value))

    def facets(value: object) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            yield from [value] if "_schemaURL" in value else ()
            yield from (facet for one in value.values() for facet in facets(one))
        elif isinstance(value, list):
            yield from (facet for one in value for facet in facets(one))

    return [*held(event, EVENT), *(words for one in facets(event) for words in held(one, one["_schemaURL"]))]


def test_a_collector_receives_valid_events_of_every_turn(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting(monkeypatch) as collector:
        assert ran(toy).lineage.unsent == ""
    jobs = ["lakehouse.run", *toy.sources]
    assert sorted((one["job"]["name"], one["eventType"]) for one in collector.events) == sorted(
        (job, state) for job in jobs for state in ("START", "COMPLETE")
    )
    assert [words for one in collector.events for words in wrong(one)] == []
    whole, one = collector.of("lakehouse.run", "COMPLETE"), collector.of("gold.totals", "COMPLETE")
    assert one["run"]["facets"]["parent"]["run"]["runId"] == whole["run"]["runId"]
    assert one["run"]["facets"]["processing_engine"]["name"] == "pysail"
    orders = {"namespace": "file", "name": str(toy.folder / "lake/silver/orders")}
    assert [(each["namespace"], each["name"]) for each in one["inputs"]] == [tuple(orders.values())]
    assert one["inputs"][0]["facets"]["version"]["datasetVersion"] == "0"
    (written,) = one["outputs"]
    assert written["name"] == str(toy.folder / "lake/gold/totals")
    assert written["facets"]["symlinks"]["identifiers"][0]["name"] == "gold.totals"
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 1
    units = {**orders, "field": "units", "transformations": [{"type": "DIRECT", "subtype": "AGGREGATION"}]}
    market = {**orders, "field": "market", "transformations": [{"type": "INDIRECT", "subtype": "GROUP_BY"}]}
    lineage = written["facets"]["columnLineage"]
    assert (lineage["fields"]["units"]["inputFields"], lineage["dataset"]) == ([units], [market])


def test_events_say_what_is_delivered_and_what_the_run_knows_of_its_quality(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting(monkeypatch) as collector:
        ran(toy)
    bronze = collector.of("bronze.orders", "COMPLETE")
    patterns = [f"{toy.landing}/market_{{market:int}}/{one}*.csv" for one in ("{date}/", "")]
    assert [one["name"] for one in bronze["inputs"]] == patterns
    (facets,) = (one["facets"] for one in collector.of("silver.order_lines", "COMPLETE")["outputs"])
    (broken,) = (one for one in facets["dataQualityAssertions"]["assertions"] if not one["success"])
    assert (broken["assertion"], broken["actual"], broken["severity"]) == ("quantity_is_readable", "1", "error")
    metrics = facets["dataQualityMetrics"]
    assert (metrics["rowCount"], metrics["columnMetrics"]["quantity"]["nullCount"]) == (3, 0)
    assert {one["name"] for one in facets["schema"]["fields"]} >= {"market", "order_id", "quantity"}


def test_a_turn_that_fails_says_why_and_so_does_the_run(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    promise, code = toy.sources["gold.totals"]
    toy.sources["gold.totals"] = promise, code.replace('"market").agg', '"nowhere").agg')
    with collecting(monkeypatch) as collector:
        assert ran(toy).lineage.unsent == ""
    for job in ("gold.totals", "lakehouse.run"):
        event = collector.of(job, "FAIL")
        assert "gold.totals could not be written" in event["run"]["facets"]["errorMessage"]["message"]
        assert wrong(event) == []
    assert collector.of("silver.orders", "COMPLETE")


def test_a_plan_that_is_not_understood_has_no_lineage_of_columns_and_is_said(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise, _ = toy.sources["gold.totals"]
    code = "def build(silver_orders):\n    return silver_orders.sample(1.0).groupBy('market').agg({'units': 'sum'})\n"
    toy.sources["gold.totals"] = (
        promise,
        code.replace("agg({'units': 'sum'})", "agg({'units': 'sum'}).toDF('market', 'units')"),
    )
    with collecting(monkeypatch) as collector:
        run = ran(toy)
    assert run.lineage.unknown == ["Lineage by column is not known of gold.totals: sample of frames is not known"]
    event = collector.of("gold.totals", "COMPLETE")
    assert event["outputs"][0]["facets"]["columnLineage"]["fields"] == {}
    assert wrong(event) == []


def test_a_collector_that_hangs_or_refuses_costs_no_run(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE", 0.2)
    goes_on = threading.Event()
    with collecting(monkeypatch, lambda: 200 if goes_on.wait(60) else 500):
        assert ran(toy).lineage.unsent == "10 of 10 events of lineage were not sent: no answer within 0.2 s"
        goes_on.set()
    toy.deliver("tuesday.csv", "8,B,2,5.00")
    monkeypatch.setattr(sending, "PATIENCE", 10)
    with collecting(monkeypatch, lambda: 403):
        assert "10 of 10 events of lineage were not sent: HTTPError: 403" in ran(toy).lineage.unsent
    assert toy.rows("gold.totals") == [(1, 5)]


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "MOST_WAITING", 3)
    goes_on = threading.Event()
    monkeypatch.setattr(sending, "PATIENCE", 0.01)
    sender = sending.Sender(lambda: goes_on.wait(60))
    for number in range(5):
        sender.give(number)
    assert sender.end() == "5 of 5 events of lineage were not sent: 3 others were waiting"
    goes_on.set()


def test_events_go_where_the_file_of_conf_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    conf = tmp_path / "conf/lineage.yml"
    assert not sending.is_configured(tmp_path)
    conf.write_text("transport: {type: file", encoding="utf-8")
    assert sending.is_configured(tmp_path)
    with pytest.raises(LakehouseError, match=r"conf/lineage.yml cannot be read: .*line 2"):
        sending.client(tmp_path)
    conf.write_text("url: http://127.0.0.1", encoding="utf-8")
    with pytest.raises(LakehouseError, match=r"must say by `transport:` where events go, such as \{type: http"):
        sending.client(tmp_path)
    conf.write_text("transport: {type: http, url: 'http://127.0.0.1:1'}", encoding="utf-8")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__AUTH__TYPE", "api_key")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__AUTH__API_KEY", "of the environment")
    made = sending.client(tmp_path).transport
    assert (made.kind, made.config.auth.get_bearer()) == ("http", "Bearer of the environment")
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    assert not sending.is_configured(tmp_path)


def written(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The events of a run, and of one with nothing to do, which tells nothing, in a file."""
    file = toy.folder / "lineage.jsonl"
    for name, value in (("TYPE", "file"), ("LOG_FILE_PATH", str(file)), ("APPEND", "true")):
        monkeypatch.setenv(f"OPENLINEAGE__TRANSPORT__{name}", value)
    engines.start(toy.engine.name)  # its functions are those of `build`
    assert [ran(toy).lineage.unsent for _ in range(2)] == ["", ""]
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_events_go_into_a_file(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(written(toy, monkeypatch)) == 2 * (1 + len(toy.sources))


@pytest.mark.long
def test_spark_tells_the_same(toy: Toy, tmp_path: Path, on_spark: Spark, monkeypatch: pytest.MonkeyPatch) -> None:
    """How it derives columns beside Spark is in test_columns.py: here the native run has left them in the cache."""
    other = replace(toy.copied(tmp_path.with_name(f"{tmp_path.name}-other")), engine=on_spark)
    mine, theirs = (written(one, monkeypatch) for one in (toy, other))
    assert {one["run"]["facets"]["processing_engine"]["name"] for one in theirs} == {"pyspark"}
    assert [words for one in theirs for words in wrong(one)] == []
    found, expected = (
        {
            (one["job"]["name"], one["eventType"]): json.dumps(
                [one["inputs"], [(of["name"], of["facets"].get("columnLineage")) for of in one["outputs"]]]
            ).replace(str(folder), "")
            for one in events
        }
        for events, folder in ((theirs, other.folder), (mine, toy.folder))
    )
    assert found == expected


def test_without_its_library_the_command_that_brings_it_is_named(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(sending, "find_spec", lambda _: None)
    words = "Events of lineage need openlineage-python, which is not installed. Install it: `uv sync"
    assert words in ran(toy).lineage.unsent


def test_where_nothing_is_configured_nothing_is_told(toy: Toy) -> None:
    run = ran(toy)
    assert (run.lineage.is_configured, run.lineage.sender, run.lineage.events) == (False, None, None)
