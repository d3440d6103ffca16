"""What differs between two releases of a small lake, and why its numbers moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse.causes import diff, explain
from lakehouse.delta.tables import log
from lakehouse.recovery import releases, rewind
from tests.toy import Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.causes.diff import Difference
    from lakehouse.causes.explain import File, Step
    from lakehouse.engines.native.engine import Native
    from lakehouse.recovery.releases import Release

pytestmark = pytest.mark.slow
LINES, ORDERS, TOTALS, OF_ORDERS = "silver.order_lines", "silver.orders", "gold.totals", "gold.orders"
READABLE, FEWER = "quantity_is_readable", "market_1/2024-01-05/fewer.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Toy:
    toy = Toy(tmp_path_factory.mktemp("made"), engine)
    toy.deliver("orders.csv", "7,A,2,10.00", "8,B,1,5.00", day=3)
    released(toy)
    return toy


@pytest.fixture
def toy(made: Toy, tmp_path: Path) -> Toy:
    return made.copied(tmp_path / "toy")


def released(toy: Toy) -> Release:
    toy.run()
    made = releases.publish(toy.lake.root, toy.tables())
    assert made
    return made


def differences(toy: Toy, old: int, new: int) -> list[Difference]:
    return diff.diff(toy.lake.root, toy.tables(), *(releases.release(toy.lake.root, one) for one in (old, new)))


def files_of(step: Step) -> list[File]:
    return [*step.files, *(file for one in step.inputs for file in files_of(one))]


def counts(found: list[Difference]) -> dict[str, tuple[int | None, int | None, int | None]]:
    return {one.table: (one.added, one.changed, one.removed) for one in found}


def test_what_was_taken_back_and_came_again_is_no_difference(toy: Toy) -> None:
    toy.deliver("orders.csv", "9,C,1,1.00", day=4)
    last = released(toy)
    root, tables = toy.lake.root, toy.tables()
    point = releases.release(root, 1).point
    rewind.go(root, rewind.look(root, str(toy.landing), tables, "release 1", point))
    again = released(toy)
    assert counts(differences(toy, 1, again.number))["bronze.orders"] == (1, 0, 0)
    assert counts(differences(toy, last.number, again.number)) == {}


def test_rows_are_counted_by_the_grain_and_what_came_and_went_again_is_not(toy: Toy) -> None:
    toy.deliver("orders.csv", "8,B,3,5.00", "9,C,1,1.00", day=4)
    toy.run()
    toy.deliver("orders.csv", "8,B,2,5.00", "9,C,1,1.00", day=5)
    released(toy)
    assert counts(differences(toy, 1, 2)) == {
        "bronze.orders": (4, 0, 0),
        LINES: (1, 1, 0),
        ORDERS: (1, 1, 0),
        TOTALS: (0, 1, 0),
    }
    assert differences(toy, 2, 2) == []


def causes(toy: Toy) -> tuple[str, ...]:
    (number,) = diff.numbers(differences(toy, 1, 2))
    assert (number.table, number.column, number.key) == (TOTALS, "units", {"market": 1})
    return number.causes


def test_a_number_moved_because_of_new_late_and_corrected_files(toy: Toy) -> None:
    toy.deliver("orders.csv", "9,C,5,1.00", day=4)
    toy.deliver("late orders.csv", "10,D,5,1.00", day=2)
    toy.deliver("orders.csv", "7,A,9,10.00", "8,B,1,5.00", day=3)
    toy.deliver("orders.csv", "7,A,9,10.00", day=4, market=2)
    released(toy)
    path = "market_1/2024-01-0"
    assert causes(toy) == (
        f"corrected: {path}3/orders.csv",
        f"late: {path}2/late orders.csv",
        f"new: {path}4/orders.csv",
    )


def test_a_number_moved_because_a_definition_changed(toy: Toy) -> None:
    contract, code = toy.sources[ORDERS]
    toy.sources[ORDERS] = (contract, code.replace('F.sum("quantity")', 'F.sum(F.col("quantity") + 1)'))
    released(toy)
    assert causes(toy) == (f"definition changed: the definition of {ORDERS} changed",)
    (number,) = diff.numbers(differences(toy, 1, 2))
    assert (number.before, number.after, number.share) == (3, 5, 0.4)


def test_rows_that_came_into_a_quarantine_and_left_it_are_counted_by_rule(toy: Toy) -> None:
    toy.deliver("wrong.csv", "9,C,two,1.00", "10,C,two,1.00", "11,C,two,1.00", day=4)
    released(toy)
    toy.deliver("right.csv", "9,C,2,1.00", "10,C,,one", "12,C,x,1.00", day=5)
    released(toy)
    first, second = ({one.table: one for one in differences(toy, old, old + 1)} for old in (1, 2))
    of_all, again = first[f"{LINES}__rejected"], second[f"{LINES}__rejected"]
    assert ((of_all.added, of_all.changed, of_all.removed), of_all.rules) == ((3, 0, 0), {READABLE: (3, 0)})
    assert (again.added, again.changed, again.removed) == (2, 0, 2)
    assert again.rules == {READABLE: (1, 2), "price_is_readable": (1, 0), "quantity_is_present": (1, 0)}


def test_a_row_of_a_quarantine_that_breaks_one_more_rule_is_changed(toy: Toy) -> None:
    toy.deliver("wrong.csv", "9,C,two,1.00", day=4)
    released(toy)
    contract, code = toy.sources[LINES]
    rule = "rules: {no_c: {check: \"product <> 'C'\", severity: reject, why: a test}}\n"
    toy.sources[LINES] = (f"{contract.rstrip()}\n        {rule}", code)
    released(toy)
    (found,) = differences(toy, 2, 3)
    assert (found.table, found.added, found.changed, found.removed) == (f"{LINES}__rejected", 0, 1, 0)
    assert found.rules == {"no_c": (1, 0)}


# Causes by the rows that moved a number


def of_each_order(sources: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """One more table, gold.orders: lines reach it through orders."""
    contract, _ = sources[ORDERS]
    reach = '{silver.order_lines: {through: silver.orders, "on": [market, order_id]}}'
    code = """
        from pyspark.sql import functions as F

        def build(silver_orders, silver_order_lines):
            lines = silver_order_lines.groupBy("market", "order_id").agg(F.count("*").alias("lines"))
            return silver_orders.join(lines, on=["market", "order_id"], how="inner").select(
                "market", "order_id", "units", "lines"
            )
        """
    promised = contract.rstrip().replace("columns:", f"inputs: {reach}\n        columns:")
    return sources | {OF_ORDERS: (f"{promised}\n          lines: {{type: bigint, meaning: how many}}\n", code)}


def test_a_number_moved_because_of_the_files_whose_rows_explain_shows_and_of_no_others(toy: Toy) -> None:
    toy.sources = of_each_order(toy.sources)
    before = released(toy)
    toy.deliver("orders.csv", "7,A,30,10.00", "8,B,2,5.00", day=4)
    toy.run()
    toy.deliver("orders.csv", "7,A,60,10.00", "7,B,1,1.00", day=5)
    toy.deliver("more.csv", "9,A,1,1.00", day=5)
    toy.deliver("late.csv", "7,A,1,1.00", day=2)
    released(toy)
    (number, _) = diff.numbers(differences(toy, before.number, before.number + 1))
    assert (number.table, number.column, number.before, number.after) == (OF_ORDERS, "units", 2, 61)
    asked = explain.ask(toy.lake, toy.tables(), OF_ORDERS, f"order_id = {number.key['order_id']}")
    shown = {file.path for file in files_of(explain.answer(toy.engine, toy.lake, toy.tables(), asked).step)}
    assert number.causes == tuple(f"new: {path}" for path in shown) == ("new: market_1/2024-01-05/orders.csv",)


def test_a_number_that_moved_since_lines_left_a_document_names_the_file_without_them(toy: Toy) -> None:
    toy.sources = of_each_order(toy.sources)
    toy.deliver("lines.csv", "7,A,2,10.00", "7,B,9,1.00", day=4)
    before = released(toy)
    toy.deliver("fewer.csv", "7,A,2,10.00", day=5)
    toy.deliver("others.csv", "8,B,1,5.00", "9,C,1,1.00", day=5)
    released(toy)
    found = differences(toy, before.number, before.number + 1)
    assert {one.causes for one in diff.numbers(found) if one.table == OF_ORDERS} == {(f"new: {FEWER}",)}


def test_a_number_that_moved_since_a_document_is_gone_names_all_that_came(toy: Toy) -> None:
    contract, code = toy.sources[LINES]
    dump = "full_dump: {of: [market], least: 0.5, vanished: remove}"
    toy.sources[LINES] = (contract.replace("position:", f"{dump}\n        position:"), code)
    toy.deliver("dump.csv", "7,A,2,10.00", day=4)
    released(toy)
    definition, *files = causes(toy)
    assert definition == f"definition changed: the definition of {LINES} changed"
    assert files == ["new: market_1/2024-01-04/dump.csv"]


def test_a_column_that_is_new_is_no_difference_of_rows(toy: Toy) -> None:
    contract, code = toy.sources[TOTALS]
    new = "  more: {type: bigint, meaning: a test}\n"
    toy.sources[TOTALS] = (
        f"{contract.rstrip()}\n        {new}",
        code.replace('.alias("units"))', '.alias("units")).select("market", "units", F.col("units").alias("more"))'),
    )
    released(toy)
    assert counts(differences(toy, 1, 2)) == {}


def test_a_table_of_one_release_or_of_none_that_can_be_read_is_told(toy: Toy) -> None:
    toy.sources["gold.more"] = toy.sources[TOTALS]
    log.drop(toy.lake.address(TOTALS))
    toy.deliver("orders.csv", "9,C,5,1.00", day=4)
    released(toy)
    found = {one.table: one for one in differences(toy, 1, 2)}
    assert (found["gold.more"].added, found["gold.more"].note) == (1, "it is in release 2 alone")
    assert found[TOTALS].added is None
    assert "can no longer be read as it was" in found[TOTALS].note
