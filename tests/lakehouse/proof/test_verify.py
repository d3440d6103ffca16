"""A table equals its rebuild from what it says it includes, or the rows that differ are found, whoever made them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import CommitProperties, write_deltalake

from lakehouse.delta.commits import ops
from lakehouse.delta.files import feed
from lakehouse.delta.tables.progress import Input
from lakehouse.errors import LakehouseError
from lakehouse.proof import verify
from lakehouse.proof.compare import Difference
from lakehouse.proof.verify import CERTIFICATES, Scope, Verdict
from lakehouse.writes.lake import Writer
from tests.toy import SOURCES, Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
BRONZE, LINES, REJECTED = "bronze.orders", "silver.order_lines", "silver.order_lines__rejected"
ORDERS, TOTALS, CURRENCIES = "silver.orders", "gold.totals", "gold.currencies"
WITH_CONF = (
    """
    owner: tests
    description: one row per market
    write: replace
    grain: [market]
    columns:
      market: {type: int, meaning: of the folder}
      currency: {type: string, meaning: of its amounts}
    """,
    """
    def build(gold_totals, conf_markets):
        return gold_totals.join(conf_markets, on="market", how="inner").select("market", "currency")
    """,
)
SAMPLE, SINCE = Scope("sample"), Scope("since")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Toy:
    """Two runs; the second one touches the orders 8 and 10."""
    toy = Toy(tmp_path_factory.mktemp("built"), engine, SOURCES | {CURRENCIES: WITH_CONF})
    toy.deliver("monday.csv", "7,A,2,10.00", "7,B,1,1.00", "8,B,1,5.00", "9,C,two,1", ",D,1,1")
    toy.run()
    toy.deliver("tuesday.csv", "8,B,3,5.00", "10,X,1,1.00", ",E,1,1")
    toy.run()
    return toy


@pytest.fixture
def toy(built: Toy, tmp_path: Path) -> Toy:
    return built.copied(tmp_path / "toy")


def verified(toy: Toy, *names: str, scope: Scope | None = None) -> dict[str, Verdict]:
    tables = toy.tables()
    wanted = verify.chosen(toy.lake, tables, names)
    done = verify.verify(toy.engine.name, toy.lake, str(toy.landing), tables, wanted, scope or Scope())
    return {one.table: one for one in done}


def differences(toy: Toy, name: str, scope: Scope | None = None) -> tuple[Difference, ...]:
    """All that differ, of the table and of its quarantine."""
    (one,) = verified(toy, name, scope=scope).values()
    assert not one.reason
    found = [difference for comparison in one.comparisons.values() for difference in comparison.first]
    assert one.differing == len(found)
    return tuple(found)


def carried(toy: Toy, name: str) -> CommitProperties:
    """What makes a commit carry the table's progress on, as if a run had written it."""
    state = toy.lake.state(name)
    said = {"userMetadata": state.progress.to_json()} if state and state.progress else None
    return CommitProperties(custom_metadata=said)


def update(toy: Toy, name: str, where: str | None = None, **values: str) -> None:
    toy.opened(name).update(values, predicate=where, commit_properties=carried(toy, name))


def delete(toy: Toy, name: str, where: str) -> None:
    toy.opened(name).delete(where, commit_properties=carried(toy, name))


def insert(toy: Toy, name: str, rows: pa.Table) -> None:
    write_deltalake(toy.opened(name), rows, mode="append", commit_properties=carried(toy, name))


def claim(toy: Toy, name: str, **inputs: Input) -> None:
    """A commit without rows that says that the table includes other inputs."""
    state = toy.lake.state(name)
    assert state is not None
    assert state.progress is not None
    read = state.progress.inputs | {parent.replace("_", ".", 1): one for parent, one in inputs.items()}
    note = replace(state.progress, run="claim", base=state.version, inputs=read)
    Writer(toy.lake, toy.engine, toy.tables()[name], note, state.progress).note_progress()


def certificates(toy: Toy) -> list[dict[str, object]]:
    return ops.query(toy.lake.address(CERTIFICATES), "select * from t order by at, table_name")


# Equal ----------------------------------------------------------------------------------------------------------------


def test_after_runs_every_table_equals_its_rebuild_and_gets_a_certificate(toy: Toy) -> None:
    done = verified(toy)
    assert {name: sorted(one.comparisons) for name, one in done.items()} == {
        name: [LINES, REJECTED] if name == LINES else [name] for name in toy.sources
    }
    assert all(one.is_right for one in done.values())
    kept = {str(row["table_name"]): row for row in certificates(toy)}
    rows = {BRONZE: 8, LINES: 4, ORDERS: 3, TOTALS: 1, CURRENCIES: 1}
    assert {name: row["rows"] for name, row in kept.items()} == rows
    assert len({row["verification"] for row in kept.values()}) == 1
    assert toy.lake.state(CERTIFICATES).version == 0  # type: ignore[union-attr]
    lines = kept[LINES]
    assert (lines["version"], lines["how"], lines["equal"], lines["differing"]) == (1, "whole", True, 0)
    assert json.loads(str(lines["inputs"])) == {BRONZE: 1}
    assert lines["hash"] == str(done[LINES].comparisons[LINES].hash)


def test_a_table_is_held_against_the_versions_that_it_read_and_not_against_newer_ones(toy: Toy) -> None:
    toy.deliver("wednesday.csv", "7,A,9,10.00", "11,A,1,1.00")
    toy.run(LINES)
    one = verified(toy, ORDERS)[ORDERS]
    assert (one.is_right, one.inputs) == (True, {LINES: 1})
    toy.run()
    assert verified(toy, ORDERS)[ORDERS].is_right


def test_optimize_changes_nothing(toy: Toy) -> None:
    toy.opened(ORDERS).optimize.compact()
    toy.opened(ORDERS).create_checkpoint()
    one = verified(toy, ORDERS)[ORDERS]
    assert (one.is_right, one.note) == (True, "")


# Different ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "where", "change", "values"),
    [
        (BRONZE, "_row = 1 and product = 'A'", {"price": "'10.0'"}, {"price": ("10.00", "10.0")}),
        (LINES, "product = 'A'", {"price": "10.01"}, {"price": ("10.00", "10.01")}),
        (ORDERS, "order_id = 8", {"units": "null"}, {"units": ("3", None)}),
        (TOTALS, "true", {"units": "8"}, {"units": ("7", "8")}),
    ],
)
def test_a_changed_value_is_found_with_both_sides(
    toy: Toy, name: str, where: str, change: dict[str, str], values: dict[str, tuple[str | None, str | None]]
) -> None:
    update(toy, name, where, **change)
    (one,) = differences(toy, name)
    assert (one.values, one.only_in) == (values, "")
    assert [row["equal"] for row in certificates(toy)] == [False]


def test_a_commit_of_somebody_else_is_named_and_what_it_changed_is_shown(toy: Toy) -> None:
    toy.opened(ORDERS).delete("order_id = 7")
    one = verified(toy, ORDERS)[ORDERS]
    assert "somebody else's DELETE made version 2" in one.note
    values = {"market": ("1", None), "order_id": ("7", None), "units": ("3", None)}
    assert one.comparisons[ORDERS].first == (Difference({"market": "1", "order_id": "7"}, values, "rebuilt"),)


def test_a_row_that_is_stored_twice_is_found(toy: Toy) -> None:
    insert(toy, ORDERS, feed.read(toy.lake.address(ORDERS), where=pc.field("order_id") == 7))
    (one,) = differences(toy, ORDERS)
    assert (one.key, one.only_in) == ({"market": "1", "order_id": "7"}, "stored")


def test_what_stands_in_quarantine_is_compared_too(toy: Toy) -> None:
    update(toy, REJECTED, "order_id = 9", rules="make_array('price_is_readable')")
    delete(toy, REJECTED, "order_id is null and _file like '%monday%'")
    missing, wrong = sorted(differences(toy, LINES), key=lambda one: one.only_in, reverse=True)
    assert (missing.only_in, missing.key["_row"]) == ("rebuilt", "5")
    assert wrong.values == {"rules": ("[quantity_is_readable]", "[price_is_readable]")}


def test_a_lost_quarantine_is_found(toy: Toy) -> None:
    shutil.rmtree(toy.lake.address(REJECTED))
    assert {one.only_in for one in differences(toy, LINES)} == {"rebuilt"}


def test_a_bronze_row_that_no_file_brought_is_found(toy: Toy) -> None:
    rows = feed.read(toy.lake.address(BRONZE), where=pc.field("product") == "A")
    place = rows.column_names.index("_batch")
    insert(toy, BRONZE, rows.set_column(place, "_batch", pa.array([77] * rows.num_rows, pa.int64())))
    (one,) = differences(toy, BRONZE)
    assert (one.key["_batch"], one.only_in) == ("77", "stored")


# Files that are gone --------------------------------------------------------------------------------------------------


def test_of_bronze_only_files_that_still_stand_in_landing_are_compared(toy: Toy) -> None:
    (toy.landing / "market_1" / "monday.csv").unlink()
    one = verified(toy, BRONZE)[BRONZE]
    assert (one.is_right, one.comparisons[BRONZE].rows) == (True, 3)
    assert one.note == "1 of 2 files no longer stand in landing as they were loaded"
    shutil.rmtree(toy.landing)
    one = verified(toy, BRONZE)[BRONZE]
    assert (one.is_right, one.comparisons) == (True, {})
    assert len(certificates(toy)) == 1


# A part of the units --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Toy:
    toy = Toy(tmp_path_factory.mktemp("large"), engine)
    toy.deliver("monday.csv", *(f"{order},A,{order},1.00" for order in range(1, 31)), "77,A,none,1.00")
    toy.run()
    return toy


@pytest.fixture
def some_orders(large: Toy, tmp_path: Path) -> Toy:
    return large.copied(tmp_path / "toy")


@pytest.mark.parametrize("name", [LINES, ORDERS])
def test_a_sample_has_a_few_units_at_least_the_same_each_time_and_others_after_a_run(
    some_orders: Toy, name: str
) -> None:
    first, again = (verified(some_orders, name, scope=SAMPLE)[name].comparisons[name] for _ in range(2))
    assert (first.is_equal, first.rows, first.stored) == (True, 5, 5)
    some_orders.deliver("tuesday.csv", "99,A,1,1.00")
    some_orders.run(name)
    later = verified(some_orders, name, scope=SAMPLE)[name].comparisons[name]
    assert (later.is_equal, later.rows) == (True, 5)
    assert first.hash == again.hash != later.hash


@pytest.mark.parametrize("name", [LINES, ORDERS])
def test_a_sample_finds_what_is_wrong_everywhere_and_units_that_are_gone(some_orders: Toy, name: str) -> None:
    delete(some_orders, name, "order_id > 0")
    found = differences(some_orders, name, SAMPLE)
    assert [one.only_in for one in found] == ["rebuilt"] * 5


def test_a_sample_of_files_is_read_again(toy: Toy) -> None:
    one = verified(toy, BRONZE, TOTALS, scope=SAMPLE)
    assert one[BRONZE].comparisons[BRONZE].rows in {3, 5}
    assert (one[TOTALS].how, one[BRONZE].how) == ("whole", "sample")


def test_since_compares_what_the_last_run_touched(toy: Toy) -> None:
    done = verified(toy, scope=SINCE)
    assert all(one.is_right for one in done.values())
    assert {name: one.comparisons[name].rows for name, one in done.items()} == {
        BRONZE: 3, LINES: 2, ORDERS: 2, TOTALS: 1, CURRENCIES: 1,
    }  # fmt: skip
    assert done[LINES].comparisons[REJECTED].rows == 2  # those without a key, always; order 9 is not among them
    two_runs = verified(toy, LINES, ORDERS, scope=Scope("since", 2))
    assert {name: (one.how, one.comparisons[name].rows) for name, one in two_runs.items()} == {
        LINES: ("whole", 4), ORDERS: ("whole", 3),
    }  # fmt: skip


def test_since_does_not_look_at_units_of_earlier_runs(tmp_path: Path, engine: Native) -> None:
    toy = Toy(tmp_path, engine)
    toy.deliver("monday.csv", "7,A,2,10.00", "8,B,1,5.00", "9,C,1,5.00")
    toy.run()
    update(toy, LINES, "order_id = 7", price="99")
    update(toy, ORDERS, "order_id = 9", units="99")
    toy.deliver("tuesday.csv", "8,B,3,5.00")
    toy.run(ORDERS)
    assert [one.is_right for one in verified(toy, LINES, ORDERS, scope=SINCE).values()] == [True, True]
    assert [one.differing for one in verified(toy, LINES, ORDERS).values()] == [1, 1]
    update(toy, ORDERS, "order_id = 8", units="99")
    assert [one.key["order_id"] for one in differences(toy, ORDERS, SINCE)] == ["8"]


def test_since_finds_a_unit_that_the_last_run_should_have_changed_and_did_not(toy: Toy) -> None:
    toy.deliver("wednesday.csv", "7,A,9,10.00")
    toy.run(LINES)
    now = toy.lake.state(LINES)
    assert now is not None
    claim(toy, ORDERS, silver_order_lines=Input(now.version, now.id, 2))
    (one,) = differences(toy, ORDERS, SINCE)
    assert (one.key["order_id"], one.values) == ("7", {"units": ("9", "3")})


# What cannot be compared ----------------------------------------------------------------------------------------------


def test_a_changed_definition_is_not_compared_and_not_passed_over(toy: Toy) -> None:
    contract, code = toy.sources[ORDERS]
    toy.sources = toy.sources | {ORDERS: (contract, code.replace('F.sum("quantity")', 'F.max("quantity")'))}
    one = verified(toy, ORDERS)[ORDERS]
    assert (one.is_right, one.comparisons) == (False, {})
    assert "its definition changed since it was written. Run `lakehouse run`" in one.reason
    assert certificates(toy) == []


def test_changed_conf_is_named(toy: Toy) -> None:
    claim(toy, CURRENCIES, conf_markets=Input("another"))
    one = verified(toy, CURRENCIES)[CURRENCIES]
    assert (one.is_right, one.comparisons) == (False, {})
    assert "conf/markets.yml changed since it was written" in one.reason


def test_an_input_that_was_made_anew_is_named(toy: Toy) -> None:
    claim(toy, ORDERS, silver_order_lines=Input(0, "another"))
    assert f"{LINES}, from which it was made, is gone or was made anew" in verified(toy, ORDERS)[ORDERS].reason


def test_a_version_that_vacuum_took_away_is_named_and_the_other_tables_are_compared(toy: Toy, engine: Native) -> None:
    toy.deliver("wednesday.csv", "7,A,9,10.00", "8,A,9,10.00", "10,A,9,10.00")
    toy.run(LINES)
    toy.opened(LINES).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    engine.held.clear()  # as in a process that did not read it before
    done = verified(toy, ORDERS, TOTALS)
    assert f"{LINES} can no longer be read at version 1" in done[ORDERS].reason
    assert done[TOTALS].is_right


def test_a_version_that_the_log_no_longer_has_is_named(toy: Toy) -> None:
    state = toy.lake.state(LINES)
    assert state is not None
    claim(toy, ORDERS, silver_order_lines=Input(77, state.id))
    assert f"{LINES} can no longer be read at version 77" in verified(toy, ORDERS)[ORDERS].reason


def test_a_table_that_is_not_there_is_an_error_only_when_it_is_named(toy: Toy) -> None:
    shutil.rmtree(toy.lake.address(TOTALS))
    wanted = verify.chosen(toy.lake, toy.tables(), ())
    assert [table.name for table in wanted] == [BRONZE, LINES, ORDERS, CURRENCIES]
    with pytest.raises(LakehouseError, match=r"gold\.totals is not there yet"):
        verify.chosen(toy.lake, toy.tables(), [TOTALS])
    with pytest.raises(LakehouseError, match=r"There is no table gold\.total\."):
        verify.chosen(toy.lake, toy.tables(), ["gold.total"])
