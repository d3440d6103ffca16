"""A document proves by its totals that it is whole: a part never replaces it, and repeats are what the sums prove."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from lakehouse import graph
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.proof import verify
from lakehouse.runs.run import Run
from lakehouse.writes.lake import Lake
from tests.rows import a_delivery_row, an_order_row, judged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table
    from tests.rows import Cells

    Task = tuple[tuple[int, ...], int | None]  # the amounts of its items, and the Subtotal on its last row

pytestmark = pytest.mark.slow
ITEMS, LINES = "silver.delivery_items", "silver.order_lines"
HEADER = "Task_ID,Order_ID,Task_Type,Agent_ID,Task_Status,Task_Details_QTY,Task_Details_AMOUNT,Discount,Subtotal"
# In which the files of three days arrive: in market 1 as their dates say, in market 2 some late.
ARRIVALS = ((1, (0, 1, 2)), (2, (2, 0, 1)), (2, (1, 2, 0)))
SIGNS = {1: "KSh ", 2: "₦ "}
DELIVERED: dict[str, Task] = {
    "whole": ((100, 200, 300), 600),
    "first half": ((100, 200), None),
    "second half": ((300,), 600),
    "middle": ((200,), None),
    "corrected": ((100, 250, 300), 650),
    "truly without": ((7,), None),
    "wrong": ((100, 200, 300), 601),
}


def write(landing: Path, market: int, first: int, day: int, tasks: Sequence[Task]) -> None:
    """A file of that day: tasks numbered from `first`, and a whole one, so that it does not end within one of them."""
    rows, sign = [], SIGNS[market]
    for number, (amounts, subtotal) in enumerate(tasks, start=first):
        totals = [*[("-", "-")] * (len(amounts) - 1), (f"{sign}0.00", "-" if subtotal is None else str(subtotal))]
        rows += [
            f'{number},"YR-7,0",Delivery,-,Completed,1,{sign}{amount}.00,{discount},{total}'
            for amount, (discount, total) in zip(amounts, totals, strict=True)
        ]
    rows.append(f'999,"YR-8,0",Delivery,-,Completed,1,{sign}5.00,{sign}0.00,5')
    path = landing / f"market_{market}" / f"2022-01-{day:02}" / f"{first} Deliveries.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    at = datetime(2022, 1, day, 6, tzinfo=UTC).timestamp()
    os.utime(path, (at, at))


def accepted(in_order: Sequence[Task]) -> Task | None:
    """By the rule: the newest whose totals hold; one without totals only as long as none with totals was there."""
    now: Task | None = None
    for amounts, subtotal in in_order:
        is_lost = subtotal is None and now is not None and now[1] is not None
        if not is_lost and subtotal in {None, sum(amounts)}:
            now = (amounts, subtotal)
    return now


def amounts(lake: Lake) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for row in ops.query(progress.address(lake.root, ITEMS), "select * from t order by task_id, item_number"):
        found[row["task_id"]].append(int(row["amount"]))
    found.pop(999)
    return dict(found)


def test_a_part_never_replaces_what_has_its_totals(tmp_path: Path, engine: Native, tables: dict[str, Table]) -> None:
    """A task for every history of three deliveries, one a day; the days' files arrive in each of these orders."""
    histories = list(itertools.product(DELIVERED.values(), repeat=3))
    lake, landing = Lake(str(tmp_path / "lake")), tmp_path / "landing"
    free = tables[ITEMS].contract.model_copy(update={"reject_limit": 1.0})
    chosen = tables | {ITEMS: replace(tables[ITEMS], contract=free)}
    for step in range(3):
        right: dict[int, list[int]] = {}
        for number, (market, arrival) in enumerate(ARRIVALS, start=1):
            write(landing, market, 1000 * number, arrival[step] + 1, [history[arrival[step]] for history in histories])
            arrived = sorted(arrival[: step + 1])
            for place, history in enumerate(histories, start=1000 * number):
                if one := accepted([history[day] for day in arrived]):
                    right[place] = list(one[0])
        Run(lake.root, str(landing), chosen, engine=engine).execute(graph.selected(chosen, [ITEMS]))
        assert amounts(lake) == right
    done = verify.verify(engine.name, lake, str(landing), chosen, verify.chosen(lake, chosen, [ITEMS]), verify.Scope())
    assert [(one.reason, one.differing) for one in done] == [("", 0)]


OF_LINES = [
    ("AA", 20, ["kept", "duplicate"]),
    ("AA", 40, ["kept", "kept"]),
    ("AAB", 40, ["kept", "duplicate", "kept"]),
    ("AAB", 60, ["kept", "kept", "kept"]),
    ("ABAB", 40, ["kept", "kept", "duplicate", "duplicate"]),
    ("ABAB", 80, ["kept"] * 4),
    ("AAA", 60, ["kept"] * 3),
    ("AAA", 40, ["rejected"] * 3),
    ("AB", 60, ["rejected"] * 2),
]
OF_ITEMS = [
    ("AA", 45, ["kept"] * 3),
    ("AA", 25, ["kept", "duplicate", "kept"]),
    ("AA", 30, ["rejected"] * 3),
    ("AB", 45, ["kept"] * 3),
    ("AB", 46, ["rejected"] * 3),
    ("AB", None, ["kept"] * 3),
    ("AA", None, ["kept"] * 3),
]


def test_repeated_lines_are_what_the_sub_total_proves(engine: Native, tables: dict[str, Table]) -> None:
    """All orders in one file: to plan it takes seconds, its rows nothing."""
    orders = [
        [an_order_row(order_id=str(number), sku=sku, sub_total=str(sub_total)) for sku in lines]
        for number, (lines, sub_total, _) in enumerate(OF_LINES, start=1)
    ]
    found = iter(judged(engine, tables, LINES, [*itertools.chain(*orders)]))
    for lines, sub_total, wanted in OF_LINES:
        rows = [next(found) for _ in lines]
        assert [row["_status"] for row in rows] == wanted, (lines, sub_total)
        repeated = [place for place, sku in enumerate(lines) if sku in lines[:place]] if "rejected" in wanted else []
        told = [place for place, row in enumerate(rows) if "row_is_not_repeated" in str(row["_broken"])]
        assert told == repeated, (lines, sub_total)


def test_repeated_items_are_what_the_subtotal_proves(engine: Native, tables: dict[str, Table]) -> None:
    tasks: list[Cells] = []
    for number, (items, subtotal, _) in enumerate(OF_ITEMS, start=900):
        last = {} if subtotal is None else {"discount": "KSh 2.00", "subtotal": f"{subtotal - 2}.00"}
        tasks += [a_delivery_row(task_id=str(number), notes=item) for item in items]
        tasks.append(a_delivery_row(task_id=str(number), task_details_amount="KSh 5.00", **last))
    found = iter(judged(engine, tables, ITEMS, tasks))
    for items, subtotal, wanted in OF_ITEMS:
        assert [next(found)["_status"] for _ in wanted] == wanted, (items, subtotal)
