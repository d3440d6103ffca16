"""Windows in a bucket, by the command as a person gives it: killed, gone on with, loaded, asked of, taken back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

pytest.importorskip("uvicorn", reason="needs the extra `sources`: uv sync --inexact --extra sources")

import psycopg

from jobs import cli
from jobs.demo.sales_api import SalesAPI, served, some_sales
from lakehouse.intake.deliveries import fetched
from lakehouse.intake.records import retracted
from lakehouse.store import storage

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("engine")]
SALES = "silver.api_sales"
# The command, which SIGKILL ends before so many of its puts; of a table each block is a page.
KILLED = """
import os, signal, sys
from jobs import cli
from lakehouse.sources.database import snapshot
from lakehouse.store import storage

put, left = storage.put_if_absent, iter(range(int(sys.argv.pop(1))))

def mortal(*arguments):
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return put(*arguments)

snapshot.BLOCKS, storage.put_if_absent = 1, mortal
cli.main()
"""


@pytest.fixture
def bucket(
    as_writer: None,  # noqa: ARG001  for what it does
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> str:
    """Where landing is, and a lake beside it, as the environment says."""
    prefix = f"s3://lakehouse/windows_{abs(hash(request.node.name))}"
    places = {"ROOT": f"{prefix}/lake", "LANDING": f"{prefix}/landing", "CACHE": str(tmp_path / "cache")}
    for name, value in places.items():
        monkeypatch.setenv(f"LAKEHOUSE_{name}", value)
    monkeypatch.setattr(retracted, "FILE", tmp_path / "retracted.yml")
    return places["LANDING"]


def lakehouse(*arguments: str) -> str:
    answer = CliRunner().invoke(cli.app, arguments)
    assert answer.exit_code == 0, answer.output
    return " ".join(answer.output.split())


def killed(puts: int, *arguments: str) -> None:
    command = [sys.executable, "-c", KILLED, str(puts), *arguments]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -signal.SIGKILL


def loaded(source: str, table: str, wrong: str) -> str:
    """Its first window, of which no state is left; what is wrong with it stands in quarantine like this."""
    landing = os.environ["LAKEHOUSE_LANDING"]
    window, *_ = fetched.windows(landing, source)
    there = {file.path for file in storage.list_files(f"{landing}/{window}")}
    assert not [name for name in there if "/" in name]
    lakehouse("run", table)
    assert f"{window} row {wrong}" in lakehouse("rejected", table)
    return window


@pytest.mark.usefixtures("bucket")
def test_sales_of_an_api(monkeypatch: pytest.MonkeyPatch) -> None:
    sales = some_sales(date(2026, 1, 1), 5, 20)
    sales[150]["quantity"] = "two"
    api = SalesAPI(sales, "k3y")
    monkeypatch.setenv("SALES_API_KEY", "k3y")
    with served(api) as url:
        monkeypatch.setenv("SALES_API_URL", url)
        killed(3, "fetch", "api_sales")
        assert [one.status for one in api.pages_asked] == [200, 200]
        lakehouse("fetch")
        asked = [one.query.get("cursor") for one in api.pages_asked]
    assert (asked[0], asked[1] == asked[2], asked[3:]) == (None, True, [None])  # and what was changed since
    window = loaded("bronze.api_sales", SALES, "151, that is row 51 of 000002.json")
    assert "equal, 189 rows, 3 rejected" in lakehouse("verify", SALES)
    assert f"{window}: row 1 (1 row), that is row 1 of 000001.json" in lakehouse(
        "explain", SALES, "--where", "_row = 1"
    )
    lakehouse("retract", window, "--why", "a test")
    assert "192 in = 192 retracted" in lakehouse("run", SALES)


def test_rows_of_a_database(bucket: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_SHOP_DATABASE", url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create table products as select 1 as market, 'S' || n as sku, repeat('x', 100) as product_name, 'Food' as "
            "category_name, case n when 7 then -1 else 1.50 end::numeric(18,2) as list_price, "
            "timestamptz '2026-01-01' as updated_at from generate_series(1, 300) n"
        )
    killed(4, "fetch", "products")
    (path,) = fetched.windows(bucket)
    assert len([*storage.list_files(f"{bucket}/{path}")]) == 4  # two pages of several, each with its state
    lakehouse("fetch", "products")
    window = loaded("bronze.products", "silver.products", "7, that is row 7 of 000003.parquet")
    assert [one.name for one in fetched.complete(bucket, window)[0].parts] == ["000003.parquet"]
    assert "equal, 299 rows, 1 rejected" in lakehouse("verify", "silver.products")
