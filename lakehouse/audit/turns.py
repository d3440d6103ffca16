"""A table's turn in a run: what was decided, and what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakehouse.delta.tables.progress import Input, State
    from lakehouse.intake.deliveries.landing import Found
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.intake.records.schema_changes import SchemaChange
    from lakehouse.writes.measures import Counts, Measure

ByFile = Mapping[tuple[str, int], Mapping[str, int]]


@dataclass(frozen=True)
class Decision:
    """`path`: nothing, load, first, whole, incremental, new (in time), late, retract, describe, wait or stop.

    To describe is to give columns the meanings of their contract; a table waits for a parent that is not there, and
    stops for what only a person can mend: then the reason has the words.

    `inputs` are pinned: both the decision and the run use these versions. `moved`: by input, the versions
    (since, until] that are new. By the logs `rows` of all `rows_of_inputs` changed; None where that was not asked.
    `unreadable`: of these, the table that was or its quarantine, not even the log can be read. `revalues`: the facts of
    conf files that are others now than when the table was written, and hold for past days too.
    """

    table: str
    path: str
    reason: str
    inputs: Mapping[str, Input] = field(default_factory=dict)
    state: State | None = None
    moved: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    rows: int | None = None
    rows_of_inputs: int | None = None
    unreadable: tuple[str, ...] = ()
    revalues: tuple[str, ...] = ()

    @property
    def does_something(self) -> bool:
        return self.path != "nothing"


@dataclass(frozen=True)
class Done:
    """What one table's turn did. `rows_in` counts the rows that came in, `counts` where they went.

    `by_file`: of a table that judges delivered rows, the same by (file, batch), `by_market` by market, whether it
    `accounts` for them in the ledger, and which new files are `late`. `refused`: why some of the new files were kept
    out whole. `changed`: by new file, the rows of documents of another identity than before. `measures`: what its
    checks counted. `waiting`: rounds of its input that wait for the next turn. `units`: how many were computed, None
    for all. `phases`: the seconds of some parts of its turn.
    """

    decision: Decision
    seconds: float = 0.0
    version: int | None = None
    rows_in: int | None = None
    counts: Counts = field(default_factory=dict)
    by_file: ByFile = field(default_factory=dict)
    by_market: Mapping[int | None, Counts] = field(default_factory=dict)
    accounts: bool = False
    late: frozenset[str] = frozenset()
    refused: Mapping[tuple[str, int], str] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)
    measures: Sequence[Measure] = ()
    units: int | None = None
    waiting: int = 0
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """`changes`: what is new in the columns of the files that were loaded; `suspects`: those that it found wrong.

    `rewound`: where a rewind went that had broken off, and that the run finished before anything else. `is_behind`: a
    topic held more than a round may take, or a table's input more than its turn, and the next run goes on at once.
    `stuck`: what keeps topics from moving, in words.
    """

    done: tuple[Done, ...]
    found: Found
    measures: tuple[Measure, ...] = ()
    changes: tuple[SchemaChange, ...] = ()
    suspects: tuple[Entry, ...] = ()
    rewound: str = ""
    is_behind: bool = False
    stuck: tuple[str, ...] = ()
