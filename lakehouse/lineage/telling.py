"""What a run tells of itself while it runs: OpenLineage's events of what it writes, where somebody collects them.

Nothing of it is loaded where nothing is configured. Whatever goes wrong here is said, and fails no run.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakehouse import engines
from lakehouse.lineage import sending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from lakehouse.delta.tables.progress import Input
    from lakehouse.graph import Table
    from lakehouse.lineage.events import Events
    from lakehouse.lineage.sending import Sender
    from lakehouse.writes.measures import Counts, Measure


class Telling:
    """Of one run over a lake, by its own `run` id and begin. `unsent` and `unknown`: in the end, what is to be said."""

    def __init__(
        self, root: str, landing: str, run: str, at: datetime, tables: Mapping[str, Table], engine: str
    ) -> None:
        self.facts = (root, landing, run, at, engine)
        self.tables, self.engine = tables, engine
        self.sender: Sender | None = None
        self.events: Events | None = None
        self.is_configured = sending.is_configured()
        self.begun: dict[str, str] = {}  # tables, with their paths
        self.unsent = ""
        self.unknown: list[str] = []
        self._lock = threading.Lock()

    def begins(self, table: str, path: str) -> None:
        """Before anything of it is computed."""
        if self.is_configured:
            with self._lock, self._never_failing():
                if self.sender is None:
                    self.sender = sending.Sender()
                    sending.check_library()
                    from lakehouse.lineage.events import Events  # noqa: PLC0415  the library, where it is wanted

                    self.events = Events(*self.facts)
                    self._tell(lambda of: of.of_run("START"))
                self.begun[table] = path
                self._tell(lambda of: of.begun(self.tables[table], path))

    def ends(
        self,
        table: str,
        inputs: Mapping[str, Input],
        versions: tuple[int, int],
        counted: tuple[Counts, Sequence[Measure]],
    ) -> None:
        """`inputs` and `versions` as Events.written has them; `counted`: what became of rows, and what checks found."""
        if path := self.begun.pop(table, ""):
            with self._lock, self._never_failing():
                from lakehouse.lineage import columns  # noqa: PLC0415

                beside_spark = self.engine != engines.NATIVE  # all at once, in a process of their own
                lineage = columns.of(self.tables, self.tables if beside_spark else [table], self.engine)[table]
                if lineage.unknown:
                    self.unknown.append(f"Lineage by column is not known of {lineage.unknown}")
                self._tell(lambda of: of.written(self.tables[table], path, inputs, versions, counted, lineage))

    def fails(self, table: str, error: BaseException) -> None:
        if path := self.begun.pop(table, ""):
            words = str(error) or type(error).__name__
            with self._lock, self._never_failing():
                self._tell(lambda of: of.failed(self.tables[table], path, words))

    def close(self, state: str, error: BaseException | None) -> None:
        """At the end of the run, in that state: it waits for what is on its way, at most sending.PATIENCE."""
        if self.sender is None:
            return
        with self._never_failing():
            words = "" if error is None else str(error) or type(error).__name__
            self._tell(lambda of: of.of_run(state, words))
        self.unsent, self.sender = self.sender.end(), None

    def _tell(self, make: Callable[[Events], object]) -> None:
        if self.sender is not None and self.events is not None:
            self.sender.give(make(self.events))

    @contextmanager
    def _never_failing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever it is, the tables are written
            if self.sender is not None:
                self.sender.failed(error)
