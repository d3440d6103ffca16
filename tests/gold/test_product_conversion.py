from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clicks import a_session_product
from tests.rows import only

if TYPE_CHECKING:
    from tests.rows import Built


COUNTS = ("sessions", "sessions_viewed", "sessions_clicked", "sessions_purchased")
WITHIN = ("users", "users_viewed", "users_clicked", "users_clicked_within_days", "users_purchased_within_days")


def test_each_product_has_a_funnel_of_its_own(built: Built) -> None:
    """The view of A leads to its purchase three days later; that of B does not lead to the purchase of A."""
    rows = built(
        "gold.product_conversion",
        {
            "gold_session_products": [
                a_session_product(),
                a_session_product(sku="B", product_name=None),
                a_session_product("2026-03-05 10:00:00", views=0, clicks=1, purchases=1, is_purchased_after_click=True),
            ]
        },
    )
    assert only(rows, "conversion_date", "sku", "product_name", *COUNTS, "purchase_share") == [
        ("2026-03-02", "A", "Flour", "1", "1", "0", "0", "0.0000"),
        ("2026-03-02", "B", None, "1", "1", "0", "0", "0.0000"),
        ("2026-03-05", "A", "Flour", "1", "0", "0", "0", None),
    ]
    assert only(rows, *WITHIN) == [("1", "1", "0", "1", "1"), ("1", "1", "0", "0", "0"), ("1", "0", "0", "0", "0")]
