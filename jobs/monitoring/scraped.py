"""`lakehouse metrics`: what is looked at for each scrape, and what is said of what could not be had."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.markup import escape

from jobs.places import POSTGRES
from jobs.printed import in_words, visible
from lakehouse.errors import is_failure
from lakehouse.metrics import measured
from lakehouse.metrics.measured import Looked, Sample

if TYPE_CHECKING:
    from rich.console import Console

    from lakehouse.alerts.rules import Alerts
    from lakehouse.runs.run import Run


class Scraped:
    """A lake that is looked at again and again. What is wrong is said when it begins, and when it is over."""

    def __init__(self, messages: Console, run: Run, alerts: Alerts) -> None:
        self.messages, self.run, self.alerts = messages, run, alerts
        self._said = dict[str, str]()

    def look(self) -> Looked:
        """Never fails: whoever scrapes must hear that the lake is not there."""
        self.run = self.run.again()
        try:
            looked = measured.look(self.run, self.alerts, os.environ.get(POSTGRES, ""))
        except BaseException as error:
            if not is_failure(error):
                raise
            looked = Looked((Sample("lakehouse_up", 0),), {"lake": in_words(error)})
        for part in self._said.keys() - looked.unknown.keys():
            self.messages.print(f"{part}: it can be had again")
        for part, why in looked.unknown.items():
            if self._said.get(part) != why:
                self.messages.print(f"[yellow]not told[/] {part}: {escape(visible(why))}")
        self._said = dict(looked.unknown)
        return looked
