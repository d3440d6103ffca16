from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_sale, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.category_daily"


def test_lines_without_category_are_one_and_all_placed_lines_count(built: Built) -> None:
    sales = [
        a_sale(category_name=None),
        a_sale(category_name=None, order_id=8, order_status="CANCELLED"),
        a_sale(category_name="Flour", order_id=9, order_status="ORDERED"),
    ]
    names = (
        "category_name",
        "currency",
        "lines",
        "units",
        "completed_orders",
        "completed_units",
        "gross_revenue",
        "margin",
    )
    assert only(built(TABLE, {"silver_sales": sales}), *names) == [
        ("(none)", "KES", "2", "4", "1", "2", "20.00", "3.00"),
        ("Flour", "KES", "1", "2", "0", "0", "0.00", "0.00"),
    ]


def test_an_order_of_two_categories_counts_once_in_each(built: Built) -> None:
    sales = [a_sale(), a_sale(line_number=2, sku="B"), a_sale(line_number=3, sku="C", category_name="Rice")]
    rows = built(TABLE, {"silver_sales": sales})
    assert only(rows, "category_name", "lines", "completed_orders") == [("Flour", "2", "1"), ("Rice", "1", "1")]


def test_a_share_is_of_the_markets_own_day_and_unknown_on_a_day_of_0(built: Built) -> None:
    sales = [
        a_sale(line_total="199.99"),
        a_sale(line_number=2, category_name="Rice", line_total="0.01"),
        a_sale(market=2, currency="NGN", line_total="1000.00"),
        a_sale(order_id=8, order_date="2022-01-04", order_status="CANCELLED", line_total="50.00"),
    ]
    names = ("market", "order_date", "category_name", "gross_revenue", "gross_revenue_share")
    assert only(built(TABLE, {"silver_sales": sales}), *names) == [
        ("1", "2022-01-03", "Flour", "199.99", "1.0000"),
        ("1", "2022-01-03", "Rice", "0.01", "0.0001"),
        ("1", "2022-01-04", "Flour", "0.00", None),
        ("2", "2022-01-03", "Flour", "1000.00", "1.0000"),
    ]


def test_margin_leaves_lines_without_cost_out(built: Built) -> None:
    sales = [a_sale(), a_sale(line_number=2, sku="B", line_cost=None, line_margin=None, line_total="99.00")]
    assert only(built(TABLE, {"silver_sales": sales}), "gross_revenue", "margin") == [("119.00", "3.00")]
