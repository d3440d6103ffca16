"""A computed table held against its contract before it is written: rules, the grain, and the checks of the table.

Of a table that is refreshed only the touched units are computed, and only they are compared, with their own inputs.
"""

from __future__ import annotations

import json
import operator
from collections import defaultdict
from functools import reduce
from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as F

from lakehouse.contract import GRAIN_IS_UNIQUE
from lakehouse.quality import ChecksFailedError, Measure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame, Row

    from lakehouse.contract import Check, Contract
    from lakehouse.graph import Table

UNIT_IS_KNOWN = "unit_is_known"
ROWS = "rows of the table"
OF_THE_CORE = {
    GRAIN_IS_UNIQUE: (
        "each row of the table is one of its grain; twice the same would count twice in all that is made from it"
    ),
    UNIT_IS_KNOWN: "rows are replaced by their unit, so a row without one could never be replaced",
}


def check(
    table: Table,
    built: DataFrame,
    inputs: Mapping[str, DataFrame],
    others: DataFrame | None = None,
    beside: Sequence[DataFrame] = (),
) -> tuple[list[Measure], dict[str, int]]:
    """What was measured of the rows, and by their names the counts of `beside`, all in one job.

    `built` should be cached: the job fills the cache. `inputs`: the rows that it was built from. `others`: the table's
    rows beside these, of units that were not touched. `beside`: more that is to be counted (`name`, `checked`).
    Raises ChecksFailedError where something of severity `stop` does not hold, with all that was measured.
    """
    answers = [_counted(table.contract, built), *_compared(table, built, inputs, others), *beside]
    found = {row["name"]: row for row in reduce(_union, answers).collect()}
    promise = table.contract
    measures = [_measure(table, name, found) for name in (*promise.rules, *_of_the_core(promise), *promise.checks)]
    _refuse(table, built, measures)
    return measures, {name: row["checked"] for name, row in found.items()}


def _of_the_core(promise: Contract) -> dict[str, Column]:
    """What must hold for every table, as the number of rows that break it."""
    # A struct is never null, so that two rows without a grain are two of the same, which SQL's `distinct` would skip.
    broken = {GRAIN_IS_UNIQUE: F.count("*") - F.count_distinct(F.struct(*promise.grain))}
    return broken | ({UNIT_IS_KNOWN: F.count_if(~_is_known(promise.unit))} if promise.unit else {})


def _union(some: DataFrame, more: DataFrame) -> DataFrame:
    return some.unionByName(more, allowMissingColumns=True)


def _counted(promise: Contract, built: DataFrame) -> DataFrame:
    """All that one pass over the rows can tell: how many there are, and how many break a rule or the grain."""
    broken = {name: F.count_if(_breaks(rule.check)) for name, rule in promise.rules.items()}
    broken |= _of_the_core(promise)
    checked = {ROWS: F.count("*")}
    checked |= {name: F.count_if(_is_known(one.key)) for name, one in promise.checks.items() if one.key}
    counted = [_count(name, F.count("*"), value) for name, value in broken.items()]
    counted += [_count(_checked(name), value) for name, value in checked.items()]
    return built.agg(F.array(*counted).alias("counted")).select(F.inline("counted"))


def _checked(name: str) -> str:
    return name if name == ROWS else f"checked {name}"


def _count(name: str, checked: Column, broken: Column | int = 0) -> Column:
    value = F.lit(broken) if isinstance(broken, int) else broken
    columns = {"name": F.lit(name), "checked": checked.cast("bigint"), "broken": value.cast("bigint")}
    return F.struct(
        *(column.alias(alias) for alias, column in columns.items()), F.lit(None).cast("string").alias("first")
    )


def _breaks(condition: str) -> Column:
    """Unknown (null) passes, as in SQL constraints."""
    return ~F.coalesce(F.expr(condition), F.lit(True))  # noqa: FBT003


def _is_known(key: Sequence[str]) -> Column:
    """As in SQL constraints, a key with a null in it is neither repeated nor an orphan."""
    return reduce(operator.and_, (F.col(name).isNotNull() for name in key))


def _measure(table: Table, name: str, found: Mapping[str, Row]) -> Measure:
    promise = table.contract
    if name not in promise.checks:
        severity = promise.rules[name].severity if name in promise.rules else "stop"
        kind: Literal["rule", "check"] = "rule" if name in promise.rules else "check"
        return Measure(table.name, kind, name, None, severity, found[name]["checked"], found[name]["broken"])
    one, answer = promise.checks[name], found.get(name)
    first = json.loads(answer["first"] or "{}") if answer else {}
    checked, broken = (answer["checked"], answer["broken"]) if answer else (0, 0)
    if one.references:
        note = f"{_named(first)} is not in {one.references}" if first else ""
        checked = found[_checked(name)]["checked"]
    else:
        note = _disagreement(first, one.agrees_with) if first else ""
    return Measure(table.name, "check", name, None, one.severity, checked, broken, note=note)


def _compared(
    table: Table, built: DataFrame, inputs: Mapping[str, DataFrame], others: DataFrame | None
) -> list[DataFrame]:
    """What takes more than one look: repeats, orphans and sums; `checked`, `broken`, and the `first` as JSON."""
    checks = table.contract.checks
    answers = [_repeats(table, name, one, built, others) for name, one in checks.items() if one.unique]
    answers += [_orphans(name, one, built, inputs[one.references]) for name, one in checks.items() if one.references]
    answers += [_disagreements(by, alike, built, inputs[other]) for (other, by), alike in _alike(checks).items()]
    return answers


def _repeats(table: Table, name: str, one: Check, built: DataFrame, others: DataFrame | None) -> DataFrame:
    """The rows beyond the first of each key; a key that has the unit in it cannot stand in another unit."""
    keys = built.select(*one.unique)
    if others is not None and not set(table.contract.unit) <= set(one.unique):
        keys = keys.unionByName(others.select(*one.unique))
    counted = F.array(_count(name, F.count("*"), F.count("*") - F.count_distinct(*one.unique)))
    return keys.where(_is_known(one.unique)).agg(counted.alias("counted")).select(F.inline("counted"))


def _orphans(name: str, one: Check, built: DataFrame, others: DataFrame) -> DataFrame:
    """The rows whose key no row of the input has; they are counted, never dropped."""
    orphans = built.where(_is_known(one.key)).join(others.select(*one.key), on=list(one.key), how="left_anti")
    return orphans.agg(
        F.lit(name).alias("name"), F.count("*").alias("broken"), F.to_json(F.min(F.struct(*one.key))).alias("first")
    )


def _alike(checks: Mapping[str, Check]) -> dict[tuple[str, tuple[str, ...]], dict[str, Check]]:
    """Checks that compare with the same input in the same groups: one pass over each side answers them all."""
    alike: dict[tuple[str, tuple[str, ...]], dict[str, Check]] = defaultdict(dict)
    for name, one in checks.items():
        if one.agrees_with:
            alike[one.agrees_with, one.by][name] = one
    return alike


def _disagreements(by: Sequence[str], checks: Mapping[str, Check], built: DataFrame, others: DataFrame) -> DataFrame:
    """The groups in which the sums differ; of a group that one side lacks, its sums are null there."""
    here = {f"here {name}": one.this or "" for name, one in checks.items()}
    there = {f"there {name}": one.that or "" for name, one in checks.items()}
    # A union and one more grouping: unlike a join it keeps groups that one side lacks, or whose name is null.
    both = _sums(built, by, here).unionByName(_sums(others, by, there), allowMissingColumns=True)
    groups = both.groupBy(*by).agg(*(F.max(f"`{name}`").alias(name) for name in (*here, *there)))
    each = groups.select(F.inline(F.array(*(_pair(by, name) for name in checks))))
    return each.groupBy("name").agg(
        F.count("*").alias("checked"),
        F.count_if("differs").alias("broken"),
        F.to_json(F.min(F.when(F.col("differs"), F.col("example"))), {"ignoreNullFields": "false"}).alias("first"),
    )


def _sums(rows: DataFrame, by: Sequence[str], sums: Mapping[str, str]) -> DataFrame:
    return rows.groupBy(*by).agg(*(F.expr(text).alias(name) for name, text in sums.items()))


def _pair(by: Sequence[str], name: str) -> Column:
    here, there = F.col(f"`here {name}`"), F.col(f"`there {name}`")
    values = [value.cast("string").alias(side) for value, side in ((here, "here"), (there, "there"))]
    differs = ~here.eqNullSafe(there)
    return F.struct(F.lit(name).alias("name"), differs.alias("differs"), F.struct(*by, *values).alias("example"))


def _disagreement(first: Mapping[str, object], other: str | None) -> str:
    """`first` has the group's columns, then both values."""
    *_, here, there = first.values()
    group = _named({name: value for name, value in first.items() if name not in {"here", "there"}})
    return f"{group + ': ' if group else ''}{_value(here)} here, {_value(there)} in {other}"


def _value(value: object) -> object:
    return "nothing" if value is None else value


def _named(key: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in key.items())


def _refuse(table: Table, built: DataFrame, measures: Sequence[Measure]) -> None:
    """Nothing is written of a table that breaks what must hold; all that is broken is one error."""
    broken = [one for one in measures if one.severity == "stop" and one.broken]
    if not broken:
        return
    path = table.name.replace(".", "/")
    sentences = [_sentence(table, built, one) for one in broken]
    raise ChecksFailedError(
        f"{table.name} was not written, because this must hold and does not:\n"
        + "\n".join(f"  {sentence}" for sentence in sentences)
        + f"\nIt stays as it was. Correct {path}.py or what it reads, or change the severity in conf/{path}.yml.",
        measures,
    )


def _sentence(table: Table, built: DataFrame, one: Measure) -> str:
    promise = table.contract
    place = promise.checks.get(one.name)
    things = "groups" if place and place.agrees_with else "rows"
    why = promise.rules[one.name].why if one.measure == "rule" else place.why if place else OF_THE_CORE[one.name]
    example = one.note or _broken_row(promise, built, one)
    return f"{one.name}: {one.broken:,} of {one.checked:,} {things}, e.g. {example}. Why: {why}."


def _broken_row(promise: Contract, built: DataFrame, one: Measure) -> str:
    """The first by key, so that the same error has the same words; a job that only an error costs."""
    if one.measure == "rule":
        key, rows = promise.grain, built.where(_breaks(promise.rules[one.name].check))
    elif one.name in promise.checks:
        key = promise.checks[one.name].unique
        rows = _repeated(built.where(_is_known(key)), key)
    elif one.name == UNIT_IS_KNOWN:
        key, rows = promise.grain, built.where(~_is_known(promise.unit))
    else:
        key, rows = promise.grain, _repeated(built, promise.grain)
    return _named(rows.select(*key).orderBy(*key).limit(1).collect()[0].asDict())


def _repeated(rows: DataFrame, key: Sequence[str]) -> DataFrame:
    return rows.groupBy(*key).agg(F.count("*").alias("_rows")).where("_rows > 1")
