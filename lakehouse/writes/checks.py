"""A computed table held against its contract before it is written: rules, the grain, and the checks of the table.

Of a table that is refreshed only the touched units are computed, and only they are compared, with their own inputs.
"""

from __future__ import annotations

import operator
import re
from collections import defaultdict
from functools import reduce
from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as F

from lakehouse.contract import GRAIN_IS_UNIQUE
from lakehouse.writes.measures import ChecksFailedError, Measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyspark.sql import Column, DataFrame, Row

    from lakehouse.contract import Check, Contract, Rule
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

DECIMALS = re.compile(r",(\d+)\)")
SUMMED = re.compile(r"\bsum\(\s*(\w+)\s*\)", re.IGNORECASE)
NUMBERS = ("int", "bigint", "decimal")
UNIT_IS_KNOWN = "unit_is_known"
ROWS = "rows of the table"
NAMED = 3
OF_THE_CORE = {
    GRAIN_IS_UNIQUE: (
        "each row of the table is one of its grain; twice the same would count twice in all that is made from it"
    ),
    UNIT_IS_KNOWN: "rows are replaced by their unit, so a row without one could never be replaced",
}


def check(
    engine: Engine,
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
    answers = [_counted(table.contract, built), _repeats(GRAIN_IS_UNIQUE, built, table.contract.grain)]
    answers += _compared(table, built, inputs, others)
    nothing = {"broken": F.lit(0).cast("bigint"), "first": F.lit(None).cast("array<string>")}
    answers += [
        one.select("name", "checked", *(value.alias(name) for name, value in nothing.items())) for one in beside
    ]
    found = {row["name"]: row for row in engine.arrow(reduce(lambda some, more: some.union(more), answers)).to_pylist()}
    promise = table.contract
    names = (*promise.rules, GRAIN_IS_UNIQUE, *_of_the_core(promise), *promise.checks)
    measures = [_measure(table, name, found) for name in names]
    _refuse(table, built, measures)
    return measures, {name: row["checked"] for name, row in found.items()}


def _of_the_core(promise: Contract) -> dict[str, Column]:
    """What must hold for every row of a table, as the number of rows that break it."""
    return {UNIT_IS_KNOWN: F.count_if(~_is_known(promise.unit))} if promise.unit else {}


def _counted(promise: Contract, built: DataFrame) -> DataFrame:
    """All that one pass over the rows can tell: how many there are, and how many break a rule or the grain."""
    counted = [
        _count(name, F.count("*"), F.count_if(_breaks(rule.check)), _said(rule)) for name, rule in promise.rules.items()
    ]
    counted += [_count(name, F.count("*"), value) for name, value in _of_the_core(promise).items()]
    checked = {ROWS: F.count("*")}
    checked |= {name: F.count_if(_is_known(one.key)) for name, one in promise.checks.items() if one.key}
    counted += [_count(_checked(name), value) for name, value in checked.items()]
    return built.agg(F.array(*counted).alias("counted")).select(F.inline("counted"))


def _checked(name: str) -> str:
    return name if name == ROWS else f"checked {name}"


def _said(rule: Rule) -> Column | None:
    """The last of the texts that name the rows which break the rule."""
    if not rule.says:
        return None
    texts = F.collect_list(F.when(_breaks(rule.check), F.expr(rule.says)))
    return F.slice(F.sort_array(texts, asc=False), 1, NAMED)


def _count(name: str, checked: Column, broken: Column | int = 0, first: Column | None = None) -> Column:
    value = F.lit(broken) if isinstance(broken, int) else broken
    columns = {"name": F.lit(name), "checked": checked.cast("bigint"), "broken": value.cast("bigint")}
    named = F.lit(None) if first is None else first
    return F.struct(
        *(column.alias(alias) for alias, column in columns.items()), named.cast("array<string>").alias("first")
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
        checked, broken, said = (found[name][value] for value in ("checked", "broken", "first"))
        return Measure(table.name, kind, name, None, severity, checked, broken, note="; ".join(said or ()))
    one, answer = promise.checks[name], found.get(name)
    first = answer["first"] or () if answer else ()
    checked, broken = (answer["checked"], answer["broken"]) if answer else (0, 0)
    if one.references:
        note = f"{_named(one.key, first)} is not in {one.references}" if first else ""
        checked = found[_checked(name)]["checked"]
    else:
        note = _disagreement(one, first) if first else ""
    return Measure(table.name, "check", name, None, one.severity, checked, broken, note=note)


def _compared(
    table: Table, built: DataFrame, inputs: Mapping[str, DataFrame], others: DataFrame | None
) -> list[DataFrame]:
    """What takes more than one look: repeats, orphans and sums; `checked`, `broken`, and the `first` as JSON."""
    checks = table.contract.checks
    answers = [
        _repeats(name, _keys(table, one, built, others), one.unique) for name, one in checks.items() if one.unique
    ]
    answers += [_orphans(name, one, built, inputs[one.references]) for name, one in checks.items() if one.references]
    answers += [_disagreements(by, alike, built, inputs[other]) for (other, by), alike in _alike(checks).items()]
    return answers


def _keys(table: Table, one: Check, built: DataFrame, others: DataFrame | None) -> DataFrame:
    """The keys that are known; one that has the unit in it cannot stand in another unit."""
    keys = built.select(*one.unique)
    if others is not None and not set(table.contract.unit) <= set(one.unique):
        keys = keys.unionByName(others.select(*one.unique))
    return keys.where(_is_known(one.unique))


def _repeats(name: str, rows: DataFrame, key: Sequence[str]) -> DataFrame:
    """The rows beyond the first of each key; by groups, since a distinct count of several columns takes a minute."""
    groups = rows.groupBy(*key).agg(F.count("*").cast("decimal(20,0)").alias("_rows"))
    checked = F.coalesce(F.sum("_rows"), F.lit(0).cast("decimal(20,0)"))
    return groups.agg(
        F.lit(name).alias("name"),
        checked.cast("bigint").alias("checked"),
        (checked.cast("bigint") - F.count("*")).alias("broken"),
        F.lit(None).cast("array<string>").alias("first"),
    )


def _orphans(name: str, one: Check, built: DataFrame, others: DataFrame) -> DataFrame:
    """The rows whose key no row of the input has; they are counted, never dropped."""
    orphans = built.where(_is_known(one.key)).join(others.select(*one.key), on=list(one.key), how="left_anti")
    first = _texts(F.min(F.struct(*one.key)), one.key)
    checked = F.lit(0).cast("bigint").alias("checked")
    return orphans.agg(F.lit(name).alias("name"), checked, F.count("*").alias("broken"), first.alias("first"))


def _texts(values: Column, names: Sequence[str]) -> Column:
    """The fields of a struct as an array of texts; null where there is no struct."""
    return F.when(values.isNotNull(), F.array(*(values[name].cast("string") for name in names)))


def _alike(checks: Mapping[str, Check]) -> dict[tuple[str, tuple[str, ...]], dict[str, Check]]:
    """Checks that compare with the same input in the same groups: one pass over each side answers them all."""
    alike: dict[tuple[str, tuple[str, ...]], dict[str, Check]] = defaultdict(dict)
    for name, one in checks.items():
        if one.agrees_with:
            alike[one.agrees_with, one.by][name] = one
    return alike


def _disagreements(by: Sequence[str], checks: Mapping[str, Check], built: DataFrame, others: DataFrame) -> DataFrame:
    """The groups in which the sums differ; of a group that one side lacks, its sums are null there."""
    here = _sums(built, by, {f"here {name}": one.this or "" for name, one in checks.items()}, "here")
    there = _sums(others, by, {f"there {name}": one.that or "" for name, one in checks.items()}, "there")
    same = [F.col(f"here_{name}").eqNullSafe(F.col(f"there_{name}")) for name in by]
    groups = here.join(there, on=reduce(operator.and_, same, F.lit(True)), how="full")  # noqa: FBT003
    groups = _of_one_type(groups, checks)
    named = groups.withColumns({name: F.coalesce(f"here_{name}", f"there_{name}") for name in by}) if by else groups
    each = named.select(F.inline(F.array(*(_pair(by, name) for name in checks))))
    example = F.min(F.when(F.col("differs"), F.col("example")))
    return each.groupBy("name").agg(
        F.count("*").alias("checked"),
        F.count_if("differs").alias("broken"),
        _texts(example, [*by, "here", "there"]).alias("first"),
    )


def _of_one_type(groups: DataFrame, checks: Iterable[str]) -> DataFrame:
    """Decimals are compared in their widest type: Sail's sums beside a distinct count are wider than it says."""
    kinds = dict(groups.dtypes)
    wide: dict[str, Column] = {}
    for name in checks:
        both = [f"here {name}", f"there {name}"]
        scales = [int(found[1]) for one in both if (found := DECIMALS.search(kinds[one]))]
        if scales and all(kinds[one].startswith(NUMBERS) for one in both):
            wide |= {one: F.col(f"`{one}`").cast(f"decimal(38,{max(scales)})") for one in both}
    return groups.withColumns(wide) if wide else groups


def _sums(rows: DataFrame, by: Sequence[str], sums: Mapping[str, str], side: str) -> DataFrame:
    """By groups; whole numbers of 64 bits are summed as decimals, since one of the engines wraps in silence."""
    summed = {word for text in sums.values() for word in SUMMED.findall(text)} - set(by)
    wide = [name for name, kind in rows.dtypes if kind == "bigint" and name in summed]
    rows = rows.withColumns({name: F.col(name).cast("decimal(20,0)") for name in wide}) if wide else rows
    groups = rows.groupBy(*by).agg(*(F.expr(text).alias(name) for name, text in sums.items()))
    return groups.withColumnsRenamed({name: f"{side}_{name}" for name in by}) if by else groups


def _pair(by: Sequence[str], name: str) -> Column:
    here, there = F.col(f"`here {name}`"), F.col(f"`there {name}`")
    values = [value.cast("string").alias(side) for value, side in ((here, "here"), (there, "there"))]
    differs = ~here.eqNullSafe(there)
    return F.struct(F.lit(name).alias("name"), differs.alias("differs"), F.struct(*by, *values).alias("example"))


def _disagreement(one: Check, first: Sequence[str | None]) -> str:
    """`first` has the group's columns, then both values."""
    *group, here, there = first
    named = _named(one.by, group)
    return f"{named + ': ' if named else ''}{_value(here)} here, {_value(there)} in {one.agrees_with}"


def _value(value: object) -> object:
    return "nothing" if value is None else value


def _named(key: Sequence[str], values: Sequence[object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(key, values, strict=True))


def _refuse(table: Table, built: DataFrame, measures: Sequence[Measure]) -> None:
    """Nothing is written of a table that breaks what must hold; all that is broken is one error."""
    broken = [one for one in measures if one.severity == "stop" and one.broken]
    if not broken:
        return
    path, examples = table.name.replace(".", "/"), [_example(table, built, one) for one in broken]
    sentences = [_sentence(table, one, example) for one, example in zip(broken, examples, strict=True)]
    raise ChecksFailedError(
        f"{table.name} was not written, because this must hold and does not:\n"
        + "\n".join(f"  {sentence}" for sentence in sentences)
        + f"\nIt stays as it was. Correct {path}.py or what it reads, or change the severity in conf/{path}.yml.",
        measures,
        examples,
    )


def _example(table: Table, built: DataFrame, one: Measure) -> str:
    return one.note or _broken_row(table.contract, built, one)


def _sentence(table: Table, one: Measure, example: str) -> str:
    promise = table.contract
    place = promise.checks.get(one.name)
    things = "groups" if place and place.agrees_with else "rows"
    why = promise.rules[one.name].why if one.measure == "rule" else place.why if place else OF_THE_CORE[one.name]
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
    return _named(key, rows.select(*key).orderBy(*key).limit(1).collect()[0])


def _repeated(rows: DataFrame, key: Sequence[str]) -> DataFrame:
    return rows.groupBy(*key).agg(F.count("*").alias("_rows")).where("_rows > 1")
