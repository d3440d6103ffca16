"""Delivered rows judged one by one: what build() makes of each, and what becomes of it, but for repeats."""

from __future__ import annotations

import operator
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from lakehouse.contract import EVIDENCE
from lakehouse.documents.judgement.parsing import read_texts, typed
from lakehouse.documents.judgement.rules import RULES_OF, broken, rules_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from pyspark.sql import Column, DataFrame

    from lakehouse.contract import Contract, Deduplicate
    from lakehouse.graph import Table

KEPT, REJECTED, EMPTY, DUPLICATE, RETRACTED = STATUSES = ("kept", "rejected", "empty", "duplicate", "retracted")
SENT = "_value"  # in bronze: the message itself
ID = "_id"  # the hash of a row's id
KEY = (ID, "_check")  # with a second hash of it: narrow, and the same for different ids once in 10^38 pairs
OF_A_ROW = (*EVIDENCE, "_batch", "_sequence", "_ingested_at", "_problem", SENT)
SPAN = re.compile(r"(.+):(\d+)-(\d+)")  # messages that somebody took back or accepted, as a note says them


def judged(
    table: Table,
    bronze: Contract,
    rows: DataFrame,
    columns: Mapping[str, str],
    conf: Mapping[str, DataFrame],
    retracted: Iterable[str],
    accepted: Iterable[str] = (),
) -> DataFrame:
    """Bronze rows -> the columns that the table stores, `_status`, what a rule says, and where the row came from.

    `columns` are those of the rows, with their types; `retracted` the messages that are taken back, `accepted` those
    that may break a rule, with that. The `_status` of a repeat is kept, until it is known to be one. `_value`, what was
    sent, goes along with rejected rows alone.
    """
    built = typed(table, bronze, rows, columns, conf, partial(_source, table))
    of = {name: F.col(f"_source.{name}") for name in OF_A_ROW}
    rules = {
        name: (_or_accepted(check, name, accepted), severity) for name, (check, severity) in rules_of(table).items()
    }
    # Of a row that is no event at all no other rule says anything.
    why = F.when(of["_problem"].isNotNull(), F.array(of["_problem"])).otherwise(broken(rules, "reject"))
    told = built.select(
        *table.contract.columns,
        *(column.alias(name) for name, column in of.items()),
        why.alias("_broken"),
        broken(rules, "warn").alias("_warned"),
        broken(rules, "stop").alias("_stopped"),
    )
    status = F.when(are_among(retracted), RETRACTED).when(F.col(SENT).isNull(), EMPTY)
    status = status.when(F.size("_broken") > 0, REJECTED).otherwise(KEPT)
    said = said_of(table)
    is_wrong = F.col("_status") == REJECTED
    # By the names that are known, since asking for them costs a call that parses each rule.
    names = [*table.contract.columns, *of, *RULES_OF.values(), "_status"]
    return told.withColumn("_status", status).select(
        *(name for name in names if name not in {SENT, "_sequence"}),
        *(F.when(is_wrong, F.col(name)).alias(name) for name in (SENT, "_sequence")),
        id_of(said).alias(ID),
    )


def id_of(said: Deduplicate) -> Column:
    """The hash of a row's id; null where it has none."""
    return F.when(F.col(said.id).isNotNull(), F.xxhash64(said.id))


def seen(said: Deduplicate) -> list[Column]:
    """What is known of a row, to find who says it again: the key of its id, null where it has none, and its day."""
    name, named = F.col(said.id), F.col(said.id).isNotNull()
    other = F.when(named, F.xxhash64(F.lit("another seed"), name))
    return [id_of(said).alias(ID), other.alias(KEY[1]), F.unix_date(said.day).alias("_day")]


def said_of(table: Table) -> Deduplicate:
    """Raises ValueError for a table that is written otherwise."""
    if table.contract.deduplicate is None:
        raise ValueError(table.name)
    return table.contract.deduplicate


def _or_accepted(check: Column, rule: str, accepted: Iterable[str]) -> Column:
    spans = [span for one in accepted for name, _, span in [one.partition(" ")] if name == rule]
    return check | are_among(spans, "_source.") if spans else check


def are_among(spans: Iterable[str], within: str = "") -> Column:
    """Whether a row is one of these messages: `kafka/events/0:17-25`. `within`: what has its place, and a point."""
    found = [SPAN.fullmatch(one) for one in spans]
    file, row = F.col(f"{within}_file"), F.col(f"{within}_row")
    places = [(file == one[1]) & row.between(int(one[2]), int(one[3])) for one in found if one is not None]
    return reduce(operator.or_, places, F.lit(False))  # noqa: FBT003


def _source(table: Table, there: Container[str], _: Sequence[str]) -> Column:
    """Where a row stands, and the texts that its readable-rules need; it travels through build as one column."""
    return F.struct(*OF_A_ROW, read_texts(table, there))


def rejected_rows(judged: DataFrame) -> DataFrame:
    """The rows to quarantine, with what was sent: bronze lets it go."""
    wrong = judged.where(F.col("_status") == REJECTED)
    return wrong.select(
        SENT, F.col("_broken").alias("rules"), *EVIDENCE, "_sequence", F.col("_ingested_at").alias("since")
    )


def counted(table: Table, judged: DataFrame) -> DataFrame:
    """By file, batch, status and day (of kept rows) how many rows there are, and how many break each rule."""
    day = F.when(F.col("_status") == KEPT, F.col(said_of(table).day))
    severities = {name: severity for name, (_, severity) in rules_of(table).items()}
    told = [F.count_if(F.array_contains(RULES_OF[severity], name)).alias(name) for name, severity in severities.items()]
    grouped = judged.groupBy("_file", "_batch", "_status", "_problem", day.alias("_day"))
    return grouped.agg(F.count("*").alias("_count"), *told)


@dataclass
class Account:
    """Where the rows went: `rows` by status, and rows by the rule that rejected, warned or stops. `by_file`: by status.

    `waiting`: rounds of bronze that wait for the next commit, since their rows would go into too many days.
    """

    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {kind: Counter() for kind in ("rows", "rejected", "warned", "stopped")}
    )
    by_file: dict[str, Counter[str]] = field(default_factory=dict)
    waiting: int = 0

    @classmethod
    def of(cls, table: Table, groups: Iterable[Mapping[str, Any]]) -> Account:
        """From the rows of `counted`."""
        made = cls()
        severities = {name: severity for name, (_, severity) in rules_of(table).items()}
        of_status = {"reject": (REJECTED, "rejected"), "warn": (KEPT, "warned"), "stop": (KEPT, "stopped")}
        for row in groups:
            status, count = row["_status"], row["_count"]
            made.add(row["_file"], status, count)
            if status == REJECTED and row["_problem"]:
                made.counts["rejected"][row["_problem"]] += count
            for name, severity in severities.items():
                if of_status[severity][0] == status and row[name]:
                    made.counts[of_status[severity][1]][name] += row[name]
        return made

    def add(self, file: str, status: str, count: int) -> None:
        for counts in (self.counts["rows"], self.by_file.setdefault(file, Counter())):
            counts[status] += count

    def repeated(self, by_file: Mapping[str, int]) -> None:
        """So many of the kept rows are repeats."""
        for file, count in by_file.items():
            self.add(file, KEPT, -count)
            self.add(file, DUPLICATE, count)
