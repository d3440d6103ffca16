"""The jobs of deploy.md on a standalone master with two executors and MinIO: a driver-only shortcut fails here."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyspark
import pytest
from tenacity import retry, stop_after_delay, wait_fixed

from jobs.samples import daily
from lakehouse import graph
from lakehouse.delta.commits import ops
from lakehouse.delta.files import feed
from lakehouse.delta.tables import progress
from lakehouse.engines.spark import jvm
from lakehouse.intake.records import ledger
from lakehouse.store import minio, storage
from tests.alike import assert_alike
from tests.oracle.recompute import recompute

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = [pytest.mark.slow, pytest.mark.spark]
PATIENCE = 600  # seconds, where many processes share a small machine
SPARK_HOME = Path(pyspark.__file__).parent
BY_RUN = {"_batch", "batch"}  # columns that say which run brought a row
DEPLOY = "org.apache.spark.deploy"
# One application, since what takes time here is that each driver and each executor begins cold. Each way of writing is
# in what these tables are made from; that every table is right by Spark, tests/test_both_engines.py says.
WANTED = ("gold.daily_sales", "gold.order_status_daily", "silver.customers")
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


@retry(stop=stop_after_delay(PATIENCE), wait=wait_fixed(0.2), reraise=True)
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


def _submit(program: Path, master: str, *arguments: str) -> list[str]:
    """The command of the README, for a small machine."""
    program.write_text(THE_THREE_JOBS, encoding="utf-8")
    settings = ["spark.executor.memory=800m", "spark.sql.shuffle.partitions=4", "spark.log.level=ERROR"]
    settings += [f"spark.{side}.extraJavaOptions=-XX:TieredStopAtLevel=1" for side in ("driver", "executor")]
    jars = ",".join(str(jar) for jar in jvm.jars())
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", master, "--jars", jars]
    return [*command, *(part for setting in settings for part in ("--conf", setting)), str(program), *arguments]


def _begin(command: list[str]) -> subprocess.Popen[str]:
    environment = os.environ | {"SPARK_HOME": str(SPARK_HOME), "PYSPARK_PYTHON": sys.executable}
    environment["SPARK_LOCAL_IP"] = "127.0.0.1"
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, cwd=graph.HOME)


@pytest.mark.usefixtures("store")
def test_the_three_jobs_on_two_executors_and_s3_make_the_gold_that_duckdb_makes(tmp_path: Path, master: str) -> None:
    exports = tmp_path / "exports"
    for file in daily.generate(exports, lines=600, days=3).files:
        storage.client().upload_file(str(file), minio.BUCKET, f"landing/{file.relative_to(exports).as_posix()}")
    places = ["--lake", f"s3://{minio.BUCKET}/tables", "--landing", f"s3://{minio.BUCKET}/landing"]
    submitted = _begin(_submit(tmp_path / "the_three_jobs.py", master, *places))
    said, errors = submitted.communicate()
    assert submitted.returncode == 0, said[-2500:] + errors[-1500:]
    assert re.findall(r"(\w+) is done", said) == ["bronze", "silver", "gold"]
    executors = {path.name for place in (1, 2) for path in (tmp_path / f"work{place}").glob("app-*/*")}
    assert len(executors) >= 2
    for name, key in (("daily_sales", "market, order_date"), ("order_status_daily", "market, order_date")):
        expected = recompute(exports, name)
        found = ops.query(f"s3://{minio.BUCKET}/tables/gold/{name}", f"select * from t order by {key}")
        assert [_comparable(row, expected[0]) for row in found] == [_comparable(row, expected[0]) for row in expected]


def _comparable(row: dict[str, object], columns: Iterable[str]) -> dict[str, str]:
    return {name: str(row[name]).removesuffix("+00:00") for name in columns}


def _ended_well(process: subprocess.Popen[str]) -> bool:
    """Or else it said in words that the other was quicker; spark-submit hands a program's errors on as its output."""
    said = "".join(process.communicate())
    if process.returncode:
        assert re.search(r"Error: .*Another (writer|run) .*\b[Ss]tart ", said, re.DOTALL), said[-5000:]
        assert "Traceback" not in said
    return not process.returncode


def _claims(root: str) -> int:
    return sum(1 for _ in storage.list_files(f"{root}/ops/files/_delta_log"))


def _run_beside_jobs(run: list[str], jobs: list[str], root: str) -> None:
    """Begun when the slower one has claimed its files; who is told of the other goes on when it is started again."""
    claimed, spark = _claims(root), _begin(jobs)
    while spark.poll() is None and _claims(root) == claimed:
        time.sleep(0.05)
    native = _begin(run)
    for command, went_well in ((run, _ended_well(native)), (jobs, _ended_well(spark))):
        assert went_well or _ended_well(_begin(command))


@pytest.mark.long
@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("on_s3", [False, True], ids=["folder", "s3"])
def test_a_native_run_and_the_three_jobs_at_once_make_what_one_run_makes(tmp_path: Path, *, on_s3: bool) -> None:
    exports, landing, alone = (tmp_path / name for name in ("exports", "landing", "alone"))
    both = f"s3://{minio.BUCKET}/both" if on_s3 else str(tmp_path / "both")
    run = [sys.executable, "-m", "jobs.cli", "run", *WANTED, "--landing", str(landing), "--lake"]
    jobs = _submit(tmp_path / "the_three_jobs.py", "local[1]", "--landing", str(landing), "--lake", both)
    files = daily.generate(exports, lines=600, days=4).files
    for some in (files[::2], files[1::2]):  # the second time late files, too
        for file in some:
            (landing / file.relative_to(exports)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, landing / file.relative_to(exports))
        _run_beside_jobs([*run, both], jobs, both)
        assert _ended_well(_begin([*run, str(alone)]))
    for name in (*graph.selected(graph.load(), WANTED), ledger.FILES):
        found, expected = (feed.read(progress.address(root, name)) for root in (both, str(alone)))
        by_run = BY_RUN.intersection(found.column_names)
        assert_alike(found.drop_columns([*by_run]), expected.drop_columns([*by_run]), name)
