"""What a day's new data costs, beside three peers on the same files: `.venv/bin/python tests/bench/bench_increment.py`.

    --sizes small 100000 1000000 5000000   order lines; `small` is 10,000 orders, of which 100 change
    --engines native spark                 ours; `native` without more words
    --peers plain_spark duckdb polars      recompute, recompute, and delta-rs MERGE with bronze
    --keep FOLDER                          keeps exports, lakes and results there; what is there is not done again
    --again '5000000/one_percent/*'        but for these (patterns of size/scenario/who)
    --only '*/duckdb'                      measures nothing else; the table shows all that there is

Scenarios: `build`, of everything; `one_percent`, an increment (see exports.Mix) in a fresh process, and `..._kept`, in
a session that has taken a usual day before it; `batch`, the increment of one million lines given to more; `nothing`,
the same again. Each runs alone, from the state that `build` and a usual day left. Results are compared row by row with
the peers', and with the generator's truth. The table of what the issue asks for is printed first. Of our tables those
run that the peers compute too, and what they are made from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from lakehouse import engines, graph
from lakehouse.store import minio, storage
from tests.bench import answers, exports, report, written
from tests.bench.watch import watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.samples.daily import Truth

MILLION = 1_000_000
SMALL, SMALL_LINES = "small", 30_000  # lines of 10,000 orders
PEERS = {"plain_spark": "spark_recompute", "duckdb": "duckdb_recompute", "polars": "polars_merge"}
KEEPING = (*engines.NAMES, "polars")  # who goes on from a state; the others compute everything again
IDLE_RUNS = 3
MINIO_PREFIX = "bench"


class Cell(NamedTuple):
    """One measurement: how much there is, what happens, and who does it."""

    size: str
    scenario: str
    who: str

    @property
    def key(self) -> str:
        return "/".join(self)


@dataclass
class Bench:
    """Exports, states and results in one folder."""

    folder: Path
    base: int
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "results.json"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    # What is delivered

    def parts(self, size: str) -> dict[Path, exports.Part]:
        """The folders of the exports, which are made where they are not there."""
        small = size == SMALL
        parts = exports.parts_of(SMALL_LINES if small else int(size), self.base)
        folders = {self.folder / "parts" / (SMALL if small else part.name): part for part in parts}
        for folder, part in folders.items():
            exports.make(folder, part, exports.CHANGES_ALONE if small else exports.ONE_PERCENT)
        return folders

    def steps(self, size: str, until: str) -> list[tuple[Path, str]]:
        """The last step of each part: `batch` is the increment of the first one alone."""
        last = [until] * len(self.parts(size)) if until != "batch" else ["more", *["day"] * len(self.parts(size))]
        return list(zip(self.parts(size), last, strict=False))

    def landing(self, size: str, until: str) -> Path:
        landing = self.folder / "landing" / size / until
        if not landing.exists():
            names = ("history", "day", "more")
            last = self.steps(size, until)
            exports.land(landing, [part / name for part, end in last for name in names[: names.index(end) + 1]])
        return landing

    def truth(self, size: str, until: str) -> dict[int, Truth]:
        return exports.truth(self.steps(size, until))

    # States

    def start_from(self, size: str, who: str, step: str | None) -> Path:
        """A fresh copy of a state to work on; an empty folder for None."""
        shutil.rmtree(self.work, ignore_errors=True)
        if step:
            shutil.copytree(self.state(size, who, step), self.work)
        return self.work

    def states(self, size: str, who: str) -> Path:
        """Ours hold for one definition of the tables: with another one, an increment would be a rebuild."""
        ours = graph.selected(graph.load(), answers.COMPARED) if who in engines.NAMES else {}
        prints = "".join(table.fingerprint for table in ours.values())
        return (
            self.folder / "states" / size / f"{who}{hashlib.sha256(prints.encode()).hexdigest()[:8] if prints else ''}"
        )

    def state(self, size: str, who: str, step: str) -> Path:
        """How it stands after the history, or after the day that follows; made and noted where it is not there."""
        path = self.states(size, who) / step
        if not path.exists():
            before, scenario = (None, "build") if step == "history" else ("history", "day")
            self.run(Cell(size, scenario, who), before, step)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.work.rename(path)
        return path

    # Measurements

    def measure(self, cell: Cell) -> None:
        until = {"build": "history", "batch": "batch", "batch_kept": "batch"}.get(cell.scenario, "more")
        if cell.scenario == "nothing_on_minio":
            self.idle_on_minio(cell)
        elif cell.scenario == "build" and cell.who in KEEPING:
            for path in (self.folder / "states" / cell.size).glob(f"{cell.who}*"):
                shutil.rmtree(path)
            self.state(cell.size, cell.who, "history")
        elif cell.scenario.endswith("_kept"):
            self.run_kept(cell, until)
        else:
            self.run(cell, "day" if cell.who in KEEPING else None, until)
            if cell.who in engines.NAMES and cell.scenario == "one_percent":
                self.idle(cell, self.landing(cell.size, until))
        shutil.rmtree(self.work, ignore_errors=True)

    def run(self, cell: Cell, before: str | None, until: str) -> None:
        """One fresh process, from a state to the end of a step."""
        lake, landing = self.start_from(cell.size, cell.who, before), self.landing(cell.size, until)
        versions = written.versions(lake) if lake.exists() else {}
        cost, _, told = watch(command(cell.who, lake, landing), folder=graph.HOME, env=environment(cell.who))
        self.say(cell, told)
        self.note(cell, until, asdict(cost), versions)

    def run_kept(self, cell: Cell, until: str) -> None:
        """The usual day first, then what is measured, in one process."""
        lake = self.start_from(cell.size, cell.who, "history")
        landings = [str(self.landing(cell.size, step)) for step in ("day", until)]
        module = [sys.executable, "-m", "tests.bench.kept_session"]
        cost, answer, told = watch([*module, str(lake), *landings], folder=graph.HOME, env=environment(cell.who))
        self.say(cell, told)
        first, second = json.loads(answer)
        self.note(cell, until, asdict(cost) | {"seconds": second, "day_seconds": first})

    def idle(self, cell: Cell, landing: Path) -> None:
        versions = written.versions(self.work)
        costs = [
            watch(command(cell.who, self.work, landing), folder=graph.HOME, env=environment(cell.who))[0]
            for _ in range(IDLE_RUNS)
        ]
        costs.sort(key=lambda cost: cost.seconds)
        commits = sum(one.commits for one in written.since(self.work, versions).values())
        self.keep(cell._replace(scenario="nothing"), asdict(costs[len(costs) // 2]) | {"commits": commits})

    def idle_on_minio(self, cell: Cell) -> None:
        server = minio.start(say=print)
        minio.ensure_bucket(server)
        _, writer = minio.reader_and_writer(server)
        env = environment(cell.who) | writer.environment()
        os.environ.update(writer.environment())
        address = f"s3://{minio.BUCKET}/{MINIO_PREFIX}"
        clear_away(address)
        source = self.landing(cell.size, "day")
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            storage.client().upload_file(str(file), minio.BUCKET, f"{MINIO_PREFIX}/landing/{file.relative_to(source)}")
        run = [str(Path(sys.executable).with_name("lakehouse")), "run", "--lake", f"{address}/lake"]
        costs = [
            watch([*run, "--landing", f"{address}/landing"], folder=graph.HOME, env=env)[0]
            for _ in range(IDLE_RUNS + 1)
        ]
        seconds = statistics.median(cost.seconds for cost in costs[1:])
        self.keep(cell, asdict(costs[-1]) | {"seconds": seconds})
        clear_away(address)

    def note(self, cell: Cell, until: str, cost: dict[str, float], versions: dict[str, int] | None = None) -> None:
        facts: dict[str, Any] = dict(cost)
        facts["answers"] = {name: asdict(answers.answer(str(self.work), name)) for name in answers.COMPARED}
        facts["untrue"] = answers.against(self.truth(cell.size, until), str(self.work))
        if versions is not None and cell.who in KEEPING:
            facts["written"] = {name: asdict(one) for name, one in written.since(self.work, versions).items()}
        self.keep(cell, facts)

    def say(self, cell: Cell, told: str) -> None:
        """What a run told, for whoever wonders at its numbers."""
        path = self.folder / "said" / f"{cell.key.replace('/', ' ')}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(told, encoding="utf-8")

    def keep(self, cell: Cell, facts: dict[str, Any]) -> None:
        self.results[cell.key] = facts
        self.file.write_text(json.dumps(self.results, indent=1), encoding="utf-8")
        print(f"{cell.key:40} {facts['seconds']:8.1f} s  {' '.join(map(str, facts.get('untrue', [])))}", flush=True)  # noqa: T201


def clear_away(address: str) -> None:
    bucket, prefix = address.removeprefix("s3://").split("/", 1)
    keys = [{"Key": f"{prefix}/{file.path}"} for file in storage.list_files(address)]
    for start in range(0, len(keys), 1000):
        storage.client().delete_objects(Bucket=bucket, Delete={"Objects": keys[start : start + 1000]})


def command(who: str, lake: Path, landing: Path) -> list[str]:
    if who in engines.NAMES:
        program = Path(sys.executable).with_name("lakehouse")
        return [str(program), "run", *answers.COMPARED, "--lake", str(lake), "--landing", str(landing)]
    return [sys.executable, "-m", f"tests.bench.{PEERS[who]}", str(landing), str(lake)]


def environment(who: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    engine = {"LAKEHOUSE_ENGINE": who} if who in engines.NAMES else {}
    return others | engine | {"LAKEHOUSE_DRIVER_MEMORY": "4g"}


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """What is compared stands side by side: a busy machine is then busy for all of them."""
    for size in options.sizes:
        everyone = [*options.engines, *(options.peers if size != SMALL else [])]
        yield from (Cell(size, "build", who) for who in everyone)
        yield from (Cell(size, "one_percent", who) for who in everyone)
        yield from (Cell(size, "one_percent_kept", who) for who in options.engines)
        if size != SMALL and int(size) > options.base:
            yield from (Cell(size, scenario, who) for scenario in ("batch", "batch_kept") for who in options.engines)
        if options.minio and size == SMALL:
            yield from (Cell(size, "nothing_on_minio", who) for who in options.engines)


def fits(cell: Cell, patterns: list[str]) -> bool:
    return any(fnmatch(cell.key, pattern) for pattern in patterns)


def bench(options: argparse.Namespace, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    one = Bench(folder, options.base)
    if one.file.exists():
        one.results = json.loads(one.file.read_text("utf-8"))
    for cell in cells(options):
        is_due = cell.key not in one.results or fits(cell, options.again)
        if is_due and fits(cell, options.only):
            one.measure(cell)
    report.show(one.results, options.sizes, str(options.base), options.engines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=[SMALL, "100000", "1000000", "5000000"])
    parser.add_argument("--engines", nargs="+", default=[engines.NATIVE], choices=engines.NAMES)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--base", type=int, default=MILLION, help="The size whose increment larger ones get as well.")
    parser.add_argument("--keep", type=Path, help="Where everything is kept; a temporary folder, without it.")
    parser.add_argument("--again", nargs="*", default=[], help="Patterns of size/scenario/who to measure again.")
    parser.add_argument("--only", nargs="*", default=["*"], help="Patterns of what to measure at all.")
    parser.add_argument("--minio", action="store_true", help="An idle run on MinIO too, which it starts.")
    options = parser.parse_args()
    if options.keep:
        bench(options, options.keep.resolve())
        return
    with tempfile.TemporaryDirectory() as folder:
        bench(options, Path(folder))


if __name__ == "__main__":
    main()
