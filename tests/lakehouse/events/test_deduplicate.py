"""Whatever arrives, late, repeated, out of order, is wrong, healed or taken back, silver.events is what the rule says.

The model reads each message alone and folds over all of them in the order of arrival: it knows nothing of versions,
days that are read, or what was written before.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from jobs import cli
from lakehouse import engines
from lakehouse.contract import Rule
from lakehouse.delta.commits import committer
from lakehouse.delta.upkeep import compaction
from lakehouse.engines.native import engine as native
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import retracted
from tests.events import BRONZE, NOON, SILVER, Events, an_event, later

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame

    from lakehouse.audit.turns import Done
    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark

pytestmark = pytest.mark.slow
Place = tuple[str, int]
KNOWN = ("view", "click", "purchase")


@pytest.fixture(autouse=True)
def _own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retracted, "FILE", tmp_path / "retracted.yml")


def take_back(*rows: tuple[int, str]) -> None:
    """conf/retracted.yml names these offsets of these partitions, and nothing else."""
    said = [{"source": BRONZE, "file": f"kafka/events/{one}", "rows": rows, "why": "tests"} for one, rows in rows]
    retracted.FILE.write_text(json.dumps(said), encoding="utf-8")


@dataclass(frozen=True)
class Message:
    """In the order of arrival; `at`: when bronze took it."""

    file: str
    row: int
    value: bytes | None
    at: datetime

    @property
    def place(self) -> Place:
        return self.file, self.row


@dataclass
class Model:
    messages: list[Message] = field(default_factory=list)
    known: tuple[str, ...] = KNOWN
    gone: set[Place] = field(default_factory=set)

    def fold(self) -> tuple[set[Place], set[Place], Counter[str]]:
        """Which messages are kept, which stand in quarantine, and how many are what."""
        kept: dict[Place, tuple[str | None, date]] = {}
        rejected: set[Place] = set()
        counts: Counter[str] = Counter()
        for one in self.messages:
            said = self._read(one)
            if one.place in self.gone:
                counts["retracted"] += 1
            elif one.value is None:
                counts["empty"] += 1
            elif said is None:
                rejected.add(one.place)
            elif said[0] is not None and any(
                said[0] == name and abs((said[1] - day).days) <= 1 for name, day in kept.values()
            ):
                counts["duplicate"] += 1
            else:
                kept[one.place] = said
        counts.update({"kept": len(kept), "rejected": len(rejected)})
        return set(kept), rejected, +counts

    def _read(self, one: Message) -> tuple[str | None, date] | None:
        try:
            said = json.loads(one.value or b"")
            at = datetime.fromisoformat(said["event_datetime"])
        except (ValueError, KeyError):
            return None
        right = said.get("event_name") in (None, *self.known)
        return (said.get("event_id"), at.astimezone(UTC).date()) if right and abs(at - one.at).days < 30 else None


class World:
    """A lake and its model, and what may happen to both; `engines`: one is drawn for each turn."""

    def __init__(self, folder: Path, seed: int, *names: str) -> None:
        self.chance, self.engines = Random(seed), names  # noqa: S311  the same each time
        self.lake, self.model, self.now = Events(folder, engines.start(names[0])), Model(), NOON

    def arrive(self) -> None:
        self.now += timedelta(hours=self.chance.choice([1, 5, 20]))
        parts = {}
        for one in self.chance.sample(range(3), self.chance.randint(1, 3)):
            first = self.lake.ends.get(one, 0)
            parts[one] = tuple(self.message() for _ in range(self.chance.randint(1, 6)))
            file = f"kafka/events/{one}"
            self.model.messages += [Message(file, first + n, value, self.now) for n, value in enumerate(parts[one])]
        self.lake.arrive_in(parts, self.now)
        # Within a round messages arrive by partition.
        last = sum(map(len, parts.values()))
        self.model.messages[-last:] = sorted(self.model.messages[-last:], key=lambda one: one.place)

    def message(self) -> bytes | None:
        match self.chance.random():
            case n if n < 0.05:
                return None
            case n if n < 0.1:
                return b'{"event_id": '
        at = self.now - timedelta(hours=self.chance.choice([0, 0, 1, 12, 24, 30, 50, 90, 800]))
        name = self.chance.choice([*KNOWN, "buy", None])
        return an_event(at.isoformat(), event_id=self.chance.choice([*"abcde", None]), event_name=name)

    def heal(self) -> None:
        self.model.known = self.chance.choice([KNOWN, (*KNOWN, "buy"), KNOWN[:2]])
        self.lake.allow(*self.model.known)

    def take_back(self) -> None:
        ends = [(one, end) for one, end in self.lake.ends.items() if end]
        spans = []
        for one, end in self.chance.sample(ends, min(len(ends), self.chance.randint(0, 2))):
            first = self.chance.randrange(end)
            spans.append((one, first, min(end - 1, first + self.chance.randint(0, 3))))
        self.model.gone = {(f"kafka/events/{one}", row) for one, least, most in spans for row in range(least, most + 1)}
        take_back(*((one, f"{least}-{most}") for one, least, most in spans))

    def look(self) -> None:
        """After turns until nothing is to do: one that takes something back leaves what is new to the next."""
        went: Counter[str] = Counter()
        for _ in range(4):
            self.lake.by(self.chance.choice(self.engines))
            done = self.lake.run()
            if not done.decision.does_something:
                break
            went = Counter(done.counts["rows"])
            if done.decision.path in {"first", "whole"}:
                assert +went == self.model.fold()[2]
        assert done.decision.path == "nothing", done.decision
        kept, rejected, _ = self.model.fold()
        assert {row[1:] for row in self.lake.rows()} == kept
        assert len(self.lake.rows()) == len(kept)
        assert self.lake.rejected().keys() == rejected

    def live(self, steps: int) -> None:
        for _ in range(steps):
            for _ in range(self.chance.randint(1, 3)):
                self.arrive()
            if self.chance.random() < 0.3:
                self.heal()
            if self.chance.random() < 0.3:
                self.take_back()
            self.look()


def test_after_a_history_it_is_what_the_rule_says(tmp_path: Path, engine: Native) -> None:
    world = World(tmp_path, 2, engine.name)
    world.live(4)
    verdict = world.lake.verdict()
    assert verdict.is_right, verdict


@pytest.mark.long
@pytest.mark.spark
@pytest.mark.parametrize("seed", range(10))
def test_after_any_history_of_any_engines(tmp_path: Path, on_spark: Spark, seed: int) -> None:
    world = World(tmp_path, seed, engines.NATIVE, on_spark.name)
    world.live(8)
    verdict = world.lake.verdict()
    assert verdict.is_right, verdict


@pytest.mark.spark
def test_what_one_engine_wrote_the_other_continues(tmp_path: Path, engine: Native, on_spark: Spark) -> None:
    """A few of everything, by Spark upon native and the other way round."""
    lake = Events(tmp_path, engines.start(engine.name))
    lake.arrive(an_event(), an_event(event_id="e2"), an_event(event_name="buy"), None)
    lake.run()
    lake.by(on_spark.name)
    lake.arrive(
        an_event("2026-11-11T12:00:00Z"), an_event(event_id="e3"), b"{", an_event(event_id="e3"), at=later(days=1)
    )
    counts = lake.run().counts["rows"]
    assert counts == {"kept": 1, "duplicate": 2, "rejected": 1}
    lake.allow("view", "buy")
    take_back((0, "0"))
    assert lake.run().decision.path == "whole"
    # e1 was said again on the next day, and `buy` says it before.
    assert [row for *_, row in lake.rows()] == [2, 1, 5]
    lake.by(engine.name)
    assert lake.verdict().is_right
    take_back()
    assert lake.run().decision.path == "retract"
    assert [row for *_, row in lake.rows()] == [0, 1, 5]
    lake.by(on_spark.name)
    assert lake.verdict().is_right


def test_chains_are_decided_in_the_order_of_arrival(tmp_path: Path, engine: Native) -> None:
    """Of three days the second is a repeat of the first, so the third is none; what comes later changes nothing."""
    lake = Events(tmp_path, engine)
    days = {n: an_event(f"2026-11-{n:02}T12:00:00Z") for n in range(5, 12)}
    lake.arrive(days[7], days[8], days[9], at=later(days=2))
    lake.run()
    assert [row for *_, row in lake.rows()] == [0, 2]
    lake.arrive(days[8], days[6], days[10], days[5], days[11], at=later(days=2))
    lake.run()
    assert [row for *_, row in lake.rows()] == [0, 2, 6, 7]


def test_a_day_that_is_far_from_what_arrived_is_not_read(
    tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "FEW_BYTES", 0)  # as of a table that is not small
    lake = Events(tmp_path, engine)
    lake.arrive(an_event("2026-11-01T12:00:00Z"), an_event("2026-11-05T12:00:00Z", event_id="e5"))
    lake.run()
    for path in (tmp_path / "lake/silver/events/event_date=2026-11-01").iterdir():
        path.write_bytes(bytes(path.stat().st_size))  # whoever reads it fails
    lake.arrive(an_event("2026-11-06T13:00:00Z", event_id="e5"), an_event("2026-11-06T13:00:00Z", event_id="e6"))
    assert lake.run().counts["rows"] == {"kept": 1, "duplicate": 1}


def test_late_events_go_into_few_days_a_commit(tmp_path: Path, engine: Native) -> None:
    """The rest waits for the next turn, in its order; a round by itself is never cut."""
    lake = Events(tmp_path, engine)
    lake.arrive(an_event())
    lake.run()
    for hour in range(3):
        days = [
            an_event(f"2026-10-{day:02}T12:00:00Z", event_id=f"{hour} {day}")
            for day in range(12 + 5 * hour, 22 + 5 * hour)
        ]
        lake.arrive(*days, at=later(minutes=hour))
    waiting, kept = [], []
    while (done := lake.run()).decision.does_something:
        waiting.append(done.waiting)
        kept.append(done.counts["rows"]["kept"])
    assert (waiting, kept) == ([1, 0], [20, 10])
    assert lake.verdict().is_right


def test_beyond_what_bronze_has_silver_is_what_counts(tmp_path: Path, engine: Native) -> None:
    """It is not verified, nor judged again by another rule, but by --from; what is taken back must be there."""
    lake = Events(tmp_path, engine)
    lake.arrive(an_event(), an_event(event_id="e2", event_name="buy"), at=NOON)
    lake.arrive(
        an_event("2026-11-11T12:00:00Z"),
        an_event("2026-11-11T12:00:00Z", event_id="e3", event_name="buy"),
        at=later(days=1),
    )
    lake.run()
    lake.expire(p0=2)
    lake.arrive(an_event("2026-11-12T12:00:00Z"), at=later(days=2))
    assert lake.run().decision.path == "new"
    assert [row for *_, row in lake.rows()] == [0, 4]
    verdict = lake.verdict()
    assert (verdict.is_right, verdict.note) == (
        True,
        f"{BRONZE} has rows since 2026-11-11: what came before is not built anew",
    )
    lake.allow("view", "buy")
    says = (
        r"rows since 2026-11-11 only, by its contract's retention. .* --from 2026-11-11` judges these again, and leaves"
    )
    with pytest.raises(LakehouseError, match=says):
        lake.run()
    with pytest.raises(LakehouseError, match=r"not 2026-11-10. Say --from 2026-11-11"):
        lake.run(since=date(2026, 11, 10))
    lake.run(since=date(2026, 11, 11))
    assert [row for *_, row in lake.rows()] == [0, 4, 3]
    assert lake.rejected() == {("kafka/events/0", 1): ["event_name_is_known"]}
    assert lake.verdict().is_right
    take_back((0, "0"))
    with pytest.raises(LakehouseError, match=r"what else was sent under the same ids is not known any more"):
        lake.run()
    take_back((0, "5"))
    with pytest.raises(LakehouseError, match=r"0:5-5, which bronze.events does not have: of that partition it has 2-4"):
        lake.run()
    take_back()
    assert lake.run().decision.path == "nothing"


def test_messages_are_taken_back_by_their_partition_and_offsets(tmp_path: Path, engine: Native) -> None:
    """What was sent again under the id of one that is taken back counts then."""
    lake = Events(tmp_path, engine)
    lake.arrive(an_event(), an_event(), an_event(event_id="e2"))
    lake.run()
    with pytest.raises(LakehouseError, match=r"--rows x are no offsets. Give one, or the first and the last, as 17-25"):
        retracted.add_messages(lake.tables, ["kafka/events/0"], "x", "tests")
    with pytest.raises(
        LakehouseError, match=r"Orders.csv is no partition of a topic. --rows goes with one, such as kafka/"
    ):
        retracted.add_messages(lake.tables, ["Orders.csv"], "0", "tests")
    retracted.add_messages(lake.tables, ["kafka/events/0"], "0", "tests")
    lake.arrive(an_event(event_id="e3"))
    done = lake.run()
    assert (done.decision.path, done.decision.reason) == ("retract", "kafka/events/0:0-0 were retracted")
    assert done.counts["rows"] == {"retracted": 1, "kept": 1}
    assert [row for *_, row in lake.rows()] == [1, 2]
    assert done.waiting == 1  # so the same `lakehouse run` goes on with it
    assert lake.run().decision.reason == "bronze.events moved 0 -> 1 (1 round of messages)"
    assert [row for *_, row in lake.rows()] == [1, 2, 3]
    assert lake.verdict().is_right


def test_an_event_that_a_rule_refuses_by_mistake_is_accepted_by_its_place(tmp_path: Path, engine: Native) -> None:
    """It stands where it would have, so a message that repeated it no longer counts; and the other way round."""
    lake = Events(tmp_path, engine)
    lake.arrive(an_event(event_name="buy"), an_event(), an_event(event_id="e2", event_name="buy"), b"{")
    lake.run()
    right = lake.tables[SILVER]

    def accept(*places: str) -> Done:
        lake.tables[SILVER] = replace(right, accepted=tuple(f"event_name_is_known {one}" for one in places))
        return lake.run()

    done = accept("kafka/events/0:0-0", "kafka/events/0:3-3")
    assert (done.decision.path, done.counts["rows"]) == ("accept", {"kept": 1, "duplicate": 1, "rejected": 1})
    assert [row for *_, row in lake.rows()] == [0]
    assert lake.rejected().keys() == {("kafka/events/0", 2), ("kafka/events/0", 3)}
    assert lake.verdict().is_right
    assert accept("kafka/events/0:0-0", "kafka/events/0:3-3").decision.path == "nothing"
    with pytest.raises(LakehouseError, match=r"conf/accepted.yml names kafka/events/0:9-9, which bronze.ev"):
        accept("kafka/events/0:9-9")
    accept()
    assert [row for *_, row in lake.rows()] == [1]
    assert lake.verdict().is_right


def test_what_a_developer_got_wrong_stops_it_before_anything_is_written(tmp_path: Path, engine: Native) -> None:
    lake = Events(tmp_path, engine)
    lake.arrive(an_event(), an_event(event_id="e2", event_name="click"))
    right = lake.tables[SILVER]

    def build(bronze_events: DataFrame) -> DataFrame:
        return right.build(bronze_events).where("event_name = 'view'")

    lake.tables[SILVER] = replace(right, module=SimpleNamespace(build=build))  # type: ignore[arg-type]
    with pytest.raises(LakehouseError, match=r"Its build\(\) must return one row for each row it gets"):
        lake.run()
    rules = right.contract.rules | {"only_views": Rule(check="event_name = 'view'", severity="stop", why="tests")}
    lake.tables[SILVER] = replace(right, contract=right.contract.model_copy(update={"rules": rules}))
    with pytest.raises(LakehouseError, match=r"1 rows break only_views, whose severity is stop \(tests\)"):
        lake.run()
    assert lake.rows() == []
    lake.tables[SILVER] = right
    assert lake.run().counts["rows"] == {"kept": 2}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--from", "soon"], "--from soon is no day. Give one such as 2026-01-31."),
        (["--from", "2026-01-31", "--every", "5s"], "--from judges a table again once. Leave it out, or --every."),
    ],
)
def test_the_command_judges_again_from_a_day_once(tmp_path: Path, asked: list[str], words: str) -> None:
    said = CliRunner().invoke(cli.app, ["run", "--lake", str(tmp_path), "--landing", str(tmp_path), *asked])
    assert words in " ".join(str(said.exception or said.output).split())


class _Killed(BaseException):
    """As by SIGKILL: nothing that follows it is done."""


def test_a_turn_that_ends_between_its_quarantine_and_its_table_is_done_once(
    tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each of its commits; in the end all is as if nothing had happened."""

    def turn(lake: Events) -> None:
        lake.arrive(an_event(event_id="e2"), an_event(), b"{", an_event(event_name="buy"))
        for dies_before in (1, 2, None):
            commits = iter(range(1, 10))
            with monkeypatch.context() as mortal:
                mortal.setattr(committer, "land", _mortal(committer.land, dies_before, commits))
                try:
                    lake.run()
                except _Killed:
                    assert dies_before is not None

    lake = Events(tmp_path, engine)
    lake.arrive(an_event(), b"[", an_event(event_id="e3"))
    lake.run()
    for _ in range(2):
        turn(lake)
    assert [row for *_, row in lake.rows()] == [0, 3, 2]
    assert sorted(row for _, row in lake.rejected()) == [1, 5, 6, 9, 10]
    assert len(lake.rows(f"{SILVER}__rejected", "_row")) == 5
    assert lake.run().decision.path == "nothing"
    assert lake.verdict().is_right


def _mortal(land: Callable[..., None], point: int | None, commits: Iterator[int]) -> Callable[..., None]:
    def attempt(*args: Any) -> None:  # noqa: ANN401
        if next(commits) == point:
            raise _Killed
        land(*args)

    return attempt


def test_what_is_known_of_kept_ids_is_read_once_by_a_process(
    tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is compacted meanwhile; a day's pieces become one, and what was known of files that are gone goes."""
    monkeypatch.setattr(native, "MOST_PIECES", 3)
    lake, read = Events(tmp_path, engine), list[int]()
    of_folder = native.Native._of_folder  # noqa: SLF001

    def counted(self: Native, files: list[str], *more: Any) -> DataFrame:  # noqa: ANN401
        read.append(len(files))
        return of_folder(self, files, *more)

    monkeypatch.setattr(native.Native, "_of_folder", counted)
    before, folders = set(engine.remembered), [one for one in engine.scratch.root.iterdir() if one.is_dir()]
    for number in range(12):
        again = an_event(event_id=f"e{number - 1}")
        lake.arrive(an_event(event_id=f"e{number}"), again, an_event(event_id=f"e{number}", at="2026-11-08T09:00:00Z"))
        done = lake.run()
        kept = {"kept": 2, "duplicate": 1} if number else {"kept": 3}
        assert done.counts["rows"] == kept
        if number == 9:
            assert compaction.compact(lake.lake.address(SILVER))
    assert read == [1] * 22  # of each of two days the file that the turn before wrote, or the one that all became
    mine = {key: engine.remembered.pop(key)[1] for key in set(engine.remembered) - before}
    assert len(mine) == 2
    assert all(1 <= len(list(folder.glob("*.parquet"))) <= 4 for folder in mine.values())
    for folder in mine.values():
        engine.scratch.forget(folder)
    assert [one for one in engine.scratch.root.iterdir() if one.is_dir()] == folders
