"""A source whose pages are a list: what it was asked for stands in `asked`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.sources.windows import Page, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from lakehouse.sources.windows import Landed


@dataclass
class Listed:
    """`facts`: what its last page says of the window; `error`: what it raises behind so many pages."""

    bodies: Sequence[bytes]
    facts: Mapping[str, Any] | None = None
    error: tuple[int, BaseException] | None = None
    asked: list[str] = field(default_factory=list)
    done: list[Window] = field(default_factory=list)

    def windows(
        self, done: Sequence[Window], since: datetime | None, until: datetime | None, now: datetime
    ) -> list[Window]:
        self.done = list(done)
        return [Window(since, until, now)]

    def pages(self, window: Window, landed: Sequence[Landed]) -> Iterator[Page]:  # noqa: ARG002
        begin = landed[-1].state["next"] if landed else 0
        for number, body in enumerate(self.bodies[begin:], begin):
            if self.error and self.error[0] == number:
                raise self.error[1]
            name, is_last = f"{number:06}.json", number + 1 == len(self.bodies)
            self.asked.append(name)
            yield Page(name, body, {"next": number + 1}, rows=body.count(b"{"), facts=self.facts if is_last else None)
