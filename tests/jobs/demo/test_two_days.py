"""The demo from nothing, and the commands that it names, on the lake it leaves."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from typer.testing import CliRunner

from jobs import cli
from jobs.demo import two_days
from lakehouse import engines, graph
from lakehouse.errors import LakehouseError
from lakehouse.serving.questions import sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.slow
DELIVERED = {"bronze.orders", "bronze.customers", "bronze.deliveries", "bronze.exchange_rates"}
TABLES = [name for name, one in graph.load().items() if one.serves & DELIVERED]  # others do not come into being
GOLD = len([name for name in TABLES if name.startswith("gold.")])


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL that follows the demo's releases; empty where none is installed."""
    try:
        from lakehouse.serving.postgres import server  # noqa: PLC0415  which needs an extra

        server.programs()
    except LakehouseError:
        yield ""
        return
    with server.running() as url:
        yield url


@pytest.fixture(scope="module")
def said(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the demo printed, and its folder."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two_days, "FOLDER", folder / "demo")
        console = Console(file=io.StringIO(), width=200)
        two_days.demo(console, on_minio=False, postgres=postgres)
        return console.file.getvalue(), folder / "demo"  # type: ignore[attr-defined]


def test_the_demo_shows_each_thing_it_promises(said: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    text, _ = said
    capsys.readouterr()
    assert text.count("rows loaded") == len([name for name in TABLES if name.startswith("bronze.")]) + 3
    assert "for one day no rate was delivered" in text
    assert "mended silver.delivery_items: comma_shifted" in text
    assert "1 rejected" in text
    assert "Nothing new: every table is up to date, and no commit was made." in text
    assert "Orders typed by hand.csv row 1" in text
    assert "quantity=two" in text


def _ask(said: tuple[str, Path], *arguments: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_ROOT", str(said[1] / "tables"))
        patch.setenv("LAKEHOUSE_LANDING", str(said[1] / "landing"))
        answer = CliRunner().invoke(cli.app, arguments)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_postgresql_followed_both_releases_and_has_the_rows_of_every_gold_table_that_sql_says(
    said: tuple[str, Path], postgres: str
) -> None:
    if not postgres:
        pytest.skip("needs PostgreSQL and the extra [postgres]")
    from lakehouse.serving.postgres.connection import connected  # noqa: PLC0415

    assert re.search(
        rf"holds release 1: {GOLD} tables, .*holds release 2, after 1: .*: no row differed", said[0], re.DOTALL
    )
    assert "The release that it holds" in said[0]
    with connected(postgres) as connection:
        (tables,) = connection.execute("select tables from gold.release").fetchone() or ({},)
        of_the_demo = {
            name for name, one in graph.load().items() if one.serves & {"bronze.orders", "bronze.deliveries"}
        }
        assert {*tables} == {name for name in of_the_demo if name.startswith("gold.")}
        for name in tables:
            answer = sql.query(engines.reader(), str(said[1] / "tables"), f"select * from {name}").arrow()
            expected = sorted(map(_plain, zip(*answer.to_pydict().values(), strict=True)), key=repr)
            assert sorted(map(_plain, connection.execute(f"select * from {name}")), key=repr) == expected, name


def _plain(row: tuple[object, ...]) -> tuple[object, ...]:
    """Instants in one zone."""
    return tuple(one.astimezone(UTC) if isinstance(one, datetime) else one for one in row)


def test_csv_is_the_answer_alone_with_exact_decimals(said: tuple[str, Path]) -> None:
    query = "select market, cast(sum(revenue) as decimal(18,2)) as revenue from gold.daily_sales group by 1 order by 1"
    header, *rows = csv.reader(io.StringIO(_ask(said, "sql", query, "--format", "csv")))
    assert header == ["market", "revenue"]
    assert [row[0] for row in rows] == ["1", "2"]
    assert all(row[1][-3] == "." for row in rows)


def test_json_is_an_array_of_objects(said: tuple[str, Path]) -> None:
    query = "select market, null as nothing, first_order_at from gold.customer_metrics where order_count > 0 limit 3"
    objects = json.loads(_ask(said, "sql", query, "--format", "json"))
    assert len(objects) == 3
    assert set(objects[0]) == {"market", "nothing", "first_order_at"}
    assert json.loads(_ask(said, "sql", "select 1 as a where false", "--format", "json")) == []


def test_what_runs_recorded_can_be_asked_by_rule_and_by_source(said: tuple[str, Path]) -> None:
    query = (
        "select source, rule, broken, score from ops.data_quality where rule = 'quantity_is_readable' and broken > 0"
    )
    assert json.loads(_ask(said, "sql", query, "--format", "json")) == [
        {"source": "silver.order_lines", "rule": "quantity_is_readable", "broken": 1, "score": None}
    ]
    query = "select source, market, files, hours_old > 0 as is_old from ops.freshness order by all"
    sources = [tuple(row.values()) for row in json.loads(_ask(said, "sql", query, "--format", "json"))]
    assert sources[0] == ("bronze.customers", 1, 8, True)
    assert sources[-1][:2] == ("bronze.orders", 2)
    assert ("bronze.exchange_rates", None, 1, True) in sources


def test_a_table_can_be_described_and_read_as_it_was(said: tuple[str, Path]) -> None:
    assert "The market's local calendar day of the order" in _ask(said, "sql", "describe table silver.orders")
    assert "customer_metrics" in _ask(said, "sql", "show tables in gold")
    commits = json.loads(_ask(said, "sql", "describe history gold.daily_sales", "--format", "json"))
    assert [(one["version"], one["operation"]) for one in commits] == [(1, "WRITE"), (0, "WRITE")]
    assert "gold.daily_sales" in commits[0]["userMetadata"]
    then = _ask(said, "sql", "select count(*) from gold.daily_sales version as of 0", "--format", "csv")
    now = _ask(said, "sql", "select count(*) from gold.daily_sales", "--format", "csv")
    assert then != now


def test_each_day_is_a_release_that_can_be_listed_compared_and_read(said: tuple[str, Path]) -> None:
    assert [line for line in said[0].splitlines() if line.startswith("Release ")] == [
        f"Release 1: {len(TABLES)} tables moved.",
        "Release 2: 42 tables moved.  lakehouse diff 1 2",
    ]
    assert [line.split()[0] for line in _ask(said, "releases").splitlines()] == ["release", "2", "1"]
    other = _ask(said, "diff", "2", "1")
    assert re.search(r"gold\.daily_sales +2 +[1-9]\d* +0", other)
    moved = r"gold\.daily_sales \w+ [\d.,]+ -> [\d.,]+  market \d, order_date 2022-01-\d\d\n  (late|new): market_\d/"
    assert re.search(moved, other)
    question = "select max(order_date) as last from gold.daily_sales"
    assert _ask(said, "sql", question, "--release", "1", "--format", "csv") == "last\n2022-01-09\n"
    assert _ask(said, "sql", question, "--as-of", "2999-01-01", "--format", "csv") == "last\n2022-01-10\n"


def test_a_page_and_an_explanation_are_of_a_release(said: tuple[str, Path], tmp_path: Path) -> None:
    where = "market = 1 and order_date = '2022-01-10'"
    assert "gold.daily_sales" in _ask(said, "explain", "gold.daily_sales", "--where", where)
    then = _ask(said, "explain", "gold.daily_sales", "--where", where, "--release", "1")
    assert "No row of gold.daily_sales, version 0, is where" in then
    _ask(said, "docs", str(tmp_path / "then.html"), "--release", "1")
    _ask(said, "docs", str(tmp_path / "now.html"))
    assert (tmp_path / "then.html").read_text() != (tmp_path / "now.html").read_text()


def test_what_is_released_is_not_released_again(said: tuple[str, Path]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_ROOT", str(said[1] / "tables"))
        answer = CliRunner().invoke(cli.app, ["publish"])
    assert "Nothing moved since the last release" in answer.output


def test_status_plan_and_rejected_answer(said: tuple[str, Path]) -> None:
    assert _ask(said, "status").count("up to date") == len(TABLES)
    assert "Nothing new: a run would make no commit." in _ask(said, "plan")
    rejected = _ask(said, "rejected", "silver.order_lines")
    assert "the delivered text cannot be read as int" in rejected
    assert "Nothing is rejected in silver.customers." in _ask(said, "rejected", "silver.customers")


def test_a_question_that_cannot_be_answered_is_one_line(said: tuple[str, Path]) -> None:
    with pytest.raises(LakehouseError, match=r"That cannot be answered: .*nothing_at_all") as error:
        sql.query(engines.reader(), str(said[1] / "tables"), "select nothing_at_all from gold.daily_sales")
    assert len(str(error.value).splitlines()) == 1
