"""silver.stores: one row per store.

Its histories are judged here, object by object, and stay text: a store that has no subscription any more has no row of
them either, and yet must take the place of what it said before.
"""

from collections.abc import Callable
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import (
    JSON_CLOCK,
    exact_decimal,
    is_json_object,
    json_clock,
    json_objects,
    json_text,
    json_value,
    local_to_utc,
)

INSTALLS, SUBSCRIPTIONS = "installhistory", "subscriptionhistory"
DAY_BEGINS, DAY_ENDS = r' 00:00:00(\.0+)?"\z', r' 23:59:59(\.9+0*)?"\z'


def build(bronze_stores: DataFrame, conf_stores: DataFrame) -> DataFrame:
    return bronze_stores.crossJoin(F.broadcast(conf_stores)).select(
        # ids
        "store_id",
        # attributes
        F.col(INSTALLS).alias("install_history"),
        F.col(SUBSCRIPTIONS).alias("subscription_history"),
        # counts
        F.size(json_objects(INSTALLS)).alias("delivered_installs"),
        F.size(json_objects(SUBSCRIPTIONS)).alias("delivered_subscriptions"),
        # for rules and evidence
        counted(INSTALLS, is_no_install).alias("_no_installs"),
        counted(SUBSCRIPTIONS, is_no_subscription).alias("_no_subscriptions"),
        (counted(INSTALLS, is_far) + counted(SUBSCRIPTIONS, is_far)).alias("_far_times"),
        (counted(INSTALLS, is_backward) + counted(SUBSCRIPTIONS, is_backward)).alias("_backward"),
        counted(INSTALLS, is_contradictory).alias("_contradictory"),
        counted(INSTALLS, is_of_parts_of_days).alias("_parts_of_days"),
        counted(SUBSCRIPTIONS, is_implausible).alias("_implausible_prices"),
        counted(SUBSCRIPTIONS, is_billed).alias("_billing_dates"),
        "_source",
    )


def counted(history: str, are_counted: Callable[[Column], Column]) -> Column:
    return F.size(F.filter(json_objects(history), are_counted))


def is_no_install(one: Column) -> Column:
    is_whole = is_json_object(one, "toNow", "startType", "fromDate", "endType", "toDate")
    return ~(is_whole & is_time(one, "fromDate") & (is_null(one, "toDate") | is_time(one, "toDate")))


def is_no_subscription(one: Column) -> Column:
    is_whole = is_json_object(one, "price", "planName", "fromDate", "toDate", "billingOnDate")
    is_priced = exact_decimal(json_value(one, "price"), 18, 2).isNotNull() & json_text(one, "planName").isNotNull()
    return ~(is_whole & is_priced & is_time(one, "fromDate") & (is_null(one, "toDate") | is_time(one, "toDate")))


def is_time(one: Column, key: str) -> Column:
    """Whether it is one that the stores' clock has shown: it may have skipped it in spring."""
    return local_to_utc(json_clock(one, key), F.col("time_zone")).isNotNull()


def is_null(one: Column, key: str) -> Column:
    return json_value(one, key) == "null"


def is_far(one: Column) -> Column:
    days = (F.to_date(json_clock(one, key)) for key in ("fromDate", "toDate"))
    return reduce(or_, (~F.coalesce(day, "first_day").between(F.col("first_day"), F.col("last_day")) for day in days))


def is_backward(one: Column) -> Column:
    return json_clock(one, "toDate") < json_clock(one, "fromDate")


def is_contradictory(one: Column) -> Column:
    return (json_value(one, "toNow") == "true") != is_null(one, "toDate")


def is_of_parts_of_days(one: Column) -> Column:
    begin, end = json_value(one, "fromDate"), json_value(one, "toDate")
    return (begin.rlike(JSON_CLOCK) & ~begin.rlike(DAY_BEGINS)) | (end.rlike(JSON_CLOCK) & ~end.rlike(DAY_ENDS))


def is_implausible(one: Column) -> Column:
    price = exact_decimal(json_value(one, "price"), 18, 2)
    return (price < 0) | (price > F.col("largest_price"))


def is_billed(one: Column) -> Column:
    return json_value(one, "billingOnDate").rlike("^[^n]")
