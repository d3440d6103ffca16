"""The results as tables: first what the issue asks for, as ratios, then what each measurement cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

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
    """Looks up what was measured."""

    def __init__(self, results: Results) -> None:
        self.results = results

    def get(self, size: str, scenario: str, who: str = "lakehouse", what: str = "seconds") -> float | None:
        return self.results.get(f"{size}/{scenario}/{who}", {}).get(what)

    def ratio(self, one: tuple[str, ...], other: tuple[str, ...]) -> float | None:
        above, below = self.get(*one), self.get(*other)
        return above / below if above is not None and below else None

    def growth(self, size: str, base: str, kept: str) -> float | None:
        """The batch of a million lines given to more, over what the same batch costs there."""
        return self.ratio((size, f"batch{kept}"), (base, f"one_percent{kept}"))

    def peak(self, size: str) -> float | None:
        ours = [
            one["peak"] for key, one in self.results.items() if key.startswith(f"{size}/") and key.endswith("lakehouse")
        ]
        return max(ours) / GIB if ours else None

    def amplification(self, size: str) -> float | None:
        """Rows written to silver for each that changed, in the increment."""
        tables = self.results.get(f"{size}/one_percent/lakehouse", {}).get("written", {})
        silver = [one for name, one in tables.items() if name.startswith(SILVER) and one["changed"] is not None]
        changed = sum(one["changed"] for one in silver)
        return sum(one["rows"] for one in silver) / changed if changed else None


def asked(results: Results, size: str, base: str) -> list[Asked]:
    n = Numbers(results)
    fresh, kept = (size, "one_percent"), (size, "one_percent_kept")
    return [
        Asked(
            f"1 % increment at {size}, fresh: plain Spark takes", n.ratio((*fresh, "spark"), fresh), 3, 6, at_least=True
        ),
        Asked("  DuckDB takes (it was not asked for)", n.ratio((*fresh, "duckdb"), fresh), 0, 0, at_least=True),
        Asked("  against Polars + delta-rs MERGE, fresh process", n.ratio(fresh, (*fresh, "polars")), 2, 1),
        Asked("  against Polars + delta-rs MERGE, session kept", n.ratio(kept, (*fresh, "polars")), 1, 0.6),
        Asked(f"growth: the same batch on {size} against on {base}, fresh", n.growth(size, base, ""), 1.5, 1.2),
        Asked("  session kept", n.growth(size, base, "_kept"), 1.5, 1.2),
        Asked("silver rows written / rows changed", n.amplification(size), 3, 1.5),
        Asked(
            f"full build at {size}, all layers, against plain Spark",
            n.ratio((size, "build"), (size, "build", "spark")),
            1.5,
            1.2,
        ),
        Asked(f"peak memory of the tree at {size}, heap 4 GiB", n.peak(size), 6, 4, "GiB"),
        Asked("nothing new, on disk", n.get(size, "nothing"), 2, 1, "s"),
        Asked("  its commits", n.get(size, "nothing", what="commits"), 0, 0, ""),
        Asked("nothing new, on MinIO (small)", n.get("small", "nothing_on_minio"), 3, 1, "s"),
        Asked("small increment, from process start", n.get("small", "one_percent"), 25, 12, "s"),
        Asked("  in a kept session", n.get("small", "one_percent_kept"), 8, 4, "s"),
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


def show(results: Results, sizes: Sequence[str], base: str) -> None:
    console = Console(width=150, highlight=False)
    size = max((one for one in sizes if one.isdigit()), key=int, default="")
    console.print(_asked(asked(results, size, base)))
    console.print(_costs(results))
    if tables := results.get(f"{size}/one_percent/lakehouse", {}).get("written"):
        console.print(_tables(f"1 % increment at {size}, by table", tables))
    wrong = unequal(results)
    console.print("\n".join(wrong) or "All results of the same data are equal, and equal to the generator's truth.")


def _asked(lines: Sequence[Asked]) -> Table:
    table = Table("asked", "measured", "must", "aim", "reached", title="What issue 5 asks for")
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
    show(found, sorted({key.split("/")[0] for key in found}), "1000000")
