"""Where the new rows of a `latest` table went, counted in one pass, and which files have too many wrong ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from lakehouse.contract import IDENTITY_IS_KEPT, KEEPS_TOTALS, NOT_REPEATED, WITHIN_LIMIT
from lakehouse.documents.judgement.judging import RETRACTED
from lakehouse.documents.judgement.rules import RULES_OF, rules_of
from lakehouse.intake.records.ledger import MISDATED

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from pyspark.sql import DataFrame

    from lakehouse.contract import Contract
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.writes.measures import Measure

STATUSES = ("kept", "unchanged", "rejected", "duplicate", "superseded")
Counts = dict[str, dict[str, int]]


def _no_counts() -> Counts:
    return {"rows": dict.fromkeys(STATUSES, 0)} | {kind: {} for kind in ("rejected", "warned", "stopped", "repaired")}


@dataclass
class Account:
    """Where the new rows went. `counts`: by status (`rows`), by rule that rejected, warned or stops, what was mended.

    `by_market`: the same of each market. `by_file`: (file, batch) -> rows by status, and rows warned of. `changed`:
    file -> rows of documents of another identity than before. `refused`: (file, batch) -> why, of the new files that
    are kept out whole, and `beyond` their sequences. `measures`: what full dumps lack. `to_write` and `to_reject` count
    all judged rows, also those of older deliveries.
    """

    counts: Counts = field(default_factory=_no_counts)
    by_market: dict[int | None, Counts] = field(default_factory=dict)
    by_file: dict[tuple[str, int], Counter[str]] = field(default_factory=dict)
    changed: Counter[str] = field(default_factory=Counter)
    refused: dict[tuple[str, int], str] = field(default_factory=dict)
    beyond: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    to_write: int = 0
    to_reject: int = 0

    def add(self, market: int | None, kind: str, name: str, count: int) -> None:
        if count:
            for counts in (self.counts, self.by_market.setdefault(market, _no_counts())):
                counts[kind][name] = counts[kind].get(name, 0) + count


def account(
    engine: Engine,
    table: Table,
    judged: DataFrame,
    markets: Mapping[tuple[str, int], int | None],
    refused: Container[str] = (),
) -> Account:
    """Counts of the new rows, in one pass."""
    own = dict.fromkeys(("unit_is_unique", NOT_REPEATED, KEEPS_TOTALS, WITHIN_LIMIT), "reject")
    if table.contract.identity:
        own[IDENTITY_IS_KEPT] = table.contract.identity.on_change
    rules = {name: severity for name, (_, severity) in rules_of(table).items()} | own
    broken = [F.count_if(F.array_contains(RULES_OF[severity], name)).alias(name) for name, severity in rules.items()]
    by_its_day = [name for name, one in table.contract.rules.items() if "_delivered_at" in one.check]
    grouped = judged.groupBy("_new", "_file", "_batch", "_sequence", "_right", "_status", "_repaired", "_problem")
    warned = F.count_if(F.size("_warned") > 0).alias("_rows_warned")
    result, shares = Account(), defaultdict[tuple[str, str, int], _Share](_Share)
    counted = grouped.agg(F.count("*").alias("_count"), warned, *broken)
    for row in engine.arrow(counted).to_pylist():
        status, count = row["_status"], row["_count"]
        result.to_write += count if status == "kept" else 0
        result.to_reject += count if status == "rejected" else 0
        if not row["_new"]:
            continue
        place = (row["_file"], row["_batch"])
        if row["_sequence"] not in refused and status != RETRACTED:
            shares[row["_sequence"], *place].add(row, [one for one, severity in rules.items() if severity == "reject"])
        add = partial(result.add, markets[place])
        add("rows", status, count)
        of_file = result.by_file.setdefault(place, Counter())
        of_file[status] += count
        of_file["warned"] += row["_rows_warned"] if status in {"kept", "unchanged"} else 0
        add("repaired", row["_repaired"], count if row["_repaired"] else 0)
        if status == "rejected":
            of_file[MISDATED] += max((row[name] for name in by_its_day), default=0)
            by_rule = {name: row[name] for name, severity in rules.items() if severity == "reject"}
            for name, times in (by_rule | ({row["_problem"]: count} if row["_problem"] else {})).items():
                add("rejected", name, times)
        if status not in {"superseded", "duplicate", RETRACTED}:
            result.changed[row["_file"]] += row.get(IDENTITY_IS_KEPT, 0)
            for name, severity in rules.items():
                add("warned", name, row[name] if severity == "warn" else 0)
                add("stopped", name, row[name] if severity == "stop" and status != "rejected" else 0)
    beyond = {one: share for one, share in sorted(shares.items()) if share.is_beyond(table.contract)}
    result.beyond = tuple(dict.fromkeys(sequence for sequence, *_ in beyond))
    result.changed = +result.changed
    result.refused = {(file, batch): share.words(table.contract) for (_, file, batch), share in beyond.items()}
    return result


@dataclass
class _Share:
    """How many rows of one file are in documents that are wrong by themselves, whatever else was delivered."""

    rows: int = 0
    wrong: int = 0
    rules: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any], rules: Iterable[str]) -> None:
        self.rows += row["_count"]
        self.wrong += 0 if row["_right"] else row["_count"]
        self.rules.update({name: row[name] for name in rules if row[name]})
        self.rules.update({row["_problem"]: row["_count"]} if row["_problem"] else {})

    def is_beyond(self, promise: Contract) -> bool:
        return self.rows >= promise.reject_limit_rows and self.wrong > promise.reject_limit * self.rows

    def words(self, promise: Contract) -> str:
        rule, count = self.rules.most_common(1)[0]
        return (
            f"{self.wrong:,} of its {self.rows:,} rows ({self.wrong / self.rows:.0%}) are wrong, and the reject_limit "
            f"is {promise.reject_limit:.0%}; {count:,} by {rule} ({promise.why(rule)})"
        )
