"""Which delivery of a document is kept, and which is rejected: one `_status` per row.

A document enters whole or not at all; whether it does is asked of all its rows together.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse.contract import EVIDENCE, NOT_REPEATED, WITHIN_LIMIT
from lakehouse.documents.judgement import certain
from lakehouse.documents.judgement.parsing import flat, has_key
from lakehouse.documents.judgement.predecessors import changes, keeping_identity, without_lost_totals
from lakehouse.documents.judgement.rules import RULES_OF, broken, document_rules, is_of_document
from lakehouse.transforms import stripped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pyspark.sql import Column, DataFrame

    from lakehouse.graph import Table

MANY = 100_000  # rows: to judge most of them in another way saves more than to plan that takes
LAST = "last"  # of several rows of one grain the last one counts
RETRACTED = "retracted"  # the status of rows of deliveries that somebody took back


@dataclass(frozen=True)
class KeptOut:
    """Sequences of files of which no row enters: `refused` for their many wrong ones, or `retracted` by somebody."""

    refused: tuple[str, ...] = ()
    retracted: tuple[str, ...] = ()


def judge(
    table: Table,
    parsed: DataFrame,
    newest_of_file: DataFrame,
    replacing: DataFrame | None,
    since: int,
    out: KeptOut | None = None,
) -> DataFrame:
    """One `_status` per row: of its unit the newest right delivery is kept, and the newest, if not right, is rejected.

    `newest_of_file` (_file, _newest): the sequence of each file's newest version, which supersedes the keyless rows of
    its older ones. `replacing`: the places that newer rows correct (replaced_places). `since`: rows of later batches
    are new (`_new`).
    """
    return judge_flat(table, flat(parsed, since), newest_of_file, replacing, out or KeptOut())


def judge_flat(
    table: Table,
    rows: DataFrame,
    newest_of_file: DataFrame,
    replacing: DataFrame | None,
    out: KeptOut,
    once: Callable[[DataFrame], DataFrame] | None = None,
    *,
    are_many: bool = False,
) -> DataFrame:
    """As `judge`; the rows need no columns but those that they are judged by.

    `once` computes rows that are asked several things. With it documents are read a second way, and held against what
    they were, only where rows repeat, and where there is another identity: planning that takes longer than a few rows.
    Where they `are_many`, those that are certain are told apart first.
    """
    if out.refused:
        broken = F.array_append("_broken", WITHIN_LIMIT)
        rows = rows.withColumn(
            "_broken", F.when(F.col("_sequence").isin(*out.refused), broken).otherwise(F.col("_broken"))
        )
    counting = in_force(rows, out.retracted)
    keyless = _judge_keyless(table, counting.where(~has_key(table)), newest_of_file)
    of_units = counting.where(has_key(table))
    if once and are_many:
        settled, of_units = certain.settled(table, of_units, once)
        keyless = keyless.unionByName(once(settled))
    judged = _judge_units(table, of_units, once).unionByName(keyless)
    judged = judged if replacing is None else _without_replaced(judged, replacing)
    if not out.retracted:
        return judged
    taken_back = _alone(table, rows.where(F.col("_sequence").isin(*out.retracted)))
    return judged.unionByName(taken_back.withColumn("_status", F.lit(RETRACTED)))


def in_force(rows: DataFrame, retracted: Collection[str]) -> DataFrame:
    """Without the rows of the deliveries that are taken back: these sequences."""
    return rows.where(~F.col("_sequence").isin(*retracted)) if retracted else rows


def judged_by(table: Table, columns: Iterable[str]) -> list[str]:
    """The columns that decide about a row: sorting by five windows takes as long as the rows are wide."""
    promise = table.contract
    rules = [one.check for name, one in promise.rules.items() if is_of_document(table, name)]
    identity = promise.identity.columns if promise.identity else ()
    window = promise.full_dump.window.column if promise.full_dump and promise.full_dump.window else ""
    texts = [*promise.document.values(), *rules, promise.totals or "", *identity, window]
    named = {*re.findall(r"\w+", " ".join(texts)), *(promise.grain if promise.repeats == LAST else promise.unit)}
    return [name for name in columns if name in named or name.startswith("_")]


def _judge_units(table: Table, rows: DataFrame, once: Callable[[DataFrame], DataFrame] | None) -> DataFrame:
    unit = list(table.contract.unit)
    # One shuffle by unit serves all the windows below.
    rows = _marked(table, rows.repartition(*unit))
    if once is None:
        return _settled(table, rows, any_repeats=True, any_changes=True)
    rows = once(rows)
    any_repeats, any_changes = rows.agg(F.max("_repeat"), F.max("_changes")).collect()[0]
    return _settled(table, rows, any_repeats=any_repeats, any_changes=any_changes)


def _settled(table: Table, rows: DataFrame, *, any_repeats: bool, any_changes: bool) -> DataFrame:
    promise = table.contract
    unit, delivery = [F.col(name) for name in promise.unit], [*promise.unit, "_sequence"]
    of_unit, of_delivery = Window.partitionBy(*unit), Window.partitionBy(*delivery)
    in_place = Window.partitionBy(*delivery, "_repeat").orderBy("_row")
    rows = _without_repeats(table, rows, is_read_twice=any_repeats)
    is_right = F.sum(F.size("_broken")).over(of_delivery) == 0
    if promise.unit_is_one_row:
        alone = F.count_if(~F.col("_repeat")).over(of_delivery) == 1
        rows = rows.withColumn(
            "_broken", F.when(alone, F.col("_broken")).otherwise(F.array_append("_broken", "unit_is_unique"))
        )
    if promise.position:
        rows = rows.withColumn(promise.position, F.row_number().over(in_place))
    rows = without_lost_totals(table, rows.withColumn("_right", is_right))
    rows = keeping_identity(table, rows) if any_changes and promise.identity else rows
    rows = rows.withColumns(
        {
            "_newest_right": F.max(F.when(F.col("_accepted"), F.col("_sequence"))).over(of_unit),
            "_newest": F.max("_sequence").over(of_unit),
        }
    )
    is_kept = F.col("_sequence") == F.col("_newest_right")
    is_rejected = ~F.col("_accepted") & (F.col("_sequence") == F.col("_newest"))
    status = (
        F.when(is_kept & F.col("_repeat"), "duplicate")
        .when(is_kept, "kept")
        .when(is_rejected, "rejected")
        .otherwise("superseded")
    )
    return rows.withColumn("_status", status).drop("_changes", "_newest_right", "_newest")


def _marked(table: Table, rows: DataFrame) -> DataFrame:
    """`_repeat`: whether another row of its delivery says the same; `_changes`: whether its unit's identity does."""
    if table.contract.repeats == LAST:
        return _without_earlier(table, rows).withColumn("_changes", changes(table))
    nth = F.row_number().over(Window.partitionBy(*table.contract.unit, "_sequence", "_hash").orderBy("_row"))
    has_others = document_rules(table) or table.contract.repeats == "duplicate"
    is_repeat = nth > 1 if has_others else F.lit(False)  # noqa: FBT003
    return rows.withColumns({"_repeat": is_repeat, "_changes": changes(table)})


def _without_earlier(table: Table, rows: DataFrame) -> DataFrame:
    """`_repeat`: whether a later row of its delivery has its grain; then no rule is asked of it."""
    grain = table.contract.grain
    nth = F.row_number().over(Window.partitionBy(*grain, "_sequence").orderBy(F.desc("_row")))
    is_named = reduce(operator.and_, (F.col(name).isNotNull() for name in grain))
    rows, nothing = rows.withColumn("_repeat", is_named & (nth > 1)), F.array().cast("array<string>")
    return rows.withColumns({one: F.when(F.col("_repeat"), nothing).otherwise(F.col(one)) for one in RULES_OF.values()})


def _without_repeats(table: Table, rows: DataFrame, *, is_read_twice: bool) -> DataFrame:
    """Asks the document's rules; `_repeat` marks the rows that only say again what another row of the document says.

    It is read without them or with them, as the contract says, unless its rules hold only the other way.
    """
    rules, delivery = document_rules(table), [*table.contract.unit, "_sequence"]
    if not rules:
        return rows
    if table.contract.repeats == LAST:
        rows = _asked(table, rows, rules, "_found", [*delivery, "_repeat"], is_left_out=F.col("_repeat"))
    elif is_read_twice:
        return _read_both_ways(table, rows.withColumnRenamed("_repeat", "_again"), rules, delivery)
    else:
        rows = _asked(table, rows, rules, "_found", delivery)
    found = {column: F.concat(column, f"_found.{column}") for column in RULES_OF.values()}
    return rows.withColumns(found).drop("_found")


def _read_both_ways(
    table: Table, rows: DataFrame, rules: Mapping[str, tuple[Column, str]], delivery: Sequence[str]
) -> DataFrame:
    is_duplicate = table.contract.repeats == "duplicate"
    rows = _asked(table, rows, rules, "_with", delivery)
    rows = _asked(table, rows, rules, "_without", [*delivery, "_again"], is_left_out=F.col("_again"))
    usual, other = ("_without", "_with") if is_duplicate else ("_with", "_without")
    fails = {one: F.max(F.size(f"{one}._broken") > 0).over(Window.partitionBy(*delivery)) for one in (usual, other)}
    rows = rows.withColumns({"_usual_fails": fails[usual], "_other_fails": fails[other]})
    is_other = F.col("_usual_fails") & ~F.col("_other_fails")
    is_doubted = F.col("_again") & F.col("_usual_fails") & F.col("_other_fails") & F.lit(is_duplicate)
    found = {
        column: F.concat(column, F.when(is_other, F.col(f"{other}.{column}")).otherwise(F.col(f"{usual}.{column}")))
        for column in RULES_OF.values()
    }
    found["_broken"] = F.when(is_doubted, F.array_append(found["_broken"], NOT_REPEATED)).otherwise(found["_broken"])
    found["_repeat"] = F.col("_again") & (~is_other if is_duplicate else is_other)
    return rows.withColumns(found).drop("_again", "_with", "_without", "_usual_fails", "_other_fails")


def _asked(
    table: Table,
    rows: DataFrame,
    rules: Mapping[str, tuple[Column, str]],
    reading: str,
    document: Sequence[str],
    is_left_out: Column | None = None,
) -> DataFrame:
    """`reading`: the rules of the document that the row breaks; none of a row whose cells are not sure."""
    of_document = Window.partitionBy(*document)
    columns = {name: F.expr(text).over(of_document) for name, text in table.contract.document.items()}
    says_nothing = F.count("_problem").over(of_document) > 0
    says_nothing = says_nothing if is_left_out is None else says_nothing | is_left_out
    # Not as a `when` around the list: planning that natively takes ten times as long as all the rest.
    asked = {name: (F.col("_says_nothing") | check, severity) for name, (check, severity) in rules.items()}
    found = F.struct(*(broken(asked, severity).alias(column) for severity, column in RULES_OF.items()))
    rows = rows.withColumns(columns | {"_says_nothing": says_nothing}).withColumn(reading, found)
    return rows.drop(*columns, "_says_nothing")


def _judge_keyless(table: Table, rows: DataFrame, newest_of_file: DataFrame) -> DataFrame:
    """A row without a readable unit stands alone, by its place in its file."""
    joined = _alone(table, rows).join(F.broadcast(newest_of_file), on="_file", how="left")
    is_newest = F.col("_sequence") == F.coalesce("_newest", "_sequence")
    return joined.withColumn("_status", F.when(is_newest, "rejected").otherwise("superseded")).drop("_newest")


def _alone(table: Table, rows: DataFrame) -> DataFrame:
    """Rows that belong to no document, with the columns that documents have."""
    rows = rows.withColumns(dict.fromkeys(("_right", "_accepted", "_repeat"), F.lit(False)))  # noqa: FBT003
    return rows.withColumn(table.contract.position, F.lit(None).cast("int")) if table.contract.position else rows


def _without_replaced(judged: DataFrame, replacing: DataFrame) -> DataFrame:
    marked = replacing.withColumn("_replaced", F.lit(True))  # noqa: FBT003
    joined = judged.join(F.broadcast(marked), on=[*EVIDENCE, "_sequence"], how="left")
    is_replaced = (F.col("_status") == "rejected") & F.col("_replaced").isNotNull()
    return joined.withColumn("_status", F.when(is_replaced, "superseded").otherwise(F.col("_status"))).drop("_replaced")


def replaced_places(replacing: DataFrame, versions: DataFrame) -> DataFrame:
    """The places (_file, _row, _sequence) that newer rows say they correct: the row of one version of a file.

    They say `<row>@<content>`; without a content, as people and exports of before write it, the newest version before
    them is meant. `versions` (_file, _sequence, _content): the deliveries that count.
    """
    said = F.split("_replaces_row", "@")
    places = replacing.where("_replaces_file is not null").select(
        F.col("_replaces_file").alias("_file"),
        F.get(said, F.lit(0)).try_cast("bigint").alias("_row"),
        F.nullif(stripped(F.get(said, F.lit(1))), F.lit("")).alias("_named"),
        F.col("_sequence").alias("_by"),
    )
    both = places.join(F.broadcast(versions), on="_file", how="inner").where("_sequence < _by")
    newest = both.where("_named is null").groupBy(*EVIDENCE, "_by").agg(F.max("_sequence").alias("_sequence"))
    place = [*EVIDENCE, "_sequence"]
    return both.where("_named = _content").select(*place).unionByName(newest.select(*place)).distinct()
