"""Pure helpers for table modules: columns in, columns out. A change here is a change of the tables that use it."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

SIGN = r"^\s*[^\d\s.,+-]{1,4}\s*"
EXPORT_TIME = "yyyy-MM-dd'T'HH:mm:ss[.SSS]XXX"


def exact_decimal(text: Column | str, precision: int, scale: int) -> Column:
    """The number as written, or null where it does not fit: try_cast alone would round 12.3456 to 12.35 in silence."""
    value = _column(text)
    written = rf"^\s*[+-]?(\d+(\.\d{{0,{scale}}}0*)?|\.\d{{1,{scale}}}0*)\s*$"
    return F.when(value.rlike(written), value.try_cast(f"decimal({precision},{scale})"))


def whole_number(text: Column | str, kind: str = "bigint") -> Column:
    """Digits with an optional sign, or null: a cast alone would take `1.0` or `1e3` in some versions of Spark."""
    value = _column(text)
    return F.when(value.rlike(r"^\s*[+-]?\d+\s*$"), value.try_cast(kind))


def export_time(text: Column | str) -> Column:
    """`2022-02-17T16:36:27.000Z` as the instant it says; anything else is null, not a guess."""
    return F.try_to_timestamp(_column(text), F.lit(EXPORT_TIME))


def wall_clock(text: Column | str) -> Column:
    """What a clock showed, parsed as if it were UTC: the stamp Z means nothing, and any other zone would be guessed."""
    return F.when(_column(text).rlike(r"(Z|[+-]00:00)$"), export_time(text))


def local_to_utc(local: Column, time_zone: Column) -> Column:
    """The UTC instant of a wall clock reading (that was parsed as if it were UTC).

    Null for a time that the clock skipped in spring; of an hour that it had twice in autumn the first one is taken.
    """
    instant = F.to_utc_timestamp(local, time_zone)
    return F.when(F.from_utc_timestamp(instant, time_zone) == local, instant)


def average(total: Column, count: Column) -> Column:
    """The quotient as decimal(18,4), rounded half up: it has 14 places before, so that a tie is a real tie."""
    quotient = total.cast("decimal(23,3)") / count.cast("decimal(10,0)")
    return F.round(F.when(count > 0, quotient), 4).cast("decimal(18,4)")


def money(text: Column | str, precision: int = 18, scale: int = 2) -> Column:
    """`KSh 120.00` or `₦11500.00`: the amount without its currency sign, exact."""
    value = _column(text)
    return exact_decimal(F.regexp_replace(value, SIGN, ""), precision, scale)


def amount_sign(text: Column | str) -> Column:
    """The currency sign of such an amount, null where it has none."""
    value = _column(text)
    return F.nullif(F.trim(F.regexp_extract(value, SIGN, 0)), F.lit(""))


def deliveries_of_orders(deliveries: DataFrame) -> DataFrame:
    """One row per order with Delivery tasks: market, order_id, delivery_tasks, delivery_status, delivery_distance_m.

    A pick-up is not a delivery; unknown distances are left out of the sum, and are null where none is known.
    """
    tasks = deliveries.where("task_type = 'Delivery' and order_id is not null")
    return tasks.groupBy("market", "order_id").agg(
        F.count("*").alias("delivery_tasks"),
        F.max_by("task_status", "task_id").alias("delivery_status"),
        F.sum("distance_m").alias("delivery_distance_m"),
    )


def _column(text: Column | str) -> Column:
    return F.col(text) if isinstance(text, str) else text
