"""A small lake of events: messages arrive in bronze.events without a broker, and silver.events follows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from lakehouse import engines, graph
from lakehouse.contract import Contract
from lakehouse.delta.commits import committer
from lakehouse.delta.files import feed, parquet
from lakehouse.delta.tables import progress
from lakehouse.delta.tables.progress import Input, Offsets, Progress
from lakehouse.delta.tables.types import arrow_schema
from lakehouse.intake.records import ledger
from lakehouse.intake.rows import messages
from lakehouse.proof import verify
from lakehouse.proof.verify import Scope
from lakehouse.runs.run import Run
from lakehouse.writes import append
from lakehouse.writes.append import Round
from lakehouse.writes.lake import Lake, Writer

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from lakehouse.audit.turns import Done
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.proof.sides import How
    from lakehouse.proof.verify import Verdict

BRONZE, SILVER = "bronze.events", "silver.events"
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)


def append_round(lake: Lake, engine: Engine, table: Table, taken: Round, given: pa.Table, run: str) -> int:
    """A round in one commit, without a run and without brokers; its version."""
    state = lake.state(table.name)
    before = state.progress if state else None
    inputs = {ledger.TOPIC: Input(ledger.last_batch(before.inputs) + 1 if before else 0, taken.topic_id)}
    base, name = state.version if state else -1, f"{engine.name} {engine.version}"
    note = Progress(table.name, run, table.fingerprint, base, inputs, engine=name)
    sent = messages.read(given, list(table.contract.columns))
    return append.write_round(Writer(lake, engine, table, note, before), taken, sent)


def an_event(at: str = "2026-11-10T12:00:00Z", **said: object) -> bytes:
    """A message; a field that is None is left out."""
    fields = {"event_id": "e1", "event_datetime": at, "event_name": "view", "user_id": "u1", "platform": "web"}
    return json.dumps({k: v for k, v in (fields | said).items() if v is not None}).encode()


@dataclass
class Events:
    """`arrive` messages, `run`, and look. `ends`: by partition the offset of the next message."""

    folder: Path
    engine: Engine
    tables: dict[str, Table] = field(default_factory=lambda: {name: graph.load()[name] for name in (BRONZE, SILVER)})
    ends: dict[int, int] = field(default_factory=dict)

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"))

    def by(self, engine: str) -> None:
        """From now on this engine computes."""
        self.engine = engines.start(engine)

    def arrive(self, *values: bytes | None, partition: int = 0, at: datetime = NOON) -> None:
        """A round of messages of one partition; `at`: when bronze took them."""
        self.arrive_in({partition: values}, at)

    def arrive_in(self, parts: dict[int, tuple[bytes | None, ...]], at: datetime = NOON) -> None:
        rows: list[dict[str, Any]] = []
        offsets = []
        for partition, values in parts.items():
            first = self.ends.get(partition, 0)
            self.ends[partition] = first + len(values)
            offsets.append(Offsets(partition, first, self.ends[partition]))
            rows += [
                {"partition": partition, "offset": first + place, "time": at, "value": value}
                for place, value in enumerate(values)
            ]
        given = pa.Table.from_pylist(rows, arrow_schema(dict(messages.OF_A_MESSAGE)))
        taken = Round("events", "topic-1", tuple(offsets), at)
        append_round(self.lake, self.engine, self.tables[BRONZE], taken, given, "tests")

    def run(self, since: date | None = None) -> Done:
        """Silver's turn."""
        (self.folder / "landing").mkdir(exist_ok=True)
        run = Run(self.lake.root, str(self.folder / "landing"), self.tables, engine=self.engine, since=since)
        run.open()
        return run._turn(self.tables[SILVER])  # noqa: SLF001  bronze has no broker here

    def allow(self, *names: str) -> None:
        """The definition of silver.events changes: events of these names are known."""
        said = yaml.safe_load((graph.HOME / "conf/silver/events.yml").read_text(encoding="utf-8"))
        said["rules"]["event_name_is_known"]["check"] = f"event_name in ({', '.join(map(repr, names))})"
        promises = {name: table.contract for name, table in self.tables.items()} | {
            SILVER: Contract.model_validate(said)
        }
        self.tables[SILVER] = graph.table(SILVER, promises[SILVER], promises)

    def rows(self, name: str = SILVER, *columns: str) -> list[tuple[Any, ...]]:
        state = self.lake.state(name)
        if state is None:
            return []
        rows = self.lake.read(self.engine, name, state.version).select(*(columns or ("event_id", "_file", "_row")))
        return sorted((tuple(row) for row in rows.collect()), key=str)

    def verdict(self, how: How = "whole") -> Verdict:
        """Silver's, built anew."""
        verdicts = verify.verify(
            self.engine.name, self.lake, str(self.folder / "landing"), self.tables, [self.tables[SILVER]], Scope(how)
        )
        return verdicts[0]

    def expire(self, **until: int) -> None:
        """Bronze has no longer what is before these offsets of its partitions (`p0=3`), as its retention lets go."""
        state = self.lake.state(BRONZE)
        assert state is not None
        assert state.snapshot is not None
        address, files = self.lake.address(BRONZE), list(state.snapshot.files.values())
        rows = feed.read(address, state.version)
        least = [until.get(f"p{file.rpartition('/')[2]}", 0) for file in rows["_file"].to_pylist()]
        left = rows.filter(pc.greater_equal(rows["_row"], pa.array(least, pa.int64())))
        note = progress.copied(address, state.version)
        committer.remove(address, state.version, files, parquet.write(address, left), note)

    def rejected(self) -> dict[tuple[str, int], list[str]]:
        found = self.rows(f"{SILVER}__rejected", "_file", "_row", "rules")
        return {(file, row): list(rules) for file, row, rules in found}


def later(**spans: float) -> datetime:
    return NOON + timedelta(**spans)
