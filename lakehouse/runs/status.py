"""What stands in the lake, and what stands in quarantine: read from the logs alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse.delta import log, progress
from lakehouse.runs import plan
from lakehouse.runs.history import History

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakehouse.graph import Table
    from lakehouse.intake.ledger import Entry
    from lakehouse.runs.history import Ran
    from lakehouse.runs.turns import Decision


@dataclass(frozen=True)
class Line:
    """One table: `behind` says what a run would do, `rejected` counts its quarantine, `last` was its last turn."""

    table: str
    version: int | None
    rows: int | None
    rejected: int | None
    changed_at: datetime | None
    behind: str
    last: Ran | None = None


def lines(root: str, tables: Mapping[str, Table], taken: list[Entry], engine: str) -> list[Line]:
    """One line per table, in the order of the graph; `engine`: the one that would run."""
    history = History(root, engine)
    decisions = plan.decide_all(root, tables.values(), taken, history)
    with ThreadPoolExecutor(log.AT_ONCE) as pool:
        found = pool.map(lambda one: _line(root, one, next(iter(history.of(one.table)), None)), decisions.values())
        return list(found)


def _line(root: str, decision: Decision, last: Ran | None) -> Line:
    address = progress.address(root, decision.table)
    behind = decision.reason if decision.does_something else ""
    now = log.snapshot(address)
    if now is None:
        return Line(decision.table, None, None, None, None, behind, last)
    changed_at = datetime.fromtimestamp(log.history(address, 1)[0].timestamp / 1000, UTC)
    rejected = log.snapshot(progress.address(root, progress.rejected(decision.table)))
    return Line(
        decision.table,
        now.version,
        progress.rows(address, now.version),
        (progress.rows(rejected.address, rejected.version) if rejected else 0) or 0,
        changed_at,
        behind,
        last,
    )
