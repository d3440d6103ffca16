"""gold.touches: one row per purchase of a known user: what the user looked at first and last before it.

A touch is a view or a click, on any platform, of the day of the purchase or of the days before it.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import with_limits

USER_DAY = ["user_id", "purchase_date"]
PURCHASE = ["user_id", "purchased_at", "purchase_number"]
BOUGHT = ["platform", "sku", "product_name"]
TOUCH = ["touch_at", "touch_platform", "touch_sku", "touch_product_name"]


def build(silver_events: DataFrame, silver_user_days: DataFrame, conf_events: DataFrame) -> DataFrame:
    known = silver_events.where("user_id is not null").withColumnRenamed("event_date", "purchase_date")
    purchases = numbered(known.where("event_name = 'purchase'"), conf_events)
    keys = purchases.select(*PURCHASE, "purchase_date", "_touch_days")
    touches = ends(same_day(keys, known).unionByName(days_before(keys, silver_user_days)))
    return purchases.join(touches, on=PURCHASE, how="left").select(
        # ids
        "user_id",
        "purchased_at",
        "purchase_number",
        "purchase_date",
        # what was bought
        *BOUGHT,
        # what came first
        *(f"first_{name}" for name in TOUCH),
        # what came last
        *(f"last_{name}" for name in TOUCH),
        # for rules
        "_touch_days",
    )


def numbered(purchases: DataFrame, limits: DataFrame) -> DataFrame:
    """Several of one instant are told apart by what was bought."""
    moment = Window.partitionBy("user_id", "event_datetime").orderBy("sku", "product_name", "platform")
    numbers = purchases.withColumn("purchase_number", F.row_number().over(moment))
    return with_limits(numbers.withColumnRenamed("event_datetime", "purchased_at"), limits, "touch_days")


def same_day(purchases: DataFrame, events: DataFrame) -> DataFrame:
    touches = events.where("event_name in ('view', 'click')").select(
        *USER_DAY, *(F.col(name).alias(alias) for name, alias in zip(["event_datetime", *BOUGHT], TOUCH, strict=True))
    )
    return purchases.join(touches, on=USER_DAY, how="inner").where("touch_at <= purchased_at").select(*PURCHASE, *TOUCH)


def days_before(purchases: DataFrame, days: DataFrame) -> DataFrame:
    """Of a day only its first and its last touch can be the first or the last of all."""
    parts = [name.removeprefix("touch_") for name in TOUCH]
    each = [
        F.struct(*(F.col(f"{end}_touch_{part}").alias(f"touch_{part}") for part in parts)) for end in ("first", "last")
    ]
    touched = days.where("first_touch_at is not null").select("user_id", "event_date", F.inline(F.array(*each)))
    both = purchases.join(touched, on="user_id", how="inner")
    first = F.date_sub("purchase_date", F.col("_touch_days").cast("int"))
    is_before = F.col("event_date").between(first, F.date_sub("purchase_date", 1))
    return both.where(is_before).select(*PURCHASE, *TOUCH)


def ends(touches: DataFrame) -> DataFrame:
    """Per purchase the first and the last of them."""
    purchase = Window.partitionBy(*PURCHASE)
    first = F.row_number().over(purchase.orderBy(*TOUCH))
    last = F.row_number().over(purchase.orderBy(*(F.desc(name) for name in TOUCH)))
    marked = touches.withColumns({"_first": first, "_last": last}).where("_first = 1 or _last = 1")
    return marked.groupBy(*PURCHASE).agg(
        *(
            F.max(F.when(F.col(f"_{end}") == 1, F.col(name))).alias(f"{end}_{name}")
            for end in ("first", "last")
            for name in TOUCH
        )
    )
