from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Cells, Texts, an_order_line, only

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Built

TABLE = "silver.orders"
WARNINGS: list[tuple[str, str, list[Cells]]] = [
    ("right", "", [an_order_line(order_total="18.00", redeemed_points=2)]),
    ("right: points pay 5 naira", "", [an_order_line(market=2, order_total="10.00", redeemed_points=2)]),
    ("right: paying later costs 2 %", "", [an_order_line(payment_method="Pay Later", order_total="20.40")]),
    ("right: points come off before the 2 %", "", [
        an_order_line(payment_method="Pay Later", order_total="18.36", redeemed_points=2)
    ]),
    ("right: within a cent", "", [an_order_line(order_total="20.01")]),
    ("right: one point per 100 shillings", "", [
        an_order_line(line_total="250", sub_total="250", order_total="250", earned_points=2)
    ]),
    ("right: one point per 500 naira", "", [
        an_order_line(market=2, line_total="999.99", sub_total="999.99", order_total="999.99", earned_points=1)
    ]),
    ("right: what is cancelled earns none", "", [
        an_order_line(order_status="CANCELLED", line_total="250", sub_total="250", order_total="250")
    ]),
    ("right: lines may differ in what is their own", "", [
        an_order_line(line_total="5.00"), an_order_line(line_number=2, line_total="15.00", sku=None, quantity=1)
    ]),
    ("lines disagree", "header_is_the_same_on_all_lines", [
        an_order_line(line_total="5.00"), an_order_line(line_number=2, line_total="15.00", customer_id=43)
    ]),
    ("one line does not say", "header_is_the_same_on_all_lines", [
        an_order_line(line_total="5.00", rating=5), an_order_line(line_number=2, line_total="15.00")
    ]),
    ("the total is 2 cents off", "order_total_follows_from_sub_total", [an_order_line(order_total="20.02")]),
    ("points are missing", "completed_orders_earn_points", [
        an_order_line(line_total="250", sub_total="250", order_total="250")
    ]),
    ("points are too many", "completed_orders_earn_points", [an_order_line(earned_points=1)]),
    ("a cancelled order has points", "only_completed_orders_earn_points", [
        an_order_line(order_status="CANCELLED", earned_points=1)
    ]),
    ("right: as many lines as a basket has", "", [
        an_order_line(line_number=line, sub_total="2000.00", order_total="2000.00", earned_points=20)
        for line in range(1, 101)
    ]),
    ("the whole catalogue", "lines_are_no_catalogue", [
        an_order_line(line_number=line, sub_total="2020.00", order_total="2020.00", earned_points=20)
        for line in range(1, 102)
    ]),
]  # fmt: skip


@pytest.fixture(scope="module")
def warned(built: Built) -> dict[str, str | None]:
    """All the cases in one frame, one order each."""
    lines = [line | {"order_id": place} for place, (_, _, lines) in enumerate(WARNINGS) for line in lines]
    by_place = {(row["order_id"]): row["_warned"] for row in built(TABLE, {"silver_order_lines": lines})}
    return {sentence: by_place[str(place)] for place, (sentence, _, _) in enumerate(WARNINGS)}


@pytest.mark.parametrize(("sentence", "rule"), [case[:2] for case in WARNINGS], ids=lambda text: text)
def test_an_order_warns_of_the_rule_it_breaks(warned: dict[str, str | None], sentence: str, rule: str) -> None:
    assert warned[sentence] == rule


def test_every_rule_is_broken_by_some_order(tables: dict[str, Table]) -> None:
    assert {rule for _, rule, _ in WARNINGS} - {""} == set(tables[TABLE].contract.rules)


def test_the_header_counts_once_and_the_lines_are_summed(built: Built) -> None:
    lines = [
        an_order_line(line_number=1, quantity=2, line_total="5.00"),
        an_order_line(line_number=2, quantity=3, line_total="15.00"),
    ]
    (order,) = built(TABLE, {"silver_order_lines": lines})
    names = ("order_total", "sub_total", "line_count", "units", "currency", "ordered_at", "order_date", "promised_at")
    expected = ("20.00", "20.00", "2", "5", "KES", "2022-01-02 21:30:00", "2022-01-03", "2022-01-03 05:00:00")
    assert only([order], *names) == [expected]


def test_where_lines_disagree_the_whole_header_of_the_first_line_is_taken(built: Built) -> None:
    lines = [
        an_order_line(line_number=2, customer_id=1, rating=5, review="Good"),
        an_order_line(line_number=1, customer_id=99, rating=None),
        an_order_line(line_number=10, customer_id=2, rating=4),
    ]
    rows: list[Texts] = built(TABLE, {"silver_order_lines": lines})
    assert only(rows, "customer_id", "rating", "review", "line_count") == [("99", None, None, "3")]


def test_orders_of_two_markets_with_one_id_are_two_orders(built: Built) -> None:
    lines = [an_order_line(), an_order_line(market=2, currency="NGN", order_total="9.00")]
    rows = built(TABLE, {"silver_order_lines": lines})
    assert only(rows, "market", "order_id", "order_total") == [("1", "7", "20.00"), ("2", "7", "9.00")]


def test_the_margin_is_over_lines_whose_cost_is_known_and_0_where_none_is(built: Built) -> None:
    lines = [
        an_order_line(line_total="20.00", line_cost="20.01"),
        an_order_line(line_number=2, line_total="20.00", line_cost="17.00"),
        an_order_line(line_number=3, line_total="99.00", line_cost=None),
        an_order_line(order_id=8, line_cost=None),
    ]
    assert only(built(TABLE, {"silver_order_lines": lines}), "line_margin") == [("2.99",), ("0.00",)]


@pytest.mark.slow
def test_the_hour_is_that_of_the_markets_own_clock(built: Built) -> None:
    lines = [
        an_order_line(ordered_at="2022-01-02 21:30:00"),
        an_order_line(order_id=8, ordered_at="2022-01-02 20:59:59", order_date="2022-01-02"),
        an_order_line(market=2, ordered_at="2022-01-02 21:30:00", order_date="2022-01-02"),
    ]
    assert only(built(TABLE, {"silver_order_lines": lines}), "market", "order_hour") == [
        ("1", "0"),
        ("1", "23"),
        ("2", "22"),
    ]
