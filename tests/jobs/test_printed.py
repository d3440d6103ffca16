"""How plan and status look on a small lake: what would be read, and what the last runs did."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from jobs import printed
from jobs.runs import planned, ran
from jobs.serving import kept_out
from lakehouse import engines
from lakehouse.audit.turns import Decision
from lakehouse.contract import Source
from lakehouse.errors import LakehouseError
from lakehouse.runs.run import Run
from lakehouse.serving.questions import sql
from tests.toy import of_monday

if TYPE_CHECKING:
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from tests.toy import Toy

pytestmark = pytest.mark.slow
LINES, ORDERS, TOTALS = "silver.order_lines", "silver.orders", "gold.totals"


@pytest.fixture
def toy(tmp_path: Path, engine: Engine) -> Toy:
    return of_monday(tmp_path, engine)


ODD = "\x1b[31m\x9b2J\x07\x00\r\u202eend"


def test_no_control_character_reaches_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever prints: text, markup, a grid, csv and json; a terminal's own colours are the console's."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    printed.answers().print(f"[bold]lake[/] {ODD}")
    printed.grid([ODD], [(ODD,), ("a\nb",)], printed.Terminal(stderr=True))
    printed.csv_rows([ODD], [(ODD,), (None,), ("ü",)])
    printed.json_array([json.dumps(ODD, ensure_ascii=False)])
    print(printed.json_text(json.dumps({"a": ODD}, ensure_ascii=False)))  # noqa: T201
    printed.error(printed.Terminal(stderr=True), ODD)
    shown = re.sub(r"\x1b\[[01]m", "", "".join(capsys.readouterr()))  # bold, as we ask for it
    assert shown.count("end") == 8
    assert not {letter for letter in shown if not letter.isprintable()} - {"\n"}
    assert json.loads(printed.json_text(json.dumps(ODD, ensure_ascii=False))) == ODD


def test_a_text_in_csv_is_no_formula_and_a_number_stays_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    answer = sql.query(
        engines.reader(), str(tmp_path), "select '=1+1' as `=a`, '-5' as b, -5 as c, -1e-9D as d, date'2022-01-05' as e"
    )
    printed.csv_rows(answer.columns, answer.cells())
    assert capsys.readouterr().out == "'=a,b,c,d,e\n'=1+1,-5,-5,-1e-9,2022-01-05\n"


def said(toy: Toy, command: str) -> dict[str, list[str]]:
    """By its first word, each line's other words."""
    text, tables = StringIO(), toy.tables()
    one = Run(toy.lake.root, str(toy.landing), tables)
    console = Console(file=text, width=300)
    if command == "plan":
        planned.plan(console, one, tables, "native")
    else:
        planned.status(console, one, "native")
    return {line.split()[0]: line.split()[1:] for line in text.getvalue().splitlines() if line.strip()}


def test_facts_that_hold_for_past_days_too_are_said_once() -> None:
    facts = tuple(f"conf/markets.yml, market {one}: point_value 1.00 -> 2.00" for one in range(printed.NAMED + 1))
    console = Console(file=StringIO(), record=True, width=300)
    ran.revalued(console, [Decision(name, "whole", "", revalues=facts) for name in (LINES, ORDERS)])
    assert console.export_text().splitlines() == [
        *(f"  changed {one}, for past days too" for one in facts[:-1]),
        "  and 1 more facts in conf",
        "  of markets, a row of its own with valid_from keeps what was: see conf/markets.yml",
    ]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["sales/{date}/*.json"], "under a name like sales/20"),
        ([], "say in its contract where corrections lie, as `files: [corrections/**/{date}/*.json]`, and put the file"),
    ],
)
def test_where_corrections_go_is_said_also_of_what_is_only_fetched(
    tables: dict[str, Table], capsys: pytest.CaptureFixture[str], files: list[str], words: str
) -> None:
    api = {"base_url": "SALES_API_URL", "paging": {"by": "link"}}
    source = Source.model_validate({"files": files, "format": "json", "api": api})
    kept_out.exported(Console(width=500), tables["silver.orders"], source, {Path("a.json"): 1})
    said = capsys.readouterr().out
    assert words in said
    assert "Wrote 1 row to a.json." in said
    assert "/corrected.json" in said or not files


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
