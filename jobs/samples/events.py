"""Sample traffic of a shop's users, as dirty as the real one, and its exact truth: messages of a topic in their order.

A day of sessions: each looks at products of the sample exports (view), at some closer (click), and buys some of these
(purchase). The dirt is on purpose: messages come out of order, some hours late, some are sent again, and some are no
event at all. What is measured of what silver keeps must come out as the law says.

As in jobs/samples/daily.py only `Random.random()` is used, and a day's content depends on the settings only.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from math import log
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from jobs.samples.daily import MARKETS, Product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

T = TypeVar("T")

# The law
CLICKS, PURCHASES = 0.3, 0.25  # of views that become a click, of clicks that become a purchase
VIEWS = 6  # of a session, on average
NEW, NOBODY = 0.2, 0.05  # users who were never here before; sessions of visitors who are not known
PLATFORMS = ("android",) * 5 + ("ios",) * 3 + ("web",) * 2
HOURS = (0, 6, 7, 8, 9, 10, 11, 12, 12, 13, 14, 15, 16, 17, 18, 18, 19, 19, 20, 20, 20, 21, 21, 22)  # of their start
PAUSE = 40  # seconds between two events of a session, on average; never half an hour
# The dirt
AGAIN, LATE, WITHOUT_ID, BROKEN = 0.02, 0.01, 0.01, 0.01
OUT_OF_ORDER, LATEST = 5, 3 * 60 * 60  # seconds that a message takes, that a late one takes
FIRST_USER = 3_144_000


class Message(NamedTuple):
    """As it is sent; the key is the user, so that each one's messages are in one partition."""

    sent_at: datetime
    key: bytes | None
    value: bytes | None


@dataclass
class Truth:
    """What there is once all is read."""

    messages: int = 0
    sessions: int = 0
    events: Counter[str] = field(default_factory=Counter)  # by name, each once
    again: int = 0
    late: int = 0
    broken: Counter[str] = field(default_factory=Counter)  # by kind


@dataclass(frozen=True)
class Traffic:
    """Messages in the order in which they arrive, and what is true of them."""

    messages: list[Message]
    truth: Truth


class Chances:
    """Drawn one after the other."""

    def __init__(self, seed: str) -> None:
        self.random = Random(seed).random

    def chance(self, share: float) -> bool:
        """Say yes in this share of all cases."""
        return self.random() < share

    def pick(self, items: Sequence[T]) -> T:
        """Choose each with the same chance."""
        return items[self.below(len(items))]

    def pick_popular(self, items: Sequence[T]) -> T:
        """Choose the first ones more often."""
        number = self.random()
        return items[int(number * number * len(items))]

    def below(self, limit: int) -> int:
        """Choose a whole number from 0 to limit - 1."""
        return int(self.random() * limit)


def generate(day: date, *, sessions: int = 500, seed: int = 7) -> Traffic:
    """A UTC day's sessions; all but the late messages arrive within it, or some seconds after."""
    chances, truth = Chances(f"{seed} {day}"), Truth(sessions=sessions)
    messages = [one for number in range(sessions) for one in _session(chances, truth, day, number, sessions)]
    messages.sort(key=lambda one: one.sent_at)
    truth.messages = len(messages)
    return Traffic(messages, truth)


def _session(chances: Chances, truth: Truth, day: date, number: int, sessions: int) -> Iterator[Message]:
    user = _user(chances, day, number, sessions)
    platform = PLATFORMS[(user or chances.below(len(PLATFORMS))) % len(PLATFORMS)]
    begin = time(chances.pick(HOURS), chances.below(60), chances.below(60))
    at = datetime.combine(day, begin, UTC)
    for order, (name, product) in enumerate(_steps(chances)):
        at += timedelta(seconds=_pause(chances)) if order else timedelta()
        if at.date() != day:
            return
        event = {
            "event_id": f"{day:%Y%m%d}-{number:06}-{order:03}",
            "event_datetime": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "event_name": name,
            "user_id": str(user) if user else None,
            "platform": platform,
            "product_name": f"{product.category} {product.sku}",
            "sku": product.sku,
        }
        yield from _sent(chances, truth, at, event)


def _user(chances: Chances, day: date, number: int, sessions: int) -> int:
    """0 for nobody; who returns is one of as many as there are sessions, some more often."""
    if chances.chance(NOBODY):
        return 0
    if chances.chance(NEW):
        return FIRST_USER + day.toordinal() * 1_000_000 + number
    return FIRST_USER + chances.pick_popular(range(sessions))


def _steps(chances: Chances) -> Iterator[tuple[str, Product]]:
    """Each view with what comes of it."""
    products = [one for one in MARKETS[0].products if one.sku]
    while True:
        product = chances.pick_popular(products)
        yield "view", product
        if chances.chance(CLICKS):
            yield "click", product
            if chances.chance(PURCHASES):
                yield "purchase", product
        if chances.chance(1 / VIEWS):
            return


def _pause(chances: Chances) -> float:
    return min(1 - PAUSE * log(1 - chances.random()), 25 * 60)


def _sent(chances: Chances, truth: Truth, at: datetime, event: dict[str, Any]) -> Iterator[Message]:
    key = event["user_id"].encode() if event["user_id"] else None
    arrived = at + timedelta(seconds=chances.random() * OUT_OF_ORDER)
    if chances.chance(BROKEN):
        kind = chances.pick([*KINDS])
        truth.broken[kind] += 1
        yield Message(arrived, key, KINDS[kind](event))
        return
    truth.events[event["event_name"]] += 1
    if chances.chance(LATE):
        truth.late += 1
        arrived += timedelta(seconds=60 + chances.random() * LATEST)
    if chances.chance(WITHOUT_ID):
        del event["event_id"]
    value = _json({name: cell for name, cell in event.items() if cell is not None})
    yield Message(arrived, key, value)
    if "event_id" in event and chances.chance(AGAIN):
        truth.again += 1
        yield Message(arrived + timedelta(seconds=1 + chances.random() * 600), key, value)


def _json(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def _in_ten_years(event: Mapping[str, Any]) -> str:
    return f"{int(event['event_datetime'][:4]) + 10}{event['event_datetime'][4:]}"


KINDS: dict[str, Callable[[Mapping[str, Any]], bytes | None]] = {
    "no value": lambda _: None,
    "empty": lambda _: b"",
    "no JSON": lambda event: f"{event['event_name']} of {event['sku']}".encode(),
    "cut off": lambda event: _json(event)[:-20],
    "a list": lambda event: b"[" + _json(event) + b"]",
    "not UTF-8": lambda event: _json(event).replace(b'"view', b'"vi\xff').replace(b'"sku":"', b'"sku":"\xff'),
    "a key twice": lambda event: _json(event)[:-1] + b',"sku":"another"}',
    "an unknown event": lambda event: _json({**event, "event_name": "scroll"}),
    "no time": lambda event: _json({**event, "event_datetime": "yesterday"}),
    "without a time": lambda event: _json({name: cell for name, cell in event.items() if name != "event_datetime"}),
    "in the future": lambda event: _json({**event, "event_datetime": _in_ten_years(event)}),
    "an object for a text": lambda event: _json({**event, "product_name": {"en": event["product_name"]}}),
}
