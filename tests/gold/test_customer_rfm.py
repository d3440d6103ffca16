from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_customer_order, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.customer_rfm"
SEGMENTS = {
    55: "champions", 52: "potential_loyalists", 51: "new", 44: "champions", 43: "potential_loyalists", 41: "new",
    34: "loyal", 33: "need_attention", 31: "promising", 25: "cannot_lose", 23: "at_risk", 22: "hibernating",
    15: "cannot_lose", 14: "cannot_lose", 12: "lost",
}  # fmt: skip


def test_a_segment_is_the_first_that_fits_recency_and_frequency(built: Built) -> None:
    """Three customers a day, and three with so many orders: customer 43's scores are 4 and 3."""
    orders = [
        a_customer_order(customer_id=number, order_id=10 * number + order, order_date=f"2022-01-0{number // 10}")
        for number in SEGMENTS
        for order in range(number % 10)
    ]
    rows = built(TABLE, {"silver_customer_orders": orders})
    scored = only(rows, "customer_id", "recency_score", "frequency_score", "segment", "_warned")
    expected = [(str(number), *str(number), segment, "") for number, segment in sorted(SEGMENTS.items())]
    assert scored == expected


def test_equal_values_get_equal_scores(built: Built) -> None:
    totals = {1: "5.00", 2: "5.00", 3: "7.00", 4: "7.00", 5: "7.00", 6: "9.00"}
    orders = [a_customer_order(customer_id=number, order_id=number, order_total=one) for number, one in totals.items()]
    rows = built(TABLE, {"silver_customer_orders": orders})
    assert only(rows, "recency_score", "frequency_score", "revenue_score") == [
        *[("1", "1", "1")] * 2,
        *[("1", "1", "2")] * 3,
        ("1", "1", "5"),
    ]


def test_the_day_it_is_as_of_is_the_markets_last_order_even_a_cancelled_one(built: Built) -> None:
    cancelled: Cells = {"order_status": "CANCELLED", "completed_number": None, "order_date": "2022-01-20"}
    orders = [
        a_customer_order(),
        a_customer_order(order_id=8, order_date="2022-01-10", order_total="5.00"),
        a_customer_order(order_id=9, **cancelled),
        a_customer_order(order_id=10, customer_id=43, cohort_month=None, **cancelled),
        a_customer_order(market=2, currency="NGN"),
    ]
    names = ("market", "customer_id", "as_of", "currency", "recency_days", "frequency", "revenue")
    assert only(built(TABLE, {"silver_customer_orders": orders}), *names) == [
        ("1", "42", "2022-01-20", "KES", "10", "2", "25.00"),
        ("2", "42", "2022-01-03", "NGN", "0", "1", "20.00"),
    ]
