"""Incremental equals rebuild: each table is rebuilt from what its own commit says it includes, and compared by value.

So a table's number is right as long as its inputs are, whatever arrived since; bronze is compared with landing's files.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse import engines, graph
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Progress
from lakehouse.engines import protocol
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.proof import compare, sides
from lakehouse.proof.sides import Place, Subject
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lakehouse.delta.tables.progress import State
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.proof.compare import Comparison
    from lakehouse.proof.sides import How
    from lakehouse.writes.lake import Lake

CERTIFICATES = "ops.certificates"
OTHER = "other"
TYPES: Mapping[str, ops.Kind] = {
    "verification": "text",
    "at": "moment",
    "table_name": "text",
    "version": "whole",
    "fingerprint": "text",
    "inputs": "text",
    "how": "text",
    "rows": "whole",
    "hash": "text",
    "differing": "whole",
    "equal": "truth",
    "note": "text",
    "seconds": "real",
    "written_by": "text",
    "rebuilt_by": "text",
}
AGAIN = "Run `lakehouse run`, which builds it anew, and verify it then."


@dataclass(frozen=True)
class Scope:
    """Which rows are compared: all, those of about 1 % of the units, or of the units that the last `runs` touched.

    The runs are those that wrote the table. Of bronze it is files; a table without units is compared whole.
    """

    how: How = "whole"
    runs: int = 1


@dataclass(frozen=True)
class Verdict:
    """What came of one table. `comparisons`: by name, of the table and its quarantine; none where nothing was compared.

    `reason` says why it could not be compared, which is no better than a difference; `note` what else there is to know.
    """

    table: str
    version: int
    how: How = "whole"
    fingerprint: str = ""
    inputs: Mapping[str, int | str] = field(default_factory=dict)
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""
    reason: str = ""
    written_by: str = ""
    rebuilt_by: str = ""

    @property
    def is_right(self) -> bool:
        return not self.reason and not self.differing

    @property
    def differing(self) -> int:
        return sum(one.differing for one in self.comparisons.values())


def chosen(lake: Lake, tables: Mapping[str, Table], names: Sequence[str]) -> list[Table]:
    """The named tables, parents first; all that are there when none is named. Needs no JVM.

    Raises LakehouseError where a name is unknown or its table is not there yet.
    """
    known = graph.selected(dict(tables), names)
    wanted = [table for name, table in known.items() if name in names or not names]
    missing = [table.name for table in wanted if lake.state(table.name) is None]
    if missing and (names or len(missing) == len(wanted)):
        raise LakehouseError(f"{', '.join(missing)} is not there yet in {lake.root}. Build it first: `lakehouse run`.")
    return [table for table in wanted if table.name not in missing]


def verify(
    engine: str,
    lake: Lake,
    landing: str,
    tables: Mapping[str, Table],
    wanted: Sequence[Table],
    scope: Scope,
    say: Callable[[Verdict], None] = lambda _: None,
) -> list[Verdict]:
    """Compare the wanted tables, one after the other, and append their certificates in one commit.

    By the engine of this name, or by OTHER: for each table the one that did not write it.
    """
    verdicts, at = list[Verdict](), datetime.now(UTC)
    taken = ledger.read(lake.root).taken()
    try:
        for table in wanted:
            begin = time.monotonic()
            own = engines.start(_proving(engine, lake.state(table.name))).for_a_turn(_size(lake, table, taken))
            place = Place(own, lake, storage.normalise(landing), tables, taken)
            verdict = _verify(place, table, scope)
            verdicts.append(replace(verdict, seconds=time.monotonic() - begin))
            say(verdicts[-1])
    finally:
        certify(lake.root, at, verdicts)
    return verdicts


def _size(lake: Lake, table: Table, taken: Sequence[Entry]) -> int:
    """Bytes that may have to be read: as a run's turn says it to the engine, which does other things for few."""
    files = sum(one.delivery.size for one in taken if one.delivery.table == table.name)
    return files + sum(progress.size(lake.address(name)) for name in (table.name, *table.parents))


def _proving(engine: str, state: State | None) -> str:
    """Before notes said who wrote a table, Spark did."""
    if engine != OTHER:
        return engine
    said = state.progress.engine if state and state.progress else ""
    return engines.other(said.partition(" ")[0] or engines.SPARK)


def _verify(place: Place, table: Table, scope: Scope) -> Verdict:
    state = place.lake.state(table.name)
    if state is None:
        return Verdict(table.name, -1, reason="it is not there any more.")
    verdict = Verdict(table.name, state.version, note=state.doubt)
    try:
        note = _recorded(place.lake, table, state)
        before = _before(place.lake, table, state.version, scope)
        inputs = {name: one.version for name, one in note.inputs.items()}
        how: How = "whole" if _is_whole(scope, table, note, before) else scope.how
        by = f"{place.engine.name} {place.engine.version}"
        verdict = replace(verdict, how=how, fingerprint=note.fingerprint, inputs=inputs, rebuilt_by=by)
        verdict = replace(verdict, written_by=note.engine)
        with ExitStack() as cached, _in_words(inputs | {table.name: state.version}):
            return _compared(verdict, Subject(place, table, state.version, note, how, cached, before))
    except LakehouseError as error:
        return replace(verdict, reason=str(error))


def _compared(verdict: Verdict, subject: Subject) -> Verdict:
    pair = sides.of(subject)
    comparisons = {one.name: compare.compare(one.rebuilt, one.stored, one.key) for one in pair.sides}
    notes = "; ".join(note for note in (verdict.note, pair.note) if note)
    return replace(verdict, comparisons=comparisons, note=notes)


def certify(root: str, at: datetime, verdicts: Sequence[Verdict]) -> None:
    """Append to `ops.certificates`, in one commit, what was compared; there is none of what could not be."""
    stamp = {"verification": uuid.uuid4().hex[:12], "at": at.astimezone(UTC)}
    ops.append(root, CERTIFICATES, TYPES, [stamp | _certificate(one) for one in verdicts if one.comparisons])


def _certificate(one: Verdict) -> dict[str, Any]:
    rebuilt = one.comparisons[one.table]
    facts = {"table_name": one.table, "version": one.version, "fingerprint": one.fingerprint, "how": one.how}
    counts = {"rows": rebuilt.rows, "hash": str(rebuilt.hash), "differing": one.differing, "equal": one.is_right}
    engines_of_it = {"written_by": one.written_by or None, "rebuilt_by": one.rebuilt_by}
    return (
        facts
        | counts
        | engines_of_it
        | {"inputs": json.dumps(one.inputs), "note": one.note or None, "seconds": one.seconds}
    )


# What a table says it includes ----------------------------------------------------------------------------------------


def _recorded(lake: Lake, table: Table, state: State) -> Progress:
    """The table's note; where somebody else's commit came after it, whose rows then differ, the last there is.

    Raises LakehouseError where what it includes can no longer be read as it was.
    """
    note = state.progress or next((one for _, one in _notes(lake.address(table.name))), None)
    if note is None:
        raise LakehouseError(f"none of its commits says what it includes. {AGAIN}")
    if table.contract.source:  # loaded rows stay as the definition of their day made them
        return note
    if note.fingerprint != table.fingerprint or note.inputs.keys() != set(table.inputs):
        raise LakehouseError(f"its definition changed since it was written. {AGAIN}")
    for name in table.inputs:
        if name.startswith("conf.") and graph.conf_file(name)[0] != note.inputs[name].version:
            raise LakehouseError(f"{name.replace('.', '/')}.yml changed since it was written. {AGAIN}")
    for name in table.parents:
        now = log.snapshot(lake.address(name))
        if now is None or now.id != note.inputs[name].id:
            raise LakehouseError(f"{name}, from which it was made, is gone or was made anew. {AGAIN}")
    return note


def _notes(address: str, most: int | None = None) -> Iterator[tuple[int, Progress]]:
    """What its last commits say that they include, newest first; commits without a note are somebody else's."""
    for commit in log.history(address, most):
        if note := Progress.from_json(commit.user_metadata):
            yield commit.version, note


def _before(lake: Lake, table: Table, version: int, scope: Scope) -> tuple[int, Progress] | None:
    """The version and the note that the table had before its last runs; None where there was no table yet.

    The last commits nearly always tell; a year of them, each a request on S3, is read only where they do not.
    """
    for most in (progress.RECENT, None) if scope.how == "since" else ():
        runs: set[str] = set()
        for at, note in _notes(lake.address(table.name), most):
            runs |= {note.run} if at <= version else set()
            if len(runs) > scope.runs:
                return at, note
    return None


def _is_whole(scope: Scope, table: Table, note: Progress, before: tuple[int, Progress] | None) -> bool:
    """All rows are meant, or the last runs may have changed them all: by a definition, conf, or another input."""
    if scope.how != "since" or table.contract.write == "replace":
        return scope.how == "whole" or table.contract.write == "replace"
    if before is None or table.contract.source or table.contract.deduplicate:
        return before is None or table.contract.deduplicate is not None
    return before[1].fingerprint != note.fingerprint or _identities(before[1]) != _identities(note)


def _identities(note: Progress) -> dict[str, object]:
    """What remains of each input as long as it only grows."""
    identities = {name: one.version if name.startswith("conf.") else one.id for name, one in note.inputs.items()}
    return identities | {"retracted": note.retracted, "accepted": note.accepted}


@contextmanager
def _in_words(versions: Mapping[str, int | str]) -> Iterator[None]:
    """Of a version whose files are gone its name; of whatever else Spark cannot do what it says at the bottom."""
    try:
        yield
    except protocol.errors() as error:
        words = protocol.words(error)
        lost = [name for name in versions if f"/{name.replace('.', '/')}/" in words]
        if lost and protocol.is_about_lost_files(error):
            raise sides.gone(lost[0], versions[lost[0]]) from error
        raise LakehouseError(f"it could not be compared. The engine says: {words}") from error
