"""What programs read of the work: a line for each event, of the run that it belongs to, without a value of any row."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from jobs import options
from lakehouse import conf, graph, logs
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from tests.toy import SOURCES, Toy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
CANARY = "c4nary-of-a-row"
RULES = """position: line_number
        rules:
          price_is_small: {check: price < 100, severity: warn, why: a test}
          quantity_is_positive: {check: quantity > 0, severity: reject, why: a test}
"""
STOPS = """    columns:
          market: {type: int, meaning: of the folder}
          product: {type: string, meaning: what}
          units: {type: bigint, meaning: how many}
        rules:
          units_are_few: {check: units < 100, severity: stop, why: a test, says: "concat('the product ', product)"}
"""
BY_PRODUCT = """
        from pyspark.sql import functions as F

        def build(silver_order_lines):
            products = F.max(AGGREGATED).alias("product")
            return silver_order_lines.groupBy("market").agg(products, F.sum("quantity").alias("units"))
        """


def with_rules(aggregated: str = '"product"') -> dict[str, tuple[str, str]]:
    """Lines are rejected and warned of, and a total has a text of its rows, by which a stop names it."""
    lines, code = SOURCES["silver.order_lines"]
    totals = SOURCES["gold.totals"][0]
    promised = totals[: totals.index("    columns:")] + STOPS
    return {
        "bronze.orders": SOURCES["bronze.orders"],
        "silver.order_lines": (lines.replace("position: line_number\n", RULES), code),
        "gold.totals": (promised, BY_PRODUCT.replace("AGGREGATED", aggregated)),
    }


@pytest.fixture
def toy(engine: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    toy = Toy(tmp_path / "toy", engine, with_rules())
    monkeypatch.setattr(graph, "load", toy.tables)
    monkeypatch.setattr(conf, "HOME", tmp_path)
    (tmp_path / "conf").mkdir()
    monkeypatch.setenv("LAKEHOUSE_ROOT", toy.lake.root)
    monkeypatch.setenv("LAKEHOUSE_LANDING", str(toy.landing))
    yield toy
    monkeypatch.delenv("LAKEHOUSE_LOG", raising=False)
    logs.start()
    options.messages.quiet = False


def events(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


def test_each_line_is_json_and_of_one_run(toy: Toy, command: Callable[..., tuple[int, str]]) -> None:
    toy.deliver("monday.csv", "7,A,2,10.00", "8,B,0,5.00", "9,C,1,200.00")
    code, said = command("--log-format", "json", "run")
    lines = events(said)
    assert code == 0
    assert [(one["event"], one.get("table")) for one in lines] == [
        ("run started", None),
        ("table written", "bronze.orders"),
        ("table written", "silver.order_lines"),
        ("table written", "gold.totals"),
        ("run ended", None),
        ("release published", None),
    ]
    (of_lines,) = (one for one in lines if one.get("table") == "silver.order_lines")
    assert (of_lines["rows"]["rejected"], of_lines["rejected"]) == (1, {"quantity_is_positive": 1})
    assert of_lines["warned"] == {"price_is_small": 1}
    runs = ops.query(progress.address(toy.lake.root, "ops.runs"), "select distinct run from t")
    assert {one["run"] for one in lines} == {row["run"] for row in runs}
    assert all(one["at"].endswith("+00:00") and one["logger"] == "lakehouse.events" for one in lines)


@pytest.mark.parametrize("form", [logs.JSON, logs.TEXT])
def test_no_value_of_a_row_is_in_a_log(
    toy: Toy, command: Callable[..., tuple[int, str]], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rows that are kept, warned of and rejected, that stop a table, and at which the engine itself breaks."""
    monkeypatch.setenv("LAKEHOUSE_LOG", "debug")
    toy.deliver("monday.csv", f"7,{CANARY},2,10.00", f"8,{CANARY},0,5.00", f"9,{CANARY},{CANARY},200.00")
    ends = [command("--log-format", form, "run")]
    toy.deliver("tuesday.csv", f"7,{CANARY},2000,10.00")
    ends.append(command("--log-format", form, "run"))
    toy.sources = with_rules('F.expr("cast(raise_error(product) as string)")')
    toy.deliver("wednesday.csv", f"7,{CANARY},2,10.00")
    ends.append(command("--log-format", form, "run"))
    assert [code for code, _ in ends] == [0, 1, 1]
    logged = [
        line for _, said in ends for line in said.splitlines() if form == logs.JSON or " lakehouse.events " in line
    ]
    assert [line for line in logged if CANARY in line] == []
    failures = [line for line in logged if "table failed" in line]
    assert ["units_are_few: 1 of 1 rows, e.g. ...." in line for line in failures] == [True, False]
    assert "The engine says: ... If that is about a column" in failures[1]
    if form == logs.TEXT:  # beside the words for people
        assert f"the product {CANARY}" in ends[1][1]


def test_what_others_say_is_told_by_its_place(capfd: pytest.CaptureFixture[str]) -> None:
    try:
        logs.start(logs.JSON)
        logging.getLogger("botocore.hooks").warning("the row %s", CANARY)
        logging.getLogger("jobs.x").warning("ours %d", 7, exc_info=(ValueError, ValueError(CANARY), None))
    finally:
        logs.start()
    logs.event("failed", logging.ERROR)  # nobody asked for a log
    first, second = events(capfd.readouterr().err)
    assert first["event"].startswith("test_logs.test_what_others_say_is_told_by_its_place:")
    assert (second["event"], second["kind"]) == ("ours 7", "ValueError")


def test_a_log_has_a_form_and_a_level_that_there_are(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LakehouseError, match="Logs are written as json or text, not as 'xml'"):
        logs.start("xml")
    monkeypatch.setenv("LAKEHOUSE_LOG", "loud")
    with pytest.raises(LakehouseError, match=r"LAKEHOUSE_LOG is 'loud'\. Set it to debug, info, warning or error\."):
        logs.start("json")
    monkeypatch.setenv("LAKEHOUSE_LOG", "DEBUG")
    try:
        logs.start()
        logs.event("heard", logging.DEBUG, table="x")
    finally:
        monkeypatch.delenv("LAKEHOUSE_LOG")
        logs.start()
    assert "debug lakehouse.events heard" in capfd.readouterr().err
