"""What a run would do, and why: decided from the logs alone, without a JVM."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from lakehouse import engines, graph
from lakehouse.audit import accounts
from lakehouse.audit.history import History
from lakehouse.audit.turns import Decision
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Input
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger, retracted
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from lakehouse.audit.history import Ran
    from lakehouse.delta.tables.progress import Progress, State
    from lakehouse.described.kafka import Kafka
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Delivery, Entry
    from lakehouse.sources.kafka.topics import Offers

T = TypeVar("T")
HALF = 0.5
NOT_YET = "it is not there yet"
FEW = 10_000  # changed rows: below, both ways take the time that a table takes anyway
SHOWN = 2  # incremental runs that took longer
LOOK_EVERY = 600.0  # seconds
ALIKE = 4  # runs whose changed rows are at most this many times more or fewer
CLEARLY, WORTHWHILE = 0.8, 5.0  # of the seconds, and seconds: what a choice has to save


# By name, without those that have no folder; an error where a log cannot be read.
States: TypeAlias = "Mapping[str, State | LakehouseError | None]"


def states(root: str, tables: Collection[Table]) -> States:
    """The tables, what they are made from, and their quarantines, as they stand now: each log is opened once."""
    wanted = {name for table in tables for name in (table.name, *table.parents, progress.rejected(table.name))}
    layers = {name.split(".")[0] for name in wanted}
    folders = {f"{layer}.{name}" for layer in layers for name in storage.list_folders(f"{root}/{layer}")}
    names = sorted(wanted & folders)
    with ThreadPoolExecutor(log.AT_ONCE) as pool:
        return dict(zip(names, pool.map(lambda name: _state_or_error(root, name), names), strict=True))


def decide_all(  # noqa: PLR0913  what is known already
    root: str,
    tables: Collection[Table],
    taken: list[Entry],
    history: History | None = None,
    known: States | None = None,
    *,
    coming: Iterable[Delivery] = (),
    offers: Offers | None = None,
    looks: Looks | None = None,
) -> dict[str, Decision]:
    """For each of the tables, as the lake stands now, or stood when the `known` states were read.

    What stops one table is its decision, and stops no other; `decide` raises it. `coming`: what a run would claim; of
    these it only matters that something is delivered. `offers`: what topics hold, where they were asked. `looks`: those
    of a process that is kept; else folders are looked at now.
    """
    history, known = history or History(root), known or states(root, tables)
    delivered = {one.delivery.table for one in taken}.union(one.table for one in coming)
    delivered |= {name for name, one in known.items() if _is_of_a_topic(one)} | _offering(offers or {})
    with ThreadPoolExecutor(log.AT_ONCE) as pool:
        decisions = pool.map(
            lambda table: _decided(_seen(root, table, known, looks), table, taken, history, delivered, offers or {}),
            tables,
        )
        return {one.table: one for one in decisions}


class Looks:
    """When a process that is kept looked, for which table, into which folders: of many files that takes seconds.

    What is whole then is taken for whole for LOOK_EVERY; where something is wrong, each round looks.
    """

    def __init__(self) -> None:
        self._at: dict[tuple[str, str], float] = {}

    def is_due(self, table: str, folder: str) -> bool:
        now = time.monotonic()
        if now - self._at.get((table, folder), -LOOK_EVERY) < LOOK_EVERY:
            return False
        self._at[table, folder] = now
        return True

    def forget(self, table: str, folder: str) -> None:
        self._at.pop((table, folder), None)


class _Seen:
    """The tables as one look for a table sees them: their states, and after these what lies in their folders."""

    def __init__(
        self,
        root: str,
        table: str,
        state: Callable[[str], State | None],
        known: States | None = None,
        looks: Looks | None = None,
    ) -> None:
        self.root, self.table, self.state, self.known, self.looks = root, table, state, known, looks
        self._files = cache(self._listed)

    def _listed(self, name: str) -> dict[str, int] | None:
        """None where that was looked at a moment ago."""
        if self.looks and not self.looks.is_due(self.table, name):
            return None
        return progress.listed(progress.address(self.root, name))

    def harm(self, name: str) -> str:
        """What is wrong with its log, as `log.harm`; of what has no folder nobody asks."""
        if self.known is not None and name not in self.known:
            return ""
        is_read = self.state(name) is not None
        files = self._files(name)
        if is_read and files is None:
            return ""
        return self._noted(name, log.harm(progress.address(self.root, name), is_read=is_read, files=files))

    def lost(self, name: str) -> list[str]:
        """As `progress.lost_files`."""
        state, files = self.state(name), self._files(name)
        return self._noted(name, progress.lost_files(state.snapshot, files)) if state and files is not None else []

    def _noted(self, name: str, wrong: T) -> T:
        if wrong and self.looks:
            self.looks.forget(self.table, name)
        return wrong


def _state_or_error(root: str, name: str) -> State | LakehouseError | None:
    try:
        return state(root, name)
    except LakehouseError as error:
        return error


def _seen(root: str, table: Table, known: States, looks: Looks | None) -> _Seen:
    def state_of(name: str) -> State | None:
        found = known.get(name)
        if not isinstance(found, LakehouseError):
            return found
        if name in table.parents:  # whose own decision says why
            return None
        raise found

    return _Seen(root, table.name, state_of, known, looks)


def _decided(
    seen: _Seen, table: Table, taken: list[Entry], history: History, delivered: Collection[str], offers: Offers
) -> Decision:
    try:
        return _decide(seen, table, taken, history, delivered, offers)
    except LakehouseError as error:
        return Decision(table.name, "stop", str(error))


def decide(
    root: str,
    table: Table,
    taken: list[Entry],
    history: History | None = None,
    topics: Iterable[str] = (),
    offers: Offers | None = None,
    looks: Looks | None = None,
) -> Decision:
    """For one table, as its inputs stand now. `topics`: the tables that have messages; the rest as in `decide_all`."""
    delivered = {one.delivery.table for one in taken}.union(topics, _offering(offers or {}))
    seen = _Seen(root, table.name, cache(lambda name: state(root, name)), looks=looks)
    return _decide(seen, table, taken, history or History(root), delivered, offers or {})


def state(root: str, name: str) -> State | None:
    """None also where the log can not be read."""
    try:
        return progress.state(progress.address(root, name))
    except log.NO_SNAPSHOT:
        return None


def _decide(
    seen: _Seen,
    table: Table,
    taken: list[Entry],
    history: History,
    delivered: Collection[str],
    offers: Offers,
) -> Decision:
    is_there = seen.state(table.name) is not None
    if not is_there and table.serves and table.serves.isdisjoint(delivered) and not seen.harm(table.name):
        return Decision(table.name, "nothing", f"nothing was delivered for {', '.join(sorted(table.serves))}")
    if table.contract.takes_files:
        return _decide_bronze(seen, table, taken)
    if table.contract.source:
        return _decide_topic(seen, table, taken, offers)
    return _decide_built(seen, table, taken, history)


def _decide_built(seen: _Seen, table: Table, taken: list[Entry], history: History) -> Decision:
    root, state = seen.root, seen.state(table.name)
    inputs = {name: _pinned(name, seen.state) for name in table.inputs}
    if missing := [name for name, one in inputs.items() if one is None]:
        return Decision(table.name, "wait", _why_not_there(root, missing), state=state)
    pinned = {name: one for name, one in inputs.items() if one is not None}
    settled = Decision(table.name, "nothing", "its inputs did not move", pinned, state)
    harm = seen.harm(table.name)
    if table.contract.judges:
        quarantine = progress.rejected(table.name)
        if seen.harm(quarantine):
            settled = replace(settled, unreadable=(quarantine,))
    if state is None or harm:
        unreadable = (*settled.unreadable, table.name) if harm else settled.unreadable
        return replace(
            settled, path="first", reason=f"of its log {harm}" if harm else NOT_YET, state=None, unreadable=unreadable
        )
    if state.progress is None or settled.unreadable:
        why = state.doubt or f"the log of {settled.unreadable[0]} cannot be read"
        return replace(settled, path="whole", reason=why)
    settled = replace(settled, revalues=_revalues(state.progress.inputs, pinned))
    lost = seen.lost(table.name)
    why = f"{_some(lost)} of it is gone or cut" if lost else _whole(root, table, state.progress, pinned, taken)
    if why := why or _otherwise_stored(table, state) or _other_quarantine(seen, table, state.progress):
        return replace(settled, path="whole", reason=why)
    if by_hand := _otherwise_by_hand(table, state.progress):
        return replace(settled, path="retract" if "retracted" in by_hand else "accept", reason=by_hand)
    settled = replace(settled, moved=_moved(root, table, state.progress, pinned))
    return _choose(root, table, settled, taken, history) if settled.moved else _described(table, settled)


def _why_not_there(root: str, missing: Sequence[str]) -> str:
    harmed = [name for name in missing if _is_harmed(progress.address(root, name))]
    return f"{', '.join(harmed)} cannot be read" if harmed else f"{', '.join(missing)} is not there yet"


def _is_harmed(address: str) -> bool:
    try:
        return bool(log.harm(address))
    except LakehouseError:
        return True


def _decide_bronze(seen: _Seen, table: Table, taken: list[Entry]) -> Decision:
    """New batches of the ledger are appended; what somebody else wrote into bronze cannot be told from deliveries."""
    root, state = seen.root, seen.state(table.name)
    _check_ours(seen, table.name, taken)
    check_ledger(root, table.name, state, taken)
    _check_files(seen, table.name, taken)
    batches = [one.batch for one in taken if one.delivery.table == table.name]
    pending = [batch for batch in batches if batch > accounts.included_batch(state)]
    inputs = {ledger.FILES: Input(max(batches, default=-1))}
    if not pending and state:
        return Decision(table.name, "nothing", "no new files", inputs, state)
    return Decision(table.name, "load", f"{len(pending)} new {'file' if len(pending) == 1 else 'files'}", inputs, state)


def unsaid(kafka: Kafka) -> str:
    return f"{kafka.servers}, which says where its brokers are, is not set"


def _decide_topic(seen: _Seen, table: Table, taken: list[Entry], offers: Offers) -> Decision:
    """What is new of a topic its brokers alone know."""
    state = seen.state(table.name)
    _check_ours(seen, table.name, taken)
    _check_files(seen, table.name, taken)
    offer, source = offers.get(table.name), table.contract.source
    if isinstance(offer, LakehouseError):
        raise offer
    if offer is None and source and source.kafka:
        return Decision(table.name, "nothing", unsaid(source.kafka), state=state)
    if offer is None or not offer.ranges:
        return Decision(table.name, "nothing", "no new messages", state=state)
    inputs = {ledger.TOPIC: Input(accounts.included_batch(state) + 1, offer.topic.id)}
    return Decision(table.name, "load", f"{offer.messages:,} new offsets of {offer.topic.name}", inputs, state)


def _offering(offers: Offers) -> set[str]:
    """The tables for which there are messages, or an error to say."""
    return {name for name, one in offers.items() if isinstance(one, LakehouseError) or one.ranges}


def _is_of_a_topic(known: State | LakehouseError | None) -> bool:
    said = known.progress if known and not isinstance(known, LakehouseError) else None
    return said is not None and ledger.TOPIC in said.inputs


def check_ledger(root: str, name: str, state: State | None, taken: Iterable[Entry]) -> None:
    """Raises LakehouseError where a bronze table holds deliveries that the ledger lacks: a run notes them first."""
    if accounts.unknown(root, name, state, taken):
        raise LakehouseError(
            f"{name} includes deliveries that {progress.address(root, ledger.FILES)} does not know: the ledger was "
            "lost or rewound. `lakehouse run` notes them again, from the files in landing."
        )


def _check_ours(seen: _Seen, name: str, taken: Iterable[Entry]) -> None:
    """Raises LakehouseError where the log of a bronze table cannot be read, or somebody else wrote it."""
    _check_log(seen, name)
    if (state := seen.state(name)) and state.progress is None:
        raise LakehouseError(
            f"{name} was changed outside of the lakehouse: {state.doubt}. To go back, "
            f"{way_back(seen.root, name, taken)}."
        )


def _check_log(seen: _Seen, name: str) -> None:
    address = progress.address(seen.root, name)
    if harm := seen.harm(name):
        raise LakehouseError(
            f"{name} cannot be read: of {address}/_delta_log {harm}. Put that file back from a copy, or load all "
            "deliveries into a new lake: nothing else knows which rows were delivered."
        )


def _check_files(seen: _Seen, name: str, taken: Iterable[Entry]) -> None:
    """Raises LakehouseError where rows of bronze are gone; the words say which deliveries bring them back."""
    address = progress.address(seen.root, name)
    if not (lost := seen.lost(name)):
        return
    way = way_back(seen.root, name, taken, lost)
    raise LakehouseError(
        f"{name} lost rows: {address}/{_some(lost)} is gone or cut. Put it back from a copy; or {way}."
    )


def way_back(root: str, name: str, taken: Iterable[Entry], lost: Iterable[str] = ()) -> str:
    """To the newest version of bronze that is ours and whole, and to the deliveries that came after it."""
    address = progress.address(root, name)
    before, since = _last_whole(address, set(lost))
    again = sorted({one.delivery.path for one in taken if one.delivery.table == name and one.batch > since})
    files = f", with these files in landing: {', '.join(again)}" if again else ""
    if before is None:
        return f"load into a new lake{files}"
    by_spark = f"RESTORE TABLE delta.`{address}` TO VERSION AS OF {before} (Spark)"
    return f"{by_spark} or DeltaTable({address!r}).restore({before}) (delta-rs), and run again{files}"


def _last_whole(address: str, lost: set[str]) -> tuple[int | None, int]:
    """The newest version of ours that has all its files, and none of these; and the last batch that it includes."""
    for commit in log.history(address)[1:]:
        try:
            now, held = log.snapshot(address, commit.version), progress.state(address, commit.version)
        except log.NO_SNAPSHOT:
            break
        if not now or not held or not held.progress or lost & now.files.keys():
            continue
        lost = lost.union(progress.lost_files(now))
        if not lost & now.files.keys():
            return commit.version, accounts.included_batch(held)
    return None, -1


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"


def _pinned(name: str, state_of: Callable[[str], State | None]) -> Input | None:
    """The version of an input to read: both for the decision and for the data."""
    if name.startswith("conf."):
        version, rows = graph.conf_file(name)
        return Input(version, content=json.dumps(rows, default=str))
    state = state_of(name)
    if state is None:
        return None
    said = state.progress.inputs if state.progress else {}
    is_bronze = bool({ledger.FILES, ledger.TOPIC} & said.keys())
    return Input(state.version, state.id, ledger.last_batch(said) if is_bronze else None)


def _whole(root: str, table: Table, note: Progress, inputs: Mapping[str, Input], taken: list[Entry]) -> str:
    """Why nothing that the table holds can be built upon; empty where it can."""
    if note.fingerprint != table.fingerprint:
        return "its definition changed" if note.inputs else "a rewind went back to before it was there"
    if note.engine in engines.WRONG:
        return f"it was computed by {note.engine}, which was found wrong"
    if note.inputs.keys() != inputs.keys():
        return "it reads other inputs"
    if table.contract.write == "latest" and table.accounts and _is_unaccounted(table, note, taken):
        return "a run broke off before it noted what became of the rows"
    made_anew = [why for name, now in inputs.items() if (why := _made_anew(name, note.inputs[name], now))]
    if made_anew or not table.contract.judges:
        return made_anew[0] if made_anew else ""
    # What a RESTORE took from bronze is in no batch, so it cannot be found among the new ones.
    bronze = table.parents[0]
    before, now = int(note.inputs[bronze].version), int(inputs[bronze].version)
    is_restored = progress.was_restored(progress.address(root, bronze), before, now)
    restored = f"{bronze} was restored" if is_restored else ""
    return restored if table.contract.deduplicate else _otherwise_retracted(bronze, note, taken) or restored


def _otherwise_retracted(bronze: str, note: Progress, taken: Iterable[Entry]) -> str:
    """Why other deliveries count than did; empty where these are the same."""
    until = note.inputs[bronze].batch
    mine = (one for one in taken if one.retracted and one.delivery.table == bronze)
    now = {one.delivery.sequence for one in mine if until is None or one.batch <= until}
    changed = {"was retracted": now - {*note.retracted}, "is no longer retracted": {*note.retracted} - now}
    return "; ".join(f"{_some(_paths(some))} {words}" for words, some in changed.items() if some)


def _otherwise_by_hand(table: Table, note: Progress) -> str:
    """Which messages count otherwise than they did; empty where these are the same, and of what came as files."""
    if not table.contract.deduplicate:
        return ""
    of_files = {"retracted": (note.retracted, retracted.messages(table.parents[0]))}
    of_files["accepted"] = (note.accepted, table.accepted)
    changed = dict[str, set[str]]()
    for what, (had, now) in of_files.items():
        changed |= {f"were {what}": {*now} - {*had}, f"are no longer {what}": {*had} - {*now}}
    places = {words: sorted({one.rpartition(" ")[2] for one in some}) for words, some in changed.items()}
    return "; ".join(f"{_some(some)} {words}" for words, some in places.items() if some)


def _paths(sequences: Iterable[str]) -> list[str]:
    """Of the files whose deliveries have these sequences."""
    return sorted(ledger.said_by(one).path for one in sequences)


def _otherwise_stored(table: Table, state: State) -> str:
    """Why what is stored has not the form that the contract wants; empty where it has."""
    if state.has_vectors == table.contract.vectors:
        return ""
    has, wanted = ("with", "none") if state.has_vectors else ("without", "them")
    return f"it is stored {has} deletion vectors, and its contract wants {wanted}"


def _described(table: Table, settled: Decision) -> Decision:
    """Where nothing else is to do, the stored columns get the meanings of the contract, if they have others."""
    now = settled.state.snapshot if settled.state else None
    other = log.other_comments(now, table.contract.comments) if now else {}
    if not other:
        return settled
    return replace(settled, path="describe", reason=f"the contract describes {', '.join(other)} in other words")


def _other_quarantine(seen: _Seen, table: Table, note: Progress) -> str:
    """Why the quarantine is not the one that the table's last commit belongs to; empty where it is."""
    if not table.contract.judges or note.format == 1:
        return ""
    name, before = progress.rejected(table.name), note.rejected
    now = seen.state(name)
    if now is None:
        return f"{name} is gone" if before else ""
    address = progress.address(seen.root, name)
    if lost := seen.lost(name):
        return f"{_some(lost)} of {name} is gone or cut"
    is_same = before is not None and _has_the_same_rows(address, before, now)
    is_same = is_same or progress.never_landed(address, table.name, before, now)
    return "" if is_same else f"{name} is not as its last run left it"


def _has_the_same_rows(address: str, before: Input, now: State) -> bool:
    """Whether no commit since then changed data or columns, whoever made it."""
    since = int(before.version)
    return before.id == now.id and since <= now.version and not progress.moved(address, since, now.version)


def _is_unaccounted(table: Table, note: Progress, taken: list[Entry]) -> bool:
    """Whether the table includes files of which neither the ledger nor its own note says where their rows went."""
    until = note.inputs[table.parents[0]].batch
    silent = accounts.silent(table, taken)
    return until is not None and any(one.batch <= until for one in silent) and not accounts.said_in(note, until, silent)


def _made_anew(name: str, before: Input, now: Input) -> str:
    """Why an input is another one than before; empty where it can only have grown."""
    if name.startswith("conf."):
        return "" if before == now else f"{name.replace('.', '/')}.yml changed"
    if before.id != now.id:
        return f"{name} was made anew"
    if int(now.version) < int(before.version):
        return f"{name} was rewound from version {before.version} to {now.version}"
    return ""


def _revalues(before: Mapping[str, Input], now: Mapping[str, Input]) -> tuple[str, ...]:
    """What rows of conf files that were there before say now; a new row, for days from its valid_from, changes none."""
    found: list[str] = []
    for name, one in now.items():
        was = before.get(name)
        if was and was.content and one.content and was != one and name != graph.ACCEPTED:
            old, new = _by_key(was.content), _by_key(one.content)
            place = f"{name.replace('.', '/')}.yml"
            found += [
                f"{place}, {key}: {fact} {_value(facts.get(fact))} -> {_value(value)}"
                for key, facts in old.items()
                for fact, value in new.get(key, {}).items()
                if value != facts.get(fact)
            ]
            found += [f"{place}, {key} is gone" for key in old if key not in new]
    return tuple(found)


def _value(fact: object) -> object:
    return "nothing" if fact is None else fact


def _by_key(content: str) -> dict[str, dict[str, object]]:
    """Rows by their first fact, which they are about, and the day from which they hold; until when, says the next."""
    rows: dict[str, dict[str, object]] = {}
    for row in json.loads(content):
        row.pop(graph.VALID_UNTIL, None)
        since = row.pop(graph.VALID_FROM, None)
        name, value = next(iter(row.items()))
        rows[f"{name} {value}{f' from {since}' if since else ''}"] = row
    return rows


def _moved(root: str, table: Table, note: Progress, inputs: Mapping[str, Input]) -> dict[str, tuple[int, int]]:
    versions = {name: (int(note.inputs[name].version), int(inputs[name].version)) for name in table.parents}
    return {
        name: (since, until)
        for name, (since, until) in versions.items()
        if progress.moved(progress.address(root, name), since, until)
    }


def _choose(root: str, table: Table, settled: Decision, taken: list[Entry], history: History) -> Decision:
    """The way for a table whose inputs moved, and otherwise are what they were."""
    from lakehouse.delta.files import feed  # noqa: PLC0415  Arrow, which a look at what did not move does not need

    did = {name: feed.written(progress.address(root, name), *span) for name, span in settled.moved.items()}
    rows = progress.together(one.changed if one else None for one in did.values())
    moves = ", ".join(f"{name} moved {since} -> {until}" for name, (since, until) in settled.moved.items())
    choice = replace(settled, path="whole", reason=moves, rows=rows)
    if table.contract.write == "replace":
        return choice
    if table.contract.write == "latest":
        path = _in_time_or_late(table, choice, taken)
        if path == "late" and table.contract.full_dump:
            return replace(choice, reason=f"{moves}, with a late file; what each dump lacks may be other documents now")
        return replace(choice, path=path)
    if table.contract.deduplicate:
        return replace(choice, path="new", reason=f"{moves}{_rounds(table, choice)}")
    for name in [name for name, one in did.items() if one is None]:
        return replace(choice, reason=f"the log of {name} no longer reaches back to version {settled.moved[name][0]}")
    choice = replace(choice, rows_of_inputs=progress.rows_of(root, settled.inputs))
    why = whole_is_cheaper(choice.rows, choice.rows_of_inputs, history.comparable(table.name))
    return replace(choice, reason=why) if why else replace(choice, path="incremental")


def _rounds(table: Table, settled: Decision) -> str:
    """How many rounds of a topic are new: more where some wait, since their rows go into too many days."""
    bronze = table.parents[0]
    note = settled.state.progress if settled.state else None
    since, until = (one.batch if one else None for one in (note and note.inputs[bronze], settled.inputs[bronze]))
    if since is None or until is None:
        return ""
    return f" ({until - since:,} round{'' if until - since == 1 else 's'} of messages)"


def whole_is_cheaper(changed: int | None, rows: int | None, past: Sequence[Ran]) -> str:
    """Why the whole table is computed where only `changed` of all `rows` of its inputs did; empty where it is not.

    Where `past` runs of the engine have shown both ways, the best seconds tell: of the whole runs, longer by as much
    as the inputs have grown since, and of the incremental ones with about as many changed rows. Times are not extended
    to other numbers of rows: most of a small increment is a fixed part, of which a few runs, some of them cold, cannot
    tell the rest; one alone is not believed, since it may have stood beside other work. It must save a fifth and five
    seconds, so that the choice does not flap. Where runs have not shown it, the whole is chosen for more than half of
    the rows.
    """
    if changed is None or not rows:
        return ""
    share = f"{changed:,} of {rows:,} input rows changed"
    right = [one for one in past if not one.error]
    whole = [
        one.cost * max(1.0, rows / (one.rows_of_inputs or rows)) for one in right if one.path in {"first", "whole"}
    ]
    alike = [one.cost for one in right if one.path == "incremental" and _is_alike(one.rows_changed or 0, changed)]
    if not whole or not alike:
        return f"{share}: more than half" if changed > max(FEW, HALF * rows) else ""
    best, this_way = min(whole), min(alike)
    is_cheaper = len(alike) >= SHOWN and best <= CLEARLY * this_way and best + WORTHWHILE <= this_way
    return f"{share}: whole took {_seconds(best)} and incremental {_seconds(this_way)}" if is_cheaper else ""


def _is_alike(rows: int, others: int) -> bool:
    return rows <= ALIKE * others and others <= ALIKE * rows


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s"


def _in_time_or_late(table: Table, settled: Decision, taken: list[Entry]) -> str:
    bronze = table.parents[0]
    before = settled.state.progress.inputs[bronze] if settled.state and settled.state.progress else Input(-1)
    late = late_files(bronze, before, settled.inputs[bronze], taken)
    return "whole" if late is None else "late" if late else "new"


def late_files(bronze: str, before: Input, now: Input, taken: Iterable[Entry]) -> frozenset[str] | None:
    """Of the new files those that are not newer than all that their market had; None where that cannot be told.

    What is taken back is no news, nor is anything older for it.
    """
    since, until = before.batch, now.batch
    if since is None or until is None:
        return None
    newest: dict[tuple[int, ...], str] = {}  # by market; () is all of them, as in a window
    fresh: list[tuple[tuple[int, ...], Delivery]] = []
    for one in taken:
        if one.delivery.table != bronze or one.batch > until or one.retracted:
            continue
        market = tuple(one.delivery.parts.values())
        if one.batch > since:
            fresh.append((market, one.delivery))
        else:
            newest[market] = max(newest.get(market, ""), one.delivery.sequence)

    def held(market: tuple[int, ...]) -> str:
        return max((newest[of] for of in newest if not (of and market) or of == market), default="")

    return frozenset(one.path for market, one in fresh if one.sequence <= held(market))


# For people who plan -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """What a turn would read of its inputs: rows, and what they belong to; None where that cannot be told.

    `units` is None also where they are all of the table's.
    """

    rows: int | None = None
    units: int | None = None


def sizes(
    root: str, tables: Mapping[str, Table], decisions: Mapping[str, Decision], started: Callable[[], Engine]
) -> dict[str, Size]:
    """Of the turns that begin now; `started` is asked for an engine only where changed rows lead to units."""
    return {name: _size(root, tables[name], one, started) for name, one in decisions.items()}


def _size(root: str, table: Table, decision: Decision, started: Callable[[], Engine]) -> Size:
    match decision.path:
        case "first" | "whole":
            return Size(decision.rows_of_inputs or progress.rows_of(root, decision.inputs))
        case "incremental":
            from lakehouse.writes import refresh  # noqa: PLC0415  PySpark, which only changed rows need

            inputs = {name: int(one.version) for name, one in decision.inputs.items() if name in table.parents}
            return Size(decision.rows, refresh.touched_units(started(), root, table, inputs, decision.moved))
    return Size(decision.rows)
