"""Whether a commit made a day's work dearer: `python tests/bench/gate.py BASE HEAD [--limit 1.15] [--rounds 3]`.

Both commits do the same on the same sample exports, in turns on the same machine: from empty, a day more, nothing new,
a question. Compared are seconds of the processor, of each the fewest of all rounds, since what disturbs only adds. A
step that took more than `--limit` times the base's, and a tenth of a second more, ends it with 1.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from jobs.samples import daily

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(__file__).parents[2]
QUESTION = "select market, sum(revenue) from gold.daily_sales group by market order by market"
LINES, DAYS = 20_000, 10
NOISE = 0.1  # seconds: what starts in less varies by as much
# By name: what is done in a fresh scratch folder, one after the other, and how (the program is that commit's).
Steps = Mapping[str, Callable[[Path], list[str]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("head")
    parser.add_argument("--limit", type=float, default=1.15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=LINES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakehouse-gate-") as folder:
        for name, days in (("first", range(DAYS - 1)), ("next", [DAYS - 1])):
            daily.generate(Path(folder, name), lines=options.lines, days=DAYS, deliver=days)
        steps = a_day(Path(folder))
        before, after = compare(HOME, (options.base, options.head), steps, options.rounds)
    slower = judged(before, after, options.limit)
    sys.stdout.write(table(before, after, slower))
    sys.exit(1 if slower else 0)


def a_day(exports: Path) -> Steps:
    def run(scratch: Path) -> list[str]:
        return [sys.executable, "-m", "jobs.cli", "run", "--lake", f"{scratch}/lake", "--landing", f"{scratch}/landing"]

    def deliver(which: str, scratch: Path) -> list[str]:
        subprocess.run(["cp", "-a", f"{exports / which}/.", f"{scratch}/landing"], check=True)  # noqa: S607
        return run(scratch)

    return {
        "from empty": lambda scratch: deliver("first", scratch),
        "a day more": lambda scratch: deliver("next", scratch),
        "nothing new": run,
        "a question": lambda scratch: [sys.executable, "-m", "jobs.cli", "sql", QUESTION, "--lake", f"{scratch}/lake"],
    }


def compare(repository: Path, commits: tuple[str, str], steps: Steps, rounds: int) -> tuple[dict[str, float], ...]:
    """Of both commits the fewest seconds of the processor by step. Ends, with its words, where one fails."""
    found: list[dict[str, list[float]]] = [{name: [] for name in steps} for _ in commits]
    with ExitStack() as until:
        places = [until.enter_context(checked_out(repository, commit)) for commit in commits]
        for number in range(rounds):
            order = (0, 1) if number % 2 == 0 else (1, 0)  # neither always finds what the other left in a cache
            for which in order:
                sys.stderr.write(f"Round {number + 1} of {rounds}: {commits[which]}\n")
                with tempfile.TemporaryDirectory(prefix="lakehouse-gate-") as scratch:
                    Path(scratch, "landing").mkdir()
                    environment = os.environ | {"PYTHONPATH": str(places[which]), "LAKEHOUSE_CACHE": f"{scratch}/cache"}
                    for name, command in steps.items():
                        found[which][name].append(cost(command(Path(scratch)), places[which], environment))
    return tuple({name: min(seconds) for name, seconds in one.items()} for one in found)


def cost(command: list[str], folder: Path, environment: Mapping[str, str]) -> float:
    """Seconds of the processor, of it and of all that it starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run(command, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False)
    if answer.returncode:
        sys.exit(f"`{' '.join(command)}` ended with {answer.returncode}: {answer.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def checked_out(repository: Path, commit: str) -> Iterator[Path]:
    """Its files in a folder of their own. Both run in this environment, so that packages are not what differs."""
    git = ["git", "-C", str(repository), "worktree"]
    with tempfile.TemporaryDirectory(prefix="lakehouse-gate-") as folder:
        place = Path(folder, "at")
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


def judged(before: Mapping[str, float], after: Mapping[str, float], limit: float) -> list[str]:
    """The steps that became too dear."""
    return [name for name in before if after[name] > max(before[name] * limit, before[name] + NOISE)]


def table(before: Mapping[str, float], after: Mapping[str, float], slower: list[str]) -> str:
    """As Markdown, for the page of the workflow."""
    lines = ["| Seconds of the processor | base | head | ratio | |", "|---|---|---|---|---|"]
    for name, seconds in before.items():
        verdict = "TOO SLOW" if name in slower else ""
        lines.append(f"| {name} | {seconds:.2f} | {after[name]:.2f} | {after[name] / seconds:.2f} | {verdict} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
