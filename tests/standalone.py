"""Spark's own cluster, from the pip install as docs/how-to/cluster.md says, and programs that are given to it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil
import pyspark
from tenacity import retry, stop_after_delay, wait_fixed

from lakehouse import graph
from lakehouse.engines.spark import jvm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ADDRESS = "127.0.0.1"
PATIENCE = 600  # seconds, where many processes share a small machine
SPARK_HOME = Path(pyspark.__file__).parent
DEPLOY = "org.apache.spark.deploy"
OWN_MOUNT = ("unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"')
# For a small machine, and so little work that compiling it well would not pay.
COLD = "-XX:TieredStopAtLevel=1"
ENVIRONMENT = {
    "SPARK_HOME": str(SPARK_HOME),
    "SPARK_LOCAL_IP": ADDRESS,
    "SPARK_DAEMON_JAVA_OPTS": COLD,
    "SPARK_LAUNCHER_OPTS": COLD,
}
SETTINGS = {
    "spark.executor.cores": "1",
    "spark.executor.memory": "800m",
    "spark.sql.shuffle.partitions": "4",
    "spark.log.level": "ERROR",
    "spark.ui.enabled": "false",
    "spark.driver.extraJavaOptions": COLD,
    "spark.executor.extraJavaOptions": COLD,
}
# Each way of writing is in what these tables are made from; that tables are right by Spark, test_both_engines says.
WANTED = ("gold.daily_sales", "gold.order_status_daily", "silver.customers")
# One application, since what takes time here is that each driver and each executor begins cold.
THE_THREE_JOBS = f"""
import runpy
from lakehouse import graph

every = graph.load()

def the_three_jobs(wanted={WANTED}):
    graph.load = lambda: graph.selected(every, wanted)
    for layer in ("bronze", "silver", "gold"):
        try:
            runpy.run_path(str(graph.HOME / "jobs" / f"run_{{layer}}.py"), run_name="__main__")
        except SystemExit as ended:
            if ended.code:
                raise
        print(layer, "is done", flush=True)
"""


@dataclass(frozen=True)
class Cluster:
    """`workers` by their processes; each has its folder with what its executors say, `work<place>`."""

    master: str
    folder: Path
    workers: tuple[psutil.Process, ...]

    def executors(self) -> list[psutil.Process]:
        """Those that run now: Java's processes below the workers."""
        found = []
        for worker in self.workers:
            with suppress(psutil.Error):  # it is no more
                found += [one for one in worker.children() if _is_executor(one)]
        return found

    def begun(self) -> int:
        """How many executors there ever were."""
        return len([*self.folder.glob("work*/app-*/*")])


def _is_executor(process: psutil.Process) -> bool:
    try:
        return "--executor-id" in process.cmdline()
    except psutil.Error:  # it was killed a moment ago
        return False


@contextmanager
def cluster(folder: Path, workers: int, executors: int = 1, apart: Path | None = None) -> Iterator[Cluster]:
    """A master and workers of so many executors of a core and 1 GB, stopped by their pids; none knows a store's keys.

    Each worker has an address of its own, as on a machine of its own: no second attempt is made where the first one is.
    `apart`: a folder that the last one does not share; it has an empty one of that name.
    """
    address = f"spark://{ADDRESS}:{_free_port()}"
    with ExitStack() as started:
        ports = ["--port", address.rsplit(":", 1)[1], "--webui-port", "0"]
        started.enter_context(_daemon(folder / "master.log", ADDRESS, "master.Master", *ports))
        _wait_for(folder / "master.log", "Starting Spark master")
        processes = []
        for place in range(workers):
            size = ["-c", f"{executors}", "-m", f"{executors}g", "--webui-port", "0"]
            size += ["--work-dir", str(folder / f"work{place}")]
            log, host = folder / f"worker{place}.log", f"127.0.0.{place + 2}"
            within = [*OWN_MOUNT, str(apart)] if apart and place == workers - 1 else []
            processes.append(started.enter_context(_daemon(log, host, "worker.Worker", *size, address, within=within)))
        for place in range(workers):
            _wait_for(folder / f"worker{place}.log", "Successfully registered with master")
        yield Cluster(address, folder, tuple(processes))


@contextmanager
def _daemon(log: Path, host: str, name: str, *arguments: str, within: Sequence[str] = ()) -> Iterator[psutil.Process]:
    command = [*within, str(SPARK_HOME / "bin" / "spark-class"), f"{DEPLOY}.{name}", "--host", host, *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environment |= ENVIRONMENT | {"SPARK_LOCAL_IP": host}
    with log.open("wb") as said, subprocess.Popen(command, env=environment, stdout=said, stderr=said) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind((ADDRESS, 0))
        return int(listening.getsockname()[1])


@retry(stop=stop_after_delay(PATIENCE), wait=wait_fixed(0.2), reraise=True)
def _wait_for(log: Path, words: str) -> None:
    assert re.search(words, log.read_text(errors="replace")), f"{words!r} is not in {log}"


def submit(program: Path, text: str, master: str, *arguments: str, **settings: str) -> list[str]:
    """The command of docs/how-to/cluster.md, of a program of this text."""
    program.write_text(text, encoding="utf-8")
    jars = ",".join(str(jar) for jar in jvm.jars())
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", master, "--jars", jars]
    said = (("--conf", f"{name}={value}") for name, value in (SETTINGS | settings).items())
    return [*command, *(part for one in said for part in one), str(program), *arguments]


def begin(command: list[str], told: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
    environment = os.environ | ENVIRONMENT | {"PYSPARK_PYTHON": sys.executable}
    return subprocess.Popen(command, env=environment, stdout=told, stderr=told, text=True, cwd=graph.HOME)
