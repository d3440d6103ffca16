"""Two frames are equal by value, or the rows that differ are named with both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from lakehouse.proof.compare import SHOWN, Comparison, Difference, compare

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.slow
SCHEMA = "market int, order_id bigint, name string, total decimal(18,2), weight double"
Rows = list[tuple[int | None, int | None, str | None, str | None, float | None]]
RIGHT: Rows = [(1, 7, "A", "10.00", 0.1), (1, 8, None, None, None), (2, 7, "", "10.00", 0.1)]


class Frames:
    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark

    def frame(self, rows: Rows) -> DataFrame:
        texts = self.spark.createDataFrame(rows, SCHEMA.replace("decimal(18,2)", "string"))
        return texts.withColumn("total", F.col("total").cast("decimal(18,2)"))

    def compare(self, rebuilt: Rows, stored: Rows) -> Comparison:
        return compare(self.frame(rebuilt), self.frame(stored), ["market", "order_id"])


@pytest.fixture
def frames(spark: SparkSession) -> Frames:
    return Frames(spark)


def test_the_same_rows_in_another_order_are_equal_and_have_the_same_hash(frames: Frames) -> None:
    one, other = frames.compare(RIGHT, RIGHT[::-1]), frames.compare(RIGHT[::-1], RIGHT)
    assert (one.is_equal, one.rows, one.stored, one.first) == (True, 3, 3, ())
    assert one == other
    assert frames.compare(RIGHT[:2], RIGHT[:2]).hash != one.hash


def test_no_rows_equal_no_rows(frames: Frames) -> None:
    assert frames.compare([], []) == Comparison(0, 0, 0)


def test_the_smallest_difference_of_a_decimal_a_double_or_a_null_is_one(frames: Frames) -> None:
    for column, wrong in (
        ("total", (1, 7, "A", "10.01", 0.1)),
        ("weight", (1, 7, "A", "10.00", 0.1 + 2**-55)),
        ("name", (1, 7, None, "10.00", 0.1)),
    ):
        found = frames.compare(RIGHT, [wrong, *RIGHT[1:]])
        assert [list(one.values) for one in found.first] == [[column]]


def test_nan_equals_nan_and_zero_has_no_sign(frames: Frames) -> None:
    assert frames.compare([(1, 1, "", "0", float("nan")), (1, 2, "", "-0", -0.0)],
                          [(1, 1, "", "0", float("nan")), (1, 2, "", "0", 0.0)]).is_equal  # fmt: skip


def test_a_difference_has_its_key_and_both_sides_of_what_differs(frames: Frames) -> None:
    found = frames.compare(RIGHT, [RIGHT[0], (1, 8, "B", "0.00", None), RIGHT[2]])
    values = {"name": (None, "B"), "total": (None, "0.00")}
    assert (found.differing, found.first) == (1, (Difference({"market": "1", "order_id": "8"}, values),))


def test_a_row_that_one_side_lacks_is_shown_with_the_values_of_the_other(frames: Frames) -> None:
    found = frames.compare(RIGHT[:2], RIGHT[1:])
    missing, stranger = found.first
    assert (found.differing, missing.only_in, stranger.only_in) == (2, "rebuilt", "stored")
    assert missing.values["total"] == ("10.00", None)
    assert stranger.values["name"] == (None, "")


def test_repeats_count(frames: Frames) -> None:
    twice = frames.compare([RIGHT[0], RIGHT[0]], [RIGHT[0], RIGHT[0]])
    assert (twice.is_equal, twice.rows, twice.stored) == (True, 2, 2)
    once = frames.compare([RIGHT[0], RIGHT[0]], [RIGHT[0]])
    assert (once.differing, once.rows, once.stored) == (1, 2, 1)
    assert twice.hash == once.hash == 2 * frames.compare([RIGHT[0]], [RIGHT[0]]).hash


def test_a_key_that_repeats_with_other_values_is_compared_as_a_bag(frames: Frames) -> None:
    one, other = (1, 7, "A", "1.00", None), (1, 7, "B", "2.00", None)
    assert frames.compare([one, other], [other, one]).is_equal
    assert frames.compare([one, one, other], [one, other, other]).differing == 1


def test_a_null_key_meets_a_null_key(frames: Frames) -> None:
    keyless = (1, None, "A", "1.00", None)
    assert frames.compare([keyless], [keyless]).is_equal
    assert frames.compare([keyless], []).first[0].key == {"market": "1", "order_id": None}


def test_of_many_differences_the_first_by_key_are_shown(frames: Frames) -> None:
    many: Rows = [(1, number, "A", "1.00", None) for number in range(SHOWN + 5)]
    found = frames.compare(many, [])
    assert found.differing == SHOWN + 5
    assert [one.key["order_id"] for one in found.first] == [str(number) for number in range(SHOWN)]
