"""How a run's sums close: what the ledger and `ops.quality` say of it, from what was counted anyway. Needs no JVM."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse.audit import quality
from lakehouse.audit.quality import Loaded, Tally
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.formula import NAMES, PLACES
from lakehouse.intake.deliveries import fetched
from lakehouse.intake.records.ledger import FILES, LOST, MISDATED, REMOVED, Entry, last_batch, said_by
from lakehouse.readers.columns import OF_CORRECTIONS
from lakehouse.store import archives
from lakehouse.writes import measures as measured

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from lakehouse.audit.turns import ByFile, Decision, Done
    from lakehouse.contract import Source
    from lakehouse.delta.tables.progress import Progress, State
    from lakehouse.graph import Table
    from lakehouse.intake.deliveries.landing import Found
    from lakehouse.intake.records.ledger import Said
    from lakehouse.store.storage import StoredFile
    from lakehouse.writes.measures import Measure

Place = tuple[str, str, int]  # source, file, batch


@dataclass(frozen=True)
class Rows:
    """Of one file: its records, as the reader counted them, and rows that bronze has."""

    in_file: int = 0
    in_bronze: int = 0


def loaded(root: str, taken: Iterable[Entry]) -> dict[Place, Rows]:
    """The files that are claimed and by now appended to bronze, with their rows; those of which the log tells it."""
    claimed = defaultdict(list)
    for entry in taken:
        if entry.status == "claimed":
            claimed[entry.delivery.table].append(entry)
    rows: dict[Place, Rows] = {}
    for table, entries in claimed.items():
        address = progress.address(root, table)
        if log.harm(address):
            continue
        included = included_batch(progress.state(address))
        first = min(entry.batch for entry in entries)
        counted = ops.query(
            address,
            "select _file, _batch, count(*) as n, max(case when _is_last then _row end) as last from t "  # noqa: S608
            f"where _batch >= {first} group by _file, _batch",
        )
        found = {(table, row["_file"], row["_batch"]): Rows(row["last"] or 0, row["n"]) for row in counted}
        rows |= {entry.place: _rows(entry, found) for entry in entries if entry.batch <= included}
    return rows


def _rows(entry: Entry, found: Mapping[Place, Rows]) -> Rows:
    """A JSON file's records are counted before it is claimed; of a CSV file the reader marks the last, with its number.

    So a row that is lost on the way is missed wherever it stood; a file with a header has one at least.
    """
    rows, delivery = found.get(entry.place, Rows()), entry.delivery
    least = 1 if delivery.header else 0
    return replace(rows, in_file=delivery.records if delivery.records is not None else max(rows.in_file, least))


def lost(root: str, landing: str, taken: Iterable[Entry]) -> list[Entry]:
    """Files that a run claimed and never loaded, and that are gone or replaced by now: they can no longer be loaded.

    Not where the log of bronze cannot be read, which may say that they were.
    """
    claimed = [entry for entry in taken if entry.status == "claimed"]
    sources = {entry.delivery.table for entry in claimed}
    unknown = {name for name in sources if log.harm(progress.address(root, name))}
    claimed = [entry for entry in claimed if entry.delivery.table not in unknown]
    done = loaded(root, claimed)
    pending = [entry for entry in claimed if entry.place not in done]
    why = "a run broke off before it was loaded, and since then it was replaced or taken away"
    gone = [entry for entry in pending if not fetched.is_still(landing, entry.delivery)]
    return [replace(entry, status=LOST, reason=why) for entry in gone]


def at_hand(landing: str, source: str, pending: list[Entry]) -> list[Entry]:
    """The deliveries that are to be loaded, as landing has them; those that bronze once had come by content.

    A file that was put back has another time; what retention removed is not wanted again. Raises LakehouseError with
    those that are not there.
    """
    pending = [one for one in pending if one.status != REMOVED]
    again = [one for one in pending if one.status != "claimed"]
    found = as_they_were(landing, again)
    if missing := sorted(place[1] for place, one in found.items() if one is None):
        raise LakehouseError(
            f"{source} was restored to a version before these deliveries, and {landing} does not hold them as they "
            f"were: {', '.join(missing)}. Put them back (their content tells them), or restore a version that has them."
        )
    return [found.get(one.place) or one for one in pending]


def as_they_were(landing: str, entries: Collection[Entry]) -> dict[Place, Entry | None]:
    """The deliveries as landing holds them now, by content: a file that was put back has another time; None: gone."""
    if not entries:
        return {}
    wanted = {one.delivery.path for one in entries}
    there = {file.path: file for file in archives.list_files(landing, fetched.FOLDER) if file.path in wanted}
    return {one.place: _put_back(landing, one, there.get(one.delivery.path)) for one in entries}


def _put_back(landing: str, entry: Entry, file: StoredFile | None) -> Entry | None:
    one = entry.delivery
    if fetched.is_window(one.path):
        return entry if fetched.is_still(landing, one) else None
    if file == one.stored:
        return entry
    if file is None or file.size != one.size or archives.content_hash(landing, file) != one.content:
        return None
    written_at = one.written_at or one.modified_at
    return replace(entry, delivery=replace(one, modified_at=file.modified_at, written_at=written_at))


@dataclass(frozen=True)
class Held:
    """A version of a file that bronze holds, and the batch that brought it."""

    sequence: str
    batch: int


def included_batch(state: State | None) -> int:
    """The last batch of deliveries that a bronze table includes."""
    return last_batch(state.progress.inputs) if state and state.progress else -1


def unknown(root: str, source: str, state: State | None, taken: Iterable[Entry]) -> list[Held]:
    """What bronze holds and no delivery of the ledger is; bronze is read only where their numbers of rows differ.

    Where its log does not count rows, because others wrote it, only a ledger whose batches end too early tells.
    """
    if state is None or state.progress is None:
        return []
    address, included = progress.address(root, source), included_batch(state)
    mine = [one for one in taken if one.delivery.table == source and one.batch <= included]
    rows = progress.rows(address, state.version)
    is_whole = max((one.batch for one in mine), default=-1) == included
    if is_whole if rows is None else rows == sum(one.rows_in_bronze for one in mine):
        return []
    known = {one.delivery.sequence for one in mine}
    held = ops.query(address, "select distinct _sequence, _batch from t order by _sequence", state.version)
    every = [Held(row["_sequence"], row["_batch"]) for row in held]
    return [one for one in every if one.sequence not in known]


def let_go(root: str, table: Table, state: State | None, taken: Iterable[Entry]) -> list[Entry]:
    """The deliveries that retention took from bronze, where maintenance ended before the ledger said so."""
    days, now = table.contract.retention.bronze, datetime.now(UTC)
    if days is None or state is None or state.progress is None:
        return []
    address, included = progress.address(root, table.name), included_batch(state)
    mine = [one for one in taken if one.delivery.table == table.name and one.batch <= included and one.rows_in_bronze]
    if progress.rows(address, state.version) == sum(one.rows_in_bronze for one in mine):
        return []
    held = ops.query(address, "select distinct _file, _batch from t", state.version)
    there = {(row["_file"], row["_batch"]) for row in held}
    gone = [one for one in mine if (one.delivery.path, one.batch) not in there and one.delivery.is_older(days, now)]
    return [replace(one, status=REMOVED) for one in gone]


def forgotten(root: str, source: str, state: State | None, taken: Iterable[Entry], found: Found) -> list[Entry]:
    """The deliveries that bronze holds and the ledger does not know, each as it was, with the batch that bronze says.

    A version of a file has one identity, and bronze never gets it twice, whatever others did to the ledger. Raises
    LakehouseError where landing no longer holds such a file.
    """
    mine = [one for one in taken if one.delivery.table == source]
    if not (lacking := unknown(root, source, state, mine)):
        return []
    there = {(one.delivery.path, one.delivery.short_content): one for one in (*mine, *found.entries)}
    told = [(one, said_by(one.sequence)) for one in lacking]
    again = [(one, said, there.get((said.path, said.short_content))) for one, said in told]
    if gone := sorted({said.path for _, said, entry in again if entry is None}):
        address = progress.address(root, FILES)
        raise LakehouseError(
            f"{source} includes deliveries that {address} does not know: it was lost or rewound, and landing does "
            f"not hold their files as they were: {', '.join(gone)}. Put them back (their content tells them), or "
            f"restore the newest version that it had (RESTORE TABLE delta.`{address}` TO VERSION AS OF)."
        )
    return [_as_held(entry, one, said) for one, said, entry in again if entry]


def _as_held(entry: Entry, held: Held, said: Said) -> Entry:
    delivery = replace(entry.delivery, delivered_at=said.delivered_at, written_at=said.written_at)
    return Entry(delivery, held.batch, "claimed", entry.reason if entry.is_taken else "")


def outcomes(
    tables: Mapping[str, Table],
    taken: Iterable[Entry],
    loaded: Mapping[Place, Rows],
    by_file: Mapping[str, ByFile],
    refused: Mapping[str, Mapping[tuple[str, int], str]],
) -> list[Entry]:
    """The ledger's rows that now say more than before; of files that are `refused` whole, why."""
    judged = {
        (tables[name].parents[0], file, batch): counts
        for name, files in by_file.items()
        for (file, batch), counts in files.items()
    }
    why = {
        (tables[name].parents[0], *place): words for name, files in refused.items() for place, words in files.items()
    }
    both = [
        (entry, _outcome(entry, loaded.get(entry.place), judged.get(entry.place), why.get(entry.place)))
        for entry in taken
    ]
    return [after for before, after in both if after != before]


def silent(table: Table, taken: Iterable[Entry]) -> list[Entry]:
    """The deliveries of which the ledger does not say yet where their rows went in this table."""
    mine = (one for one in taken if one.delivery.table == table.parents[0] and one.status != "empty")
    return [one for one in mine if "kept" not in one.counts]


def said_in(note: Progress, until: int, silent: Iterable[Entry]) -> ByFile:
    """Where the rows of these deliveries went, as the note says; empty unless it says that of all up to a batch."""
    said = {(file, batch): counts for file, batch, counts in note.went}
    places = {(one.delivery.path, one.batch) for one in silent if one.batch <= until}
    return {place: said[place] for place in places} if places <= said.keys() else {}


def left_unsaid(root: str, tables: Mapping[str, Table], taken: Sequence[Entry]) -> list[Entry]:
    """The deliveries of which a run that ended before its end did not say where their rows went, and a note does."""
    by_file: dict[str, ByFile] = {}
    for name, table in tables.items():
        if table.contract.write != "latest" or not table.accounts or not (unsaid := silent(table, taken)):
            continue
        state = progress.state(progress.address(root, name))
        note = state.progress if state else None
        source = note.inputs.get(table.parents[0]) if note else None
        if note and source and source.batch is not None:
            by_file[name] = said_in(note, source.batch, unsaid)
    return outcomes(tables, taken, {}, by_file, {})


def _outcome(entry: Entry, rows: Rows | None, judged: Mapping[str, int] | None, refused: str | None) -> Entry:
    if rows is not None:
        status_now = "loaded" if rows.in_bronze else "empty"
        entry = replace(entry, status=status_now, counts={**entry.counts, "rows": rows.in_bronze})
    if judged is not None:
        counts = {name: judged.get(name, 0) for name in (*PLACES, MISDATED)}
        entry = replace(entry, counts={**entry.counts, **counts}, reason=refused or entry.reason)
    return entry


def measures(
    tables: Mapping[str, Table], taken: list[Entry], loaded: Mapping[Place, Rows], done: Iterable[Done], at: datetime
) -> Iterator[Measure]:
    """What this run knows of the quality of the tables that it wrote, and of their sources."""
    for one in done:
        table = tables[one.decision.table]
        yield from one.measures
        if table.contract.deduplicate:
            yield from measured.rules(table.name, table.contract, one.by_market)
        if table.contract.write == "latest" and one.by_file:
            tallies = _tallies(table, _came_in(one.decision, table.parents[0], taken), one.by_file)
            yield from measured.rules(table.name, table.contract, one.by_market)
            yield from quality.reconcile(tallies)
            yield from quality.score(table.contract.score, tallies) if table.contract.score else ()
        if table.contract.source and table.contract.takes_files:
            yield from _of_source(table.name, table.contract.source, taken, loaded, at)


def _came_in(decision: Decision, source: str, taken: Iterable[Entry]) -> list[Entry]:
    """The deliveries that a turn had to judge: those that the table did not include, or all of them."""
    state, until = decision.state, decision.inputs[source].batch
    before = state.progress.inputs.get(source) if state and state.progress else None
    since = before.batch if before and before.batch is not None and decision.path in {"new", "late"} else -1
    mine = [one for one in taken if one.delivery.table == source and one.batch > since]
    return [one for one in mine if until is None or one.batch <= until]


def _tallies(table: Table, came: Iterable[Entry], by_file: ByFile) -> list[Tally]:
    """Per market the rows that bronze has of the deliveries, as the ledger says, and where they went."""
    markets: dict[int | None, Counter[str]] = {}
    for entry in came:
        _, file, batch = entry.place
        tally = markets.setdefault(entry.delivery.market, Counter(dict.fromkeys(NAMES, 0)))
        tally.update(by_file.get((file, batch), {}))
        tally["rows"] += entry.rows_in_bronze
    return [Tally(table.name, market, counts) for market, counts in sorted(markets.items(), key=str)]


def _of_source(
    name: str, source: Source, taken: Iterable[Entry], loaded: Mapping[Place, Rows], at: datetime
) -> Iterator[Measure]:
    """The files of one run, alone and against those before them; a correction is no measure of what is usual."""
    mine = {entry.place: entry for entry in _counted(name, taken)}
    files = {place: _file(entry) for place, entry in mine.items()}
    in_bronze: Counter[int | None] = Counter()
    for place, rows in loaded.items():
        if place in mine:
            in_bronze[files[place].market] += rows.in_bronze
    numbered = [replace(files[place], rows=rows.in_file) for place, rows in loaded.items() if place in mine]
    valid = {place: files[place] for place, entry in mine.items() if not entry.retracted}
    whole = {place for place in valid if not set(OF_CORRECTIONS) & set(mine[place].delivery.columns.values())}
    yield from quality.freshness(source, valid.values(), at)
    if not loaded.keys() & mine.keys():
        return
    yield from quality.reconcile_files(name, numbered, in_bronze)
    yield from quality.volume(
        source,
        [files[place] for place in whole if place in loaded],
        [files[place] for place in whole if place not in loaded],
    )


def freshness(name: str, source: Source, taken: Iterable[Entry], at: datetime) -> list[Measure]:
    """How old each market's newest delivery is at a moment, which no run need have seen."""
    valid = (_file(entry) for entry in _counted(name, taken) if not entry.retracted)
    return quality.freshness(source, valid, at)


def _counted(name: str, taken: Iterable[Entry]) -> list[Entry]:
    return [one for one in taken if one.delivery.table == name and "rows" in one.counts]


def _file(entry: Entry) -> Loaded:
    one = entry.delivery
    is_quiet = one.is_part and not one.size  # no page of it counts
    return Loaded(one.table, one.market, entry.counts["rows"], one.as_of, one.path, is_quiet)
