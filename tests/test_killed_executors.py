"""Workers and executors of a cluster that die or stand still while they write: the lake is as one process makes it.

What is lost is computed anew elsewhere; what a lost or slower attempt wrote is in no commit, and maintenance takes it
away. On a folder, and on a store to which an upload is on its way when its executor dies. What a driver that dies
leaves: tests/test_killed_spark.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import psutil
import pytest

from jobs.samples import daily
from lakehouse import graph
from lakehouse.conf import Retention
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.recovery import maintain
from lakehouse.runs.run import Run
from lakehouse.store import minio, storage
from lakehouse.writes.lake import Lake
from tests import faulty_s3
from tests.alike import assert_alike, assert_equal, rows
from tests.lakehouse.delta.upkeep.test_vacuum import aged
from tests.standalone import THE_THREE_JOBS, WANTED, begin, cluster, submit

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table
    from tests.standalone import Cluster

pytestmark = [pytest.mark.long, pytest.mark.spark]
PATIENCE = 1200  # seconds, where many processes share a small machine
EVERY = 0.005  # seconds: a file of few rows is open for some hundredths
LOOKS = 100  # at files, until it is asked anew who is there: that takes longer than a file is open
STILL = 60  # seconds at most: twice that, and who waits for what it holds gives it up
# The first days as if they were much, by shuffles and what is kept of them; a day more, with late files, as it is.
ROUNDS = f"""
{THE_THREE_JOBS}
import shutil, sys
from lakehouse.engines.spark import engine as spark

exports, few = sys.argv.pop(), spark.FEW_BYTES
for days, spark.FEW_BYTES in (("first", 0), ("second", few)):
    shutil.copytree(f"{{exports}}/{{days}}", sys.argv[-1], dirs_exist_ok=True)
    the_three_jobs()
"""
SPECULATIVE = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.multiplier": "1.1",
    "spark.speculation.quantile": "0.1",
    "spark.speculation.minTaskRuntime": "500ms",
    "spark.speculation.task.duration.threshold": "1s",  # of a stage that has but one task
}
COMMIT = re.compile(r"_delta_log/\d{20}\.json")
COUNTED = "path, status, rows, kept, unchanged, rejected, duplicate, superseded"


@dataclass(frozen=True)
class Submitted:
    """The run by the cluster, as far as it is."""

    cluster: Cluster
    process: subprocess.Popen[str]
    lake: str

    def stopped_at(self, table: str) -> psutil.Process:
        """The executor that writes rows of this table: it stands still with its file open."""
        until, executors = time.monotonic() + PATIENCE, list[psutil.Process]()
        for look in count():
            if time.monotonic() > until or self.process.poll() is not None:
                break
            executors = executors if look % LOOKS else self.cluster.executors()
            for one in executors:
                if _writes(one, f"{self.lake}/{table}/"):
                    with suppress(psutil.Error):  # of a worker that died just now
                        one.suspend()
                        if _writes(one, f"{self.lake}/{table}/"):
                            return one
                        one.resume()
            time.sleep(EVERY)
        raise AssertionError(f"nobody was seen to write {table}; the run: {self.process.poll()}")

    def versions(self, table: str) -> int:
        return len([*Path(self.lake, table, "_delta_log").glob("*.json")])

    def worker_of(self, executor: psutil.Process) -> psutil.Process:
        return next(one for one in self.cluster.workers if one == executor.parent())


def _writes(process: psutil.Process, folder: str) -> bool:
    with suppress(OSError):
        for one in os.listdir(f"/proc/{process.pid}/fd"):  # noqa: PTH208  some hundreds, many times a second
            with suppress(OSError):
                path = os.readlink(f"/proc/{process.pid}/fd/{one}")  # noqa: PTH115
                if path.startswith(folder) and "/part-" in path and not path.endswith("(deleted)"):
                    flags = Path(f"/proc/{process.pid}/fdinfo/{one}").read_text().split("flags:")[1].split()[0]
                    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
    return False


def a_worker_dies(run: Submitted, moment: str) -> None:
    """Its executor finds nobody above it, and ends; two of three, and what is left is enough."""
    executor = run.stopped_at(moment)
    run.worker_of(executor).kill()
    executor.resume()


def an_executor_dies(run: Submitted, moment: str) -> None:
    run.stopped_at(moment).kill()


def an_executor_stands_still(run: Submitted, moment: str) -> None:
    """Until another attempt is committed: it wakes up, and goes on writing what nobody asks for any more."""
    executor, before, until = run.stopped_at(moment), run.versions(moment), time.monotonic() + STILL
    while run.versions(moment) == before and time.monotonic() < until:
        time.sleep(EVERY)
    executor.resume()


# In the order in which tables are written. Of three workers one is left at the end.
FIRST_ROUND = (
    ("bronze/orders", an_executor_dies),
    ("silver/order_lines", an_executor_stands_still),
    ("gold/daily_sales", a_worker_dies),
)
SECOND_ROUND = (
    ("bronze/orders", an_executor_stands_still),
    ("silver/order_lines", an_executor_dies),
    ("gold/daily_sales", a_worker_dies),
)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In two parts, of which the second has late files."""
    folder = tmp_path_factory.mktemp("exports")
    files = daily.generate(folder / "all", lines=600, days=4).files
    for part, some in (("first", files[::2]), ("second", files[1::2])):
        for file in some:
            there = folder / part / file.relative_to(folder / "all")
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, there)
    return folder


@pytest.fixture(scope="module")
def wanted(tables: dict[str, Table]) -> dict[str, Table]:
    return graph.selected(tables, WANTED)


@pytest.fixture(scope="module")
def undisturbed(exports: Path, engine: Native, wanted: dict[str, Table]) -> Lake:
    """By one process on one machine."""
    landing, lake = exports / "landing", exports / "lake"
    for part in ("first", "second"):
        shutil.copytree(exports / part, landing, dirs_exist_ok=True)
        Run(str(lake), str(landing), wanted, engine=engine).execute(wanted)
    return Lake(str(lake))


def test_what_happens_to_executors_while_they_write_changes_nothing(
    exports: Path, undisturbed: Lake, wanted: dict[str, Table], tmp_path: Path
) -> None:
    """One run through all of it: what one process does in seconds takes a cluster minutes on a small machine."""
    lake, events = tmp_path / "lake", tmp_path / "events"
    events.mkdir()
    told = {"spark.eventLog.enabled": "true", "spark.eventLog.compress": "false", "spark.eventLog.dir": events.as_uri()}
    places = ("--lake", str(lake), "--landing", str(tmp_path / "landing"), str(exports))
    with cluster(tmp_path, workers=3) as standalone, (tmp_path / "said.txt").open("w+") as said:
        command = submit(tmp_path / "rounds.py", ROUNDS, standalone.master, *places, **told, **SPECULATIVE)
        run = Submitted(standalone, begin(command, said), str(lake))
        try:
            for table, happens in (*FIRST_ROUND, *SECOND_ROUND):
                happens(run, table)
            run.process.wait(PATIENCE)
        finally:
            run.process.kill()  # where it did not end
        said.seek(0)
        assert run.process.returncode == 0, said.read()[-6000:]
    assert_same(Lake(str(lake)), undisturbed, wanted)
    assert [one for one in _told(events, "TaskStart") if one["Task Info"]["Speculative"]]
    assert len([*_told(events, "ExecutorRemoved")]) >= 4
    assert len(_unnamed(str(lake), wanted)) >= 4
    aged(lake)
    done = maintain.maintain(str(lake), wanted, Retention(), {})
    assert [one.problem for one in done if one.problem] == []
    assert _unnamed(str(lake), wanted) == set()
    for name in wanted:
        assert_alike(rows(Lake(str(lake)), name), rows(undisturbed, name), name)


def assert_same(found: Lake, expected: Lake, tables: dict[str, Table]) -> None:
    for name in tables:
        assert_equal(name, found, expected)
    accounts = (
        ops.query(progress.address(one.root, "ops.files"), f"select {COUNTED} from t order by path")
        for one in (found, expected)
    )
    assert next(accounts) == next(accounts)


def _told(events: Path, what: str) -> Iterator[dict[str, Any]]:
    """What Spark's own log says of the application."""
    for file in events.rglob("events_*"):
        with file.open(encoding="utf-8") as lines:  # its texts have other ends of lines in them
            found = [json.loads(line) for line in lines]
        yield from (one for one in found if one["Event"] == f"SparkListener{what}")


def _unnamed(lake: str, tables: Iterable[str]) -> set[str]:
    """Files of rows that no commit names; each that one names is there, and came once."""
    found = set[str]()
    for root in (f"{lake}/{name.replace('.', '/')}" for name in tables):
        there = {one.path for one in storage.list_files(root)}
        live, named = set[str](), set[str]()
        for commit in sorted(path for path in there if COMMIT.fullmatch(path)):
            actions = [json.loads(line) for line in storage.read_bytes(root, commit).splitlines()]
            added = [unquote(one["add"]["path"]) for one in actions if "add" in one]
            gone = {unquote(one["remove"]["path"]) for one in actions if "remove" in one}
            assert len(added) == len({*added})
            assert not live & {*added} - gone
            live = live - gone | {*added}
            named |= {*added} | {unquote(one["cdc"]["path"]) for one in actions if "cdc" in one}
        assert live <= there
        rows = {path for path in there if ".parquet" in path and not path.startswith("_delta_log/")}
        found |= {f"{root}/{path}" for path in rows if _of_rows(path) not in named}
    return found


def _of_rows(path: str) -> str:
    """The file of which Hadoop keeps a checksum here, or the file itself."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{name.removeprefix('.').removesuffix('.crc')}" if name.endswith(".crc") else path


# On a store

UPLOADED = (("bronze/orders", "executor"), ("silver/order_lines", "worker"), ("bronze/orders", "executor"))
LATE = 10.0  # seconds: an executor is seen, and killed, before its file arrives


def uploads(run: Submitted, slow: faulty_s3.FaultyS3, table: str) -> psutil.Process:
    """The executor of which the store has a file of this table, and does not take it yet."""
    met, until = slow.met()["late"], time.monotonic() + PATIENCE
    slow.fail("late", method="PUT", path=rf"/{table}/[^_].*\.parquet$", times=1, delay=LATE)
    while time.monotonic() < until and run.process.poll() is None:
        if slow.met()["late"] > met:
            busy = [one for one in run.cluster.executors() if _uploads(one)]
            if len(busy) == 1:
                return busy[0]
        time.sleep(EVERY)
    raise AssertionError(f"nobody was seen to upload to {table}; the run: {run.process.poll()}")


def _uploads(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any("/s3ablock-" in one.path for one in process.open_files())
    return False


def test_what_dies_while_it_uploads_to_a_store_changes_nothing(
    exports: Path,
    undisturbed: Lake,
    wanted: dict[str, Table],
    store: minio.Account,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What was on its way arrives all the same, after its rows were written once more: no commit names it."""
    lake = f"s3://{minio.BUCKET}/lake"
    places = ("--lake", lake, "--landing", str(tmp_path / "landing"), str(exports))
    with (
        faulty_s3.before(store.endpoint) as slow,
        cluster(tmp_path, workers=3) as standalone,
        (tmp_path / "said.txt").open("w+") as said,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", slow.endpoint)
        command = submit(tmp_path / "rounds.py", ROUNDS, standalone.master, *places)
        run = Submitted(standalone, begin(command, said), lake)
        try:
            for table, dies in UPLOADED:
                executor = uploads(run, slow, table)
                (executor if dies == "executor" else run.worker_of(executor)).kill()
            run.process.wait(PATIENCE)
        finally:
            run.process.kill()  # where it did not end
        said.seek(0)
        assert run.process.returncode == 0, said.read()[-6000:]
        assert_same(Lake(lake), undisturbed, wanted)
        assert len(_unnamed(lake, wanted)) >= len(UPLOADED)
