"""What a run would do, and why: decided from the logs alone, without a JVM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakehouse import graph, ledger, progress
from lakehouse.errors import LakehouseError
from lakehouse.progress import Input

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakehouse.graph import Table
    from lakehouse.ledger import Entry
    from lakehouse.progress import Progress, State


@dataclass(frozen=True)
class Decision:
    """`path`: nothing, load, first, whole, new (deliveries in time), late, or wait (for a parent that is not there).

    `inputs` are pinned: both the decision and the run use these versions.
    """

    table: str
    path: str
    reason: str
    inputs: Mapping[str, Input] = field(default_factory=dict)
    state: State | None = None

    @property
    def does_something(self) -> bool:
        return self.path != "nothing"


def decide(root: str, table: Table, taken: list[Entry]) -> Decision:
    """For one table, as its inputs stand now."""
    state = progress.state(progress.address(root, table.name))
    if table.contract.source:
        return _decide_bronze(root, table, state, taken)
    inputs = {name: pin(root, name) for name in table.inputs}
    if missing := [name for name, one in inputs.items() if one is None]:
        return Decision(table.name, "wait", f"{', '.join(missing)} is not there yet", state=state)
    pinned = {name: one for name, one in inputs.items() if one is not None}
    path, reason = _choose(root, table, state, pinned, taken)
    return Decision(table.name, path, reason, pinned, state)


def _decide_bronze(root: str, table: Table, state: State | None, taken: list[Entry]) -> Decision:
    """New batches of the ledger are appended; what somebody else wrote into bronze cannot be told from deliveries."""
    if state and state.progress is None:
        raise LakehouseError(
            f"{table.name} at {root} was changed outside of the lakehouse: {state.doubt}. Restore the version "
            "before it (RESTORE TABLE ... TO VERSION AS OF), or load into a new lake."
        )
    included = state.progress.inputs[ledger.FILES] if state and state.progress else Input(-1)
    batches = [one.batch for one in taken if one.delivery.table == table.name]
    if max(batches, default=-1) < int(included.version):
        raise LakehouseError(
            f"{table.name} includes deliveries that {progress.address(root, ledger.FILES)} does not know: "
            "the ledger was lost or rewound. "
            "Restore it (RESTORE TABLE ... TO VERSION AS OF), or load into a new lake."
        )
    pending = [batch for batch in batches if batch > int(included.version)]
    inputs = {ledger.FILES: Input(max(batches, default=-1))}
    if not pending and state:
        return Decision(table.name, "nothing", "no new files", inputs, state)
    return Decision(table.name, "load", f"{len(pending)} new {'file' if len(pending) == 1 else 'files'}", inputs, state)


def pin(root: str, name: str) -> Input | None:
    """The version of an input to read: both for the decision and for the data."""
    if name.startswith("conf."):
        return Input(graph.conf_file(name)[0])
    state = progress.state(progress.address(root, name))
    if state is None:
        return None
    files = state.progress.inputs.get(ledger.FILES) if state.progress else None
    return Input(state.version, state.id, int(files.version) if files else None)


def _choose(
    root: str, table: Table, state: State | None, inputs: Mapping[str, Input], taken: list[Entry]
) -> tuple[str, str]:
    if state is None:
        return "first", "it is not there yet"
    note = state.progress
    if note is None:
        return "whole", state.doubt
    if note.fingerprint != table.fingerprint:
        return "whole", "its definition changed"
    if note.inputs.keys() != inputs.keys():
        return "whole", "it reads other inputs"
    if table.contract.write == "latest" and _is_unaccounted(table, note, taken):
        return "whole", "a run broke off before it noted what became of the rows"
    made_anew = [why for name, now in inputs.items() if (why := _made_anew(name, note.inputs[name], now))]
    return ("whole", made_anew[0]) if made_anew else _moved(root, table, note, inputs, taken)


def _is_unaccounted(table: Table, note: Progress, taken: list[Entry]) -> bool:
    """Whether the table includes files of which the ledger does not say where their rows went."""
    bronze = table.parents[0]
    until = note.inputs[bronze].batch
    return until is not None and any(
        one.delivery.table == bronze and one.batch <= until and one.status != "empty" and "kept" not in one.counts
        for one in taken
    )


def _made_anew(name: str, before: Input, now: Input) -> str:
    """Why an input is another one than before; empty where it can only have grown."""
    if name.startswith("conf."):
        return "" if before == now else f"{name.replace('.', '/')}.yml changed"
    if before.id != now.id:
        return f"{name} was made anew"
    if int(now.version) < int(before.version):
        return f"{name} was rewound from version {before.version} to {now.version}"
    return ""


def _moved(root: str, table: Table, note: Progress, inputs: Mapping[str, Input], taken: list[Entry]) -> tuple[str, str]:
    moves = []
    for name in table.parents:
        before, now = int(note.inputs[name].version), int(inputs[name].version)
        if progress.moved(progress.address(root, name), before, now):
            moves.append(f"{name} moved {before} -> {now}")
    if not moves:
        return "nothing", "its inputs did not move"
    if table.contract.write != "latest":
        return "whole", ", ".join(moves)
    return _in_time_or_late(table, note, inputs, taken), ", ".join(moves)


def _in_time_or_late(table: Table, note: Progress, inputs: Mapping[str, Input], taken: list[Entry]) -> str:
    """New when every delivery is newer than all that its market has; else touched units are judged from all rows."""
    bronze = table.parents[0]
    since, until = note.inputs[bronze].batch, inputs[bronze].batch
    if since is None or until is None:
        return "whole"
    newest: dict[tuple[int, ...], str] = {}
    fresh: list[tuple[tuple[int, ...], str]] = []
    for one in taken:
        if one.delivery.table != bronze or one.batch > until:
            continue
        market = tuple(one.delivery.parts.values())
        if one.batch > since:
            fresh.append((market, one.delivery.sequence))
        else:
            newest[market] = max(newest.get(market, ""), one.delivery.sequence)
    return "new" if all(sequence > newest.get(market, "") for market, sequence in fresh) else "late"
