"""What is checked of a computed table before it is written, from literal rows; what stops leaves the lake as it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pyspark.sql import functions as F

from lakehouse.contract import Contract
from lakehouse.delta.tables.progress import Progress
from lakehouse.graph import Table
from lakehouse.writes import checks, refresh
from lakehouse.writes.checks import OF_THE_CORE
from lakehouse.writes.lake import Lake, Writer
from lakehouse.writes.measures import ChecksFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame

    from lakehouse.engines.native.engine import Native
    from lakehouse.writes.measures import Measure

pytestmark = pytest.mark.slow
CONTRACT = """
owner: tests
description: orders
write: refresh
grain: [market, order_id]
unit: [market, order_id]
columns:
  market: {type: int, meaning: of the folder}
  order_id: {type: bigint, meaning: the order}
  customer_id: {type: bigint, meaning: who ordered}
  total: {type: "decimal(18,2)", meaning: what it costs}
"""
SCHEMA = "market int, order_id bigint, customer_id bigint, total string"
Rows = list[tuple[int | None, int | None, int | None, str | None]]
RIGHT: Rows = [(1, 7, 42, "10.00"), (1, 8, 43, "5.00"), (2, 7, 42, "3.00")]


@dataclass
class Orders:
    """silver.orders, made from the rows that a test gives as its lines; `customers` are those that are known."""

    root: str
    engine: Native
    customers: list[tuple[int, int]] = field(default_factory=lambda: [(1, 42), (1, 43), (2, 42)])
    orders: Rows = field(default_factory=lambda: list(RIGHT))

    @property
    def lake(self) -> Lake:
        return Lake(self.root)

    def inputs(self, lines: Rows) -> dict[str, DataFrame]:
        customers = self.engine.spark.createDataFrame(self.customers, "market int, customer_id bigint")
        return {
            "silver.lines": self._frame(lines),
            "silver.customers": customers,
            "silver.old": self._frame(self.orders),
        }

    def _frame(self, rows: Rows) -> DataFrame:
        return self.engine.spark.createDataFrame(rows, SCHEMA).withColumn("total", F.col("total").cast("decimal(18,2)"))

    def table(self, more: str) -> Table:
        module = ModuleType("orders")
        vars(module)["build"] = lambda silver_lines, *_: silver_lines
        contract = Contract.model_validate(yaml.safe_load(CONTRACT + more))
        return Table("silver.orders", contract, module, ("silver.lines", "silver.customers", "silver.old"), "f")

    def rebuild(self, lines: Rows, more: str = "") -> tuple[int, dict[str, Measure]]:
        table, state = self.table(more), self.lake.state("silver.orders")
        note = Progress(table.name, "run", "f", state.version if state else -1, {})
        before = state.progress if state else None
        outcome = refresh.rebuild(Writer(self.lake, self.engine, table, note, before), self.inputs(lines), 0)
        return outcome.rows, {one.name: one for one in outcome.measures}

    def measured(self, lines: Rows, more: str) -> Measure:
        """The only check or rule that a test's contract has beside the grain."""
        _, measures = self.rebuild(lines, more)
        (one,) = (measure for name, measure in measures.items() if name not in OF_THE_CORE)
        return one

    def stored(self) -> int:
        state = self.lake.state("silver.orders")
        return self.lake.read(self.engine, "silver.orders", state.version).count() if state else 0


@pytest.fixture
def orders(tmp_path: Path, engine: Native) -> Orders:
    return Orders(str(tmp_path / "lake"), engine)


def a_rule(check: str, severity: str) -> str:
    return f"rules: {{the_rule: {{check: {check}, severity: {severity}, why: a test says so}}}}"


def a_check(severity: str = "warn", **parts: str) -> str:
    told = ", ".join(f'"{name}": {text}' for name, text in parts.items())
    return f"checks: {{the_check: {{{told}, severity: {severity}, why: a test says so}}}}"


# Rules and keys ------------------------------------------------------------------------------------------------------


def test_what_a_warning_counts_is_written_all_the_same(orders: Orders) -> None:
    rows, measures = orders.rebuild([*RIGHT, (2, 8, 42, None)], a_rule("total >= 5", "warn"))
    one = measures["the_rule"]
    assert (one.table_name, one.measure, one.severity, one.checked, one.broken) == (
        "silver.orders",
        "rule",
        "warn",
        4,
        1,
    )
    assert (rows, orders.stored()) == (4, 4)


def test_a_rule_that_stops_says_what_why_and_which_row_and_leaves_the_table_as_it_was(orders: Orders) -> None:
    orders.rebuild(RIGHT[:1])
    with pytest.raises(ChecksFailedError) as error:
        orders.rebuild([(1, 9, 42, "-2.00"), (1, 7, 42, "-1.00"), *RIGHT[1:]], a_rule("total >= 0", "stop"))
    assert str(error.value) == (
        "silver.orders was not written, because this must hold and does not:\n"
        "  the_rule: 2 of 4 rows, e.g. market 1, order_id 7. Why: a test says so.\n"
        "It stays as it was. Correct silver/orders.py or what it reads, or change the severity in "
        "conf/silver/orders.yml."
    )
    broken = {one.name: one.broken for one in error.value.measures}
    assert broken == {"the_rule": 2, "grain_is_unique": 0, "unit_is_known": 0}
    state = orders.lake.state("silver.orders")
    assert state is not None
    assert (state.version, orders.stored()) == (0, 1)


def test_a_rule_that_stops_keeps_a_new_table_from_being_made(orders: Orders) -> None:
    with pytest.raises(ChecksFailedError, match=r"the_rule: 1 of 3 rows"):
        orders.rebuild(RIGHT, a_rule("total > 3", "stop"))
    assert orders.lake.state("silver.orders") is None


@pytest.mark.parametrize("key", [(1, 7), (1, None)])
def test_a_row_that_is_there_twice_by_its_grain_always_stops(orders: Orders, key: tuple[int, int | None]) -> None:
    name = f"market 1, order_id {key[1]}"
    with pytest.raises(ChecksFailedError, match=rf"grain_is_unique: 2 of 4 rows, e\.g\. {name}\. Why: each row"):
        orders.rebuild([(2, 8, 42, "1.00"), *((*key, customer, "1.00") for customer in (1, 2, 3))])
    assert orders.lake.state("silver.orders") is None


def test_unique_counts_the_rows_beyond_the_first_of_each_key_and_no_key_with_a_null(orders: Orders) -> None:
    lines: Rows = [(1, 1, 42, "1.00"), (1, 2, 42, "1.00"), (1, 3, 42, "1.00"), (2, 4, 42, "1.00")]
    one = orders.measured([*lines, (1, 5, None, "1.00"), (1, 6, None, "1.00")], a_check(unique="[market, customer_id]"))
    assert (one.measure, one.checked, one.broken) == ("check", 4, 2)


def test_a_unique_key_that_stops_shows_the_first_that_is_repeated(orders: Orders) -> None:
    lines: Rows = [(1, 5, None, "1.00"), (1, 6, None, "1.00"), *((1, order, 42, "1.00") for order in (7, 8))]
    with pytest.raises(
        ChecksFailedError, match=r"the_check: 1 of 2 rows, e\.g\. customer_id 42\. Why: a test says so\."
    ):
        orders.rebuild(lines, a_check("stop", unique="[customer_id]"))


def test_a_row_without_a_unit_always_stops_since_nothing_could_replace_it(orders: Orders) -> None:
    words = r"unit_is_known: 1 of 4 rows, e\.g\. market 1, order_id None\. Why: rows are replaced by their unit"
    with pytest.raises(ChecksFailedError, match=words):
        orders.rebuild([*RIGHT, (1, None, 42, "1.00")])
    assert orders.lake.state("silver.orders") is None


# References ----------------------------------------------------------------------------------------------------------


def test_orphans_are_counted_and_kept_and_who_names_nobody_is_none(orders: Orders) -> None:
    lines: Rows = [*RIGHT, (2, 8, 44, "1.00"), (2, 9, 43, "1.00"), (1, 9, None, "1.00")]
    one = orders.measured(lines, a_check(references="silver.customers", key="[market, customer_id]"))
    assert (one.checked, one.broken) == (5, 2)
    assert one.note == "market 2, customer_id 43 is not in silver.customers"
    assert orders.stored() == 6


def test_an_input_that_has_a_key_twice_changes_no_count(orders: Orders) -> None:
    orders.customers *= 2
    one = orders.measured(RIGHT, a_check("stop", references="silver.customers", key="[market, customer_id]"))
    assert (one.checked, one.broken, one.note) == (3, 0, "")


def test_orphans_stop_where_the_contract_says_so(orders: Orders) -> None:
    orders.customers = [(1, 42)]
    with pytest.raises(
        ChecksFailedError, match=r"the_check: 2 of 3 rows, e\.g\. market 1, customer_id 43 is not in silv"
    ):
        orders.rebuild(RIGHT, a_check("stop", references="silver.customers", key="[market, customer_id]"))


# Sums that agree -----------------------------------------------------------------------------------------------------

SUM = {"agrees_with": "silver.old", "this": "sum(total)", "that": "sum(total)"}


def test_sums_that_agree_in_each_group_break_nothing(orders: Orders) -> None:
    one = orders.measured(list(reversed(RIGHT)), a_check("stop", by="[market]", **SUM))
    assert (one.measure, one.checked, one.broken, one.note) == ("check", 2, 0, "")


def test_the_first_group_that_differs_is_named_with_both_values(orders: Orders) -> None:
    orders.orders = [(1, 7, 42, "10.00"), (2, 7, 42, "3.01"), (3, 1, 1, "1.00")]
    one = orders.measured(RIGHT, a_check(by="[market]", **SUM))
    assert (one.checked, one.broken) == (3, 3)
    assert one.note == "market 1: 15.00 here, 10.00 in silver.old"


@pytest.mark.parametrize(
    ("here", "there", "note"),
    [
        (3, 2, "market 2: 3.00 here, nothing in silver.old"),
        (2, 3, "market 2: nothing here, 3.00 in silver.old"),
    ],
)
def test_a_group_that_one_side_lacks_differs(orders: Orders, here: int, there: int, note: str) -> None:
    orders.orders = RIGHT[:there]
    one = orders.measured(RIGHT[:here], a_check(by="[market]", **SUM))
    assert (one.checked, one.broken, one.note) == (2, 1, note)


def test_a_group_without_a_name_is_compared_like_any_other(orders: Orders) -> None:
    orders.orders = [(1, 7, None, "10.00")]
    assert orders.measured([(1, 8, None, "10.00")], a_check(by="[customer_id]", **SUM)).broken == 0
    orders.orders = [(1, 7, None, "11.00")]
    one = orders.measured([(1, 8, None, "10.00")], a_check(by="[customer_id]", **SUM))
    assert (one.broken, one.note) == (1, "customer_id None: 10.00 here, 11.00 in silver.old")


def test_without_groups_the_whole_tables_are_compared(orders: Orders) -> None:
    orders.orders = RIGHT[:2]
    with pytest.raises(
        ChecksFailedError, match=r"1 of 1 groups, e\.g\. 18\.00 here, 15\.00 in silver\.old\. Why: a test"
    ):
        orders.rebuild(RIGHT, a_check("stop", **SUM))
    assert orders.lake.state("silver.orders") is None


def test_nothing_agrees_with_nothing(orders: Orders) -> None:
    orders.orders = []
    one = orders.measured([], a_check("stop", by="[market]", **SUM))
    assert (one.checked, one.broken) == (0, 0)


# Together ------------------------------------------------------------------------------------------------------------

EVERYTHING = """
rules:
  total_is_not_negative: {check: total >= 0, severity: stop, why: a test}
  total_is_small: {check: total < 10, severity: warn, why: a test}
checks:
  total_stands_once: {unique: [total], severity: warn, why: a test}
  customer_is_known: {references: silver.customers, key: [market, customer_id], severity: warn, why: a test}
  totals_agree: {agrees_with: silver.old, by: [market], this: sum(total), that: sum(total), severity: stop, why: a test}
  counts_agree: {agrees_with: silver.old, by: [market], this: count(*), that: count(*), severity: warn, why: a test}
  orders_agree: {agrees_with: silver.old, this: min(order_id), that: min(order_id), severity: warn, why: a test}
"""


def test_all_that_is_wrong_is_one_error(orders: Orders) -> None:
    with pytest.raises(ChecksFailedError) as error:
        orders.rebuild([*RIGHT, (2, 8, 9, "-1.00")], EVERYTHING)
    assert [line.split(":")[0].strip() for line in str(error.value).splitlines()[1:-1]] == [
        "total_is_not_negative",
        "totals_agree",
    ]
    assert {one.name: (one.checked, one.broken) for one in error.value.measures} == {
        "total_is_not_negative": (4, 1),
        "total_is_small": (4, 1),
        "grain_is_unique": (4, 0),
        "unit_is_known": (4, 0),
        "total_stands_once": (4, 0),
        "customer_is_known": (4, 1),
        "totals_agree": (2, 1),
        "counts_agree": (2, 1),
        "orders_agree": (1, 0),
    }


@pytest.mark.parametrize("more", [EVERYTHING, a_rule("total >= 0", "stop")])
def test_all_checks_together_are_one_query(orders: Orders, monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    """Each builds, checks or compares all of the table."""
    asked, inputs = list[object](), orders.inputs(RIGHT)
    client = orders.engine.spark.client
    to_table = client.to_table

    def ask(*arguments: Any) -> object:  # noqa: ANN401
        asked.append(arguments)
        return to_table(*arguments)

    monkeypatch.setattr(client, "to_table", ask)
    checks.check(orders.engine, orders.table(more), inputs["silver.lines"], inputs)
    assert len(asked) == 1
