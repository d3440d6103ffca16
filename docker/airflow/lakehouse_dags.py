"""The lakehouse as DAGs of Airflow 3: each task is a `lakehouse` command, by the graph that `lakehouse graph` printed.

Nothing of the lakehouse is imported, so Airflow has an environment of its own. Variables of its processes:

- LAKEHOUSE_GRAPH: the file with what `lakehouse graph` printed; without it `lakehouse_graph.json` beside this one
- LAKEHOUSE_TASKS: `layer`, a task for each of the three layers, or `table`, one for each table
- LAKEHOUSE_SCHEDULE: when it runs though nobody said that something was delivered, as in cron, in UTC; 00:30 each day
- LAKEHOUSE_COMMAND: how the command is started; `lakehouse`
- what the command itself knows, such as LAKEHOUSE_ROOT and AWS_*: tasks have the worker's variables
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetAny, AssetOrTimeSchedule, CronDataIntervalTimetable, Param

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMAND = os.environ.get("LAKEHOUSE_COMMAND", "lakehouse")
TASKS = os.environ.get("LAKEHOUSE_TASKS", "layer")
SCHEDULE = os.environ.get("LAKEHOUSE_SCHEDULE", "30 0 * * *")
FILE = Path(os.environ.get("LAKEHOUSE_GRAPH", Path(__file__).with_name("lakehouse_graph.json")))
LAYERS = ("bronze", "silver", "gold")
LONGEST_TO_TELL = 120  # seconds
# A backfill of Airflow's fetches each of its intervals again; any other run fetches what is due.
WINDOW = (
    "{% if dag_run.run_type == 'backfill' %}"
    " --since '{{ data_interval_start.isoformat() }}' --until '{{ data_interval_end.isoformat() }}'"
    "{% endif %}"
)


def tell(_: Mapping[str, Any]) -> None:
    """By the routes of conf/alerts.yml: what was killed tells nothing itself."""
    subprocess.run([*shlex.split(COMMAND), "alerts"], timeout=LONGEST_TO_TELL, check=False)


ARGUMENTS = {
    "pool": "lakehouse",
    "retries": 2,
    "execution_timeout": timedelta(hours=6),
    "on_failure_callback": tell,
}
ABOUT: dict[str, Any] = {
    "start_date": datetime(2020, 1, 1, tzinfo=UTC),  # the first day that a backfill may name
    "catchup": False,  # a run takes all that was delivered since the last one
    "max_active_runs": 1,
    "default_args": ARGUMENTS,
    "tags": ["lakehouse"],
}


def command(task: str, *arguments: str, **others: Any) -> BashOperator:  # noqa: ANN401
    """A task that is one command."""
    return BashOperator(task_id=task, bash_command=f"{COMMAND} {' '.join(arguments)}", **others)


def tables_after(first: BashOperator, graph: Mapping[str, Sequence[str]], rule: str) -> None:
    """The tables, each after those that it reads, and then the release; `rule` is that of the first ones."""
    publish = command("publish", "publish", outlets=[RELEASE], on_success_callback=tell)
    if TASKS == "layer":
        last = first
        for layer in LAYERS:
            if not (names := [name for name in graph if name.startswith(f"{layer}.")]):
                continue  # without a name it would be all tables
            one = command(layer, "run", "--only", *names, **({"trigger_rule": rule} if last is first else {}))
            last >> one
            last = one
        last >> publish
        return
    tasks: dict[str, BashOperator] = {}
    for name, parents in graph.items():
        tasks[name] = command(name, "run", "--only", name, **({} if parents else {"trigger_rule": rule}))
        before = [tasks[parent] for parent in parents] or [first]
        before >> tasks[name]
    read = {parent for parents in graph.values() for parent in parents}
    [task for name, task in tasks.items() if name not in read] >> publish


# Airflow shows what is raised here above its list of DAGs.
if TASKS not in {"layer", "table"}:
    raise ValueError(f"LAKEHOUSE_TASKS is {TASKS!r}. Set it to layer or table.")
if not FILE.exists():
    raise FileNotFoundError(
        f"There is no {FILE}. Make it, `lakehouse graph > {FILE}`, or say by LAKEHOUSE_GRAPH where it is."
    )
RELEASE = Asset("lakehouse.release")
GRAPH: dict[str, list[str]] = json.loads(FILE.read_text(encoding="utf-8"))
DELIVERED = [Asset(f"landing.{name}") for name in GRAPH if name.startswith("bronze.")]

with DAG(
    "lakehouse",
    description="What was delivered, from landing to a release",
    schedule=AssetOrTimeSchedule(
        timetable=CronDataIntervalTimetable(SCHEDULE, timezone="UTC"), assets=AssetAny(*DELIVERED)
    ),
    **ABOUT,
):
    fetch = command("fetch", "fetch", WINDOW)
    # A source that cannot be fetched keeps nobody else's numbers back: all else is done, and the run has failed.
    fetch >> EmptyOperator(task_id="fetched")
    tables_after(fetch, GRAPH, "all_done")

with DAG(
    "lakehouse_from_release",
    description="Back to a release, and anew what came since",
    schedule=None,
    params={"release": Param(type="integer", minimum=1, description="Its number: `lakehouse releases` lists them")},
    **ABOUT,
):
    rewind = command("rewind", "rewind --to-release {{ params.release }} --yes")
    tables_after(rewind, GRAPH, "all_success")
