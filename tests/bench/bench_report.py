"""The report of a large lake: `.venv/bin/python tests/bench/bench_report.py [lines]`, by default 1,000,000 order lines.

Sample exports of 90 days are loaded and released, the last day apart, so that the page says what changed. A report is a
fresh process, its seconds are wall and processor; issue 16 allows it 5.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from jobs.report import sections
from jobs.samples import daily
from lakehouse import engines, graph
from lakehouse.recovery import releases
from lakehouse.runs.run import Run

DAYS, TIMES, ALLOWED = 90, 3, 5.0


def release(root: str, landing: Path, size: int, days: list[int]) -> None:
    """With these days more, all that the report asks for."""
    begin, tables = time.monotonic(), graph.load()
    asked = " ".join([sections.TOTALS, *(one.statement for one in sections.SECTIONS)])
    daily.generate(landing, lines=size, days=DAYS, deliver=days)
    wanted = graph.selected(tables, [name for name in tables if name in asked])
    Run(root, str(landing), tables, engine=engines.start()).execute(wanted)
    releases.publish(root, tables)
    print(f"{len(days)} days more are released: {time.monotonic() - begin:.1f} s", flush=True)  # noqa: T201


def report(root: str, page: Path) -> float:
    """Its seconds."""
    begin, before = time.monotonic(), os.times()
    command = [sys.executable, "-m", "jobs.cli", "report", "--lake", root, "--to", str(page)]
    subprocess.run(command, check=True, cwd=graph.HOME, stderr=subprocess.DEVNULL)
    seconds, after = time.monotonic() - begin, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"a report of {page.stat().st_size / 1e6:.1f} MB: {seconds:.1f} s, {used:.1f} s of processors", flush=True)  # noqa: T201
    return seconds


def main(size: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        root, landing = f"{folder}/lake", Path(folder) / "landing"
        release(root, landing, size, [*range(DAYS - 1)])
        release(root, landing, size, [DAYS - 1])
        return int(min(report(root, Path(folder) / "report.html") for _ in range(TIMES)) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main(int((*sys.argv[1:], "1000000")[0])))
