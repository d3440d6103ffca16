"""`lakehouse connect`: what it prints runs, on a folder and on S3, and holds no secret."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from jobs import cli
from jobs.serving.commands import Program
from lakehouse import conf, graph
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.serving import connect
from tests import duck

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.store.minio import Account

PLAIN, HIDING = "gold.daily_sales", "silver.orders"
ROWS = pa.table({"market": pa.array([1, 2], pa.int32()), "orders": [417, 528], "_digest": [7, 8]})


def build(root: str) -> str:
    """A table that anybody reads, and one whose rows may be hidden by vectors."""
    for name in (PLAIN, HIDING):
        target = Target(progress.address(root, name), ROWS.schema, vectors=name == HIDING)
        committer.overwrite(target, -1, ROWS, None)
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(str(tmp_path_factory.mktemp("lake")))


def code(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def run(script: str) -> int:
    """How many rows it reads."""
    scope: dict[str, Any] = {"print": lambda *_: None}
    exec(script, scope)  # noqa: S102  what one is told to do
    return len(scope["rows"])


@pytest.mark.slow
def test_each_program_is_told_in_three_lines_at_most(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "load", cache(graph.load))
    assert [one.value for one in Program] == list(connect.WAYS)
    said = {program: code(connect.lines(root, program)) for program in connect.WAYS}
    assert {len(lines) for lines in said.values()} == {1, 3}
    assert all("daily_sales" in "".join(lines) for lines in said.values())
    answer = CliRunner().invoke(cli.app, ["connect", "polars", "--lake", root])
    assert code(answer.stdout) == said["polars"]


@pytest.mark.slow
def test_which_tables_it_reads_is_said_and_for_the_others_how(root: str) -> None:
    assert "# It reads all 2 tables of gold and silver." in connect.lines(root, "polars")
    assert "# It reads all 1 tables of gold." in connect.lines(root, "trino")
    assert "not these, whose rows may be hidden by deletion vectors: silver.orders." in connect.lines(root, "pyarrow")
    assert code(connect.lines(root, "pyarrow", HIDING))[1] == f"rows = Lake.open({root!r}).arrow('silver.orders')"
    assert code(connect.lines(root, "pandas", HIDING))[1] == f"rows = Lake.open({root!r}).pandas('silver.orders')"


@pytest.mark.slow
def test_a_lake_has_tables_when_it_was_built(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"There is no table of gold in .* yet\. Build them: `lakehouse run`\."):
        connect.lines(str(tmp_path), "polars")
    root = build(str(tmp_path))
    with pytest.raises(LakehouseError, match=r"There is no table gold\.agents in .*'s silver and gold\. `lakehouse st"):
        connect.lines(root, "polars", "gold.agents")
    with pytest.raises(LakehouseError, match=r"What is shown to trino is gold alone, and silver\.orders is not in it"):
        connect.lines(root, "trino", HIDING)
    assert connect.lines(root, "trino", PLAIN)
    assert connect.lines(root, "polars", PLAIN) == connect.lines(root, "polars")


@pytest.mark.parametrize("program", ["duckdb", "polars", "pandas", "pyarrow", "deltalake", "spark", "trino"])
def test_the_page_shows_the_lines_that_are_printed(program: str) -> None:
    page = (conf.HOME / "docs" / "how-to" / "connect.md").read_text(encoding="utf-8")
    for line in connect.WAYS[program].lines(connect.Place("/data/lake", PLAIN, has_digest=True)):
        assert f"\n{line}\n" in page


@pytest.mark.slow
@pytest.mark.parametrize("name", ['it\'s a "lake" é', "50%20 [x]^"])
def test_a_lake_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Where not every library makes the same address of it, rows come by `Lake`."""
    root = build(str(tmp_path / name))
    for program, table in (("polars", PLAIN), ("pandas", HIDING), ("deltalake", PLAIN)):
        script = connect.lines(root, program, table)
        assert "so this project reads it" in script
        assert run(script) == 2


@pytest.mark.slow
def test_on_s3_by_the_account_of_the_environment(
    reader_and_writer: tuple[Account, Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an account that may only read."""
    reader, writer = reader_and_writer
    for name, value in writer.environment().items():
        monkeypatch.setenv(name, value)
    root = build("s3://lakehouse/connected")
    for name, value in reader.environment().items():
        monkeypatch.setenv(name, value)
    for program in ("polars", "pandas", "pyarrow", "deltalake"):
        assert run(connect.lines(root, program, PLAIN)) == 2
    script = connect.lines(root, "duckdb", PLAIN)
    assert reader.secret_key not in script
    done = subprocess.run([duck.python(), "-c", script], capture_output=True, text=True, check=False)
    assert ("417" in done.stdout, "_digest" in done.stdout) == (True, False), done.stderr
