"""A delivery against the last accepted one before it: a fold in the order of sequences, however deliveries arrive."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lakehouse.audit import quality
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.documents.judgement import judging, predecessors
from lakehouse.proof import verify
from tests.toy import Toy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.graph import Table

LINES = "silver.order_lines"
NAMED = "accepted.csv"
SCHEMA = pa.schema(
    {
        "market": pa.int32(), "order_id": pa.int64(), "product": pa.string(), "quantity": pa.int32(),
        "price": pa.decimal128(18, 2), "_file": pa.string(), "_row": pa.int64(), "_batch": pa.int32(),
        "_sequence": pa.string(), "_delivered_at": pa.timestamp("us", "UTC"), "_problem": pa.string(),
        "_is_last": pa.bool_(), "_repaired": pa.string(), "_hash": pa.int64(), "_new": pa.bool_(),
        "_broken": pa.list_(pa.string()), "_warned": pa.list_(pa.string()), "_stopped": pa.list_(pa.string()),
    }
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One delivery of a document: its identity (product), totals (price), whether it is right by itself, its day."""

    identity: str | None
    totals: bool
    is_right: bool
    day: int
    file: str = "f.csv"


def fold(history: Sequence[Said], *, rejects: bool, has_totals: bool) -> list[bool]:
    """Which deliveries are accepted."""
    return [is_in for is_in, _ in judge(history, rejects=rejects, has_totals=has_totals)]


def judge(history: Sequence[Said], *, rejects: bool, has_totals: bool) -> list[tuple[bool, bool]]:
    """Which deliveries are accepted, and which are told of: the rule of the design, one after the other."""
    found: list[tuple[bool, bool]] = []
    identity: str | None = None  # of the last accepted one that says it
    other, days = None, set[int]()  # another one that was said since, and the days of it
    with_totals = False
    for one in history:
        is_sure = one.is_right and not (has_totals and with_totals and not one.totals)
        with_totals = with_totals or (one.is_right and one.totals)
        is_kept, is_told = True, False
        if is_sure and one.identity is not None:
            if one.identity == identity or identity is None:
                identity, other, days = one.identity, None, set()
            else:
                if other != one.identity:
                    other, days = one.identity, set()
                days.add(one.day)
                is_kept = not rejects or len(days) > 2 or one.file == NAMED
                is_told = not rejects or not is_kept
                if is_kept:
                    identity, other, days = one.identity, None, set()
        found.append((is_sure and is_kept, is_told))
    return found


def histories(seed: int, many: int) -> list[list[Said]]:
    random = Random(seed)  # noqa: S311
    found = []
    for _ in range(many):
        days = sorted(random.choices(range(1, 9), k=random.randint(1, 7)))
        found.append(
            [
                Said(
                    random.choice("AAABBC" if random.random() < 0.9 else [None]),
                    random.random() < 0.7,
                    random.random() < 0.85,
                    day,
                    NAMED if random.random() < 0.05 else "f.csv",
                )
                for day in days
            ]
        )
    return found


def at(said: Said) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=said.day)


def rows_of(engine: Native | Spark, documents: Sequence[tuple[int, int, Said]]) -> DataFrame:
    """A frame of deliveries, each (order, place in its history, what it says): documents of one and of two rows."""
    cells = [
        {
            "market": 1, "order_id": order, "product": said.identity, "quantity": 1 + place,
            "price": Decimal("1.00") if said.totals and row == 1 else None, "_file": said.file,
            "_row": 100 * order + row, "_batch": place, "_sequence": f"{at(said):%Y-%m-%d} {place:03}",
            "_delivered_at": at(said), "_hash": 10 * order + row, "_new": True,
            "_broken": [] if said.is_right else ["wrong"], "_warned": [], "_stopped": [], "_is_last": False,
        }
        for order, place, said in documents
        for row in range(1, 2 + order % 2)
    ]  # fmt: skip
    return engine.frame(pa.Table.from_pylist(cells, schema=SCHEMA))


def toy_of(tmp_path: Path, engine: Native | Spark, *, rejects: bool, has_totals: bool) -> Toy:
    toy = Toy(tmp_path, engine, accepted=(NAMED,))
    contract, code = toy.sources[LINES]
    keys = f"identity: {{columns: [product], on_change: {'reject' if rejects else 'warn'}}}"
    keys += "\n        totals: price is not null" if has_totals else ""
    toy.sources[LINES] = (contract.replace("position:", f"{keys}\n        position:"), code)
    return toy


def judged(engine: Native | Spark, table: Table, rows: DataFrame) -> DataFrame:
    newest = engine.spark.createDataFrame([], "_file string, _newest string")
    rows = judging.judge_flat(table, rows, newest, None, judging.KeptOut())
    return engine.frame(engine.arrow(rows))  # computed once, however often it is asked


def by_order(rows: DataFrame, status: str) -> dict[int, int]:
    """The place in its history of the delivery that has this status."""
    found = rows.where(f"_status = '{status}'").select("order_id", "_batch").distinct().collect()
    assert len({order for order, _ in found}) == len(found)
    return dict(map(tuple, found))


@pytest.mark.slow
@pytest.mark.parametrize(("rejects", "has_totals"), [*itertools.product((True, False), repeat=2)])
def test_what_is_accepted_is_that_of_a_fold_over_random_histories(
    tmp_path: Path, engine: Native | Spark, *, rejects: bool, has_totals: bool
) -> None:
    table = toy_of(tmp_path, engine, rejects=rejects, has_totals=has_totals).tables()[LINES]
    every = dict(enumerate(histories(7, 400)))
    documents = [(order, place, said) for order, one in every.items() for place, said in enumerate(one)]
    found = judged(engine, table, rows_of(engine, documents))
    right = {order: fold(one, rejects=rejects, has_totals=has_totals) for order, one in every.items()}
    kept = {
        order: max(places) for order, one in right.items() if (places := [n for n, is_in in enumerate(one) if is_in])
    }
    assert by_order(found, "kept") == kept
    assert by_order(found, "rejected") == {order: len(one) - 1 for order, one in right.items() if not one[-1]}
    judged_by_rule = {order: judge(one, rejects=rejects, has_totals=has_totals) for order, one in every.items()}
    told = {(order, n) for order, one in judged_by_rule.items() for n, (_, is_told) in enumerate(one) if is_told}
    flagged = found.where("array_contains(_broken, 'identity_is_kept') or array_contains(_warned, 'identity_is_kept')")
    assert {tuple(row) for row in flagged.select("order_id", "_batch").collect()} == told


@pytest.mark.slow
@pytest.mark.parametrize(("rejects", "has_totals"), [*itertools.product((True, False), repeat=2)])
def test_units_that_are_in_no_doubt_need_nothing_but_what_is_new(
    tmp_path: Path, engine: Native | Spark, *, rejects: bool, has_totals: bool
) -> None:
    """Deliveries in time: what is stored is judged on from, and the units in doubt from all that was delivered."""
    table = toy_of(tmp_path, engine, rejects=rejects, has_totals=has_totals).tables()[LINES]
    every = [(order, one) for order, one in enumerate(histories(8, 400)) if len(one) > 1]
    before, new, wanted = [], [], {}
    for order, one in every:
        since = order % (len(one) - 1) + 1
        documents = [(order, place, said) for place, said in enumerate(one)]
        before += documents[:since]
        new += documents[since:]
        right = fold(one, rejects=rejects, has_totals=has_totals)
        wanted[order] = max((place for place, is_in in enumerate(right) if is_in), default=None)
    older = judged(engine, table, rows_of(engine, before)).where("_status = 'kept'")
    doubted = predecessors.in_doubt(table, rows_of(engine, new), older)
    in_doubt = {order for (order,) in doubted.select("order_id").collect()} if doubted else set()
    some = [one for one in before if one[0] in in_doubt]
    now = by_order(judged(engine, table, rows_of(engine, [*some, *new])), "kept")
    found = by_order(older, "kept") | now
    assert {order: found.get(order) for order in wanted} == wanted
    assert 0 < len(in_doubt) < len(every) or not (rejects or has_totals)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_any_order_of_arrival_ends_as_the_fold_does(tmp_path: Path, engine: Native, seed: int) -> None:
    """A file a day with the documents of that day; the files come in any order, some of them in one run."""
    toy, random = toy_of(tmp_path, engine, rejects=True, has_totals=True), Random(seed)  # noqa: S311
    every = [_one_a_day(one) for one in histories(seed, 40)]
    days = sorted({said.day for one in every for said in one})
    random.shuffle(days)
    arrived: set[int] = set()
    while days:
        for day in [days.pop() for _ in range(min(len(days), random.randint(1, 3)))]:
            arrived.add(day)
            _deliver(toy, day, every)
        toy.run(LINES)
        there = [[said for said in one if said.day in arrived] for one in every]
        wanted = {order: one[places[-1]].day for order, one in enumerate(there) if (places := _accepted(one))}
        assert toy.rows(LINES, "order_id", "quantity") == sorted(wanted.items(), key=str)
        last = {order: fold(one, rejects=True, has_totals=True)[-1] for order, one in enumerate(there) if one}
        assert {row[0] for row in toy.rejected()} == {order for order, is_accepted in last.items() if not is_accepted}
    assert verified(toy) == [("", 0)]


def _one_a_day(history: list[Said]) -> list[Said]:
    return [replace(one, file="f.csv") for one in {said.day: said for said in history}.values()]


def _accepted(history: Sequence[Said]) -> list[int]:
    return [place for place, is_in in enumerate(fold(history, rejects=True, has_totals=True)) if is_in]


def _deliver(toy: Toy, day: int, every: Sequence[Sequence[Said]]) -> None:
    said = [(order, one) for order, history in enumerate(every) for one in history if one.day == day]
    rows = [
        f"{order},{one.identity or '-'},{day if one.is_right else 'bad'},{'1.00' if one.totals else '-'}"
        for order, one in said
    ]
    toy.deliver("f.csv", *rows, day=day)


def verified(toy: Toy) -> list[tuple[str, int]]:
    tables = toy.tables()
    chosen = verify.chosen(toy.lake, tables, [LINES])
    done = verify.verify(toy.engine.name, toy.lake, str(toy.landing), tables, chosen, verify.Scope())
    return [(one.reason, one.differing) for one in done]


@pytest.mark.slow
def test_a_key_that_is_used_again_is_kept_out_until_its_file_is_accepted(tmp_path: Path, engine: Native) -> None:
    toy = toy_of(tmp_path, engine, rejects=True, has_totals=False)
    toy.deliver("orders.csv", "7,A,1,1.00", day=1)
    toy.run(LINES)
    toy.deliver("orders.csv", "7,B,1,1.00", "8,C,1,1.00", day=2)
    done = toy.run(LINES)[LINES]
    assert done.counts["rejected"] == {"identity_is_kept": 1}
    assert done.changed == {"market_1/2024-01-02/orders.csv": 1}
    assert toy.rows(LINES, "order_id", "product") == [(7, "A"), (8, "C")]
    assert [row[:3] for row in toy.rejected()] == [(7, ["identity_is_kept"], "market_1/2024-01-02/orders.csv")]
    toy.accepted = ("market_1/2024-01-02/orders.csv",)
    assert toy.run(LINES)[LINES].decision.reason == "its definition changed"
    assert (toy.rows(LINES, "order_id", "product"), toy.rejected()) == ([(7, "B"), (8, "C")], [])
    toy.deliver("orders.csv", "7,B,2,1.00", day=3)
    assert toy.run(LINES)[LINES].counts["rows"]["kept"] == 1


@pytest.mark.slow
def test_what_two_later_days_say_again_is_believed(tmp_path: Path, engine: Native) -> None:
    toy = toy_of(tmp_path, engine, rejects=True, has_totals=False)
    found = []
    for day, product in enumerate("ABBB", start=1):
        toy.deliver("orders.csv", f"7,{product},1,1.00", day=day)
        toy.run(LINES)
        found += toy.rows(LINES, "product")
    assert found == [("A",), ("A",), ("A",), ("B",)]
    assert toy.rejected() == []


@pytest.mark.slow
def test_a_changed_identity_is_told_with_its_file_and_counted(tmp_path: Path, engine: Native) -> None:
    toy = toy_of(tmp_path, engine, rejects=False, has_totals=False)
    toy.deliver("orders.csv", "7,A,1,1.00", "8,C,1,1.00", day=1)
    toy.run(LINES)
    toy.deliver("orders.csv", "7,B,1,1.00", "8,C,2,1.00", day=3)
    done = toy.run(LINES)[LINES]
    assert (done.counts["warned"], done.changed) == ({"identity_is_kept": 1}, {"market_1/2024-01-03/orders.csv": 1})
    (measure,) = ops.query(progress.address(toy.lake.root, quality.QUALITY), "select * from t where broken > 0")
    assert (measure["name"], measure["severity"], measure["checked"]) == ("identity_is_kept", "warn", 2)
    assert toy.rows(LINES, "order_id", "product") == [(7, "B"), (8, "C")]


@pytest.mark.slow
def test_spark_holds_deliveries_against_the_same(tmp_path: Path, on_spark: Spark) -> None:
    few, both = on_spark.for_a_turn(0), {"rejects": True, "has_totals": True}
    test_what_is_accepted_is_that_of_a_fold_over_random_histories(tmp_path, few, **both)
    test_units_that_are_in_no_doubt_need_nothing_but_what_is_new(tmp_path, few, **both)
