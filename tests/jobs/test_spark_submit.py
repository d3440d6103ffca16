"""The jobs of cluster.md on a standalone master with two executors and MinIO: a driver-only shortcut fails here."""

from __future__ import annotations

import re
import shutil
import sys
import time
from typing import TYPE_CHECKING

import pytest

from jobs.samples import daily
from lakehouse import graph
from lakehouse.delta.commits import ops
from lakehouse.delta.files import feed
from lakehouse.delta.tables import progress
from lakehouse.intake.records import ledger
from lakehouse.store import minio, storage
from tests.alike import assert_alike
from tests.oracle.recompute import recompute
from tests.standalone import THE_THREE_JOBS, WANTED, begin, cluster, submit

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.spark]
BY_RUN = {"_batch", "batch"}  # columns that say which run brought a row
FEW = ("gold.daily_sales",)  # which is partitioned; each table more takes cold executors seconds


@pytest.mark.usefixtures("store")
def test_the_three_jobs_on_two_executors_and_s3_make_the_gold_that_duckdb_makes(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    for file in daily.generate(exports, lines=600, days=3).files:
        storage.client().upload_file(str(file), minio.BUCKET, f"landing/{file.relative_to(exports).as_posix()}")
    places = ["--lake", f"s3://{minio.BUCKET}/tables", "--landing", f"s3://{minio.BUCKET}/landing"]
    with cluster(tmp_path, workers=1, executors=2) as standalone:
        submitted = begin(submit(tmp_path / "the_three_jobs.py", jobs(FEW), standalone.master, *places))
        said, errors = submitted.communicate()
    assert submitted.returncode == 0, said[-2500:] + errors[-1500:]
    assert re.findall(r"(\w+) is done", said) == ["bronze", "silver", "gold"]
    assert standalone.begun() >= 2
    expected = recompute(exports, "daily_sales")
    found = ops.query(f"s3://{minio.BUCKET}/tables/gold/daily_sales", "select * from t order by market, order_date")
    assert [_comparable(row, expected[0]) for row in found] == [_comparable(row, expected[0]) for row in expected]


def jobs(wanted: Sequence[str]) -> str:
    return f"{THE_THREE_JOBS}\nthe_three_jobs({wanted})\n"


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


def _run_beside_jobs(run: list[str], submitted: list[str], root: str) -> None:
    """Begun when the slower one has claimed its files; who is told of the other goes on when it is started again."""
    claimed, spark = _claims(root), begin(submitted)
    while spark.poll() is None and _claims(root) == claimed:
        time.sleep(0.05)
    native = begin(run)
    for command, went_well in ((run, _ended_well(native)), (submitted, _ended_well(spark))):
        assert went_well or _ended_well(begin(command))


@pytest.mark.long
@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("on_s3", [False, True], ids=["folder", "s3"])
def test_a_native_run_and_the_three_jobs_at_once_make_what_one_run_makes(tmp_path: Path, *, on_s3: bool) -> None:
    exports, landing, alone = (tmp_path / name for name in ("exports", "landing", "alone"))
    both = f"s3://{minio.BUCKET}/both" if on_s3 else str(tmp_path / "both")
    run = [sys.executable, "-m", "jobs.cli", "run", *WANTED, "--landing", str(landing), "--lake"]
    three = submit(tmp_path / "jobs.py", jobs(WANTED), "local[1]", "--landing", str(landing), "--lake", both)
    files = daily.generate(exports, lines=600, days=4).files
    for some in (files[::2], files[1::2]):  # the second time late files, too
        for file in some:
            (landing / file.relative_to(exports)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, landing / file.relative_to(exports))
        _run_beside_jobs([*run, both], three, both)
        assert _ended_well(begin([*run, str(alone)]))
    for name in (*graph.selected(graph.load(), WANTED), ledger.FILES):
        found, expected = (feed.read(progress.address(root, name)) for root in (both, str(alone)))
        by_run = BY_RUN.intersection(found.column_names)
        assert_alike(found.drop_columns([*by_run]), expected.drop_columns([*by_run]), name)


@pytest.mark.long
def test_a_folder_that_one_machine_has_for_itself_is_refused_before_a_table_is_written(tmp_path: Path) -> None:
    landing, lake = tmp_path / "landing", tmp_path / "lake"
    daily.generate(landing, lines=60, days=2)
    lake.mkdir()
    code, said = _bronze(tmp_path / "one_apart", lake, landing, apart=lake)
    assert f"The machines of the cluster do not share the lake folder {lake}: what is in it here is not" in said, said
    assert "Traceback" not in said
    assert code
    assert not (lake / "bronze").exists()
    code, said = _bronze(tmp_path / "shared", lake, landing, apart=None)
    assert not code, said
    assert ops.query(f"{lake}/bronze/orders", "select count(*) as rows from t") != [{"rows": 0}]


def _bronze(folder: Path, lake: Path, landing: Path, apart: Path | None) -> tuple[int, str]:
    """By two machines, which both are there when it begins: how it ended, and what it said."""
    folder.mkdir()
    both = {"spark.cores.max": "2", "spark.scheduler.minRegisteredResourcesRatio": "1.0"}
    both["spark.scheduler.maxRegisteredResourcesWaitingTime"] = "600s"
    bronze = jobs(FEW).replace('("bronze", "silver", "gold")', '["bronze"]')
    with cluster(folder, workers=2, apart=apart) as standalone:
        places = ("--lake", str(lake), "--landing", str(landing))
        submitted = begin(submit(folder / "one_job.py", bronze, standalone.master, *places, **both))
        said = "".join(submitted.communicate())
    return submitted.returncode, said
