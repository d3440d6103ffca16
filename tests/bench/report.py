"""The results as tables: first what the issue asks for, as ratios, then what each measurement cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from lakehouse.engines import NAMES

Results = Mapping[str, Mapping[str, Any]]

GIB = 2**30
SILVER = "silver."


class Asked(NamedTuple):
    """A line of the issue's table. `at_least` is for a factor that should be large; all others should be small."""

    what: str
    value: float | None
    must: float
    aim: float
    unit: str = "x"
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        sign = -1 if self.at_least else 1
        if sign * self.value <= sign * self.aim:
            return "aim"
        return "must" if sign * self.value <= sign * self.must else "MISSED"


class Numbers:
    """Looks up what was measured of one of our engines, `us`, and of the peers."""

    def __init__(self, results: Results, us: str) -> None:
        self.results, self.us = results, us

    def get(self, size: str, scenario: str, who: str = "", what: str = "seconds") -> float | None:
        return self.results.get(f"{size}/{scenario}/{who or self.us}", {}).get(what)

    def ratio(self, one: tuple[str, ...], other: tuple[str, ...]) -> float | None:
        above, below = self.get(*one), self.get(*other)
        return above / below if above is not None and below else None

    def growth(self, size: str, base: str, kept: str) -> float | None:
        """The seconds that the batch of a million lines takes longer where there are more."""
        there, here = self.get(size, f"batch{kept}"), self.get(base, f"one_percent{kept}")
        return there - here if there is not None and here is not None else None

    def peak(self, size: str, *scenarios: str) -> float | None:
        found = [peak for one in scenarios if (peak := self.get(size, one, what="peak")) is not None]
        return max(found) / GIB if found else None

    def amplification(self, size: str) -> float | None:
        """Rows written to silver for each that changed, in the increment."""
        tables = self.results.get(f"{size}/one_percent/{self.us}", {}).get("written", {})
        silver = [one for name, one in tables.items() if name.startswith(SILVER) and one["changed"] is not None]
        changed = sum(one["changed"] for one in silver)
        return sum(one["rows"] for one in silver) / changed if changed else None


def asked(results: Results, size: str, base: str, us: str) -> list[Asked]:
    n = Numbers(results, us)
    fresh, kept, polars = (size, "one_percent"), (size, "one_percent_kept"), (size, "one_percent", "polars")
    build = n.ratio((size, "build"), (size, "build", "plain_spark"))
    increments = ("one_percent", "one_percent_kept", "batch", "batch_kept")
    return [
        Asked(f"1 % at {size} against Polars + delta-rs with bronze, fresh", n.ratio(fresh, polars), 1, 0.6),
        Asked("  kept", n.ratio(kept, polars), 0.8, 0.4),
        Asked("  plain Spark recompute takes", n.ratio((*fresh, "plain_spark"), fresh), 15, 25, at_least=True),
        Asked("  DuckDB recompute takes (nothing asked)", n.ratio((*fresh, "duckdb"), fresh), 0, 0, at_least=True),
        Asked(f"the same batch takes longer than at {base}, fresh", n.growth(size, base, ""), 3, 1, "s"),
        Asked("  kept", n.growth(size, base, "_kept"), 3, 1, "s"),
        Asked(f"full build at {size}, all layers, against plain Spark without bronze", build, 0.5, 0.3),
        Asked(f"peak of all processes at {size}, increment", n.peak(size, *increments), 4, 2, "GiB"),
        Asked("  build", n.peak(size, "build"), 6, 4, "GiB"),
        Asked("silver rows written / changed", n.amplification(size), 1.5, 1.05),
        Asked("100 of 10,000 orders, fresh", n.get("small", "one_percent"), 5, 3, "s"),
        Asked("  kept", n.get("small", "one_percent_kept"), 2, 1, "s"),
        Asked("nothing new, folder", n.get(size, "nothing"), 0.7, 0.4, "s"),
        Asked("  its commits", n.get(size, "nothing", what="commits"), 0, 0, ""),
        Asked("nothing new, MinIO (small)", n.get("small", "nothing_on_minio"), 1.3, 0.8, "s"),
    ]


def unequal(results: Results) -> list[str]:
    """Results of the same data that differ between those who computed them, or from the generator's truth."""
    said = [f"{key}: {what}" for key, one in results.items() for what in one.get("untrue", [])]
    by_data: dict[tuple[str, str], dict[str, Any]] = {}
    for key, one in results.items():
        size, scenario, _ = key.split("/")
        if "answers" in one:
            by_data.setdefault((size, scenario.removesuffix("_kept")), {})[key] = one["answers"]
    for answers in by_data.values():
        first = next(iter(answers))
        said += [f"{key} is not equal to {first}" for key in answers if answers[key] != answers[first]]
    return said


def show(results: Results, sizes: Sequence[str], base: str, engines: Sequence[str]) -> None:
    """Ratios first, of each engine at the largest size; then the costs."""
    console = Console(width=150, highlight=False)
    size = max((one for one in sizes if one.isdigit()), key=int, default="")
    for us in engines:
        console.print(_asked(f"What issue 13 asks for: {us}", asked(results, size, base, us)))
    console.print(_costs(results))
    for us in engines:
        if tables := results.get(f"{size}/one_percent/{us}", {}).get("written"):
            console.print(_tables(f"1 % at {size} by {us}, by table", tables))
    wrong = unequal(results)
    console.print("\n".join(wrong) or "All results of the same data are equal, and equal to the generator's truth.")


def _asked(title: str, lines: Sequence[Asked]) -> Table:
    table = Table("asked", "measured", "must", "aim", "reached", title=title)
    for one in lines:
        value = "" if one.value is None else f"{one.value:.2f} {one.unit}"
        sign = ">= " if one.at_least else "<= "
        limits = ["", ""] if one.must == one.aim == 0 and one.at_least else [f"{sign}{one.must}", f"{sign}{one.aim}"]
        table.add_row(one.what, value, *limits, one.verdict if any(limits) else "")
    return table


def _costs(results: Results) -> Table:
    table = Table("size", "scenario", "who", title="What each measurement cost")
    for name in (
        "seconds",
        "processor s",
        "peak GiB",
        "commits",
        "files",
        "rows written",
        "rows changed",
        "MB written",
    ):
        table.add_column(name, justify="right")
    for key, one in results.items():
        table.add_row(*key.split("/"), *_cost(one))
    return table


def _cost(one: Mapping[str, Any]) -> list[str]:
    costs = [f"{one['seconds']:.1f}", f"{one['cpu_seconds']:.0f}", f"{one['peak'] / GIB:.2f}"]
    tables = one.get("written", {}).values()
    if not tables:
        return [*costs, str(one.get("commits", "")), "", "", "", ""]
    changed = [table["changed"] for table in tables if table["changed"] is not None]
    sums = [f"{sum(table[name] for table in tables):,}" for name in ("commits", "files", "rows")]
    size = sum(table["bytes"] for table in tables) / 1e6
    return [*costs, *sums, f"{sum(changed):,}" if changed else "", f"{size:.1f}"]


def _tables(title: str, tables: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("table", title=title)
    for name in ("commits", "files", "rows written", "rows changed", "written / changed", "MB written"):
        table.add_column(name, justify="right")
    for name, one in sorted(tables.items()):
        ratio = f"{one['rows'] / one['changed']:.2f}" if one["changed"] else ""
        counts = [f"{one[what]:,}" for what in ("commits", "files", "rows")]
        changed = "" if one["changed"] is None else f"{one['changed']:,}"
        table.add_row(name, *counts, changed, ratio, f"{one['bytes'] / 1e6:.2f}")
    return table


if __name__ == "__main__":
    found = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    sizes = sorted({key.split("/")[0] for key in found})
    show(found, sizes, "1000000", [one for one in NAMES if any(key.endswith(f"/{one}") for key in found)])
