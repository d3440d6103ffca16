"""silver.judged_rates: one row per pair of currencies and day with a delivered rate, held against those before it.

A wrong rate would be in every converted amount of its day: a pair the wrong way round makes them 12,000 times as much.
But a right one that looks wrong must not refuse all after it: what conf/accepted.yml names or two more days say holds.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.transforms import accepted_by_hand, place_of

PAIR = ["currency", "reporting_currency"]
RATE = "decimal(18,12)"
BOUNDS = ("largest_factor", "inverse_within", "usual_within")
RULES = ("rate_is_plausible", "rate_is_usual")  # of the contract, which conf/accepted.yml may answer
USUAL_DAYS = 7


def build(silver_exchange_rates: DataFrame, conf_rate_bounds: DataFrame, conf_accepted: DataFrame) -> DataFrame:
    days = compared(silver_exchange_rates, conf_rate_bounds, conf_accepted)
    facts = F.struct("rate_date", "rate", "is_third", "rate_is_plausible", *BOUNDS)
    pairs = days.groupBy(*PAIR).agg(F.sort_array(F.collect_list(facts)).alias("days"))
    states = pairs.select(*PAIR, F.aggregate("days", nothing_yet(), with_day).alias("state"))
    # Joined, not exploded: Sail takes what a group was exploded to for one row of the group where it is grouped again.
    judged = days.join(states, on=PAIR, how="inner")
    in_time = Window.partitionBy(*PAIR).orderBy("rate_date")
    date = F.col("rate_date").cast("string")
    is_third = F.array_contains("state.thirds", date)
    is_confirmed = [F.coalesce(F.lead(is_third, later).over(in_time), F.lit(False)) for later in (1, 2)]  # noqa: FBT003
    is_accepted = ~F.array_contains("state.refused", date) | is_confirmed[0] | is_confirmed[1]
    accepted_rate = F.when(F.col("is_accepted"), F.col("rate"))
    alike = Window.partitionBy(*PAIR, "is_accepted").orderBy("rate_date").rowsBetween(-USUAL_DAYS, -1)
    usual = F.when(F.col("is_accepted"), median(F.collect_list("rate").over(alike)))
    return judged.withColumn("is_accepted", is_accepted).select(
        *PAIR,
        "rate_date",
        "rate",
        "is_accepted",
        F.last(accepted_rate, ignorenulls=True)
        .over(in_time.rowsBetween(Window.unboundedPreceding, -1))
        .alias("last_accepted_rate"),
        usual.alias("usual_rate"),
        # for rules
        F.col("usual_within").alias("_usual_within"),
        F.col("rate_is_usual").alias("_is_usual"),
    )


def compared(rates: DataFrame, bounds: DataFrame, accepted: DataFrame) -> DataFrame:
    """Each day with what it is judged by; `is_third`: whether it and the two days before are alike."""
    keyed = rates.withColumn("key", place_of(*PAIR, "rate_date"))
    for rule in RULES:
        keyed = keyed.join(F.broadcast(accepted_by_hand(accepted, "silver.judged_rates", rule)), on="key", how="left")
    known = keyed.crossJoin(F.broadcast(bounds.select(*(F.col(name).cast("decimal(6,2)") for name in BOUNDS))))
    in_time = Window.partitionBy(*PAIR).orderBy("rate_date")
    known = known.withColumns({f"rate_{days}": F.lag("rate", days).over(in_time) for days in (1, 2)})
    pairs = (("rate", "rate_1"), ("rate", "rate_2"), ("rate_1", "rate_2"))
    first, second, third = (
        is_plausible(F.col(rate), F.col(other), F.col("largest_factor"), F.col("inverse_within"))
        for rate, other in pairs
    )
    return known.withColumn("is_third", F.coalesce(first & second & third, F.lit(False)))  # noqa: FBT003


def nothing_yet() -> Column:
    """`last`: the last accepted rate; `waiting`: how many days were refused since; and these days."""
    none = F.array().cast("array<string>")
    last, waiting = F.lit(None).cast(RATE), F.lit(0)
    return F.struct(last.alias("last"), waiting.alias("waiting"), none.alias("refused"), none.alias("thirds"))


def with_day(state: Column, day: Column) -> Column:
    """What was judged, with the next day; `thirds` are the days that two refused ones before them are accepted with."""
    last, none, date = state["last"], F.array().cast("array<string>"), F.array(day["rate_date"].cast("string"))
    is_alike = F.coalesce(is_plausible(day["rate"], last, day["largest_factor"], day["inverse_within"]), last.isNull())
    is_right = day["rate_is_plausible"].isNotNull() | is_alike
    is_third = day["is_third"] & (state["waiting"] > 1)
    is_accepted = is_right | is_third
    return F.struct(
        F.when(is_accepted, day["rate"]).otherwise(last).alias("last"),
        F.when(is_accepted, F.lit(0)).otherwise(state["waiting"] + 1).alias("waiting"),
        F.concat(state["refused"], F.when(is_accepted, none).otherwise(date)).alias("refused"),
        F.concat(state["thirds"], F.when(is_third, date).otherwise(none)).alias("thirds"),
    )


def is_plausible(rate: Column, last: Column, factor: Column, within: Column) -> Column:
    """Null where there is no `last`."""
    one = F.lit(1).cast("decimal(6,2)")
    is_within = (rate <= last * factor) & (last <= rate * factor)
    is_inverse = (rate * last).between(one - within, one + within) & ~last.between(one - within, one + within)
    return is_within & ~is_inverse


def median(rates: Column) -> Column:
    """Of an even number the lower one of both; null where there is none."""
    return F.get(F.sort_array(rates), F.call_function("div", F.size(rates) - 1, F.lit(2)).cast("int"))
