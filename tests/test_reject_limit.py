"""A file of which too much is wrong is kept out whole, and stays its own trouble; so does a table that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.proof import verify
from tests.toy import SOURCES, Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
BRONZE, LINES, ORDERS, TOTALS = "bronze.orders", "silver.order_lines", "silver.orders", "gold.totals"
LIMIT = "reject_limit: 0.4\n        reject_limit_rows: 10\n        "
WITHIN = "file_is_within_reject_limit"


@pytest.fixture
def toy(tmp_path: Path, engine: Native) -> Toy:
    lake = Toy(tmp_path, engine)
    contract, code = SOURCES[LINES]
    lake.sources[LINES] = (f"{contract.rstrip()}\n        {LIMIT}", code)
    return lake


def rows(first: int, right: int, wrong: int) -> list[str]:
    """Orders of one line each, numbered from `first`: the wrong ones last."""
    quantities = ["1"] * right + ["two"] * wrong
    return [f"{order},A,{quantity},1" for order, quantity in enumerate(quantities, start=first)]


def orders(toy: Toy) -> list[object]:
    return [order for (order,) in toy.rows(LINES, "order_id")]


def is_equal(toy: Toy, scope: verify.Scope | None = None) -> bool:
    tables = toy.tables()
    wanted = verify.chosen(toy.lake, tables, [LINES])
    (one,) = verify.verify(toy.engine.name, toy.lake, str(toy.landing), tables, wanted, scope or verify.Scope())
    return not one.reason and not one.differing


@pytest.mark.parametrize(
    ("right", "wrong", "is_refused"),
    [(0, 1, False), (0, 9, False), (1, 8, False), (6, 4, False), (5, 5, True), (0, 10, True), (16, 9, False)],
)
def test_a_file_above_the_limit_is_kept_out_whole_and_a_small_one_never(
    toy: Toy, right: int, wrong: int, *, is_refused: bool
) -> None:
    toy.deliver("good.csv", *rows(100, 2, 1))
    toy.deliver("bad.csv", *rows(200, right, wrong))
    done = toy.run()[LINES]
    assert [path for path, _ in done.refused] == (["market_1/bad.csv"] if is_refused else [])
    assert orders(toy) == [100, 101, *([] if is_refused else range(200, 200 + right))]
    refused = [order for order, rules, *_ in toy.rejected() if WITHIN in str(rules)]
    assert refused == ([*range(200, 200 + right + wrong)] if is_refused else [])
    assert sum(done.counts["rows"].values()) == done.rows_in == 3 + right + wrong
    assert is_equal(toy)


def test_a_correction_heals_the_file_and_a_late_file_does_not(toy: Toy) -> None:
    toy.deliver("monday.csv", *rows(100, 10, 0), day=3)
    toy.run()
    toy.deliver("tuesday.csv", *rows(100, 10, 10), day=4)
    (words,) = toy.run()[LINES].refused.values()
    assert words.startswith(
        "10 of its 20 rows (50%) are wrong, and the reject_limit is 40%; 10 by quantity_is_readable"
    )
    (reason,) = [one.reason for one in ledger.read(toy.lake.root).entries if one.reason]
    assert reason == words
    for scope in (verify.Scope(), verify.Scope("sample"), verify.Scope("since")):
        assert is_equal(toy, scope)

    toy.deliver("late.csv", "100,A,7,1", "110,A,1,1", day=2)
    assert toy.run()[LINES].decision.path == "late"
    assert (orders(toy), len(toy.rejected())) == ([*range(100, 110), 110], 20)
    assert is_equal(toy)

    toy.deliver("tuesday.csv", *rows(100, 20, 0), day=4)
    toy.run()
    assert (orders(toy), toy.rejected()) == ([*range(100, 120)], [])
    assert is_equal(toy)


def test_a_higher_limit_takes_the_file_again(toy: Toy) -> None:
    toy.deliver("monday.csv", *rows(100, 10, 10))
    toy.run()
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (contract.replace("reject_limit: 0.4", "reject_limit: 0.6"), code)
    assert toy.run()[LINES].decision.path == "whole"
    assert (orders(toy), len(toy.rejected())) == ([*range(100, 110)], 10)


def test_what_does_not_depend_on_a_failed_table_goes_on_and_all_failures_are_said(toy: Toy) -> None:
    contract, code = SOURCES[BRONZE]
    toy.sources["bronze.returns"] = (contract.replace("*.csv", "*returns*.csv"), code)
    for name, (text, build) in SOURCES.items():
        if name in {LINES, ORDERS}:
            own = {LINES: "silver.return_lines", ORDERS: "silver.returns"}[name]
            toy.sources[own] = (
                text,
                build.replace("bronze_orders", "bronze_returns").replace("silver_order_lines", "silver_return_lines"),
            )
    contract, code = toy.sources[LINES]
    stop = 'rules: {quantity_is_possible: {check: "quantity < 500", severity: stop, why: a test}}'
    toy.sources[LINES] = (f"{contract.rstrip()}\n        {stop}\n        ", code)
    toy.deliver("monday.csv", "7,A,600,1")
    toy.deliver("returns.csv", "8,A,1,1")
    with pytest.raises(LakehouseError, match=r"^silver\.order_lines was not written: .* quantity_is_possible"):
        toy.run()
    assert set(toy.versions()) == {BRONZE, "bronze.returns", "silver.return_lines", "silver.returns"}

    contract, code = toy.sources["silver.return_lines"]
    toy.sources["silver.return_lines"] = (f"{contract.rstrip()}\n        {stop}\n        ", code)
    toy.deliver("returns.csv", "8,A,700,1")
    with pytest.raises(LakehouseError) as error:
        toy.run()
    assert sorted(line.split(" was not")[0] for line in str(error.value).splitlines()) == [
        LINES, "silver.return_lines",
    ]  # fmt: skip
