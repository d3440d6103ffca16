from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import Cells, a_customer_version, a_sold_line, key, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "gold.dim_customer"
THIRD, FOURTH, FIFTH, SIXTH = (f"2022-01-0{day} 00:00:00" for day in (3, 4, 5, 6))


def test_a_state_that_comes_back_is_a_new_one_and_a_repeated_delivery_is_none(built: Built) -> None:
    platforms = {SIXTH: "WEB", THIRD: "WEB", FIFTH: "ANDROID", FOURTH: "WEB", "2022-01-07 00:00:00": "WEB"}
    versions = [a_customer_version(delivered_at=at, last_used_platform=one) for at, one in platforms.items()]
    rows = built(TABLE, {"silver_customer_versions": versions})
    names = ("version", "last_used_platform", "valid_from", "valid_to", "is_current", "is_known", "_warned")
    assert only(rows, *names) == [
        ("1", "WEB", None, FIFTH, "false", "true", ""),
        ("2", "ANDROID", FIFTH, SIXTH, "false", "true", ""),
        ("3", "WEB", SIXTH, None, "true", "true", ""),
    ]


def test_a_key_is_of_the_instant_since_when_the_state_holds(built: Built) -> None:
    versions = [a_customer_version(), a_customer_version(delivered_at=FOURTH, is_blocked=True)]
    rows = built(TABLE, {"silver_customer_versions": versions, "silver_sold_lines": [a_sold_line(market=2)]})
    assert only(rows, "market", "customer_id", "customer_key") == [
        ("1", "42", key(1, 42, "first")),
        ("1", "42", key(1, 42, 1641254400000000)),
        ("2", "42", key(2, 42, "first")),
    ]


def test_nothing_is_a_state_too_and_nothing_twice_is_one(built: Built) -> None:
    employees = {THIRD: None, FOURTH: None, FIFTH: 2, SIXTH: None}
    versions = [a_customer_version(delivered_at=at, number_of_employees=number) for at, number in employees.items()]
    rows = built(TABLE, {"silver_customer_versions": versions})
    assert only(rows, "number_of_employees", "valid_from") == [(None, None), ("2", FIFTH), (None, SIXTH)]


def test_each_attribute_begins_a_state(built: Built) -> None:
    changes: list[Cells] = [
        {"last_used_platform": "IOS"},
        {"language": "sw"},
        {"is_blocked": True},
        {"number_of_employees": 3},
    ]
    versions = [
        a_customer_version(customer_id=number, delivered_at=at, **cells)
        for number, change in enumerate(changes)
        for at, cells in ((THIRD, {}), (FOURTH, change))
    ]
    rows = built(TABLE, {"silver_customer_versions": versions})
    assert only(rows, "customer_id", "version") == [(str(number), version) for number in range(4) for version in "12"]


def test_a_customer_known_by_orders_alone_has_one_state_of_nulls(built: Built) -> None:
    orders = [a_sold_line(customer_id=43), a_sold_line(order_id=8, customer_id=43), a_sold_line(order_id=9)]
    rows = built(TABLE, {"silver_customer_versions": [a_customer_version()], "silver_sold_lines": orders})
    assert only(
        rows, "customer_id", "is_known", "last_used_platform", "is_blocked", "is_current", "version", "valid_to"
    ) == [
        ("42", "true", "WEB", "false", "true", "1", None),
        ("43", "false", None, None, "true", "1", None),
    ]


def test_two_states_within_a_second_have_two_keys(built: Built) -> None:
    versions = [
        a_customer_version(),
        a_customer_version(delivered_at="2022-01-04 10:00:00.1", language="sw"),
        a_customer_version(delivered_at="2022-01-04 10:00:00.6", language="en"),
    ]
    rows = built(TABLE, {"silver_customer_versions": versions})
    assert len({row["customer_key"] for row in rows}) == 3
