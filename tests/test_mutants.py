"""What must not be taken out of the core: each part has a test that sees it go, and that is proved by taking it out.

`-m long` runs each test on a copy of the project in which the one line it guards is another.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from lakehouse.ops import query
from tests import world
from tests.histories import History
from tests.toy import Toy
from tests.world import CUSTOMERS, ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

HOME = Path(__file__).parents[1]
CUSTOMER_ORDERS, SALES, DAYS, LINES = (
    "silver.customer_orders",
    "silver.sales",
    "gold.daily_sales",
    "silver.order_lines",
)


# What each part is for ------------------------------------------------------------------------------------------------


@pytest.fixture
def history(tmp_path: Path, spark: SparkSession) -> History:
    """Ada, a shop, ordered 2 A and 3 B on the 5th."""
    lake = History(Toy(tmp_path, spark), Random(0))  # noqa: S311
    lake.deliver(CUSTOMERS, [("1", "shop", "Ada")], market=1)
    lake.deliver(ORDERS, [an_order("7", "2"), an_order("8", "3")], market=1)
    return lake


def an_order(order_id: str, quantity: str, *, customer: str = "1", on: str = "2024-01-05") -> tuple[str, ...]:
    return order_id, "A", quantity, "1.00", customer, f"{on}T12:00:00Z"


def rows(history: History, name: str, columns: str) -> list[tuple[object, ...]]:
    history.run(name)
    return sorted(tuple(row.values()) for row in query(history.address(name), f"select {columns} from t"))


def deliver(history: History, *orders: tuple[str, ...], day: int = 11) -> None:
    history.deliver(ORDERS, list(orders), market=1, day=day)


@pytest.mark.slow
def test_an_order_that_changes_hands_leaves_the_customer_it_had(history: History) -> None:
    assert rows(history, CUSTOMER_ORDERS, "customer_id, order_id, number") == [(1, 7, 1), (1, 8, 2)]
    deliver(history, an_order("7", "2", customer="2"))
    assert rows(history, CUSTOMER_ORDERS, "customer_id, order_id, number") == [(1, 8, 1), (2, 7, 1)]


@pytest.mark.slow
def test_a_customers_change_reaches_the_sales_that_know_it_through_orders_alone(history: History) -> None:
    assert rows(history, SALES, "order_id, segment") == [(7, "shop"), (8, "shop")]
    history.deliver(CUSTOMERS, [("1", "kiosk", "Ada")], market=1, day=11)
    assert rows(history, SALES, "order_id, segment") == [(7, "kiosk"), (8, "kiosk")]


@pytest.mark.slow
def test_a_day_from_which_all_orders_moved_away_vanishes(history: History) -> None:
    assert rows(history, DAYS, "order_date, orders, units") == [(date(2024, 1, 5), 2, 5)]
    deliver(history, an_order("7", "2", on="2024-01-06"), an_order("8", "3", on="2024-01-06"))
    assert rows(history, DAYS, "order_date, orders, units") == [(date(2024, 1, 6), 2, 5)]


@pytest.mark.slow
def test_a_late_older_delivery_of_an_order_changes_nothing(history: History) -> None:
    assert rows(history, LINES, "order_id, quantity") == [(7, 2), (8, 3)]
    deliver(history, an_order("7", "5"), an_order("9", "1"), day=9)
    assert rows(history, LINES, "order_id, quantity") == [(7, 2), (8, 3), (9, 1)]


@pytest.mark.slow
def test_of_two_files_of_the_same_day_and_second_the_one_behind_by_its_path_is_the_newer(history: History) -> None:
    at = history.tick()
    for name, quantity in (("b", "4"), ("a", "5")):
        path = f"market_1/2024-01-11/orders_{name}.csv"
        history.put(world.File(ORDERS, path, at, world.HEADERS[ORDERS], (an_order("7", quantity),)))
    assert rows(history, LINES, "order_id, quantity") == [(7, 4), (8, 3)]


# Without it -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """`old` stands once in `file`; with `new` in its place the `test` of this file must fail."""

    file: str
    old: str
    new: str
    test: str


MUTANTS = {
    "the rows before a change": Mutant(
        "lakehouse/lake.py",
        "return feed.load(self.spark_address(name))",
        "return feed.load(self.spark_address(name)).where(\"_change_type not in ('delete', 'update_preimage')\")",
        "test_an_order_that_changes_hands_leaves_the_customer_it_had",
    ),
    "the way through another input": Mutant(
        "lakehouse/units.py",
        "return _units_of(table, reach.through, leading, inputs)",
        'return _units_of(table, reach.through, leading.where("false"), inputs)',
        "test_a_customers_change_reaches_the_sales_that_know_it_through_orders_alone",
    ),
    "the delete of vanished units": Mutant(
        "lakehouse/refresh.py",
        "of_gone if gone else None",
        "None",
        "test_a_day_from_which_all_orders_moved_away_vanishes",
    ),
    "the look for late deliveries": Mutant(
        "lakehouse/plan.py",
        'if one.sequence <= newest.get(market, "")',
        "if False",
        "test_a_late_older_delivery_of_an_order_changes_nothing",
    ),
    "the tie-break": Mutant(
        "lakehouse/ledger.py",
        " {self.path} {self.content[:12]}",
        "",
        "test_of_two_files_of_the_same_day_and_second_the_one_behind_by_its_path_is_the_newer",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it stands."""
    folder = tmp_path_factory.mktemp("copy")
    for part in ("bronze", "silver", "gold", "conf", "jobs", "lakehouse", "tests"):
        shutil.copytree(HOME / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "corpus", "bench"))
    shutil.copy(HOME / "pyproject.toml", folder)
    return folder


def run_tests(copy: Path, *names: str) -> subprocess.CompletedProcess[str]:
    tests = [f"tests/test_mutants.py::{name}" for name in names]
    return subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def mutated(copy: Path, request: pytest.FixtureRequest) -> Iterator[Mutant]:
    mutant = MUTANTS[request.param]
    path = copy / mutant.file
    text = path.read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    yield mutant
    path.write_text(text, encoding="utf-8")


@pytest.mark.long
def test_nothing_taken_out_all_of_them_pass(copy: Path) -> None:
    answer = run_tests(copy, *(mutant.test for mutant in MUTANTS.values()))
    assert f"{len(MUTANTS)} passed" in answer.stdout, answer.stdout


@pytest.mark.long
@pytest.mark.parametrize("mutated", MUTANTS, indirect=True)
def test_what_is_taken_out_turns_its_test_red(mutated: Mutant, copy: Path) -> None:
    answer = run_tests(copy, mutated.test)
    assert "E       AssertionError" in answer.stdout or "E       assert" in answer.stdout, answer.stdout
    assert answer.returncode == 1
