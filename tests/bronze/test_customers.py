from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rows import Texts, only

if TYPE_CHECKING:
    from tests.rows import Read

TABLE = "bronze.customers"
KENYA = "market_1/2022-01-03/Market 1 Customers.json"
NIGERIA = "market_2/2022-01-03/Market 2 Customers.json"
STRANGE = "market_2/50% of [all] Customers, new.json"
FILES = {
    KENYA: """[\r
 {\r
   "Customer ID": 42,\r
   "Last Used Platform": "WEB",\r
   "Is Blocked": 0,\r
   "Created At": "2022-01-02T21:30:00.000Z",\r
   "Outstanding Amount": 1.10,\r
   "Loyalty Points": 1e3,\r
   "Number of employees": 12345678901234567890\r
 },\r
 {\r
   "Customer ID": "43",\r
   "Last Used Platform": "",\r
   "Is Blocked": true,\r
   "Language": "say \\"en\\",\\nü",\r
   "Number of employees": null\r
 }\r
]""",
    NIGERIA: '[{"Customer ID": 42, "Number of Employees": -2, "Outstanding Amount": 100000.00}]',
    STRANGE: '[{"Customer ID": 7, "Home": {"lat": 1.50, "tags": ["a", 2.0]}}, {"Customer ID": 8}]',
    "market_1/2022-01-04/Market 1 Customers.json": "[]",
}


@pytest.fixture(scope="module")
def delivered(read: Read) -> dict[str, list[Texts]]:
    return read(TABLE, FILES)


def test_numbers_are_kept_as_written(delivered: dict[str, list[Texts]]) -> None:
    names = ("customer_id", "outstanding_amount", "loyalty_points", "number_of_employees", "is_blocked")
    assert only(delivered[KENYA], *names) == [
        ("42", "1.10", "1e3", "12345678901234567890", "0"),
        ("43", None, None, None, "true"),
    ]


def test_two_spellings_of_a_key_are_one_column(delivered: dict[str, list[Texts]]) -> None:
    rows = [delivered[KENYA][0], delivered[NIGERIA][0]]
    assert only(rows, "market", "number_of_employees") == [("1", "12345678901234567890"), ("2", "-2")]
    assert not [name for name in rows[0] if "mployees" in name and name != "number_of_employees"]


def test_a_text_is_kept_to_the_letter_and_an_empty_one_is_not_null(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[KENYA], "last_used_platform", "language", "created_at") == [
        ("WEB", None, "2022-01-02T21:30:00.000Z"),
        ("", 'say "en",\nü', None),
    ]


def test_rows_are_counted_by_object(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[KENYA], "_row", "_problem", "_raw", "_batch") == [
        ("1", None, None, "5"),
        ("2", None, None, "5"),
    ]


def test_a_file_may_have_any_name_and_a_nested_value_stays_as_written(delivered: dict[str, list[Texts]]) -> None:
    assert only(delivered[STRANGE], "_file", "_row", "customer_id", "home") == [
        (STRANGE, "1", "7", '{"lat": 1.50, "tags": ["a", 2.0]}'),
        (STRANGE, "2", "8", None),
    ]


def test_an_empty_array_has_no_rows(delivered: dict[str, list[Texts]]) -> None:
    assert delivered.keys() == {KENYA, NIGERIA, STRANGE}
