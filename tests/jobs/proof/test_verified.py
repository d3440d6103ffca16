"""What `lakehouse verify` prints: a line per table, both sides of what differs, and what was not proven."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from jobs.proof import verified
from jobs.proof.commands import with_a_number
from lakehouse.graph import Table
from lakehouse.proof.compare import Comparison, Difference
from lakehouse.proof.verify import Verdict

if TYPE_CHECKING:
    from lakehouse.contract import Contract

NAME = "silver.orders"
EQUAL = Comparison(1234, 1234, 5)


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=200, highlight=False, file=None, quiet=False)


def printed(console: Console, one: Verdict) -> list[str]:
    promise: Contract = None  # type: ignore[assignment]
    table = Table(NAME, promise, ModuleType("orders"), (), "")
    with console.capture() as said:
        verified.sayer(console, [table])(one)
    return said.get().splitlines()


def test_an_equal_table_is_one_line_with_its_rows_and_those_rejected(console: Console) -> None:
    both = {NAME: EQUAL, f"{NAME}__rejected": Comparison(2, 2, 0)}
    assert printed(console, Verdict(NAME, 3, comparisons=both, seconds=2.14)) == [
        "silver.orders  version 3    equal, 1,234 rows, 2 rejected  2.1 s"
    ]
    (line,) = printed(console, Verdict(NAME, 3, how="sample", comparisons={NAME: EQUAL}))
    assert "equal, 1,234 rows of a sample" in line


def test_what_differs_has_its_key_and_both_sides(console: Console) -> None:
    first = (
        Difference({"market": "1", "order_id": "7"}, {"units": ("3", None), "total": ("1.00", "")}),
        Difference({"market": "1", "order_id": "8"}, {"order_id": ("8", None), "units": ("3", None)}, "rebuilt"),
        Difference({"market": "1", "order_id": "9"}, {"order_id": (None, "9"), "units": (None, "4")}, "stored"),
    )
    lines = printed(console, Verdict(NAME, 3, comparisons={NAME: Comparison(10, 10, 5, 4, first)}))
    assert lines[0].startswith("silver.orders  version 3    differs, 4 of 10 rows")
    assert lines[1:] == [
        "  silver.orders: 10 rebuilt, 10 stored, 4 differ",
        "    market 1, order_id 7: units 3 rebuilt, nothing stored; total 1.00 rebuilt, '' stored",
        "    market 1, order_id 8: is not stored: units 3",
        "    market 1, order_id 9: is stored, but not rebuilt: units 4",
        "    and 1 more",
    ]


def test_delivered_text_moves_no_cursor_and_is_no_markup(console: Console) -> None:
    first = (Difference({"sku": "[red]\x1b[2J"}, {"units": ("1", "2")}),)
    lines = printed(console, Verdict(NAME, 3, comparisons={NAME: Comparison(1, 1, 0, 1, first)}))
    assert lines[2] == "    sku [red]\\x1b[2J: units 1 rebuilt, 2 stored"


def test_a_build_that_is_left_to_chance_is_said_to_be(console: Console) -> None:
    lines = printed(console, Verdict(NAME, 3, comparisons={NAME: Comparison(1, 1, 0, 1)}))
    assert "left to chance" in lines[2]


def test_what_could_not_be_compared_is_not_proven(console: Console) -> None:
    wrong = Verdict("gold.totals", 0, reason="its definition changed since it was written.")
    right, nothing = Verdict(NAME, 3, comparisons={NAME: EQUAL}), Verdict("bronze.orders", 0, note="2 files are gone")
    assert "not compared: its definition changed" in printed(console, wrong)[0]
    assert printed(console, nothing)[0].startswith("bronze.orders  version 0    nothing to compare")
    with console.capture() as said:
        assert not verified.summary(console, [right, wrong, nothing])
    assert said.get().splitlines() == [
        "1 of 3 tables are equal, 1,234 rows compared by value.",
        "Not proven: gold.totals",
    ]
    assert verified.summary(console, [right, nothing])


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--since"], ["--since", "1"]),
        (["--since", "gold.daily_sales"], ["--since", "1", "gold.daily_sales"]),
        (["gold.daily_sales", "--since", "3"], ["gold.daily_sales", "--since", "3"]),
        (["--since=2"], ["--since=2"]),
    ],
)
def test_since_alone_means_the_last_run(given: list[str], meant: list[str]) -> None:
    assert with_a_number(given) == meant
