"""For any files with any names, times, contents and order of arrival, silver is what the rule of the design says.

Each seed is a market of one lake: its files are written, moved, copied, linked, touched, rewritten and taken away as
the seed draws, and after each run its rows and its quarantine are the model's (`tests/rule.py`).
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse import graph
from lakehouse.delta import ops
from lakehouse.proof import verify
from lakehouse.proof.verify import Scope
from tests.rule import Model, Row
from tests.toy import Toy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lakehouse.engines.native import Native

pytestmark = pytest.mark.slow
SEEDS, LOOKS = 500, 8
ZONES = ("Africa/Nairobi", "America/Los_Angeles", "Asia/Kathmandu", "Pacific/Kiritimati")
LINES = "silver.order_lines"
SOURCES = {
    "bronze.orders": (
        """
        owner: tests
        description: order rows as delivered
        write: append
        grain: [_file, _row]
        source:
          files:
            - "market_{market:int}/**/{date}/**/*Orders*.csv"
            - "market_{market:int}/**/*Orders*{date}*.csv"
            - "market_{market:int}/**/*Orders*.csv"
          format: csv
        columns:
          market: {type: int, meaning: of the folder}
          order_id: {type: string, meaning: the order}
          product: {type: string, meaning: what}
          quantity: {type: string, meaning: how many}
          total: {type: string, meaning: of the document}
        """,
        "def build(landing):\n    return landing\n",
    ),
    LINES: (
        """
        owner: tests
        description: lines of orders
        write: latest
        grain: [market, order_id, line_number]
        unit: [market, order_id]
        position: line_number
        repeats: duplicate
        totals: total is not null
        columns:
          market: {type: int, meaning: of the folder}
          order_id: {type: bigint, from: order_id, meaning: the order}
          line_number: {type: int, meaning: place in the order}
          product: {type: string, meaning: what}
          quantity: {type: int, from: quantity, required: true, meaning: how many}
          total: {type: int, from: total, meaning: of all lines; null where the row does not say it}
        document:
          _units: sum(quantity)
        rules:
          total_is_the_sum: {check: "total = _units", severity: reject, why: half a document has another sum}
        """,
        """
        from lakehouse.transforms import whole_number

        def build(bronze_orders):
            return bronze_orders.select(
                "market",
                whole_number("order_id").alias("order_id"),
                "product",
                whole_number("quantity", "int").alias("quantity"),
                whole_number("total", "int").alias("total"),
                "_source",
            )
        """,
    ),
}


@dataclass
class World:
    """The files of one market, in a folder and in the model."""

    landing: Path
    market: int
    random: Random
    model: Model
    told: list[str] = field(default_factory=list)

    def put(self, path: str, rows: tuple[Row, ...], modified: datetime, named: date | None) -> None:
        file = self.landing / f"market_{self.market}" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join([",".join(Row._fields), *map(",".join, rows), ""]), encoding="utf-8")
        os.utime(file, (modified.timestamp(), modified.timestamp()))
        self.model.files[path] = (rows, modified, named)
        self.told.append(f"{path}, of {modified:%d %H:%M:%S}, holds {[','.join(row) for row in rows]}")

    def take_away(self, path: str) -> None:
        (self.landing / f"market_{self.market}" / path).unlink()
        del self.model.files[path]
        self.told.append(f"{path} is gone")

    def a_time(self) -> datetime:
        """Distinct in seconds, so that neither path nor content decides."""
        return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=self.random.randrange(40 * 86_400))

    def a_place(self) -> tuple[str, date | None]:
        named = date(2024, 1, self.random.randint(1, 30))
        spellings = (f"{named}", f"dt={named}", f"{named:%Y/%m/%d}", f"{named:%Y%m%d}", f"archive/{named}")
        name = f"Orders {self.random.choice('abc')}.csv"
        in_name = f"Orders {self.random.choice('ab')} {named}.csv"
        return self.random.choice([(f"{self.random.choice(spellings)}/{name}", named), (name, None), (in_name, named)])

    def some_rows(self) -> tuple[Row, ...]:
        """Documents of which some are a part, some repeat a row, some are wrong and some name no order."""
        rows: list[Row] = []
        for order_id in self.random.sample("1234", self.random.randint(1, 2)):
            quantities = [self.random.randint(1, 9) for _ in range(self.random.randint(1, 3))]
            total = str(sum(quantities) + (self.random.random() < 0.15)) if self.random.random() < 0.6 else ""
            lines = [Row(order_id, f"{self.market}{self.random.choice('AB')}", str(one), "") for one in quantities]
            lines[-1] = lines[-1]._replace(total=total)
            if self.random.random() < 0.2:
                lines.append(self.random.choice(lines))
            if self.random.random() < 0.1:
                lines[0] = lines[0]._replace(quantity="two")
            if self.random.random() < 0.1:
                lines[0] = lines[0]._replace(order_id="")
            rows += lines
        return tuple(rows)

    def some(self) -> tuple[str, tuple[tuple[Row, ...], datetime, date | None]]:
        return self.random.choice(sorted(self.model.files.items(), key=lambda one: one[0]))

    def step(self) -> None:
        (self.random.choice(STEPS) if self.model.files else deliver)(self)


def deliver(world: World) -> None:
    path, named = world.a_place()
    world.put(path, world.some_rows(), world.a_time(), named)


def touch(world: World) -> None:
    path, (rows, _, named) = world.some()
    world.put(path, rows, world.a_time(), named)


def rewrite(world: World) -> None:
    path, (_, _, named) = world.some()
    world.put(path, world.some_rows(), world.a_time(), named)


def move(world: World) -> None:
    (path, (rows, modified, _)), (to, named) = world.some(), world.a_place()
    world.take_away(path)
    world.put(to, rows, modified if world.random.random() < 0.5 else world.a_time(), named)


def copy(world: World) -> None:
    (_, (rows, modified, _)), (to, named) = world.some(), world.a_place()
    world.put(to, rows, modified if world.random.random() < 0.5 else world.a_time(), named)


def remove(world: World) -> None:
    world.take_away(world.some()[0])


def link(world: World) -> None:
    """No second name, whatever it is called."""
    folder = world.landing / f"market_{world.market}"
    path, name = world.some()[0], f"{world.random.choice(('0', 'latest', 'zz'))} Orders {len(world.told)}.csv"
    (folder / name).symlink_to(folder / path)
    world.told.append(f"{name} leads to {path}")


STEPS: list[Callable[[World], None]] = [*[deliver] * 3, touch, *[rewrite] * 2, move, copy, remove, link]


def found(toy: Toy, table: str) -> dict[int, list[dict[str, Any]]]:
    by_market: dict[int, list[dict[str, Any]]] = defaultdict(list)
    if toy.lake.state(table):
        for row in ops.query(toy.lake.address(table), "select * from t"):
            by_market[row["market"]].append(row)
    return by_market


def test_silver_is_that_of_the_rule(tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    zones = {market: ZONES[market % len(ZONES)] for market in range(SEEDS)}
    rows: list[dict[str, object]] = [{"market": market, "time_zone": zone} for market, zone in zones.items()]
    monkeypatch.setattr(graph, "conf_file", lambda _: ("", rows))
    toy = Toy(tmp_path, engine, SOURCES)
    worlds = [World(toy.landing, seed, Random(seed), Model(zone)) for seed, zone in zones.items()]  # noqa: S311
    for _ in range(LOOKS):
        for world in worlds:
            for _ in range(world.random.randint(0, 3)):
                world.step()
            world.model.look()
            world.told.append("a look")
        toy.run()
        kept, wrong = found(toy, LINES), found(toy, f"{LINES}__rejected")
        for world in worlds:
            lines = [
                (row["order_id"], row["line_number"], row["product"], row["quantity"], str(row["total"] or ""))
                for row in kept[world.market]
            ]
            rejected = [
                (row["order_id"], tuple(sorted(row["rules"])), row["_file"].partition("/")[2], row["_row"])
                for row in wrong[world.market]
            ]
            expected = world.model.silver()
            assert (sorted(lines), sorted(rejected, key=str)) == expected, "\n".join([f"{world.market}", *world.told])
    tables = toy.tables()
    verdicts = verify.verify(engine.name, toy.lake, str(toy.landing), tables, list(tables.values()), Scope())
    assert all(one.is_right for one in verdicts), verdicts
