"""A number is followed over the recorded versions down to the rows of files, and back over the runs that changed it."""

from __future__ import annotations

import shutil
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from lakehouse.causes import changes, explain
from lakehouse.causes.explain import Removed
from lakehouse.errors import LakehouseError
from lakehouse.proof.judged import Kept
from tests.toy import Toy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lakehouse.causes.changes import Change
    from lakehouse.causes.explain import Answer, Step
    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
LINES = "silver.order_lines"

LARGEST_PRICES = (
    """
    owner: tests
    description: the highest price of a product
    write: refresh
    grain: [market, product]
    unit: [market, product]
    columns:
      market: {type: int, meaning: of the folder}
      product: {type: string, meaning: what}
      highest_price: {type: "decimal(18,2)", meaning: in any order}
    """,
    """
    from pyspark.sql import functions as F

    def build(silver_order_lines):
        return silver_order_lines.groupBy("market", "product").agg(F.max("price").alias("highest_price"))
    """,
)
BASKETS = (
    """
    owner: tests
    description: orders with what they could have cost
    write: refresh
    grain: [market, order_id]
    unit: [market, order_id]
    inputs:
      silver.prices: {through: silver.order_lines, "on": [market, product]}
    columns:
      market: {type: int, meaning: of the folder}
      order_id: {type: bigint, meaning: the order}
      lines: {type: bigint, meaning: its lines}
      most: {type: "decimal(28,2)", meaning: at the highest prices}
    """,
    """
    from pyspark.sql import functions as F

    def build(silver_orders, silver_order_lines, silver_prices):
        lines = silver_order_lines.join(silver_prices, on=["market", "product"], how="left")
        most = F.sum("highest_price").alias("most")
        sums = lines.groupBy("market", "order_id").agg(F.count("*").alias("lines"), most)
        return silver_orders.select("market", "order_id").join(sums, on=["market", "order_id"], how="left")
    """,
)


@pytest.fixture
def toy(tmp_path: Path, engine: Native) -> Toy:
    return Toy(tmp_path, engine)


@pytest.fixture
def baskets(toy: Toy) -> Toy:
    toy.sources |= {"silver.prices": LARGEST_PRICES, "gold.baskets": BASKETS}
    return toy


def ask(toy: Toy, name: str, where: str = "true", examples: int = 5) -> Answer:
    tables = toy.tables()
    return explain.answer(toy.engine, toy.lake, tables, explain.ask(toy.lake, tables, name, where), examples)


def steps(step: Step) -> Iterator[Step]:
    yield step
    for one in step.inputs:
        yield from steps(one)


def way(answer: Answer) -> list[tuple[str, int, int]]:
    """Table, version and rows of every step."""
    return [(one.table, one.version, one.rows.rows) for one in steps(answer.step)]


def files(step: Step) -> list[tuple[str, tuple[tuple[int, int], ...]]]:
    return [(file.path, file.ranges) for one in steps(step) for file in one.files]


def moved(change: Change, column: str) -> tuple[object, object]:
    """The column before and after, of one row."""
    before, after = (rows[0][column] if rows else None for rows in (change.before, change.after))
    return before, after


def test_a_number_is_followed_to_the_rows_of_its_files(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", "8,B,1,5.00", "7,C,1,2.00", day=1)
    toy.deliver("b.csv", "7,A,9,10.00", day=1, market=2)
    toy.run()
    answer = ask(toy, "silver.orders", "market = 1 and order_id = 7")
    assert answer.step.rows.examples == ({"market": 1, "order_id": 7, "units": 3},)
    assert way(answer) == [("silver.orders", 0, 1), ("silver.order_lines", 0, 2), ("bronze.orders", 0, 2)]
    assert files(answer.step) == [("market_1/2024-01-01/a.csv", ((1, 1), (3, 3)))]


def test_what_is_summed_is_added_up_and_the_largest_are_shown(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", "7,B,5,5.00", "7,C,1,2.00", day=1)
    toy.run()
    lines = ask(toy, "silver.orders", examples=2).step.inputs[0].rows
    assert lines.sums == {"quantity": 8}
    assert lines.largest_by == "quantity"
    assert lines.same == {"market": 1, "order_id": 7}
    assert [(one["line_number"], one["quantity"]) for one in lines.examples] == [(2, 5), (1, 2)]


def test_a_late_file_that_changed_a_value_is_in_its_history(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", "8,B,1,5.00", day=1)
    toy.run()
    toy.deliver("c.csv", "8,B,3,5.00", day=3)
    toy.run()
    toy.deliver("b.csv", "7,A,4,10.00", "9,C,1,1.00", day=2)
    run = toy.run()
    last, first = ask(toy, "silver.orders", "order_id = 7").history.changes
    assert (moved(last, "units"), moved(first, "units")) == ((2, 4), (None, 2))
    assert last.version == run["silver.orders"].version
    assert [(one.file, one.rows) for one in last.files] == [("market_1/2024-01-02/b.csv", 1)]
    assert [(one.file, one.rows) for one in first.files] == [("market_1/2024-01-01/a.csv", None)]


def test_an_input_that_is_reached_through_another_comes_once_and_so_do_its_rows(baskets: Toy) -> None:
    baskets.deliver("a.csv", "7,A,2,10.00", "8,B,1,5.00", "9,A,1,12.00", day=1)
    baskets.run()
    answer = ask(baskets, "gold.baskets", "order_id = 7")
    assert [(one.table, one.rows.rows, one.through) for one in answer.step.inputs] == [
        ("silver.orders", 1, ""),
        ("silver.order_lines", 1, ""),
        ("silver.prices", 1, "silver.order_lines"),
    ]
    assert [one.note for one in answer.step.inputs] == ["", explain.AGAIN, ""]
    # Order 9 has the same product, so the highest price is of both.
    assert files(answer.step.inputs[2]) == [("market_1/2024-01-01/a.csv", ((1, 1), (3, 3)))]


def test_every_step_reads_the_version_that_was_recorded_and_what_moved_since_is_said(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", day=1)
    toy.run()
    toy.deliver("b.csv", "7,A,5,10.00", day=2)
    toy.run("silver.order_lines")
    answer = ask(toy, "silver.orders")
    assert way(answer) == [("silver.orders", 0, 1), ("silver.order_lines", 0, 1), ("bronze.orders", 0, 1)]
    assert answer.step.rows.examples[0]["units"] == answer.step.inputs[0].rows.examples[0]["quantity"] == 2
    assert answer.behind == ("silver.order_lines moved 0 -> 1 since silver.orders was made",)


def test_of_a_file_that_was_delivered_again_the_version_that_says_what_is_stored_is_named(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", "8,B,1,5.00", day=1)
    toy.run()
    toy.deliver(
        "a.csv", "6,Z,1,1.00", "7,A,2,10.00", "8,B,3,5.00", day=1
    )  # order 7 moved to row 2 and is not rewritten
    toy.run()
    (seven,) = ask(toy, "silver.order_lines", "order_id = 7").step.inputs[0].files
    (eight,) = ask(toy, "silver.order_lines", "order_id = 8").step.inputs[0].files
    assert (seven.ranges, seven.delivery) == (((1, 1),), (1, 2))
    assert (eight.ranges, eight.delivery) == (((3, 3),), (2, 2))


def test_delivered_rows_are_shown_as_they_were_written(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A, 2 ,10.0", "8,B,1,5.00", day=1)
    toy.run()
    (bronze,) = ask(toy, "silver.order_lines", "order_id = 7").step.inputs
    assert bronze.rows.examples == ({"_row": 1, "order_id": "7", "quantity": " 2 ", "price": "10.0"},)


def test_rows_of_bronze_are_explained_by_their_files_alone(toy: Toy) -> None:
    toy.deliver("a.csv", *(f"{order},A,1,1.00" for order in (1, 2, 2, 3, 2)), day=1)
    toy.run()
    answer = ask(toy, "bronze.orders", "order_id = '2'")
    assert files(answer.step) == [("market_1/2024-01-01/a.csv", ((2, 3), (5, 5)))]
    assert (answer.step.rows.rows, answer.step.inputs, answer.history.changes) == (3, (), ())


def test_a_table_that_is_computed_whole_is_followed_one_step(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", "8,B,1,5.00", day=1)
    toy.run()
    (orders,) = ask(toy, "gold.totals", "market = 1").step.inputs
    assert (orders.table, orders.rows.rows, orders.inputs) == ("silver.orders", 2, ())
    assert orders.note.startswith("all of them, since gold.totals is computed as a whole")


def test_a_row_that_never_was_has_no_way_and_no_history(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", day=1)
    toy.run()
    answer = ask(toy, "silver.orders", "order_id = 70")
    assert (way(answer), answer.history.changes, answer.behind) == ([("silver.orders", 0, 0)], (), ())


def test_a_row_that_is_gone_says_which_run_took_it(baskets: Toy) -> None:
    baskets.deliver("a.csv", "7,A,2,10.00", "8,B,1,5.00", day=1)
    baskets.run()
    baskets.deliver("b.csv", "7,C,2,10.00", day=2)
    run = baskets.run()
    answer = ask(baskets, "silver.prices", "product = 'A'")
    last, first = answer.history.changes
    assert (answer.step.rows.rows, last.after, first.before) == (0, (), ())
    assert last.version == run["silver.prices"].version
    assert [one.file for one in last.files] == ["market_1/2024-01-02/b.csv"]


def test_a_changed_definition_is_named_as_the_cause(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", day=1)
    toy.run()
    promise, code = toy.sources["silver.orders"]
    toy.sources["silver.orders"] = (promise, code.replace('F.sum("quantity")', 'F.sum(F.col("quantity") * 10)'))
    toy.run()
    last, _ = ask(toy, "silver.orders").history.changes
    assert moved(last, "units") == (2, 20)
    assert (last.because, last.files) == (("the definition of silver.orders changed",), ())


def test_only_the_newest_changes_are_shown(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "SHOWN", 2)
    for day in range(1, 5):
        toy.deliver("a.csv", f"7,A,{day},1.00", "8,B,1,1.00", day=day)
        toy.run("silver.orders")
    history = ask(toy, "silver.orders", "order_id = 7").history
    assert [moved(one, "units") for one in history.changes] == [(3, 4), (2, 3)]
    assert history.note == "what happened before version 2 is not shown"


def test_a_version_of_an_input_that_is_gone_ends_the_way_and_not_the_answer(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", day=1)
    toy.run()
    shutil.rmtree(toy.folder / "lake" / "silver" / "order_lines")
    toy.run("silver.order_lines")
    answer = ask(toy, "silver.orders")
    assert answer.step.rows.examples[0]["units"] == 2
    assert answer.step.note == "silver.order_lines was made anew or rewound since, so what it was made from is gone"


def test_a_table_that_somebody_else_wrote_says_that_its_inputs_are_not_known(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", "8,B,1,5.00", day=1)
    toy.run()
    toy.opened("silver.orders").delete("order_id = 8")
    answer = ask(toy, "silver.orders", "true")
    assert answer.step.note == "what it was made from is not known: somebody else's DELETE made version 1"
    assert ask(toy, "silver.orders", "order_id = 8").history.changes[0].operation == "DELETE"


def test_files_that_were_cleaned_away_are_an_error_in_words(toy: Toy, engine: Native) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", day=1)
    toy.run()
    for file in (toy.folder / "lake" / "silver" / "order_lines").glob("*.parquet"):
        file.unlink()
    engine.held.clear()  # as in a process that did not read it before
    with pytest.raises(LakehouseError, match=r"^silver.order_lines can no longer be read in version 0"):
        ask(toy, "silver.orders")


def test_more_than_a_few_units_are_refused_with_examples(toy: Toy) -> None:
    toy.deliver("a.csv", *(f"{order},A,1,1.00" for order in range(1, 7)), day=1)
    toy.run()
    with pytest.raises(
        LakehouseError, match=r"more than 5 units of silver.orders, e.g. market 1, order_id \d; market 1"
    ):
        ask(toy, "silver.orders")


def test_a_table_that_is_not_there_says_how_to_build_it(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", day=1)
    toy.run("bronze.orders")
    with pytest.raises(LakehouseError, match=r"^silver.orders is not there yet. Build it: `lakehouse run silver"):
        ask(toy, "silver.orders")


def test_an_unknown_column_names_the_known(toy: Toy) -> None:
    toy.deliver("a.csv", "7,A,2,10.00", day=1)
    toy.run()
    with pytest.raises(LakehouseError) as error:
        ask(toy, "silver.orders", "market = 1 and order_day = '2024-01-01'")
    assert str(error.value) == "silver.orders has no column order_day. It has: market, order_id, units."


# What a document owes to other deliveries


def test_a_kept_value_names_the_delivery_that_said_it_last_and_not_the_one_that_lacks_it(toy: Toy) -> None:
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (contract.replace("from: price,", "from: price, lacking: keep,"), code)
    toy.deliver("old.csv", "7,A,1,9.00", "8,A,1,1.00", day=1)
    toy.deliver("said.csv", "7,A,1,10.00", "7,B,1,5.00", day=2)
    toy.deliver("wrong.csv", "7,A,two,99.00", day=3)
    toy.deliver("without.csv", "7,A,3", "7,B,3", "9,A,3", header="order_id,product,quantity", day=4)
    toy.run()
    answer = ask(toy, LINES, "order_id in (7, 9)")
    assert [row["price"] for row in answer.step.rows.examples] == [Decimal("10.00"), Decimal("5.00"), None]
    assert answer.step.kept == (Kept("price", "market_1/2024-01-02/said.csv", 2),)
    assert {path for path, _ in files(answer.step)} == {"market_1/2024-01-04/without.csv"}
    assert ask(toy, LINES, "order_id = 8").step.kept == ()


def test_a_row_that_a_dump_removed_names_the_first_one_that_did_not_have_it(toy: Toy) -> None:
    contract, code = toy.sources[LINES]
    dump = "full_dump: {of: [market], least: 0.5, vanished: remove}"
    toy.sources[LINES] = (contract.replace("position:", f"{dump}\n        position:"), code)
    for day, orders in enumerate(((7, 8, 9), (7, 9), (9,), (9, 10)), start=1):
        toy.deliver("dump.csv", *(f"{order},A,1,1.00" for order in orders), day=day)
    toy.deliver("dump.csv", "7,A,1,1.00", "8,A,1,1.00", day=1, market=2)
    toy.run()
    assert not ask(toy, LINES, "order_id = 8").removed  # the run that it came with has removed it: it never was there
    toy.deliver("dump.csv", "10,A,1,1.00", day=5)
    toy.deliver("dump.csv", "10,A,1,1.00", day=6)
    toy.run()
    gone = ask(toy, LINES, "order_id = 9")
    assert gone.step.rows.rows == 0
    assert gone.removed == (Removed({"market": 1, "order_id": 9}, "market_1/2024-01-05/dump.csv"),)
