"""The DAGs of docker/airflow: what they are made of, and, in `long`, a real scheduler of Airflow that runs them."""

from __future__ import annotations

import json
import os
import re
import runpy
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import Request, urlopen

import pytest

from jobs.runs import commands
from jobs.samples import daily
from lakehouse import graph
from lakehouse.errors import LakehouseError
from lakehouse.serving.postgres import server as postgres
from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / "docker" / "airflow"
DAGS = FOLDER / "lakehouse_dags.py"
PARENTS = {
    "bronze.orders": [],
    "bronze.customers": [],
    "silver.orders": ["bronze.orders"],
    "silver.customers": ["bronze.customers"],
    "gold.daily_sales": ["silver.orders"],
    "gold.customers": ["silver.orders", "silver.customers"],
}


# What the file makes, without Airflow -----------------------------------------------------------------------------


@dataclass
class Task:
    """What a task was made with, and the tasks before it."""

    task_id: str
    bash_command: str = ""
    said: dict[str, Any] = field(default_factory=dict)
    before: set[str] = field(default_factory=set)

    def __rshift__(self, other: Task) -> Task:  # noqa: D105
        other.before.add(self.task_id)
        return other

    def __rrshift__(self, others: Sequence[Task]) -> Task:  # noqa: D105
        self.before |= {one.task_id for one in others}
        return self


@dataclass
class Dag:
    dag_id: str
    said: dict[str, Any]
    tasks: dict[str, Task] = field(default_factory=dict)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Dag]]:
    """The DAGs that the file makes of PARENTS, with these variables; Airflow's names are stand-ins that note."""
    (tmp_path / "graph.json").write_text(json.dumps(PARENTS))
    monkeypatch.setenv("LAKEHOUSE_GRAPH", str(tmp_path / "graph.json"))
    dags: dict[str, Dag] = {}
    open_: list[Dag] = []

    @contextmanager
    def dag(name: str, **said: Any) -> Iterator[None]:  # noqa: ANN401
        open_.append(dags.setdefault(name, Dag(name, said)))
        yield
        open_.pop()

    def task(task_id: str, bash_command: str = "", **said: Any) -> Task:  # noqa: ANN401
        return open_[-1].tasks.setdefault(task_id, Task(task_id, bash_command, said))

    def noted(*named: Any, **said: Any) -> SimpleNamespace:  # noqa: ANN401
        return SimpleNamespace(named=named, **said)

    names = ("Asset", "AssetAny", "AssetOrTimeSchedule", "CronDataIntervalTimetable", "Param")
    stands_in: dict[str, dict[str, Any]] = {
        "airflow.sdk": {"DAG": dag, **dict.fromkeys(names, noted)},
        "airflow.providers.standard.operators.bash": {"BashOperator": task},
        "airflow.providers.standard.operators.empty": {"EmptyOperator": task},
    }
    parents = ("airflow", "airflow.providers", "airflow.providers.standard", "airflow.providers.standard.operators")
    for name in (*parents, *stands_in):
        module = ModuleType(name)
        vars(module).update(stands_in.get(name, {}))
        monkeypatch.setitem(sys.modules, name, module)

    def run(**variables: str) -> dict[str, Dag]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        dags.clear()
        runpy.run_path(str(DAGS))
        return {**dags}

    return run


def edges(dag: Dag) -> dict[str, set[str]]:
    return {name: task.before for name, task in dag.tasks.items()}


def test_there_is_a_task_for_each_layer_or_for_each_table_and_the_release_comes_last(
    made: Callable[..., dict[str, Dag]],
) -> None:
    by_layer, again = (made()[name] for name in ("lakehouse", "lakehouse_from_release"))
    layers = {"bronze": {"fetch"}, "silver": {"bronze"}, "gold": {"silver"}, "publish": {"gold"}}
    assert edges(by_layer) == {"fetch": set(), "fetched": {"fetch"}, **layers}
    assert edges(again) == {"rewind": set(), **layers, "bronze": {"rewind"}}
    commands = {name: task.bash_command for name, task in by_layer.tasks.items()}
    assert commands["gold"] == "lakehouse run --only gold.daily_sales gold.customers"
    assert by_layer.tasks["bronze"].said == {"trigger_rule": "all_done"}
    by_table = made(LAKEHOUSE_TASKS="table", LAKEHOUSE_COMMAND="uv run lakehouse")["lakehouse"]
    assert edges(by_table) == {
        "fetch": set(),
        "fetched": {"fetch"},
        **{name: set(parents) or {"fetch"} for name, parents in PARENTS.items()},
        "publish": {"gold.daily_sales", "gold.customers"},
    }
    assert by_table.tasks["silver.orders"].bash_command == "uv run lakehouse run --only silver.orders"
    assert "trigger_rule" not in by_table.tasks["silver.orders"].said


def test_what_the_file_lacks_is_said_where_airflow_shows_it_and_a_layer_without_tables_has_no_task(
    made: Callable[..., dict[str, Dag]], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"LAKEHOUSE_TASKS is 'tables'. Set it to layer or table."):
        made(LAKEHOUSE_TASKS="tables")
    file = tmp_path / "other.json"
    with pytest.raises(FileNotFoundError, match=rf"There is no {file}. Make it, `lakehouse graph > {file}`"):
        made(LAKEHOUSE_TASKS="layer", LAKEHOUSE_GRAPH=str(file))
    file.write_text('{"bronze.orders": [], "gold.orders": ["bronze.orders"]}')
    assert edges(made()["lakehouse"])["gold"] == {"bronze"}


def test_a_run_begins_by_the_clock_or_when_something_of_a_source_is_delivered_and_tasks_share_a_pool_that_is_made(
    made: Callable[..., dict[str, Dag]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = made(LAKEHOUSE_SCHEDULE="5 * * * *")["lakehouse"]
    schedule, arguments = dag.said["schedule"], dag.said["default_args"]
    assert [one.named for one in schedule.assets.named] == [("landing.bronze.orders",), ("landing.bronze.customers",)]
    assert schedule.timetable.named == ("5 * * * *",)
    assert dag.tasks["publish"].said["outlets"][0].named == ("lakehouse.release",)
    assert arguments["pool"] in json.loads((FOLDER / "pools.json").read_text())
    told: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: told.append(command))
    arguments["on_failure_callback"]({})
    assert told == [["lakehouse", "alerts"]]


def test_the_graph_of_the_command_is_what_the_file_reads(capsys: pytest.CaptureFixture[str]) -> None:
    commands.graph_()
    said = json.loads(capsys.readouterr().out)
    assert said == {name: [*one.parents] for name, one in graph.load().items()}
    assert said["gold.daily_sales"] == ["silver.orders", "silver.customer_orders"]


# A real one ---------------------------------------------------------------------------------------------------------

WANTED = ("gold.daily_sales", "silver.sold_lines")
DAY, LOST = date(2026, 11, 1), ("2026-11-02", "2026-11-03")
QUESTIONS = (
    "select * from gold.daily_sales order by market, order_date",
    "select market, taken_from, count(*) as lines, sum(line_total) from silver.sold_lines group by 1, 2 order by 1, 2",
)
LONGEST = 1500  # seconds, for a run of the DAG on a machine that is busy with other things
# The command, which notes when it began and ended, and whose first `run --only silver...` fails as if killed.
COMMAND = """#!/bin/sh
mkdir -p {folder}
case "$*" in *" --only silver."*) mkdir {folder}/failed 2> {folder}/why && exit 137;; esac
began=$(date +%s.%N)
{python} -m jobs.cli "$@"
ended=$?
echo "$began $(date +%s.%N) $ended $*" >> {folder}/commands
exit $ended
"""


@dataclass
class Airflow:
    """A scheduler with LocalExecutor, a DAG processor and an API server, which are ended by `running`."""

    programs: Path
    environment: dict[str, str]
    address: str
    token: str = ""

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.programs / "airflow", *arguments],
            env=self.environment, capture_output=True, text=True, check=False, timeout=LONGEST,
        )  # fmt: skip
        assert done.returncode == 0, f"airflow {' '.join(arguments)}: {done.stderr[-2000:]}"
        return done.stdout

    def ask(self, path: str, said: object = None) -> Any:  # noqa: ANN401
        body = None if said is None else json.dumps(said).encode()
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        with urlopen(Request(f"{self.address}{path}", body, headers), timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def runs(self, dag: str = "lakehouse") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(f"/api/v2/dags/{dag}/dagRuns?order_by=id")["dag_runs"]
        return found

    def ended(self, kind: str, dag: str = "lakehouse", number: int = 1) -> list[dict[str, Any]]:
        """So many runs of this type, once all are done; they succeeded."""

        def found() -> list[dict[str, Any]]:
            runs = [one for one in self.runs(dag) if one["run_type"] == kind]
            done = [one for one in runs if one["state"] in {"success", "failed"}]
            return done if len(done) == len(runs) >= number else []

        runs: list[dict[str, Any]] = wait(found, f"{number} runs {kind} of {dag}")
        assert {one["state"] for one in runs} == {"success"}, runs
        return runs

    def tasks(self, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        told = self.ask(f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances")
        return {one["task_id"]: one for one in told["task_instances"]}


def wait(until: Callable[[], T], what: str, seconds: float = LONGEST) -> T:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := until():
                return found
        except OSError:
            pass
        time.sleep(1)
    raise AssertionError(f"{what}: not in {seconds} s")


@contextmanager
def running(folder: Path, variables: dict[str, str]) -> Iterator[Airflow]:
    """By the packages of constraints.txt, installed once into the cache."""
    programs = installed()
    with postgres.running() as url, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        environment = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        environment |= {
            "PATH": f"{programs}:/usr/bin:/bin",
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__CORE__DAGS_FOLDER": str(FOLDER),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
            "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "600",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "1200",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace("postgresql://", "postgresql+psycopg2://", 1),
            **variables,
        }
        airflow = Airflow(programs, environment, address)
        airflow.command("db", "migrate")
        airflow.command("pools", "import", str(FOLDER / "pools.json"))
        probe.close()
        started = []
        try:
            for name in ("api-server", "dag-processor", "scheduler --skip-serve-logs"):
                with (folder / f"{name.split()[0]}.log").open("wb") as log:
                    started.append(
                        subprocess.Popen(
                            [programs / "airflow", *name.split()],
                            env=environment,
                            stdout=log,
                            stderr=log,
                            start_new_session=True,
                        )
                    )
            airflow.token = wait(lambda: airflow.ask("/auth/token"), "the API server")["access_token"]
            wait(lambda: airflow.ask("/api/v2/dags")["total_entries"] == 2, "the DAGs")
            yield airflow
        finally:
            for one in reversed(started):
                os.killpg(one.pid, signal.SIGTERM)
            for one in started:
                try:
                    one.wait(60)
                except subprocess.TimeoutExpired:
                    os.killpg(one.pid, signal.SIGKILL)
                    one.wait()


def installed() -> Path:
    """The folder of its programs, or the test skips."""
    constraints = FOLDER / "constraints.txt"
    place = cache_folder() / "airflow" / sha256(constraints.read_bytes()).hexdigest()[:12]
    if (place / "done").exists():
        return place / "bin"
    if (uv := shutil.which("uv")) is None:
        pytest.skip("needs uv, which installs Airflow")
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", "3.11", place], check=True)
    install: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        place / "bin" / "python",
        "--requirements",
        constraints,
    ]
    subprocess.run(install, check=True)
    (place / "done").touch()
    return place / "bin"


def commands_of(folder: Path) -> list[tuple[float, float, int, str]]:
    """When each began and ended, its code and its arguments."""
    lines = [line.split(" ", 3) for line in (folder / "commands").read_text().splitlines()]
    return sorted((float(began), float(ended), int(code), words) for began, ended, code, words in lines)


@pytest.mark.long
def test_a_real_scheduler_retries_waits_for_the_pool_is_woken_by_an_asset_and_fills_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sales_api = pytest.importorskip("jobs.demo.sales_api", reason="needs the extra `sources`")
    try:
        postgres.programs()
    except LakehouseError as error:
        pytest.skip(str(error))
    landing, command, noted = tmp_path / "landing", tmp_path / "lakehouse", tmp_path / "noted"
    command.write_text(COMMAND.format(folder=noted, python=sys.executable))
    command.chmod(0o755)
    tables = graph.selected(graph.load(), WANTED)
    (tmp_path / "graph.json").write_text(json.dumps({name: one.parents for name, one in tables.items()}))
    daily.generate(landing, lines=600, days=5, deliver=range(4))
    rows = sales_api.some_sales(DAY, 4)
    api = sales_api.SalesAPI([row for row in rows if row["sold_at"][:10] not in LOST], secrets.token_urlsafe())
    with sales_api.served(api) as url:
        cache = {"LAKEHOUSE_CACHE": str(tmp_path / "cache")}
        lake = cache | {"LAKEHOUSE_LANDING": str(landing), "PYTHONPATH": str(PROJECT), "LAKEHOUSE_MEMORY": "1g"}
        variables = {
            **lake,
            "LAKEHOUSE_ROOT": str(tmp_path / "lake"),
            "LAKEHOUSE_COMMAND": str(command),
            "LAKEHOUSE_GRAPH": str(tmp_path / "graph.json"),
            "SALES_API_URL": url,
            "SALES_API_KEY": api.key,
        }
        with running(tmp_path, variables) as airflow:
            # The day, of which silver fails the first time.
            airflow.command("dags", "unpause", "lakehouse")
            first = airflow.tasks(airflow.ended("scheduled")[0])
            assert (first["silver"]["try_number"] > 1, (noted / "failed").exists()) == (True, True)
            assert {one["state"] for one in first.values()} == {"success"}
            # Another day arrives, and who delivers it says so.
            daily.generate(landing, lines=600, days=5, deliver=[4])
            assets = {one["name"]: one["id"] for one in airflow.ask("/api/v2/assets")["assets"]}
            airflow.ask("/api/v2/assets/events", {"asset_id": assets["landing.bronze.orders"]})
            airflow.ended("asset_triggered")
            # Two days that the API had lost are there now, with the times of then: no run asks for them by itself.
            api.rows = [*rows]
            window = ("--from-date", f"{LOST[0]}T00:30:00+00:00", "--to-date", f"{LOST[1]}T00:30:00+00:00")
            airflow.command("backfill", "create", "--dag-id", "lakehouse", *window, "--max-active-runs", "2")
            filled = airflow.ended("backfill", number=2)
            # All of it again, from the first release on.
            airflow.command("dags", "unpause", "lakehouse_from_release")
            airflow.command("dags", "trigger", "lakehouse_from_release", "--conf", '{"release": 1}')
            airflow.ended("manual", "lakehouse_from_release")
            released = airflow.ask(f"/api/v2/assets/events?asset_id={assets['lakehouse.release']}")
    assert released["total_entries"] == 5
    began, ended = (sorted(one[key] for one in filled) for key in ("start_date", "end_date"))
    assert began[1] < ended[0], "both runs of the backfill went on at once"
    done = [one for one in commands_of(noted) if one[3] != "alerts"]  # a callback's, which may outlast its task's slot
    assert all(before[1] <= after[0] for before, after in pairwise(done)), "one at a time"
    assert {code for _, _, code, _ in done} == {0}
    windows = [re.findall(r"\d{4}-\d\d-\d\d", words) for *_, words in done if words.startswith("fetch --since")]
    assert sorted(windows) == [["2026-11-02", "2026-11-03"], ["2026-11-03", "2026-11-04"]]
    monkeypatch.chdir(PROJECT)
    for name, value in lake.items():
        monkeypatch.setenv(name, value)

    def asked(*arguments: str, root: str) -> str:
        words = [sys.executable, "-m", "jobs.cli", *arguments, "--lake", str(tmp_path / root)]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    asked("run", *WANTED, root="afresh")
    for question in QUESTIONS:
        found, expected = (asked("sql", question, "--format", "csv", root=root) for root in ("lake", "afresh"))
        assert found == expected
        assert found.count("\n") > 2
