"""A run that SIGKILL ends before any of its writes: one more run, and the lake is what it would be undisturbed.

Points are what the store is asked to write: the claim in the ledger, each table's files, its quarantine, its commit,
the histories, the release. Killed before the next one is killed after the last. Nothing is repaired in between.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.recovery import releases
from tests.toy import Toy, with_vectors

if TYPE_CHECKING:
    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
HOME = Path(__file__).parents[1]
# Forked before an engine starts, so that Python's modules are loaded once. Each child says its point by where it dies.
KILLED = """
import os, signal, sys
from pathlib import Path
from lakehouse.delta.commits import committer
from lakehouse.delta.files import parquet
from lakehouse.recovery import releases
from lakehouse.store import storage
from tests.toy import Toy, with_vectors

begun, folder = Path(sys.argv[1]), Path(sys.argv[2])

def until(point):
    written = iter(range(1, 1000))
    def mortal(write):
        def attempt(*args):
            if next(written) == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*args)
        return attempt
    for name in ("put", "link", "put_if_absent"):
        setattr(storage, name, mortal(getattr(storage, name)))
    if isinstance(point, float):
        signal.setitimer(signal.ITIMER_REAL, point)  # of which nobody is told: it ends as by SIGKILL
    toy = Toy(folder / str(point), None)
    toy.engine, toy.sources = "native", with_vectors(toy.sources)
    toy.run()
    releases.publish(toy.lake.root, toy.tables())

points = [float(one) if "." in one else int(one) for one in sys.argv[3:]] or range(1, 1000)
for point in points:
    Toy(begun, None).copied(folder / str(point))
    child = os.fork()
    if not child:
        until(point)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    print(point, flush=True)
"""
MOST_WRITES = 1000
ORDERS = ("silver.order_lines", "silver.orders", "gold.totals")


def killed(begun: Path, folder: Path, *points: float) -> list[Path]:
    """The lakes of the runs that died, by their points: all that there are, or these; a fraction is a second."""
    command = [sys.executable, "-c", KILLED, str(begun), str(folder), *map(str, points)]
    answer = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return [folder / line for line in answer.stdout.split()]


def published(toy: Toy) -> None:
    done = toy.run()
    assert done["silver.order_lines"].decision.path != "whole"
    releases.publish(toy.lake.root, toy.tables())


def a_lake(folder: Path, engine: Native) -> Toy:
    """After its first run; a day more is delivered, with a late file and a row that is wrong."""
    toy = Toy(folder, engine)
    toy.sources = with_vectors(toy.sources)
    toy.deliver("orders.csv", "7,A,2,10.00", "7,B,1,1.00", "8,B,1,5.00", "9,C,1,1.00", day=3)
    published(toy)
    toy.deliver("orders.csv", "8,B,3,5.00", "10,C,two,1.00", "11,D,1,1.00", day=5)
    toy.deliver("orders.csv", "7,A,5,10.00", "8,B,9,9.00", day=4)
    return toy


def state(toy: Toy) -> dict[str, object]:
    """All that a reader sees: rows with their evidence, quarantine, where each file's rows went, how many releases."""
    counted = "path, status, rows, kept, unchanged, rejected, duplicate, superseded"
    files = ops.query(progress.address(toy.lake.root, "ops.files"), f"select {counted} from t order by path")
    bronze = toy.rows("bronze.orders", "_file", "_row", "order_id", "product", "quantity", "price")
    made = [one.number for one in releases.releases(toy.lake.root)]
    return {name: toy.rows(name) for name in ORDERS} | {
        "bronze": bronze,
        "rejected": toy.rejected(),
        "files": files,
        "releases": made,
        "leftover": sorted(path.name for path in toy.folder.rglob("*.tmp")),
    }


@pytest.fixture(scope="module")
def begun(engine: Native, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return a_lake(tmp_path_factory.mktemp("killed") / "begun", engine)


@pytest.fixture(scope="module")
def undisturbed(begun: Toy) -> dict[str, object]:
    toy = begun.copied(begun.folder.with_name("undisturbed"))
    published(toy)
    return state(toy)


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 3])
def test_killed_before_each_of_its_writes(
    every: int, begun: Toy, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    """Of those in the suite each third: each write stands beside one like it."""
    lakes = killed(begun.folder, tmp_path, *range(1, MOST_WRITES, every))
    assert len(lakes) > 15 // every
    for lake in lakes:
        toy = Toy(lake, begun.engine)
        toy.sources = dict(begun.sources)
        published(toy)
        assert state(toy) == undisturbed, f"killed before write {lake.name}"


@pytest.mark.long
def test_killed_again_and_again(begun: Toy, undisturbed: dict[str, object], tmp_path: Path) -> None:
    """50 lives, each of up to four runs that die at a random write or moment, the second at what the first left."""
    for life in range(50):
        chance, toy = random.Random(life), begun  # noqa: S311  the same each time
        for death in range(chance.randint(2, 4)):
            point = chance.choice([chance.randint(1, 20), round(chance.uniform(0.001, 3), 4)])
            dead = killed(toy.folder, tmp_path / f"{life} {death}", point)
            if not dead:
                break
            toy = Toy(dead[0], begun.engine)
        toy = toy.copied(tmp_path / f"{life} last")
        toy.sources = dict(begun.sources)
        published(toy)
        assert state(toy) == undisturbed, f"life {life}"
