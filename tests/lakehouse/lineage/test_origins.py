"""From what build() returns to the columns that each of its columns is made from; what is not understood is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse.engines.native import engine as native
from lakehouse.lineage import origins
from lakehouse.lineage.origins import UnknownPlanError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

    from lakehouse.engines.native.engine import Native
    from lakehouse.lineage.origins import Origins

    Build = Callable[[DataFrame, DataFrame], DataFrame]

pytestmark = pytest.mark.slow
LINES, ORDERS = "market int, order_id int, price int, note string", "order_id int, city string, day date"


@pytest.fixture
def made(engine: Native) -> Callable[[Build], dict[str, str]]:
    """By column, and of `rows`, its origins as a text: `lines.price SUM`."""

    def of(build: Build) -> dict[str, str]:
        import pyarrow as pa  # noqa: PLC0415

        frames = {
            name: engine.frame(pa.table({one.split()[0]: pa.nulls(0, pa.int32()) for one in schema.split(", ")}))
            for name, schema in (("lines", LINES), ("orders", ORDERS))
        }
        paths = {native.plan(rows).read.data_source.paths[0]: (name, rows.columns) for name, rows in frames.items()}
        frame = origins.of_plan(native.plan(build(*frames.values())), paths)
        return {one.name: said(one.value.origins) for one in frame.columns} | {"rows": said(frame.rows)}

    return of


def said(of: Origins) -> str:
    return ", ".join(f"{'.'.join(one)} {' '.join(sorted(ways))}" for one, ways in sorted(of.items()))


def test_values_come_from_arguments_and_conditions_choose(made: Callable[[Build], dict[str, str]]) -> None:
    per_order = Window.partitionBy("order_id").orderBy(F.desc("price"))
    found = made(
        lambda lines, _: lines.select(
            "market",
            F.col("price").cast("string"),
            (F.col("price") * F.col("market")).alias("product"),
            F.when(F.col("note") == "x", F.col("price")).otherwise(F.col("market")).alias("chosen"),
            F.expr("case when note = 'x' then price else 0 end").alias("in_sql"),
            F.when(F.col("price") > 9, F.raise_error(F.col("note"))).otherwise(F.col("price")).alias("guarded"),
            F.row_number().over(per_order).alias("place"),
            F.max_by("note", "price").over(Window.partitionBy("market")).alias("dearest"),
        )
    )
    assert found == {
        "market": "lines.market IDENTITY",
        "price": "lines.price TRANSFORMATION",
        "product": "lines.market TRANSFORMATION, lines.price TRANSFORMATION",
        "chosen": "lines.market TRANSFORMATION, lines.note CONDITIONAL, lines.price TRANSFORMATION",
        "in_sql": "lines.note CONDITIONAL, lines.price TRANSFORMATION",
        "guarded": "lines.price CONDITIONAL TRANSFORMATION",
        "place": "lines.order_id WINDOW, lines.price WINDOW",
        "dearest": "lines.market WINDOW, lines.note AGGREGATION, lines.price CONDITIONAL",
        "rows": "",
    }


def test_filters_joins_and_groups_decide_which_rows_there_are(made: Callable[[Build], dict[str, str]]) -> None:
    def totals(lines: DataFrame, orders: DataFrame) -> DataFrame:
        both = lines.where("note is not null").join(orders, on="order_id", how="full").drop("day")
        return both.groupBy("city", F.upper("note").alias("note")).agg(
            F.sum("price").alias("price"), F.count("*").alias("n")
        )

    assert made(totals) == {
        "city": "orders.city IDENTITY",
        "note": "lines.note TRANSFORMATION",
        "price": "lines.price AGGREGATION",
        "n": "",
        "rows": "lines.note FILTER GROUP_BY, lines.order_id JOIN, orders.city GROUP_BY, orders.order_id JOIN",
    }


def test_fields_of_structs_are_told_apart(made: Callable[[Build], dict[str, str]]) -> None:
    def exploded(lines: DataFrame, _: DataFrame) -> DataFrame:
        kinds = F.array(
            F.struct(F.lit("m").alias("kind"), F.col("market").alias("value")),
            F.struct(F.lit("p").alias("kind"), F.col("price").alias("value")),
        )
        some = lines.withColumn("best", F.max(F.struct("price", "note")).over(Window.partitionBy("order_id")))
        return some.select(F.inline(F.filter(kinds, lambda one: one["value"] > 1)), F.col("best.note").alias("note"))

    assert made(exploded) == {
        "kind": "lines.market CONDITIONAL, lines.price CONDITIONAL",
        "value": "lines.market CONDITIONAL TRANSFORMATION, lines.price CONDITIONAL TRANSFORMATION",
        "note": "lines.note AGGREGATION CONDITIONAL, lines.order_id WINDOW, lines.price CONDITIONAL",
        "rows": "lines.market FILTER, lines.price FILTER",
    }


def test_of_a_union_and_an_alias_each_side_counts(made: Callable[[Build], dict[str, str]]) -> None:
    def both(lines: DataFrame, orders: DataFrame) -> DataFrame:
        named = lines.alias("a").join(orders.alias("b"), on=F.col("a.order_id") == F.col("b.order_id"), how="left_anti")
        some = named.select("order_id", F.col("note").alias("word"))
        return some.union(orders.select("order_id", "city")).distinct()

    assert made(both) == {
        "order_id": "lines.order_id IDENTITY, orders.order_id IDENTITY",
        "word": "lines.note IDENTITY, orders.city IDENTITY",
        "rows": (
            "lines.note GROUP_BY, lines.order_id GROUP_BY JOIN, orders.city GROUP_BY, orders.order_id GROUP_BY JOIN"
        ),
    }


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda lines, _: lines.sample(0.5), "sample of frames is not known"),
        (
            lambda lines, _: lines.cube("market").agg(F.count("*")),
            "groups of a pivot, a cube or a rollup are not known",
        ),
        (
            lambda lines, _: lines.groupBy("market").pivot("note", ["x"]).count(),
            "groups of a pivot, a cube or a rollup are not known",
        ),
        (lambda lines, _: lines.select("nowhere"), "no column is named nowhere"),
        (
            lambda lines, _: lines.select(F.zip_with("note", "note", lambda one, _: one)),
            "zip_with with a lambda is not known",
        ),
        (lambda lines, _: lines.select(F.expr("sum(price) over (partition by note)")), "in SQL is not known"),
        (lambda lines, orders: lines.crossJoin(orders).select("order_id"), "several columns are named order_id"),
        (lambda lines, _: lines.select(F.struct("price").alias("s")).select("s.nowhere"), "no field is named nowhere"),
        (lambda lines, _: lines.sparkSession.read.parquet("/nowhere"), "it reads what is no input"),
        (lambda lines, _: lines.select(F.inline("note")), "inline of what is not known field by field"),
        (lambda lines, orders: lines.unionByName(orders), "a union of other columns is not known"),
        (lambda lines, _: lines.select(F.col("note").withField("a", F.lit(1))), "in an expression is not known"),
    ],
)
def test_what_is_not_understood_is_refused(made: Callable[[Build], dict[str, str]], build: Build, words: str) -> None:
    with pytest.raises(UnknownPlanError, match=words):
        made(build)
