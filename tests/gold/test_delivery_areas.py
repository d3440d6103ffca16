from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Cells, a_delivery_item, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.delivery_areas"


def at(latitude: str | None, longitude: str | None = "36.755", **cells: object) -> Cells:
    return a_delivery_item(latitude=latitude, longitude=longitude, **cells)


def test_a_cell_is_rounded_down_in_double_precision_also_below_zero(built: Built) -> None:
    """In double precision 0.29 x 100 is just below 29."""
    items = [at(latitude, task_id=number) for number, latitude in enumerate(["-1.255", "-0.001", "0.001", "0.29"])]
    rows = built(TABLE, {"silver_delivery_items": items})
    assert only(rows, "cell", "south", "west") == [
        ("-126:3675", "-1.26", "36.75"),
        ("-1:3675", "-0.01", "36.75"),
        ("0:3675", "0.00", "36.75"),
        ("28:3675", "0.28", "36.75"),
    ]


def test_where_a_coordinate_is_missing_the_cell_is_unknown(built: Built) -> None:
    items = [at(None, task_id=1), at("-1.25", None, task_id=2), at(None, None, task_id=3, market=2)]
    rows = built(TABLE, {"silver_delivery_items": items})
    names = ("market", "cell", "south", "west", "is_plausible", "tasks", "items", "amount")
    assert only(rows, *names) == [
        ("1", "unknown", None, None, None, "2", "2", "40.00"),
        ("2", "unknown", None, None, None, "1", "1", "20.00"),
    ]


def test_the_edges_of_its_own_markets_box_are_plausible(built: Built) -> None:
    items = [at(latitude) for latitude in ("-4.805", "-4.795", "5.105", "5.115")]
    items += [at("1.005", longitude) for longitude in ("33.795", "33.805", "42.005", "42.015")]
    items += [at("1.005", market=2)]
    rows = built(TABLE, {"silver_delivery_items": [item | {"task_id": task} for task, item in enumerate(items)]})
    plausible = [row for row in rows if row["is_plausible"] == "true"]
    assert sorted(only(plausible, "market", "cell")) == [
        ("1", "-480:3675"),
        ("1", "100:3380"),
        ("1", "100:4200"),
        ("1", "510:3675"),
    ]
    assert [row["is_plausible"] for row in rows if row not in plausible] == ["false"] * 5


def test_in_a_market_without_a_box_nobody_knows_what_is_plausible(built: Built) -> None:
    items = [at("1.005", market=3), at("91", market=3, task_id=901), at(None, market=3, task_id=902)]
    assert only(built(TABLE, {"silver_delivery_items": items}), "cell", "is_plausible") == [
        ("100:3675", None),
        ("not on earth", "false"),
        ("unknown", None),
    ]


def test_a_task_counts_once_in_each_of_its_cells(built: Built) -> None:
    items = [
        at("-1.255", amount="5.00"),
        at("-1.256", item_number=2, amount="6.50"),
        at("-1.265", item_number=3, amount="7.00"),
        at("-1.255", task_id=901, amount="1.00", task_status="Failed"),
    ]
    rows = built(TABLE, {"silver_delivery_items": items})
    assert only(rows, "cell", "tasks", "completed_tasks", "items", "amount") == [
        ("-126:3675", "2", "1", "3", "12.50"),
        ("-127:3675", "1", "1", "1", "7.00"),
    ]


@pytest.mark.parametrize("latitude", ["12345678.9", "1e300", "nan"])
def test_a_latitude_like_a_phone_number_is_not_on_earth_and_stops_nothing(built: Built, latitude: str) -> None:
    (row,) = built(TABLE, {"silver_delivery_items": [a_delivery_item(latitude=latitude, longitude="36.75")]})
    assert only([row], "cell", "is_plausible", "south") == [("not on earth", "false", None)]
