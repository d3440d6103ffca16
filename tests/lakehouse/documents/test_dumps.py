"""Full dumps: what is removed is that of a fold over files in their order, whether they come at once or in parts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lakehouse.audit import quality
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.documents import dumps
from lakehouse.documents.judgement import judging
from lakehouse.errors import LakehouseError
from lakehouse.intake.records.ledger import Delivery, Entry
from lakehouse.proof import verify
from tests.lakehouse.documents.judgement.test_predecessors import SCHEMA
from tests.toy import HEADER, Toy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.graph import Table

LINES = "silver.order_lines"
DAYS = 4  # of the window
LEAST = 0.5
ORDERED = "2024-01-{:02}"


@dataclass(frozen=True)
class File:
    """Of one market: the orders that it has, with the day of each and whether it is right; rows without a key."""

    market: int
    number: int
    orders: dict[int, tuple[int, bool]]
    is_dump: bool = True
    nameless: int = 0
    is_refused: bool = False

    @property
    def delivery(self) -> Delivery:
        at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=self.number)
        header = (*HEADER.split(","), *(() if self.is_dump else ("_replaces_file",)))
        path = f"market_{self.market}/2024-01-{self.number + 1:02}/o.csv"
        return Delivery("bronze.orders", path, 1, at, "a" * 12, at, {"market": self.market}, header)


State = tuple[dict[int, int], dict[int, int]]  # of silver and of the quarantine: order -> number of the file


def fold(files: Iterable[File], *, has_window: bool, removes: bool = True) -> tuple[State, list[tuple[int, int]]]:
    """One file after the other; and of each dump how many documents are known and how many of these it holds."""
    silver: dict[int, int] = {}
    ordered: dict[int, int] = {}
    wrong: dict[int, int] = {}
    counts = []
    for file in files:
        if file.is_dump and not file.is_refused:
            known = {one for one in silver if not has_window or ordered[one] + DAYS >= file.number}
            there = known & file.orders.keys()
            counts.append((len(known), len(there)))
            if removes and not file.nameless and len(there) >= LEAST * len(known):
                for gone in known - there:
                    del silver[gone]
                    wrong.pop(gone, None)
        for order, (day, is_right) in file.orders.items():
            if is_right and not file.is_refused:
                silver[order], ordered[order] = file.number, day
                wrong.pop(order, None)
            else:
                wrong[order] = file.number
    return (silver, wrong), counts


def histories(seed: int, markets: int) -> list[list[File]]:
    """Most files are dumps of most orders; some are half, corrections, kept out, or have rows without a key."""
    random = Random(seed)  # noqa: S311
    found = []
    for market in range(markets):
        day_of = {order: random.randint(0, 6) for order in range(8)}
        files = []
        for number in range(random.randint(2, 8)):
            kind = random.random()
            share = 0.3 if kind < 0.25 else 0.85
            orders = {
                order: (day_of[order] + (random.random() < 0.2), random.random() < 0.85)
                for order in range(min(8, 5 + number))
                if random.random() < share
            }
            files.append(File(market, number, orders, kind > 0.15, int(kind > 0.92), 0.85 < kind < 0.9))
        found.append(files)
    return found


def rows_of(engine: Native | Spark, files: Sequence[File]) -> DataFrame:
    cells = [
        {
            "market": file.market, "order_id": order, "ordered": date(2024, 1, 1) + timedelta(days=day),
            "quantity": file.number, "_file": file.delivery.path, "_row": order or 99, "_batch": file.number,
            "_sequence": file.delivery.sequence, "_delivered_at": file.delivery.delivered_at, "_hash": order or 99,
            "_new": True, "_broken": [] if is_right else ["wrong"], "_warned": [], "_stopped": [], "_is_last": False,
        }
        for file in files
        for order, day, is_right in [
            *((order, *said) for order, said in file.orders.items()),
            *[(None, 0, False)] * file.nameless,
        ]
    ]  # fmt: skip
    return engine.frame(pa.Table.from_pylist(cells, schema=SCHEMA.append(pa.field("ordered", pa.date32()))))


def toy_of(tmp_path: Path, engine: Native | Spark, *, has_window: bool, vanished: str = "remove") -> Toy:
    """The product is the order's day."""
    toy = Toy(tmp_path, engine)
    contract, code = toy.sources[LINES]
    window = f"window: {{column: ordered, days: {DAYS}}}, " if has_window else ""
    dump = f"full_dump: {{of: [market], {window}least: {LEAST}, vanished: {vanished}}}\n        reject_limit_rows: 99"
    contract = contract.replace("position:", f"{dump}\n        position:")
    column = "ordered: {type: date, meaning: its day}\n          product:"
    code = code.replace('"product",', 'F.col("product").try_cast("date").alias("ordered"), "product",')
    code = "\n        from pyspark.sql import functions as F\n" + code
    toy.sources[LINES] = (contract.replace("product:", column), code)
    return toy


def judged(engine: Native | Spark, table: Table, files: Sequence[File], refused: Sequence[str]) -> DataFrame:
    newest = engine.spark.createDataFrame([], "_file string, _newest string")
    rows = judging.judge_flat(table, rows_of(engine, files), newest, None, judging.KeptOut(tuple(refused)))
    return engine.frame(engine.arrow(rows))  # computed once, however often it is asked


def found_in(rows: DataFrame, status: str) -> dict[int, dict[int, int]]:
    found: dict[int, dict[int, int]] = {}
    for market, order, number in rows.where(f"_status = '{status}'").select("market", "order_id", "quantity").collect():
        if order is not None:
            found.setdefault(market, {})[order] = number
    return found


def of_dumps(
    engine: Native | Spark, table: Table, files: Sequence[File], refused: Sequence[str], stored: DataFrame | None = None
) -> tuple[DataFrame, DataFrame | None]:
    rows = judged(engine, table, files, refused)
    taken = [Entry(file.delivery, file.number, "loaded") for file in files]
    gone = dumps.vanished(engine, table, rows, dumps.Delivered(taken, refused), lambda rows: rows, stored).gone
    return (rows if gone is None else dumps.without_vanished(table, rows, gone)), gone


@pytest.mark.slow
@pytest.mark.parametrize("has_window", [True, False])
def test_what_dumps_remove_is_that_of_a_fold_over_random_histories(
    tmp_path: Path, engine: Native | Spark, *, has_window: bool
) -> None:
    """A market is a history; and each again in two parts, of which the second knows only what is stored."""
    table = toy_of(tmp_path, engine, has_window=has_window).tables()[LINES]
    every = histories(5, 60)
    files = [file for one in every for file in one]
    refused = [file.delivery.sequence for file in files if file.is_refused]
    right = {market: fold(one, has_window=has_window)[0] for market, one in enumerate(every)}
    silver = {market: state[0] for market, state in right.items() if state[0]}
    whole, gone = of_dumps(engine, table, files, refused)
    assert gone is not None
    assert found_in(whole, "kept") == silver
    assert found_in(whole, "rejected") == {market: state[1] for market, state in right.items() if state[1]}
    before = [file for one in every for file in one[: 1 + len(one) // 2]]
    stored = engine.frame(engine.arrow(of_dumps(engine, table, before, refused)[0].where("_status = 'kept'")))
    new, gone = of_dumps(engine, table, [file for file in files if file not in before], refused, stored)
    assert gone is not None
    removed = {(market, order) for market, order in gone.select("market", "order_id").collect()}
    left = {m: {o: n for o, n in one.items() if (m, o) not in removed} for m, one in found_in(stored, "kept").items()}
    kept = found_in(new, "kept")
    both = {market: left.get(market, {}) | kept.get(market, {}) for market in left.keys() | kept.keys()}
    assert {market: one for market, one in both.items() if one} == silver


@pytest.mark.slow
def test_spark_removes_the_same(tmp_path: Path, on_spark: Spark) -> None:
    few = on_spark.for_a_turn(0)
    test_what_dumps_remove_is_that_of_a_fold_over_random_histories(tmp_path, few, has_window=True)


def _rejected(toy: Toy) -> set[tuple[object, ...]]:
    name = progress.rejected(LINES)
    rows = toy.rows(name, "market", "order_id") if toy.lake.state(name) else []
    return {row for row in rows if row[1] is not None}


def verified(toy: Toy) -> list[tuple[str, int]]:
    """Wholly, and a sample."""
    tables = toy.tables()
    chosen = verify.chosen(toy.lake, tables, [LINES])
    scopes = (verify.Scope(), verify.Scope("sample"))
    done = [verify.verify(toy.engine.name, toy.lake, str(toy.landing), tables, chosen, one) for one in scopes]
    return [(one.reason, one.differing) for some in done for one in some]


def arrivals(toy: Toy, seed: int) -> Iterator[list[File]]:
    """What has arrived by each run: files of three markets in any order."""
    random = Random(seed)  # noqa: S311
    files = [file for one in histories(10 + seed, 3) for file in one if not file.is_refused and file.orders]
    waiting = sorted(files, key=lambda _: random.random())
    arrived: list[File] = []
    while waiting:
        for file in [waiting.pop() for _ in range(min(len(waiting), random.randint(1, 5)))]:
            arrived.append(file)
            rows = [
                f"{order},{ORDERED.format(day + 1)},{file.number if is_right else 'bad'},1"
                for order, (day, is_right) in file.orders.items()
            ]
            rows += [f",,{file.number},1"] * file.nameless
            header = HEADER if file.is_dump else f"{HEADER},_replaces_file,_replaces_row"
            rows = rows if file.is_dump else [f"{row},," for row in rows]
            toy.deliver("o.csv", *rows, day=file.number + 1, market=file.market, header=header)
        toy.run(LINES)
        yield arrived


@pytest.mark.slow
@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.long), 1])
def test_any_order_of_arrival_ends_as_the_fold_does(tmp_path: Path, engine: Native, seed: int) -> None:
    toy = toy_of(tmp_path, engine, has_window=bool(seed % 2))
    for arrived in arrivals(toy, seed):
        silver, wrong = set(), set()
        for market in range(3):
            mine = sorted((file for file in arrived if file.market == market), key=lambda file: file.number)
            state = fold(mine, has_window=bool(seed % 2))[0]
            silver |= {(market, order, number) for order, number in state[0].items()}
            wrong |= {(market, order) for order in state[1]}
        assert set(toy.rows(LINES, "market", "order_id", "quantity")) == silver
        assert _rejected(toy) == wrong
    assert verified(toy) == [("", 0)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1))
def test_with_a_changed_identity_any_order_of_arrival_ends_as_all_at_once(
    tmp_path: Path, engine: Native, seed: int
) -> None:
    toy = toy_of(tmp_path, engine, has_window=bool(seed % 2))
    contract, code = toy.sources[LINES]
    identity = "identity: {columns: [product], on_change: reject}\n        position:"
    toy.sources[LINES] = (contract.replace("position:", identity), code)
    for number, _ in enumerate(arrivals(toy, seed)):
        if not number % 3:  # it takes longer than the run
            assert verified(toy) == [("", 0)] * 2
    assert verified(toy) == [("", 0)] * 2


def _ten(toy: Toy, day: int, *orders: int, header: str = HEADER) -> dict[str, str]:
    """A dump of these orders; what is said of what it lacks, by severity."""
    toy.deliver("o.csv", *(f"{order},{ORDERED.format(1)},1,1.00" for order in orders), day=day, header=header)
    toy.run()
    address = progress.address(toy.lake.root, quality.QUALITY)
    rows = ops.query(address, "select note, broken, checked from t where measure = 'volume' and broken > 0")
    return {row["note"]: f"{row['broken']} of {row['checked']}" for row in rows}


@pytest.mark.slow
def test_a_dump_removes_what_it_lacks_and_a_later_delivery_brings_it_back(tmp_path: Path, engine: Native) -> None:
    toy = toy_of(tmp_path, engine, has_window=False)
    _ten(toy, 1, 1, 2, 3, 4)
    toy.deliver("other.csv", f"7,{ORDERED.format(1)},1,1.00", market=2, day=1)
    said = _ten(toy, 2, 1, 2, 3)
    assert said == {"market_1/2024-01-02/o.csv lacks 1 of 4 known documents, which are removed": "1 of 4"}
    assert toy.rows("silver.orders", "market", "order_id") == [(1, 1), (1, 2), (1, 3), (2, 7)]
    _ten(toy, 4, 1, 2, 3, 4)
    assert len(toy.rows("silver.orders")) == 5
    said = _ten(toy, 5, 1)
    assert (
        "market_1/2024-01-05/o.csv lacks 3 of 4 known documents; nothing is removed, since it must hold 50% of them"
        in said
    )
    assert len(toy.rows("silver.orders")) == 5
    assert toy.run(LINES)[LINES].decision.path == "nothing"


@pytest.mark.slow
def test_a_contract_can_have_vanished_documents_told_of_and_kept(tmp_path: Path, engine: Native) -> None:
    toy = toy_of(tmp_path, engine, has_window=False, vanished="keep")
    _ten(toy, 1, 1, 2, 3)
    said = _ten(toy, 2, 1, 2)
    assert said == {
        "market_1/2024-01-02/o.csv lacks 1 of 3 known documents, which stay, as the contract says": "1 of 3"
    }
    assert len(toy.rows(LINES)) == 3


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("of: [market]", "of: [product]"), "'product' is no part of the unit"),
        (("column: ordered", "column: price"), "'price' is not one of its columns of type date"),
        (("of: [market]", "of: [order_id]"), r"order_id does not stand as \{order_id:int\} in all paths of its source"),
    ],
)
def test_a_dump_whose_scope_cannot_be_told_is_an_error(
    tmp_path: Path, engine: Native, changed: tuple[str, str], words: str
) -> None:
    toy = toy_of(tmp_path, engine, has_window=True)
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (contract.replace(*changed), code)
    with pytest.raises((LakehouseError, ValueError), match=words):
        toy.tables()


@pytest.mark.slow
def test_a_rejected_delivery_of_a_document_goes_with_it(tmp_path: Path, engine: Native) -> None:
    toy = toy_of(tmp_path, engine, has_window=False)
    for day, rows in enumerate((["7,A,1,1", "8,A,1,1"], ["7,A,bad,1", "8,A,1,1"], ["8,A,1,1"]), start=1):
        toy.deliver("o.csv", *rows, day=day)
        toy.run(LINES)
        assert toy.rows(LINES, "order_id") == ([(7,), (8,)] if day < 3 else [(8,)])
        assert _rejected(toy) == ({(1, 7)} if day == 2 else set())
    assert verified(toy) == [("", 0)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("by", ["a dump", "a correction"])
def test_a_document_that_comes_back_is_held_against_what_it_was(tmp_path: Path, engine: Native, by: str) -> None:
    toy = toy_of(tmp_path, engine, has_window=False)
    contract, code = toy.sources[LINES]
    identity = "identity: {columns: [product], on_change: reject}\n        position:"
    toy.sources[LINES] = (contract.replace("position:", identity), code)
    for day, rows in enumerate((["7,A,1,1", "8,A,1,1"], ["8,A,1,1"]), start=1):
        toy.deliver("o.csv", *rows, day=day)
        toy.run(LINES)
    if by == "a dump":
        toy.deliver("o.csv", "7,B,1,1", "8,A,1,1", day=3)
    else:
        toy.deliver("o.csv", "7,B,1,1,,", day=3, header=f"{HEADER},_replaces_file,_replaces_row")
    toy.run(LINES)
    assert toy.rows(LINES, "order_id") == [(8,)]
    assert [row[:2] for row in toy.rejected()] == [(7, ["identity_is_kept"])]
    assert verified(toy) == [("", 0)] * 2
