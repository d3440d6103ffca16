"""The questions of conf/questions are answered, of branches whose older exports came last; and gold equals DuckDB's."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from jobs.docs import site
from jobs.samples import branches
from lakehouse import engines, graph
from lakehouse.delta.files import feed
from lakehouse.recovery import releases
from lakehouse.runs.run import Run
from lakehouse.serving.questions import sql
from lakehouse.writes.lake import Lake
from tests.oracle.recompute import recompute_all

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table

    Rows = list[dict[str, Any]]

pytestmark = pytest.mark.slow
TABLES = ("branch_performance", "conversation_daily", "stock_cover")
COMPARED = {name: f"gold.{name}" for name in TABLES}
ASKED = ("silver.branch_customers", "silver.branch_prices")


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("landing")


@pytest.fixture(scope="module")
def lake(landing: Path, engine: Native, tables: dict[str, Table], tmp_path_factory: pytest.TempPathFactory) -> Lake:
    root, wanted = str(tmp_path_factory.mktemp("lake")), graph.selected(tables, [*COMPARED.values(), *ASKED])
    for export in (1, 0):
        branches.generate(landing, every=49, receipts=1, deliver=[export])
        Run(root, str(landing), wanted, engine=engine).execute(wanted)
    return Lake(root)


@pytest.fixture(scope="module")
def gold(lake: Lake) -> dict[str, Rows]:
    return {name: feed.read(lake.address(table)).to_pylist() for name, table in COMPARED.items()}


@pytest.fixture(scope="module")
def answers(lake: Lake) -> dict[str, Rows]:
    reader, asked = engines.reader(engines.NATIVE), site.questions()
    return {name: sql.query(reader, lake.root, text.rstrip(";")).arrow().to_pylist() for name, _, _, text in asked}


def test_what_came_in_any_order_equals_the_recomputation_by_duckdb(gold: dict[str, Rows], landing: Path) -> None:
    for name, expected in recompute_all(landing, TABLES).items():
        found = [{column: row[column] for column in expected[0]} for row in gold[name]]
        assert sorted(map(str, found)) == sorted(map(str, expected)), name


def test_every_question_says_what_it_asks_and_has_an_answer(answers: dict[str, Rows]) -> None:
    assert [name for name, question, _, _ in site.questions() if not question[0].isupper()] == []
    assert [name for name, rows in answers.items() if not rows] == []


def test_who_stands_out_is_who_the_samples_made_so(answers: dict[str, Rows]) -> None:
    found = {name: {row.get("branch_id") for row in rows} for name, rows in answers.items()}
    assert found["branches_in_lowest_tenth"] == {branches.QUIET + 1}
    assert found["branches_with_several_names"] == {1}
    assert found["sold_beside_the_price_list"] == {branches.CHEAP + 1}
    assert not found["stock_running_out"] & {branches.CLOSED + 1}, "which is closed, and needs nothing"
    assert {row["sale_month"] for row in answers["best_branches"]} == {"2022-04"}
    words = answers["customers_described_differently"]
    assert {row["counts"] for row in words} == set(branches.SEGMENTS)
    assert all((row["customer_id"] + row["branch_id"]) % branches.OTHERWISE == 0 for row in words)
    often = [
        (row["market"], row["branch_id"]) for row in answers["many_customers_few_transactions"] if row["months"] > 2
    ]
    assert often == [(market, branches.CROWDED + 1) for market in (1, 2)]


def test_the_report_shows_branches_where_there_are_some(lake: Lake, tables: dict[str, Table]) -> None:
    pytest.importorskip("altair", reason="needs the extra `report`: uv sync --inexact --extra report")
    from jobs.report import html  # noqa: PLC0415  whose charts need it

    release = releases.publish(lake.root, tables)
    assert release
    found = {one.section.name: one for one in html.gather(engines.reader(), lake.root, release, None).answers}
    assert {market: rows[0]["branch"] for market, rows in found["branches"].rows.items()} == {
        1: "Kisumu (7)",
        2: "Benin (9)",
    }
    assert "revenue" not in found  # nobody delivered orders


def test_every_unit_that_is_moved_is_spare_there_and_short_here(
    answers: dict[str, Rows], gold: dict[str, Rows]
) -> None:
    sent, received = Counter[tuple[int, str, int]](), Counter[tuple[int, str, int]]()
    for row in answers["stock_to_move"]:
        sent[row["market"], row["sku"], row["from_branch_id"]] += row["units"]
        received[row["market"], row["sku"], row["to_branch_id"]] += row["units"]
    for row in gold["stock_cover"]:
        place = (row["market"], row["sku"], row["branch_id"])
        assert (sent[place], received[place]) == (row["units_to_send"], row["units_to_receive"])
    assert sent.total() == received.total() > 0
