"""For any files with any names, times, contents and order of arrival, silver is what the rule of the design says.

Each seed is a market of one lake, or by the command a folder of one: its files are written, moved, copied, linked,
touched, rewritten and taken away as it draws, and after each run silver and its quarantine are those of the model
(`tests/rule.py`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from jobs import cli
from lakehouse import graph
from lakehouse.delta.commits import ops
from lakehouse.documents.judgement import judging
from lakehouse.intake.records import retracted
from lakehouse.proof import verify
from lakehouse.proof.verify import Scope
from lakehouse.writes.lake import Lake
from tests.rows import an_order_row
from tests.rule import Model, Row
from tests.toy import Toy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
SEEDS, OF_DUMPS, LOOKS = 120, 40, 6
MORE, MORE_OF_DUMPS = 500, 100  # by `-m long`
BY_COMMAND, LOOKS_BY_COMMAND = 10, 4
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
          customer: {type: string, meaning: whose it is}
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
        identity: {columns: [customer], on_change: reject}
        # dumps
        columns:
          market: {type: int, meaning: of the folder}
          order_id: {type: bigint, from: order_id, meaning: the order}
          line_number: {type: int, meaning: place in the order}
          product: {type: string, meaning: what}
          quantity: {type: int, from: quantity, required: true, meaning: how many}
          total: {type: int, from: total, meaning: of all lines; null where the row does not say it}
          customer: {type: string, meaning: whose it is}
        document:
          _units: sum(coalesce(quantity, 0))
        rules:
          sub_total_is_the_sum_of_lines: {check: "total = _units", severity: reject, why: half has another sum}
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
                "customer",
                "_source",
            )
        """,
    ),
}


@dataclass
class World:
    """A folder of files and its model; no other world has its orders, nor a file of the same content.

    `text`: a file of these rows. `is_on_each`: whether every row says the document's total, as real exports do.
    """

    folder: Path
    seed: int
    model: Model
    text: Callable[[tuple[Row, ...]], str]
    is_on_each: bool = False
    told: list[str] = field(default_factory=list)

    @cached_property
    def random(self) -> Random:
        return Random(self.seed)  # noqa: S311

    def put(self, path: str, rows: tuple[Row, ...], modified: datetime, named: date | None) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.text(rows), encoding="utf-8")
        os.utime(file, (modified.timestamp(), modified.timestamp()))
        self.model.files[path] = (rows, modified, named)
        self.told.append(f"{path}, of {modified:%d %H:%M:%S}, holds {[','.join(row) for row in rows]}")

    def take_away(self, path: str) -> None:
        (self.folder / path).unlink()
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
        for order in self.random.sample("1234", self.random.randint(1, 2)):
            quantities = [self.random.randint(1, 9) for _ in range(self.random.randint(1, 3))]
            total = str(sum(quantities) + (self.random.random() < 0.15)) if self.random.random() < 0.6 else ""
            total = total or (str(sum(quantities)) if self.is_on_each else "")
            customer = "" if self.is_on_each else self.random.choice("xxxxxxy ").strip()
            line = Row(f"{self.seed}{order}", "", "", total if self.is_on_each else "", customer)
            lines = [
                line._replace(product=f"{self.seed}{self.random.choice('AB')}", quantity=str(one)) for one in quantities
            ]
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

    def retractions(self, landing: Path) -> Iterator[dict[str, str]]:
        for path, rows in sorted(self.model.retracted, key=str):
            version = {} if rows is None else {"content": hashlib.sha256(self.text(rows).encode()).hexdigest()}
            file = (self.folder / path).relative_to(landing).as_posix()
            yield {"source": "bronze.orders", "file": file, "why": "a test"} | version

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
    path, name = world.some()[0], f"{world.random.choice(('0', 'latest', 'zz'))} Orders {len(world.told)}.csv"
    (world.folder / name).symlink_to(world.folder / path)
    world.told.append(f"{name} leads to {path}")


def take_back(world: World) -> None:
    """A version of a file, or all of them."""
    if world.model.deliveries:
        told = world.random.choice(world.model.deliveries)
        rows = world.random.choice([told.rows, None])
        world.model.retracted.add((told.path, rows))
        world.told.append(f"{told.path} is taken back, {'all of it' if rows is None else rows}")


def leave_again(world: World) -> None:
    """What was taken back counts again."""
    if world.model.retracted:
        one = world.random.choice(sorted(world.model.retracted, key=str))
        world.model.retracted.remove(one)
        world.told.append(f"{one[0]} is no longer taken back")


STEPS: list[Callable[[World], None]] = [
    *[deliver] * 3,
    touch,
    *[rewrite] * 2,
    move,
    copy,
    remove,
    link,
    take_back,
    leave_again,
]


def a_day(worlds: Sequence[World], landing: Path) -> None:
    for world in worlds:
        for _ in range(world.random.randint(0, 3)):
            world.step()
    deliver(worlds[0])  # a look that finds nothing new anywhere is none
    for world in worlds:
        world.model.look()
        world.told.append("a look")
    rows = [row for world in worlds for row in world.retractions(landing)]
    retracted.FILE.write_text(json.dumps(rows), encoding="utf-8")


def compare(worlds: Sequence[World], lake: Lake, landing: Path, columns: Sequence[str]) -> None:
    """Silver and its quarantine with what the model of each world says of them."""
    kept, wrong = defaultdict[str, list[tuple[object, ...]]](list), defaultdict[str, list[tuple[object, ...]]](list)
    for row in ops.query(lake.address(LINES), "select * from t"):
        key, line, product, quantity, total = (row[column] for column in columns)
        kept[str(key)[:-1]].append((key, line, product, quantity, "" if total is None else str(int(total))))
    folders = {world.folder.relative_to(landing).as_posix(): str(world.seed) for world in worlds}
    for row in ops.query(lake.address(f"{LINES}__rejected"), "select * from t"):
        folder = next(str(one) for one in Path(row["_file"]).parents if str(one) in folders)
        place = row["_file"].removeprefix(f"{folder}/"), row["_row"]
        wrong[folders[folder]].append((row["order_id"], tuple(sorted(row["rules"])), *place))
    for world in worlds:
        found = sorted(kept[str(world.seed)]), sorted(wrong[str(world.seed)], key=str)
        assert found == world.model.silver(), "\n".join([f"seed {world.seed}", *world.told])


@pytest.mark.parametrize(
    ("least", "seeds"),
    [
        pytest.param(None, SEEDS, id="any files"),
        pytest.param(0.5, OF_DUMPS, id="full dumps"),
        pytest.param(None, MORE, id="more files", marks=pytest.mark.long),
        pytest.param(0.5, MORE_OF_DUMPS, id="more full dumps", marks=pytest.mark.long),
    ],
)
def test_silver_is_that_of_the_rule(
    least: float | None, seeds: int, tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones = {market: ZONES[market % len(ZONES)] for market in range(1, seeds + 1)}
    rows: list[dict[str, object]] = [{"market": market, "time_zone": zone} for market, zone in zones.items()]
    monkeypatch.setattr(graph, "conf_file", lambda _: ("", rows))
    monkeypatch.setattr(retracted, "FILE", tmp_path / "retracted.yml")
    monkeypatch.setattr(judging, "MANY", 0)
    contract, code = SOURCES[LINES]
    dumps = "" if least is None else f"full_dump: {{of: [market], least: {least}, vanished: remove}}"
    toy = Toy(tmp_path, engine, SOURCES | {LINES: (contract.replace("# dumps", dumps), code)})
    worlds = [World(toy.landing / f"market_{one}", one, Model(zone, least), a_text) for one, zone in zones.items()]
    for _ in range(LOOKS):
        a_day(worlds, toy.landing)
        toy.run()
        compare(worlds, toy.lake, toy.landing, ("order_id", "line_number", "product", "quantity", "total"))
    tables = toy.tables()
    verdicts = verify.verify(engine.name, toy.lake, str(toy.landing), tables, list(tables.values()), Scope())
    assert all(one.is_right for one in verdicts), verdicts


def a_text(rows: tuple[Row, ...]) -> str:
    return "\n".join([",".join(Row._fields), *map(",".join, rows), ""])


def a_real_text(sign: str, rows: tuple[Row, ...]) -> str:
    """The rows as lines of an order export, at a price of 1."""
    nothing = dict.fromkeys(("cost_price", "total_cost_price"), "-")
    prices = [{"unit_price": "1", "total_price": row.quantity if row.quantity.isdigit() else "0"} for row in rows]
    lines = [
        an_order_row(order_id=row.order_id, sku=row.product, quantity=row.quantity, currency_symbol=sign)
        | price
        | dict.fromkeys(("order_total", "sub_total"), row.total)
        | nothing
        for row, price in zip(rows, prices, strict=True)
    ]
    header = [name for name in lines[0] if name != "market"]
    return "\n".join([",".join(header), *(",".join(str(line[name]) for name in header) for line in lines), ""])


def test_the_command_ends_where_the_rule_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, landing = tmp_path / "lake", tmp_path / "landing"
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(lake))
    monkeypatch.setenv("LAKEHOUSE_LANDING", str(landing))
    monkeypatch.setattr(retracted, "FILE", tmp_path / "retracted.yml")
    markets = [(1, "Africa/Nairobi", "KSh"), (2, "Africa/Lagos", "₦")]
    worlds = [
        World(landing / f"market_{market}/w{seed}", seed, Model(zone), partial(a_real_text, sign), is_on_each=True)
        for seed, (market, zone, sign) in zip(range(1, BY_COMMAND + 1), itertools.cycle(markets), strict=False)
    ]
    for _ in range(LOOKS_BY_COMMAND):
        a_day(worlds, landing)
        answer = CliRunner().invoke(cli.app, ["run", LINES])
        assert answer.exit_code == 0, answer.output
        compare(worlds, Lake(str(lake)), landing, ("order_id", "line_number", "sku", "quantity", "sub_total"))
    answer = CliRunner().invoke(cli.app, ["verify", LINES])
    assert answer.exit_code == 0, answer.output
