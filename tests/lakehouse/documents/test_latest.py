"""The row protocol: of each document the newest right delivery, and every row in exactly one place."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.proof import verify
from tests.toy import HEADER, Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

LINES = "silver.order_lines"


@pytest.fixture
def toy(tmp_path: Path, engine: Native) -> Toy:
    return Toy(tmp_path, engine)


def _counts(toy: Toy) -> dict[str, int]:
    done = toy.run(LINES)[LINES]
    return {status: count for status, count in done.counts["rows"].items() if count}


def _lines(toy: Toy) -> list[tuple[object, ...]]:
    return toy.rows(LINES, "order_id", "product", "quantity")


@pytest.mark.slow
def test_the_worked_example_of_the_design(toy: Toy) -> None:
    """design.md section 4: orders delivered on day 1, on day 3, late for day 2, and corrected on day 4."""
    toy.deliver("orders.csv", "7,A,2,10.00", "7,A,2,10.00", "8,B,1,5.00", "9,C,two,3.00", day=1)
    assert _counts(toy) == {"kept": 2, "duplicate": 1, "rejected": 1}
    assert _lines(toy) == [(7, "A", 2), (8, "B", 1)]
    assert toy.rejected() == [(9, ["quantity_is_readable"], "market_1/2024-01-01/orders.csv", 4)]

    toy.deliver("orders.csv", "8,B,1,5.00", "9,C,2,3.00", ",D,1,1.00", day=3)
    assert _counts(toy) == {"kept": 1, "unchanged": 1, "rejected": 1}
    assert _lines(toy) == [(7, "A", 2), (8, "B", 1), (9, "C", 2)]
    assert toy.rejected() == [(None, ["order_id_is_present"], "market_1/2024-01-03/orders.csv", 3)]

    toy.deliver("orders.csv", "8,B,4,5.00", "7,A,1,10.00", "7,E,1,2.00", day=2)
    done = toy.run(LINES)[LINES]
    assert done.decision.path == "late"
    assert {k: v for k, v in done.counts["rows"].items() if v} == {"kept": 2, "superseded": 1}
    assert _lines(toy) == [(7, "A", 1), (7, "E", 1), (8, "B", 1), (9, "C", 2)]
    assert len(toy.rejected()) == 1

    fixed = "10,D,1,1.00,market_1/2024-01-03/orders.csv,3"
    toy.deliver("fixed.csv", fixed, day=4, header=f"{HEADER},_replaces_file,_replaces_row")
    assert _counts(toy) == {"kept": 1}
    assert (10, "D", 1) in _lines(toy)
    assert toy.rejected() == []


@pytest.mark.slow
def test_all_deliveries_at_once_or_one_by_one_end_the_same(toy: Toy, tmp_path: Path, engine: Native) -> None:
    together = Toy(tmp_path / "together", engine)
    for lake in (toy, together):
        for day, rows in ((1, ["7,A,2,1", "9,C,two,3"]), (3, ["9,C,2,3", ",D,1,1"]), (2, ["7,B,1,1", "8,X,bad,1"])):
            lake.deliver("orders.csv", *rows, day=day)
            if lake is toy:
                lake.run(LINES)
    together.run(LINES)
    assert _lines(toy) == _lines(together)
    assert toy.rejected() == together.rejected()


@pytest.mark.slow
def test_a_wrong_delivery_leaves_the_last_right_one_in_place(toy: Toy) -> None:
    toy.deliver("orders.csv", "7,A,2,10.00", "7,B,1,1.00", day=1)
    toy.run(LINES)
    toy.deliver("orders.csv", "7,A,3,10.00", "7,B,none,1.00", day=2)
    assert _counts(toy) == {"rejected": 2}
    assert _lines(toy) == [(7, "A", 2), (7, "B", 1)]
    assert [row[:2] for row in toy.rejected()] == [(7, ["another_row_of_its_document"]), (7, ["quantity_is_readable"])]


@pytest.mark.slow
def test_nothing_unreadable_becomes_null_and_nothing_is_rounded(toy: Toy) -> None:
    toy.deliver("orders.csv", "1,A,1,12.3456", "2,A,1,-", "3,A,1,12.30", "4,A,1.5,1")
    toy.run(LINES)
    assert toy.rows(LINES, "order_id", "price") == [(2, None), (3, Decimal("12.30"))]
    assert [row[:2] for row in toy.rejected()] == [(1, ["price_is_readable"]), (4, ["quantity_is_readable"])]


@pytest.mark.slow
def test_a_full_dump_delivered_again_is_silent_downstream(toy: Toy) -> None:
    toy.deliver("monday.csv", "7,A,2,10.00", "8,B,1,5.00")
    toy.run()
    before = toy.versions()
    toy.deliver("tuesday.csv", "8,B,1,5.00", "7,A,2,10.00")
    done = toy.run()
    assert done[LINES].counts["rows"]["unchanged"] == 2
    assert {name for name, version in toy.versions().items() if version != before[name]} == {"bronze.orders", LINES}
    assert toy.changes(LINES, before[LINES]) == []


@pytest.mark.slow
def test_only_the_changed_document_is_written(toy: Toy) -> None:
    toy.deliver("monday.csv", *(f"{order},A,1,1.00" for order in range(20)), "7,B,1,1.00")
    toy.run()
    lines, orders = toy.versions()[LINES], toy.versions()["silver.orders"]
    toy.deliver("tuesday.csv", *(f"{order},A,1,1.00" for order in range(20)))
    toy.run()
    assert {change[2] for change in toy.changes(LINES, lines)} == {7}
    assert toy.changes("silver.orders", orders) == [("delete", 1, 7), ("insert", 1, 7)]


@pytest.mark.slow
def test_repeats_are_duplicates_only_where_the_contract_says_so(toy: Toy) -> None:
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (contract.replace("position:", "repeats: keep\n        position:"), code)
    toy.deliver("orders.csv", "7,A,2,10.00", "7,A,2,10.00")
    assert _counts(toy) == {"kept": 2}
    assert toy.rows(LINES, "line_number") == [(1,), (2,)]


@pytest.mark.slow
def test_rows_that_differ_in_a_column_no_contract_knows_are_not_duplicates(toy: Toy) -> None:
    toy.deliver("orders.csv", "7,A,2,10.00,red", "7,A,2,10.00,blue", header=f"{HEADER},colour")
    assert _counts(toy) == {"kept": 2}


@pytest.mark.slow
def test_a_row_of_the_wrong_width_is_rejected_with_its_place(toy: Toy) -> None:
    toy.deliver("orders.csv", "7,A,2,10.00", "8,B", "9,C,1,1,1,1")
    toy.run(LINES)
    assert _lines(toy) == [(7, "A", 2)]
    assert {row[0]: row[1][0] for row in toy.rejected()} == {  # type: ignore[index]
        8: "row_is_too_short",
        9: "row_is_too_long",
    }


def test_a_correction_that_names_a_file_and_no_row_corrects_nothing(toy: Toy) -> None:
    toy.deliver("orders.csv", "7,A,2,10.00,market_1/2024-01-01/orders.csv", header=f"{HEADER},_replaces_file")
    assert _counts(toy) == {"kept": 1}


@pytest.mark.slow
def test_keys_of_two_markets_do_not_meet(toy: Toy) -> None:
    toy.deliver("orders.csv", "7,A,2,10.00", market=1)
    toy.deliver("orders.csv", "7,B,1,1.00", market=2)
    toy.run(LINES)
    assert toy.rows(LINES, "market", "order_id", "product") == [(1, 7, "A"), (2, 7, "B")]


@pytest.mark.slow
def test_a_newer_file_of_one_market_is_in_time_although_the_other_market_has_a_later_one(toy: Toy) -> None:
    toy.deliver("orders.csv", "7,A,2,10.00", market=2, day=9)
    toy.deliver("orders.csv", "7,A,2,10.00", market=1, day=1)
    toy.run(LINES)
    toy.deliver("orders.csv", "8,A,2,10.00", market=1, day=2)
    assert toy.run(LINES)[LINES].decision.path == "new"


@pytest.mark.slow
def test_the_same_file_with_new_content_supersedes_its_keyless_rows(toy: Toy) -> None:
    toy.deliver("orders.csv", "7,A,2,10.00", ",D,1,1.00")
    toy.run(LINES)
    assert len(toy.rejected()) == 1
    toy.deliver("orders.csv", "7,A,2,10.00", "10,D,1,1.00")
    toy.run(LINES)
    assert toy.rejected() == []
    assert _lines(toy) == [(10, "D", 1), (7, "A", 2)]


@pytest.mark.slow
def test_a_then_b_then_a_again_ends_as_a(toy: Toy) -> None:
    for rows in (["7,A,1,1"], ["7,B,1,1"], ["7,A,1,1"]):
        toy.deliver("orders.csv", *rows)
        toy.run(LINES)
    assert _lines(toy) == [(7, "A", 1)]


@pytest.mark.slow
def test_a_changed_rule_heals_the_quarantine_and_judges_old_rows_anew(toy: Toy) -> None:
    toy.deliver("orders.csv", "7,A,2,10.00", "8,B,0,5.00")
    contract, code = toy.sources[LINES]
    rule = 'rules: {quantity_is_positive: {check: "quantity > 0", severity: reject, why: units are sold}}\n'
    toy.sources[LINES] = (contract.rstrip() + "\n        " + rule, code)
    toy.run(LINES)
    assert (_lines(toy), len(toy.rejected())) == ([(7, "A", 2)], 1)
    assert toy.run(LINES)[LINES].decision.path == "nothing"  # its own delete leaves no doubt about its progress
    toy.sources[LINES] = (contract, code)
    assert toy.run(LINES)[LINES].decision.reason == "its definition changed"
    assert (_lines(toy), toy.rejected()) == ([(7, "A", 2), (8, "B", 0)], [])


def test_a_build_that_loses_rows_is_an_error_that_counts_them(toy: Toy) -> None:
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (contract, code.rstrip().removesuffix(")") + ").where('quantity > 1')\n        ")
    toy.deliver("orders.csv", "7,A,2,10.00", "8,B,1,5.00")
    with pytest.raises(LakehouseError, match="2 rows came in, but 1 are accounted for"):
        toy.run(LINES)


def test_a_build_that_the_engine_cannot_run_is_a_sentence_that_names_its_files(toy: Toy) -> None:
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (contract, code.replace('"product"', '"produce"'))
    toy.deliver("orders.csv", "7,A,2,10.00")
    with pytest.raises(
        LakehouseError, match=r"silver.order_lines could not be written\. The engine says: .*produce"
    ) as error:
        toy.run(LINES)
    assert "silver/order_lines.py or conf/silver/order_lines.yml" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.slow
def test_a_rebuild_from_all_rows_ends_as_the_increments_did(toy: Toy) -> None:
    """Corrections by name and by the same file hold in a rebuild too, which sees old and new rows at once."""
    toy.deliver("orders.csv", ",D,1,1.00", "9,C,two,1.00", day=1)
    toy.deliver("more.csv", ",E,1,1.00", day=2)
    toy.run(LINES)
    fixed = "10,D,1,1.00,market_1/2024-01-01/orders.csv,1"
    toy.deliver("fixed.csv", fixed, day=3, header=f"{HEADER},_replaces_file,_replaces_row")
    toy.deliver("more.csv", "11,E,1,1.00", day=2)
    toy.run(LINES)
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (contract, f"{code.rstrip()}\n\n        LIMIT = 1\n")
    incremental = (_lines(toy), toy.rejected())
    assert toy.run(LINES)[LINES].decision.reason == "its definition changed"
    assert (_lines(toy), toy.rejected()) == incremental
    assert incremental == (
        [(10, "D", 1), (11, "E", 1)],
        [(9, ["quantity_is_readable"], "market_1/2024-01-01/orders.csv", 2)],
    )


FIRST, SECOND = ("9,C,two,1.00", ",D,1,1.00"), ("10,C,two,1.00", ",E,1,1.00")  # what one file's two versions say
# Which row of which version a correction names, and which rows are wrong after it: by order, or by product without one
CORRECTIONS = {
    "1@first": {10, "E"},
    "1@second": {9, "E"},
    "1": {9, "E"},  # of the newest version
    "2@first": {9, 10, "E"},  # that row is gone with its version
    "2@second": {9, 10},
    " 2 ": {9, 10},
    "1@0123456789ab": {9, 10, "E"},
    "3@second": {9, 10, "E"},
    "one": {9, 10, "E"},
}


@pytest.mark.slow
@pytest.mark.parametrize("in_one_run", [False, True])
def test_a_correction_heals_the_row_of_one_version_of_a_file(toy: Toy, *, in_one_run: bool) -> None:
    markets = dict(enumerate(CORRECTIONS, start=1))
    for rows in (FIRST, SECOND):
        for market in markets:
            toy.deliver("orders.csv", *rows, day=1, market=market)
        toy.run(LINES)
    first, second = (hashlib.sha256("\n".join([HEADER, *rows]).encode()).hexdigest()[:12] for rows in (FIRST, SECOND))
    if in_one_run:
        contract, code = toy.sources[LINES]
        toy.sources[LINES] = (contract, f"{code.rstrip()}\n\n        LIMIT = 1\n")
    for market, named in markets.items():
        place = named.replace("first", first).replace("second", second)
        row = f"{market}00,X,1,1,market_{market}/2024-01-01/orders.csv,{place}"
        toy.deliver("fixed.csv", row, day=2, market=market, header=f"{HEADER},_replaces_file,_replaces_row")
    assert toy.run(LINES)[LINES].decision.path == ("whole" if in_one_run else "new")
    for market, named in markets.items():
        mine = {row[0] or "E" for row in toy.rejected() if str(row[2]).startswith(f"market_{market}/")}
        assert mine == CORRECTIONS[named], named
    toy.deliver("orders.csv", "11,C,two,1.00", day=3)  # a later version, wrong at the same place
    toy.run(LINES)
    tables = toy.tables()
    (one,) = verify.verify(
        toy.engine.name, toy.lake, str(toy.landing), tables, verify.chosen(toy.lake, tables, [LINES]), verify.Scope()
    )
    assert (one.reason, one.differing) == ("", 0)


@pytest.mark.slow
def test_a_delivery_that_differs_by_blanks_alone_is_unchanged(toy: Toy) -> None:
    toy.deliver("orders.csv", "7,A,2,10.00", day=1)
    toy.run(LINES)
    toy.deliver("orders.csv", "\u200b7,A\u00a0,\u20092,\ufeff10.00\u200e", "7,\u3000A,2,10.00", day=2)
    assert _counts(toy) == {"unchanged": 1, "duplicate": 1}


@pytest.mark.slow
def test_lines_around_the_rows_are_taken_off_by_contract_and_a_refused_file_heals(toy: Toy) -> None:
    toy.deliver("good.csv", "9,C,1,1.00", day=1)
    rows = (HEADER, "7,A,2,10.00", "8,B,1,5.00", "Total,,3,", "Page 1")
    toy.deliver("orders.csv", *rows, day=2, header="sep=,\nAll orders")
    promise, code = toy.sources["bronze.orders"]
    needs = promise.replace("format: csv", "format: csv, required: [order_id]")
    toy.sources["bronze.orders"] = (needs, code)
    toy.run(LINES)
    refused = [one.reason for one in ledger.read(toy.lake.root).entries if one.status == "unreadable"]
    assert ["Say `preamble: 1`" in reason for reason in refused] == [True]
    says = "required: [order_id], preamble: All orders, footer: 'Total,.*|Page .*'"
    toy.sources["bronze.orders"] = (needs.replace("required: [order_id]", says), code)
    assert _counts(toy) == {"kept": 2}
    assert _lines(toy) == [(7, "A", 2), (8, "B", 1), (9, "C", 1)]
