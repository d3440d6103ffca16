"""Two runs that write one table: one wins, the other is told in words and goes on at its next run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse import graph
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log
from lakehouse.errors import LakehouseError
from lakehouse.runs.run import Run
from lakehouse.store import minio
from lakehouse.writes.lake import Writer
from tests.test_killed import state
from tests.toy import Toy

if TYPE_CHECKING:
    from lakehouse.delta.commits.committer import Target
    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark

HOME = Path(__file__).parents[3]
PATIENCE = 300.0  # seconds, where many processes share a small machine
LINES = "silver.order_lines"
# A run, beside another: both have prepared their commit of the table before either puts it.
A_RUN = """
import sys, time
from pathlib import Path
from lakehouse.errors import LakehouseError
from lakehouse.runs.run import Run
from lakehouse.delta.commits import committer
from tests.toy import Toy

folder, lake, who = sys.argv[1:]

def together(address, version, actions, land=committer.land):
    if address.endswith("/silver/order_lines"):
        (Path(folder) / f"{who} is ready").touch()
        while len(list(Path(folder).glob("* is ready"))) < 2:
            time.sleep(0.01)
    land(address, version, actions)

committer.land = together
toy = Toy(Path(folder), None)
tables = toy.tables()
try:
    Run(lake, str(toy.landing), tables).execute(tables)
except LakehouseError as error:
    print(error)
"""


def begin(folder: Path, lake: str, who: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", A_RUN, str(folder), lake, who]
    return subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    """What it printed until it ended well."""
    try:
        out, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return out


def run_side_by_side(folder: Path, lake: str) -> list[str]:
    return sorted(said(one) for one in [begin(folder, lake, "one"), begin(folder, lake, "other")])


def assert_nothing_is_lost(folder: Path, lake: str, engine: Native) -> None:
    toy = Toy(folder, engine)

    def run(*names: str) -> None:
        tables = toy.tables()
        Run(lake, str(toy.landing), tables, engine=engine).execute(graph.selected(tables, names))

    toy.deliver("monday.csv", "7,A,2,10.00", "8,B,1,5.00")
    run()
    toy.deliver("tuesday.csv", "8,B,4,5.00", "9,C,1,1.00")
    run("bronze.orders")
    fine, told = run_side_by_side(folder, lake)
    assert fine == ""
    assert f"Another writer made version 1 of {lake}/silver/order_lines" in told
    assert "Nothing was written; start the run again" in told
    toy.deliver("wednesday.csv", "10,D,3,1.00")
    run()
    lines = ops.query(f"{lake}/silver/order_lines", "select order_id, quantity from t order by order_id")
    assert [tuple(line.values()) for line in lines] == [(7, 2), (8, 4), (9, 1), (10, 3)]
    assert ops.query(f"{lake}/gold/totals", "select * from t") == [{"market": 1, "units": 10}]
    files = ops.query(f"{lake}/ops/files", "select status, count(*) as n from t group by status")
    assert files == [{"status": "loaded", "n": 3}]


@pytest.mark.slow
def test_on_a_folder_one_of_two_processes_wins_and_nothing_is_lost(tmp_path: Path, engine: Native) -> None:
    assert_nothing_is_lost(tmp_path, str(tmp_path / "lake"), engine)


@pytest.mark.slow
@pytest.mark.usefixtures("as_writer")
def test_on_s3_one_of_two_processes_wins_and_nothing_is_lost(tmp_path: Path, engine: Native) -> None:
    assert_nothing_is_lost(tmp_path, f"s3://{minio.BUCKET}/two-processes-{os.getpid()}", engine)


@pytest.fixture
def begun(tmp_path: Path, engine: Native) -> Toy:
    """A lake of Monday that has loaded Tuesday's file."""
    toy = Toy(tmp_path / "begun", engine)
    toy.deliver("monday.csv", "7,A,2,10.00", "8,B,1,5.00")
    toy.run()
    toy.deliver("tuesday.csv", "8,B,4,5.00", "9,C,one,1.00")
    toy.run("bronze.orders")
    return toy


@pytest.fixture
def undisturbed(begun: Toy) -> dict[str, object]:
    """What becomes of it until Wednesday."""
    toy = begun.copied(begun.folder.with_name("alone"))
    toy.run()
    toy.deliver("wednesday.csv", "10,D,3,1.00")
    toy.run()
    return state(toy)


@pytest.mark.spark
def test_spark_beside_a_native_run_is_told_and_goes_on_at_its_next_run(
    begun: Toy, undisturbed: dict[str, object], on_spark: Spark, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy, write = replace(begun, engine=on_spark), Writer._write  # noqa: SLF001
    native = begin(toy.folder, toy.lake.root, "native")
    landed = Path(toy.lake.address(LINES), log.commit_path(1))

    def behind_the_other(writer: Writer, target: Target, *given: Any) -> int:  # noqa: ANN401
        if target.address == toy.lake.address(LINES):
            (toy.folder / "spark is ready").touch()
            while native.poll() is None and not landed.exists():
                time.sleep(0.01)
        return write(writer, target, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_write", behind_the_other)
        told = r"Another writer made version 1 of .*/silver/order_lines after it was read here\. Start the run again"
        with pytest.raises(LakehouseError, match=told):
            toy.run()
    assert said(native) == ""
    toy.deliver("wednesday.csv", "10,D,3,1.00")
    toy.run()
    assert state(toy) == undisturbed
