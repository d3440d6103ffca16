"""After a run, and how it looks: the plain Parquet files of tables whose contract says `published:`."""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Event, Thread
from typing import TYPE_CHECKING

from rich.markup import escape

from jobs.printed import visible
from lakehouse.errors import LakehouseError
from lakehouse.serving.plain_parquet import plans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from lakehouse.graph import Table
    from lakehouse.serving.plain_parquet.files import Done


def after(messages: Console, root: str, tables: Mapping[str, Table]) -> None:
    """Write the hours that were closed."""
    for name in tables:
        if said := _bring(root, tables[name], datetime.now(UTC), Event()):
            messages.print(said)


class Beside:
    """The same beside the rounds of one process, which do not wait for it: an hour of many rows takes minutes."""

    def __init__(self) -> None:
        self._at_work: Thread | None = None
        self._looked: dict[str, datetime] = {}  # up to which hour nothing is left
        self._said: list[str] = []
        self._problems: list[LakehouseError] = []

    def look(self, messages: Console, root: str, tables: Mapping[str, Table], stopping: Event) -> None:
        """Say what was done since the last look, and begin what may be due. Raises LakehouseError for what it met."""
        if self._at_work and self._at_work.is_alive():
            return
        said, problems, self._said, self._problems = self._said, self._problems, [], []
        for words_of_one in said:
            messages.print(words_of_one)
        if problems:
            raise problems[0]
        now = datetime.now(UTC)
        due = [
            one
            for name, one in tables.items()
            if one.contract.published and self._looked.get(name) != plans.closed_until(one, now)
        ]
        if due:
            self._at_work = Thread(target=self._work, args=(root, due, now, stopping), name="published")
            self._at_work.start()

    def end(self, messages: Console) -> None:
        """Once the file is there that is being put; the next run goes on with the plan."""
        if self._at_work:
            self._at_work.join()
        for said in self._said:
            messages.print(said)

    def _work(self, root: str, due: Sequence[Table], now: datetime, stopping: Event) -> None:
        try:
            for table in due:
                if said := _bring(root, table, now, stopping):
                    self._said.append(said)
                self._looked[table.name] = plans.closed_until(table, now)
        except LakehouseError as error:
            self._problems.append(error)


def _bring(root: str, table: Table, now: datetime, stopping: Event) -> str:
    """What it says of it; empty where nothing was to do."""
    if table.contract.published is None or not plans.is_due(root, table, now):
        return ""
    from lakehouse.serving.plain_parquet import files  # noqa: PLC0415  Arrow, for which idle runs have no use

    done = files.bring(root, table, now, stopping)
    return words(table, done) if done else ""


def words(table: Table, done: Done) -> str:
    plan = done.plan
    rows, files = (f"{n:,} {of}{'' if n == 1 else 's'}" for n, of in ((done.rows, "row"), (done.files, "file")))
    anew = f", begun anew: {plan.why}" if plan.since < 0 and plan.generation > 1 else ""
    return (
        f"[bold]published/{plans.name_of(table)}[/] v{plan.generation}: {rows} in {files}, hours before "
        f"{plan.closed_until:%Y-%m-%d %H:%M} UTC are closed[dim]{escape(visible(anew))}[/]"
    )
