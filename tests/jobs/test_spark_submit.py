"""The jobs of the README on a standalone master with two executors and MinIO: a driver-only shortcut fails here."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyspark
import pytest
from tenacity import retry, stop_after_delay, wait_fixed

from jobs import samples
from lakehouse.delta import ops
from lakehouse.engines import jvm
from lakehouse.store import minio, storage
from tests.oracle.recompute import recompute

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = [pytest.mark.slow, pytest.mark.spark]
SPARK_HOME = Path(pyspark.__file__).parent
DEPLOY = "org.apache.spark.deploy"
# One application, since what takes time here is that each driver and each executor begins cold. Each way of writing is
# in what these tables are made from; that every table is right by Spark, tests/test_both_engines.py says.
WANTED = ("gold.daily_sales", "gold.customer_metrics", "gold.dim_date")
THE_THREE_JOBS = f"""
import runpy
from lakehouse import graph

every = graph.load()
graph.load = lambda: graph.selected(every, {WANTED})
for layer in ("bronze", "silver", "gold"):
    try:
        runpy.run_path(str(graph.HOME / "jobs" / f"run_{{layer}}.py"), run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
    print(layer, "is done")
"""


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def _daemon(log: Path, name: str, *arguments: str) -> Iterator[Path]:
    """A master or worker, started from the pip install and stopped by its own pid."""
    environment = os.environ | {"SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1"}
    command = [str(SPARK_HOME / "bin" / "spark-class"), f"{DEPLOY}.{name}", "--host", "127.0.0.1", *arguments]
    with log.open("wb") as said, subprocess.Popen(command, env=environment, stdout=said, stderr=said) as process:
        try:
            yield log
        finally:
            process.terminate()


@retry(stop=stop_after_delay(60), wait=wait_fixed(0.2), reraise=True)
def _wait_for(log: Path, words: str) -> None:
    assert re.search(words, log.read_text(errors="replace")), f"{words!r} is not in {log}"


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    address = f"spark://127.0.0.1:{_free_port()}"
    with ExitStack() as started:
        ports = ["--port", address.rsplit(":", 1)[1], "--webui-port", "0"]
        log = started.enter_context(_daemon(tmp_path / "master.log", "master.Master", *ports))
        _wait_for(log, "Starting Spark master")
        for place in (1, 2):
            size = ["-c", "1", "-m", "1g", "--webui-port", "0", "--work-dir", str(tmp_path / f"work{place}")]
            started.enter_context(_daemon(tmp_path / f"worker{place}.log", "worker.Worker", *size, address))
        for place in (1, 2):
            _wait_for(tmp_path / f"worker{place}.log", "Successfully registered with master")
        yield address


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[minio.Account]:
    server = minio.start(tmp_path / "minio" / "data")
    minio.ensure_bucket(server)
    _, writer = minio.reader_and_writer(server)
    for name, value in writer.environment().items():
        monkeypatch.setenv(name, value)
    yield writer
    minio.stop(server.folder)


@pytest.mark.usefixtures("store")
def test_the_three_jobs_on_two_executors_and_s3_make_the_gold_that_duckdb_makes(tmp_path: Path, master: str) -> None:
    exports = tmp_path / "exports"
    for file in samples.generate(exports, lines=600, days=3).files:
        storage.client().upload_file(str(file), minio.BUCKET, f"landing/{file.relative_to(exports).as_posix()}")
    places = ["--lake", f"s3://{minio.BUCKET}/tables", "--landing", f"s3://{minio.BUCKET}/landing"]
    jars = ",".join(str(jar) for jar in jvm.jars())
    settings = ["spark.executor.memory=800m", "spark.sql.shuffle.partitions=4", "spark.log.level=ERROR"]
    settings += [f"spark.{side}.extraJavaOptions=-XX:TieredStopAtLevel=1" for side in ("driver", "executor")]
    environment = os.environ | {"SPARK_HOME": str(SPARK_HOME), "PYSPARK_PYTHON": sys.executable}
    environment["SPARK_LOCAL_IP"] = "127.0.0.1"
    program = tmp_path / "the_three_jobs.py"
    program.write_text(THE_THREE_JOBS, encoding="utf-8")
    submitted = subprocess.run(
        [
            *(str(SPARK_HOME / "bin" / "spark-submit"), "--master", master, "--jars", jars),
            *(part for setting in settings for part in ("--conf", setting)),
            *(str(program), *places),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert submitted.returncode == 0, submitted.stdout[-2500:] + submitted.stderr[-1500:]
    assert re.findall(r"(\w+) is done", submitted.stdout) == ["bronze", "silver", "gold"]
    executors = {path.name for place in (1, 2) for path in (tmp_path / f"work{place}").glob("app-*/*")}
    assert len(executors) >= 2
    for name, key in (("daily_sales", "market, order_date"), ("customer_metrics", "market, customer_id")):
        expected = recompute(exports, name)
        found = ops.query(f"s3://{minio.BUCKET}/tables/gold/{name}", f"select * from t order by {key}")
        assert [_comparable(row, expected[0]) for row in found] == [_comparable(row, expected[0]) for row in expected]


def _comparable(row: dict[str, object], columns: Iterable[str]) -> dict[str, str]:
    return {name: str(row[name]).removesuffix("+00:00") for name in columns}
