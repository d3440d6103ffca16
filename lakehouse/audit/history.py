"""`ops.runs`: what each run did, one row per table that it wrote or could not write. Later choices are made from it."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakehouse import engines
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lakehouse.audit.turns import Decision, Done
    from lakehouse.delta.files.feed import Written
    from lakehouse.writes.rewind import Restored, Rewind

RUNS = "ops.runs"
REMEMBERED = 20  # of a table
RECENT = 100  # commits
# For the session; for all that comes before a write; and for commits, which Spark computes while it writes.
WAITING, COMPUTING, WRITING = "waiting", "computing", "writing"
REWIND = "rewind"  # what a turn of a rewind did: no path of a plan

TYPES: Mapping[str, ops.Kind] = {
    "run": "text",
    "at": "moment",
    "table_name": "text",
    "path": "text",
    "reason": "text",
    "seconds": "real",
    "phases": "text",
    "rows_in": "whole",
    "rows_changed": "whole",
    "rows_of_inputs": "whole",
    "rows_written": "whole",
    "rows_deleted": "whole",
    "units": "whole",
    "files": "whole",
    "bytes": "whole",
    "commits": "whole",
    "version": "whole",
    "error": "text",
    "engine": "text",
}


@dataclass(frozen=True)
class Ran:
    """One table's turn in a run. Counts that are not known are None, `units` also where all were computed.

    `path` and `reason` as `plan` says them, or REWIND and where to; `seconds` in all and by phase; `rows_in`: delivered
    rows that came in; `rows_changed` of all `rows_of_inputs`: what the plan made its choice from; rows `written` and
    `deleted`, new `files` of rows and their `bytes`, as the commits up to `version` have them; `error` is empty where
    there was none, and `engine`, the name of what computed, where it was not recorded yet.
    """

    table: str
    path: str
    reason: str = ""
    seconds: float = 0.0
    phases: Mapping[str, float] = field(default_factory=dict)
    rows_in: int | None = None
    rows_changed: int | None = None
    rows_of_inputs: int | None = None
    rows_written: int | None = None
    rows_deleted: int | None = None
    units: int | None = None
    files: int | None = None
    bytes: int | None = None
    commits: int | None = None
    version: int | None = None
    error: str = ""
    engine: str = ""
    run: str = ""
    at: datetime | None = None

    @property
    def cost(self) -> float:
        """The seconds that the work took: not those in which the session started, which another run may not need."""
        return self.seconds - self.phases.get(WAITING, 0.0)


def ran(root: str, done: Done) -> Ran:
    """What a turn that ended well did; what it wrote is read from the table's log."""
    from lakehouse.delta.files import feed  # noqa: PLC0415  Arrow, which a look at what runs did does not need

    decision, until = done.decision, done.version
    since = decision.state.version if decision.state else -1
    did = None if until is None else feed.written(progress.address(root, decision.table), since, until)
    if decision.rows_of_inputs is None:
        decision = replace(decision, rows_of_inputs=progress.rows_of(root, decision.inputs))
    return Ran(
        **_of_decision(decision),
        **(_of_commits(did) if did else {}),
        seconds=done.seconds,
        phases=done.phases,
        rows_in=done.rows_in,
        units=done.units,
        version=until,
    )


def failed(decision: Decision, seconds: float, error: BaseException) -> Ran:
    """A turn that ended with an error, which has written nothing that counts."""
    return Ran(**_of_decision(decision), seconds=seconds, error=str(error) or type(error).__name__)


def _of_decision(decision: Decision) -> dict[str, Any]:
    facts = {"table": decision.table, "path": decision.path, "reason": decision.reason}
    return facts | {"rows_changed": decision.rows, "rows_of_inputs": decision.rows_of_inputs}


def _of_commits(did: Written) -> dict[str, Any]:
    counts = {"rows_written": did.rows, "rows_deleted": did.deleted}
    return counts | {"files": did.files, "bytes": did.bytes, "commits": did.commits}


def note(root: str, run: str, at: datetime, engine: str, done: Sequence[Done], broken: Sequence[Ran] = ()) -> None:
    """Append a run's turns in one commit: those that did something, and those that broke. Without any there is none."""
    worked = [one for one in done if one.decision.does_something]
    with ThreadPoolExecutor(log.AT_ONCE) as pool:
        turns = list(pool.map(lambda one: ran(root, one), worked))
    write(root, run, at, [replace(one, engine=engine) for one in (*turns, *broken)])


def rewound(root: str, work: Rewind, restored: Sequence[Restored]) -> None:
    """Append the tables that a rewind wrote, as a run of its own."""
    from lakehouse.delta.files import feed  # noqa: PLC0415

    rows = []
    for one in restored:
        did = feed.written(progress.address(root, one.table), one.before, one.version)
        facts = _of_commits(did) if did else {}
        rows.append(Ran(one.table, REWIND, work.where, one.seconds, version=one.version, **facts))
    write(root, work.id, work.at, rows)


def write(root: str, run: str, at: datetime, rows: Sequence[Ran]) -> None:
    """Append them in one commit; a run without work makes none."""
    ops.append(root, RUNS, TYPES, [_row(one) | {"run": run, "at": at.astimezone(UTC)} for one in rows])


def _row(one: Ran) -> dict[str, Any]:
    facts = asdict(one)
    return facts | {
        "table_name": facts.pop("table"),
        "phases": json.dumps({name: round(seconds, 3) for name, seconds in one.phases.items()}),
        "error": one.error or None,
    }


class History:
    """What the tables' last runs did, the newest first; read when it is first asked for. `engine`: what runs next.

    Where it cannot be read nothing is known, which stops no run, and `problem` says why.
    """

    def __init__(self, root: str, engine: str = engines.NATIVE) -> None:
        self._engine = engine
        self._address = progress.address(root, RUNS)
        self._reading = threading.Lock()
        self.problem = ""

    def of(self, table: str) -> Sequence[Ran]:
        """At most the last 20 turns of the table, the newest first; those that broke too."""
        with self._reading:
            return self._by_table.get(table, ())

    def comparable(self, table: str) -> Sequence[Ran]:
        """Those of them by the engine that runs next: the seconds of the other say nothing of its."""
        return [one for one in self.of(table) if one.engine == self._engine]

    @cached_property
    def _by_table(self) -> Mapping[str, Sequence[Ran]]:
        by_table = defaultdict(list)
        try:
            rows = ops.query(self._address, self._newest())
        except LakehouseError as error:
            rows, self.problem = [], str(error)
        for row in rows:
            by_table[row["table_name"]].append(_ran(row))
        return by_table

    def _newest(self) -> str:
        """Of a year of runs only the last commits' files are opened: the others have no row that is new enough."""
        newest = log.history(self._address, RECENT)
        oldest = newest[-1].timestamp if len(newest) == RECENT else 0
        moment = datetime.fromtimestamp(oldest / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")
        place = "row_number() over (partition by table_name order by at desc)"
        turns = f"select *, {place} as place from t where at >= timestamp '{moment}'"  # noqa: S608
        return f"select * from ({turns}) as turns where place <= {REMEMBERED} order by place"  # noqa: S608


def _ran(row: Mapping[str, Any]) -> Ran:
    facts = {one.name: row[one.name] for one in fields(Ran) if one.name in row}
    phases = json.loads(row["phases"])
    words = {name: row.get(name) or "" for name in ("error", "engine")}
    return Ran(**facts | words | {"table": row["table_name"], "phases": phases})
