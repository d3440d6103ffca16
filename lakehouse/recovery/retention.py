"""What contracts let go after some days: files of landing that were loaded, and rows of bronze that count no more.

A delivery leaves bronze when each of its documents has an accepted delivery after it, by every table that reads them:
whatever comes later, however late, is held against that one, so the same tables follow from what is left. What a row of
a table or of its quarantine stands in stays as evidence, and corrections stay, since they say what counts no more.
Kept releases can be gone back to: what they do not include yet stays in both.

Messages of a topic leave by their age alone, the first to come first: from then on what was made from them is the base.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from lakehouse.audit import accounts
from lakehouse.contract import EVIDENCE
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.conflicts import ConflictError, after_others
from lakehouse.delta.files import feed, parquet
from lakehouse.delta.tables import features, log, progress
from lakehouse.engines import protocol
from lakehouse.errors import LakehouseError, is_panic
from lakehouse.intake.deliveries import fetched
from lakehouse.intake.records import ledger, retracted
from lakehouse.intake.records.ledger import REMOVED
from lakehouse.readers.columns import NAMES_A_ROW, OF_CORRECTIONS
from lakehouse.runs import plan
from lakehouse.store import archives, storage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from pyspark.sql import DataFrame

    from lakehouse.delta.tables.log import Action, Snapshot
    from lakehouse.delta.tables.progress import State
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Delivery, Entry

MANY = 1 << 62  # rounds
DELIVERY = ("_file", "_batch")
Place = tuple[str, int]  # file and batch


@dataclass(frozen=True)
class Removed:
    """`rows` of so many `deliveries` left a bronze table, or so many `files` landing, with their `bytes`.

    Of a topic `deliveries` are rounds.

    `problem`: why it was left as it is.
    """

    table: str
    rows: int = 0
    deliveries: int = 0
    files: int = 0
    bytes: int = 0
    problem: str = ""
    is_of_a_topic: bool = False


def remove(
    root: str,
    landing: str,
    tables: Mapping[str, Table],
    released: Mapping[str, Collection[int]],
    started: Callable[[], Engine],
    *,
    dry_run: bool = False,
) -> list[Removed]:
    """What is older than its contract says; `released`: the versions that kept releases hold.

    An engine is `started` where rows of bronze are so old. What stops one table stops no other.
    """
    root, landing = storage.normalise(root), storage.normalise(landing)
    sources = {name: one for name, one in tables.items() if one.contract.source}
    if not any(one.contract.retention.bronze or one.contract.retention.landing for one in sources.values()):
        return []
    now = datetime.now(UTC)
    try:
        files = ledger.read(root)
        taken = retracted.marked(files.taken(), retracted.read())
    except LakehouseError as error:
        return [Removed(ledger.FILES, problem=str(error))]
    settled = {name: _settled(root, name, released.get(name, ())) for name in sources}
    done = []
    for name, table in sources.items():
        days = table.contract.retention
        if not table.contract.takes_files:
            found = _done(name, partial(_from_topic, root, tables, name, now, dry_run=dry_run))
            done += [found] if found else []
            continue
        mine = [one for one in taken if one.delivery.table == name and one.batch <= settled[name]]
        old = [one for one in mine if one.delivery.is_older(days.bronze, now) and _may_leave(one)]
        parts = [lambda old=old, name=name: _from_bronze(root, tables, name, old, taken, started, dry_run=dry_run)]
        parts = parts if old else []
        if days.landing:
            outlived = _outlived(sources, name, files, settled, now)
            parts.append(lambda one=outlived, name=name: _from_landing(root, landing, name, one, dry_run=dry_run))
        done += [found for part in parts if (found := _done(name, part))]
    return done


def _done(name: str, part: Callable[[], Removed]) -> Removed | None:
    try:
        found = part()
    except LakehouseError as error:
        return Removed(name, problem=str(error))
    except BaseException as error:
        if not (isinstance(error, protocol.errors()) or is_panic(error)):
            raise
        return Removed(name, problem=f"the engine says: {protocol.words(error)}")
    return found if found != Removed(name) else None


def _settled(root: str, name: str, released: Collection[int]) -> int:
    """The last batch of deliveries that bronze and all kept releases include: no rewind to them loads it again."""
    address = progress.address(root, name)
    found = [accounts.included_batch(plan.state(root, name))]
    for version in released:
        try:
            found.append(accounts.included_batch(progress.state(address, version)))
        except log.NO_SNAPSHOT:  # nobody can go back there
            continue
    return min(found)


def words(name: str, entries: Iterable[Entry]) -> str:
    """What cannot be done any more with these deliveries of a bronze table; empty where all can."""
    count = sum(one.status == REMOVED for one in entries if one.delivery.table == name)
    return (
        f"{name} no longer holds the rows of {count:,} older deliveries, whose documents newer ones had replaced (its "
        "contract's retention): no other definition can judge them, nor does a retraction of newer ones bring them back"
        if count
        else ""
    )


def said(root: str, tables: Iterable[str]) -> list[str]:
    """These words of each table that has some; none where the ledger cannot be read, which others say."""
    try:
        entries = ledger.read(storage.normalise(root)).entries
    except LakehouseError:
        return []
    return [f"{one}." for name in tables if (one := words(name, entries))]


# Landing --------------------------------------------------------------------------------------------------------------


def _outlived(
    sources: Mapping[str, Table], name: str, files: ledger.Ledger, settled: Mapping[str, int], now: datetime
) -> list[list[Entry]]:
    """By file what landing has no need to hold, as it was seen last: each source that wants it has had it so long."""
    held, loaded = files.held(), defaultdict[tuple[str, str], int](lambda: -1)
    for one in files.taken():
        place = one.delivery.table, one.delivery.content
        batch = one.batch if one.status != "claimed" else settled[one.delivery.table] + 1
        loaded[place] = max(loaded[place], batch)

    def is_over(table: str, path: str) -> bool:
        one = held.get((table, path))
        days = sources[table].contract.retention.landing
        return (
            one is not None
            and one.delivery.is_older(days, now)
            and loaded[table, one.delivery.content] <= settled[table]
        )

    together = defaultdict[str, list[str]](list)
    there = {one.delivery.path for one in files.entries if not one.is_taken} | {
        path for (_, path), one in held.items() if not one.is_gone
    }
    for path in sorted(there):
        together[archives.split(path)[0]].append(path)  # an archive goes with all that is in it

    def wanted_by(members: list[str]) -> list[tuple[str, str]]:
        both = [(other, its.contract, path) for other, its in sources.items() for path in members]
        return [(other, path) for other, contract, path in both if fetched.wants(other, contract, path) is not None]

    may_go = [wanted_by(members) for members in together.values() if any(is_over(name, one) for one in members)]
    # Of a file that several sources take the first one lets it go.
    of_this = [wanted for wanted in may_go if wanted and wanted[0][0] == name]
    return [[held[one] for one in wanted] for wanted in of_this if all(is_over(*one) for one in wanted)]


def _from_landing(root: str, landing: str, name: str, files: Iterable[list[Entry]], *, dry_run: bool) -> Removed:
    """Only what is still as it was loaded. The ledger says first that it is gone: nobody moved it then."""
    there = {one.path: one for one in archives.list_files(landing, fetched.FOLDER)}
    whole = {*fetched.windows(landing, name)} - {fetched.newest(landing, name)}  # which says where to go on

    def is_there(one: Delivery) -> bool:
        return one.path in whole or there.get(one.path) == one.stored

    def let_go(one: Delivery) -> None:
        if one.path in whole:
            storage.delete_all(f"{landing}/{one.path}")
        else:
            storage.delete(landing, archives.split(one.path)[0])

    gone = [entries for entries in files if all(is_there(one.delivery) for one in entries)]
    if not dry_run:
        _note(root, [one for entries in gone for one in entries], is_gone=True)
        storage.each(lambda entries: let_go(entries[0].delivery), gone)
    return Removed(name, files=len(gone), bytes=sum(entries[0].delivery.size for entries in gone))


# Bronze ---------------------------------------------------------------------------------------------------------------


def _may_leave(one: Entry) -> bool:
    """A correction says what counts no more."""
    return one.status == "loaded" and not set(OF_CORRECTIONS) & set(one.delivery.columns.values())


def _from_bronze(
    root: str,
    tables: Mapping[str, Table],
    name: str,
    old: Sequence[Entry],
    taken: Sequence[Entry],
    started: Callable[[], Engine],
    *,
    dry_run: bool,
) -> Removed:
    readers = [one for one in tables.values() if name in one.parents]
    behind = plan.decide_all(root, [tables[name], *readers], [*taken])
    if late := [one for one, way in behind.items() if way.path not in {"nothing", "describe"}]:
        return Removed(name, problem=f"{', '.join(late)} is not up to date, so all rows stay: `lakehouse run`")
    state = plan.state(root, name)
    if state is None:
        return Removed(name)
    needed = set[Place]()
    files = set[str]()
    for reader in readers:
        counting, evidence = _needed(_Reader(root, started(), tables, reader, state, taken))
        needed, files = needed | counting, files | evidence
    gone = [one for one in old if (one.delivery.path, one.batch) not in needed and one.delivery.path not in files]
    found = Removed(name, sum(one.rows_in_bronze for one in gone), len(gone))
    if gone and not dry_run:
        _take_out(progress.address(root, name), state, {(one.delivery.path, one.batch) for one in gone})
        # Where that does not come to pass, the next run finds that they are gone.
        _note(root, gone, status=REMOVED)
    return found


def _from_topic(root: str, tables: Mapping[str, Table], name: str, now: datetime, *, dry_run: bool) -> Removed:
    """Whole files of rows that came longer ago than the contract says, and that all readers include.

    Of each partition the first ones leave, so that what is left says from where on it is whole: a file that has older
    and newer rows stays, and what came behind it.
    """
    days, state = tables[name].contract.retention.bronze, plan.state(root, name)
    if days is None or state is None or state.snapshot is None:
        return Removed(name)
    readers = [one for one in tables.values() if name in one.parents]
    ways = plan.decide_all(root, readers, [])
    if late := [one for one, way in ways.items() if way.path not in {"nothing", "describe", "new"}]:
        return Removed(name, problem=f"{', '.join(late)} is not made from all of it, so all rows stay: `lakehouse run`")
    read = [way.state.progress.inputs[name].batch for way in ways.values() if way.state and way.state.progress]
    gone = _outlived_messages(state.snapshot, now - timedelta(days=days), min((one or 0 for one in read), default=MANY))
    rows = progress.together(progress.live_rows(one.file) for one in gone) or 0
    if gone and not dry_run:
        address = progress.address(root, name)
        note = progress.copied(address, state.version)
        committer.remove(address, state.version, [one.file for one in gone], [], note)
    return Removed(name, rows, len({one.last for one in gone}), is_of_a_topic=bool(gone))


def _outlived_messages(now: Snapshot, since: datetime, read: int) -> list[_Came]:
    """The files all of whose rows came before a time, in rounds until the one that all have `read`."""
    files, text = [_Came.of(one) for one in now.files.values()], f"{since:%Y-%m-%dT%H:%M:%S}"
    stay = [one for one in files if not one.at or one.at >= text or one.last > read]
    first = min((one.first for one in stay), default=MANY)
    return [one for one in files if one not in stay and one.last < first]


@dataclass(frozen=True)
class _Came:
    """A file of messages: the first and the last round that it has rows of, and when the last one was; as its log says.

    Where that says nothing the file is of all rounds.
    """

    file: Action
    first: int
    last: int
    at: str

    @classmethod
    def of(cls, file: Action) -> _Came:
        stats = parquet.parsed(file)
        low, high = (stats.get(name, {}) for name in ("minValues", "maxValues"))
        return cls(file, int(low.get("_batch", -1)), int(high.get("_batch", MANY)), str(high.get("_ingested_at") or ""))


@dataclass(frozen=True)
class _Reader:
    """A table that judges the documents of a bronze table, as it stands, and includes all of it."""

    root: str
    engine: Engine
    tables: Mapping[str, Table]
    table: Table
    bronze: State
    taken: Sequence[Entry]

    def judged(self) -> Iterator[tuple[DataFrame, DataFrame]]:
        """All rows of bronze, and what the table holds; slice by slice of the units, to bound memory."""
        from pyspark.sql import functions as F  # noqa: PLC0415  as all below: maintenance may need no engine

        from lakehouse.documents import quarantine  # noqa: PLC0415
        from lakehouse.documents.judgement import judging, parsing  # noqa: PLC0415
        from lakehouse.writes import units  # noqa: PLC0415
        from lakehouse.writes.lake import conf_rows  # noqa: PLC0415

        source, address = self.table.parents[0], progress.address(self.root, self.table.parents[0])
        size = progress.size(address)
        engine = self.engine.for_a_turn(size)
        bronze = engine.read(address, self.bronze.version)
        columns = dict(bronze.dtypes)
        note = plan.state(self.root, self.table.name)
        refused = note.progress.refused if note and note.progress else ()
        mine = [one for one in self.taken if one.delivery.table == source]
        out = judging.KeptOut(refused, tuple(one.delivery.sequence for one in mine if one.retracted))
        counting = [one for one in mine if not one.retracted]
        parsed = parsing.parse(
            self.table, self.tables[source].contract, bronze, columns, conf_rows(engine, self.table.inputs)
        )
        replacing = None
        if set(NAMES_A_ROW) <= columns.keys():
            counted = judging.in_force(bronze, out.retracted)
            replacing = judging.replaced_places(counted, quarantine.versions(engine, counting))
        newest = quarantine.newest_of_file(engine, counting)
        rows, stored = parsing.flat(parsed, -1), self._stored(engine)
        slices = engine.slices(size)
        place = F.coalesce(units.slice_of([F.col(one) for one in self.table.contract.unit], slices), F.lit(0))
        for number in range(slices):
            some, its = (one.where(place == number) if slices > 1 else one for one in (rows, stored))
            yield judging.judge_flat(self.table, some, newest, replacing, out), its

    def _stored(self, engine: Engine) -> DataFrame:
        state = plan.state(self.root, self.table.name)
        return engine.read(progress.address(self.root, self.table.name), state.version if state else 0)


def _needed(reader: _Reader) -> tuple[set[Place], set[str]]:
    """The deliveries of which a row counts, or would again: all but those of which each is superseded.

    And the files that a row of the table stands in which none of these has in its place, as where a document was
    delivered again unchanged.
    """
    needed, files, engine = set[Place](), set[str](), reader.engine
    place = [*reader.table.contract.unit, *EVIDENCE]
    for judged, stored in reader.judged():
        with ExitStack() as cached:
            counting = engine.once(judged.where("_status <> 'superseded'").select(*place, "_batch", "_status"), cached)
            found = engine.arrow(counting.select(*DELIVERY).distinct()).to_pylist()
            needed |= {(row["_file"], row["_batch"]) for row in found}
            kept = counting.where("_status = 'kept'").select(*place)
            elsewhere = stored.join(kept, on=place, how="left_anti").select("_file").distinct()
            files |= {row["_file"] for row in engine.arrow(elsewhere).to_pylist()}
    return needed, files


def _take_out(address: str, state: State, gone: Collection[Place]) -> None:
    """In one commit, upon the version that was judged; files that hold none of these deliveries stay as they are."""
    import pyarrow as pa  # noqa: PLC0415

    now = log.snapshot(address, state.version)
    if now is None:
        return
    features.check_writable(now)
    batches = [batch for _, batch in gone]
    some = [file for file in now.files.values() if _may_hold(file, min(batches), max(batches))]
    named = pa.array([_named(*one) for one in gone])
    parts = storage.each(lambda file: _left(now, file, named), some, address)
    old = [file for file, part in zip(some, parts, strict=True) if part is not None]
    new = [file for part in parts if part for file in part]
    if not old:
        return
    try:
        committer.remove(address, now.version, old, new, progress.copied(address, now.version))
    except ConflictError:
        for file in new:
            storage.delete(*storage.located(address, file["path"]))
        raise


def _may_hold(file: Action, first: int, last: int) -> bool:
    """By the bounds that the log has of the file's batches."""
    stats = parquet.parsed(file)
    low, high = (stats.get(name, {}).get("_batch") for name in ("minValues", "maxValues"))
    return low is None or high is None or (low <= last and first <= high)


def _named(file: str, batch: object) -> str:
    return f"{batch} {file}"


def _left(now: Snapshot, file: Action, gone: pa.Array) -> list[Action] | None:
    """The file without the rows of these deliveries, as new files; None where it has none."""
    import pyarrow.compute as pc  # noqa: PLC0415

    schema = log.schema(now)
    rows = feed.live(now.address, file, schema, DELIVERY)
    stays = pc.invert(pc.is_in(pc.binary_join_element_wise(rows["_batch"].cast("string"), rows["_file"], " "), gone))
    if pc.all(stays).as_py():
        return None
    if not pc.any(stays).as_py():
        return []
    return parquet.write(
        now.address, feed.live(now.address, file, schema, schema.names).filter(stays), now.partition_by
    )


@after_others
def _note(root: str, seen: Iterable[Entry], **now: Any) -> None:  # noqa: ANN401  as `replace`
    """What of these entries of the ledger is another thing now."""
    places, files = {one.place for one in seen}, ledger.read(root)
    ledger.settle(root, files, [replace(one, **now) for one in files.entries if one.place in places])
