"""Sample store exports, dirty as the real one, and their exact truth: for who asks for them, not for the demo.

An export holds each store that is new or has changed, with both of its histories whole. The dirt is on purpose: an app
that was removed and installed again on one day has two intervals on it; the end of a subscription that goes on is when
it was last looked at, with a fraction of a second; a changed plan begins when the one before ends, or a second later;
and of each export but the first one store's JSON breaks off.

As in jobs/samples/daily.py only `Random.random()` is used, and a day's content depends on the other settings only.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")

HEADER = ("store_id", "installHistory", "subscriptionHistory")
A_DAY, A_SECOND, A_MILLISECOND = timedelta(days=1), timedelta(seconds=1), timedelta(milliseconds=1)
SEEN_AT = time(0, 44, 27, 700000)
FOREVER = datetime(2100, 1, 1)  # noqa: DTZ001  what the export says is of no zone
BEFORE = 60  # days in which stores came before the first export
# Shares, as measured in the real export
ENDED = 0.7  # installs that end
BACK = 0.3  # of these, stores that come back
SPLIT = 0.18  # installs that are delivered as two intervals
SUBSCRIBED = 0.33  # stores with a subscription
CHANGED = 0.3  # subscriptions after which comes another plan
A_SECOND_LATER = 0.1  # of these
TWICE = 0.05  # subscriptions that are delivered as two intervals
PLANS = (("regular_1", "19.0"),) * 6 + (
    ("regular_2_5", "29.0"), ("regular_5", "49.0"), ("plus_1", "69.0"), ("regular_1_discount", "15.2"),
    ("plus_1_discount", "51.75"),
)  # fmt: skip
START_TYPES = (None, "CUSTOMER_REACTIVATED", "CUSTOMER_REOPENED")
END_TYPES = (None,) * 6 + ("CUSTOMER_CANCELLED", "CUSTOMER_CLOSED")


class Interval(NamedTuple):
    """Of an install, from its first to its last day, or of a subscription; `parts`: as how many it is delivered."""

    begin: datetime
    end: datetime
    parts: int
    words: tuple[str | None, ...]  # start and end type, or plan and price


@dataclass(frozen=True)
class Store:
    """All that becomes of a store; an export knows what began before its day, or until its moment."""

    store_id: str
    installs: list[Interval]
    subscriptions: list[Interval]

    def row(self, now: datetime) -> list[str]:
        """Its cells in the export of that moment."""
        installs = [part for one in self.installs for part in install_parts(one, now.date())]
        plans = [part for one in self.subscriptions for part in plan_parts(one, now)]
        return [self.store_id, as_json(installs), as_json(plans)]


@dataclass
class Truth:
    """The files, and what tables hold once all are read: a store that broke off is as it was delivered before."""

    files: list[Path] = field(default_factory=list)
    stores: int = 0
    installs: int = 0
    subscriptions: int = 0
    cash: Decimal = Decimal(0)
    rejected_stores: int = 0


def generate(landing: Path, *, stores: int = 40, days: int = 3, start: date = date(2022, 7, 1), seed: int = 7) -> Truth:
    """Write an export of each of the days, from `start` on."""
    random = Random(seed)
    every = [a_store(random, number, start, days) for number in range(stores)]
    truth, said, right, waiting = Truth(), dict[str, list[str]](), dict[str, datetime](), set[str]()
    for now in (datetime.combine(start, SEEN_AT) + number * A_DAY for number in range(days)):
        rows = [row for store in every if (row := store.row(now))[1] != "[]" and row != said.get(store.store_id)]
        said |= {row[0]: row for row in rows}
        broken = pick(random, rows)[0] if right and rows else ""
        right |= {row[0]: now for row in rows if row[0] != broken}
        waiting = waiting - {row[0] for row in rows} | ({broken} if broken else set())
        delivered = [[row[0], row[1][:-3], row[2]] if row[0] == broken else row for row in rows]
        truth.files.append(write(landing / "stores" / f"{now:%Y-%m-%d}" / "stores.csv", delivered))
    for store in every:
        if as_of := right.get(store.store_id):
            add(truth, store, as_of)
    truth.rejected_stores = len(waiting)
    return truth


def add(truth: Truth, store: Store, now: datetime) -> None:
    """What is known of a store at a moment: an interval counts once, as how many it is delivered."""
    plans = [one for one in store.subscriptions if one.begin < now]
    truth.stores += 1
    truth.installs += sum(one.begin.date() < now.date() for one in store.installs)
    truth.subscriptions += len(plans)
    truth.cash += sum(Decimal(str(one.words[1])) for one in plans)


def a_store(random: Random, number: int, start: date, days: int) -> Store:
    """Installs with two days or more between them; subscriptions one after the other in the first of them."""
    begin = datetime.combine(start, time()) - (1 + below(random, BEFORE)) * A_DAY + below(random, days) * A_DAY
    installs, subscriptions = list[Interval](), list[Interval]()
    while not installs or (random.random() < BACK and installs[-1].end < FOREVER):
        end = begin + below(random, 40) * A_DAY if random.random() < ENDED else FOREVER
        words = (pick(random, START_TYPES) if installs else None, pick(random, END_TYPES))
        installs.append(Interval(begin, end, 2 if random.random() < SPLIT else 1, words))
        begin = end + (2 + below(random, 20)) * A_DAY if end < FOREVER else begin
    if random.random() < SUBSCRIBED:
        at, plans = installs[0].begin + (1 + below(random, 60 * 60 * 20)) * A_SECOND, list(PLANS)
        while not subscriptions or random.random() < CHANGED:
            words = pick(random, plans)
            plans = [one for one in plans if one != words]
            until = at + (1 + below(random, 60 * 60 * 24 * 30)) * A_SECOND
            subscriptions.append(Interval(at, until, 2 if random.random() < TWICE else 1, words))
            at = until + (A_SECOND if random.random() < A_SECOND_LATER else 0 * A_SECOND)
    return Store(f"Store_{4000 + number}", installs, subscriptions)


def install_parts(one: Interval, today: date) -> list[dict[str, object]]:
    """Ends are the last millisecond of a day; the second part begins on the day on which the first ends."""
    split = one.begin + min(one.end - one.begin, 8 * A_DAY) // A_DAY // 2 * A_DAY
    parts = [(one.begin, one.end)] if one.parts == 1 else [(one.begin, split), (split, one.end)]
    known = [(begin, end) for begin, end in parts if begin.date() < today]
    return [
        {
            "toNow": end.date() >= today,
            "startType": one.words[0] if begin == one.begin else None,
            "fromDate": stamp(begin),
            "endType": one.words[1] if end == one.end and end.date() < today else None,
            "toDate": None if end.date() >= today else stamp(end + A_DAY - A_MILLISECOND),
        }
        for begin, end in known
    ]


def plan_parts(one: Interval, now: datetime) -> list[dict[str, object]]:
    split = one.begin + (one.end - one.begin) // (2 * A_SECOND) * A_SECOND
    parts = [(one.begin, one.end)] if one.parts == 1 else [(one.begin, split), (split, one.end)]
    plan = {"price": float(str(one.words[1])), "planName": one.words[0]}
    return [
        {**plan, "fromDate": stamp(begin), "toDate": stamp(min(end, now)), "billingOnDate": None}
        for begin, end in parts
        if begin < now
    ]


def stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def as_json(objects: Sequence[dict[str, object]]) -> str:
    return json.dumps(objects, separators=(",", ":"))


def write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *rows])
    return path


def below(random: Random, end: int) -> int:
    return int(random.random() * end)


def pick(random: Random, some: Sequence[T]) -> T:
    return some[below(random, len(some))]
