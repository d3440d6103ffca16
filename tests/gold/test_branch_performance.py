from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, Texts, a_branch, a_branch_sale, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.branch_performance"
SPAN = ("branch_id", "sale_month", "transactions")


def performance(built: Built, sales: list[Cells], branches: list[Cells]) -> list[Texts]:
    return built(TABLE, {"silver_branch_transactions": sales, "silver_branches": branches})


def sale(branch_id: int, number: int = 1, **cells: object) -> Cells:
    return a_branch_sale(branch_id=branch_id, transaction_id=number, **cells)


def units(branch_id: int, month: int, quantity: int) -> Cells:
    return sale(branch_id, month, sale_date=f"2022-{month:02}-15", quantity=quantity)


def test_a_branch_has_what_its_receipts_say_and_its_place_in_its_market(built: Built) -> None:
    sales = [
        sale(3, 1, line_total="12.50", quantity=3),
        sale(3, 1, line_total="7.50", quantity=1, sku="B"),
        sale(3, 2, line_total="0.01", customer_id=None),
        sale(4, 1, line_total="40.02"),
        sale(3, market=2, currency="NGN", line_total="5.00"),
    ]
    branches = [a_branch(), a_branch(branch_id=4, branch_name="Karen"), a_branch(market=2, branch_name="Ikeja")]
    rows = performance(built, sales, branches)
    counts = ("transactions", "average_transaction", "customers", "products_sold", "units_sold")
    assert only(rows, "branch_name", "currency", "revenue", "revenue_rank", "revenue_share", *counts) == [
        ("Westlands", "KES", "20.01", "2", "0.3333", "2", "10.0050", "1", "2", "6"),
        ("Karen", "KES", "40.02", "1", "0.6667", "1", "40.0200", "1", "1", "2"),
        ("Ikeja", "NGN", "5.00", "1", "1.0000", "1", "5.0000", "1", "1", "2"),
    ]
    assert only(rows, "_warned") == [("",)] * 3


def test_a_market_of_which_nothing_was_sold_yet_has_no_months(built: Built) -> None:
    branches = [a_branch(), a_branch(market=2, branch_name="Ikeja")]
    assert only(performance(built, [sale(3)], branches), "market") == [("1",)]


def test_equal_revenue_shares_a_rank_and_the_next_is_skipped(built: Built) -> None:
    sales = [sale(branch, line_total=total) for branch, total in enumerate(["5.00", "9.00", "9.00", "1.00"], start=1)]
    assert only(performance(built, sales, []), "revenue_rank") == [("3",), ("1",), ("1",), ("4",)]


def test_months_go_from_opening_to_closing_within_those_in_which_the_market_sold(built: Built) -> None:
    sales = [sale(1, sale_date="2021-11-30"), sale(1, sale_date="2022-02-01")]
    branches = [
        a_branch(branch_id=1, opened_on="2022-01-05"),  # it sold before, and in December and January nothing
        a_branch(branch_id=2, opened_on="2022-01-31", closed_on="2023-01-01"),
        a_branch(branch_id=3, opened_on="2020-01-01", closed_on="2021-12-01"),
        a_branch(branch_id=4, opened_on="2022-03-01"),
        a_branch(branch_id=5, market=2),
    ]
    assert only(performance(built, sales, branches), *SPAN) == [
        ("1", "2021-11-01", "1"),
        ("1", "2021-12-01", "0"),
        ("1", "2022-01-01", "0"),
        ("1", "2022-02-01", "1"),
        ("2", "2022-01-01", "0"),
        ("2", "2022-02-01", "0"),
        ("3", "2021-11-01", "0"),
        ("3", "2021-12-01", "0"),
    ]


def test_a_branch_that_no_list_has_counts_is_told_of_and_is_never_flagged(built: Built) -> None:
    sales = [units(branch, 1, 10 + branch) for branch in range(1, 11)] + [units(99, month, 1) for month in (1, 2)]
    rows = performance(built, sales, [a_branch(branch_id=branch) for branch in range(1, 11)])
    assert only(rows[-2:], *SPAN, "is_listed", "branch_name", "is_in_lowest_tenth", "_warned") == [
        ("99", f"2022-0{month}-01", "1", "false", None, "false", "branch_is_listed") for month in (1, 2)
    ]
    assert [row["branch_id"] for row in rows if row["is_in_lowest_tenth"] == "true"] == ["1"]


def test_the_lowest_tenth_is_never_more_than_a_tenth(built: Built) -> None:
    sold = {1: range(1, 10), 2: range(1, 11), 3: [1, 1, *range(3, 11)], 4: range(1, 21)}  # by market
    places = [(market, n, quantity) for market, some in sold.items() for n, quantity in enumerate(some, start=1)]
    sales = [sale(branch, market=market, quantity=quantity) for market, branch, quantity in places]
    branches = [a_branch(market=market, branch_id=branch) for market, branch, _ in places]
    rows = [row for row in performance(built, sales, branches) if row["is_in_lowest_tenth"] == "true"]
    assert only(rows, "market", "branch_id") == [("2", "1"), ("4", "1"), ("4", "2")]


def test_three_months_in_the_lowest_tenth_are_this_one_and_both_before_it(built: Built) -> None:
    low = {1: 1, 2: 1, 3: 1, 4: 99, 5: 1, 6: 1}
    sales = [units(branch, month, 10 * branch) for month in low for branch in range(2, 11)]
    sales += [units(1, month, quantity) for month, quantity in low.items()]
    rows = performance(built, sales, [a_branch(branch_id=branch) for branch in range(1, 11)])
    names = ("sale_month", "is_in_lowest_tenth", "is_in_lowest_tenth_for_three_months")
    assert only(rows[: len(low)], *names) == [
        ("2022-01-01", "true", "false"),
        ("2022-02-01", "true", "false"),
        ("2022-03-01", "true", "true"),
        ("2022-04-01", "false", "false"),
        ("2022-05-01", "true", "false"),
        ("2022-06-01", "true", "false"),
    ]


def test_many_customers_and_few_transactions_are_held_against_the_median_branch(built: Built) -> None:
    """Of four branches the median is the lower one of the middle; whoever has as many as the median has not more."""
    bought = {1: [1, 2, 3, 4], 2: [1, 2, 3], 3: [1, 1, 1, 2, 2, 2], 4: [1, 1, 2, 2, 3, 3], 5: [1, 1, 1, 1, 2, 3, 4, 5]}
    places = [(market, branch) for market, most in ((1, 4), (2, 5)) for branch in range(1, most + 1)]
    sales = [
        sale(branch, number, market=market, customer_id=customer)
        for market, branch in places
        for number, customer in enumerate(bought[branch])
    ]
    rows = performance(built, sales, [a_branch(market=market, branch_id=branch) for market, branch in places])
    flagged = [row for row in rows if row["has_many_customers_and_few_transactions"] == "true"]
    assert only(flagged, "market", "branch_id") == [("2", "1")]
