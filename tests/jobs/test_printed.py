"""How plan and status look on a small lake: what would be read, and what the last runs did."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from jobs import printed
from lakehouse.errors import LakehouseError
from lakehouse.runs.run import Run
from tests.toy import of_monday

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.protocol import Engine
    from tests.toy import Toy

pytestmark = pytest.mark.slow
LINES, ORDERS, TOTALS = "silver.order_lines", "silver.orders", "gold.totals"


@pytest.fixture
def toy(tmp_path: Path, engine: Engine) -> Toy:
    return of_monday(tmp_path, engine)


def said(toy: Toy, command: str) -> dict[str, list[str]]:
    """By its first word, each line's other words."""
    text, tables = StringIO(), toy.tables()
    one = Run(toy.lake.root, str(toy.landing), tables)
    console = Console(file=text, width=300)
    if command == "plan":
        printed.plan(console, one, tables, "native")
    else:
        printed.status(console, one, "native")
    return {line.split()[0]: line.split()[1:] for line in text.getvalue().splitlines() if line.strip()}


def test_plan_counts_the_units_and_rows_that_a_turn_would_read(toy: Toy) -> None:
    toy.deliver("tuesday.csv", "8,B,5,5.00", "9,C,1,1.00", "9,D,1,1.00")
    toy.run(LINES)
    plan = said(toy, "plan")
    assert plan["bronze.orders"] == ["nothing", "no", "new", "files"]
    assert plan[ORDERS] == ["incremental", LINES, "moved", "0", "->", "1", "2", "3"]
    assert plan[TOTALS] == ["follow", ORDERS, "will", "be", "written", "first"]


def test_plan_of_a_whole_table_counts_all_rows_of_its_inputs(toy: Toy) -> None:
    contract, code = toy.sources[ORDERS]
    toy.sources[ORDERS] = (contract, code.replace('"quantity"', '"line_number"'))
    assert said(toy, "plan")[ORDERS] == ["whole", "its", "definition", "changed", "all", "3"]


def test_plan_says_that_inputs_which_are_written_first_come_on_top(toy: Toy) -> None:
    toy.deliver("tuesday.csv", "8,B,5,5.00")
    toy.run(LINES)
    toy.deliver("wednesday.csv", "9,C,1,1.00")
    assert said(toy, "plan")[ORDERS][-2:] == ["1+", "1+"]


def test_status_shows_the_last_turn_of_each_table(toy: Toy) -> None:
    toy.deliver("tuesday.csv", "8,B,5,5.00")
    toy.run()
    status = said(toy, "status")
    assert [status[name][-5] for name in (LINES, ORDERS, TOTALS)] == ["new", "incremental", "whole"]
    assert status[LINES][-2:] == ["by", "native"]


def test_status_shows_why_a_table_failed(toy: Toy) -> None:
    contract, code = toy.sources[ORDERS]
    toy.sources[ORDERS] = (contract, code.replace('"quantity"', '"kwantity"'))
    with pytest.raises(LakehouseError):
        toy.run()
    line = said(toy, "status")[ORDERS]
    assert line[:4] == ["failed", "in", "its", "last"]
    assert " ".join(line).startswith("failed in its last run: silver.orders could not be written. The engine says:")
