"""`lakehouse run --every`: a process of its own that is watched, given files, and sent signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from rich.console import Console

from jobs.runs.every import Rounds, seconds
from lakehouse import engines
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from tests.toy import Toy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.protocol import Engine

HOME = Path(__file__).parents[3]
PATIENCE = 600.0  # seconds, where many processes share a small machine
LOOK_EVERY_SECOND = """
import sys
from pathlib import Path
from rich.console import Console
from jobs.runs.every import Rounds
from tests.toy import Toy
folder, engine, *names = sys.argv[1:]
if "dies" in names:
    from lakehouse.engines.native.engine import Native
    dead = Path(folder, "dead")
    dead.unlink(missing_ok=True)
    Native.spent = lambda _: "Spent." if dead.exists() else ""
toy = Toy(Path(folder), engine=None)
tables = toy.tables()
wanted = {name: one for name, one in tables.items() if name in (names or tables)}
Rounds(Console(stderr=True), toy.lake.root, str(toy.landing), tables, wanted, every=1, engine_name=engine).go_on()
"""

# Rounds whose first run does not end by itself, so that no signal can come too late for it.
IN_THE_MIDDLE_OF_WORK = """
import sys, time
from rich.console import Console
from jobs.runs.every import Rounds
from lakehouse.runs.run import Run
def execute(*_):
    sys.stderr.write("writing\\n")
    sys.stderr.flush()
    time.sleep(3600)
Run.execute = execute
Rounds(Console(quiet=True), "lake", "landing", {}, {}, every=1).go_on()
"""


class Watched:
    """The toy's tables, looked at every second by a process of its own."""

    def __init__(self, folder: Path, engine: str, *names: str) -> None:
        self.toy = Toy(folder, engine=None)  # type: ignore[arg-type]
        self._said = folder / "said"
        command = [sys.executable, "-c", LOOK_EVERY_SECOND, str(folder), engine, *names]
        with self._said.open("wb") as file:
            self.process = subprocess.Popen(command, cwd=HOME, stderr=file, stdin=subprocess.DEVNULL)

    @property
    def said(self) -> str:
        return self._said.read_text(encoding="utf-8")

    def until(self, words: str, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(re.findall(words, self.said)) < times:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def ended(self) -> int:
        return self.process.wait(PATIENCE)


@pytest.fixture
def watched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    (tmp_path / "landing").mkdir()
    one = Watched(tmp_path, *getattr(request, "param", (engines.NATIVE,)))
    yield one
    one.process.kill()
    one.process.wait()


@pytest.mark.parametrize(("text", "expected"), [("30s", 30), ("5m", 300), ("1h", 3600), (" 60s ", 60)])
def test_times_are_seconds_minutes_and_hours(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["60", "0s", "-1s", "1.5h", "1d", "soon", "1h30m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(LakehouseError, match=r"is no time\. Give seconds, minutes or hours, such as 30s, 5m or 1h\."):
        seconds(text)


class AfterRounds(threading.Event):
    """Set when the rounds have waited so many times, and it waits for nothing."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.left = rounds

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout
        self.left -= 1
        if not self.left:
            self.set()
        return self.is_set()


@pytest.fixture
def _own_signals() -> Iterator[None]:
    """The handlers that the test run had."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_signals")
def test_an_error_that_stays_is_said_once_and_another_anew(tmp_path: Path) -> None:
    said, stopping = StringIO(), AfterRounds(3)
    console = Console(file=said, width=1000)  # which cuts no path, however long
    rounds = Rounds(console, str(tmp_path / "lake"), str(tmp_path / "landing"), {}, {}, 60, stopping)
    rounds.go_on()
    assert said.getvalue().count("Error: ") == 1
    (tmp_path / "landing").mkdir()
    stopping.clear()
    stopping.left = 2
    rounds.go_on()
    assert said.getvalue().count("Error: ") == 2
    assert "landing does not exist" in said.getvalue()
    assert said.getvalue().endswith("Stopped. What is not done yet, the next run does.\n")


@pytest.mark.slow
@pytest.mark.usefixtures("_own_signals")
@pytest.mark.parametrize(("release_every", "expected"), [(0, [1, 2]), (3600, [1])])
def test_what_moved_is_released_at_most_so_often(
    tmp_path: Path, engine: Native, release_every: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    toy = Toy(tmp_path, engine)
    tables = toy.tables()
    for name in ("monday.csv", "tuesday.csv"):
        toy.deliver(name, f"{len(name)},A,2,10.00")
        stopping = AfterRounds(2)
        places = (toy.lake.root, str(toy.landing))
        Rounds(Console(quiet=True), *places, tables, tables, 60, stopping, release_every=release_every).go_on()
    assert [one.number for one in releases.releases(toy.lake.root)] == expected
    assert (tmp_path / "cache" / "looked").exists()  # by which a cluster sees that it goes on


@pytest.mark.slow
@pytest.mark.usefixtures("_own_signals")
def test_what_piled_up_is_compacted_once_an_hour(tmp_path: Path, engine: Native) -> None:
    toy = Toy(tmp_path, engine)
    for day in range(1, 9):
        toy.deliver("orders.csv", f"{day},A,1,1.00", day=day)
        toy.run("bronze.orders")
    said, tables = StringIO(), toy.tables()
    rounds = Rounds(Console(file=said, width=200), toy.lake.root, str(toy.landing), tables, tables, 60, AfterRounds(2))
    rounds.go_on()
    assert "compacted" not in said.getvalue()
    rounds.stopping = AfterRounds(2)
    rounds._compacted_at -= 3600  # noqa: SLF001
    rounds.go_on()
    assert said.getvalue().count(" tables compacted, 0 files (0 bytes) deleted.") == 1
    assert toy.versions()["bronze.orders"] == 9


@pytest.mark.slow
def test_what_arrives_is_loaded_by_the_engine_of_the_round_before(watched: Watched) -> None:
    watched.toy.deliver("monday.csv", "7,A,2,10.00")
    watched.until("done; looking again")
    watched.toy.deliver("tuesday.csv", "8,B,1,5.00")
    watched.until("done; looking again", times=2)
    watched.signal(signal.SIGINT)
    assert watched.ended() == 0
    runs = ops.query(progress.address(watched.toy.lake.root, "ops.runs"), "select * from t order by at, table_name")
    paths = [row["path"] for row in runs]
    assert (paths[0], paths[4:]) == ("load", ["load", "whole", "new", "incremental"])
    assert all('"waiting": 0.0' in row["phases"] for row in runs[4:])
    assert len(re.findall("nothing new", watched.said)) <= 1


@pytest.mark.slow
def test_a_signal_lets_what_is_being_written_be_done_and_begins_no_more(watched: Watched, engine: Engine) -> None:
    watched.toy.deliver("monday.csv", "7,A,2,10.00")
    watched.until(r"bronze\.orders +1 rows loaded")
    watched.signal(signal.SIGINT)
    assert watched.ended() == 0
    assert "Stopping when the tables that are being written are done" in watched.said
    assert re.search(r"Stopped before (silver|gold)\.\w+\. The next run goes on from there\.", watched.said)
    assert "gold.totals" not in watched.toy.versions()
    again = Toy(watched.toy.folder, engine)
    again.run()
    assert again.rows("gold.totals") == [(1, 2)]


@pytest.mark.slow
def test_a_second_signal_ends_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", IN_THE_MIDDLE_OF_WORK], cwd=HOME, stderr=subprocess.PIPE) as process:
        assert process.stderr
        try:
            assert process.stderr.readline() == b"writing\n"
            os.kill(process.pid, signal.SIGTERM)
            assert process.stderr.readline().endswith(b"once more stops at once.\n")
            assert process.poll() is None
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(PATIENCE) == 128 + signal.SIGTERM
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    "watched",
    [
        (engines.NATIVE, "bronze.orders", "dies"),  # it says so itself, and is there in a second
        pytest.param((engines.SPARK, "bronze.orders"), marks=[pytest.mark.spark, pytest.mark.long]),
    ],
    indirect=True,
)
def test_where_the_engine_is_spent_the_process_becomes_a_new_one(watched: Watched) -> None:
    watched.toy.deliver("monday.csv", "7,A,2,10.00")
    watched.until("done; looking again")
    (watched.toy.folder / "dead").touch()
    for child in psutil.Process(watched.process.pid).children():
        if child.name() == "java":
            child.kill()
    watched.until(r"(Java ended.*|Spent\.) Starting anew, \d+ \w+ after it began\.")
    watched.toy.deliver("tuesday.csv", "8,B,1,5.00")
    watched.until("done; looking again", times=2)
    watched.signal(signal.SIGTERM)
    assert watched.ended() == 0
    assert watched.toy.versions()["bronze.orders"] == 1
