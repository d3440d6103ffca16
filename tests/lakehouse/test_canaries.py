"""A secret stands where somebody put it, and nowhere else, whichever command is asked and whatever fails.

Each command runs well on a small lake, and again where the store, the API and the databases refuse it and repeat all
that they were sent. Nothing that it said, logged or left on the disk has a canary in it, nor its arguments.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import date
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from pyarrow import parquet

from jobs import cli
from jobs.demo import two_days
from lakehouse import conf, graph, logs
from lakehouse.engines.spark import jvm
from lakehouse.intake.records import retracted
from lakehouse.recovery import releases
from lakehouse.sources import broker
from lakehouse.store import minio
from lakehouse.store.cache import cache_folder
from tests import repeating_s3
from tests.toy import Toy

pytest.importorskip("uvicorn", reason="needs the extra `sources`: uv sync --inexact --extra sources")
pytest.importorskip("altair", reason="needs the extra `report`: uv sync --inexact --extra report")
pytest.importorskip("apprise", reason="needs the extra `ops`: uv sync --inexact --extra ops")
psycopg = pytest.importorskip("psycopg", reason="needs the extra `sources`: uv sync --inexact --extra sources")

from jobs.demo.sales_api import SalesAPI, served, some_sales  # noqa: E402  which are lacking without their extras
from lakehouse.serving.postgres import shape  # noqa: E402  as above
from tests import told  # noqa: E402  as above

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lakehouse.engines.native.engine import Native

CANARY = "c4nary-of-"
DAMAGED = ("minio.json", "kafka.json")
SALES, SOLD, PRODUCTS = "bronze.sales", "silver.sold", "bronze.products"
NOT_JUDGED = "def build(landing):\n    return landing\n"
SOURCES = {
    SALES: (
        """
        owner: tests
        description: lines of sales, from an API
        write: append
        grain: [_file, _row]
        source:
          api:
            base_url: SHOP_URL
            path: sales
            auth: {bearer: SHOP_KEY}
            paging: {by: cursor, parameter: cursor, next: next_cursor}
            rate: 1000/s
          files: ["sales/*.json"]
          format: json
          rows: data
        columns:
          sale_id: {type: string, meaning: the sale}
          line: {type: string, meaning: its line}
          market: {type: string, meaning: where}
        """,
        NOT_JUDGED,
    ),
    PRODUCTS: (
        """
        owner: tests
        description: products, from a database
        write: append
        grain: [_file, _row]
        source:
          database: {url: SHOP_DATABASE, table: public.products, every: 1h}
          files: ["products/*.csv"]
          format: csv
        columns:
          sku: {type: string, meaning: its code}
        """,
        NOT_JUDGED,
    ),
    SOLD: (
        """
        owner: tests
        description: lines of sales
        write: latest
        grain: [sale_id, line]
        unit: [sale_id]
        columns:
          sale_id: {type: bigint, from: sale_id, meaning: the sale}
          line: {type: int, from: line, meaning: its line}
          market: {type: int, from: market, meaning: where}
        rules:
          market_is_known: {check: market < 2, severity: reject, why: a test}
        """,
        """
        from lakehouse.transforms import whole_number

        def build(bronze_sales):
            return bronze_sales.select(
                whole_number("sale_id").alias("sale_id"),
                whole_number("line", "int").alias("line"),
                whole_number("market", "int").alias("market"),
                "_source",
            )
        """,
    ),
    "gold.lines": (
        """
        owner: tests
        description: one row per market
        write: replace
        grain: [market]
        columns:
          market: {type: int, meaning: where}
          lines: {type: bigint, meaning: how many}
        """,
        """
        from pyspark.sql import functions as F

        def build(silver_sold):
            return silver_sold.groupBy("market").agg(F.count("*").alias("lines"))
        """,
    ),
}
LINES = "gold.lines"


def canary(of: str) -> str:
    return f"{CANARY}{of}-0123456789"


@dataclass(frozen=True)
class Case:
    """What follows a command where all is well; None where that is tried by the test that `elsewhere` names.

    `fails`: what follows it where all refuse; `code`: how it ends then.
    """

    well: tuple[str, ...] | None = ()
    fails: tuple[str, ...] | None = None
    code: int = 1
    elsewhere: str = ""


CASES = {
    "run": Case(),
    "run --only": Case((LINES,)),
    "fetch": Case(("sales", "products")),
    "plan": Case(),
    "status": Case(code=0),  # it says what it cannot read
    "alerts": Case(),  # a route of each kind: tests/lakehouse/alerts/test_notices.py
    "metrics": Case(code=0),  # as status
    "publish": Case(),
    "releases": Case(),
    "diff": Case(("1", "2")),
    "preview": Case(),
    "sql": Case((f"select max(lines) from {LINES}",)),
    "connect": Case(("duckdb", LINES), ("duckdb", "gold.none")),
    "explain": Case((LINES, "--where", "market = 1")),
    "verify": Case((LINES,)),
    "maintain": Case(),
    "check": Case(),
    "rejected": Case((SOLD,)),
    "docs": Case(("docs.html",)),
    "lineage": Case((LINES,), ("gold.none",)),
    "graph": Case(code=0),  # it reads definitions alone
    "export": Case((LINES, "--format", "csv")),
    "report": Case(None, (), elsewhere="tests/jobs/report/test_html.py"),
    "dashboard": Case(("--port", "8129")),
    "rewind": Case(("--to-release", "1", "--yes")),
    "retract": Case(("sales/1.json", "--why", "a test")),
    "demo": Case(None, ("--minio",), elsewhere="tests/jobs/demo/test_shop.py"),
    "jars": Case(None, (), elsewhere="tests/lakehouse/engines/spark/test_jvm.py"),
    "kafka start": Case(None, elsewhere="tests/lakehouse/sources/test_broker.py"),  # it fetches the broker first
    "kafka status": Case(None, (), elsewhere="tests/lakehouse/sources/test_broker.py"),
    "kafka stop": Case(None, (), elsewhere="tests/lakehouse/sources/test_broker.py"),
    "minio start": Case(),
    "minio status": Case(),
    "minio stop": Case(None, (), elsewhere="tests/lakehouse/store/test_minio.py"),
    "serve postgres": Case(),
    "serve trino": Case(
        None, ("--at", f"http://me:{canary('trino')}@127.0.0.1:1"), elsewhere="tests/lakehouse/serving/test_trino.py"
    ),
    "new source": Case(("seen.csv",), ("unseen.csv",)),
    "new table": Case(("gold.seen_daily", "--from", SOLD), ("gold.seen_daily", "--from", "gold.none")),
}
IN_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": canary("id"),
    "AWS_SECRET_ACCESS_KEY": canary("secret"),
    "AWS_SESSION_TOKEN": canary("token"),
    "KAFKA_SASL_PASSWORD": canary("kafka"),
    "HTTPS_PROXY": f"http://me:{canary('proxy')}@127.0.0.1:1",
    "PGPASSWORD": canary("pgpassword"),
    "SHOP_KEY": canary("api"),
    "OPENLINEAGE__TRANSPORT__TYPE": "http",  # which is refused
    "OPENLINEAGE__TRANSPORT__URL": f"http://me:{canary('lineage')}@127.0.0.1:1",
    "OPENLINEAGE__TRANSPORT__AUTH__TYPE": "api_key",
    "OPENLINEAGE__TRANSPORT__AUTH__APIKEY": canary("collector"),
    "WRITER_SECRET_KEY": canary("writer"),
    "READER_SECRET_KEY": canary("reader"),
}


def test_each_command_is_here() -> None:
    """A new one says how it goes well, and how it fails."""
    found, waiting = list[str](), [("", typer.main.get_command(cli.app))]
    while waiting:
        path, command = waiting.pop()
        below = getattr(command, "commands", {})
        waiting += [(f"{path} {name}".strip(), one) for name, one in below.items()]
        found += [] if below else [path]
    assert sorted(found) == sorted({name.partition(" --")[0] for name in CASES})


@dataclass
class Place:
    """Where commands run: `well` and `refused` are what the environment says more."""

    folder: Path
    toy: Toy
    api: SalesAPI
    people: told.Told
    well: Mapping[str, str]
    refused: Mapping[str, str]


@pytest.fixture(scope="module")
def place(
    engine: Native, postgres: str, server: minio.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("canaries")
    shutil.copytree(conf.HOME / "conf", folder / "home" / "conf")
    (folder / "home" / "conf" / "alerts.yml").write_text(
        "routes: {team: {url: TO_TEAM}}\nlimits: {disk_free: 1}\n", encoding="utf-8"
    )  # so that there is something to tell
    (folder / "seen.csv").write_text("seen_id,seen_at\n1,2026-01-01\n2,2026-01-02\n", encoding="utf-8")
    (folder / "postgres").mkdir()
    (folder / "postgres" / "tables.yml").write_text("{}", encoding="utf-8")
    damaged = {"secret_key": canary("minio"), "access_key": canary("minio")}
    for name in DAMAGED:
        (folder / name).write_text(json.dumps(damaged), encoding="utf-8")
    toy = Toy(folder, engine, SOURCES)
    for number in (1, 2):
        (toy.landing / "sales").mkdir(parents=True, exist_ok=True)
        lines = [{"sale_id": f"{market}{number}", "line": 1, "market": market} for market in (1, 2)]
        (toy.landing / "sales" / f"{number}.json").write_text(json.dumps({"data": lines}), encoding="utf-8")
        toy.run()
        releases.publish(toy.lake.root, toy.tables())
    shutil.copytree(folder / "lake", folder / "store")
    lacking = hashlib.sha256(jvm.LOCK.read_bytes()).hexdigest()[:12]  # all jars, so that none is fetched
    (folder / "cache" / "jars" / lacking).mkdir(parents=True)
    (folder / "cache" / "minio").symlink_to(cache_folder() / "minio")  # which `server` built
    api = SalesAPI(some_sales(date(2026, 1, 1), 2, a_day=5), canary("api"))
    database = _a_database(postgres)
    with ExitStack() as until:
        people = until.enter_context(told.told())
        common = IN_ENVIRONMENT | {
            "TO_TEAM": people.addresses["TO_WEBHOOK"].replace(told.CANARY, canary("route")),
            "SHOP_URL": until.enter_context(served(api)),
            "LAKEHOUSE_LANDING": str(toy.landing),
            "LAKEHOUSE_CACHE": str(folder / "cache"),
            "LAKEHOUSE_LOG": "debug",
            "RUST_LOG": "debug",
            "MINIO": str(server.folder),
        }
        well = {
            "LAKEHOUSE_ROOT": toy.lake.root,
            "LAKEHOUSE_POSTGRES": f"postgresql://{database}",
            "SHOP_DATABASE": f"postgresql+psycopg://{database}",
        }
        refused = {
            "LAKEHOUSE_ROOT": "s3://lakehouse/tables",
            "AWS_ENDPOINT_URL": until.enter_context(repeating_s3.of(folder / "store", "/ops/files/_delta_log/")),
            "MINIO": str(folder / "minio"),
            **{name: text.replace("-db-", "-wrong-") for name, text in well.items() if "postgresql" in text},
        }
        yield Place(folder, toy, api, people, common | well, common | refused)


def _a_database(url: str) -> str:
    """Of a role whose password is a canary: what follows postgresql://."""
    name = "canaries"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create role {name} login superuser password '{canary('db')}'")
        connection.execute(f"create database {name} owner {name}")
    there = f"{name}:{canary('db')}@{url.rpartition('@')[2].rpartition('/')[0]}/{name}"
    with psycopg.connect(f"postgresql://{there}", autocommit=True) as connection:
        connection.execute("create table products as select 1 as market, 'A' as sku, now() as updated_at")
    return there


@pytest.fixture
def here(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """What commands would write into the project they write into the folder; a dashboard is asked nothing."""
    monkeypatch.chdir(place.folder)
    tables = place.toy.tables()
    monkeypatch.setattr(graph, "load", lambda: tables)
    monkeypatch.setattr(conf, "HOME", place.folder / "home")
    monkeypatch.setattr(retracted, "FILE", place.folder / "home" / "conf" / "retracted.yml")
    monkeypatch.setattr(two_days, "FOLDER", place.folder / "demo")
    monkeypatch.setattr(shape, "FOLDER", place.folder / "postgres")
    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", _interrupted)
    return place


def _interrupted(_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("command", CASES)
def test_no_command_shows_a_secret(
    here: Place,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    case, begun, ends = CASES[command], time.time(), list[tuple[int, str]]()
    here.api.faults.clear()
    here.people.deaf.clear()
    fails = case.well if case.fails is None else case.fails
    for arguments, environment in ((case.well, here.well), (fails, here.refused)):
        if arguments is None:
            continue
        with monkeypatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            patched.setattr(minio, "FOLDER", Path(environment["MINIO"]))
            patched.setattr(broker, "FOLDER", here.folder / "kafka")
            patched.setattr(sys, "argv", ["lakehouse", *command.split(), *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        logs.start()
        said = capfd.readouterr()
        ends.append((int(ended.value.code or 0), said.out + said.err))
        here.api.faults.extend(["echo"] * 9)
        here.people.deaf.add("webhook")
    assert [code for code, _ in ends] == [0, case.code][2 - len(ends) :], ends
    left = {str(path): texts_of(path) for path in here.folder.rglob("*") if _is_newer(path, begun)}
    seen = {"said": "".join(said for _, said in ends), "log": caplog.text, **left}
    told = {where: around(text) for where, text in seen.items() if CANARY in text}
    assert not told


@pytest.mark.slow
def test_no_process_shows_a_secret_among_its_arguments_or_where_it_computes(place: Place, tmp_path: Path) -> None:
    """The project's own tables, natively; `sql` reaches the engine, and there the store refuses."""
    (tmp_path / "landing").mkdir()
    of_project = {
        "SALES_API_URL": place.well["SHOP_URL"],
        "SALES_API_KEY": canary("api"),
        "LAKEHOUSE_SHOP_DATABASE": place.well["SHOP_DATABASE"],
        "LAKEHOUSE_ROOT": str(tmp_path / "lake"),
        "LAKEHOUSE_LANDING": str(tmp_path / "landing"),
    }
    place.api.faults.clear()
    logs = [tmp_path / name for name in ("run.log", "sql.log")]
    with repeating_s3.of(place.folder / "store", "/_delta_log/") as store:
        begun = [
            _process(logs[0], {**place.well, **of_project}, "run", "silver.api_sales", "bronze.products"),
            _process(logs[1], {**place.refused, "AWS_ENDPOINT_URL": store}, "sql", f"select max(lines) from {LINES}"),
        ]
        arguments = set[str]()
        while any(one.poll() is None for one in begun):
            arguments |= {text for one in begun for text in _arguments(one.pid)}
            time.sleep(0.02)
    said = [log.read_text() for log in logs]
    assert [one.returncode for one in begun] == [0, 1], said
    assert "That cannot be answered" in said[1]
    assert arguments
    left = {str(path): texts_of(path) for path in tmp_path.rglob("*") if path.is_file()}
    seen = {"arguments": "".join(arguments), **left}
    assert not {where: around(text) for where, text in seen.items() if CANARY in text}


def _process(log: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    """A session of its own, by which its children are found."""
    with log.open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", *arguments],
            cwd=graph.HOME,
            env={**os.environ, **environment},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def _arguments(session: int) -> Iterator[str]:
    """Of each of its processes."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(folder.name)) == session:
                yield (folder / "cmdline").read_text(encoding="latin-1")


def _is_newer(path: Path, begun: float) -> bool:
    return path.is_file() and path.stat().st_mtime >= begun - 1 and path.name not in DAMAGED


def texts_of(path: Path) -> str:
    """Its bytes; and of what is packed, its values."""
    text = path.read_bytes().decode("latin-1")
    with suppress(OSError, ValueError):
        text += str(parquet.read_table(path).to_pydict()) if path.suffix == ".parquet" else ""
    return text


def around(text: str) -> str:
    place = text.index(CANARY)
    return text[max(0, place - 100) : place + 100]
