"""silver.delivery_items: one row per item of a delivery task.

The task's own amounts stand on its last item only, so the order of the file matters. Unquoted commas in Notes and
Special_Instructions shift rows of market 1; `repair` mends those, by the raw text.
"""

from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import (
    BLANK,
    BLANKS,
    amount_sign,
    exact_decimal,
    facts_of_today,
    money,
    spelled_alike,
    stripped,
    whole_number,
)

# The header of market 1, two nameless columns at its end included; repair reads a raw row by places.
CELLS = (
    "task_id", "order_id", "relationship", "team_name", "task_type", "notes", "agent_id", "agent_name", "distance_m",
    "total_time_taken_min", "task_status", "ref_images", "rating", "review", "latitude", "longitude", "tags",
    "promo_applied", "custom_template_id", "task_details_qty", "task_details_amount", "special_instructions", "tip",
    "delivery_charges", "discount", "subtotal", "payment_type", "task_category", "earning", "pricing",
)  # fmt: skip
WIDTH = len(CELLS) + 2
NUMBERS = ("task_details_qty", "distance_m", "total_time_taken_min", "subtotal")
AMOUNTS = ("task_details_amount", "tip", "delivery_charges", "discount")
NOTES, TEMPLATE, INSTRUCTIONS = (CELLS.index(name) for name in ("notes", "custom_template_id", "special_instructions"))


def build(bronze_deliveries: DataFrame, conf_markets: DataFrame) -> DataFrame:
    facts = facts_of_today(
        conf_markets, F.col("currency_sign").alias("_sign"), F.col("largest_amount").alias("_largest_amount")
    )
    rows = spelled_alike(bronze_deliveries, conf_markets, numbers=NUMBERS, amounts=AMOUNTS)
    return rows.join(facts, on="market", how="left").select(
        # ids
        "market",
        whole_number("task_id").alias("task_id"),
        F.regexp_extract("order_id", r"^YR-([0-9]+),0\z", 1).try_cast("bigint").alias("order_id"),
        whole_number("agent_id").alias("agent_id"),
        # attributes
        "task_type",
        "task_status",
        "agent_name",
        "notes",
        "special_instructions",
        "payment_type",
        "review",
        # amounts
        whole_number("task_details_qty", "int").alias("quantity"),
        money("task_details_amount").alias("amount"),
        whole_number("distance_m").alias("distance_m"),
        exact_decimal("total_time_taken_min", 18, 2).alias("minutes"),
        money("tip", 38, 20).alias("tip"),
        money("delivery_charges").alias("delivery_charges"),
        money("discount").alias("discount"),
        exact_decimal("subtotal", 18, 2).alias("subtotal"),
        whole_number("rating", "int").alias("rating"),
        degrees("latitude").alias("latitude"),
        degrees("longitude").alias("longitude"),
        # for rules and evidence
        "_are_numbers_certain",
        signs_agree().alias("_signs_agree"),
        "_sign",
        "_largest_amount",
        "_source",
    )


def signs_agree() -> Column:
    """Whether every amount that is there carries the market's currency sign."""
    return reduce(and_, (F.col(name).isNull() | amount_sign(name).eqNullSafe(F.col("_sign")) for name in AMOUNTS))


def degrees(text: str) -> Column:
    """Whatever the market's decimal sign is: there are no thousands of degrees."""
    return F.translate(F.col(text), ",", ".").try_cast("double")


def repair(rows: DataFrame) -> DataFrame:
    """`comma_shifted`: a comma in Notes (`DELIVER BY 6,30 PLEASE`), and in Special_Instructions on a task's last row.

    Mended only where Custom_Template_ID shows how far the row is out of step, the width explains the rest, and the
    amounts are where they then should be: a comma in Payment_Type would otherwise move money. Instructions that would
    begin with digits and a comma may be the cents of the amount before them, of a market with decimal commas.
    """
    is_too_long = F.col("_problem").eqNullSafe("row_is_too_long")
    # What few rows need is computed behind a condition, which spares the others.
    cells = rows.withColumn("_cells", F.when(is_too_long, F.split(_quoted_commas_hidden(F.col("_raw")), ",", -1)))
    extra = F.size("_cells") - WIDTH
    in_notes = F.when(_cell(TEMPLATE + 1) == "Order_Details", 1).when(_cell(TEMPLATE) == "Order_Details", 0)
    in_instructions = extra - in_notes
    is_shifted = extra.isin(1, 2) & in_instructions.isin(0, 1)
    no_quote_is_left = ~F.array_join("_cells", ",").contains('"')
    places = {"_in_notes": in_notes, "_in_instructions": in_instructions}
    counted = cells.withColumns({name: F.when(is_too_long, place) for name, place in places.items()})
    may_be_cents = stripped(_mended_cell(INSTRUCTIONS)).rlike(r"^[0-9]+,")
    is_mended = is_shifted & amounts_fit() & no_quote_is_left & ~may_be_cents
    counted = counted.withColumn("_shifted", F.when(is_too_long, is_mended))
    mended = counted.withColumns(
        {
            name: F.when(F.col("_shifted"), _mended_cell(place)).otherwise(F.col(name))
            for place, name in enumerate(CELLS)
        }
    )
    return mended.withColumns(
        {
            "_repaired": F.when(F.col("_shifted"), "comma_shifted").otherwise(F.col("_repaired")),
            "_problem": F.when(~F.coalesce("_shifted", F.lit(False)), F.col("_problem")),  # noqa: FBT003
        }
    ).drop("_cells", "_in_notes", "_in_instructions", "_shifted")


def amounts_fit() -> Column:
    """Whether the mended row has amounts with a currency sign, or none, where its header has amounts."""
    amounts = (stripped(_mended_cell(CELLS.index(name))) for name in AMOUNTS)
    return reduce(and_, (amount.rlike(rf"^(-|[^0-9{BLANK}.,+-]{{1,4}}{BLANKS}[0-9.]+)\z") for amount in amounts))


def _quoted_commas_hidden(text: Column) -> Column:
    """A comma inside quotes is no border; the only such cell is Order_ID (`"YR-1,0"`)."""
    return F.regexp_replace(text, r'"([^",]*),([^",]*)"', "$1\u001f$2")


def _mended_cell(place: int) -> Column:
    start = F.lit(place) + (F.col("_in_notes") if place > NOTES else F.lit(0))
    start = start + (F.col("_in_instructions") if place > INSTRUCTIONS else F.lit(0))
    split_here = (
        F.col("_in_notes") if place == NOTES else F.col("_in_instructions") if place == INSTRUCTIONS else F.lit(0)
    )
    text = F.array_join(F.slice("_cells", start + 1, split_here + 1), ",")
    return F.translate(text, "\u001f", ",")


def _cell(place: int) -> Column:
    return F.get("_cells", F.lit(place))
