"""What was told, in `ops.alerts`, and how the last run ended; in a file of the cache folder while the lake takes none.

`ops.alerts` has a row for each notice that a route took, or did not take. Whoever is about to tell something claims it
first, so that of two processes one does; a claim that is old is nobody's.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Mapping  # noqa: TC003  pydantic reads it
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.store import storage
from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")
ALERTS = "ops.alerts"
RAISED, CLEARED, FAILED = "raised", "cleared", "failed"
TYPES: Mapping[str, ops.Kind] = {
    "at": "moment",
    **dict.fromkeys(("route", "event", "kind", "about", "severity"), "text"),
    "since": "moment",
    **dict.fromkeys(("title", "words"), "text"),
}
LAST_RUN, CLAIM, KEPT = "ops/_last_run.json", "ops/_alerts.claim", "kept.json"
OLD = timedelta(seconds=60)  # a claim
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Told:
    """A notice of a problem by a route: `raised`, `cleared`, or why it `failed` to go out, then `words` say it.

    `since` the trouble is there, as far as that is known.
    """

    at: datetime
    route: str
    event: str
    kind: str
    about: str
    severity: str
    since: datetime | None
    title: str
    words: str

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.about}"


@dataclass(frozen=True)
class LastRun:
    """How the last run ended: with an `error` since `failing_since`, or well; by source why it was `not_fetched`."""

    ended_at: datetime
    run: str = ""
    succeeded_at: datetime | None = None
    error: str = ""
    failing_since: datetime | None = None
    not_fetched: Mapping[str, tuple[str, datetime]] = field(default_factory=dict)


class Heard(NamedTuple):
    """`told`: by problem and route the last notice that went out; `failing`: by route what it did not take since."""

    told: Mapping[tuple[str, str], Told]
    failing: Mapping[str, Told]


def after(before: LastRun | None, run: str, error: str, not_fetched: Mapping[str, str]) -> LastRun:
    """The last run is this one. What failed before goes on failing since then."""
    now = datetime.now(UTC)
    since = {name: at for name, (_, at) in before.not_fetched.items()} if before else {}
    return LastRun(
        now,
        run,
        (before.succeeded_at if before else None) if error else now,
        error,
        ((before.failing_since if before else None) or now) if error else None,
        {name: (why, since.get(name, now)) for name, why in not_fetched.items()},
    )


def is_there(root: str) -> bool:
    """Whether there may be a lake, without asking a store: what was taken away is not made anew by a note in it."""
    return storage.is_s3(root) or Path(root).is_dir()


@dataclass(frozen=True)
class Claim:
    """Who is telling now, and since when; names are for people."""

    at: datetime
    host: str
    process: int


class Record:
    """`is_there`: whether the lake can be reached. Where it cannot, or does not take a row, a local file has it."""

    def __init__(self, root: str, *, is_there: bool) -> None:
        self.root, self.is_there = root, is_there
        self._local = str(cache_folder() / "alerts" / hashlib.sha256(root.encode()).hexdigest()[:12])

    def heard(self) -> Heard:
        """What every route heard, by one look at the lake and at the file."""
        rows = list[dict[str, Any]]()
        if self.is_there:
            try:
                rows = ops.newest(progress.address(self.root, ALERTS), "kind, about, route, event = 'failed'")
            except LakehouseError:
                self.is_there = False
        notices = [Told(**{name: row[name] for name in TYPES}) for row in rows] + self._kept()
        told = {(one.key, one.route): one for one in notices if one.event != FAILED}
        newest = {one.route: one for one in sorted(notices, key=lambda one: one.at)}
        return Heard(told, {route: one for route, one in newest.items() if one.event == FAILED})

    def add(self, told: Sequence[Told]) -> None:
        """With those that the lake did not take before."""
        kept = self._kept()
        if not (every := [*kept, *told]):
            return
        if self.is_there:
            with suppress(LakehouseError):
                ops.append(self.root, ALERTS, TYPES, [asdict(one) for one in every])
                if kept:
                    storage.delete(self._local, KEPT)
                return
        storage.replace(self._local, KEPT, TypeAdapter(list[Told]).dump_json(every))

    def _kept(self) -> list[Told]:
        return _read(self._local, KEPT, list[Told]) or []

    def last_run(self) -> LastRun | None:
        """None where none ever ended, as far as lake and this machine know."""
        places = [self.root, self._local] if self.is_there else [self._local]
        found = [said for place in places if (said := _read(place, LAST_RUN, LastRun))]
        return max(found, key=lambda one: one.ended_at, default=None)

    def ended(self, last: LastRun, before: LastRun | None, *, is_told: bool) -> bool:
        """Write how a run ended, unless nothing changed for less than a minute; whether it was written.

        Where somebody `is_told` of troubles, on this machine too: to be known when the lake is not there.
        """
        if before and _is_alike(before, last) and last.ended_at - before.ended_at < MINUTE:
            return False
        for root in [self.root] * self.is_there + [self._local] * is_told:
            with suppress(LakehouseError):
                storage.replace(root, LAST_RUN, TypeAdapter(LastRun).dump_json(last))
        return True

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """No other process tells anything meanwhile, unless it takes this one for dead."""
        root = self._claim(self.root) if self.is_there else ""
        root = root or self._claim(self._local)
        try:
            yield
        finally:
            with suppress(LakehouseError, OSError):
                storage.delete(root, CLAIM)

    def _claim(self, root: str) -> str:
        """The root, once this process has the claim; empty where none can be written, or one stays there."""
        until = time.monotonic() + 2 * OLD.total_seconds()
        try:
            while time.monotonic() < until:
                mine = Claim(datetime.now(UTC), socket.gethostname(), os.getpid())
                is_mine = storage.put_if_absent(root, CLAIM, TypeAdapter(Claim).dump_json(mine))
                if is_mine or is_mine is None:
                    return root if is_mine else ""
                there = _read(root, CLAIM, Claim)
                if there and datetime.now(UTC) - there.at > OLD:
                    storage.delete(root, CLAIM)
                time.sleep(0.1)
        except (LakehouseError, OSError):
            return ""
        return ""


def _is_alike(before: LastRun, now: LastRun) -> bool:
    facts = [(one.error, {name: why for name, (why, _) in one.not_fetched.items()}) for one in (before, now)]
    return facts[0] == facts[1]


def _read(root: str, path: str, kind: type[T]) -> T | None:
    """None where there is no such file, or none that can be read: of a notice too many nobody dies."""
    try:
        return TypeAdapter(kind).validate_json(storage.read_bytes(root, path))
    except (LakehouseError, ValidationError):
        return None
