"""The report's charts, by Vega-Altair: what is drawn stands here, the numbers come from sections.py.

Colours are of Okabe and Ito's palette, which the colour-blind tell apart; a shade always stands beside a number in the
table below the chart.
"""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import altair as alt
import vl_convert

from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

Rows = list[dict[str, Any]]
Chart: TypeAlias = Any  # of Altair, whose methods give wider types than their words

BLUE, VERMILLION, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#767676"
SHADES: Literal["cividis"] = "cividis"
INK, RULE = "#1d2126", "#e4e4de"
BRIGHT = 0.5  # of the shades, from which on dark letters stand out better
MOST_SHARES = 9  # columns, in which a share can be read on a phone
LINE = 26  # pixels of a bar, or a row
CELL = 0.01  # degrees, of gold.delivery_areas
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'
CONFIG: dict[str, Any] = {
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK, "titleColor": INK, "gridColor": RULE, "domainColor": RULE, "tickColor": RULE,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 150,
        "labelSeparation": 8,
    },
    "legend": {
        "orient": "top", "title": None, "labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12,
    },
}  # fmt: skip


def javascript() -> str:
    """Vega, Vega-Lite and vega-embed in one script that asks nobody for anything; bundled once for each version."""
    kept = cache_folder() / f"vega-{metadata.version('vl-convert-python')}.js"
    if kept.exists():
        return kept.read_text(encoding="utf-8")
    made: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_name(f".{kept.name}")
    part.write_text(made, encoding="utf-8")
    part.replace(kept)
    return made


def as_json(chart: Chart) -> str:
    """As Vega-Lite, and such that nothing in it ends a script or begins a comment of HTML."""
    fits = {"type": "fit-x", "contains": "padding"}
    return json.dumps(chart.to_dict() | {"config": CONFIG, "autosize": fits}).replace("<", "\\u003c")


def over_days(rows: Rows, value: str, title: str) -> Chart:
    """One line, a point for each day."""
    return (
        _chart(rows)
        .mark_line(color=BLUE, strokeWidth=2, point=alt.OverlayMarkDef(color=BLUE, size=18))
        .encode(x=_days("order_date"), y=alt.Y(f"{value}:Q", title=title, axis=_numbers()), tooltip=_tooltip(rows))
    )


def stacked(rows: Rows, when: str, parts: dict[str, str], colours: Sequence[str], title: str) -> Chart:
    """Bars by week; `parts`: the columns that add up, with what the legend calls them."""
    long = [
        {when: row[when], "part": words, "place": place, "amount": row[name]}
        for row in rows
        for place, (name, words) in enumerate(parts.items())
    ]
    return (
        _chart(long)
        .mark_bar()
        .encode(
            x=alt.X(f"{when}:O", title=None, axis=alt.Axis(labelOverlap=True, labelAngle=0)),
            y=alt.Y("sum(amount):Q", title=title, axis=_numbers()),
            color=alt.Color("part:N", scale=alt.Scale(domain=[*parts.values()], range=[*colours])),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip(f"{when}:N", title="week from"),
                alt.Tooltip("part:N", title="of"),
                alt.Tooltip("amount:Q", title=title, format=",.2~f"),
            ],
        )
    )


def heat(rows: Rows) -> Chart:
    """Cohorts: a row for each month, a column for each month after it; with its share where a cell has room."""
    ages = alt.Axis(labelAngle=0, labelOverlap=True)
    cells = _chart(rows, height=LINE * len({row["cohort_month"] for row in rows})).encode(
        x=alt.X("age_months:O", title="months after the first order", axis=ages),
        y=alt.Y("cohort_month:O", title=None),
        tooltip=_tooltip(rows),
    )
    shades = cells.mark_rect().encode(
        color=alt.Color(
            "retention:Q",
            title="share that ordered",
            scale=alt.Scale(scheme=SHADES, domain=[0, 1]),
            legend=alt.Legend(format=".0%", gradientLength=180),
        )
    )
    is_bright = alt.datum.retention > BRIGHT
    shares = cells.mark_text(fontSize=11).encode(
        text=alt.Text("retention:Q", format=".0%"),
        color=alt.condition(is_bright, alt.value(INK), alt.value("#ffffff")),
    )
    has_room = len({row["age_months"] for row in rows}) <= MOST_SHARES
    return alt.layer(shades, shares) if has_room else alt.layer(shades)


def bars(rows: Rows, name: str, value: str, title: str) -> Chart:
    """One bar for each row, in their order."""
    return (
        _chart(rows, height=LINE * len(rows))
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X(f"{value}:Q", title=title, axis=_numbers()),
            y=alt.Y(f"{name}:N", title=None, sort=None),
            tooltip=_tooltip(rows),
        )
    )


def against_chance(rows: Rows) -> Chart:
    """Lift, with a line where two products would stand together by chance."""
    lifts = bars(rows, "pair", "lift", "lift: times as often as by chance")
    chance = _chart([{"chance": 1}], lifts.height).mark_rule(color=VERMILLION, strokeDash=[4, 3], strokeWidth=2)
    return alt.layer(lifts, chance.encode(x="chance:Q"))


def grid(rows: Rows) -> Chart:
    """Cells of a hundredth of a degree, as on a map with north at the top."""
    cells = [row | {"east": row["west"] + CELL, "north": row["south"] + CELL} for row in rows]
    degrees = alt.Scale(zero=False, nice=False, padding=6)
    return (
        _chart(cells, height=360)
        .mark_rect()
        .encode(
            x=alt.X("west:Q", title="longitude, degrees east", scale=degrees, axis=alt.Axis(format=".2f")),
            x2="east",
            y=alt.Y("south:Q", title="latitude, degrees north", scale=degrees, axis=alt.Axis(format=".2f")),
            y2="north",
            color=alt.Color(
                "tasks:Q", title="tasks", scale=alt.Scale(scheme=SHADES), legend=alt.Legend(gradientLength=180)
            ),
            tooltip=_tooltip(rows),
        )
    )


def _chart(rows: Rows, height: int = 240) -> Chart:
    """As wide as its place on the page."""
    return alt.Chart(alt.InlineData(values=rows)).properties(width="container", height=height)


def _days(name: str) -> alt.X:
    """Days are the market's own: a browser's time zone must not move them."""
    return alt.X(
        f"{name}:T", title=None, scale=alt.Scale(type="utc"), axis=alt.Axis(format="%-d %b %Y", labelOverlap=True)
    )


def _numbers() -> alt.Axis:
    """12k, 3.4M, 1.2bn, and 0.8 as it is."""
    large = "replace(format(datum.value, '~s'), 'G', 'bn')"
    return alt.Axis(labelExpr=f"abs(datum.value) < 1000 ? format(datum.value, '~') : {large}", labelOverlap=True)


def _tooltip(rows: Rows) -> list[alt.Tooltip]:
    """What the row says, under its own names."""
    first = rows[0] if rows else {}
    kinds = {name: "N" if isinstance(value, str) else "Q" for name, value in first.items()}
    return [
        alt.Tooltip(f"{name}:{kind}", title=name.replace("_", " "), format=",.4~f" if kind == "Q" else alt.Undefined)
        for name, kind in kinds.items()
    ]
