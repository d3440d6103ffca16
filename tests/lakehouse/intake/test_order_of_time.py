"""For any files with any names, times and order of arrival, what counts is what the rule of the design says.

The model is told what a person does to files and never looks at paths by patterns, nor at a ledger.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from lakehouse.delta import ops
from lakehouse.intake import landing, ledger
from lakehouse.intake.ledger import Ledger
from tests.lakehouse.intake.test_landing import a_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lakehouse.graph import Table

NOW = datetime(2024, 3, 1, tzinfo=UTC)
ZONES = {1: "Africa/Nairobi", 2: "America/Los_Angeles"}
PATTERNS = (
    "market_{market:int}/**/{date}/**/*Orders*.csv",
    "market_{market:int}/**/*Orders*{date}*.csv",
    "market_{market:int}/**/*Orders*.csv",
)
SEEDS = 500


@dataclass(frozen=True)
class Told:
    """What a delivery says of itself: the day, when it was written, and which of equal ones is the greater."""

    day: date
    written_at: datetime
    path: str
    content: str


@dataclass
class Model:
    """Files as a person sees them, and what each name held when somebody looked last."""

    files: dict[str, tuple[str, datetime, date | None]] = field(default_factory=dict)
    seen: dict[str, tuple[str, datetime]] = field(default_factory=dict)  # content and time of each name, when last seen
    written: dict[str, datetime] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)  # when something was new for the last time
    deliveries: list[Told] = field(default_factory=list)

    def look(self) -> None:
        """Files that are seen at one look are told apart by what was there before it."""
        held = {path: content for path, (content, _) in self.seen.items()}
        changed = [path for path, (*now, _) in self.files.items() if self.seen.get(path) != tuple(now)]
        for path in changed:
            content, modified, named = self.files[path]
            least = self.written[path] + timedelta(microseconds=1) if path in self.written else modified
            written = self.written[path] = max(modified, least)
            self.seen[path] = (content, modified)
            had_it = [name for name in self.there if held[name] == content and name != path]
            is_move = any(self.files.get(name, ("",))[0] != content for name in had_it)
            if held.get(path) != content and not is_move:
                day = named or written.astimezone(ZoneInfo(ZONES[int(path[7])])).date()
                self.deliveries.append(Told(day, written, path, content))
        if changed:
            self.there = set(self.files)


def key(told: Told) -> tuple[date, datetime, str, str]:
    return told.day, told.written_at, told.path, told.content


@dataclass
class World:
    folder: Path
    random: Random
    tables: list[Table] = field(default_factory=lambda: [a_table("bronze.orders", *PATTERNS)])
    model: Model = field(default_factory=Model)
    known: Ledger = field(default_factory=Ledger)
    told: list[str] = field(default_factory=list)

    def put(self, path: str, content: str, modified: datetime, named: date | None) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"order_id\n{content}\n", encoding="utf-8")
        stamp = int(modified.timestamp())
        os.utime(file, (stamp, stamp))
        self.model.files[path] = (content, datetime.fromtimestamp(stamp, UTC), named)
        self.told.append(f"{path} holds {content}, of {modified:%d %H:%M:%S}")

    def take_away(self, path: str) -> None:
        (self.folder / path).unlink()
        del self.model.files[path]
        self.told.append(f"{path} is gone")

    def a_time(self) -> datetime:
        """Distinct in seconds, so that content decides about nothing."""
        return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=self.random.randrange(40 * 86_400))

    def a_place(self) -> tuple[str, date | None]:
        market, named = self.random.choice((1, 2)), date(2024, 1, self.random.randint(1, 30))
        spellings = (f"{named}", f"dt={named}", f"{named:%Y/%m/%d}", f"{named:%Y%m%d}", f"archive/{named}")
        folder = f"market_{market}/{self.random.choice(spellings)}"
        name = f"Orders {self.random.choice('abc')}.csv"
        plain, in_name = f"market_{market}/{name}", f"market_{market}/Orders {self.random.choice('ab')} {named}.csv"
        return self.random.choice([(f"{folder}/{name}", named), (plain, None), (in_name, named)])

    def some(self) -> tuple[str, tuple[str, datetime, date | None]]:
        return self.random.choice(sorted(self.model.files.items(), key=lambda one: one[0]))

    def look(self) -> None:
        self.model.look()
        found = landing.find(str(self.folder), self.tables, self.known, ZONES, NOW)
        if news := found.news(self.known):
            self.known = ledger.claim("", ledger.settle("", self.known, found.gone), news)
        self.told.append("a look")


def deliver(world: World) -> None:
    path, named = world.a_place()
    world.put(path, world.random.choice("123456"), world.a_time(), named)


def touch(world: World) -> None:
    path, (content, _, named) = world.some()
    world.put(path, content, world.a_time(), named)


def rewrite(world: World) -> None:
    path, (_, _, named) = world.some()
    world.put(path, world.random.choice("123456"), world.a_time(), named)


def move(world: World) -> None:
    (path, (content, modified, _)), (to, named) = world.some(), world.a_place()
    world.take_away(path)
    world.put(to, content, modified if world.random.random() < 0.5 else world.a_time(), named)


def copy(world: World) -> None:
    (_, (content, modified, _)), (to, named) = world.some(), world.a_place()
    world.put(to, content, modified if world.random.random() < 0.5 else world.a_time(), named)


def remove(world: World) -> None:
    world.take_away(world.some()[0])


def link(world: World) -> None:
    """No second name, whatever it is called."""
    path, _ = world.some()
    name = world.folder / "market_1" / f"{world.random.choice(('0', 'latest', 'zz'))} Orders {len(world.told)}.csv"
    world.told.append(f"{name} leads to {path}")
    name.parent.mkdir(exist_ok=True)
    name.symlink_to(world.folder / path)


STEPS: tuple[Callable[[World], None], ...] = (deliver, deliver, touch, rewrite, move, copy, remove, link)


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger's rows as `claim` and `settle` return them; that they are what is read afterwards is tested beside."""
    for name in ("create", "merge"):
        monkeypatch.setattr(ops, name, lambda *_, **__: None)


@pytest.mark.usefixtures("in_memory")
@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_deliveries_and_their_order_are_those_of_the_rule(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 50):
        world = World(tmp_path / str(seed), Random(seed))  # noqa: S311
        world.folder.mkdir()
        deliver(world)
        for _ in range(14):
            step = world.random.choice(STEPS) if world.model.files else deliver
            step(world)
            if world.random.random() < 0.5:
                world.look()
        world.look()
        in_order = sorted(world.known.taken(), key=lambda one: one.delivery.sequence)
        ours = [(one.delivery.path, one.delivery.delivered_at.date(), one.delivery.size) for one in in_order]
        expected = [
            (one.path, one.day, len(f"order_id\n{one.content}\n")) for one in sorted(world.model.deliveries, key=key)
        ]
        assert ours == expected, (seed, *world.told)
        shutil.rmtree(world.folder)
