"""How rows of a table changed over its last runs, and which files, conf or code each run brought. Needs no JVM."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import groupby, islice, pairwise
from typing import TYPE_CHECKING, Any

from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lakehouse.contract import Contract
    from lakehouse.delta.tables.log import Commit
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry

Values = dict[str, Any]
Rows = tuple[Values, ...]
Place = tuple[str, str, int]  # bronze table, file, batch
# Bronze: its last batch; conf: its content's hash; any other table: its fingerprint; RETRACTED: what is taken back.
Includes = dict[str, int | str]
RETRACTED, ACCEPTED = "retracted: ", "accepted: "

SHOWN = 5  # changes
LOOKED_BACK = 50  # commits of the table
NOTES = 200  # commits of what it is made from
MOST_ROWS = 200
SQL_TYPES = {"string": "varchar"}


@dataclass(frozen=True)
class Brought:
    """A file that a run loaded; `rows` of it are in the rows as they are today, None where none is."""

    file: str
    rows: int | None = None


@dataclass(frozen=True)
class Change:
    """One run that changed the rows, from `before` to `after`; either is empty where there were none.

    `run` is empty where somebody else wrote. `because` says which conf and which code changed with it.
    """

    version: int
    at: datetime
    run: str
    operation: str
    before: Rows
    after: Rows
    because: tuple[str, ...] = ()
    files: tuple[Brought, ...] = ()


@dataclass(frozen=True)
class History:
    """Newest first; `note` says why it does not reach back to the first version."""

    changes: tuple[Change, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class _Write:
    """What one run, or somebody else, wrote in the commits from `first` to `version`."""

    first: int
    version: int
    at: datetime
    run: str
    operation: str


def of(
    root: str,
    table: Table,
    version: int,
    keys: Sequence[Values],
    taken: Sequence[Entry],
    today: Mapping[Place, int],
) -> History:
    """The last runs up to a version that changed the rows with these keys: units, or the grain of a table without.

    `taken` are the ledger's deliveries; `today` says how many rows of which are in the rows of that version.
    """
    changes: list[Change] = []
    mine = [one for one in taken if any(is_about(one, key) for key in keys)]
    includes = cache(reader(root))
    for (write, after), (_, before) in pairwise(
        _states(progress.address(root, table.name), version, table.contract, keys)
    ):
        if write is None or isinstance(after, str) or isinstance(before, str):
            return History(tuple(changes), next(one for one in (after, before) if isinstance(one, str)))
        if len(changes) == SHOWN:
            return History(tuple(changes), f"what happened before version {write.version + 1} is not shown")
        if before != after:
            now = includes(table.name, write.version)
            past = includes(table.name, write.first - 1) if write.first else {}
            because, files = reasons(past, now), _brought(past, now, mine, today)
            if write.first and not past:  # what it included before is not known, so neither is what is new
                because, files = (), ()
            facts = (write.version, write.at, write.run, write.operation)
            changes.append(Change(*facts, before, after, because, files))
    return History(tuple(changes))


def versions(address: str, until: int) -> list[int]:
    """The last versions that changed data, newest first, one per run; the first is the table at version `until`."""
    return [write.version for write in islice(_writes(address, until), SHOWN + 1)]


def is_about(delivery: Entry, key: Values) -> bool:
    """Whether a file may hold rows of the key, by what its path says (the market)."""
    return all(key.get(name, value) == value for name, value in delivery.delivery.parts.items())


def _states(
    address: str, version: int, promise: Contract, keys: Sequence[Values]
) -> Iterator[tuple[_Write | None, Rows | str]]:
    """The rows after each write, newest first, in the end as they were before; or a sentence why that is not known."""
    oldest = None
    for write in _writes(address, version):
        yield write, _rows(address, promise, keys, write.version)
        oldest = write
    if oldest is not None and oldest.first > 0:
        yield None, f"what happened before version {oldest.first} is not looked at"
    else:
        yield None, ()


def _writes(address: str, until: int) -> Iterator[_Write]:
    """What changed data, newest first, the commits of one run together; a commit's log is read when it is asked for."""
    entries = log.history(address, LOOKED_BACK, until)
    changed = (one for one in entries if progress.moved(address, one.version - 1, one.version))
    for run, commits in groupby(changed, key=lambda one: _run(one) or one.version):
        newest, *others = commits
        first = min(one.version for one in (newest, *others))
        at = datetime.fromtimestamp(newest.timestamp / 1000, UTC)
        yield _Write(first, newest.version, at, run if isinstance(run, str) else "", newest.operation)


def _run(commit: Commit) -> str:
    note = Progress.from_json(commit.user_metadata)
    return note.run if note else ""


def _rows(address: str, promise: Contract, keys: Sequence[Values], version: int) -> Rows | str:
    """By the grain, in it and the columns that the contract has today; or why they cannot be compared."""
    statement = f"select * from t where {_condition(promise, keys)} limit {MOST_ROWS + 1}"  # noqa: S608
    gone = f"version {version} can no longer be read"
    try:
        rows = ops.query(address, statement, version)
    except Exception:  # noqa: BLE001  where a file was vacuumed the package raises nothing narrower
        return gone
    if len(rows) > MOST_ROWS:
        return f"these are more than {MOST_ROWS} rows in version {version}: too many to compare"
    in_order = sorted(rows, key=lambda row: [str(row.get(name)) for name in promise.grain])
    return tuple(
        {name: row.get(name) for name in dict.fromkeys((*promise.columns, *promise.grain))} for row in in_order
    )


def _condition(promise: Contract, keys: Sequence[Values]) -> str:
    each = [" and ".join(_is(promise, name, value) for name, value in key.items()) for key in keys]
    return " or ".join(f"({one})" for one in each)


def _is(promise: Contract, name: str, value: object) -> str:
    if value is None:
        return f'"{name}" is null'
    text, kind = str(value).replace("'", "''"), promise.types_of_the_core.get(name) or promise.columns[name].type
    return f"\"{name}\" = cast('{text}' as {SQL_TYPES.get(kind, kind)})"


def reader(root: str) -> Callable[[str, int], Includes]:
    """What a version of a table includes, its inputs' inputs too; empty where its commits do not say."""

    @cache
    def notes(name: str) -> list[tuple[int, Progress]]:
        commits = log.history(progress.address(root, name), NOTES)
        every = [(one.version, Progress.from_json(one.user_metadata)) for one in commits]
        return [(version, note) for version, note in every if note]

    def includes(name: str, at: int) -> Includes:
        note = next((note for version, note in notes(name) if version <= at), None)
        found: Includes = {name: note.fingerprint} if note else {}
        for parent, one in note.inputs.items() if note else ():
            if note and one.batch is not None:
                found |= {parent: one.batch, f"{RETRACTED}{name}": " ".join(note.retracted)}
                found |= {f"{ACCEPTED}{name}": " ".join(note.accepted)}
            else:
                found |= {parent: str(one.version)} if one.id is None else includes(parent, int(one.version))
        return found

    return includes


def reasons(past: Includes, now: Includes) -> tuple[str, ...]:
    """What changed beside the data."""
    other = [name for name, one in now.items() if name in past and past[name] != one and isinstance(one, str)]
    return tuple(dict.fromkeys(map(_changed, other)))


def _changed(name: str) -> str:
    if name.startswith(RETRACTED):
        return "conf/retracted.yml took deliveries back, or did so no more"
    if name.startswith(ACCEPTED):
        return "conf/accepted.yml accepted messages, or did so no more"
    return f"{name.replace('.', '/')}.yml changed" if name.startswith("conf.") else f"the definition of {name} changed"


def _brought(past: Includes, now: Includes, taken: Sequence[Entry], today: Mapping[Place, int]) -> tuple[Brought, ...]:
    """The files of the batches that are included now and were not before, those that are in today's rows first."""
    batches = {name: (past.get(name, -1), one) for name, one in now.items() if isinstance(one, int)}
    found = []
    for one in taken:
        since, until = batches.get(one.delivery.table, (0, 0))
        if isinstance(since, int) and since < one.batch <= until:
            found.append(Brought(one.delivery.path, today.get(one.place)))
    return tuple(sorted(found, key=lambda one: (-(one.rows or 0), one.file)))
