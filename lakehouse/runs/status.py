"""What stands in the lake, and what stands in quarantine: read from the logs alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.runs import plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lakehouse.audit.history import History, Ran
    from lakehouse.audit.turns import Decision
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.sources.kafka.topics import Offers


@dataclass(frozen=True)
class Line:
    """One table: `behind` says what a run would do, `rejected` counts its quarantine, `last` was its last turn.

    `problem`: what stops it, in words. Numbers of a table that cannot be read are None.
    """

    table: str
    version: int | None = None
    rows: int | None = None
    files: int | None = None
    bytes: int | None = None
    rejected: int | None = None
    changed_at: datetime | None = None
    behind: str = ""
    problem: str = ""
    last: Ran | None = None


def lines(
    root: str, tables: Mapping[str, Table], taken: list[Entry], history: History, offers: Offers | None = None
) -> list[Line]:
    """One line per table, in the order of the graph. `offers`: what topics hold, where they were asked."""
    decisions = plan.decide_all(root, tables.values(), taken, history, offers=offers)
    with ThreadPoolExecutor(log.AT_ONCE) as pool:
        found = pool.map(lambda one: _line(root, one, next(iter(history.of(one.table)), None)), decisions.values())
        return list(found)


def _line(root: str, decision: Decision, last: Ran | None) -> Line:
    address, stops = progress.address(root, decision.table), decision.path == "stop"
    behind, problem = ("stops", decision.reason) if stops else (decision.reason, "")
    is_current = decision.state is not None and not decision.does_something
    line = Line(decision.table, behind="" if is_current else behind, problem=problem, last=last)
    try:
        return _with_numbers(line, address)
    except LakehouseError as error:
        return replace(line, problem=problem or str(error))


def _with_numbers(line: Line, address: str) -> Line:
    """As the log has them; none of a table that is not there, or cannot be read."""
    if log.harm(address) or (now := log.snapshot(address)) is None:
        return line
    return replace(
        line,
        version=now.version,
        rows=progress.rows(address, now.version),
        files=len(now.files),
        bytes=progress.size(address),
        rejected=_rejected(progress.rejected(address)),
        changed_at=progress.written_at(address),
    )


def _rejected(address: str) -> int | None:
    """None where it is not known."""
    if log.harm(address):
        return None
    now = log.snapshot(address)
    return (progress.rows(address, now.version) if now else 0) or 0
