"""Columns that a file lacks: what a document keeps is that of a fold, however its deliveries arrive."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.lakehouse.documents.test_dumps import verified
from tests.toy import HEADER, Toy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
LINES = "silver.order_lines"
KEEPS = ("from: price, ", "from: price, lacking: keep, ")


@dataclass(frozen=True)
class File:
    """Of a day: by order the prices of its lines, or none where it has no such column; None for a wrong order."""

    day: int
    has_prices: bool
    orders: dict[int, list[int | None] | None]


def fold(files: Iterable[File]) -> dict[int, list[int | None]]:
    known: dict[int, list[int | None]] = {}
    for file in files:
        for order, prices in file.orders.items():
            before = known.get(order, [])
            if prices is not None and file.has_prices:
                known[order] = list(prices)
            elif prices is not None:
                known[order] = [before[place] if place < len(before) else None for place in range(len(prices))]
    return known


def a_file(random: Random, day: int) -> File:
    orders: dict[int, list[int | None] | None] = {}
    for order in range(8):
        if random.random() < 0.7:
            prices = [random.choice([None, day * 10 + line]) for line in range(random.randint(1, 3))]
            orders[order] = prices if random.random() < 0.7 else None
    return File(day, random.random() < 0.5, orders)


def deliver(toy: Toy, file: File) -> None:
    rows = []
    for order, prices in file.orders.items():
        cells = [(f"P{line}", "1", "" if price is None else str(price)) for line, price in enumerate(prices or [])]
        rows += [[str(order), *one] for one in cells] or [[str(order), "P", "bad", "1"]]
    wanted = None if file.has_prices else -1
    header = ",".join(HEADER.split(",")[:wanted])
    toy.deliver("o.csv", *(",".join(row[:wanted]) for row in rows), day=file.day, header=header)


def toy_of(tmp_path: Path, engine: Native) -> Toy:
    toy = Toy(tmp_path, engine)
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (
        contract.replace(*KEEPS).replace("position:", "reject_limit_rows: 99\n        position:"),
        code,
    )
    return toy


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_any_order_of_arrival_ends_as_the_fold_does(tmp_path: Path, engine: Native, seed: int) -> None:
    toy, random = toy_of(tmp_path, engine), Random(seed)  # noqa: S311
    waiting = [file for day in range(1, 9) if (file := a_file(random, day)).orders]
    random.shuffle(waiting)
    arrived: list[File] = []
    while waiting:
        for file in [waiting.pop() for _ in range(min(len(waiting), random.randint(1, 2)))]:
            arrived.append(file)
            deliver(toy, file)
        toy.run(LINES)
        wanted = fold(sorted(arrived, key=lambda file: file.day))
        prices = {(order, line): price for order, one in wanted.items() for line, price in enumerate(one, start=1)}
        found = {(order, line): price for order, line, price in toy.rows(LINES, "order_id", "line_number", "price")}
        assert found == prices
    assert verified(toy) == [("", 0)] * 2


def test_without_a_word_of_the_contract_a_lighter_file_says_nothing(tmp_path: Path, engine: Native) -> None:
    toy = toy_of(tmp_path, engine)
    kept, code = toy.sources[LINES]
    deliver(toy, File(1, has_prices=True, orders={7: [10]}))
    deliver(toy, File(2, has_prices=False, orders={7: [None]}))
    toy.run(LINES)
    assert toy.rows(LINES, "price") == [(Decimal("10.00"),)]
    toy.sources[LINES] = (kept.replace(KEEPS[1], KEEPS[0]), code)
    toy.run(LINES)
    assert toy.rows(LINES, "price") == [(None,)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("lacking: keep", "lacking: guess"), "lacking"),
        (("lacking: keep", "lacking: keep, required: true"), "goes with no `required:`"),
        (("meaning: what", "lacking: keep, meaning: what"), "columns.product.lacking: needs `from:`"),
        (("line_number]", "line_number, product]"), "matched by unit and position"),
    ],
)
def test_a_column_that_cannot_be_kept_is_an_error(
    tmp_path: Path, engine: Native, changed: tuple[str, str], words: str
) -> None:
    toy = toy_of(tmp_path, engine)
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (contract.replace(*changed), code)
    with pytest.raises(ValueError, match=words):
        toy.tables()
