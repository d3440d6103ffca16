"""What of a lake is missing or damaged, found before a question or a run meets it; and repaired from the layer below.

Looked at are the newest versions: logs, sizes and footers of files, checksums of vectors, and whether notes agree with
the tables that they name. A deep check reads every byte: of our files, commits and checkpoints the checksum tells, of
others what their format says. Needs no engine.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from lakehouse.conf import Retention
from lakehouse.delta.files import parquet, vectors
from lakehouse.delta.tables import log, progress
from lakehouse.delta.upkeep import vacuum
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger, retracted
from lakehouse.recovery import maintain, releases
from lakehouse.runs import plan
from lakehouse.store import storage
from lakehouse.store.storage import BrokenOffError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lakehouse.delta.tables.log import Action, Snapshot
    from lakehouse.delta.tables.progress import Input, State
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry

A_PART = 1 << 20  # bytes of a file that are read at a time
REJECTED = progress.rejected("")
REBUILT = "The next run builds the table anew; `lakehouse check --repair` starts one."
RERUN = "The next run computes it anew; `lakehouse check --repair` starts one."
LEFT_OVER = "The next run builds the table, and judges its rows anew; `lakehouse check --repair` starts one."
REPLACED = "Bring it back from a copy; or `lakehouse check --repair` deletes it, and builds the table anew."
OF_THE_CORE = (
    "Bring it back from a copy, or move the table's folder away: it tells of earlier runs, no number needs it."
)
NOTED_AGAIN = "Bring it back from a copy, or move the table's folder away: the next run notes again what bronze holds."
LOADED_AGAIN = "Bring it back from a copy, or load all deliveries into a new lake: nothing else knows what they said."
OF_A_RELEASE = "Bring it back from a copy, or read newer releases: who reads these is told."
OLDER = "Bring it back from a copy to read these; the newest version is whole."
NO_CHECKPOINT = (
    "All commits are there, so it is not needed: delete it and _last_checkpoint; `lakehouse check --repair` does that."
)


@dataclass(frozen=True)
class Finding:
    """`what` is wrong with a table, and what to do. `delete`: files of the table that have to go before a repair.

    `is_rebuilt`: whether a run makes it right then.
    """

    table: str
    what: str
    remedy: str
    is_rebuilt: bool = False
    delete: tuple[str, ...] = ()


def check(
    root: str,
    tables: Mapping[str, Table],
    say: Callable[[Finding], None] = lambda _: None,
    *,
    deep: bool = False,
    days: int = Retention.releases,
) -> list[Finding]:
    """All that is wrong; tables in the order of the graph. `days`: for how long releases are kept."""
    root, found = storage.normalise(root), list[Finding]()
    taken = _taken(root)
    for name in maintain.names(root, tables):
        for one in _of_table(root, name, tables, taken, deep=deep):
            found.append(one)
            say(one)
    harmed = {one.table for one in found if one.remedy != OLDER}
    others = (
        _of_notes(root, tables, harmed),
        _of_bronze(root, tables, harmed, taken),
        _of_releases(root, harmed, days),
    )
    for one in chain.from_iterable(others):
        found.append(one)
        say(one)
    return found


def _taken(root: str) -> list[Entry]:
    """The deliveries; none where the ledger cannot be read, which is a finding of its own."""
    try:
        return retracted.marked(ledger.read(root).taken(), retracted.read())
    except LakehouseError:
        return []


def prepare(root: str, findings: Iterable[Finding]) -> bool:
    """Delete what stands in the way of a repair; whether a run does the rest."""
    some = list(findings)
    for one in some:
        address = progress.address(storage.normalise(root), one.table)
        for path in one.delete:
            storage.delete(address, path)
        log.forget(address)
    return any(one.is_rebuilt for one in some)


# One table ------------------------------------------------------------------------------------------------------------


def _of_table(
    root: str, name: str, tables: Mapping[str, Table], taken: list[Entry], *, deep: bool
) -> Iterator[Finding]:
    address, is_computed = progress.address(root, name), _is_computed(name, tables)
    if harm := log.harm(address):
        remedy, checkpoint = _remedy(name, REBUILT, is_computed=is_computed), log.damaged_checkpoint(address)
        is_needed = not checkpoint or not _are_all_there(log.commits(address))
        yield Finding(name, f"of its log {harm}", remedy, is_computed) if is_needed else _without(name, checkpoint)
        return
    yield from _gaps(address, name)
    yield from _commits(address, name) if deep else ()
    now = log.snapshot(address)
    if now is None:
        return
    for one, lost in _files(now, name, is_computed=is_computed, deep=deep):
        is_bronze = name in tables and not is_computed
        way = f"Bring it back from a copy; or {plan.way_back(root, name, taken, lost)}." if is_bronze else one.remedy
        yield replace(one, remedy=way)


def _is_computed(name: str, tables: Mapping[str, Table]) -> bool:
    """Whether a run makes it from the layer below: a quarantine comes with its table."""
    owner = name.removesuffix(REJECTED)
    return owner in tables and not tables[owner].contract.source


def _remedy(name: str, of_computed: str, *, is_computed: bool) -> str:
    if name.startswith(f"{maintain.OPS}."):
        return NOTED_AGAIN if name == ledger.FILES else OF_THE_CORE
    return of_computed if is_computed else LOADED_AGAIN


def _gaps(address: str, name: str) -> Iterator[Finding]:
    """Commits that are gone between others; those before the first were cleaned away."""
    there = log.commits(address)
    if gone := sorted(set(range(min(there, default=0), max(there, default=0))) - there):
        more = f" (and {len(gone) - 1} more)" if len(gone) > 1 else ""
        yield Finding(name, f"of its log {gone[0]:020}.json{more} is gone: some older versions cannot be read", OLDER)


def _are_all_there(commits: set[int]) -> bool:
    return len(commits) == max(commits, default=-1) + 1


def _without(name: str, checkpoint: str) -> Finding:
    delete = (f"_delta_log/{checkpoint}", log.LAST)
    return Finding(name, f"of its log {checkpoint} is damaged", NO_CHECKPOINT, delete=delete)


def _commits(address: str, name: str) -> Iterator[Finding]:
    """Every commit that is there; and whether checkpoints say what they do, where all are."""
    there, damaged = log.commits(address), False
    for version in sorted(there):
        try:
            log.actions(address, version)
        except log.DamagedLogError as error:
            damaged = True
            yield Finding(name, f"of its log {error.file} is damaged: some older versions cannot be read", OLDER)
    if not damaged and _are_all_there(there):
        yield from (_without(name, file) for file in _wrong_checkpoints(address))


def _wrong_checkpoints(address: str) -> Iterator[str]:
    listed = [one.path for one in storage.list_files(f"{address}/_delta_log")]
    made = {int(found[1]): path for path in listed if (found := log.CHECKPOINT.fullmatch(path)) and not found[2]}
    live = dict[str, Any]()
    for version in range(max(made, default=-1) + 1):
        done = log.actions(address, version)
        for fact in (one["remove"] for one in done if "remove" in one):
            live.pop(fact["path"], None)
        live |= {one["add"]["path"]: _facts(one["add"]) for one in done if "add" in one}
        file = made.get(version)
        if file and not _is_checkpoint_of(address, version, file, live):
            yield file


def _is_checkpoint_of(address: str, version: int, file: str, live: Mapping[str, Any]) -> bool:
    try:
        found = log.checkpoint(address, version, [file])
    except log.DamagedLogError:
        return False
    return {path: _facts(one) for path, one in found.files.items()} == live


def _facts(file: Mapping[str, Any]) -> tuple[Any, ...]:
    stats = parquet.parsed(file).get("numRecords")
    return file["size"], dict(file.get("partitionValues") or {}), file.get("deletionVector"), stats


GONE, CUT, LARGER = "is gone", "is cut", "is larger than its log says"
DAMAGED, OTHER_ROWS = "is damaged", "holds another number of rows than its log says"


def _files(now: Snapshot, name: str, *, is_computed: bool, deep: bool) -> Iterator[tuple[Finding, set[str]]]:
    """One finding for all files of which the same is wrong, and their paths as the log has them."""
    listed = {one.path: one.size for one in storage.list_files(now.address)}
    files = list(now.files.values())
    found = storage.each(lambda file: _wrong(now, file, listed, deep=deep), files)
    for why in dict.fromkeys(one[1] for one in found if one):
        paths = sorted({one[0] for one in found if one and one[1] == why})
        lost = {file["path"] for file, one in zip(files, found, strict=True) if one and one[1] == why}
        more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
        is_noticed = why in {GONE, CUT}  # by a run; what else is wrong has to go before one
        remedy = _remedy(name, REBUILT if is_noticed else REPLACED, is_computed=is_computed)
        delete = tuple(paths) if is_computed and not is_noticed else ()
        yield Finding(name, f"{paths[0]}{more} {why}", remedy, is_computed, delete), lost


def _wrong(now: Snapshot, file: Action, listed: Mapping[str, int], *, deep: bool) -> tuple[str, str] | None:
    """The path of what is wrong with a file or its vector, and why. Files that lie elsewhere are not looked at."""
    data, *vector = [*vacuum.places(now.address, file)] or [""]
    if not data:
        return None
    if gone := [path for path in (data, *vector) if path not in listed]:
        return gone[0], GONE
    if listed[data] != int(file["size"]):
        return data, CUT if listed[data] < int(file["size"]) else LARGER
    if why := _of_vector(now.address, file.get("deletionVector")):
        return [data, *vector][-1], why
    why = _of_rows(now, file, deep=deep)
    return (data, why) if why else None


def _of_vector(address: str, descriptor: Mapping[str, Any] | None) -> str:
    try:
        hidden = vectors.read(address, descriptor)
    except BrokenOffError:  # the store is not well, which says nothing of the file
        raise
    except (LakehouseError, ValueError):
        return DAMAGED
    return OTHER_ROWS if len(hidden) != int((descriptor or {}).get("cardinality", 0)) else ""


@storage.asked_again
def _of_rows(now: Snapshot, file: Action, *, deep: bool) -> str:
    root, path = storage.located(now.address, file["path"])
    checksum = (file.get("tags") or {}).get(log.CRC)
    try:
        with storage.random_access(root, path) as source:
            rows = pq.read_metadata(source).num_rows
        if parquet.parsed(file).get("numRecords", rows) != rows:
            return OTHER_ROWS
        is_right = not deep or (_crc(root, path) == checksum if checksum else _can_be_read(root, path))
    except BrokenOffError:  # as above
        raise
    except LakehouseError:
        return DAMAGED
    return "" if is_right else DAMAGED


def _crc(root: str, path: str) -> str:
    total = 0
    with storage.open_file(root, path) as file:
        while part := file.read(A_PART):
            total = zlib.crc32(part, total)
    return f"{total:08x}"


def _can_be_read(root: str, path: str) -> bool:
    """Page by page, against the checksums that Spark gives them; else an error is raised."""
    with storage.random_access(root, path) as source:
        for _ in pq.ParquetFile(source, page_checksum_verification=True).iter_batches():
            pass
    return True


# Notes ----------------------------------------------------------------------------------------------------------------


def _of_notes(root: str, tables: Mapping[str, Table], harmed: set[str]) -> Iterator[Finding]:
    """Whether what tables say that they include is there; nothing of tables that are damaged themselves."""
    for name, table in tables.items():
        rejected = progress.rejected(name)
        if {name, rejected} & harmed or table.contract.source:
            continue
        state = progress.state(progress.address(root, name))
        if state is None:
            if log.snapshot(progress.address(root, rejected)):
                yield Finding(rejected, f"{name}, to which it belongs, is not there", LEFT_OVER, is_rebuilt=True)
        elif state.progress is None:
            yield Finding(name, state.doubt, RERUN, is_rebuilt=True)
        else:
            wrong = [*_of_inputs(root, state, harmed), *_of_quarantine(root, rejected, state)]
            yield from (Finding(name, what, RERUN, is_rebuilt=True) for what in wrong)


def _of_inputs(root: str, state: State, harmed: set[str]) -> Iterator[str]:
    inputs = state.progress.inputs if state.progress else {}
    for name, one in inputs.items():
        if one.id is not None and name not in harmed and (why := _not_there(progress.address(root, name), one)):
            yield f"it includes version {one.version} of {name}, {why}"


def _not_there(address: str, one: Input) -> str:
    """Why a version that a note names is not that of the table; empty where it is."""
    now = log.snapshot(address)
    if now is None:
        return "which is gone"
    if now.id != one.id:
        return "which was made anew since"
    if int(one.version) > now.version:
        return f"which ends at version {now.version}"
    try:
        log.snapshot(address, int(one.version))
    except log.NO_SNAPSHOT:
        return "which its log cannot tell any more"
    return ""


def _of_quarantine(root: str, rejected: str, state: State) -> Iterator[str]:
    note = state.progress
    if note and note.rejected and (why := _not_there(progress.address(root, rejected), note.rejected)):
        yield f"it belongs to version {note.rejected.version} of {rejected}, {why}"


def _of_bronze(root: str, tables: Mapping[str, Table], harmed: set[str], taken: list[Entry]) -> Iterator[Finding]:
    """Whether bronze is what its note and the ledger say, in the words of the run that would stop."""
    if ledger.FILES not in harmed:
        wanted = [one for name, one in tables.items() if one.contract.source and name not in harmed]
        decisions = plan.decide_all(root, wanted, taken)
        yield from (
            Finding(name, one.reason.removeprefix(f"{name} "), "")
            for name, one in decisions.items()
            if one.path == "stop"
        )


def _of_releases(root: str, harmed: set[str], days: int) -> Iterator[Finding]:
    """Whether what they hold is there; of tables that are damaged now that is said already."""
    if releases.RELEASES in harmed:
        return
    numbers: dict[tuple[str, int], list[int]] = {}
    for one in releases.kept(releases.releases(root), days):
        for place in one.tables.items():
            numbers.setdefault(place, []).append(one.number)
    versions: dict[str, set[int]] = {}
    for name, version in numbers:
        versions.setdefault(name, set()).update({version} if name not in harmed else ())
    for (name, version), why in vacuum.lost(root, versions).items():
        some = ", ".join(map(str, numbers[name, version]))
        yield Finding(name, f"version {version}, of release {some}, cannot be read: {why}", OF_A_RELEASE)
