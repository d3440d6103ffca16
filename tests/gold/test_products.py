from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_sale, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.products"


def test_lines_without_sku_are_one_product_and_markets_are_never_mixed(built: Built) -> None:
    sales = [
        a_sale(sku=None),
        a_sale(sku=None, line_number=2, line_total="5.00"),
        a_sale(line_number=3),
        a_sale(market=2, currency="NGN"),
    ]
    rows = built(TABLE, {"silver_sales": sales})
    names = ("market", "sku", "currency", "orders", "completed_orders", "customers", "completed_units", "gross_revenue")
    assert only(rows, *names) == [
        ("1", "(none)", "KES", "1", "1", "1", "4", "25.00"),
        ("1", "A", "KES", "1", "1", "1", "2", "20.00"),
        ("2", "A", "NGN", "1", "1", "1", "2", "20.00"),
    ]


def test_a_product_that_never_sold_has_prices_and_zeros(built: Built) -> None:
    sales = [a_sale(order_status="CANCELLED"), a_sale(order_id=8, order_status="ORDERED", line_cost=None)]
    (row,) = built(TABLE, {"silver_sales": sales})
    counts = ("orders", "completed_orders", "customers", "completed_units", "lines_without_cost")
    assert only([row], *counts) == [("2", "0", "0", "0", "0")]
    amounts = ("gross_revenue", "cost", "margin", "margin_share", "last_price", "first_sold_at", "last_sold_at")
    assert only([row], *amounts) == [("0.00", "0.00", "0.00", None, "10.00", None, None)]


def test_margins_are_over_completed_lines_whose_cost_is_known(built: Built) -> None:
    unknown: Cells = {"unit_cost": None, "line_cost": None, "line_margin": None}
    sales = [
        a_sale(),
        a_sale(order_id=8, line_total="30.00", **unknown),
        a_sale(order_id=9, order_status="CANCELLED"),
        a_sale(sku="B", line_total="200.00", line_cost="200.01", line_margin="-0.01"),
        a_sale(sku="C", **unknown),
    ]
    names = ("sku", "gross_revenue", "cost", "margin", "margin_share", "lines_without_cost")
    assert only(built(TABLE, {"silver_sales": sales}), *names) == [
        ("A", "50.00", "17.00", "3.00", "0.1500", "1"),
        ("B", "200.00", "200.01", "-0.01", "-0.0001", "0"),
        ("C", "20.00", "0.00", "0.00", None, "1"),
    ]


def test_prices_and_category_are_by_time_then_order_then_line_whatever_became_of_it(built: Built) -> None:
    sales = [
        a_sale(order_id=9, line_number=2, unit_price="12.00", category_name=None, order_status="CANCELLED"),
        a_sale(order_id=9, line_number=1, unit_price="11.00", category_name="Rice"),
        a_sale(order_id=8, line_number=3, unit_price="50.00"),
        a_sale(order_id=99, unit_price="9.00", ordered_at="2022-01-01 00:00:00"),
    ]
    (row,) = built(TABLE, {"silver_sales": sales})
    names = ("first_price", "last_price", "lowest_price", "highest_price", "category_name", "_warned")
    assert only([row], *names) == [("9.00", "12.00", "9.00", "50.00", "Rice", "")]
    assert only([row], "first_sold_at", "last_sold_at") == [("2022-01-01 00:00:00", "2022-01-02 21:30:00")]


def test_a_customer_counts_once_and_only_for_completed_orders(built: Built) -> None:
    sales = [
        a_sale(),
        a_sale(order_id=8),
        a_sale(order_id=9, customer_id=43),
        a_sale(order_id=10, customer_id=44, order_status="CANCELLED"),
    ]
    (row,) = built(TABLE, {"silver_sales": sales})
    assert only([row], "orders", "completed_orders", "customers", "completed_units") == [("4", "3", "2", "6")]
