from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, Texts, a_branch, a_branch_sale, a_stock_level, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.stock_cover"
MOVES = ("branch_id", "missing_units", "spare_units", "units_to_receive", "units_to_send")


def cover(built: Built, levels: list[Cells], sales: list[Cells], *branches: Cells) -> list[Texts]:
    tables = {"silver_stock_levels": levels, "silver_branch_transactions": sales}
    return built(TABLE, tables | {"silver_branches": branches or [a_branch()]})


def sold(quantity: int, **cells: object) -> Cells:
    return a_branch_sale(quantity=quantity, sale_date="2022-01-29", **cells)


def test_cover_is_by_the_28_days_that_end_with_the_markets_newest_day(built: Built) -> None:
    levels = [
        a_stock_level(counted_on="2022-01-02", on_hand=0),
        a_stock_level(counted_on="2022-01-03", on_hand=0),
        a_stock_level(on_hand=9),
        a_stock_level(market=2, counted_on="2022-01-09"),
    ]
    sales = [a_branch_sale(quantity=5, sale_date=f"2022-01-{day:02}", transaction_id=day) for day in (2, 3, 30)]
    sales += [a_branch_sale(market=2, quantity=2, sale_date=f"2021-12-{day}", transaction_id=day) for day in (12, 13)]
    names = ("market", "branch_name", "as_of_date", "units_sold", "counts", "stock_outs")
    assert only(cover(built, levels, sales), *names, "counted_on", "on_hand", "days_of_cover") == [
        ("1", "Westlands", "2022-01-30", "10", "2", "1", "2022-01-30", "9", "25.2"),
        ("2", None, "2022-01-09", "2", "1", "0", "2022-01-09", "12", "168.0"),
    ]


def test_what_was_never_counted_or_never_sold_has_no_cover(built: Built) -> None:
    levels = [a_stock_level(sku="B", on_hand=0), a_stock_level(sku="C", counted_on="2021-06-01", on_hand=-2)]
    rows = cover(built, levels, [sold(5)])
    assert only(rows, "sku", "on_hand", "days_of_cover", "is_out_of_stock", "counts", "_warned") == [
        ("A", None, None, None, "0", "stock_is_counted"),
        ("B", "0", None, "true", "1", ""),
        ("C", "-2", None, "true", "0", ""),
    ]


def test_what_is_short_is_rounded_up_and_what_is_spare_down(built: Built) -> None:
    """14 days of 5 in 28 are 2.5, 42 days 7.5; what was not sold for 28 days can be spared whole."""
    levels = [a_stock_level(branch_id=n, on_hand=on_hand) for n, on_hand in enumerate([0, 3, 8, 9, 4, -2])]
    sales = [sold(5, branch_id=branch) for branch in (0, 1, 2, 3, 5)]
    assert [row[:3] for row in only(cover(built, levels, sales), *MOVES)] == [
        ("0", "3", "0"),
        ("1", "0", "0"),
        ("2", "0", "0"),
        ("3", "0", "1"),
        ("4", "0", "4"),
        ("5", "5", "0"),
    ]


def test_the_stock_that_ends_first_is_filled_first_from_the_one_with_most_to_spare(built: Built) -> None:
    levels = [a_stock_level(branch_id=n, on_hand=on_hand) for n, on_hand in enumerate([1, 0, 0, 6, 7, 7])]
    levels += [a_stock_level(branch_id=6, sku="B", on_hand=9), a_stock_level(branch_id=6, market=2, on_hand=9)]
    rows = cover(built, levels, [sold(20, branch_id=branch) for branch in (0, 1, 2)])
    assert only(rows[:6], *MOVES) == [
        ("0", "9", "0", "0", "0"),
        ("1", "10", "0", "10", "0"),
        ("2", "10", "0", "10", "0"),
        ("3", "0", "6", "0", "6"),
        ("4", "0", "7", "0", "7"),
        ("5", "0", "7", "0", "7"),
    ]
    assert [row["units_to_send"] for row in rows[6:]] == ["0", "0"]


def test_no_more_is_sent_than_is_short(built: Built) -> None:
    levels = [a_stock_level(branch_id=n, on_hand=on_hand) for n, on_hand in enumerate([0, 6, 7, 7])]
    rows = cover(built, levels, [sold(20, branch_id=0)])
    assert only(rows, "units_to_receive", "units_to_send", "_warned") == [
        ("10", "0", ""),
        ("0", "0", ""),
        ("0", "7", ""),
        ("0", "3", ""),
    ]


def test_a_closed_branch_needs_nothing_and_can_spare_all(built: Built) -> None:
    levels = [a_stock_level(branch_id=branch, on_hand=3) for branch in (1, 2, 3)]
    sales = [sold(20, branch_id=branch) for branch in (1, 2, 3)]
    closed = {1: "2022-01-30", 2: "2022-01-31", 3: None}  # the last day of the data is the 30th
    branches = [a_branch(branch_id=branch, closed_on=day) for branch, day in closed.items()]
    assert only(cover(built, levels, sales, *branches), *MOVES, "days_of_cover") == [
        ("1", "0", "3", "0", "3", "4.2"),
        ("2", "7", "0", "3", "0", "4.2"),
        ("3", "7", "0", "0", "0", "4.2"),
    ]
