from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clicks import an_event
from tests.rows import only

if TYPE_CHECKING:
    from tests.rows import Built


def test_steps_are_those_of_one_product_in_its_session(built: Built) -> None:
    """A is viewed and clicked, B is clicked and purchased; what names no product is nowhere."""
    said = [("view", "A"), ("click", "B"), ("view", "B"), ("click", "A"), ("purchase", "B"), ("view", None)]
    events = [
        an_event(f"2026-03-02 10:0{place}:00", event_name=name, sku=sku, product_name=sku and f"{sku} {place % 2}")
        for place, (name, sku) in enumerate(said)
    ]
    rows = built("gold.session_products", {"silver_events": events})
    steps = ("is_clicked", "is_purchased", "is_purchased_after_click")
    assert only(rows, "started_at", "sku", "product_name", "views", "clicks", "purchases", *steps) == [
        ("2026-03-02 10:00:00", "A", "A 1", "1", "1", "0", "true", "false", "false"),
        ("2026-03-02 10:00:00", "B", "B 1", "1", "1", "1", "false", "false", "true"),
    ]
