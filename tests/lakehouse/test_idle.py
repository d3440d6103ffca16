"""To learn that nothing is to do costs neither Java nor Spark's Python: on disk and on MinIO, in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lakehouse import graph
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import progress
from lakehouse.delta.tables.progress import Input, Progress
from lakehouse.intake.deliveries import landing
from lakehouse.intake.records import ledger
from lakehouse.recovery import releases
from lakehouse.store import storage

HOME = Path(__file__).parents[2]
LOADED = {"bronze.customers": 0}  # its batch
ONE = pa.table({"n": [1]})
HEAVY = (
    "pyspark",
    "py4j",
    "pandas",
    "numpy",
    "pyarrow",
    "duckdb",
    "minio",
    "jinja2",
    "sqlglot",
    "grpc",
    "IPython",
    "psycopg",
    "httpx2",
    "uvicorn",
    "python_calamine",
    "openlineage",
    "requests",
)
COMMAND = f"""
import sys
from jobs import cli
try:
    cli.main()
finally:
    print("loaded:", *[name for name in {HEAVY} if name in sys.modules])
"""


def settle(root: str, exports: str) -> None:
    """Every table includes the one delivered file, as a run would have noted it, and is released; without a JVM."""
    tables = {name: one for name, one in graph.load().items() if one.serves != {"bronze.events"}}  # of no topic
    found = landing.find(exports, tables.values(), ledger.Ledger())
    claimed = ledger.claim(root, ledger.Ledger(), found.entries)
    places = {"rows": 1, "kept": 1}
    ledger.settle(root, claimed, [replace(one, status="loaded", counts=places) for one in claimed.entries])
    for name, table in tables.items():
        inputs = {one: _input(root, one) for one in table.inputs if one != "landing"}
        inputs = inputs or {ledger.FILES: Input(LOADED.get(name, -1))}
        note = Progress(name, "monday", table.fingerprint, -1, inputs)
        target = Target(progress.address(root, name), ONE.schema, vectors=table.contract.vectors)
        rows = ONE if name in LOADED or not table.contract.source else ONE.slice(0, 0)
        committer.append(target, -1, rows, note.to_json())
    releases.publish(root, tables)


def _input(root: str, name: str) -> Input:
    if name.startswith("conf."):
        return Input(graph.conf_file(name)[0])
    address = progress.address(root, name)
    log = DeltaTable(address, storage_options=storage.for_deltalake(address))
    return Input(0, str(log.metadata().id), 0 if name.startswith("bronze.") else None)


def answer(*arguments: str) -> tuple[str, str]:
    """What the command says, and which heavy modules it has loaded; there is no Java on its PATH."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=HOME,
        env={**os.environ, "PATH": "/nowhere", "JAVA_HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, _, loaded = done.stdout.rpartition("loaded:")
    return said + done.stderr, loaded.strip()


def commits(root: str) -> int:
    return sum("/_delta_log/" in f"/{file.path}" for file in storage.list_files(root))


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    folder = tmp_path / "exports/market_1"
    folder.mkdir(parents=True)
    (folder / "Customers.json").write_text('[{"Customer ID": 1}]')
    return folder.parent


ANSWERS = {"plan": "Nothing new: a run would make no commit.", "run": "Nothing new: every table is up to date"}


QUESTION = "select count(*) as tables from gold.daily_sales"
OF_AN_ANSWER = "numpy pyarrow"  # it comes in Arrow's format; not Spark's client, whose import takes two seconds


@pytest.mark.slow
def test_nothing_to_do_is_learnt_without_java_or_spark_and_a_question_loads_no_client_of_spark(
    tmp_path: Path, exports: Path
) -> None:
    root = str(tmp_path / "lake")
    settle(root, str(exports))
    before = commits(root)
    for command in ("plan", "status", "run"):
        said, loaded = answer(command, "--lake", root, "--landing", str(exports))
        assert ANSWERS.get(command, "up to date") in said
        assert (loaded, commits(root)) == ("", before)
    assert answer("sql", QUESTION, "--format", "csv", "--lake", root) == ("tables\n1\n", OF_AN_ANSWER)


@pytest.mark.slow
@pytest.mark.usefixtures("as_writer")
def test_on_s3_too(exports: Path) -> None:
    root, delivered = "s3://lakehouse/idle/lake", "s3://lakehouse/idle/landing"
    storage.client().upload_file(
        str(exports / "market_1/Customers.json"), "lakehouse", "idle/landing/market_1/Customers.json"
    )
    settle(root, delivered)
    before = commits(root)
    said, loaded = answer("run", "--lake", root, "--landing", delivered)
    assert (ANSWERS["run"] in said, loaded) == (True, "")
    assert answer("sql", QUESTION, "--format", "csv", "--lake", root) == ("tables\n1\n", OF_AN_ANSWER)
    assert commits(root) == before
