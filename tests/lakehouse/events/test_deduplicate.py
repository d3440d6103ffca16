"""Whatever arrives, late, repeated, out of order, is wrong, healed or taken back, silver.events is what the rule says.

The model reads each message alone and folds over all of them in the order of arrival: it knows nothing of versions,
days that are read, or what was written before.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from lakehouse.intake import retracted
from tests.events import BRONZE, NOON, Events, an_event

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native import Native
    from lakehouse.engines.protocol import Engine

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

    def __init__(self, folder: Path, seed: int, *engines: Engine) -> None:
        self.chance, self.engines = Random(seed), engines  # noqa: S311  the same each time
        self.lake, self.model, self.now = Events(folder, engines[0]), Model(), NOON

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
            self.lake.engine = self.chance.choice(self.engines)
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


@pytest.mark.parametrize("seed", range(2))
def test_after_any_history_it_is_what_the_rule_says(tmp_path: Path, engine: Native, seed: int) -> None:
    World(tmp_path, seed, engine).live(5)
