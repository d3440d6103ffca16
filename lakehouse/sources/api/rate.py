"""How many requests an API is sent: never more than rate x t + burst in any time t, by the server's own clock.

A request reaches the server at some time between being sent and being answered, and nobody here knows when. So it
weighs in full from when it is sent, and what it weighs runs off only from when it is answered: the level here is never
below the server's. (A limiter that counts when requests are granted, as pyrate-limiter does, lets two through too soon
where the first was slow on its way.) The level is a file's, for all processes of this user.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from lakehouse.sources.windows import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class _Level:
    """What the file holds; times are the machine's, which all its processes share and nobody sets."""

    at: float
    answered: float = 0.0  # requests that have not run off yet
    sent: dict[str, tuple[int, float]] = field(default_factory=dict)  # process, and when it is answered at the latest
    closed_until: float = 0.0
    rate: float | None = None  # the lowest of those who sent it: nobody counts it as run off sooner


class Bucket:
    """The requests that one limit of a host counts, whose address is `of`. `rate` is a second's."""

    def __init__(self, file: Path, of: str, rate: float, burst: int) -> None:
        self.file, self.of, self.rate, self.burst = file, of, rate, burst

    @contextmanager
    def request(self, timeout: float, patience: float) -> Iterator[None]:
        """Waits until one more may be sent; in this block it is, and it must be answered within `timeout` seconds.

        Raises SourceError where the server wants to be left alone for longer than `patience` seconds.
        """
        ticket = self._ticket(timeout, patience)
        try:
            yield
        finally:
            with self._level() as level:
                if level.sent.pop(ticket, None):
                    level.answered += 1

    def close(self, seconds: float) -> None:
        """Nobody sends anything for so long, as the server asks for."""
        with self._level() as level:
            level.closed_until = max(level.closed_until, level.at + seconds)

    def _ticket(self, timeout: float, patience: float) -> str:
        ticket, until = str(uuid4()), time.monotonic() + patience
        while True:
            with self._level() as level:
                above = level.answered + len(level.sent) + 1 - self.burst
                wait = max(above / self._lowest(level), level.closed_until - level.at)
                if wait <= 0:
                    level.sent[ticket] = os.getpid(), level.at + timeout
                    level.rate = self._lowest(level)
                    return ticket
            if time.monotonic() + wait > until:
                raise SourceError(
                    f"{self.of} lets nobody ask for {wait:,.0f} more seconds, longer than the contract's `patience:`. "
                    "The next fetch goes on where this one stopped."
                )
            time.sleep(wait)

    @contextmanager
    def _level(self) -> Iterator[_Level]:
        """The level as it is now, and what is made of it; one process at a time."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            level = self._now(file.read())
            yield level
            file.seek(0)
            file.truncate()
            file.write(json.dumps(asdict(level)))

    def _now(self, text: str) -> _Level:
        now = time.monotonic()
        try:
            was = _Level(**json.loads(text or "{}"))
        except (TypeError, ValueError):  # it is new, or a process died while it wrote
            was = _Level(now, answered=self.burst if text else 0)
        if was.at > now:  # the machine was started again
            return _Level(now, answered=self.burst)
        over = [ticket for ticket, (process, until) in was.sent.items() if until < now or not _lives(process)]
        for ticket in over:
            del was.sent[ticket]
        was.answered = max(0.0, was.answered - (now - was.at) * self._lowest(was)) + len(over)
        was.rate = was.rate if was.answered or was.sent else None
        was.at = now
        return was

    def _lowest(self, level: _Level) -> float:
        return min(level.rate or self.rate, self.rate)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True
