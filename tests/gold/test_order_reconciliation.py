from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Cells, Texts, a_delivery, an_order, an_order_line, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.order_reconciliation"
DIFFERENCES: list[tuple[str, str, Cells, list[Cells]]] = [
    ("all agree", "none", {}, [a_delivery(subtotal="20.00")]),
    ("a cent is rounding", "none", {"order_total": "19.99"}, [a_delivery(subtotal="20.00")]),
    ("two cents are not", "total", {"order_total": "19.98"}, [a_delivery(subtotal="20.00")]),
    ("lines are told before the total", "lines", {"sub_total": "20.01", "order_total": "9.00"}, [a_delivery()]),
    ("the total is told before the delivery", "total", {"order_total": "9.00"}, [a_delivery(subtotal="5.00")]),
    ("a cent is no rounding in a delivery", "delivery", {}, [a_delivery(subtotal="20.01")]),
    ("a delivery need not have a subtotal", "none", {}, [a_delivery()]),
    ("a completed order is delivered", "no delivery", {}, []),
    ("a pick-up is no delivery", "no delivery", {}, [a_delivery(task_type="Pick-up", subtotal="9.00")]),
    ("a cancelled order need not be delivered", "none", {"order_status": "CANCELLED"}, []),
    ("points are the delivery's discount", "none", {"order_total": "18.00", "redeemed_points": 2}, [
        a_delivery(subtotal="18.00")
    ]),
]  # fmt: skip


@pytest.fixture(scope="module")
def orders(built: Built) -> dict[str, Texts]:
    """All the cases in one frame, one order of one line each."""
    headers = [an_order(order_id=place, **order) for place, (_, _, order, _) in enumerate(DIFFERENCES)]
    deliveries = [
        one | {"order_id": place, "task_id": place} for place, case in enumerate(DIFFERENCES) for one in case[3]
    ]
    lines = [an_order_line(order_id=place) for place in range(len(DIFFERENCES))]
    rows = built(TABLE, {"silver_orders": headers, "silver_order_lines": lines, "silver_deliveries": deliveries})
    return {sentence: rows[place] for place, (sentence, *_) in enumerate(DIFFERENCES)}


@pytest.mark.parametrize(("sentence", "kind"), [case[:2] for case in DIFFERENCES], ids=lambda text: text)
def test_the_first_difference_that_fits_is_told(orders: dict[str, Texts], sentence: str, kind: str) -> None:
    warned = "" if kind == "none" else "nothing_differs"
    assert only([orders[sentence]], "difference_kind", "_warned") == [(kind, warned)]


def test_the_surcharge_is_exact_and_comes_after_the_points(built: Built) -> None:
    later: Cells = {"payment_method": "Pay Later", "redeemed_points": 2, "sub_total": "10.01"}
    orders = [an_order(order_total="8.17", **later), an_order(market=2, currency="NGN", order_total="0.01", **later)]
    lines = [an_order_line(line_total="4.00"), an_order_line(line_number=2, line_total="6.01")]
    lines += [an_order_line(market=2, line_total="10.01")]
    rows = built(TABLE, {"silver_orders": orders, "silver_order_lines": lines})
    names = ("market", "lines_total", "points_value", "surcharge", "expected_total", "total_difference")
    assert only(rows, *names) == [
        ("1", "10.01", "2.00", "0.1602", "8.1702", "-0.0002"),
        ("2", "10.01", "10.00", "0.0002", "0.0102", "-0.0002"),
    ]


def test_the_newest_delivery_that_has_a_subtotal_is_compared_with_lines_less_points(built: Built) -> None:
    deliveries = [
        a_delivery(task_id=900, subtotal="1.00"),
        a_delivery(task_id=901, subtotal="17.50"),
        a_delivery(task_id=902),
        a_delivery(task_id=903, subtotal="3.00", task_type="Pick-up"),
    ]
    inputs = {"silver_orders": [an_order(redeemed_points=2, order_total="18.00"), an_order(order_id=8)]}
    lines = [an_order_line(), an_order_line(order_id=8)]
    rows = built(TABLE, {"silver_order_lines": lines, "silver_deliveries": deliveries, **inputs})
    names = ("order_id", "delivery_tasks", "delivered_subtotal", "delivery_difference", "lines_difference", "surcharge")
    assert only(rows, *names) == [
        ("7", "3", "17.50", "-0.50", "0.00", "0.0000"),
        ("8", "0", None, None, "0.00", "0.0000"),
    ]
