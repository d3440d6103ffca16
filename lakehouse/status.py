"""What stands in the lake, and what stands in quarantine: read by the deltalake package, without a JVM."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse import ops, plan, progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakehouse.graph import Table
    from lakehouse.ledger import Entry


@dataclass(frozen=True)
class Line:
    """One table: `behind` says what a run would do, `rejected` counts the rows of its quarantine."""

    table: str
    version: int | None
    rows: int | None
    rejected: int | None
    changed_at: datetime | None
    behind: str


def lines(root: str, tables: Mapping[str, Table], taken: list[Entry]) -> list[Line]:
    """One line per table, in the order of the graph."""
    return [_line(root, table, taken) for table in tables.values()]


def _line(root: str, table: Table, taken: list[Entry]) -> Line:
    address = progress.address(root, table.name)
    decision = plan.decide(root, table, taken)
    behind = decision.reason if decision.does_something else ""
    log = progress.open_table(address)
    if log is None:
        return Line(table.name, None, None, None, None, behind)
    changed_at = datetime.fromtimestamp(log.history(1)[0]["timestamp"] / 1000, UTC)
    return Line(
        table.name,
        log.version(),
        _count(address),
        _count(progress.address(root, progress.rejected(table.name))) or 0,
        changed_at,
        behind,
    )


def _count(address: str) -> int | None:
    answer = ops.query(address, "select count(*) as n from t")
    return int(answer[0]["n"]) if answer else None
