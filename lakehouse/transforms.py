"""Pure helpers for table modules: columns in, columns out. A change here is a change of the tables that use it."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyspark.sql.window import WindowSpec

# Classes are written out: what \d, \s and $ stand for is not the same in both engines' patterns (engines/spelling.py).
# Blanks are all that nobody sees: spaces of every width, line ends, zero-width characters, marks of direction.
BLANK = (
    " \t\n\x0b\f\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
    "\u180e\u200b\u200c\u200d\u2060\ufeff"
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
BLANKS = f"[{BLANK}]*"
SIGN = f"^{BLANKS}([^0-9{BLANK}.,+-]{{1,4}}){BLANKS}"
SIGN_BEHIND = rf"{BLANKS}([^0-9{BLANK}.,+-]{{1,4}}){BLANKS}\z"
# Of completed orders: the classic ten that every customer report begins with, times counted as one.
TEN_MEASURES = (
    "total_order_amount", "average_order_amount", "highest_order_amount", "lowest_order_amount", "order_count",
    "total_quantity_ordered", "average_quantity_per_order", "total_delivery_distance_km",
    "average_delivery_distance_km", "distinct_products", "first_order_at", "last_order_at",
)  # fmt: skip
# What sales are measured by, of a day, an hour or a week: counts, then amounts in the market's own currency.
SALES_COUNTS = ("orders", "completed_orders", "cancelled_orders", "open_orders", "lines", "units", "completed_units")
SALES_AMOUNTS = (
    "revenue", "gross_revenue", "points_value", "pay_later_surcharge", "placed_value", "cancelled_value", "open_value",
    "new_revenue", "repeat_revenue",
)  # fmt: skip
# What markets are compared by, of a day.
COMPARED = (
    "country", "time_zone", "orders", "completed_orders", "cancelled_orders", "open_orders", "customers", "units",
    "revenue", "average_order_value", "reporting_currency", "rate", "is_rate_missing", "reporting_revenue",
    "reporting_average_order_value",
)  # fmt: skip
EXPORT_TIME = "yyyy-MM-dd'T'HH:mm:ss[.SSS]XXX"
# A date and a clock as exports of elsewhere write them, and which part of the date is year, month and day.
YEAR_FIRST, YEAR_LAST = r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})", r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})"
INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):?[0-9]{2})\z"
PARTS = {"ymd": (YEAR_FIRST, 1, 2, 3), "dmy": (YEAR_LAST, 3, 2, 1), "mdy": (YEAR_LAST, 3, 1, 2)}
# How a market writes is said in conf/markets.yml. Where it is not, these have two readings: a thousand and more, or one
# and a bit; a day whose month may be either part. What is written with a decimal comma beyond doubt has one.
CURRENCY = f"^(?:[^0-9{BLANK}.,+-]{{1,4}})?"
TWO_NUMBERS = rf"{CURRENCY}[+-]?[1-9][0-9]{{0,2}}[.,][0-9]{{3}}\z"
WITH_COMMA = rf"{CURRENCY}[+-]?([0-9]*,[0-9]*|[1-9][0-9]{{0,2}}([.][0-9]{{3}})+(,[0-9]*)?)\z"
GROUPED = rf"{CURRENCY}[+-]?[1-9][0-9]{{0,2}}(,[0-9]{{3}})+(\.[0-9]*)?\z"
MOVED = f"^([0-9.,+-].*?){SIGN_BEHIND}"
SPACES, APOSTROPHES = " \u00a0\u2009\u202f", "'\u2019"  # that stand between groups of digits
WAYS = ("_signs", "_signs_read", "_date_order")
TYPED = r"^fetched/|\.(json|jsonl|ndjson|parquet|xlsx|xlsm|xls|ods)(\.gz|\.zst)?\z"
STAMP = r"(Z|UTC|[+-][0-9]{2}:?[0-9]{2})\z"
# Columns that `lakehouse.markets` adds to the rows of conf/markets.yml, so that what no market needs is not computed.
WRITE_ALIKE, NEVER_TWICE = "write_alike", "never_twice"
TWO_DAYS = r"^(0?[1-9]|1[0-2])[-/.](0?[1-9]|1[0-2])[-/.][0-9]{4}"
CLOCK = r"[T ]+([0-9]{1,2}):([0-9]{2})((?::[0-9]{2})?)((?:[.,][0-9]+)?) ?((?:Z|UTC|[+-][0-9]{2})?)((?::?[0-9]{2})?)"
# A wall clock in a JSON text; and an object without others in it, whose texts have no quotes, backslashes or controls.
JSON_CLOCK = r'^"([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})((?:\.[0-9]{3})?)[0-9]{0,3}"\z'
JSON_GAP = "[ \t\r\n]*"
JSON_TEXT = r'"[^"\\\x00-\x1f]*"'
JSON_VALUE = rf"(?:{JSON_TEXT}|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)"
JSON_PAIR = f"{JSON_GAP}{JSON_TEXT}{JSON_GAP}:{JSON_GAP}{JSON_VALUE}{JSON_GAP}"
JSON_OBJECT = rf"^\{{{JSON_PAIR}(?:,{JSON_PAIR})*\}}\z"
BETWEEN_OBJECTS = "\x1f"  # which no JSON has as it is
FOREVER = "9999-12-31"  # where what goes on is held to end
MICROS = 1_000_000  # in a second


def stripped(text: Column | str) -> Column:
    """The text without the blanks at its ends."""
    return F.btrim(_column(text), F.lit(BLANK))


def exact_decimal(text: Column | str, precision: int, scale: int) -> Column:
    """The number as written, or null where it does not fit: try_cast alone would round 12.3456 to 12.35 in silence."""
    value = stripped(text)
    written = rf"^[+-]?([0-9]+(\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{1,{scale}}}0*)\z"
    return F.when(value.rlike(written), value.try_cast(f"decimal({precision},{scale})"))


def whole_number(text: Column | str, kind: str = "bigint") -> Column:
    """Digits with an optional sign, or null: a cast alone would take `1.0` or `1e3` in some versions of Spark."""
    value = stripped(text)
    return F.when(value.rlike(r"^[+-]?[0-9]+\z"), value.try_cast(kind))


def export_time(text: Column | str) -> Column:
    """`2022-02-17T16:36:27.000Z` as the instant it says; anything else is null, not a guess."""
    return F.try_to_timestamp(_column(text), F.lit(EXPORT_TIME))


def instant(text: Column | str) -> Column:
    """`2022-02-17T16:36:27.5+01:00` as the instant it says, to the microsecond; null without a zone, or to the minute.

    Much sooner than `written_time`, which takes what people write.
    """
    value = stripped(text)
    return F.when(value.rlike(INSTANT), value.try_cast("timestamp"))


def wall_clock(text: Column | str) -> Column:
    """What a clock showed, parsed as if it were UTC: the stamp Z means nothing, and any other zone would be guessed."""
    return F.when(_column(text).rlike(r"(Z|[+-]00:00)\z"), export_time(text))


def calendar_day(text: Column | str) -> Column:
    """`2022-02-17` as the day it says; anything else is null, not a guess."""
    value = _column(text)
    is_written = value.rlike(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\z")
    return F.when(is_written, F.to_date(F.try_to_timestamp(value, F.lit("yyyy-MM-dd"))))


def written_day(text: Column | str, order: str) -> Column:
    """`17.2.2022` with the order `dmy` as the day it says; null where it is none, or its parts stand otherwise."""
    return calendar_day(_iso_day(stripped(text), order, ""))


def written_time(text: Column | str, order: str) -> Column:
    """`2022-02-17 16:36:27 +0100` (`ymd`) as the instant it says, to the millisecond; as UTC where no zone is written.

    `local_to_utc(written_time(...), F.lit("Europe/Berlin"))` is the instant of a clock there.
    """
    value = stripped(text)
    return export_time(F.concat(_iso_day(value, order, CLOCK), _iso_clock(value, PARTS[order][0])))


def _iso_clock(value: Column, day: str) -> Column:
    """`T16:36:27Z` of a time whose day is written as the pattern says; the zone is Z where none is written."""
    whole = rf"^{day}{CLOCK}\z"
    hour, minute, second, fraction, zone, minutes = (F.regexp_extract(value, whole, part) for part in range(4, 10))
    digits = F.regexp_extract(F.concat(fraction, F.lit("00")), "[0-9]{3}", 0)
    return F.concat(
        F.concat(F.lit("T"), _two_digits(hour), F.lit(":"), minute),
        F.when(second == "", ":00").otherwise(second),
        F.when(fraction == "", "").otherwise(F.concat(F.lit("."), digits)),
        F.when(zone.isin("", "Z", "UTC"), "Z").otherwise(F.concat(zone, F.lit(":"), F.translate(minutes, ":", ""))),
    )


def _iso_day(value: Column, order: str, behind: str) -> Column:
    pattern, *parts = PARTS[order]
    whole = rf"^{pattern}{behind}\z"
    year, month, day = (F.regexp_extract(value, whole, part) for part in parts)
    return F.when(value.rlike(whole), F.concat_ws("-", year, _two_digits(month), _two_digits(day)))


def _two_digits(number: Column) -> Column:
    return F.when(F.length(number) == 1, F.concat(F.lit("0"), number)).otherwise(number)


def json_objects(text: Column | str) -> Column:
    """The objects of a JSON array of objects, as they are written; of another text one that is none.

    Each is an object only where `is_json_object` says so. What engines' own readers of JSON take otherwise, or not at
    all (1.10, two of a key, a text that breaks off), stays as it is delivered, and can be refused by name.
    """
    array = _column(text)
    inner = F.regexp_replace(array, rf"^\[{JSON_GAP}|{JSON_GAP}\]\z", "")
    apart = F.regexp_replace(inner, rf"\}}{JSON_GAP},{JSON_GAP}\{{", f"}}{BETWEEN_OBJECTS}{{")
    objects = F.filter(F.split(apart, BETWEEN_OBJECTS, -1), lambda one: one != "")
    is_array = array.rlike(rf"^\[[^{BETWEEN_OBJECTS}]*\]\z")
    no_object = F.when(array.isNotNull(), F.lit(""))
    return F.when(is_array, objects).otherwise(F.array_compact(F.array(no_object)))


def is_json_object(text: Column, *keys: str) -> Column:
    """Whether it is an object without others in it, which has each of the keys once."""
    once = (F.size(F.split(text, f'"{key}"{JSON_GAP}:', -1)) == 2 for key in keys)  # noqa: PLR2004
    return reduce(and_, once, text.rlike(JSON_OBJECT))


def json_value(text: Column, key: str) -> Column:
    """What an object has under a key, as it is written: `19.0`, `"plus_1"`, `null`."""
    return F.regexp_extract(text, f'"{key}"{JSON_GAP}:{JSON_GAP}({JSON_VALUE})', 1)


def json_text(text: Column, key: str) -> Column:
    """The text that an object has under a key; null where it has none."""
    value = json_value(text, key)
    return F.when(value.rlike('^"'), F.translate(value, '"', ""))


def json_clock(text: Column, key: str) -> Column:
    """What a clock showed, `"2022-05-30 23:59:59.999000"`, to the millisecond, parsed as if it were UTC."""
    value = json_value(text, key)
    day, clock, fraction = (F.regexp_extract(value, JSON_CLOCK, part) for part in (1, 2, 3))
    return export_time(F.concat(day, F.lit("T"), clock, fraction, F.lit("Z")))


def store_days(stores: DataFrame) -> DataFrame:
    """A row per install of the stores' histories: its first day, its last, which may be null, and its types."""
    one = F.col("install")
    return stores.select("store_id", F.explode(json_objects("install_history")).alias("install")).select(
        "store_id",
        F.to_date(json_clock(one, "fromDate")).alias("first_date"),
        F.to_date(json_clock(one, "toDate")).alias("last_date"),
        json_text(one, "startType").alias("start_type"),
        json_text(one, "endType").alias("end_type"),
    )


def numbered_runs(intervals: DataFrame, by: Sequence[str], begins: str, ends: str) -> DataFrame:
    """The intervals with the number of their `run`: of each `by`, those that touch or overlap have the same one.

    They are half open, and `ends` is never null: what goes on ends at FOREVER.
    """
    before = Window.partitionBy(*by).orderBy(begins).rowsBetween(Window.unboundedPreceding, -1)
    is_first = F.coalesce(F.col(begins) > F.max(ends).over(before), F.lit(True))  # noqa: FBT003
    so_far = Window.partitionBy(*by).orderBy(begins, F.desc("is_first")).rowsBetween(Window.unboundedPreceding, 0)
    return intervals.withColumn("is_first", is_first).withColumn("run", F.count_if("is_first").over(so_far))


def every_day(intervals: DataFrame, begins: str, ends: str, day: str) -> DataFrame:
    """`day`: from the first on which an interval begins to the last on which one begins or ends, which may be null."""
    known = intervals.agg(F.min(begins).alias("first"), F.max(F.coalesce(ends, begins)).alias("last"))
    return known.select(F.explode(F.sequence("first", "last")).alias(day))


def truth(text: Column | str, yes: str, no: str) -> Column:
    """Whether the text is `yes`, in capitals or not; null where it is neither word."""
    word = F.lower(stripped(text))
    return F.when(word.isin(yes, no), word == yes)


def days_between(earlier: Column | str, later: Column | str) -> Column:
    """How many days the later one is after the earlier one."""
    return F.date_diff(later, earlier).cast("int")


def week_start(day: Column | str) -> Column:
    """The Monday of the day's week."""
    return F.date_sub(day, (F.dayofweek(day) + 5) % 7)


def month_start(day: Column | str) -> Column:
    """The first of the day's month."""
    return F.date_sub(day, F.dayofmonth(day) - 1)


def iso_year(day: Column | str) -> Column:
    """The year that the day's ISO week belongs to: that of its Thursday."""
    return F.year(F.date_add(week_start(day), 3))


def weekday(day: Column | str) -> Column:
    """1 for Monday to 7 for Sunday."""
    return (F.dayofweek(day) + 5) % 7 + 1


def local_to_utc(local: Column, time_zone: Column) -> Column:
    """The UTC instant of a wall clock reading (that was parsed as if it were UTC).

    Null for a time that the clock skipped in spring; of an hour that it had twice in autumn the first one is taken
    (`are_hours_certain` says so).
    """
    instant = F.to_utc_timestamp(local, time_zone)
    return F.when(F.from_utc_timestamp(instant, time_zone) == local, instant)


def average(total: Column, count: Column) -> Column:
    """The quotient as decimal(20,4), rounded half up; null where the count is 0.

    `total` has at most 25 digits and three places. The whole part is taken off first: `div` gives no more than 64 bits.
    """
    thousand = F.lit(1000).cast("decimal(4,0)")
    thousandths = (F.abs(total.cast("decimal(28,3)")) * thousand).cast("decimal(28,0)")
    parts = F.when(count > 0, count).cast("decimal(10,0)") * thousand
    whole = whole_quotient(thousandths, parts).cast("decimal(17,0)")
    rest = (thousandths - whole * parts).cast("decimal(14,0)")
    steps, twice = F.lit(10**4).cast("decimal(5,0)"), F.lit(2).cast("decimal(1,0)")
    places = whole_quotient(rest * steps * twice + parts, parts * twice).cast("decimal(5,0)")
    return (
        (whole + places * F.lit(Decimal("0.0001")).cast("decimal(4,4)")) * F.signum(total).cast("decimal(1,0)")
    ).cast("decimal(20,4)")


def percentiles(rows: DataFrame, by: Sequence[str], value: str, percents: Mapping[str, int]) -> DataFrame:
    """Per group `by` with a known value, by name: the smallest value that so many per cent of the known do not exceed.

    They are found among the different values of a group: to sort all of its rows would be ever more in one place.
    """
    times = rows.where(F.col(value).isNotNull()).groupBy(*by, value).agg(F.count("*").alias("times"))
    group = Window.partitionBy(*by)
    so_far = group.orderBy(value).rowsBetween(Window.unboundedPreceding, 0)
    placed = times.withColumns({"not_above": whole_sum("times", so_far), "known": whole_sum("times", group)})
    return placed.groupBy(*by).agg(
        *(
            F.min(F.when(F.col("not_above") * 100 >= F.col("known") * percent, F.col(value))).alias(name)
            for name, percent in percents.items()
        )
    )


def share(part: Column, whole: Column, places: int = 4) -> Column:
    """Part of a whole, amounts or counts, as decimal(18,places), halves away from zero; null where `quotient` is."""
    return quotient(part.cast("decimal(18,2)") * 100, whole.cast("decimal(18,2)") * 100, places)


def quotient(numerator: Column, denominator: Column, places: int) -> Column:
    """Of two whole numbers, as decimal(18,places), halves away from zero; null where the denominator is 0.

    Null also where it has more than 18 digits: a trillion times as much says only that there was nothing to compare.
    By whole numbers, since a quotient of decimals is rounded or cut before anybody can: (2n + d) div 2d.
    """
    top, bottom = (F.abs(value.cast("decimal(25,0)")) for value in (numerator, denominator))
    steps = F.lit(10**places).cast("decimal(8,0)")
    twice = F.lit(2).cast("decimal(1,0)")
    dividend, divisor = top * steps * twice + bottom, F.nullif(bottom, F.lit(0)) * twice
    whole = F.when(~has_more_digits(dividend, divisor), F.call_function("div", dividend, divisor))
    signs = F.signum(numerator).cast("decimal(1,0)") * F.signum(denominator).cast("decimal(1,0)")
    step = F.lit(Decimal(1).scaleb(-places)).cast(f"decimal({places},{places})")
    return (whole.cast("decimal(18,0)") * signs.cast("decimal(1,0)") * step).cast(f"decimal(18,{places})")


def whole_quotient(dividend: Column, divisor: Column) -> Column:
    """`div` of decimals that are not negative, as bigint; an error beyond 18 digits, where Spark's would begin anew."""
    error = F.raise_error(F.lit("a quotient has more than 18 digits")).cast("bigint")
    return F.when(has_more_digits(dividend, divisor), error).otherwise(F.call_function("div", dividend, divisor))


def has_more_digits(dividend: Column, divisor: Column) -> Column:
    """Whether the quotient has more than 18 digits, so that 64 bits may not hold it."""
    return F.call_function("div", dividend, F.lit(10**18).cast("decimal(19,0)")) >= divisor


def money(text: Column | str, precision: int = 18, scale: int = 2) -> Column:
    """`KSh 120.00` or `₦11500.00`: the amount without its currency sign, exact."""
    value = _column(text)
    return exact_decimal(F.regexp_replace(value, SIGN, ""), precision, scale)


def written_number(text: Column | str, precision: int, scale: int, point: str) -> Column:
    """`1.234,50 €` with the point `,` as the exact number it says; null where it does not fit.

    A currency sign may stand at one of its ends, and between groups of three digits what is no point: `.` or `,`.
    """
    group = {",": "[.]", ".": ","}[point]
    amount = F.regexp_replace(F.regexp_replace(_column(text), SIGN, ""), SIGN_BEHIND, "")
    is_grouped = amount.rlike(rf"^[+-]?[0-9]{{1,3}}({group}[0-9]{{3}})+([{point}][0-9]*)?\z")
    digits = F.when(is_grouped, F.regexp_replace(amount, group, "")).when(~amount.rlike(group), amount)
    return exact_decimal(F.translate(digits, ",", "."), precision, scale)


def amount_sign(text: Column | str) -> Column:
    """The currency sign of such an amount, null where it has none."""
    value = _column(text)
    return F.nullif(F.regexp_extract(value, SIGN, 1), F.lit(""))


def with_market(rows: DataFrame) -> DataFrame:
    """The rows with their market as a number, where they say it themselves and no folder does."""
    return rows.withColumn("market", whole_number("market", "int"))


def spelled_alike(
    rows: DataFrame,
    markets: DataFrame,
    *,
    numbers: Sequence[str] = (),
    amounts: Sequence[str] = (),
    clocks: Sequence[str] = (),
    instants: Sequence[str] = (),
    days: Sequence[str] = (),
) -> DataFrame:
    """The rows with the texts of these columns as the functions above read them, whatever way their market writes.

    Numbers of JSON, Parquet and workbooks, and what is fetched, have a point wherever their market is.
    `amounts` are numbers with a currency sign, which then stands in front; `clocks` are read by `wall_clock`,
    `instants`, whose zone must be written, by `export_time`, and `days` by `calendar_day`. A text with two readings,
    since conf/markets.yml does not say how its market wrote when it was delivered, is null, and `_are_numbers_certain`
    or `_are_days_certain` is false.
    """
    if WRITE_ALIKE in markets.columns:
        return rows.withColumns(dict.fromkeys(("_are_numbers_certain", "_are_days_certain"), F.lit(True)))  # noqa: FBT003
    facts = with_facts(rows, _ways_of_writing(markets), F.to_date("_delivered_at"), *WAYS)
    is_typed = F.lower("_file").rlike(TYPED)
    points = {"_signs": ".,", "_signs_read": ".x"}
    facts = facts.withColumns({one: F.when(is_typed, as_is).otherwise(F.col(one)) for one, as_is in points.items()})
    in_front = {name: _with_sign_in_front(F.col(name)) for name in amounts}
    all_numbers, times = [*numbers, *amounts], [*clocks, *instants, *days]
    two_numbers = [F.col(name).rlike(TWO_NUMBERS) for name in all_numbers]
    two_days = [_has_two_days(F.col(name)) for name in times]
    certain = {
        "_are_numbers_certain": _unless(F.col("_signs").isNull(), two_numbers),
        "_are_days_certain": _unless(F.col("_date_order").isNull(), two_days),
    }
    with_points = {name: _with_point(F.col(name)) for name in all_numbers}
    with_year_first = {name: _with_year_first(F.col(name), r"\z") for name in clocks}
    with_year_first |= {name: _with_year_first(F.col(name), STAMP) for name in instants}
    with_year_first |= {name: _day_with_year_first(F.col(name)) for name in days}
    without_groups = {name: _without_groups(F.col(name)) for name in all_numbers}
    # Step by step: in one expression each text would stand a dozen times, and planning would take a second.
    texts = facts.withColumns(in_front) if amounts else facts
    alike = texts.withColumns({**certain, **with_points, **with_year_first})
    return alike.withColumns(without_groups) if all_numbers else alike


def _ways_of_writing(markets: DataFrame) -> DataFrame:
    """`WAYS` of each market and period, null where conf/markets.yml does not say it.

    `_signs` become `_signs_read`: a point, commas between groups, and of `.` and `,` what is neither becomes a letter.
    """
    known = markets.columns
    decimal, group, day = (
        F.col(name) if name in known else F.lit(None).cast("string")
        for name in ("decimal_sign", "group_sign", "date_format")
    )
    groups = F.when(group == " ", SPACES).when(group == "'", APOSTROPHES).otherwise(F.coalesce(group, F.lit("")))
    signs = F.concat(decimal, groups)
    neither = F.call_function("translate", F.lit(".,"), signs, F.lit(""))
    return markets.select(
        "market",
        *(name for name in ("valid_from", "valid_until") if name in known),
        F.concat(signs, neither).alias("_signs"),
        F.concat(F.lit("."), F.regexp_replace(groups, ".", ","), F.lit("x")).alias("_signs_read"),
        F.when(day == "yyyy-MM-dd", "ymd")
        .when(day == "MM/dd/yyyy", "mdy")
        .when(day.isNotNull(), "dmy")
        .alias("_date_order"),
    )


def _unless(asked: Column, wrong: Iterable[Column]) -> Column:
    """Null where it is not asked."""
    never = F.lit(False)  # noqa: FBT003
    return ~F.when(asked, reduce(or_, (F.coalesce(one, never) for one in wrong), never))


def _with_sign_in_front(value: Column) -> Column:
    """A currency sign that stands behind its amount, as it does where a market writes otherwise than builds read."""
    moved = F.regexp_replace(F.regexp_replace(value, MOVED, "$2$1"), SIGN, "$1")
    return F.when(F.col("_signs") == ".,", value).otherwise(moved)


def _with_point(value: Column) -> Column:
    """A number's text with a decimal point, and commas between groups; null where it has two readings."""
    said = F.call_function("translate", value, F.col("_signs"), F.col("_signs_read"))
    one_reading = F.when(value.rlike(WITH_COMMA), F.translate(value, ".,", ",.")).otherwise(value)
    return F.when(F.col("_signs").isNotNull(), said).when(~value.rlike(TWO_NUMBERS), one_reading)


def _without_groups(value: Column) -> Column:
    """Commas that stand otherwise than between groups stay, and make the text unreadable."""
    return F.when(value.rlike(GROUPED), F.translate(value, ",", "")).otherwise(value)


def _with_year_first(value: Column, ending: str) -> Column:
    """The text of a time as `export_time` reads it; left as it is where its year stands first or it ends otherwise."""
    is_written_so = value.rlike(rf"^{YEAR_LAST}{CLOCK}\z") & value.rlike(ending)
    iso = F.concat(_market_day(value), _iso_clock(value, YEAR_LAST))
    return F.when(_is_year_last() & is_written_so, iso).otherwise(value)


def _day_with_year_first(value: Column) -> Column:
    """The text of a day as `calendar_day` reads it; left as it is where its year stands first."""
    return F.when(_is_year_last() & value.rlike(rf"^{YEAR_LAST}\z"), _market_day(value)).otherwise(value)


def _is_year_last() -> Column:
    """Whether the market writes its years last, or nobody says how it writes."""
    return F.coalesce("_date_order", F.lit("")) != "ymd"


def _market_day(value: Column) -> Column:
    """`2022-01-03` of what begins with `3.1.2022`; null where that has two readings."""
    first, second, year = (F.regexp_extract(value, rf"^{YEAR_LAST}", part) for part in (1, 2, 3))
    first, second = _two_digits(first), _two_digits(second)
    certain = F.when((first > "12") | (first == second), "dmy").when(second > "12", "mdy")
    is_month_first = F.coalesce("_date_order", certain) == "mdy"
    return F.when(is_month_first, F.concat_ws("-", year, first, second)).when(
        ~is_month_first, F.concat_ws("-", year, second, first)
    )


def _has_two_days(value: Column) -> Column:
    first, second = (_two_digits(F.regexp_extract(value, TWO_DAYS, part)) for part in (1, 2))
    return first != second


def are_hours_certain(markets: DataFrame, time_zone: Column, *times: str) -> Column:
    """False where a clock of the zone showed one of these times twice; null for none."""
    if NEVER_TWICE in markets.columns:
        return F.lit(True)  # noqa: FBT003
    return _unless(F.lit(True), [_is_shown_twice(F.col(one), time_zone) for one in times])  # noqa: FBT003


def _is_shown_twice(local: Column, time_zone: Column) -> Column:
    """Whether the offset that holds a day later gives another instant at which the clock showed this time."""
    day = F.expr("interval 1 day")
    other = F.to_utc_timestamp(local + day, time_zone) - day
    is_other = other != F.to_utc_timestamp(local, time_zone)
    return F.when(is_other, F.from_utc_timestamp(other, time_zone) == local)


def with_facts(rows: DataFrame, markets: DataFrame, day: Column | str, *facts: str) -> DataFrame:
    """The rows with what holds in their market on their day; rows without a day have the market's first facts.

    Rows of conf/markets.yml hold from their `valid_from` until the market's next one; without these it is no question.
    """
    if "valid_from" not in markets.columns:
        return rows.join(F.broadcast(markets.select("market", *facts)), on="market", how="left")
    named = {name: F.col(name).alias(f"_{name}") for name in ("market", "valid_from", "valid_until")}
    periods = F.broadcast(markets.select(*named.values(), *facts))
    on = F.coalesce(_column(day), F.lit("0001-01-01").cast("date"))
    is_begun = F.col("_valid_from").isNull() | (F.col("_valid_from") <= on)
    is_over = F.coalesce(F.col("_valid_until") <= on, F.lit(False))  # noqa: FBT003
    is_same = (F.col("market") == F.col("_market")) & is_begun & ~is_over
    return rows.join(periods, on=is_same, how="left").drop(*(f"_{name}" for name in named))


def facts_of_today(markets: DataFrame, *facts: Column | str) -> DataFrame:
    """One row per market: the newest facts, for rows that have no day."""
    newest = markets.where("valid_until is null") if "valid_until" in markets.columns else markets
    return F.broadcast(newest.select("market", *facts))


def place_of(*columns: str) -> Column:
    """A row as conf/accepted.yml names it, whatever the order there: `currency=NGN, rate_date=2023-06-14`."""
    parts = [F.concat_ws("=", F.lit(name), F.col(name).cast("string")) for name in sorted(columns)]
    return F.concat_ws(", ", *parts)


def accepted_by_hand(accepted: DataFrame, table: str, rule: str) -> DataFrame:
    """`key`, as `place_of` spells it, of the rows of conf/accepted.yml for a table's rule, and true under its name."""
    mine = accepted.where((F.col("table") == table) & (F.col("rule") == rule))
    return mine.select("key", F.lit(True).alias(rule)).distinct()  # noqa: FBT003


def first_day(markets: DataFrame) -> Column:
    """`_first_day`: what a market's dates are not older than; the year 2000 where conf/markets.yml does not say it."""
    known = F.col("first_day") if "first_day" in markets.columns else F.lit(None)
    return F.coalesce(known.cast("date"), F.lit("2000-01-01").cast("date")).alias("_first_day")


def begin_of(day: Column | str, time_zone: Column) -> Column:
    """The instant at which a market's local day begins, also where its midnight is skipped or shown twice."""
    return F.to_utc_timestamp(_column(day).cast("timestamp"), time_zone)


def customer_facts(customers: DataFrame, markets: DataFrame) -> DataFrame:
    """Delivered customers with their facts typed, and `_currency` and `_opened_at`, null for a market nobody knows."""
    facts = facts_of_today(markets, F.col("currency").alias("_currency"), first_day(markets), "time_zone")
    numbers = ("outstanding_amount", "loyalty_points", "number_of_employees")
    return (
        spelled_alike(customers, markets, numbers=numbers, instants=["created_at"])
        .join(facts, on="market", how="left")
        .withColumns(
            {
                "customer_id": whole_number("customer_id"),
                "is_blocked": F.when(F.col("is_blocked").isin("0", "1"), F.col("is_blocked") == "1"),
                "outstanding_amount": exact_decimal("outstanding_amount", 18, 2),
                "loyalty_points": whole_number("loyalty_points"),
                "number_of_employees": whole_number("number_of_employees"),
                "created_at": export_time("created_at"),
                "_opened_at": begin_of("_first_day", F.col("time_zone")),
            }
        )
    )


def product_facts(products: DataFrame, markets: DataFrame) -> DataFrame:
    """Delivered products with their facts typed, and the market's `currency`, null for a market nobody knows."""
    facts = facts_of_today(markets, "currency", F.col("largest_amount").alias("_largest_amount"))
    typed = spelled_alike(with_market(products), markets, numbers=["list_price"]).select(
        "market",
        "sku",
        "product_name",
        "category_name",
        exact_decimal("list_price", 18, 2).alias("list_price"),
        "_are_numbers_certain",
        "_delivered_at",
        "_source",
    )
    return typed.join(facts, on="market", how="left")


def delivery_tasks(deliveries: DataFrame) -> DataFrame:
    """The tasks that bring an order: no pick-ups, and none of an unknown order."""
    return deliveries.where("task_type = 'Delivery' and order_id is not null")


def deliveries_of_orders(deliveries: DataFrame) -> DataFrame:
    """One row per order with Delivery tasks: market, order_id, delivery_tasks, delivery_status, delivery_distance_m.

    A pick-up is not a delivery; unknown distances are left out of the sum, and are null where none is known.
    """
    return (
        delivery_tasks(deliveries)
        .groupBy("market", "order_id")
        .agg(
            F.count("*").alias("delivery_tasks"),
            F.max_by("task_status", "task_id").alias("delivery_status"),
            whole_sum("distance_m").alias("delivery_distance_m"),
        )
    )


def classic_ten(completed: DataFrame, lines: DataFrame, deliveries: DataFrame, by: Sequence[str]) -> DataFrame:
    """Ten measures of completed orders, one row per group `by`: amounts, quantities, distances, products and times.

    `lines` and `deliveries` are those of the orders, or more.
    """
    order = ["market", "order_id"]
    orders = completed.join(deliveries_of_orders(deliveries), on=order, how="left")
    amounts = orders.groupBy(*by).agg(
        F.sum("order_total").cast("decimal(18,2)").alias("total_order_amount"),
        F.max("order_total").alias("highest_order_amount"),
        F.min("order_total").alias("lowest_order_amount"),
        F.count("*").alias("order_count"),
        whole_sum("units").alias("total_quantity_ordered"),
        whole_sum("delivery_distance_m").alias("metres"),
        F.count("delivery_distance_m").alias("orders_with_distance"),
        F.min("ordered_at").alias("first_order_at"),
        F.max("ordered_at").alias("last_order_at"),
    )
    groups = completed.select(*order, *(name for name in by if name not in order))
    sold = lines.select(*order, "sku").join(groups, on=order, how="inner")
    products = sold.groupBy(*by).agg(F.count_distinct("sku").alias("distinct_products"))
    distance = kilometres("metres")
    measures = amounts.join(products, on=list(by), how="left").withColumns(
        {
            "average_order_amount": average(F.col("total_order_amount"), F.col("order_count")),
            "average_quantity_per_order": average(F.col("total_quantity_ordered"), F.col("order_count")),
            "total_delivery_distance_km": distance,
            "average_delivery_distance_km": average(distance, F.col("orders_with_distance")),
            "distinct_products": F.coalesce("distinct_products", F.lit(0)),
        }
    )
    return measures.select(*by, *TEN_MEASURES)


def sales_measures(
    orders: DataFrame, customer_orders: DataFrame, markets: DataFrame, by: Sequence[str], *also: Column
) -> DataFrame:
    """Per group `by`, which begins with the market: currency, SALES_COUNTS, SALES_AMOUNTS, average_order_value, `also`.

    Money counts once per order; what is new and what is repeat business says silver.customer_orders.
    """
    completed, cancelled, is_open = statuses()
    with_points = with_facts(orders, markets, "order_date", "point_value")
    priced = with_points.withColumns({"points_value": points_value(), "surcharge": surcharge()})
    sums = priced.groupBy(*by, "currency").agg(
        *counted_orders(),
        whole_sum("line_count").alias("lines"),
        whole_sum("units").alias("units"),
        whole_sum(F.when(completed, F.col("units")).otherwise(0)).alias("completed_units"),
        sum_where(completed, "order_total").alias("revenue"),
        sum_where(completed, "sub_total").alias("gross_revenue"),
        sum_where(completed, "points_value").alias("points_value"),
        sum_where(completed, "surcharge").alias("pay_later_surcharge"),
        F.sum("order_total").cast("decimal(18,2)").alias("placed_value"),
        sum_where(cancelled, "order_total").alias("cancelled_value"),
        sum_where(is_open, "order_total").alias("open_value"),
        *also,
    )
    lives = customer_orders.groupBy(*by).agg(
        sum_where(F.col("completed_number") == 1, "order_total").alias("new_revenue"),
        sum_where(F.col("completed_number") > 1, "order_total").alias("repeat_revenue"),
    )
    both = sums.join(lives, on=list(by), how="left").na.fill(0, subset=["new_revenue", "repeat_revenue"])
    return both.withColumn("average_order_value", average(F.col("revenue"), F.col("completed_orders")))


def ages_of_cohorts(customer_orders: DataFrame) -> tuple[DataFrame, DataFrame]:
    """The completed orders with their `age_months`, and every age that a cohort has reached, with cohort_customers."""
    months = F.year("order_date") * 12 + F.month("order_date")
    months_of_cohort = F.year("cohort_month") * 12 + F.month("cohort_month")
    completed = customer_orders.where("order_status = 'COMPLETED'").withColumn("age_months", months - months_of_cohort)
    cohorts = completed.groupBy("market", "cohort_month", "currency").agg(
        F.count_distinct("customer_id").alias("cohort_customers"), F.max("age_months").alias("oldest")
    )
    ages = F.explode(F.sequence(F.lit(0), "oldest")).alias("age_months")
    return completed, cohorts.select("market", "cohort_month", "currency", "cohort_customers", ages)


def day_by_day(orders: DataFrame, markets: DataFrame, rates: DataFrame, reporting: DataFrame, day: str) -> DataFrame:
    """Per market and `day`, a column of the orders: the measures that markets are compared by, with the day's rate.

    A rate that was not delivered, or is refused, is null, and what would be converted with it.
    """
    completed, _, _ = statuses()
    measures = orders.groupBy("market", "currency", day).agg(
        *counted_orders(),
        F.count_distinct("customer_id").alias("customers"),
        whole_sum("units").alias("units"),
        sum_where(completed, "order_total").alias("revenue"),
    )
    facts = facts_of_today(markets, "country", "time_zone").crossJoin(reporting)
    delivered = (F.col("rate_date").alias(day), F.col("rate").alias("delivered"))
    accepted = rates.where("is_accepted").select("currency", "reporting_currency", *delivered)
    known = measures.join(F.broadcast(facts), on="market", how="left").join(
        accepted,
        on=["currency", "reporting_currency", day],
        how="left",
    )
    is_the_same = F.col("currency") == F.col("reporting_currency")
    rate = F.when(is_the_same, F.lit(1).cast("decimal(18,12)")).otherwise(F.col("delivered"))
    return known.withColumns(
        {
            "average_order_value": average(F.col("revenue"), F.col("completed_orders")),
            "rate": rate,
            "is_rate_missing": rate.isNull(),
            "reporting_revenue": F.round(F.col("revenue") * rate, 2).cast("decimal(28,2)"),
        }
    ).withColumn("reporting_average_order_value", average(F.col("reporting_revenue"), F.col("completed_orders")))


def statuses() -> tuple[Column, Column, Column]:
    """Whether an order is completed, cancelled, open."""
    completed, cancelled = (F.col("order_status") == status for status in ("COMPLETED", "CANCELLED"))
    return completed, cancelled, ~completed & ~cancelled


def counted_orders() -> list[Column]:
    """Orders placed, and of these the completed, the cancelled and the open ones."""
    names = ("completed_orders", "cancelled_orders", "open_orders")
    some = [F.count_if(status).alias(name) for status, name in zip(statuses(), names, strict=True)]
    return [F.count("*").alias("orders"), *some]


def kilometres(metres: str) -> Column:
    """Whole metres as exact kilometres."""
    return (F.col(metres).cast("decimal(18,0)") * F.lit(Decimal("0.001")).cast("decimal(3,3)")).cast("decimal(18,3)")


def whole_sum(numbers: Column | str, over: WindowSpec | None = None) -> Column:
    """Their sum as bigint, or an error where it is none: a sum of bigint would begin again at the other end."""
    sums = F.sum(_column(numbers).cast("decimal(20,0)"))
    return (sums if over is None else sums.over(over)).cast("bigint")


def sum_where(condition: Column, amount: str) -> Column:
    """The sum as decimal(18,2) of the rows that the condition holds for; 0 for none."""
    return F.sum(F.when(condition, F.col(amount)).otherwise(0)).cast("decimal(18,2)")


def surcharge() -> Column:
    """What paying later costs, of an order with its market's `point_value`: 0 for orders paid otherwise."""
    return _when_paid_later(F.col("order_total") - paid_now())


def expected_surcharge(amount: Column) -> Column:
    """What paying the amount later should cost, by the `pay_later_rate` of its market; 0 when paid otherwise."""
    return _when_paid_later(amount * F.col("pay_later_rate").cast("decimal(5,4)"))


def _when_paid_later(amount: Column) -> Column:
    return F.when(F.col("payment_method") == "Pay Later", amount).otherwise(0)


def paid_now() -> Column:
    """What an order with its market's `point_value` costs who does not pay later."""
    return F.col("sub_total") - points_value()


def points_value() -> Column:
    """Redeemed points in money, of an order or a customer with its market's `point_value`."""
    points = F.coalesce("redeemed_points", F.lit(0)).cast("decimal(18,0)")
    return (points * F.col("point_value").cast("decimal(18,2)")).cast("decimal(18,2)")


def with_limits(rows: DataFrame, limits: DataFrame, *names: str) -> DataFrame:
    """The rows with numbers of the one row of conf/events.yml, as `_<name>`, which rules of contracts read too."""
    return rows.crossJoin(F.broadcast(limits.select(*(F.col(name).alias(f"_{name}") for name in names))))


def in_sessions(events: DataFrame, limits: DataFrame) -> DataFrame:
    """The events of known users with `_since`, which all events of a session have and no others of their user.

    What a user does on a platform is one chain as long as no pause is longer than `gap_minutes`; it is cut each
    `longest_hours` from its begin. At a midnight before which no pause was longer all day, that from the midnight
    before included, a chain begins anew. So an event's session is known by its own day and the day before. `_since` is
    the time of its cut: at its first event or before it, and behind what is not in it.
    """
    minute = 60 * MICROS
    known = with_limits(_of_users(events), limits, "gap_minutes", "longest_hours")
    gap, day = F.col("_gap_minutes") * minute, F.lit(24 * 60 * minute).cast("bigint")
    longest, midnight = F.col("_longest_hours") * (60 * minute), F.unix_date("event_date").cast("bigint") * day
    before = F.lag("_at").over(life_of_user())
    starts = F.when(before.isNull() | (F.col("_at") - before > gap), F.col("_at"))
    begin = F.when(F.col("_chain") <= midnight - day + gap, midnight).otherwise(F.col("_chain"))
    since = F.col("_begin") + F.call_function("div", F.col("_at") - F.col("_begin"), longest) * longest
    chains = known.withColumn("_starts", starts).withColumn("_chain", F.max("_starts").over(so_far()))
    return chains.withColumn("_begin", begin).withColumn("_since", since)


def _of_users(events: DataFrame) -> DataFrame:
    """Of one instant a view is before a click, and a click before a purchase."""
    step = F.when(F.col("event_name") == "view", 0).when(F.col("event_name") == "click", 1).otherwise(2)
    return events.where("user_id is not null").select(
        "user_id",
        platform_known().alias("platform"),
        "event_date",
        "event_datetime",
        "event_name",
        "sku",
        "product_name",
        F.unix_micros("event_datetime").alias("_at"),
        step.alias("_step"),
    )


def platform_known() -> Column:
    """Units are never null."""
    return F.coalesce("platform", F.lit("unknown"))


def life_of_user(*product: str) -> WindowSpec:
    """One order for all that is asked of events in it, since sorting them takes longest."""
    return Window.partitionBy("user_id", "platform", *product).orderBy("_at", "_step", "sku", "product_name")


def so_far(*product: str) -> WindowSpec:
    return life_of_user(*product).rowsBetween(Window.unboundedPreceding, 0)


def with_first(events: DataFrame) -> DataFrame:
    """`_is_first`: whether an event `in_sessions` is the first of its session."""
    before = F.lag("_since").over(life_of_user())
    return events.withColumn("_is_first", F.coalesce(F.col("_since") != before, F.lit(True)))  # noqa: FBT003


def with_steps(events: DataFrame, *product: str) -> DataFrame:
    """`_follows`: whether an event `in_sessions` is a click after a view in it, of each product alone."""
    view = F.max(F.when(F.col("event_name") == "view", F.col("_at"))).over(so_far(*product))
    return events.withColumn("_follows", (F.col("event_name") == "click") & (view >= F.col("_since")))


def steps_of_session() -> list[Column]:
    """What a session, or a product in it, is counted by: of events `with_steps`."""
    clicked, followed = F.col("event_name") == "click", F.col("_follows")
    last_purchase = F.max(F.when(F.col("event_name") == "purchase", F.col("_at")))
    never = F.lit(False)  # noqa: FBT003
    return [
        *(F.count_if(F.col("event_name") == step).alias(f"{step}s") for step in ("view", "click", "purchase")),
        (F.count_if(followed) > 0).alias("is_clicked"),
        F.coalesce(F.min(F.when(followed, F.col("_at"))) <= last_purchase, never).alias("is_purchased"),
        F.coalesce(F.min(F.when(clicked, F.col("_at"))) <= last_purchase, never).alias("is_purchased_after_click"),
    ]


def conversions(sessions: DataFrame, limits: DataFrame, *product: str) -> DataFrame:
    """Per day and platform, and product, how many sessions and users went how far: within a session, and within days.

    Within `funnel_days`: from a view in a session of the day to a click after it, and from that to a purchase after it,
    in sessions of the day or so many days after it. Of two steps the nearest one leads on.
    """
    key = ["session_date", "platform", *product]
    after = (
        Window.partitionBy("user_id", "platform", *product)
        .orderBy("started_at")
        .rowsBetween(1, Window.unboundedFollowing)
    )
    day, clicked = F.col("session_date"), F.col("clicks") > 0
    sessions = with_limits(sessions, limits, "funnel_days").withColumns(
        {
            "_next_click": F.min(F.when(clicked, day)).over(after),
            "_next_purchase": F.min(F.when(F.col("purchases") > 0, day)).over(after),
        }
    )
    bought = F.when(clicked, F.when(F.col("is_purchased_after_click"), day).otherwise(F.col("_next_purchase")))
    sessions = sessions.withColumn("_bought", bought)
    sessions = sessions.withColumn("_next_bought", F.min("_bought").over(after))
    purchased_on = (
        F.when(F.col("is_purchased"), day)
        .when(F.col("is_clicked"), F.col("_next_purchase"))
        .otherwise(F.col("_next_bought"))
    )
    viewed = F.col("views") > 0
    within = {
        name: viewed & F.coalesce(days_between("session_date", on) <= F.col("_funnel_days"), F.lit(False))  # noqa: FBT003
        for name, on in {
            "_clicked": F.when(F.col("is_clicked"), day).otherwise(F.col("_next_click")),
            "_purchased": purchased_on,
        }.items()
    }
    of_users = (
        sessions.withColumns(within)
        .groupBy(*key, "user_id")
        .agg(
            F.min("_funnel_days").alias("_funnel_days"),
            F.count("*").alias("sessions"),
            F.count_if(viewed).alias("viewed"),
            F.count_if("is_clicked").alias("clicked"),
            F.count_if("is_purchased").alias("purchased"),
            F.count_if("_clicked").alias("clicked_within_days"),
            F.count_if("_purchased").alias("purchased_within_days"),
        )
    )
    steps = ("viewed", "clicked", "purchased")
    return of_users.groupBy(*key).agg(
        F.min("_funnel_days").alias("_funnel_days"),
        whole_sum("sessions").alias("sessions"),
        *(whole_sum(step).alias(f"sessions_{step}") for step in steps),
        F.count("*").alias("users"),
        *(
            F.count_if(F.col(step) > 0).alias(f"users_{step}")
            for step in (*steps, "clicked_within_days", "purchased_within_days")
        ),
    )


def key_of(*columns: Column | str) -> Column:
    """A surrogate key that a rebuild gives again."""
    return F.md5(F.concat_ws("|", *columns))


def row_hash(*columns: str) -> Column:
    """64 bits of a row. Hashes skip nulls, so (a, null) would equal (null, a) without the flags at the end.

    Decimals of more than 18 digits go in as text.
    """
    return F.xxhash64(*columns, *(F.isnull(name) for name in columns))


def product_code(sku: str = "sku") -> Column:
    """Lines without a SKU are one product, so that sums are whole."""
    return F.coalesce(F.col(sku), F.lit("(none)"))


def _column(text: Column | str) -> Column:
    return F.col(text) if isinstance(text, str) else text
