"""An explanation reads from top to bottom; numbers are whole at any width, and JSON has all of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from rich.console import Console
from typer.testing import CliRunner

from jobs import cli
from jobs.proof import explained
from lakehouse import graph
from lakehouse.causes.changes import Brought, Change, History
from lakehouse.causes.excerpt import Excerpt
from lakehouse.causes.explain import AGAIN, Answer, File, Removed, Step
from lakehouse.errors import LakehouseError
from lakehouse.proof.judged import Kept

if TYPE_CHECKING:
    from pathlib import Path

DAY = {"market": 1, "order_date": date(2022, 1, 5), "orders": 3, "revenue": Decimal("30.50")}
BEFORE = DAY | {"orders": 2, "revenue": Decimal("20.50")}
AT = datetime(2022, 1, 7, 6, 30, tzinfo=UTC)
MEANING = graph.load()["gold.daily_sales"].contract.columns["revenue"].meaning
FILES = (
    File("market_1/2022-01-05/Orders.csv", 0, 31, ((12, 40), (77, 77), (90, 90))),
    File("market_1/2022-01-06/Orders.csv", 2, 1, ((4, 4),), delivery=(2, 3)),
)
BRONZE = Step("bronze.orders", 4, Excerpt(32), files=FILES)
ORDERS = Step(
    "silver.orders",
    4,
    Excerpt(
        rows=3,
        same={"market": 1},
        sums={"order_total": Decimal("35.50")},
        groups=(
            {"order_status": "COMPLETED", "rows": 2, "order_total": Decimal("30.50")},
            {"order_status": "CANCELLED", "rows": 1, "order_total": Decimal("5.00")},
        ),
        largest_by="order_total",
        examples=({"order_id": 8, "order_total": Decimal("20.00")}, {"order_id": 7, "order_total": Decimal("10.50")}),
    ),
    conf=("conf/markets.yml",),
    inputs=(BRONZE, Step("silver.customers", 1, Excerpt(2), through="silver.orders", note=AGAIN)),
)
CHANGES = (
    Change(7, AT, "r2", "WRITE", (BEFORE,), (DAY,), files=(Brought("late.csv", 4), Brought("other.csv"))),
    Change(3, AT, "r1", "WRITE", (), (BEFORE,), ("conf/markets.yml changed",), (Brought("a.csv"), Brought("b.csv"))),
)
ANSWER = Answer(
    "market = 1",
    Step("gold.daily_sales", 7, Excerpt(1, examples=(DAY,)), inputs=(ORDERS,)),
    History(CHANGES, "what happened before version 3 is not looked at"),
)


def printed(answer: Answer, width: int = 200, table: str = "gold.daily_sales") -> list[str]:
    console = Console(width=width, soft_wrap=True)
    with console.capture() as said:
        explained.explained(console, graph.load()[table], answer)
    return [line.rstrip() for line in said.get().splitlines()]


def test_the_number_stands_first_with_what_its_columns_mean() -> None:
    assert printed(ANSWER)[:5] == [
        "1 row of gold.daily_sales, version 7",
        "market               1  The market's number, see conf/markets.yml",
        "order_date  2022-01-05  The market's local calendar day on which the orders were placed",
        "orders               3  Orders placed, whatever became of them",
        f"revenue          30.50  {MEANING}",
    ]


def test_below_it_stands_what_it_was_made_from_down_to_rows_of_files() -> None:
    lines = printed(ANSWER)
    assert lines[6:23] == [
        "made from",
        "└── 3 rows of silver.orders, version 4",
        "    all with market 1",
        "    order_status  rows  order_total",
        "    COMPLETED        2        30.50",
        "    CANCELLED        1         5.00",
        "    all              3        35.50",
        "    the 2 with the largest order_total, of 3:",
        "    order_id  order_total",
        "           8        20.00",
        "           7        10.50",
        "    ├── 32 rows of bronze.orders, version 4",
        "    │   └── market_1/2022-01-05/Orders.csv: rows 12-40, 77, 90 (31 rows)",
        "    │       market_1/2022-01-06/Orders.csv: row 4 (1 row; the file's version 2 of 3)",
        "    ├── 2 rows of silver.customers, version 1, through silver.orders: the same rows as above",
        "    └── and conf/markets.yml",
        "",
    ]


def test_at_the_end_stands_how_it_changed_and_what_brought_it() -> None:
    lines = printed(ANSWER)
    assert lines[lines.index("How it changed, newest first") + 1 :] == [
        "version 7, 2022-01-07 06:30, run r2",
        "  orders 2 -> 3, revenue 20.50 -> 30.50",
        "  brought by late.csv (4 rows)",
        "version 3, 2022-01-07 06:30, run r1",
        "  came: orders 2, revenue 20.50",
        "  conf/markets.yml changed",
        "  with 2 new files: a.csv, b.csv",
        "what happened before version 3 is not looked at",
    ]


def test_of_a_unit_with_several_rows_each_is_named() -> None:
    one, two = ({"market": 1, "order_id": 7, "line_number": n, "sku": "A", "quantity": n} for n in (1, 2))
    change = replace(CHANGES[0], before=(one, two), after=(one | {"quantity": 5},), files=())
    table = graph.load()["silver.sales"]
    assert [str(line) for line in explained.differences(table, change.before, change.after)] == [
        "market 1, order_id 7, line_number 1 quantity 1 -> 5",
        "market 1, order_id 7, line_number 2 went: sku A, quantity 2",
    ]


def test_a_row_that_is_not_there_says_so_and_where_to_look() -> None:
    gone = replace(ANSWER, step=Step("gold.daily_sales", 7, Excerpt(0)), history=History())
    assert printed(gone) == [
        "No row of gold.daily_sales, version 7, is where market = 1.",
        "`lakehouse rejected gold.daily_sales` shows what was rejected on the way to it.",
    ]


def test_a_row_that_a_dump_removed_names_the_dump_and_a_kept_value_the_file_that_said_it() -> None:
    removed = (Removed({"market": 1, "order_id": 7}, "market_1/2022-01-07/dump.csv"),)
    gone = replace(ANSWER, step=Step("gold.daily_sales", 7, Excerpt(0)), history=History(), removed=removed)
    words = "market 1, order_id 7 was removed: the full dump market_1/2022-01-07/dump.csv does not have it."
    assert printed(gone)[1] == words
    kept = replace(ANSWER, step=replace(ANSWER.step, kept=(Kept("price", "a.csv", 2),)))
    assert "└── price kept from a.csv: 2 rows, whose own file has no such column" in printed(kept)


def test_a_row_of_a_larger_unit_says_that_the_whole_unit_follows() -> None:
    lines = printed(replace(ANSWER, history=History()), table="silver.sales")
    assert "made from, for the whole unit of market, order_id" in lines


def test_what_moved_since_is_one_line() -> None:
    behind = replace(ANSWER, behind=("silver.orders moved 4 -> 5 since gold.daily_sales was made",))
    expected = (
        "Behind: silver.orders moved 4 -> 5 since gold.daily_sales was made. `lakehouse run gold.daily_sales` brings "
        "it up to date."
    )
    assert expected in printed(behind)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_where_there_is_no_room_columns_are_left_out_but_no_number_is_cut(width: int) -> None:
    wide = {f"column_{n}": Decimal(f"{n}000000000.25") for n in range(1, 9)}
    step = replace(ORDERS, rows=Excerpt(1, examples=(wide,)), inputs=())
    lines = printed(replace(ANSWER, step=replace(ANSWER.step, inputs=(step,))), width)
    (numbers,) = [line.split()[-1] for line in lines if "1000000000.25" in line]
    assert all(len(line) <= width for line in lines)
    assert numbers.endswith("000000000.25")


def test_json_has_all_of_it_with_all_digits() -> None:
    answer = json.loads(explained.as_json(ANSWER))
    assert answer["step"]["rows"]["examples"][0]["revenue"] == "30.50"
    assert answer["step"]["inputs"][0]["inputs"][0]["files"][0]["ranges"] == [[12, 40], [77, 77], [90, 90]]
    assert answer["history"]["changes"][0]["at"] == "2022-01-07T06:30:00+00:00"


def test_control_characters_of_a_file_name_never_reach_the_terminal() -> None:
    step = replace(BRONZE, files=(replace(FILES[0], path="a\x1b[2J.csv"),))
    lines = printed(replace(ANSWER, step=replace(ANSWER.step, inputs=(step,)), history=History()))
    assert any("a\\x1b[2J.csv: rows 12-40" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


@pytest.fixture
def lake(tmp_path: Path) -> str:
    write_deltalake(str(tmp_path / "gold" / "daily_sales"), pa.table({"market": [1], "orders": [3]}))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("table", "where", "said"),
    [
        ("gold.daily_sales", "day = 1", "gold.daily_sales has no column day. It has: market, orders."),
        ("gold.daily_sales", "market =", "'market =' is no condition over the columns of gold.daily_sales."),
        ("gold.daily_sales", "market in (select 1)", "is more than a condition over one row of gold.daily_sales"),
        ("gold.customer_metrics", "true", "gold.customer_metrics is not there yet. Build it: `lakehouse run"),
        ("gold.sales", "true", "There is no table gold.sales. There are: "),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_before_spark_starts(
    lake: str, monkeypatch: pytest.MonkeyPatch, table: str, where: str, said: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    result = CliRunner().invoke(cli.app, ["explain", table, "--where", where, "--lake", lake])
    assert isinstance(result.exception, LakehouseError)
    assert said in str(result.exception)
