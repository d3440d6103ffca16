"""What must not be taken out of the core: each part has a test that sees it go, and that is proved by taking it out.

What a mutant changes is the code of one function, in this process, while its test runs once more.
"""

from __future__ import annotations
import __future__ as future

import inspect
import json
import textwrap
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import functions as F

from lakehouse import transforms
from lakehouse.delta.commits import committer, leaving
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.commits.conflicts import ConflictError
from lakehouse.delta.commits.ops import query
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log
from lakehouse.delta.upkeep import vacuum
from lakehouse.engines import protocol
from lakehouse.engines.native import engine as native
from lakehouse.engines.native.engine import Native
from lakehouse.intake.records import ledger
from lakehouse.intake.records.ledger import Delivery
from lakehouse.recovery import rewind as back
from lakehouse.runs import plan
from lakehouse.writes import refresh, rewind, units
from tests import world
from tests.histories import History
from tests.lakehouse.delta.upkeep.test_vacuum import test_vectors_of_kept_versions_stay
from tests.toy import Toy
from tests.world import CUSTOMERS, ORDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyspark.sql import Column

    from lakehouse.engines.protocol import Engine

pytestmark = pytest.mark.slow
CUSTOMER_ORDERS, SALES, DAYS, LINES = (
    "silver.customer_orders",
    "silver.sales",
    "gold.daily_sales",
    "silver.order_lines",
)


# What each part is for ------------------------------------------------------------------------------------------------


@pytest.fixture
def history(tmp_path: Path, engine: Engine) -> History:
    """Ada, a shop, ordered 2 A and 3 B on the 5th."""
    lake = History(Toy(tmp_path, engine), Random(0))  # noqa: S311
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


def test_an_order_that_changes_hands_leaves_the_customer_it_had(history: History) -> None:
    assert rows(history, CUSTOMER_ORDERS, "customer_id, order_id, number") == [(1, 7, 1), (1, 8, 2)]
    deliver(history, an_order("7", "2", customer="2"))
    assert rows(history, CUSTOMER_ORDERS, "customer_id, order_id, number") == [(1, 8, 1), (2, 7, 1)]


def test_a_customers_change_reaches_the_sales_that_know_it_through_orders_alone(history: History) -> None:
    assert rows(history, SALES, "order_id, segment") == [(7, "shop"), (8, "shop")]
    history.deliver(CUSTOMERS, [("1", "kiosk", "Ada")], market=1, day=11)
    assert rows(history, SALES, "order_id, segment") == [(7, "kiosk"), (8, "kiosk")]


def test_a_day_from_which_all_orders_moved_away_vanishes(history: History) -> None:
    assert rows(history, DAYS, "order_date, orders, units") == [(date(2024, 1, 5), 2, 5)]
    deliver(history, an_order("7", "2", on="2024-01-06"), an_order("8", "3", on="2024-01-06"))
    assert rows(history, DAYS, "order_date, orders, units") == [(date(2024, 1, 6), 2, 5)]


def test_a_late_older_delivery_of_an_order_changes_nothing(history: History) -> None:
    assert rows(history, LINES, "order_id, quantity") == [(7, 2), (8, 3)]
    deliver(history, an_order("7", "5"), an_order("9", "1"), day=9)
    assert rows(history, LINES, "order_id, quantity") == [(7, 2), (8, 3), (9, 1)]


def test_of_two_files_of_the_same_day_and_second_the_one_behind_by_its_path_is_the_newer(history: History) -> None:
    at = history.tick()
    for name, quantity in (("b", "4"), ("a", "5")):
        path = f"market_1/2024-01-11/orders_{name}.csv"
        history.put(world.File(ORDERS, path, at, world.HEADERS[ORDERS], (an_order("7", quantity),)))
    assert rows(history, LINES, "order_id, quantity") == [(7, 4), (8, 3)]


def test_a_rewind_takes_progress_and_the_ledger_with_it(history: History) -> None:
    assert rows(history, DAYS, "order_date, orders") == [(date(2024, 1, 5), 2)]
    then, root = history.toy.point(), history.toy.lake.root
    deliver(history, an_order("9", "1"))
    assert rows(history, DAYS, "order_date, orders") == [(date(2024, 1, 5), 3)]
    back.go(root, back.look(root, str(history.toy.landing), history.tables(), "to then", then))
    taken = ledger.read(root).taken()
    assert len(taken) == 2
    there = [one for name, one in history.tables().items() if name in then]
    assert {one.path for one in plan.decide_all(root, there, taken).values()} == {"nothing"}
    assert rows(history, DAYS, "order_date, orders") == [(date(2024, 1, 5), 3)]


def computed(engine: Native, values: list[Any], column: Column) -> list[Any]:
    """What the column is, where `value` has these values."""
    rows = engine.frame(pa.table({"value": values, "place": range(len(values))}))
    return list(rows.orderBy("place").select(column.alias("it")).toArrow().column("it").to_pylist())


def test_days_are_numbered_from_monday_to_sunday(engine: Native) -> None:
    week = [date(2024, 1, day) for day in range(1, 8)]
    assert computed(engine, week, transforms.weekday("value")) == [1, 2, 3, 4, 5, 6, 7]


def test_a_quotient_is_rounded_and_not_cut(engine: Native) -> None:
    thirds = transforms.share(F.col("value"), F.lit(3).cast("decimal(1,0)"))
    assert computed(engine, [1, 2, -2], thirds) == [Decimal("0.3333"), Decimal("0.6667"), Decimal("-0.6667")]


def test_a_sum_that_is_too_large_is_an_error_and_no_other_number(engine: Native) -> None:
    assert computed(engine, [2**62, 2**62 - 1], transforms.whole_sum("value")) == [2**63 - 1]
    with pytest.raises(protocol.errors(), match=r"(?i)cast|overflow"):
        computed(engine, [2**62, 2**62], transforms.whole_sum("value"))


TARGET = pa.schema({"unit": pa.int64(), "value": pa.string()})


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A table with vectors: two rows of unit 1, and one of each other, in one file."""
    made = Target(str(tmp_path / "table"), TARGET, vectors=True)
    committer.overwrite(made, -1, some((1, "a"), (1, "b"), (2, "c"), (3, "d")), None)
    return made


def some(*rows: tuple[int, str]) -> pa.Table:
    return pa.Table.from_pylist([{"unit": unit, "value": value} for unit, value in rows], TARGET)


def stored(target: Target) -> list[tuple[int, str]]:
    return sorted((row["unit"], row["value"]) for row in feed.read(target.address).to_pylist())


def test_the_rows_of_a_replaced_unit_are_no_more(target: Target) -> None:
    committer.replace_units(target, 0, ["unit"], some((1, "e")), None, None)
    assert stored(target) == [(1, "e"), (2, "c"), (3, "d")]


def test_a_file_of_which_rows_leave_twice_has_none_of_them(target: Target) -> None:
    committer.replace_units(target, 0, ["unit"], some((1, "e")), None, None)
    committer.replace_units(target, 1, ["unit"], some((2, "f")), None, None)
    assert stored(target) == [(1, "e"), (2, "f"), (3, "d")]


def test_delta_rs_knows_what_went_with_an_overwrite(target: Target) -> None:
    committer.replace_units(target, 0, ["unit"], some((1, "e")), None, None)
    committer.overwrite(target, 1, some((4, "g")), None)
    changed = DeltaTable(target.address).load_cdf(2, 2).read_all()
    columns = [changed.column(name).to_pylist() for name in ("_change_type", "unit", "value")]
    gone = [("delete", 1, "e"), ("delete", 2, "c"), ("delete", 3, "d")]
    assert sorted(zip(*columns, strict=True)) == [*gone, ("insert", 4, "g")]


def test_a_table_is_as_its_contract_says_and_not_as_its_rows_came(tmp_path: Path) -> None:
    """Engines call every count and literal not null; a table that says so could not take a null later."""
    frame = some((1, "a")).select(["value", "unit"])
    frame = frame.cast(pa.schema([field.with_nullable(False) for field in frame.schema]))  # noqa: FBT003
    committer.overwrite(Target(str(tmp_path), TARGET), -1, frame, None)
    snapshot = log.snapshot(str(tmp_path))
    assert snapshot
    columns = json.loads(snapshot.metadata["schemaString"])["fields"]
    assert [(one["name"], one["nullable"]) for one in columns] == [("unit", True), ("value", True)]


def test_a_frame_stays_at_its_version(target: Target, engine: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "FEW_BYTES", -1)  # as a large table is read
    rows = engine.read(target.address, 0)
    committer.append(target, 0, some((4, "g")), None)
    assert rows.count() == 4


def test_who_read_before_somebody_elses_append_writes_nothing(target: Target) -> None:
    plain = Target(f"{target.address} without vectors", TARGET)
    committer.overwrite(plain, -1, some((1, "a")), None)
    write_deltalake(plain.address, some((2, "b")), mode="append")
    with pytest.raises(ConflictError, match=r"Another writer made version 1 .* start the run again"):
        committer.overwrite(plain, 0, some((3, "c")), None)
    assert stored(plain) == [(1, "a"), (2, "b")]


# Without it -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """With `new` in the place of `old`, which stands once in the function, the `test` fails."""

    function: Any
    old: str
    new: str
    test: Callable[..., None]


# ruff: noqa: SLF001  what is taken out is inside
MUTANTS = {
    "the rows before a change": Mutant(
        Native.changes,
        ".drop_columns([feed.VERSION]))",
        """.drop_columns([feed.VERSION])).where("_change_type = 'insert'")""",
        test_an_order_that_changes_hands_leaves_the_customer_it_had,
    ),
    "the way through another input": Mutant(
        units._units_of,
        "return _units_of(table, reach.through, leading, inputs)",
        'return _units_of(table, reach.through, leading.where("false"), inputs)',
        test_a_customers_change_reaches_the_sales_that_know_it_through_orders_alone,
    ),
    "the delete of vanished units": Mutant(
        refresh._write,
        "rows, differing)",
        "rows, differing.where('not _gone'))",
        test_a_day_from_which_all_orders_moved_away_vanishes,
    ),
    "the look for late deliveries": Mutant(
        plan.late_files,
        "if one.sequence <= held(market)",
        "if False",
        test_a_late_older_delivery_of_an_order_changes_nothing,
    ),
    "the tie-break": Mutant(
        Delivery.sequence.fget,  # type: ignore[attr-defined]
        " {self.path} {self.short_content}",
        "",
        test_of_two_files_of_the_same_day_and_second_the_one_behind_by_its_path_is_the_newer,
    ),
    "a wrong weekday": Mutant(
        transforms.weekday,
        "(F.dayofweek(day) + 5) % 7 + 1",
        "F.weekday(day) + 1",
        test_days_are_numbered_from_monday_to_sunday,
    ),
    "a truncated quotient": Mutant(
        transforms.quotient, " * twice + bottom", " * twice", test_a_quotient_is_rounded_and_not_cut
    ),
    "a wrapped sum": Mutant(
        transforms.whole_sum,
        '.cast("decimal(20,0)")',
        "",
        test_a_sum_that_is_too_large_is_an_error_and_no_other_number,
    ),
    "a lost vector": Mutant(
        leaving.hide, ', "deletionVector": descriptor}', "}", test_the_rows_of_a_replaced_unit_are_no_more
    ),
    "a vector without the old one's rows": Mutant(
        leaving._touched, "hits | hidden", "hits", test_a_file_of_which_rows_leave_twice_has_none_of_them
    ),
    "a bare remove": Mutant(
        leaving.left_out, "{} if is_bare else", "{} if stored else", test_delta_rs_knows_what_went_with_an_overwrite
    ),
    "vectors among what VACUUM keeps": Mutant(
        vacuum.places, "if vector else None", "if not file else None", test_vectors_of_kept_versions_stay
    ),
    "a schema from the frame": Mutant(
        committer.overwrite,
        "_definition(target, stored)",
        "_definition(replace(target, schema=rows.schema), stored)",
        test_a_table_is_as_its_contract_says_and_not_as_its_rows_came,
    ),
    "an unpinned read": Mutant(Native.read, '.option("versionAsOf", version)', "", test_a_frame_stays_at_its_version),
    "the new versions of a rewound table's inputs": Mutant(
        rewind._translated,
        "version=now[name].version",
        "version=was.version",
        test_a_rewind_takes_progress_and_the_ledger_with_it,
    ),
    "the rewound ledger": Mutant(
        rewind._close,
        "base, int(then.version)",
        "base, base",
        test_a_rewind_takes_progress_and_the_ledger_with_it,
    ),
    "a rebase over a foreign append": Mutant(
        committer.commit,
        "land(address, base + 1,",
        "land(address, (getattr(log.snapshot(address), 'version', -1)) + 1,",
        test_who_read_before_somebody_elses_append_writes_nothing,
    ),
}


@pytest.fixture
def mutated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mutant]:
    mutant = MUTANTS[request.param]
    monkeypatch.setattr(inspect.unwrap(mutant.function), "__code__", without(mutant).__code__)
    yield mutant
    monkeypatch.undo()


def without(mutant: Mutant) -> Any:  # noqa: ANN401
    """The function as its mutant is."""
    text = textwrap.dedent(inspect.getsource(mutant.function))
    assert text.count(mutant.old) == 1
    code = compile(text.replace(mutant.old, mutant.new), "mutant", "exec", future.annotations.compiler_flag)
    made: dict[str, Any] = {}
    exec(code, dict(inspect.unwrap(mutant.function).__globals__), made)  # noqa: S102  our own code
    (found,) = made.values()
    return inspect.unwrap(getattr(found, "fget", found))


@pytest.mark.parametrize("mutated", MUTANTS, indirect=True)
def test_what_is_taken_out_turns_its_test_red(mutated: Mutant, request: pytest.FixtureRequest) -> None:
    given = {name: request.getfixturevalue(name) for name in inspect.signature(mutated.test).parameters}
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        mutated.test(**given)
