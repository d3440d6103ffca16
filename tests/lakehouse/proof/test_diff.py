"""What differs between two releases of a small lake, and why its numbers moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse.delta import log
from lakehouse.proof import diff
from lakehouse.recovery import releases, rewind
from tests.toy import Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native import Native
    from lakehouse.proof.diff import Difference
    from lakehouse.recovery.releases import Release

pytestmark = pytest.mark.slow
LINES, ORDERS, TOTALS = "silver.order_lines", "silver.orders", "gold.totals"


@pytest.fixture
def toy(tmp_path: Path, engine: Native) -> Toy:
    toy = Toy(tmp_path, engine)
    toy.deliver("orders.csv", "7,A,2,10.00", "8,B,1,5.00", day=3)
    released(toy)
    return toy


def released(toy: Toy) -> Release:
    toy.run()
    made = releases.publish(toy.lake.root, toy.tables())
    assert made
    return made


def differences(toy: Toy, old: int, new: int) -> list[Difference]:
    return diff.diff(toy.lake.root, toy.tables(), *(releases.release(toy.lake.root, one) for one in (old, new)))


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
