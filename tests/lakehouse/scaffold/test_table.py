"""What a draft of a computed table is by, and adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.scaffold import table

if TYPE_CHECKING:
    from lakehouse.graph import Table


def test_a_table_is_by_market_day_and_currency_as_far_as_there_are(tables: dict[str, Table]) -> None:
    made = table.draft("gold.ordered_days", tables, "silver.orders").files
    assert sorted(made) == [
        "conf/gold/ordered_days.yml",
        "gold/ordered_days.py",
        "tests/gold/test_ordered_days.py",
        "tests/oracle/ordered_days.sql",
    ]
    assert "unit: [market, order_date, currency]" in made["conf/gold/ordered_days.yml"]
    assert "rows_are_all_counted: {agrees_with: silver.orders" in made["conf/gold/ordered_days.yml"]


def test_a_day_of_an_instant_says_how_a_change_finds_it(tables: dict[str, Table]) -> None:
    made = table.draft("gold.registered", tables, "silver.customers").files["conf/gold/registered.yml"]
    assert "silver.customers: {unit: {created_date: to_date(created_at)}}" in made
    assert "# guessed: rows without created_date belong to no group, and are left out" in made


def test_a_table_of_silver_has_no_recomputation_and_a_parent_is_guessed(tables: dict[str, Table]) -> None:
    made = table.draft("silver.days", tables)
    assert not [path for path in made.files if "oracle" in path]
    assert made.note.endswith("which most tables read: --from says another one")


def test_a_table_is_computed_from_one_that_its_layer_reads(tables: dict[str, Table]) -> None:
    with pytest.raises(LakehouseError, match=r"silver.days cannot be computed from gold.agents. Name one of these"):
        table.draft("silver.days", tables, "gold.agents")
    assert table.draft("gold.days", tables, "gold.agents").files
