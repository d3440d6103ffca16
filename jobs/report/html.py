"""The report of one release as one HTML page that asks nobody for anything: gathered here, its looks in templates/.

`lakehouse report` writes it, `lakehouse dashboard` serves it with choices of market and days. The engine adds up; rows
of single customers or orders never come here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.docs.html import hash_of, templates
from jobs.report import charts
from jobs.report.sections import MONEY, SECTIONS, TOTALS
from lakehouse import graph
from lakehouse.causes import diff
from lakehouse.recovery import releases
from lakehouse.serving.questions import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jobs.report.charts import Rows
    from jobs.report.sections import Section
    from lakehouse.causes.diff import Difference, Number
    from lakehouse.engines.protocol import Reader
    from lakehouse.graph import Table
    from lakehouse.recovery.releases import Release

MOST_ROWS = 400  # of a table below a chart
REJECTED = "__rejected"
TEMPLATES = Path(__file__).with_name("templates")
# What a row is of, where that is somebody or somebody's: beside the columns that are personal.
OF_ONE = frozenset({"customer_id", "customer_key", "agent_id", "order_id", "task_id", "sales_key", "cell"})


@dataclass(frozen=True)
class Choice:
    """What of the release is looked at: one market, or all; days from the first to the last, both included."""

    market: int | None = None
    since: date | None = None
    until: date | None = None

    @property
    def of_market(self) -> str:
        return "true" if self.market is None else f"market = {self.market}"

    @property
    def of_days(self) -> str:
        bounds = (("order_date >=", self.since), ("order_date <=", self.until))
        return " and ".join(f"{bound} cast('{day.isoformat()}' as date)" for bound, day in bounds if day) or "true"


@dataclass(frozen=True)
class Answered:
    """A section with its rows by market, None where they are of none; `missing` tables are not in the release."""

    section: Section
    rows: Mapping[int | None, Rows]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Changes:
    """What is other than in the release before, of tables whose rows are of nobody."""

    before: int
    tables: Sequence[Difference]
    numbers: Sequence[Number]


@dataclass(frozen=True)
class Report:
    """`scores` and `rejected` are rows of quality: points by table and market, delivered rows that were kept out.

    `totals` are None in a release without orders, which has no section of them either.
    """

    root: str
    release: Release
    choice: Choice
    countries: Mapping[int, str]
    totals: Rows | None
    answers: Sequence[Answered]
    scores: Rows
    rejected: Rows
    changes: Changes | None


def gather(
    reader: Reader, root: str, release: Release, changes: Changes | None, choice: Choice | None = None
) -> Report:
    """Ask it all at that release."""
    choice = choice or Choice()

    def ask(statement: str) -> Rows:
        return sql.query(reader, root, statement, release.point).arrow().to_pylist()  # type: ignore[no-any-return]

    def answered(section: Section) -> Answered:
        statement = section.asked(choice.of_market, choice.of_days)
        if missing := _missing(statement, release):
            return Answered(section, {}, missing)
        rows: dict[int | None, Rows] = defaultdict(list)
        for row in ask(statement):
            rows[row.pop("market")].append(row)
        return Answered(section, rows)

    totals = TOTALS.format(market=choice.of_market, days=choice.of_days)
    answers, has_orders = [answered(one) for one in SECTIONS], not _missing(totals, release)
    return Report(
        root,
        release,
        choice,
        countries(),
        ask(totals) if has_orders else None,
        [one for one in answers if not one.missing or (has_orders and not one.section.is_optional)],
        _scores(release, choice),
        [row for statement in _of_quarantines(release, choice) for row in ask(statement)],
        changes,
    )


def _missing(statement: str, release: Release) -> tuple[str, ...]:
    return tuple(sorted(set(re.findall(r"gold\.\w+", statement)) - release.tables.keys()))


@cache
def countries() -> dict[int, str]:
    """By market, as conf/markets.yml has it now."""
    return {int(str(row["market"])): str(row["country"]) for row in graph.conf_file("conf.markets")[1]}


def _scores(release: Release, choice: Choice) -> Rows:
    """The points that the newest run until then gave; a release has them by names such as `silver.orders market 1`."""
    found = []
    for name, points in sorted(release.quality.items()):
        table, _, market = name.partition(" market ")
        if choice.market is None or market in {"", str(choice.market)}:
            found.append({"table": table, "market": market, "score": Decimal(f"{points:.2f}")})
    return found


def _of_quarantines(release: Release, choice: Choice) -> Iterator[str]:
    """For each, its rows by the rule that they broke, a row under each of its rules."""
    for name in sorted(one for one in release.tables if one.endswith(REJECTED)):
        table = graph.load().get(name.removesuffix(REJECTED))
        has_market = table is None or "market" in table.contract.unit
        yield (
            f"select '{name.removesuffix(REJECTED)}' as source, rule, count(*) as rows from "  # noqa: S608  our names
            f"(select explode(rules) as rule from {name} where {choice.of_market if has_market else 'true'}) "
            "group by rule order by rule"
        )


def changes(root: str, release: Release) -> Changes | None:
    """None for the first release."""
    if release.number == 1:
        return None
    before = releases.release(root, release.number - 1)
    found = diff.diff(root, of_nobody(graph.load()), before, release)
    return Changes(before.number, found, diff.numbers(found))


def of_nobody(tables: Mapping[str, Table]) -> dict[str, Table]:
    """The tables of gold of which no row is of one customer, order, task or place."""
    return {
        name: one
        for name, one in tables.items()
        if name.startswith("gold.") and OF_ONE.union(one.contract.personal).isdisjoint(one.contract.grain)
    }


# How it looks ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """A market's part of a section: its chart as Vega-Lite in JSON, and the numbers of it as texts."""

    name: str
    heading: str
    chart: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    more: int


@dataclass(frozen=True)
class Form:
    """What can be chosen, where the page is served: releases that can be read, the newest first, and markets."""

    releases: Sequence[Release]
    markets: Mapping[int, str]
    is_newest: bool


def page(report: Report, form: Form | None = None) -> str:
    """The whole file; only its own scripts may run, and nothing may be fetched. Vega gives what it draws its styles."""
    vega, look = charts.javascript(), _text("report.js")
    scripts = " ".join(f"'{hash_of(one)}'" for one in (vega, look))
    own = "'self'" if form else "'none'"
    totals = report.totals or []
    currencies = {row["market"]: row["currency"] for row in totals}
    made = templates(TEMPLATES)
    made.filters |= {"exact": shown, "texts": _texts, "is_number": _is_number}
    return made.get_template("report.html").render(
        report=report,
        form=form,
        vega=vega,
        script=look,
        style=_text("report.css"),
        policy=(
            f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
            f"form-action {own}"
        ),
        made_at=datetime.now(UTC),
        totals=[_total(row, report.countries) for row in totals],
        figures={one.section.name: _figures(one, report.countries, currencies) for one in report.answers},
        is_narrowed=bool(report.choice.since or report.choice.until),
    )


def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _total(row: Mapping[str, Any], countries: Mapping[int, str]) -> dict[str, str]:
    """A market in a few numbers."""
    completed, revenue, currency = row["completed_orders"], row["revenue"], row["currency"]
    share = f"{100 * row['new_revenue'] / revenue:.1f} %" if revenue else "-"
    return {
        "market": _market(row["market"], countries),
        "days": f"{row['first_day']} to {row['last_day']}",
        "revenue": f"{revenue:,} {currency}",
        "orders placed": f"{row['orders']:,}",
        "completed": f"{completed:,} ({100 * completed / row['orders']:.1f} %)",
        "average completed order": f"{revenue / completed:,.2f} {currency}" if completed else "-",
        "revenue from new customers": share,
    }


def _market(number: int | None, countries: Mapping[int, str]) -> str:
    return "All markets" if number is None else f"{countries.get(number, 'Market')} ({number})"


def _figures(one: Answered, countries: Mapping[int, str], currencies: Mapping[int | None, str]) -> list[Figure]:
    found = []
    for market, rows in sorted(one.rows.items(), key=str):
        currency = currencies.get(market, "the market's currency")
        found.append(
            Figure(
                f"{one.section.name}-{'all' if market is None else market}",
                _market(market, countries),
                charts.as_json(one.section.draw([_drawn(row) for row in rows], currency)),
                [_heading(name, one.section, currency) for name in rows[0]],
                [_texts(row) for row in rows[:MOST_ROWS]],
                max(0, len(rows) - MOST_ROWS),
            )
        )
    return found


def _heading(name: str, section: Section, currency: str) -> str:
    unit = section.units.get(name, "").replace(MONEY, currency)
    words = name.replace("_", " ")
    return f"{words} ({unit})" if unit and unit != words else words


def _drawn(row: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has it: what is only drawn may be a double."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else "(none)" if value is None else value


def shown(value: object) -> str:
    """Exact, with thousands apart."""
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    return "" if value is None else str(value)


def _texts(row: Mapping[str, Any]) -> list[str]:
    return [shown(value) for value in row.values()]


def _is_number(text: str) -> bool:
    return text.replace(",", "").lstrip("-").replace(".", "", 1).isdigit()
