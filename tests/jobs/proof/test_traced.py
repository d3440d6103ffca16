"""The lineage of a column in the terminal: down to what is delivered, and the other way round."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from jobs.proof import traced
from lakehouse.errors import LakehouseError
from lakehouse.lineage import columns
from tests.toy import Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.lineage.origins import Place

pytestmark = pytest.mark.slow


@pytest.fixture
def toy(tmp_path: Path, engine: Native) -> Toy:
    return Toy(tmp_path, engine)


def traces(toy: Toy, of: Place, *, readers: bool = False) -> traced.Trace:
    tables = toy.tables()
    return traced.trace(tables, columns.of(tables, tables), of, readers=readers)


def shown(found: traced.Trace) -> list[str]:
    said = StringIO()
    traced.traced(Console(file=said, width=200), found)
    return [line.rstrip() for line in said.getvalue().splitlines()]


def test_a_column_is_followed_down_to_what_is_delivered(toy: Toy) -> None:
    assert shown(traces(toy, ("gold.totals", "units"))) == [
        "gold.totals.units  how many",
        "├── silver.orders.units  aggregated",
        "│   └── silver.order_lines.quantity  aggregated",
        "│       └── bronze.orders.quantity  computed",
        "│           └── landing.quantity  as it is",
        "└── which rows there are: silver.orders.market (group)",
    ]


def test_of_a_table_all_columns_are_shown_with_what_they_are_made_from(toy: Toy) -> None:
    assert shown(traces(toy, ("silver.orders", ""))) == [
        "silver.orders  orders",
        "├── market",
        "│   └── silver.order_lines.market  as it is",
        "├── order_id",
        "│   └── silver.order_lines.order_id  as it is",
        "├── units",
        "│   └── silver.order_lines.quantity  aggregated",
        "└── which rows there are: silver.order_lines.market (group), silver.order_lines.order_id (group)",
    ]


def test_what_is_made_from_a_column_is_the_other_way_round(toy: Toy) -> None:
    found = traces(toy, ("bronze.orders", "quantity"), readers=True)
    assert shown(found) == [
        "bronze.orders.quantity  how many",
        "├── silver.order_lines.quantity  computed and condition",
        "│   └── silver.orders.units  aggregated",
        "│       └── gold.totals.units  aggregated",
        "└── which rows there are: silver.order_lines (filter)",
    ]
    said = json.loads(traced.as_json(found))
    assert (said["column"], said["of"][0]["of"][0]["table"]) == ("quantity", "silver.orders")


def test_every_part_of_the_json_is_of_one_type(toy: Toy) -> None:
    """Also of what is delivered, which nothing is known of."""
    bronze = json.loads(traced.as_json(traces(toy, ("bronze.orders", "quantity"))))
    (landing,) = bronze["of"]
    assert (landing["table"], landing["chosen_by"], landing["rows"]) == ("landing", {}, {})


def test_a_column_is_one_that_there_is(toy: Toy) -> None:
    with pytest.raises(LakehouseError, match=r"There is no table gold.totalz. There are: .*gold\.totals"):
        traced.place(toy.tables(), "gold.totalz.units")
    with pytest.raises(LakehouseError, match=r"gold\.totals has no column unitz. It has: market, units\."):
        traced.place(toy.tables(), "gold.totals.unitz")
    assert traced.place(toy.tables(), "gold.totals.units") == ("gold.totals", "units")
    assert traced.place(toy.tables(), "gold.totals") == ("gold.totals", "")
