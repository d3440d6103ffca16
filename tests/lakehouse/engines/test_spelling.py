"""Each function of the list gives the same values and types on both engines, of random and of extreme values."""

from __future__ import annotations

import ast
import datetime as dt
import os
import random
import re
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse import graph, transforms
from lakehouse.engines.spelling import FUNCTIONS, refused
from lakehouse.writes.lake import conf_table
from tests.alike import assert_alike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.window import WindowSpec

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.graph import Table

    Columns = Callable[[], list[Column]]
    Asked = Callable[[DataFrame], DataFrame]

MODE = "SPARK_CONNECT_MODE_ENABLED"  # which of the two `F` is: asked at each call
ROWS = 400
TYPES = {
    "n": pa.int32(),
    "g": pa.int32(),
    "m": pa.timestamp("us", "UTC"),
    "small": pa.int32(),
    "i": pa.int32(),
    "l": pa.int64(),
    "d10": pa.decimal128(10, 0),
    "d18": pa.decimal128(18, 2),
    "d20": pa.decimal128(20, 4),
    "d28": pa.decimal128(28, 2),
    "d38": pa.decimal128(38, 20),
    "f": pa.float64(),
    "b": pa.bool_(),
    "s": pa.string(),
    "p": pa.string(),
    "day": pa.date32(),
    "at": pa.timestamp("us", "UTC"),
    "zone": pa.string(),
    "words": pa.list_(pa.string()),
    "numbers": pa.list_(pa.int32()),
}
TEXTS = [
    "",
    " ",
    "a",
    "A",
    "ab",
    "a,b,,",
    ",",
    "Ünïcödé",
    "ß",
    "İ",
    "\u0131",
    "ΑΣ",
    "ǅ",
    "ﬀ",
    "😀",
    "\u00a0a\u00a0",
    "\ta\n",
    "a\u001fb",
    "  two  words ",
    "٣٤",
    "\uff11",
    "KSh 120.00",
    "₦11500.00",
    "KSh\u00a05",
    *(f"{blank}KSh{blank}5{blank}" for blank in transforms.BLANK),
    "a\n",
    "e\u0301",
    "\ufeffx",
    "null",
    '"a,b"',
    "$1\\",
    '[{"a":1.10, "b":null},\n{"a" : "x},{", "b":-2e+3}]',
    '[ {"a":"2022-02-17 16:36:27.123456"},{"a":"2022-02-30 00:00:00"} , {"a":01}]',
    '[{"a":1,"a":2},{"a":"\\\\"},{"b":{"a":1}},{"a":tru}]',
    '{"a":1}',
    "[]",
    "[",
    "[{}]",
]
PARSED = [
    "1",
    "-1",
    "+7",
    " 12.34 ",
    "12.",
    ".5",
    "007",
    "1e3",
    "1.0",
    "12.345",
    "12.3400",
    "9" * 16 + ".99",
    "9" * 30,
    "-0.00",
    "0x1F",
    "NaN",
    "Infinity",
    "7L",
    "٣",
    "1\u00a0",
    "\u00a01",
    "9223372036854775807",
    "9223372036854775808",
    "2147483648",
    "-2147483648",
    "1\n",
    "",
    "-",
    "2022-02-17T16:36:27.000Z",
    "2022-02-17T16:36:27.123Z",
    "2022-02-17T16:36:27Z",
    "2022-02-17T16:36:27.000+03:00",
    "2024-02-29T00:00:00.000Z",
    "2022-02-29T00:00:00.000Z",
    "2022-02-17T24:00:00.000Z",
    "2022-02-17T16:36:60.000Z",
    "2022-02-17 16:36:27",
    "0001-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59.999Z",
    "1899-12-31T23:59:59.000-00:00",
    "10000-01-01T00:00:00.000Z",
    "2022-02-17T16:36:27.000Z\n",
    "2022-02-17T16:36:27.000+14:00",
    "2022-02-17T16:36:27.1Z",
    "2022-2-17T16:36:27.000Z",
    "2022-02-17",
    "2024-02-29",
    "2022-02-29",
    "2022-2-17",
    "0001-01-01",
    "9999-12-31",
    "0000-01-01",
    "-2022-01-01",
    "20220217",
    "2022-13-01",
    " 2022-02-17",
    "2022-02-17 ",
    "2022-02-17\n",
    "\uff12\uff1022-02-17",
    "2022-02",
    "17/02/2022",
]
ZONES = ["Africa/Lagos", "Africa/Nairobi", "Europe/Berlin", "America/New_York", "UTC"]
DAYS = [
    "0001-01-01",
    "1582-10-04",
    "1582-10-15",
    "1899-12-31",
    "1969-12-31",
    "1970-01-01",
    "2000-02-29",
    "2020-12-31",
    "2021-01-03",
    "2021-01-04",
    "2024-02-29",
    "2024-12-30",
    "2100-03-01",
    "9999-12-31",
]
# Around the hours that clocks skipped or had twice, and before there were time zones.
MOMENTS = [
    "0001-01-02T00:00:00",
    "1582-10-10T12:00:00",
    "1883-11-18T12:03:57",
    "1893-03-31T23:30:00",
    "1905-07-01T00:00:30",
    "1919-09-01T00:10:00",
    "1928-06-30T23:59:59",
    "1928-07-01T00:15:00",
    "1936-01-05T00:10:00",
    "1942-07-31T23:59:00",
    "1945-05-24T02:30:00",
    "1960-01-01T00:10:00",
    "2022-03-13T02:30:00",
    "2022-03-27T02:30:00",
    "2022-03-27T01:00:00",
    "2022-10-30T02:30:00",
    "2022-10-30T01:00:00",
    "2022-11-06T01:30:00",
    "2037-10-25T02:30:00",
    "2050-03-27T02:30:00",
    "2099-07-01T12:00:00",
    "2100-01-01T12:00:00",
    "9999-12-30T23:59:59.999999",
    "2022-02-17T16:36:27.123456",
]


def decimal(unscaled: int, scale: int) -> Decimal:
    """By its text: whatever Python computes with decimals it rounds to 28 digits, even a sign."""
    return Decimal(f"{unscaled}E-{scale}")


def values(kind: pa.DataType, draw: random.Random) -> list[Any]:
    """The extremes of a type, and values at random."""
    if pa.types.is_decimal(kind):
        top = 10**kind.precision - 1
        some = [draw.randint(-(10**size), 10**size) for size in range(1, kind.precision)]
        return [decimal(one, kind.scale) for one in (top, -top, 1, -1, 0, *some)]
    if pa.types.is_integer(kind):
        top = 2 ** (kind.bit_width - 1)
        return [top - 1, -top, 0, 1, -1, *(draw.randint(-top, top - 1) // 10 ** draw.randint(0, 9) for _ in range(30))]
    if pa.types.is_floating(kind):
        random_ones = [draw.uniform(-180, 180) for _ in range(60)]
        return [0.0, -0.0, 1e-300, 1.5, -1.5, 0.07, 8.95, 1e15, float("nan"), *random_ones]
    if pa.types.is_date(kind):
        of_years = [dt.date(1, 1, 1) + dt.timedelta(days=draw.randint(0, 3652058)) for _ in range(60)]
        return [*map(dt.date.fromisoformat, DAYS), *of_years]
    if pa.types.is_timestamp(kind):
        known = [dt.datetime.fromisoformat(one).replace(tzinfo=dt.UTC) for one in MOMENTS]
        start = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
        return known + [start + dt.timedelta(microseconds=draw.randint(0, 6_300_000_000_000_000)) for _ in range(60)]
    raise NotImplementedError(kind)


@cache
def table() -> pa.Table:
    draw = random.Random(7)  # noqa: S311
    of_name: dict[str, list[Any]] = {
        "g": [1, 2, 3, 4, None],
        "small": list(range(-9, 10)),
        "b": [True, False],
        "s": list(TEXTS),
        "p": list(PARSED),
        "zone": list(ZONES),
        "words": [[], ["a"], ["b", "a", "b"], ["", "ü"], *([one] for one in TEXTS)],
        "numbers": [[], [1], [3, 1, 2], [2, 2, 2**31 - 1, -(2**31)]],
    }
    columns: dict[str, list[Any]] = {"n": list(range(ROWS))}
    for name, kind in TYPES.items():
        if name == "m":  # never null, and often the same
            columns[name] = [
                dt.datetime(2022, 1, 1 + one % 28, tzinfo=dt.UTC) for one in draw.sample(range(ROWS), ROWS)
            ]
        elif name != "n":
            drawn = of_name[name] if name in of_name else values(kind, draw)
            every = [*drawn, None] * (ROWS // (len(drawn) + 1) + 1)
            columns[name] = every[:ROWS] if name in {"p", "at"} else draw.sample(every[:ROWS], ROWS)
    return pa.table({name: pa.array(columns[name], kind) for name, kind in TYPES.items()})


@contextmanager
def connect(*, on: bool) -> Iterator[None]:
    before = os.environ.pop(MODE, None)
    if on:
        os.environ[MODE] = "1"
    try:
        yield
    finally:
        os.environ.pop(MODE, None)
        if before is not None:
            os.environ[MODE] = before


def answers(session: SparkSession, ask: Asked, rows: pa.Table, *, remote: bool) -> pa.Table:
    with connect(on=remote):
        return ask(session.createDataFrame(rows)).toArrow()


def of_no_rows(ask: Asked) -> Asked:
    return lambda rows: ask(rows.where("false"))


def select(columns: Columns) -> Asked:
    return lambda rows: rows.select("n", *(one.alias(f"c{at}") for at, one in enumerate(columns())))


def grouped(columns: Columns) -> Asked:
    return lambda rows: rows.groupBy("g").agg(*(one.alias(f"c{at}") for at, one in enumerate(columns())))


def sql(*texts: str) -> Columns:
    return lambda: [F.expr(text) for text in texts]


def life() -> WindowSpec:
    return Window.partitionBy("g").orderBy("day", "n")


OF_ROWS: dict[str, Columns] = {
    "coalesce": lambda: [
        F.coalesce("i", F.lit(0)),
        F.coalesce("d18", F.lit(0)),
        F.coalesce("s", "p"),
        F.coalesce("day", "day"),
    ],
    "nullif": lambda: [F.nullif("d18", F.lit(0)), F.nullif("s", F.lit("")), F.nullif(F.col("d10"), F.lit(0))],
    "isnull": lambda: [F.isnull("s"), F.isnull("d38"), F.col("words").isNull(), F.col("at").isNotNull()],
    "if": sql("if(s is null, null, 1)", "if(b, d18, -d18)", "if(i > 0, i, small)"),
    "least": sql(
        "least(d18, d20, d28) >= 0", "least(i, l)", "least(s, p)", "least(day, date'2022-01-01')", "least(d18, d18)"
    ),
    "greatest": sql("2 * greatest(small, 1)", "greatest(i, l)", "greatest(d18, d20)", "greatest(at, at)"),
    "abs": lambda: [F.abs("d18"), F.abs("d28"), F.abs("f"), F.abs("small"), F.abs(F.col("l").cast("decimal(25,0)"))],
    "signum": lambda: [F.signum(name).cast("decimal(1,0)") for name in ("d18", "d38", "l", "small")],
    "round": lambda: [
        F.round("d20", 2).cast("decimal(20,2)"),
        F.round("d28", 0).cast("decimal(28,0)"),
        F.round(F.col("d18") * F.col("d10"), 1).cast("decimal(30,1)"),
    ],
    "isnan": lambda: [F.isnan(F.coalesce("f", F.lit(0.0))), F.when(~F.isnan("f"), F.col("f") + F.lit(0.0))],
    "floor": lambda: [F.floor(F.col("f") * 100).cast("bigint"), F.floor("f"), F.floor(F.col("d18")).cast("bigint")],
    "pmod": lambda: [F.pmod("l", F.lit(10)), F.pmod("i", F.lit(7)), F.pmod(F.unix_date("day"), F.lit(10))],
    "div": lambda: [
        F.call_function("div", F.col("l"), F.lit(7)),
        F.call_function("div", F.col("d18"), F.lit(100)),
        F.call_function("div", F.col("d18"), F.nullif(F.abs("small"), F.lit(0)).cast("bigint")),
        F.call_function("div", F.col("i").cast("bigint") * 5, F.nullif("small", F.lit(0))),
        F.expr("d18 div 3.5"),
    ],
    "raise_error": lambda: [F.when(F.col("n") < 0, F.raise_error(F.lit("never")).cast("bigint")).otherwise(F.col("l"))],
    "concat": lambda: [F.concat("s", "p"), F.concat("words", "words"), F.concat("words", F.array(F.lit("x")))],
    "concat_ws": lambda: [
        F.concat_ws("|", "s", "p"),
        F.concat_ws("|", "i", "l", "s"),
        F.concat_ws(",", "words"),
        F.concat_ws(" ", "d18", "d28", "d10"),
    ],
    "lower": lambda: [F.lower("s")],
    "upper": lambda: [F.upper("s")],
    "trim": lambda: [F.trim("s"), F.trim("p")],
    "btrim": lambda: [transforms.stripped("s"), transforms.stripped("p"), F.btrim("s", F.lit("aß"))],
    "length": lambda: [F.length("s")],
    "translate": lambda: [F.translate("s", "\u001f", ","), F.translate("s", "aü", "x")],
    "split": lambda: [F.split("s", ",", -1), F.split("p", "-", -1), transforms.json_objects("s")],
    "md5": lambda: [F.md5("s"), F.md5(F.concat_ws("|", "i", "l", "s"))],
    "regexp_replace": lambda: [
        F.regexp_replace("s", transforms.SIGN, ""),
        F.regexp_replace("s", r'"([^",]*),([^",]*)"', "$1\u001f$2"),
    ],
    "regexp_extract": lambda: [
        F.regexp_extract("s", transforms.SIGN, 1),
        F.regexp_extract("p", r"^([0-9]+)\.([0-9]+)\z", 2),
        transforms.json_value(F.col("s"), "a"),
        transforms.json_text(F.col("s"), "a"),
    ],
    "year": lambda: [F.year("day"), F.year("at")],
    "quarter": lambda: [F.quarter("day")],
    "month": lambda: [F.month("day"), F.year("day") * 12 + F.month("day")],
    "dayofweek": lambda: [F.dayofweek("day"), transforms.weekday("day")],
    "weekofyear": lambda: [F.weekofyear("day")],
    "hour": lambda: [F.hour("at")],
    "date_add": lambda: [F.date_add(F.date_sub("day", 40), 31), F.date_add(F.date_sub("day", F.dayofmonth("day")), 6)],
    "date_sub": lambda: [F.date_sub("day", 0), F.date_sub(F.to_date(F.lit("2022-03-01")), F.col("small"))],
    "dayofmonth": lambda: [
        F.dayofmonth("day"),
        transforms.month_start("day"),
        transforms.week_start("day"),
        transforms.iso_year("day"),
    ],
    "make_date": lambda: [
        F.make_date(F.year("day"), F.lit(1), F.lit(1)),
        F.make_date(F.year("day"), F.lit(12), F.lit(31)),
    ],
    "sequence": lambda: [
        F.sequence(F.lit(0), F.abs("small")),
        F.sequence("day", "day"),
        F.sequence(
            F.lit(dt.date(2022, 1, 3)),
            F.date_add(F.lit(dt.date(2022, 1, 3)), F.abs("small") * 7),
            F.expr("interval 7 days"),
        ),
        F.sequence(F.make_date(F.year("day"), F.lit(1), F.lit(1)), F.make_date(F.year("day"), F.lit(12), F.lit(31))),
    ],
    "date_format": lambda: [F.date_format("day", "yyyy-MM"), F.date_format("day", "yyyyMMdd").cast("int")],
    "to_date": lambda: [F.to_date("at"), F.to_date("day")],
    "date_diff": lambda: [
        transforms.days_between("day", F.lit(dt.date(2022, 1, 1))),
        F.date_diff("day", "day").cast("int"),
    ],
    "datediff": sql("cast(datediff(make_date(year(day), 12, 31), day) as int)"),
    "try_to_timestamp": lambda: [transforms.export_time("p"), transforms.wall_clock("p"), transforms.calendar_day("p")],
    "unix_date": lambda: [F.unix_date("day")],
    "unix_micros": lambda: [F.unix_micros("at"), F.unix_micros("at").cast("string")],
    "to_utc_timestamp": lambda: [
        F.to_utc_timestamp("at", F.col("zone")),
        transforms.local_to_utc(F.col("at"), F.col("zone")),
    ],
    "from_utc_timestamp": lambda: [
        F.from_utc_timestamp("at", F.col("zone")),
        F.hour(F.from_utc_timestamp("at", F.col("zone"))),
    ],
    "array": lambda: [F.array("s", "p"), F.array("d18", "d18"), F.array("i", "i")],
    "array_append": lambda: [F.array_append("words", F.lit("x"))],
    "array_compact": lambda: [
        F.array_compact(F.array("s", "p")),
        F.array_compact(F.array(F.when(F.col("b"), F.lit("x")))),
    ],
    "array_contains": lambda: [F.array_contains("words", "a"), F.array_contains("numbers", 1)],
    "array_join": lambda: [F.array_join("words", ","), F.array_join(F.split("s", ",", -1), ",")],
    "array_sort": lambda: [F.array_sort("words"), F.array_sort("numbers")],
    "sort_array": lambda: [F.sort_array("words"), F.sort_array("numbers")],
    "slice": lambda: [F.slice("numbers", 1, 2), F.slice("words", F.lit(2), F.abs("small") + 1)],
    "get": lambda: [
        F.get("words", F.lit(0)),
        F.get("numbers", F.abs("small")),
        F.get(F.array().cast("array<string>"), F.lit(-1)),
    ],
    "size": lambda: [F.size(F.coalesce("words", F.array())), F.size(F.split("s", ",", -1))],
    "filter": lambda: [
        F.filter("numbers", lambda one: one > 1),
        F.filter(transforms.json_objects("s"), lambda one: transforms.is_json_object(one, "a")),
        F.filter(transforms.json_objects("s"), lambda one: transforms.json_clock(one, "a").isNotNull()),
        F.filter(F.array(F.struct("b", "s")), lambda one: one["b"]),
    ],
    "aggregate": sql("aggregate(numbers, 0L, (sum, one) -> sum + one)"),
    "struct": lambda: [
        F.struct("i", "s", "d38"),
        F.struct("i", "s").eqNullSafe(F.struct(F.col("small").alias("i"), F.col("s"))),
    ],
    "xxhash64": lambda: [
        *(F.xxhash64(name) for name in ("b", "small", "i", "l", "d10", "d18", "s", "day", "at", "words", "numbers")),
        F.xxhash64(F.col("d38").cast("string"), F.col("d20").cast("string")),
        F.xxhash64("f"),
        transforms.row_hash("s", "p", "i", "d18", "at", "b"),
    ],
    "row_number": lambda: [F.row_number().over(life()), F.row_number().over(Window.partitionBy("g").orderBy("s", "n"))],
    "rank": lambda: [
        F.rank().over(Window.partitionBy("g").orderBy(F.desc("day"))),
        F.rank().over(Window.partitionBy("b").orderBy(F.asc("s"))),
    ],
    "lag": lambda: [F.lag("d18").over(life()), F.lag("b").over(life()), F.lag("s").over(life())],
    "lead": lambda: [F.lead("at").over(life())],
    "last": lambda: [F.last("day", ignorenulls=True).over(life().rowsBetween(Window.unboundedPreceding, -1))],
}
OF_GROUPS: dict[str, Columns] = {
    "count": lambda: [F.count("*"), F.count("s"), F.count(F.when(F.col("b"), F.lit(1)))],
    "count_if": lambda: [F.count_if("b"), F.count_if(F.col("i") > 0)],
    "min": lambda: [F.min(name) for name in ("s", "d38", "at", "day", "l", "i", "b")],
    "max": lambda: [F.max(name) for name in ("s", "d38", "at", "day", "l", "i", "b")],
    "min_by": lambda: [F.min_by("d18", "n"), F.min_by("s", F.struct("m", "n")), F.expr("min_by(d18, struct(m, n))")],
    "max_by": lambda: [
        F.max_by("s", "n"),
        F.max_by("d18", F.struct("m", "n")),
        F.max_by("s", F.when(F.col("s").isNotNull(), F.col("n"))),
        F.max_by("s", F.when(F.col("b"), F.struct("m", "n"))),
        F.max_by("s", F.when(F.col("n") < 0, F.col("n"))),
    ],
    "sum": lambda: [
        F.sum("i"),
        F.sum("small"),
        F.sum("d28"),
        F.sum("d18").cast("decimal(28,2)"),
        F.sum(F.when(F.col("b"), F.col("d18")).otherwise(0)),
        transforms.whole_sum("n"),
        transforms.whole_sum(F.col("l") % 1000),
        F.expr("sum(d18) filter (where b)"),
        F.sum(F.xxhash64("s").cast("decimal(20,0)")),
    ],
    "collect_list": lambda: [F.sort_array(F.collect_list("d18")), F.sort_array(F.collect_list("s"))],
    "collect_set": lambda: [F.sort_array(F.collect_set("small")), F.sort_array(F.collect_set(F.year("day")))],
}
OF_FRAMES: dict[str, Asked] = {
    "count_distinct": grouped(
        lambda: [
            F.count_distinct("s"),
            F.count_distinct("small", "b"),
            F.count_distinct("d38"),
            F.count_distinct(F.struct("small", "b")),
        ]
    ),
    "explode": lambda rows: rows.select("n", F.explode("words").alias("c"), "d18"),
    "inline": lambda rows: rows.select(F.inline(F.array(F.struct("i", "s"), F.struct("i", "s")))),
}
# Not functions, but what tables compute with: operators, casts, conditions, and their own helpers.
BESIDE_OF_ROWS: dict[str, Columns] = {
    "casts": lambda: [
        *(F.col(name).cast("string") for name in ("i", "l", "d10", "d18", "d20", "d38", "b", "day")),
        *(F.col("p").try_cast(kind) for kind in ("int", "bigint")),
        F.col("at").cast("string"),
        F.col("d18").cast("decimal(38,4)"),
        F.col("d20").cast("decimal(38,2)"),
        F.col("i").cast("decimal(12,0)"),
        F.col("n").cast("bigint"),
        F.lit(None).cast("array<string>"),
    ],
    "products, sums and differences": lambda: [
        F.col("d18") * F.col("d10"),
        F.col("d18") * F.col("d18"),
        F.col("d18") + F.col("d20"),
        F.col("d18") - F.col("d28"),
        F.col("d18") * F.col("i"),
        F.col("i").cast("decimal(18,0)") * F.lit(Decimal("0.001")).cast("decimal(3,3)"),
        F.col("small") % 7,
        F.col("small") * 100 + 99,
        -F.col("d18"),
        (F.col("d18") * 100).cast("decimal(25,2)"),
        F.when(F.col("b"), F.col("d18").cast("decimal(20,4)")).otherwise(F.col("d20")),
        F.when(F.col("b"), F.col("l")).otherwise(0),
        F.col("f") * 100,
    ],
    "conditions": lambda: [
        F.col("s").isin("a", "A", ""),
        F.col("small").between(-3, 3),
        F.col("s").eqNullSafe("a"),
        F.col("s") < F.col("p"),
        F.col("d18") == F.col("d20"),
        F.col("s").contains("a"),
        F.expr("s <=> p"),
        F.expr("not (b and i > 0) or l is null"),
        F.expr("case when small <= 1 then '0-1' when small between 2 and 3 then '2-3' else 'more' end"),
        F.expr("f between -90 and 90 and day >= date'2000-01-01'"),
        F.expr("at >= timestamp'2000-01-01' and at <= at + interval 2 days"),
        F.expr("d18 >= d20 - 0.000001"),
        F.expr("abs(d18 - d20) <= 0.01 * n"),
        F.when(F.col("b"), F.col("d18")).otherwise(0),
    ],
    "numbers as they are written": lambda: [
        transforms.exact_decimal("p", 18, 2),
        transforms.exact_decimal("p", 38, 20),
        transforms.whole_number("p"),
        transforms.whole_number("p", "int"),
        transforms.money("s"),
        transforms.amount_sign("s"),
    ],
    "kilometres": lambda: [transforms.kilometres("i")],
    "fractions": lambda: [
        transforms.average(F.col("d18"), F.abs("small").cast("bigint")),
        transforms.average(F.col("i").cast("decimal(18,3)"), F.col("n").cast("bigint") + 1),
        transforms.average(F.col("l") % 10**15, F.col("n").cast("bigint") + 1),
        transforms.share(F.col("small"), F.col("i")),
        transforms.share(F.col("i"), F.col("n") + 1, 6),
        transforms.quotient(F.col("l"), F.lit(3_600_000_000), 2),
        transforms.quotient(F.col("i"), F.col("small"), 4),
        transforms.quotient(F.col("l"), F.lit(1), 2),
        transforms.share(F.col("d18"), F.lit(Decimal("0.01")), 6),
    ],
}
BESIDE: dict[str, Asked] = {
    "windows": select(
        lambda: [
            F.sum("d18").over(life().rowsBetween(Window.unboundedPreceding, 0)),
            F.sum("d18").over(Window.partitionBy("g")),
            F.max("day").over(Window.partitionBy("g")),
            F.count_if("b").over(life().rowsBetween(-3, 0)),
            F.count("*").over(Window.partitionBy("g")),
            transforms.whole_sum("i", life().rowsBetween(Window.unboundedPreceding, 0)),
        ]
    ),
    "joins": lambda rows: rows.select("n", "small", "s").join(
        rows.where("n < 90").select("small", F.col("n").alias("m")), on="small", how="full"
    ),
    "null-safe semi joins": lambda rows: rows.select("n", "s").join(
        rows.where("n < 90").select(F.col("s").alias("_s")), on=F.col("s").eqNullSafe(F.col("_s")), how="left_semi"
    ),
    "unions, fills and distinct rows": lambda rows: (
        rows.select("s", "d18", "i").unionByName(rows.select("i", "d18", "s")).na.fill(0).distinct()
    ),
}
# By the column that says whose values they are, what Spark is asked all at once, of some rows and of none: generating
# code for each case takes it most of the time.
AT_ONCE: dict[str, dict[str, Columns]] = {"n": OF_ROWS | BESIDE_OF_ROWS, "g": OF_GROUPS}
CASES: dict[str, Asked] = {
    **{name: select(columns) for name, columns in AT_ONCE["n"].items()},
    **{name: grouped(columns) for name, columns in OF_GROUPS.items()},
    **OF_FRAMES,
    **BESIDE,
}
FAILING: dict[str, str | Columns] = {
    "an average beyond its type": lambda: [F.max(transforms.average(F.col("d20"), F.lit(1)))],
    "kilometres beyond their type": lambda: [F.max(transforms.kilometres("l"))],
    "a sum of whole numbers beyond 64 bits": "cast(sum(cast(l as decimal(20,0))) as bigint)",
    "a sum of amounts beyond its type": "cast(sum(cast(d18 as decimal(28,2))) as decimal(18,2))",
    "a product beyond 38 digits": "max(d38 * d38)",
    "a decimal into too few digits": "max(cast(d18 as decimal(9,2)))",
    "a whole number into 32 bits": "max(cast(l as int))",
    "a division by zero": "max(d18 div 0)",
    "a text that is no number": "max(cast(s as int))",
}


def test_the_list_is_what_is_compared() -> None:
    assert set(CASES) - set(BESIDE) - set(BESIDE_OF_ROWS) == set(FUNCTIONS)


@pytest.mark.spark
@pytest.mark.parametrize("name", CASES)
def test_both_engines_give_the_same_values_and_types(name: str, on_spark: Spark, engine: Native) -> None:
    of = next((key for key, cases in AT_ONCE.items() if name in cases), None)
    for number, ask in enumerate((CASES[name], of_no_rows(CASES[name]))):
        found = answers(engine.spark, ask, table(), remote=True)
        if of:
            expected = of_case(name, of, at_once(on_spark.spark, of)[number])
        else:
            expected = answers(on_spark.spark, ask, table(), remote=False)
        assert_alike(found, expected, f"{name}: found by Sail, expected by Spark")


@cache
def at_once(session: SparkSession, of: str) -> tuple[pa.Table, pa.Table]:
    def ask(rows: DataFrame) -> DataFrame:
        cases = AT_ONCE[of].items()
        named = [one.alias(f"{name} {at}") for name, columns in cases for at, one in enumerate(columns())]
        return rows.select(of, *named) if of == "n" else rows.groupBy(of).agg(*named)

    some, none = (answers(session, one, table(), remote=False) for one in (ask, of_no_rows(ask)))
    return some, none


def of_case(name: str, of: str, rows: pa.Table) -> pa.Table:
    columns = [one for one in rows.column_names if one.rpartition(" ")[0] == name]
    return rows.select([of, *columns]).rename_columns([of, *(f"c{at}" for at, _ in enumerate(columns))])


@pytest.mark.spark
@pytest.mark.parametrize("name", FAILING)
def test_what_cannot_be_computed_fails_on_both_engines(name: str, on_spark: Spark, engine: Native) -> None:
    rows = pa.table({"l": pa.array([2**63 - 1, 1], pa.int64()), "s": ["a", "b"]})
    big = {f"d{p}": pa.array([decimal(10**p - 1, s)] * 2, pa.decimal128(p, s)) for p, s in ((18, 2), (20, 0), (38, 20))}
    rows = pa.table({**{name: rows[name] for name in rows.column_names}, **big})
    failing = FAILING[name]
    made = sql(failing) if isinstance(failing, str) else failing
    for session, remote in ((engine.spark, True), (on_spark.spark, False)):
        with pytest.raises(Exception, match=r"."):
            answers(session, lambda frame: frame.agg(*made()), rows, remote=remote)


COMPUTED = [name for name, one in graph.load().items() if one.contract.write in {"refresh", "replace"}]
SUMMED = re.compile(r"tinyint|smallint|int|decimal\((1?\d|2[0-8]),\d+\)")  # what cannot begin again at the other end


@pytest.mark.spark
@pytest.mark.parametrize("name", COMPUTED)
def test_no_table_sums_what_can_begin_again_at_the_other_end(
    name: str, tables: dict[str, Table], on_spark: Spark
) -> None:
    with connect(on=False):
        frames = {
            one: on_spark.spark.createDataFrame(conf_table(one))
            for one in tables[name].inputs
            if one.startswith("conf.")
        }
        for parent in tables[name].parents:
            types = ", ".join(
                f"`{column}` {promise.type}" for column, promise in tables[parent].contract.columns.items()
            )
            frames[parent] = on_spark.spark.createDataFrame([], types)
        built = tables[name].build(*(frames[one] for one in tables[name].inputs))
    summed = set(kinds_of_sums(built._jdf.queryExecution().analyzed()))  # noqa: SLF001  the types are Spark's own
    assert not [kind for kind in summed if not SUMMED.fullmatch(kind)]


def kinds_of_sums(plan: Any) -> Iterator[str]:  # noqa: ANN401
    """Of the expressions of a plan, the types that sums take."""
    for one in each(plan.expressions()):
        yield from kinds_in(one)
    for one in each(plan.children()):
        yield from kinds_of_sums(one)


def kinds_in(expression: Any) -> Iterator[str]:  # noqa: ANN401
    if "sum(" not in expression.sql():  # one question to Java, instead of several for each of its parts
        return
    if expression.nodeName() == "Sum":
        yield expression.child().dataType().simpleString()
    for one in each(expression.children()):
        yield from kinds_in(one)


def each(seq: Any) -> list[Any]:  # noqa: ANN401
    return [seq.apply(place) for place in range(seq.size())]


REFUSED = {
    "F.weekday('day')": "weekday",
    "F.date_diff('a', 'b')": "date_diff without cast around it",
    "F.round('a', 2)": "round without cast around it",
    "F.date_trunc('week', 'a')": "date_trunc",
    "F.expr('a / b')": "/ in 'a / b'",
    "F.col('a').rlike(r'^\\d$')": r"\d in the pattern '^\\d$'",
    "F.col('a').cast('float')": "a cast to float",
    "F.call_function('to_json', 'a')": "to_json",
    "rows.where('weekday(day) = 1')": "weekday",
    "one.unionByName(other, allowMissingColumns=True)": "allowMissingColumns",
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_is_not_on_the_list_is_refused_and_named(code: str) -> None:
    assert f"line 1: {REFUSED[code]}" in refused(ast.parse(code))


@pytest.mark.parametrize("code", ["F.date_diff('a', 'b').cast('int')", "F.expr('cast(round(a, 2) as int)')"])
def test_what_needs_another_around_it_is_taken_with_it(code: str) -> None:
    assert refused(ast.parse(code)) == []


def test_texts_are_read_as_well() -> None:
    assert refused("sum(a) filter (where b rlike '^[A-Z]') + cast(c as decimal(18,2))") == []
    assert refused("to_json(a)") == ["to_json"]
    assert refused("a || cast(b as float)") == ["|| in 'a || cast(b as float)'", "a cast to float"]
