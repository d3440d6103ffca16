from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_sale, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.price_changes"


def test_a_price_that_comes_back_is_two_changes_and_the_first_price_is_none(built: Built) -> None:
    prices = enumerate(["10.00", "10.00", "12.00", "12.00", "10.00"])
    sales = [a_sale(order_id=number, unit_price=price, order_status="CANCELLED") for number, price in prices]
    rows = built(TABLE, {"silver_sales": sales})
    names = ("order_id", "previous_price", "price", "price_change", "price_change_share", "change_number", "_warned")
    assert only(rows, *names) == [
        ("2", "10.00", "12.00", "2.00", "0.2000", "1", ""),
        ("4", "12.00", "10.00", "-2.00", "-0.1667", "2", ""),
    ]


def test_lines_are_ordered_by_time_then_order_then_line(built: Built) -> None:
    sales = [
        a_sale(order_id=8, line_number=10, unit_price="13.00"),
        a_sale(order_id=8, line_number=9, unit_price="12.00"),
        a_sale(order_id=10, unit_price="14.00"),
        a_sale(order_id=99, unit_price="11.00", ordered_at="2022-01-01 00:00:00", order_date="2022-01-01"),
    ]
    rows = built(TABLE, {"silver_sales": sales})
    assert only(rows, "order_id", "line_number", "price", "change_number", "changed_at", "order_date") == [
        ("8", "9", "12.00", "1", "2022-01-02 21:30:00", "2022-01-03"),
        ("8", "10", "13.00", "2", "2022-01-02 21:30:00", "2022-01-03"),
        ("10", "1", "14.00", "3", "2022-01-02 21:30:00", "2022-01-03"),
    ]


def test_products_without_sku_or_of_another_market_are_not_compared(built: Built) -> None:
    sales = [a_sale(), a_sale(order_id=8, sku=None, unit_price="1.00"), a_sale(order_id=9, sku=None, unit_price="2.00")]
    other = [
        a_sale(order_id=8, market=2, currency="NGN", unit_price="500.00"),
        a_sale(order_id=9, sku="B", unit_price="5"),
    ]
    assert built(TABLE, {"silver_sales": [*sales, *other]}) == []


def test_after_a_price_of_0_there_is_no_share_and_halves_go_away_from_zero(built: Built) -> None:
    prices = enumerate(["0.00", "200.00", "199.99"])
    rows = built(TABLE, {"silver_sales": [a_sale(order_id=number, unit_price=price) for number, price in prices]})
    assert only(rows, "price_change", "price_change_share") == [("200.00", None), ("-0.01", "-0.0001")]
