"""Which columns are taken for the key."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from lakehouse.scaffold import keys, kinds


def found(**columns: str) -> keys.Key:
    """Of columns whose cells are written with blanks between them; `_` is nothing."""
    cells = {name: [None if cell == "_" else cell for cell in text.split()] for name, text in columns.items()}
    rows = pa.table({name: pa.array(texts, pa.string()) for name, texts in cells.items()})
    of = kinds.of_columns({name: rows[name].combine_chunks() for name in cells})
    return keys.find(rows.append_column("_row", pa.array(range(1, rows.num_rows + 1), pa.int64())), of)


def test_an_id_that_is_another_one_in_each_row_is_the_key_and_others_are_told() -> None:
    key = found(mail="a b c", customer_id="1 2 3", city="x x y")
    assert (key.columns, key.others, key.is_document) == (("customer_id",), ("mail",), False)


def test_a_row_that_is_there_twice_is_no_second_one() -> None:
    key = found(id="1 2 2", city="x y y")
    assert (key.columns, key.is_document, key.repeats) == (("id",), False, 1)


def test_a_document_is_what_most_columns_are_the_same_by() -> None:
    key = found(order_id="7 7 8", total="20 20 5", sku="A B A", day="2022-01-05 2022-01-05 2022-01-06")
    assert (key.columns, key.is_document, key.same) == (("order_id",), True, ("total", "day"))


def test_facts_on_the_first_row_alone_tell_a_document_whatever_it_is_called() -> None:
    key = found(name="#1 #1 #2 #2", total="20 _ 5 _", item="A B A C")
    assert (key.columns, key.is_document, key.on_first) == (("name",), True, ("total",))


def test_two_columns_may_name_a_row_together() -> None:
    key = found(day="2022-01-05 2022-01-05 2022-01-06", currency="KES NGN KES", rate="1.5 2.5 1.5")
    assert (key.columns, key.is_document) == (("day", "currency"), False)


def test_where_nothing_names_a_row_all_of_one_value_are_a_document() -> None:
    key = found(a="1 1 2 2 1", b="x _ x x _", c="1.5 1.5 2.5 _ 2.5")
    assert (key.columns, key.is_document) == (("a",), True)
    assert "no columns name a row" in key.why


@pytest.mark.parametrize(("totals", "is_one"), [(["20", "30", "42"], True), (["20", "30", "41"], False)])
def test_a_product_holds_in_all_rows_or_is_none(totals: list[str], is_one: bool) -> None:  # noqa: FBT001
    numbers = {
        "quantity": [Decimal(2), Decimal(3), Decimal(6)],
        "price": [Decimal(10), Decimal(10), Decimal(7)],
        "total": [*map(Decimal, totals)],
    }
    expected = [("quantity", "price", "total", 3)] if is_one else []
    assert list(keys.products(numbers, ["quantity"])) == expected
