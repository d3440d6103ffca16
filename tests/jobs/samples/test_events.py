"""Sample traffic is the same each time, follows its law, and its dirt is counted."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta

from jobs.samples import daily, events
from jobs.samples.events import KINDS, LATEST, Traffic

DAY = date(2026, 3, 1)


def readable(traffic: Traffic) -> list[dict[str, str]]:
    """Events as silver is to keep them, repeats among them."""
    found = []
    for _, _, value in traffic.messages:
        try:
            event = json.loads(value or b"")
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event_name") != "scroll" and value.count(b'"sku"') == 1:  # type: ignore[union-attr]
            at, name = event.get("event_datetime", ""), event["product_name"]
            found += [event] if at.startswith(f"{DAY}") and isinstance(name, str) else []
    return found


def test_a_days_traffic_is_the_same_each_time_and_in_the_order_in_which_it_arrives() -> None:
    made = events.generate(DAY, sessions=50)
    assert made == events.generate(DAY, sessions=50)
    assert made.messages != events.generate(DAY, sessions=50, seed=8).messages
    assert [one.sent_at for one in made.messages] == sorted(one.sent_at for one in made.messages)
    assert {one.sent_at.date() for one in made.messages} <= {DAY, DAY + timedelta(days=1)}


def test_what_is_sent_follows_the_law_and_every_kind_of_dirt_is_counted() -> None:
    made = events.generate(DAY, sessions=4000)
    truth, read = made.truth, readable(made)
    once = [*{(one.get("event_id", number)): one for number, one in enumerate(read)}.values()]
    assert Counter(one["event_name"] for one in once) == truth.events
    assert len(read) - len(once) == truth.again > 0
    assert len(made.messages) == truth.messages == sum(truth.events.values()) + truth.again + truth.broken.total()
    assert truth.broken.keys() == KINDS.keys()
    views, clicks, purchases = (truth.events[name] for name in ("view", "click", "purchase"))
    assert abs(clicks / views - 0.3) < 0.01
    assert abs(purchases / clicks - 0.25) < 0.02
    assert {one["sku"] for one in once} <= {one.sku for one in daily.MARKETS[0].products}
    assert {one["platform"] for one in once} == {"ios", "android", "web"}
    assert any("user_id" not in one for one in once)
    late = [one for one in made.messages if one.sent_at.date() > DAY]
    assert late
    assert max(one.sent_at for one in late) - min(one.sent_at for one in late) < timedelta(seconds=LATEST + 660)
