from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse import graph
from tests.rows import a_sale, an_api_sale, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "silver.sold_lines"


def test_an_order_that_both_say_is_taken_whole_from_the_exports_and_others_from_whoever_says_them(built: Built) -> None:
    inputs = {
        "silver_sales": [a_sale(), a_sale(order_id=8, sku=None)],
        "silver_api_sales": [an_api_sale(line_number=2), an_api_sale(sale_id=9), an_api_sale(market=2)],
    }
    assert only(built(TABLE, inputs), "market", "order_id", "line_number", "taken_from", "is_in_both") == [
        ("1", "7", "1", "exports", "true"),
        ("1", "8", "1", "exports", "false"),
        ("1", "9", "1", "api", "false"),
        ("2", "7", "1", "api", "false"),
    ]


def test_a_line_of_the_api_has_its_times_and_amounts_and_nothing_is_made_up(built: Built) -> None:
    rows = built(TABLE, {"silver_api_sales": [an_api_sale()]})
    names = (
        "customer_id",
        "sku",
        "order_status",
        "line_total",
        "line_cost",
        "payment_method",
        "ordered_at",
        "order_date",
    )
    assert only(rows, *names) == [("42", "A", "COMPLETED", "20.00", None, None, "2022-01-02 21:30:00", "2022-01-03")]


@pytest.mark.parametrize(("first", "lines"), [("exports", ["1"]), ("api", ["2", "3"])])
def test_whose_word_counts_is_said_by_precedence(
    built: Built, monkeypatch: pytest.MonkeyPatch, first: str, lines: list[str]
) -> None:
    sources = [{"source": one, "precedence": 1 if one == first else 2} for one in ("exports", "api")]
    monkeypatch.setattr(graph, "conf_file", lambda _: ("changed", sources))
    inputs = {"silver_sales": [a_sale()], "silver_api_sales": [an_api_sale(line_number=number) for number in (2, 3)]}
    assert [line for (line,) in only(built(TABLE, inputs), "line_number")] == lines
