"""What is measured of tables while they are written: a number per rule or check, and the error where one stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lakehouse.contract import IDENTITY_IS_KEPT
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lakehouse.contract import Contract

    Counts = Mapping[str, Mapping[str, int]]  # kind, such as rejected -> name of a place or rule -> rows

Kind = Literal["rule", "check", "score", "freshness", "volume", "reconciliation"]
JUDGED = ("kept", "unchanged", "rejected")  # rules are not asked about the others
COUNTED = {"reject": "rejected", "warn": "warned", "stop": "stopped"}  # severity -> where a run counts its rows


class ChecksFailedError(LakehouseError):
    """What must hold does not, so the table was not written; `measures` say what was counted.

    `examples`: what the message says of rows.
    """

    def __init__(self, message: str, measures: Sequence[Measure], examples: Iterable[str] = ()) -> None:
        super().__init__(message, examples)
        self.measures = tuple(measures)


@dataclass(frozen=True)
class Measure:
    """`checked` and `broken` count rows, groups or files; both are null where nothing is demanded, only measured.

    `market` is null where it is about all markets. `value` is a score from 0 to 100, hours, or a ratio.
    """

    table_name: str
    measure: Kind
    name: str
    market: int | None = None
    severity: str | None = None
    checked: int | None = None
    broken: int | None = None
    value: float | None = None
    note: str = ""

    @property
    def share(self) -> float | None:
        return None if self.broken is None or not self.checked else self.broken / self.checked

    @property
    def is_broken(self) -> bool:
        return bool(self.broken)


def rules(table: str, promise: Contract, by_market: Mapping[int | None, Counts]) -> list[Measure]:
    """Every rule of a `latest` table, broken or not, of each market that delivered.

    Rows that are superseded or duplicate are not judged.
    """
    return [
        one for market, counts in sorted(by_market.items(), key=str) for one in _rules(table, promise, market, counts)
    ]


def _rules(table: str, promise: Contract, market: int | None, counts: Counts) -> list[Measure]:
    checked = sum(counts["rows"].get(place, 0) for place in JUDGED)
    severities = dict.fromkeys(counts.get("rejected", {}), "reject") | _severities(promise)
    return [
        Measure(table, "rule", name, market, severity, checked, counts.get(COUNTED[severity], {}).get(name, 0))
        for name, severity in severities.items()
    ]


def _severities(promise: Contract) -> dict[str, str]:
    """The contract's rules and those that follow from its columns."""
    readable = [f"{name}_is_readable" for name, column in promise.columns.items() if column.source]
    required = [name for name, column in promise.columns.items() if column.required or name in promise.unit]
    of_columns = dict.fromkeys([*readable, *(f"{name}_is_present" for name in required)], "reject")
    of_identity = {IDENTITY_IS_KEPT: promise.identity.on_change} if promise.identity else {}
    return of_columns | of_identity | {name: rule.severity for name, rule in promise.rules.items()}
