from __future__ import annotations

import sys
import unicodedata
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from lakehouse import transforms
from tests.rows import Cells, a_delivery, as_texts, only, typed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import Column, DataFrame, SparkSession

    from lakehouse.engines.spark.engine import Spark

Text = str | None
HUGE = "9" * 30

MONEY: dict[Text, Text] = {
    "12.34": "12.34",
    "12.3": "12.30",
    "12": "12.00",
    "12.": "12.00",
    ".5": "0.50",
    "-.5": "-0.50",
    "+7": "7.00",
    " 12.34 ": "12.34",
    "007": "7.00",
    "12.340000": "12.34",
    "-0.00": "0.00",
    "9999999999999999.99": "9999999999999999.99",
    "10000000000000000": None,
    HUGE: None,
    "12.345": None,
    "12.3456": None,
    "0.001": None,
    "1e3": None,
    "1E3": None,
    "1,200": None,
    "1 200": None,
    "1.2.3": None,
    "--1": None,
    ".": None,
    "-": None,
    "NaN": None,
    "Infinity": None,
    "null": None,
    "two": None,
    "12.34 KSh": None,
    "0x1F": None,
    "12.34d": None,
    "٣٤": None,
    "\uff11\uff12": None,
    "": None,
    "   ": None,
    None: None,
}
WHOLE: dict[Text, Text] = {
    "7": "7",
    "-7": "-7",
    "+7": "7",
    " 7 ": "7",
    "007": "7",
    "9223372036854775807": "9223372036854775807",
    "-9223372036854775808": "-9223372036854775808",
    "9223372036854775808": None,
    HUGE: None,
    "1.0": None,
    "1.": None,
    "1e3": None,
    "1,000": None,
    "7L": None,
    "0x1F": None,
    "- 7": None,
    "7-": None,
    "٣": None,
    "\uff17": None,
    "": None,
    " ": None,
    "-": None,
    None: None,
}
INTS: dict[Text, Text] = {"2147483647": "2147483647", "2147483648": None, "-2147483648": "-2147483648", None: None}
TIMES: dict[Text, Text] = {
    "2022-02-17T16:36:27.000Z": "2022-02-17 16:36:27",
    "2022-02-17T16:36:27.123Z": "2022-02-17 16:36:27.123",
    "2022-02-17T16:36:27Z": "2022-02-17 16:36:27",
    "2022-02-17T16:36:27.000+03:00": "2022-02-17 13:36:27",
    "2024-02-29T00:00:00.000Z": "2024-02-29 00:00:00",
    "2022-02-29T00:00:00.000Z": None,
    "2022-02-17T24:00:00.000Z": None,
    "2022-02-17T16:36:27.000": None,
    "2022-02-17 16:36:27": None,
    "2022-02-17": None,
    "17/02/2022": None,
    "31/31/2026": None,
    "1645115787": None,
    "": None,
    "-": None,
    None: None,
}
SIGNED: dict[Text, Text] = {
    "KSh 120.00": "120.00",
    "KSh120.00": "120.00",
    "KSh   120.00": "120.00",
    " KSh 120.00 ": "120.00",
    "₦ 104250.00": "104250.00",
    "₦11500.00": "11500.00",
    "₦-31": "-31.00",
    "120.00": "120.00",
    "-31": "-31.00",
    "KSh 12.345": None,
    "KSh 1,200.00": None,
    "KSh KSh 5": None,
    "-KSh 5": None,
    "5 KSh": None,
    "KSh": None,
    "KSh -": None,
    "Dollars 5": None,
    "": None,
    None: None,
}
SIGNS: dict[Text, Text] = {
    "KSh 120.00": "KSh",
    "  KSh120.00": "KSh",
    "₦ 104250.00": "₦",
    "₦11500.00": "₦",
    "₦-31": "₦",
    "120.00": None,
    "-31": None,
    "": None,
    None: None,
}
COMMAS: dict[Text, Text] = {
    "1.234,50": "1234.50",
    "1.234.567,5": "1234567.50",
    "12,5 €": "12.50",
    "€ 12,50": "12.50",
    "-3,00": "-3.00",
    "12": "12.00",
    "1.234": "1234.00",
    "12,345": None,
    "1.23": None,
    "1.2345,6": None,
    "1,234.50": None,
    "12,5,0": None,
    "": None,
    None: None,
}
POINTS: dict[Text, Text] = {"1,234.50": "1234.50", "$12.5": "12.50", "1,234": "1234.00", "1.234,50": None, "1,23": None}
DAYS: dict[Text, Text] = {
    "17.02.2022": "2022-02-17",
    "7.2.2022": "2022-02-07",
    "07/02/2022": "2022-02-07",
    " 7-2-2022 ": "2022-02-07",
    "31.02.2022": None,
    "2022-02-07": None,
    "07.02.22": None,
    "07.02.2022 10:00": None,
    "": None,
    None: None,
}
MONTHS: dict[Text, Text] = {"02/17/2022": "2022-02-17", "2/7/2022": "2022-02-07", "17/02/2022": None}
CLOCKS: dict[Text, Text] = {
    "2022-02-17 16:36:27 +0100": "2022-02-17 15:36:27",
    "2022-02-17T16:36:27-03:30": "2022-02-17 20:06:27",
    "2022-02-17 16:36:27 UTC": "2022-02-17 16:36:27",
    "2022-02-17 16:36:27+01": None,
    "2022-02-17 16:36": "2022-02-17 16:36:00",
    "2022/2/7 9:05": "2022-02-07 09:05:00",
    "2022-05-30 00:00:00.123999": "2022-05-30 00:00:00.123",
    "2022-05-30 00:00:00,5": "2022-05-30 00:00:00.5",
    "2022-02-30 16:36:27": None,
    "2022-02-17 25:00:00": None,
    "2022-02-17": None,
    "17.02.2022 16:36": None,
    "": None,
    None: None,
}
TRUTHS: dict[Text, Text] = {"ja": "true", " JA ": "true", "nein": "false", "yes": None, "": None, None: None}
INSTANTS: dict[Text, Text] = {
    "2022-01-05T00:30:00Z": "2022-01-05 00:30:00",
    "2022-01-05 00:30:00.5+01:00": "2022-01-04 23:30:00.5",
    " 2022-01-05T00:30:00.123456789-0330 ": "2022-01-05 04:00:00.123456",
    "1969-12-31T23:59:59.999999Z": "1969-12-31 23:59:59.999999",
    "2022-01-05T00:30:00+14:59": "2022-01-04 09:31:00",
    "2022-01-05T00:30:00+15:00": None,
    "2022-01-05T00:30:00": None,
    "2022-01-05T00:30Z": None,
    "2022-01-05": None,
    "2022-02-30T00:30:00Z": None,
    "2022-01-05T24:00:00Z": None,
    "2022-01-05T23:59:60Z": None,
    "1641342600": None,
    "": None,
    None: None,
}
WRITTEN: dict[str, tuple[Callable[..., Column], tuple[Any, ...], dict[Text, Text]]] = {
    "commas": (transforms.written_number, (18, 2, ","), COMMAS),
    "points": (transforms.written_number, (18, 2, "."), POINTS),
    "days": (transforms.written_day, ("dmy",), DAYS),
    "months": (transforms.written_day, ("mdy",), MONTHS),
    "instants": (transforms.instant, (), INSTANTS),
    "clocks": (transforms.written_time, ("ymd",), CLOCKS),
    "truths": (transforms.truth, ("ja", "nein"), TRUTHS),
}
AVERAGES: dict[tuple[Text, Text], Text] = {
    ("10.00", "4"): "2.5000",
    ("0.04", "32"): "0.0013",
    ("-0.04", "32"): "-0.0013",
    ("0.03", "32"): "0.0009",
    ("33", "32"): "1.0313",
    ("2", "3"): "0.6667",
    ("1", "3"): "0.3333",
    ("1.001", "2"): "0.5005",
    ("0.001", "20"): "0.0001",
    ("0.000", "5"): "0.0000",
    ("99999999999999.999", "1"): "99999999999999.9990",
    ("500000", "9999999999"): "0.0001",
    ("499999.999", "9999999981"): "0.0000",
    ("10.00", "0"): None,
    ("10.00", None): None,
    (None, "4"): None,
    (None, None): None,
}


def applied(spark: SparkSession, values: list[Text], column: Column) -> list[Text]:
    """The column of each text, as text."""
    texts = typed(spark, {"place": "int", "text": "string"}, [{"place": n, "text": t} for n, t in enumerate(values)])
    rows = as_texts(texts.coalesce(1).sortWithinPartitions("place").select(column.alias("result")))
    return [row["result"] for row in rows]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("money", SIGNED), ("decimal", MONEY), ("whole", WHOLE), ("int", INTS), ("time", TIMES), ("sign", SIGNS)],
)
def test_a_text_is_exactly_what_it_says_or_nothing(
    spark: SparkSession, name: str, expected: Mapping[Text, Text]
) -> None:
    columns = {
        "money": transforms.money("text"),
        "decimal": transforms.exact_decimal("text", 18, 2),
        "whole": transforms.whole_number("text"),
        "int": transforms.whole_number("text", "int"),
        "time": transforms.export_time("text"),
        "sign": transforms.amount_sign("text"),
    }
    assert dict(zip(expected, applied(spark, list(expected), columns[name]), strict=True)) == expected


@pytest.mark.parametrize("name", WRITTEN)
def test_what_exports_of_elsewhere_write_is_what_it_says_or_nothing(spark: SparkSession, name: str) -> None:
    written_as_elsewhere(spark, name)


@pytest.mark.spark
def test_what_exports_of_elsewhere_write_is_the_same_on_spark(on_spark: Spark) -> None:
    few = on_spark.for_a_turn(0)
    for name in WRITTEN:
        written_as_elsewhere(few.spark, name)


def written_as_elsewhere(spark: SparkSession, name: str) -> None:
    read, how, expected = WRITTEN[name]
    assert dict(zip(expected, applied(spark, list(expected), read("text", *how)), strict=True)) == expected


# Space separators, line ends, zero-width characters and marks of direction, as Unicode has them; held apart from BLANK.
INVISIBLE = [
    *(chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in {"Zs", "Zl", "Zp"}),
    *"\t\n\x0b\x0c\r\x85",
    *(unicodedata.lookup(f"ZERO WIDTH {name}") for name in ("SPACE", "NON-JOINER", "JOINER", "NO-BREAK SPACE")),
    unicodedata.lookup("WORD JOINER"),
    unicodedata.lookup("ARABIC LETTER MARK"),
    *(unicodedata.lookup(f"{side}-TO-{other} {kind}") for kind in ("MARK", "EMBEDDING", "OVERRIDE", "ISOLATE")
      for side, other in (("LEFT", "RIGHT"), ("RIGHT", "LEFT"))),
    *(unicodedata.lookup(name) for name in ("FIRST STRONG ISOLATE", "POP DIRECTIONAL ISOLATE",
                                            "POP DIRECTIONAL FORMATTING")),
]  # fmt: skip


def test_every_invisible_character_is_a_blank() -> None:
    assert set(INVISIBLE) <= set(transforms.BLANK)
    assert len(set(transforms.BLANK)) == len(transforms.BLANK)


def test_invisible_characters_at_the_ends_and_behind_a_sign_say_nothing(spark: SparkSession) -> None:
    around = [f"{one}{{}}{one}{one}" for one in transforms.BLANK]

    def each(text: str) -> list[Text]:
        return [form.format(text) for form in around]

    assert applied(spark, each("A b"), transforms.stripped("text")) == ["A b"] * len(around)
    assert applied(spark, each("-12.50"), transforms.exact_decimal("text", 18, 2)) == ["-12.50"] * len(around)
    assert applied(spark, each("7"), transforms.whole_number("text")) == ["7"] * len(around)
    signed: list[Text] = [f"{one}KSh{one}100{one}" for one in transforms.BLANK]
    assert applied(spark, signed, transforms.money("text")) == ["100.00"] * len(around)
    assert applied(spark, signed, transforms.amount_sign("text")) == ["KSh"] * len(around)


def test_invisible_characters_within_a_number_are_not_guessed_away(spark: SparkSession) -> None:
    within: list[Text] = [f"1{one}0" for one in transforms.BLANK]
    assert applied(spark, within, transforms.whole_number("text")) == [None] * len(within)
    assert applied(spark, within, transforms.money("text")) == [None] * len(within)


def test_more_places_keep_more_digits(spark: SparkSession) -> None:
    texts: list[Text] = ["0.1234567890123456789", "0.123456789012345678901", "123456789012345678.5"]
    assert applied(spark, texts, transforms.exact_decimal("text", 38, 20)) == [
        "0.12345678901234567890",
        None,
        "123456789012345678.50000000000000000000",
    ]


def test_a_column_serves_as_well_as_its_name(spark: SparkSession) -> None:
    trimmed = F.regexp_replace("text", "x", "")
    assert applied(spark, ["x7x", "8"], transforms.whole_number(trimmed)) == ["7", "8"]
    assert applied(spark, ["KShx 7"], transforms.money(trimmed)) == ["7.00"]


def test_a_wall_clock_is_read_in_its_own_zone(spark: SparkSession) -> None:
    local = transforms.export_time(F.lit("2022-01-01T00:30:00.000Z"))
    zones: dict[Text, Text] = {
        "Africa/Nairobi": "2021-12-31 21:30:00",
        "Africa/Lagos": "2021-12-31 23:30:00",
        "UTC": "2022-01-01 00:30:00",
        None: None,
    }
    results = applied(spark, list(zones), transforms.local_to_utc(local, F.col("text")))
    assert dict(zip(zones, results, strict=True)) == zones


def test_a_file_is_read_as_its_market_wrote_when_it_was_delivered(spark: SparkSession) -> None:
    kinds = {"market": "int", "decimal_sign": "string", "valid_from": "date", "valid_until": "date"}
    before = {"market": 1, "decimal_sign": ",", "valid_until": "2022-02-01"}
    markets = typed(spark, kinds, [before, {"market": 1, "decimal_sign": ".", "valid_from": "2022-02-01"}])
    assert numbers_read(spark, markets, [("2022-01-31", "a.csv"), ("2022-02-01", "a.csv")]) == [None, "1.234"]


def test_a_number_that_is_no_text_has_a_point_wherever_its_market_is(spark: SparkSession) -> None:
    markets = typed(spark, {"market": "int", "decimal_sign": "string"}, [{"market": 1, "decimal_sign": ","}])
    files = ("a.csv", "a.JSON", "a.jsonl.gz", "a.parquet", "a.zip/b.xlsx", "json/a.csv.gz")
    read = numbers_read(spark, markets, [("2022-01-31", file) for file in files])
    assert read == [None, "1.234", "1.234", "1.234", "1.234", None]


def numbers_read(spark: SparkSession, markets: DataFrame, delivered: list[tuple[str, str]]) -> list[Text]:
    """What 1.234 in each of these files is, which were delivered on these days."""
    kinds = {"market": "int", "_delivered_at": "timestamp", "_file": "string", "_row": "int", "n": "string"}
    cells: list[Cells] = [
        {"market": 1, "_delivered_at": day, "_file": file, "_row": row, "n": "1.234"}
        for row, (day, file) in enumerate(delivered)
    ]
    rows = transforms.spelled_alike(typed(spark, kinds, cells), markets, numbers=["n"]).orderBy("_row")
    return [row["n"] for row in as_texts(rows.select(transforms.exact_decimal("n", 18, 3).alias("n")))]


def test_a_day_begins_where_there_is_no_midnight_or_two(spark: SparkSession) -> None:
    days: list[Cells] = [
        {"day": "2018-11-04", "zone": "America/Sao_Paulo"},
        {"day": "2022-11-06", "zone": "America/Havana"},
    ]
    begins = typed(spark, {"day": "date", "zone": "string"}, days).select(
        transforms.begin_of("day", F.col("zone")).alias("at")
    )
    assert only(as_texts(begins), "at") == [("2018-11-04 03:00:00",), ("2022-11-06 04:00:00",)]


def test_a_quotient_of_more_than_18_digits_says_nothing(spark: SparkSession) -> None:
    rows = typed(spark, {"top": "decimal(18,0)"}, [{"top": "9" * 14}, {"top": "1" + "0" * 14}, {"top": "-" + "9" * 18}])
    quotients = rows.select(transforms.quotient(F.col("top"), F.lit(1), 4).alias("quotient"))
    assert only(as_texts(quotients), "quotient") == [("99999999999999.0000",), (None,), (None,)]


@pytest.mark.parametrize(("said", "first"), [({"first_day": "2021-03-01"}, "2021-03-01"), ({}, "2000-01-01")])
def test_the_first_day_of_a_market_may_be_left_out(spark: SparkSession, said: dict[str, str], first: str) -> None:
    markets = typed(spark, {"market": "int"} | dict.fromkeys(said, "date"), [{"market": 1, **said}])
    assert as_texts(markets.select(transforms.first_day(markets))) == [{"_first_day": first}]


def test_averages_are_rounded_half_up_once(spark: SparkSession) -> None:
    pairs: list[Cells] = [{"place": n, "total": total, "count": count} for n, (total, count) in enumerate(AVERAGES)]
    totals = typed(spark, {"place": "int", "total": "decimal(18,3)", "count": "bigint"}, pairs)
    average = transforms.average(F.col("total"), F.col("count")).alias("average")
    rows = as_texts(totals.coalesce(1).sortWithinPartitions("place").select(average))
    assert dict(zip(AVERAGES, (row["average"] for row in rows), strict=True)) == AVERAGES


def test_paying_later_costs_what_the_market_says(spark: SparkSession) -> None:
    orders: list[Cells] = [
        {"payment_method": "Pay Later", "pay_later_rate": "0.02"},
        {"payment_method": "Pay Later", "pay_later_rate": "0.0125"},
        {"payment_method": "CASH", "pay_later_rate": "0.02"},
    ]
    rows = typed(spark, {"payment_method": "string", "pay_later_rate": "string"}, orders)
    amount = F.lit("10.01").cast("decimal(18,2)")
    expected = rows.select(transforms.expected_surcharge(amount).cast("decimal(18,6)").alias("surcharge"))
    assert only(as_texts(expected), "surcharge") == [("0.200200",), ("0.125125",), ("0.000000",)]


def test_an_orders_delivery_sums_known_distances_of_its_deliveries(spark: SparkSession) -> None:
    tasks = [
        a_delivery(task_id=1, distance_m=100, task_status="Failed"),
        a_delivery(task_id=10, distance_m=None, task_status="Completed"),
        a_delivery(task_id=9, distance_m=23, task_status="Failed"),
        a_delivery(task_id=11, task_type="Pick-up", distance_m=5000, task_status="Cancelled"),
        a_delivery(task_id=12, order_id=None, distance_m=5000),
        a_delivery(task_id=13, order_id=8),
        a_delivery(task_id=14, order_id=9, task_type="Pick-up"),
        a_delivery(task_id=1, market=2, distance_m=7),
    ]
    ids = {"market": "int", "task_id": "bigint", "order_id": "bigint", "distance_m": "bigint"}
    words = {"task_type": "string", "task_status": "string", "item_count": "bigint"}
    orders = as_texts(transforms.deliveries_of_orders(typed(spark, ids | words, tasks)).orderBy("market", "order_id"))
    names = ("market", "order_id", "delivery_tasks", "delivery_status", "delivery_distance_m")
    assert only(orders, *names) == [
        ("1", "7", "3", "Completed", "123"),
        ("1", "8", "1", "Completed", None),
        ("2", "7", "1", "Completed", "7"),
    ]


FIRST = date(2022, 1, 1)


def random_validities(seed: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], dict[object, str | None]]:
    """Periods of two markets, orders of random days (and of none), and what each order's point is worth."""
    dice = Random(seed)  # noqa: S311
    periods: list[tuple[Any, ...]] = []
    values: dict[object, str | None] = {}
    for market in (1, 2):
        begins = [None, *(FIRST + timedelta(days) for days in sorted(dice.sample(range(30), dice.randint(0, 4))))]
        for begin, end in zip(begins, [*begins[1:], None], strict=True):
            periods.append((market, f"{dice.randint(1, 99)}.00", begin, end))
    orders: list[tuple[Any, ...]] = []
    for number in range(60):
        market, day = dice.choice((1, 2, 3)), FIRST + timedelta(dice.randint(-2, 32)) if number else None
        orders.append((market, number, day))
        mine = [one for one in periods if one[0] == market]
        holding = [value for _, value, begin, _ in mine if begin is None or (day is not None and begin <= day)]
        values[number] = holding[-1] if holding else None
    dice.shuffle(periods)
    return periods, orders, values


def facts_follow_the_day(session: SparkSession, seed: int) -> None:
    periods, orders, values = random_validities(seed)
    markets = session.createDataFrame(periods, "market int, point_value string, valid_from date, valid_until date")
    rows = session.createDataFrame(orders, "market int, order_id int, order_date date")
    found = transforms.with_facts(rows, markets, "order_date", "point_value")
    assert found.columns == ["market", "order_id", "order_date", "point_value"]
    assert {row.order_id: row.point_value for row in found.collect()} == values
    assert found.count() == len(orders)
    today = {row.market: row.point_value for row in transforms.facts_of_today(markets, "point_value").collect()}
    assert today == {market: value for market, value, _, end in periods if end is None}


@pytest.mark.parametrize("seed", range(10))
def test_orders_have_the_facts_of_their_day(spark: SparkSession, seed: int) -> None:
    facts_follow_the_day(spark, seed)


@pytest.mark.spark
def test_orders_have_the_facts_of_their_day_on_spark(on_spark: Spark) -> None:
    few = on_spark.for_a_turn(0)
    for seed in range(3):
        facts_follow_the_day(few.spark, seed)


def test_facts_without_validity_are_those_of_every_day(spark: SparkSession) -> None:
    markets = spark.createDataFrame([(1, "1.00")], "market int, point_value string")
    rows = spark.createDataFrame([(1, 7, FIRST), (2, 8, None)], "market int, order_id int, order_date date")
    found = transforms.with_facts(rows, markets, "order_date", "point_value").collect()
    assert {tuple(row) for row in found} == {(1, 7, FIRST, "1.00"), (2, 8, None, None)}
