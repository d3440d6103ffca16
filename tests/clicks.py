"""User events as a lake would hold them, drawn at random, and their sessions once more in plain Python."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import yaml

from lakehouse.graph import HOME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from random import Random

    from tests.rows import Cells

START = datetime(2026, 2, 26, tzinfo=UTC)
LIMITS = yaml.safe_load((HOME / "conf/events.yml").read_text(encoding="utf-8"))[0]
GAP, LONGEST = timedelta(minutes=LIMITS["gap_minutes"]), timedelta(hours=LIMITS["longest_hours"])
DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)
# What lies between two events: within a session, at its edges, beyond it; days, so that limits in days are met.
PAUSES = [timedelta(0), timedelta(seconds=7), GAP - INSTANT, GAP, GAP + INSTANT, timedelta(hours=5), 1 * DAY, 7 * DAY]
OFTEN = [6, 12, 3, 3, 3, 3, 1, 1]
PRODUCTS = [("A", "Flour"), ("A", "Flour 2 kg"), ("B", "Rice"), ("C", None), (None, "Gift"), (None, None)]


def an_event(at: str | datetime = "2026-03-02 10:00:00", **cells: object) -> Cells:
    """A view of a known user on the web."""
    text = str(at).removesuffix("+00:00")
    facts = {"user_id": "u1", "platform": "web", "event_name": "view", "sku": "A", "product_name": "Flour"}
    return facts | {"event_datetime": text, "event_date": text[:10], "event_id": None} | cells


def a_session(at: str = "2026-03-02 10:00:00", **cells: object) -> Cells:
    """A session of a known user on the web, with one view."""
    facts = {"user_id": "u1", "platform": "web", "session_date": at[:10], "started_at": at}
    counts = {"views": 1, "clicks": 0, "purchases": 0}
    return facts | counts | {"is_clicked": False, "is_purchased": False, "is_purchased_after_click": False} | cells


def a_session_product(at: str = "2026-03-02 10:00:00", **cells: object) -> Cells:
    return a_session(at, sku="A", product_name="Flour") | cells


def random_events(random: Random, number: int = 250) -> list[Cells]:
    """Of a few users on a few platforms; of one who never pauses; and some that lack what they may lack."""
    events: list[Cells] = []
    for user in ("u1", "u2", "u3", None):
        at = START + random.random() * DAY
        for _ in range(number // 5):
            at += random.choices(PAUSES, OFTEN)[0]
            events.append(_drawn(random, at, user))
    at = START + random.random() * 2 * DAY
    while at < START + 6 * DAY:
        events.append(_drawn(random, at, "endless", platform="web"))
        at += random.choices([GAP, GAP - INSTANT, 2 * GAP], [40, 20, 1])[0]
    return events


def _drawn(random: Random, at: datetime, user: str | None, **cells: object) -> Cells:
    sku, product = random.choice(PRODUCTS)
    name = random.choices(["view", "click", "purchase", None], [6, 4, 3, 1])[0]
    facts = {"user_id": user, "event_name": name, "sku": sku, "product_name": product}
    return an_event(at, platform=random.choices(["web", "ios", None], [5, 3, 1])[0], **facts) | cells


def sessions(events: Iterable[Cells]) -> list[list[Cells]]:
    """As conf/gold/sessions.yml says it: one look at each event in the order of time, with all of the past known."""
    of_platform: dict[tuple[str, str], list[Cells]] = {}
    for one in events:
        if one["user_id"] is not None:
            of_platform.setdefault((str(one["user_id"]), str(one["platform"] or "unknown")), []).append(one)
    return [session for some in of_platform.values() for session in _cut(sorted(some, key=when))]


def when(event: Cells) -> datetime:
    return datetime.fromisoformat(f"{event['event_datetime']}+00:00")


def _cut(events: Sequence[Cells]) -> list[list[Cells]]:
    found: list[list[Cells]] = []
    piece = chain = before = START
    for one in events:
        at = when(one)
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if not found or at - before > GAP:
            piece = chain = at
            found.append([])
        elif before < midnight and chain <= midnight - DAY + GAP:
            piece = midnight
            found.append([])
        elif (at - piece) // LONGEST > (before - piece) // LONGEST:
            found.append([])
        found[-1].append(one)
        before = at
    return found


def deliver(landing: Path, events: Sequence[Cells]) -> Path:
    """For the recomputation by DuckDB, which reads files."""
    (landing / "events").mkdir(parents=True)
    (landing / "events" / "events.json").write_text(json.dumps(events), encoding="utf-8")
    return landing
