"""Which units changed rows touch, and which rows of the inputs they then need: literal rows, no lake."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from lakehouse.writes import units
from tests.promises import a_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table

pytestmark = pytest.mark.slow
WEEK_OF_AN_ORDER = {"order_week": "date_trunc('week', order_date)"}
Orders = list[tuple[int, int, str | None]]
ORDERS: Orders = [(1, 7, "2024-01-03"), (1, 8, "2024-01-09"), (2, 7, "2024-01-04"), (1, 9, None)]
CUSTOMERS = [(1, 7, "Nairobi"), (1, 8, "Mombasa"), (2, 7, "Lagos")]
CITIES = [("Nairobi", "south"), ("Lagos", "west")]


@pytest.fixture(scope="module")
def weeks() -> Table:
    inputs = {
        "silver.orders": {"unit": WEEK_OF_AN_ORDER},
        "silver.customers": {"through": "silver.orders", "on": ["market", "customer_id"]},
        "silver.cities": {"through": "silver.customers", "on": ["city"]},
    }
    columns = {"market": "int", "order_week": "date"}
    return a_table("gold.weeks", "refresh", *inputs, "conf.markets", inputs=inputs, columns=columns, grain=[*columns])


def orders(spark: SparkSession, rows: Orders) -> DataFrame:
    return spark.createDataFrame(rows, "market int, customer_id int, text string").selectExpr(
        "market", "customer_id", "cast(text as date) as order_date"
    )


def inputs(spark: SparkSession) -> dict[str, DataFrame]:
    return {
        "silver.orders": orders(spark, ORDERS),
        "silver.customers": spark.createDataFrame(CUSTOMERS, "market int, customer_id int, city string"),
        "silver.cities": spark.createDataFrame(CITIES, "city string, region string"),
        "conf.markets": spark.createDataFrame([(1, "Kenya")], "market int, country string"),
    }


def found(rows: DataFrame) -> list[tuple[object, ...]]:
    return sorted((tuple(map(str, row)) for row in rows.collect()), key=str)


def test_a_derived_unit_is_computed_from_both_images_of_a_change(spark: SparkSession, weeks: Table) -> None:
    moved = orders(spark, [(1, 7, "2024-01-03"), (1, 7, "2024-01-10"), (1, 9, "2024-01-05")])
    touched = units.touched(weeks, {"silver.orders": moved}, inputs(spark))
    assert touched.dtypes == [("market", "int"), ("order_week", "date")]
    assert found(touched) == [("1", "2024-01-01"), ("1", "2024-01-08")]


def test_a_changed_customer_touches_the_units_of_its_orders(spark: SparkSession, weeks: Table) -> None:
    changed = spark.createDataFrame([(1, 8, "Kisumu"), (2, 9, "Abuja")], "market int, customer_id int, city string")
    assert found(units.touched(weeks, {"silver.customers": changed}, inputs(spark))) == [("1", "2024-01-08")]


def test_a_way_may_go_through_an_input_that_goes_through_another(spark: SparkSession, weeks: Table) -> None:
    changed = spark.createDataFrame([("Nairobi", "north")], "city string, region string")
    assert found(units.touched(weeks, {"silver.cities": changed}, inputs(spark))) == [("1", "2024-01-01")]


def test_a_unit_without_a_name_is_a_unit_like_any_other(spark: SparkSession, weeks: Table) -> None:
    nameless = units.touched(weeks, {"silver.orders": orders(spark, [(1, 9, None)])}, inputs(spark))
    assert found(nameless) == [("1", "None")]
    assert found(units.narrowed(weeks, inputs(spark), nameless)["silver.orders"]) == [("1", "9", "None")]


@pytest.mark.parametrize("few", [True, False])
def test_inputs_are_narrowed_to_the_rows_of_the_units_and_conf_stays(
    engine: Native, spark: SparkSession, weeks: Table, *, few: bool
) -> None:
    some = orders(spark, [(1, 7, "2024-01-01")]).selectExpr("market", "order_date as order_week")
    small_side = engine.small_side if few else (lambda keys: keys)
    narrow = {name: found(rows) for name, rows in units.narrowed(weeks, inputs(spark), some, small_side).items()}
    assert narrow == {
        "silver.orders": [("1", "7", "2024-01-03")],
        "silver.customers": [("1", "7", "Nairobi")],
        "silver.cities": [("Nairobi", "south")],
        "conf.markets": [("1", "Kenya")],
    }


def test_what_is_narrow_is_kept_once_for_each_input_of_tables(spark: SparkSession, weeks: Table) -> None:
    kept: list[DataFrame] = []

    def keep(rows: DataFrame) -> DataFrame:
        kept.append(rows)
        return rows.where("true")

    some = orders(spark, [(1, 7, "2024-01-01")]).selectExpr("market", "order_date as order_week")
    narrow = units.narrowed(weeks, inputs(spark), some, keep=keep)
    assert len(kept) == 3
    assert not {id(rows) for rows in narrow.values()} & {id(rows) for rows in kept}


def test_slices_hold_every_row_of_a_unit_and_each_unit_once(spark: SparkSession, weeks: Table) -> None:
    slices = [units.of_slice(weeks, inputs(spark), place, 3) for place in range(3)]
    every = [row for one in slices for row in found(one["silver.orders"])]
    assert sorted(every) == found(inputs(spark)["silver.orders"])
    for one in slices:
        customers = {row[:2] for row in found(one["silver.orders"])}
        assert {row[:2] for row in found(one["silver.customers"])} == customers & {
            (str(m), str(c)) for m, c, _ in CUSTOMERS
        }
        assert found(one["conf.markets"]) == [("1", "Kenya")]


@pytest.fixture(scope="module")
def days_around() -> Table:
    """How much a user did on the two days before, the day, and the one after it, where he did something on it."""

    def build(silver_events: DataFrame) -> DataFrame:
        reading = F.explode(F.sequence(F.date_sub("day", 1), F.date_add("day", 2)))
        around = silver_events.withColumn("day", reading).groupBy("user", "day").agg(F.sum("events").alias("events"))
        return silver_events.select("user", "day").distinct().join(around, on=["user", "day"], how="inner")

    columns = {"user": "string", "day": "date", "events": "bigint"}
    unit, reach = ["user", "day"], {"silver.events": {"days": [-2, 1]}}
    return a_table("gold.days", "refresh", "silver.events", inputs=reach, columns=columns, grain=unit, build=build)


def events(spark: SparkSession, days: Mapping[str, Iterable[int]]) -> DataFrame:
    rows = [(user, day, 1 + day % 3) for user, numbers in days.items() for day in numbers]
    made = spark.createDataFrame(rows, "user string, number int, events int")
    return made.select("user", F.expr("date_add(date '2024-02-25', number)").alias("day"), "events")


def test_a_row_touches_the_units_that_read_its_day(spark: SparkSession, days_around: Table) -> None:
    changed = {"silver.events": events(spark, {"A": [5]})}
    days = [("A", f"2024-0{day}") for day in ("2-29", "3-01", "3-02", "3-03")]
    assert found(units.touched(days_around, changed, changed)) == days


@pytest.mark.parametrize("seed", range(4))
def test_units_that_read_other_days_are_built_from_these_days_alone(
    spark: SparkSession, days_around: Table, seed: int
) -> None:
    random = Random(seed)  # noqa: S311
    every = {"silver.events": events(spark, {user: random.sample(range(60), 12) for user in "ABC"})}
    whole = found(days_around.build(every["silver.events"]).select("user", "day", "events"))
    some = events(spark, {user: random.sample(range(60), 6) for user in "AB"}).select("user", "day")
    wanted = set(found(some))
    narrow = units.narrowed(days_around, every, some)
    built = units.only(days_around, days_around.build(narrow["silver.events"]), some)
    assert found(built.select("user", "day", "events")) == [row for row in whole if row[:2] in wanted]
    slices = [units.of_slice(days_around, every, place, 3) for place in range(3)]
    parts = [
        units.only_of_slice(days_around, days_around.build(rows["silver.events"]), place, 3)
        for place, rows in enumerate(slices)
    ]
    assert sorted(row for part in parts for row in found(part.select("user", "day", "events"))) == whole


def test_days_that_are_far_apart_are_read_apart(spark: SparkSession, days_around: Table) -> None:
    every = {"silver.events": events(spark, {"A": range(60)})}
    some = events(spark, {"A": [3, 4, 50]}).select("user", "day")
    read = found(units.narrowed(days_around, every, some)["silver.events"].select("day"))
    assert [day for (day,) in read] == [str(date(2024, 2, 25) + timedelta(n)) for n in (1, 2, 3, 4, 5, 48, 49, 50, 51)]


def test_what_differs_counts_repeats_and_tells_null_from_its_neighbour(spark: SparkSession) -> None:
    kind = "unit int, a string, b string"
    stored = spark.createDataFrame([(1, "x", None), (2, "x", "y"), (3, "x", "y"), (3, "x", "y"), (4, "x", "y")], kind)
    new = spark.createDataFrame([(1, None, "x"), (2, "x", "y"), (3, "x", "y"), (5, "x", "y")], kind)
    columns = {"unit": "int", "a": "string", "b": "string"}
    promise = a_table("gold.letters", "refresh", columns=columns, grain=[*columns], unit=["unit"]).contract
    differing = units.differing(promise, new, stored)
    assert found(differing) == [
        ("1", "None", "x", "False"),
        ("1", "x", "None", "True"),
        ("3", "x", "y", "False"),
        ("4", "x", "y", "True"),
        ("5", "x", "y", "False"),
    ]


def test_a_row_that_is_written_again_as_it_was_is_no_change(spark: SparkSession) -> None:
    feed = [
        ("delete", 1, "again", "x"),
        ("insert", 1, "again", "x"),
        ("update_preimage", 2, "in a column that nobody uses", "x"),
        ("update_postimage", 2, "in a column that nobody uses", "y"),
        ("delete", 3, None, "x"),
        ("insert", 3, None, "x"),
        ("delete", 4, "twice before, once after", "x"),
        ("delete", 4, "twice before, once after", "x"),
        ("insert", 4, "twice before, once after", "x"),
        ("update_preimage", 5, "before", "x"),
        ("update_postimage", 5, "after", "x"),
        ("delete", 6, "gone", "x"),
        ("insert", 7, "come", "x"),
        ("insert", 8, "come and gone", "x"),
        ("delete", 8, "come and gone", "x"),
    ]
    rows = spark.createDataFrame(feed, "_change_type string, unit int, used string, unused string")
    assert found(units.net(rows, ["unit", "used"])) == [
        ("4", "twice before, once after"),
        ("5", "after"),
        ("5", "before"),
        ("6", "gone"),
        ("7", "come"),
    ]
