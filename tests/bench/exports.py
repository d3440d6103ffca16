"""Exports that grow: a history of 90 days, the usual day after it, and then the increment that is measured.

A history larger than `base` lines is that of `base` lines and a second one beside it, whose ids are shifted and whose
files have names of their own: so the increment of the first is, byte for byte, also an increment of the larger one.

Two things are other than in the samples: no note has an unquoted comma, because mending those rows would be one more
thing to write for each peer (ours still looks for them); and a path sorts like its delivery, so that a peer can tell
the newest by it.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import PurePath
from random import Random
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from jobs.samples.daily import (
    CUSTOMERS_PER_LINE,
    DAY,
    EARLIER_CUSTOMERS,
    MARKETS,
    NEWLINE,
    History,
    Market,
    Order,
    Simulation,
    Truth,
    path_of,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

T = TypeVar("T")
Files = dict[int, dict[str, str]]  # text by name by day of the folder

DAYS, START, SEED = 90, date(2022, 1, 3), 7
TASKS_WITHOUT_ORDER = 0.3  # per order, as in the samples
WEEK = 7
LATE_BY = 4  # days
KEPT = 0.02  # share of the older orders, from which an increment chooses
SHIFT = 20_000_000  # more than the ids of 5 million lines span


class Part(NamedTuple):
    """A history whose files stand beside another's: `suffix` goes into their names."""

    lines: int
    suffix: str
    shift: int

    @property
    def name(self) -> str:
        return f"{self.lines}{self.suffix}"


@dataclass(frozen=True)
class Mix:
    """What an increment holds, as shares of its orders; what is `late` lies in an older day's folder.

    Of the late ones some were never seen, some are newer than what is known of the order, and some, which come on top,
    are older than what the same increment says of the order: those lose.
    """

    size: float  # in shares of the history's lines
    new: float = 0.48
    recent: float = 0.40  # changes to orders of the last week
    anywhere: float = 0.08
    late_new: float = 0.02
    late_changed: float = 0.02
    late_superseded: float = 0.01
    with_customers: bool = True


ONE_PERCENT = Mix(0.01)
CHANGES_ALONE = Mix(0.01, 0, 0.7, 0.3, 0, 0, 0, with_customers=False)


def parts_of(lines: int, base: int) -> list[Part]:
    first = Part(min(lines, base), "", 0)
    return [first] if lines <= base else [first, Part(lines - base, " B", SHIFT)]


class Branch(Simulation):
    """A simulation that remembers orders which an increment may change."""

    def __init__(self, market: Market, part: Part) -> None:
        history = History(part.lines, DAYS, START, SEED + part.shift, TASKS_WITHOUT_ORDER)
        super().__init__(replace(market, commas=0.0), history)
        self.order_id += part.shift
        self.older_order_id += part.shift
        self.task_id += part.shift
        self.older_task_id += part.shift
        self.customer_id += part.shift
        for customer in self.waiting:  # all there are, buyers included
            customer.customer_id += part.shift
        self.suffix = part.suffix
        self.recent: dict[int, list[Order]] = {}  # by the day on which they were placed
        self.older: list[tuple[int, Order]] = []  # with that day; a sample
        self.delivered_again: dict[int, int] = {}  # the last day, by order id
        self.kept = Random(f"{history.seed}/kept/{market.number}").random  # noqa: S311  apart: days must not notice

    def named(self, day: int) -> dict[str, str]:
        """A usual day's files, by name."""
        return {
            f"{PurePath(name).stem}{self.suffix}{PurePath(name).suffix}": text
            for name, text in self.deliver(day).items()
        }

    def placed_orders(self, day: int) -> list[Order]:
        self.recent[day] = super().placed_orders(day)
        past = self.recent.pop(day - WEEK, [])
        self.older += [(day - WEEK, order) for order in past if self.kept() < KEPT]
        return list(self.recent[day])

    def changed_orders(self, day: int) -> list[Order]:
        changed = super().changed_orders(day)
        self.delivered_again |= dict.fromkeys((order.order_id for order in changed), day)
        return changed

    def increment(self, day: int, mix: Mix) -> Files:
        """The day's files, and the late ones of an older day."""
        self.random = Random(f"{self.history.seed}/increment/{self.market.number}").random  # noqa: S311
        lines_per_order = self.truth.order_lines / self.truth.orders
        orders, late_day = mix.size * self.lines / lines_per_order, day - LATE_BY
        now, late, losing = self.choose(orders, late_day, mix)
        late_rows, late_items = self.order_rows(losing), self.delivery_rows(losing)  # before they change
        self.change_all(now + late, day)
        late += self.unseen(late_day, round(orders * mix.late_new))
        late_rows, late_items = late_rows + self.order_rows(late), late_items + self.delivery_rows(late)
        new = self.new_orders(day, round(orders * mix.new * lines_per_order))
        items = self.delivery_rows(new + now + self.older_orders(day, round(len(new) * TASKS_WITHOUT_ORDER)))
        files = {day: self.texts(self.order_rows(new + now), items), late_day: {}}
        if late_rows:
            files[late_day] |= self.texts(late_rows, late_items, "_late")
        if mix.with_customers:
            wanted = orders * mix.new * lines_per_order * CUSTOMERS_PER_LINE * (1 - EARLIER_CUSTOMERS)
            today = self.changed_customers() + self.new_customers(day, round(wanted), 1)
            files[day][f"Customers{self.suffix}.json"] = self.customers_text(today)
            files[late_day][f"Customers{self.suffix}_late.json"] = self.customers_text(
                self.new_customers(late_day, 1 + round(wanted * (mix.late_new + mix.late_changed)), 1)
            )
        return files

    def choose(self, orders: float, late_day: int, mix: Mix) -> tuple[list[Order], list[Order], list[Order]]:
        """Orders to change now, to change by a late file, and (of the first) to deliver late as they were."""
        recent = self.draw([(at, order) for at, placed in self.recent.items() for order in placed])
        older = self.draw(self.older)
        fitting = [order for at, order in older if self.last_delivery(at, order) < late_day]
        late = fitting[: round(orders * mix.late_changed)]
        taken = {order.order_id for order in late}
        rest = [one for one in older if one[1].order_id not in taken]
        now = recent[: round(orders * mix.recent)] + rest[: round(orders * mix.anywhere)]
        losing = [order for at, order in now if at <= late_day][: round(orders * mix.late_superseded)]
        return [order for _, order in now], late, losing

    def draw(self, items: Sequence[T]) -> list[T]:
        """All of them in a random order."""
        keys = [(self.random(), place) for place in range(len(items))]
        return [items[place] for _, place in sorted(keys)]

    def last_delivery(self, placed_on: int, order: Order) -> int:
        return max(placed_on, self.delivered_again.get(order.order_id, placed_on))

    def change_all(self, orders: Iterable[Order], day: int) -> None:
        for order in orders:
            self.count(order, -1)
            self.change(order, day)
            self.count(order, 1)

    def unseen(self, day: int, wanted: int) -> list[Order]:
        """Orders of that day which no file has shown, with ids between those that it has."""
        known = self.recent[day][1 : 1 + wanted]  # the first one's neighbour is a task that is picked up
        return [self.unseen_beside(order, day) for order in known]

    def unseen_beside(self, known: Order, day: int) -> Order:
        order = self.new_order(known.order_id - 1, 3, day * DAY, "COMPLETED")
        order.task_ids = tuple(task_id - 1 for task_id in known.task_ids[:1])
        self.truth.tasks += len(order.task_ids)
        self.count(order, 1)
        return order

    def new_orders(self, day: int, lines: int) -> list[Order]:
        self.lines = lines * DAYS  # of which each day takes its part
        return self.placed_orders(day)[::-1]

    def texts(self, order_rows: list[str], items: list[str], late: str = "") -> dict[str, str]:
        return {
            f"Orders{self.suffix}{late}.csv": NEWLINE.join([self.market.orders_header, *order_rows]),
            f"Deliveries{self.suffix}{late}.csv": NEWLINE.join([self.market.deliveries_header, *items]),
        }


def make(folder: Path, part: Part, mix: Mix) -> None:
    """Write a part's history, day and increment below folder, each with its truths; nothing where they are there."""
    if (folder / "truth.json").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    with ProcessPoolExecutor(len(MARKETS), mp_context=get_context("spawn")) as pool:
        truths = list(
            pool.map(make_market, [folder] * len(MARKETS), [part] * len(MARKETS), [mix] * len(MARKETS), MARKETS)
        )
    text = json.dumps(truths, default=str)
    (folder / "truth.json").write_text(text, encoding="utf-8")


def make_market(folder: Path, part: Part, mix: Mix, market: Market) -> dict[str, dict[str, object]]:
    """One market's files of every step, a day at a time; what is true after each step."""
    branch = Branch(market, part)
    truths = {}
    for day in range(DAYS):
        save(folder / "history", market, {day: branch.named(day)})
    truths["history"] = asdict(branch.truth)
    save(folder / "day", market, {DAYS: branch.named(DAYS)})
    truths["day"] = asdict(branch.truth)
    save(folder / "more", market, branch.increment(DAYS + 1, mix))
    truths["more"] = asdict(branch.truth)
    return truths


def save(landing: Path, market: Market, files: Files) -> None:
    for day, texts in files.items():
        for name, text in texts.items():
            write(path_of(landing, market, START + timedelta(days=day), name), text)


def truth(steps: Iterable[tuple[Path, str]]) -> dict[int, Truth]:
    """What is true by market once these steps of these parts are delivered."""
    together = {market.number: Truth() for market in MARKETS}
    for folder, step in steps:
        for market, truths in zip(MARKETS, json.loads((folder / "truth.json").read_text("utf-8")), strict=True):
            for field in fields(Truth):
                before = getattr(together[market.number], field.name)
                setattr(together[market.number], field.name, before + type(before)(truths[step][field.name]))
    return together


def land(landing: Path, folders: Iterable[Path]) -> None:
    """A landing folder that holds all files of these folders, by links: nothing is copied, and their times stay."""
    shutil.rmtree(landing, ignore_errors=True)
    for folder in folders:
        for file in sorted(folder.rglob("*.*")):
            if file.is_file():
                target = landing / file.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(file, target)
