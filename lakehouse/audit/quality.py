"""`ops.quality`: what each run measured of its tables and sources, one row per table, run and measure.

Measures are made from what a run counted anyway; nothing here reads a table of the lake or starts a JVM.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.formula import NAMES, PLACES, evaluate
from lakehouse.writes.measures import Measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lakehouse.contract import Source
    from lakehouse.writes.measures import Kind

QUALITY = "ops.quality"
USUAL = 14  # deliveries that a new one is compared with
NAMED = 3


TYPES: Mapping[str, ops.Kind] = {
    "run": "text",
    "at": "moment",
    "table_name": "text",
    "market": "small",
    "measure": "text",
    "name": "text",
    "severity": "text",
    "checked": "whole",
    "broken": "whole",
    "share": "real",
    "value": "real",
    "note": "text",
}


@dataclass(frozen=True)
class Noted:
    """A measure as it stands in the table: of which run, and when (UTC)."""

    run: str
    at: datetime
    measure: Measure


@dataclass(frozen=True)
class Tally:
    """Where the rows of one market went: counts by the names that a score may use. One not there is not known."""

    table: str
    market: int | None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Loaded:
    """One delivery that was loaded: a version of a file, with its rows as landing or bronze counted them.

    `is_quiet`: a fetch that asked what changed, and nothing had.
    """

    table: str
    market: int | None
    rows: int
    as_of: datetime
    path: str
    is_quiet: bool = False


# What a run measured -------------------------------------------------------------------------------------------------


def reconcile(tallies: Iterable[Tally]) -> list[Measure]:
    """Rows in = kept + unchanged + rejected + duplicate + superseded; `broken` is by how many rows it is not so."""
    return [_reconciled(one) for one in tallies]


def _reconciled(one: Tally) -> Measure:
    places = {name: one.counts.get(name, 0) for name in PLACES}
    went = " + ".join(f"{count:,} {name}" for name, count in places.items() if count)
    return _difference(
        Measure(one.table, "reconciliation", "rows_end_in_one_place", one.market, "stop"),
        one.counts.get("rows", 0),
        sum(places.values()),
        f"in = {went or 'nothing'}",
    )


def reconcile_files(table: str, new: Sequence[Loaded], bronze_rows: Mapping[int | None, int]) -> list[Measure]:
    """The rows of the loaded files = the rows that bronze got, per market, or under None for all of them."""
    markets = set(bronze_rows) if None in bronze_rows else {*bronze_rows, *(one.market for one in new)}
    measures = []
    for market in sorted(markets, key=str):
        in_files = sum(one.rows for one in new if market in {None, one.market})
        made = Measure(table, "reconciliation", "file_rows_are_bronze_rows", market, "stop")
        in_bronze = bronze_rows.get(market, 0)
        measures.append(_difference(made, in_files, in_bronze, f"in files, {in_bronze:,} in bronze"))
    return measures


def _difference(blank: Measure, came: int, went: int, note: str) -> Measure:
    facts = asdict(blank) | {"checked": came, "broken": abs(came - went), "note": f"{came:,} {note}"}
    return Measure(**facts)


def freshness(source: Source, deliveries: Iterable[Loaded], at: datetime) -> list[Measure]:
    """Hours from each market's newest delivery to `at`; broken where the source promises fewer."""
    limit = source.fresh_within_hours
    measures = []
    for (table, market), loaded in _by_market(deliveries).items():
        newest = loaded[-1]
        hours = max(0.0, (at - newest.as_of).total_seconds() / 3600)
        demand: dict[str, Any] = {"severity": "warn", "checked": 1, "broken": int(limit is not None and hours > limit)}
        note = f"{newest.path}, {hours:,.1f} hours old" + (f", at most {limit:g} promised" if limit is not None else "")
        name = "newest_delivery_is_fresh"
        facts = demand if limit is not None else {}
        measures.append(Measure(table, "freshness", name, market, value=hours, note=note, **facts))
    return measures


def volume(source: Source, new: Iterable[Loaded], before: Iterable[Loaded]) -> list[Measure]:
    """Each new file's rows as a ratio to the median of the 14 deliveries loaded before it; `value` is the oddest ratio.

    A delivery without rows is broken unless the source may be empty, and is nobody's measure of what is usual.
    """
    earlier = _by_market(before)
    return [
        _volume(source, table, market, loaded, [one.rows for one in earlier.get((table, market), [])])
        for (table, market), loaded in _by_market(new).items()
    ]


def _volume(source: Source, table: str, market: int | None, new: Sequence[Loaded], before: Sequence[int]) -> Measure:
    usual: deque[int] = deque((rows for rows in before if rows), maxlen=USUAL)
    ratios, odd = [], []
    for one in new:
        typical = median(usual) if usual else None
        ratio = one.rows / typical if typical else None
        if not one.rows and not source.may_be_empty and not one.is_quiet:
            odd.append(f"{one.path} has no rows")
        elif typical and ratio and not _is_usual(source, one.rows, typical):
            rows = f"{one.rows:,} {'row' if one.rows == 1 else 'rows'}"
            odd.append(f"{one.path} has {rows}, {ratio:.2f} times the usual {typical:,.0f}")
        if one.rows:
            usual.append(one.rows)
            ratios += [ratio] if ratio is not None else []
    demands = source.volume_between is not None or not source.may_be_empty
    facts: dict[str, Any] = {"severity": "warn", "checked": len(new), "broken": len(odd)} if demands else {}
    worst = max(ratios, key=lambda ratio: max(ratio, 1 / ratio), default=None)
    return Measure(table, "volume", "rows_are_as_many_as_usual", market, value=worst, note=_some(odd), **facts)


def _is_usual(source: Source, rows: int, usual: float) -> bool:
    least, most = source.volume_between or (0, math.inf)
    return least <= rows / usual <= most or max(rows, usual) < source.volume_rows


def _some(sentences: Sequence[str]) -> str:
    more = f"; and {len(sentences) - NAMED} more" if len(sentences) > NAMED else ""
    return "; ".join(sentences[:NAMED]) + more


def _by_market(deliveries: Iterable[Loaded]) -> dict[tuple[str, int | None], list[Loaded]]:
    """Each source's and market's deliveries, oldest first."""
    found: dict[tuple[str, int | None], list[Loaded]] = defaultdict(list)
    for one in sorted(deliveries, key=lambda one: (one.as_of, one.path)):
        found[one.table, one.market].append(one)
    return dict(sorted(found.items(), key=str))


def score(formula: str, tallies: Iterable[Tally]) -> list[Measure]:
    """The contract's formula per market, from 0 to 100; null where it divides by zero or a count is not known."""
    return [
        Measure(
            one.table,
            "score",
            "score",
            one.market,
            checked=one.counts.get("rows"),
            value=evaluate(formula, one.counts),
            note=f"{formula}, with {', '.join(f'{name} {one.counts[name]:,}' for name in NAMES if name in one.counts)}",
        )
        for one in tallies
    ]


# The table -----------------------------------------------------------------------------------------------------------


def write(root: str, run: str, at: datetime, measures: Sequence[Measure]) -> None:
    """Append a run's measures in one commit; a run that measured nothing makes none."""
    stamp = {"run": run, "at": at.astimezone(UTC)}
    ops.append(root, QUALITY, TYPES, [stamp | asdict(one) | {"share": one.share} for one in measures])


def newest(root: str, kind: Kind, since: datetime = ops.EPOCH) -> list[Noted]:
    """The newest measure of a kind for each table, market and name: what `lakehouse status` shows.

    Files of runs before `since` are not opened.
    """
    moment = since.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds")
    mine = f"measure = '{kind}' and at >= timestamp '{moment}'"
    return [_noted(row) for row in ops.newest(progress.address(root, QUALITY), "table_name, market, name", mine)]


@dataclass(frozen=True)
class Compared:
    """The newest measure, and the median of the shares (of a score, the values) that the 14 before it had."""

    noted: Noted
    usual: float | None


def compared(root: str) -> list[Compared]:
    """All scores, and what is broken, as each table and market was measured last.

    A measure of a run before that says nothing: a rule may be gone, and those of the core are counted where they are
    broken.
    """
    statement = f"""
        with ranked as (
            select *, coalesce(share, value) as number,
                rank() over (partition by table_name, market, measure order by at desc) as run_before,
                row_number() over (partition by table_name, market, measure, name order by at desc) as before
            from t where measure in ('rule', 'check', 'score', 'volume', 'reconciliation')
        ), usual as (
            select table_name, coalesce(market, -1) as place, measure, name, median(number) as usual
            from ranked where before between 2 and {USUAL + 1} group by 1, 2, 3, 4
        )
        select ranked.*, usual.usual from ranked left join usual
            on ranked.table_name = usual.table_name and coalesce(ranked.market, -1) = usual.place
            and ranked.measure = usual.measure and ranked.name = usual.name
        where ranked.run_before = 1 and (ranked.broken > 0 or ranked.measure = 'score')
        order by ranked.table_name, ranked.market, ranked.measure, ranked.name"""  # noqa: S608
    rows = ops.query(progress.address(root, QUALITY), statement)
    return [Compared(_noted(row), row["usual"]) for row in rows]


def stopped(root: str, runs: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """By table the rules that stopped it in the run that is named for it."""
    if not runs:
        return {}
    named = ", ".join(f"'{run}'" for run in sorted({*runs.values()}))
    broken = f"severity = 'stop' and broken > 0 and run in ({named})"
    statement = f"select distinct run, table_name, name from t where {broken} order by name"  # noqa: S608
    found: dict[str, tuple[str, ...]] = {}
    for row in ops.query(progress.address(root, QUALITY), statement):
        if runs.get(name := row["table_name"]) == row["run"]:
            found[name] = (*found.get(name, ()), row["name"])
    return found


def _noted(row: Mapping[str, Any]) -> Noted:
    measure = Measure(**{name: row[name] for name in Measure.__dataclass_fields__})
    return Noted(row["run"], row["at"], measure)
