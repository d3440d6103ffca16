"""`write: refresh` and `write: replace`: computed from other tables. Only the units that differ are written.

Which units to compute is all of them as yet: the incremental choice is a later issue; what is written is exact already.
Before the write the table is held against its contract: rules, the grain, and the checks of the whole table.
"""

from __future__ import annotations

import json
import operator
from collections import defaultdict
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse import units
from lakehouse.contract import GRAIN_IS_UNIQUE
from lakehouse.lake import conform, with_meanings
from lakehouse.quality import ChecksFailedError, Measure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame, Row

    from lakehouse.contract import Check, Contract
    from lakehouse.graph import Table
    from lakehouse.lake import Writer

TWICE = "each row of the table is one of its grain; twice the same would count twice in all that is made from it"


def rebuild(writer: Writer, inputs: Mapping[str, DataFrame]) -> tuple[dict[str, dict[str, int]], list[Measure]]:
    """Compute the table from its inputs and write what differs from what is stored.

    Returns its `rows` and what was `warned` of (rules and checks, by how many), and all that was measured. Raises
    ChecksFailedError, with nothing written, where something of severity `stop` does not hold.
    """
    table = writer.table
    built = conform(table, table.build(*(inputs[name] for name in table.inputs))).persist()
    try:
        rows, measures = check(table, built, inputs)
        _write(writer, with_meanings(table, built.select(*table.contract.columns)))
    finally:
        built.unpersist()
    warned = {one.name: one.broken for one in measures if one.broken}
    return {"rows": {"kept": rows}, "warned": warned}, measures


def check(table: Table, built: DataFrame, inputs: Mapping[str, DataFrame]) -> tuple[int, list[Measure]]:
    """The number of rows, and what was measured of them.

    `built` should be cached: one pass counts what it alone can tell and fills the cache, and one more job, where there
    are such checks, compares it with the inputs.
    Raises ChecksFailedError where something of severity `stop` does not hold, with all that was measured.
    """
    promise = table.contract
    counted = built.agg(F.count("*").alias("rows"), *_counts(promise)).collect()[0]
    compared = _compare(promise, built, inputs)
    measures = [_rule(table, name, counted) for name in promise.rules]
    measures.append(_unique(table, GRAIN_IS_UNIQUE, "stop", counted))
    measures += [_check(table, name, counted, compared.get(name)) for name in promise.checks]
    _refuse(table, built, measures)
    return counted["rows"], measures


def _counts(promise: Contract) -> list[Column]:
    """All that one pass can count: broken rules, different keys, and rows that have the key at all."""
    counts = [F.count_if(_breaks(rule.check)).alias(f"rule {name}") for name, rule in promise.rules.items()]
    # A struct is never null, so that two rows without a grain are two of the same, which SQL's `distinct` would skip.
    counts += [F.count_distinct(F.struct(*promise.grain)).alias(f"keys {GRAIN_IS_UNIQUE}")]
    counts += [F.count("*").alias(f"keyed {GRAIN_IS_UNIQUE}")]
    for name, one in promise.checks.items():
        if one.unique:
            counts.append(F.count_distinct(*one.unique).alias(f"keys {name}"))
        if one.unique or one.key:
            counts.append(F.count_if(_is_known(one.unique or one.key)).alias(f"keyed {name}"))
    return counts


def _breaks(condition: str) -> Column:
    """Unknown (null) passes, as in SQL constraints."""
    return ~F.coalesce(F.expr(condition), F.lit(True))  # noqa: FBT003


def _is_known(key: Sequence[str]) -> Column:
    """As in SQL constraints, a key with a null in it is neither repeated nor an orphan."""
    return reduce(operator.and_, (F.col(name).isNotNull() for name in key))


def _rule(table: Table, name: str, counted: Row) -> Measure:
    severity, broken = table.contract.rules[name].severity, counted[f"rule {name}"]
    return Measure(table.name, "rule", name, None, severity, counted["rows"], broken)


def _unique(table: Table, name: str, severity: str, counted: Row) -> Measure:
    """Broken are the rows beyond the first of each key."""
    checked = counted[f"keyed {name}"]
    return Measure(table.name, "check", name, None, severity, checked, checked - counted[f"keys {name}"])


def _check(table: Table, name: str, counted: Row, compared: Row | None) -> Measure:
    one = table.contract.checks[name]
    if one.unique:
        return _unique(table, name, one.severity, counted)
    broken, first = (compared["broken"], json.loads(compared["first"] or "{}")) if compared else (0, {})
    if one.references:
        checked, note = counted[f"keyed {name}"], f"{_named(first)} is not in {one.references}" if first else ""
    else:
        checked, note = compared["groups"] if compared else 0, _disagreement(first, one.agrees_with) if first else ""
    return Measure(table.name, "check", name, None, one.severity, checked, broken, note=note)


def _compare(promise: Contract, built: DataFrame, inputs: Mapping[str, DataFrame]) -> dict[str, Row]:
    """What only the inputs can tell, by the check's name: `groups` compared, how many `broken`, the `first` as JSON."""
    answers = [
        _orphans(name, one, built, inputs[one.references]) for name, one in promise.checks.items() if one.references
    ]
    answers += [
        _disagreements(by, alike, built, inputs[other]) for (other, by), alike in _alike(promise.checks).items()
    ]
    if not answers:
        return {}
    return {row["name"]: row for row in reduce(lambda some, more: some.unionByName(more), answers).collect()}


def _orphans(name: str, one: Check, built: DataFrame, others: DataFrame) -> DataFrame:
    """The rows whose key no row of the input has; they are counted, never dropped."""
    orphans = built.where(_is_known(one.key)).join(others.select(*one.key), on=list(one.key), how="left_anti")
    return orphans.agg(
        F.lit(name).alias("name"),
        F.lit(0).cast("bigint").alias("groups"),
        F.count("*").alias("broken"),
        F.to_json(F.min(F.struct(*one.key))).alias("first"),
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
        F.count("*").alias("groups"),
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
    why = promise.rules[one.name].why if one.measure == "rule" else place.why if place else TWICE
    example = one.note or _broken_row(promise, built, one)
    return f"{one.name}: {one.broken:,} of {one.checked:,} {things}, e.g. {example}. Why: {why}."


def _broken_row(promise: Contract, built: DataFrame, one: Measure) -> str:
    """The first by key, so that the same error has the same words; a job that only an error costs."""
    if one.measure == "rule":
        key, rows = promise.grain, built.where(_breaks(promise.rules[one.name].check))
    elif one.name in promise.checks:
        key = promise.checks[one.name].unique
        rows = _repeated(built.where(_is_known(key)), key)
    else:
        key, rows = promise.grain, _repeated(built, promise.grain)
    return _named(rows.select(*key).orderBy(*key).limit(1).collect()[0].asDict())


def _repeated(rows: DataFrame, key: Sequence[str]) -> DataFrame:
    return rows.groupBy(*key).agg(F.count("*").alias("_rows")).where("_rows > 1")


def _write(writer: Writer, built: DataFrame) -> None:
    promise = writer.table.contract
    stored = None if promise.write == "replace" else writer.stored(like=built)
    if stored is None:
        writer.overwrite(built)
        return
    unit = list(promise.unit)
    differing = units.differing(built, stored, unit, list(promise.columns)).persist()
    try:
        kinds = {row["_gone"] for row in differing.select("_gone").distinct().collect()}
        if not kinds:
            writer.note_progress()
            return
        gone = differing.where("_gone").select(*unit) if True in kinds else None
        changed = built.join(differing.where("not _gone").select(*unit), on=unit, how="left_semi")
        writer.replace_units(changed.select(*built.columns), gone)
    finally:
        differing.unpersist()
