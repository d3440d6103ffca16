"""One text for each value, whether an array of Arrow's or a cell of a spreadsheet holds it."""

from __future__ import annotations

import datetime as dt
import math
import random
import struct
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.readers.records import LARGEST
from lakehouse.readers.typed.texts import judge, text_of, texts_of

NAIROBI = pa.timestamp("ms", "Africa/Nairobi")
TEN = dt.datetime(2022, 1, 31, 10)  # noqa: DTZ001  a cell knows no zone
NESTED = {"n": 1.0, "t": 'a "b"', "d": [Decimal("1.50"), None], "x": math.nan}
SAID: tuple[tuple[pa.Array, str], ...] = (
    (pa.array([100.0]), "100"),
    (pa.array([0.1 + 0.2]), "0.30000000000000004"),
    (pa.array([1e20]), "100000000000000000000"),
    (pa.array([1e-7]), "0.0000001"),
    (pa.array([math.nan]), "NaN"),
    (pa.array([-math.inf]), "-Infinity"),
    (pa.array([0.1], pa.float32()), "0.1"),
    (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
    (pa.array([Decimal("1.50")]), "1.50"),
    (pa.array([Decimal(0)], pa.decimal128(20, 8)), "0.00000000"),
    (pa.array([Decimal(100)], pa.decimal128(5, -2)), "100"),
    (pa.array([True]), "true"),
    (pa.array([dt.date(2022, 1, 5)]), "2022-01-05"),
    (pa.array([dt.date(2022, 1, 5)], pa.date64()), "2022-01-05"),
    (pa.array([TEN], pa.timestamp("ns")), "2022-01-31T10:00:00"),
    (pa.array([1_643_623_200_500]).cast(NAIROBI), "2022-01-31T10:00:00.5Z"),
    (pa.array([dt.time(10, 0, 0, 20)]), "10:00:00.00002"),
    (pa.array([dt.timedelta(hours=36, milliseconds=-1)]), "PT129599.999S"),
    (pa.array([b"\xff"]), "/w=="),
    (pa.array(["a", "a"]).dictionary_encode(), "a"),
    (
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"\0" * 16], pa.binary(16))),
        f"{'0' * 8}-0000-0000-0000-{'0' * 12}",
    ),
    (pa.array([NESTED]), '{"n":1,"t":"a \\"b\\"","d":[1.50,null],"x":"NaN"}'),
    (pa.array([[TEN]]), '["2022-01-31T10:00:00"]'),
    (pa.array([[("k", [1])]], pa.map_(pa.string(), pa.list_(pa.int64()))), '{"k":[1]}'),
    (pa.array([[(7, None)]], pa.map_(pa.int64(), pa.bool_())), '{"7":null}'),
    (pa.array([{}], pa.struct([])), "{}"),
)


@pytest.mark.parametrize(("array", "text"), SAID, ids=[f"{array.type}" for array, _ in SAID])
def test_a_value_has_one_text_and_null_has_none(array: pa.Array, text: str) -> None:
    with_null = pa.concat_arrays([array[:1], pa.nulls(1, array.type)])
    assert texts_of(with_null).to_pylist() == [text, None]


def test_a_number_is_the_same_in_a_spreadsheet_and_reads_back() -> None:
    chance = random.Random(17)  # noqa: S311  no secret
    drawn = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(2_000)]
    values = [one for one in (*drawn, *map(chance.gauss, drawn[:500], [1] * 500)) if math.isfinite(one)]
    texts = texts_of(pa.array(values)).to_pylist()
    assert texts == [text_of(one) for one in values]
    assert [float(one) for one in texts] == values
    assert not [one for one in texts if "e" in one]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("007", "007"),
        (7, "7"),
        (True, "true"),
        (TEN, "2022-01-31T10:00:00"),
        (TEN.replace(microsecond=120_000), "2022-01-31T10:00:00.12"),
        (dt.date(2022, 1, 31), "2022-01-31"),
        (dt.time(10), "10:00:00"),
        (dt.timedelta(hours=36), "PT129600S"),
    ],
)
def test_a_cell_is_what_it_holds_and_not_what_is_shown(cell: Any, text: str) -> None:  # noqa: ANN401
    assert text_of(cell) == text


def test_a_type_that_has_no_text_is_none_of_a_file() -> None:
    with pytest.raises(TypeError, match="month_day_nano_interval"):
        texts_of(pa.nulls(1, pa.month_day_nano_interval()))


def test_a_row_has_the_problems_that_rows_of_other_files_have() -> None:
    assert judge(["a", None]) == (("a", None), None, None)
    assert judge(["a\0"])[1:] == ("row_has_a_nul", '["a\\u0000"]')
    assert judge(["caf\udce9"]) == (("caf\\xE9",), "row_has_invalid_bytes", '["caf\\\\xE9"]')
    assert judge(["id"], ("id",)).problem == "row_repeats_the_header"
    assert judge(["a" * (LARGEST + 1), ""]) == ((None, None), "row_is_too_large", "a" * 1000)
