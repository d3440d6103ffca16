"""What a column's texts are taken for."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse.scaffold import kinds

TYPES = {
    "int": ["1", "20", "-3"],
    "bigint": ["1", "3144837"],
    "decimal(18,2)": ["1", "2.5"],
    "decimal(18,4)": ["0.1234"],
    "boolean": ["yes", "No"],
    "date": ["2022-01-05", "2022-1-31"],
    "timestamp": ["2022-01-05 10:15:11 +0100"],
}


@pytest.mark.parametrize(("kind", "texts"), TYPES.items())
def test_a_column_is_of_the_type_that_all_its_texts_are_of(kind: str, texts: list[str]) -> None:
    assert kinds.kind_of(dict.fromkeys(texts, 1)).type == kind


@pytest.mark.parametrize(
    "texts",
    [
        ["007", "12"],  # an id, whose zeros count
        ["9" * 19],
        ["+254700000000"],
        ["A1", "B2"],
        ["INV1.5", "YR-2.5"],
        ["3.68E+29"],
        ["05.01.22"],  # of which century
        ["1,2,3"],
        ["12 Main Street", "14"],
        [],
    ],
)
def test_what_is_not_sure_stays_text(texts: list[str]) -> None:
    assert kinds.kind_of(dict.fromkeys(texts, 1)).type == "string"


@pytest.mark.parametrize(
    ("texts", "point", "like"),
    [
        (["1.234,50", "1.000"], ",", "12,50"),
        (["12,5 €"], ",", "12,50 €"),
        (["1,234.50"], ".", "12.50"),
        (["KSh 120.00", "KSh 1"], ".", "KSh 12.50"),
    ],
)
def test_an_amount_is_read_by_its_own_point_and_without_its_sign(texts: list[str], point: str, like: str) -> None:
    found = kinds.kind_of(dict.fromkeys(texts, 1))
    assert (found.type, found.how, found.like, found.is_plain) == ("decimal(18,2)", (point,), like, False)


@pytest.mark.parametrize(
    ("texts", "order"), [(["05.01.2022"], "dmy"), (["13/01/2022", "1/1/2022"], "dmy"), (["01/13/2022"], "mdy")]
)
def test_a_part_above_12_or_a_point_says_which_is_the_day(texts: list[str], order: str) -> None:
    found = kinds.kind_of(dict.fromkeys(texts, 1))
    assert (found.type, found.how, found.guess) == ("date", (order,), "")


def test_a_date_that_does_not_say_its_order_has_that_of_the_other_columns_or_a_guess() -> None:
    said = kinds.of_columns({"a": pa.array(["01/13/2022"]), "b": pa.array(["01/02/2022"])})
    assert said["b"].how == ("mdy",)
    assert "dmy is guessed" in kinds.kind_of({"01/02/2022": 1}).guess


def test_few_odd_values_are_named_and_many_make_a_column_text() -> None:
    days = {f"{day:02}/01/2022": 1 for day in range(1, 32)}
    assert kinds.kind_of(days | {"31/02/2022": 1}).odd == (("31/02/2022", 1),)
    assert kinds.kind_of(days | {"soon": 9}).type == "string"


def test_a_day_that_is_none_is_a_blank_of_its_column() -> None:
    found = kinds.kind_of({"2022-01-05": 3, "0000-00-00": 2})
    assert (found.type, found.blank, found.odd) == ("date", ("0000-00-00",), ())


def test_whole_amounts_are_decimals_by_their_name_and_what_is_counted_is_not() -> None:
    found = kinds.of_columns({"order_total": pa.array(["120"]), "total_orders": pa.array(["120"])})
    assert [one.type for one in found.values()] == ["decimal(18,2)", "int"]
