"""The same rows twice: as a table stores them, and as they are rebuilt from what it says it includes.

All of them, or those of some units: a build is unit-local, so that some units need those units' input rows only.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
from pyspark.sql import functions as F

from lakehouse.audit import accounts
from lakehouse.contract import DIGEST, EVIDENCE
from lakehouse.delta.tables import progress
from lakehouse.documents import accounting, dumps, quarantine
from lakehouse.documents.judgement import lacking, parsing
from lakehouse.engines import protocol
from lakehouse.engines.joins import semi
from lakehouse.engines.protocol import FEW_ROWS
from lakehouse.errors import LakehouseError
from lakehouse.events import deduplicate, judging
from lakehouse.intake.deliveries import fetched
from lakehouse.intake.records import ledger
from lakehouse.intake.records.ledger import REMOVED
from lakehouse.intake.rows import messages
from lakehouse.proof.judged import Judge
from lakehouse.recovery import retention
from lakehouse.writes import append, units
from lakehouse.writes.lake import conf_rows, conform

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from contextlib import ExitStack

    from pyspark.sql import Column, DataFrame

    from lakehouse.delta.tables.progress import Progress
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.writes.lake import Lake

How = Literal["whole", "sample", "since"]
SHARE = 100  # a sample is one unit, or file, of so many
LEAST = 5  # units of a sample
AT_ONCE = 8  # requests to S3
OF_A_DELIVERY = ("_file", "_row", "_batch")
OF_A_REJECTED_ROW = ("_file", "_row", "_sequence")


@dataclass(frozen=True)
class Place:
    """Where tables are compared; `taken` are the ledger's deliveries."""

    engine: Engine
    lake: Lake
    landing: str
    tables: Mapping[str, Table]
    taken: Sequence[Entry]


@dataclass(frozen=True)
class Subject:
    """A table at one version, and its `note` there: what it says it includes. `how` says which rows are meant.

    For `since` there are the version and the note that the table had before its last runs.
    """

    place: Place
    table: Table
    version: int
    note: Progress
    how: How
    cached: ExitStack
    before: tuple[int, Progress] | None = None

    def once(self, rows: DataFrame) -> DataFrame:
        return self.place.engine.once(rows, self.cached)


@dataclass(frozen=True)
class Sides:
    """Frames of the same columns, and the columns by which their rows are told apart."""

    name: str
    key: Sequence[str]
    rebuilt: DataFrame
    stored: DataFrame


@dataclass(frozen=True)
class Pair:
    """A table's rows, and those of its quarantine; none where nothing can be compared. `note` is for people."""

    sides: tuple[Sides, ...]
    note: str = ""


def of(subject: Subject) -> Pair:
    """Both sides of the table and, where deliveries are judged, of its quarantine.

    Raises LakehouseError where the stored columns are not those that the contract promises.
    """
    ways = {"append": _delivered, "latest": _judged, "deduplicate": _arrived}
    return ways.get(subject.table.contract.write, _computed)(subject)


# Computed tables ------------------------------------------------------------------------------------------------------


def _computed(subject: Subject) -> Pair:
    table, promise = subject.table, subject.table.contract
    columns = [*promise.columns, *([DIGEST] if promise.is_wide else [])]
    tables = {name: _input(subject, name) for name in table.parents}
    inputs, stored = tables | conf_rows(subject.place.engine, table.inputs), _stored(subject)
    if subject.how != "whole":
        some = _marked(subject, _units(subject, inputs, stored))
        inputs = units.narrowed(table, inputs, some.units, partial(_small_side, subject, some))
        stored = _belonging(subject, stored, some)
    built = conform(table, table.build(*(inputs[name] for name in table.inputs)))
    if subject.how != "whole":
        built = units.only(table, built, some.units)
    built = units.with_digest(promise, built)
    return Pair((_sides(table.name, promise.grain, built.select(*columns), stored),))


def _units(subject: Subject, inputs: Mapping[str, DataFrame], stored: DataFrame) -> DataFrame:
    """Of a sample: drawn from the units that are stored and those that inputs lead to by themselves, which are all."""
    table = subject.table
    if subject.how == "since":
        return _units_of_runs(subject, inputs, stored)
    reaches = table.contract.inputs
    direct = {name: inputs[name] for name in table.parents if name not in reaches or not reaches[name].through}
    every = units.touched(table, direct, inputs).unionByName(stored.select(*table.contract.unit)).distinct()
    return _sample(subject, every)


def _units_of_runs(subject: Subject, inputs: Mapping[str, DataFrame], stored: DataFrame) -> DataFrame:
    """The units that the last runs changed, and those that they should have: which changes of the inputs belong to."""
    table = subject.table
    changed = {name: rows for name in table.parents if (rows := _changes(subject, name)) is not None}
    own = _changes(subject, table.name)
    some = (stored.limit(0) if own is None else own).select(*table.contract.unit)
    return (some.unionByName(units.touched(table, changed, inputs)) if changed else some).distinct()


# Tables whose rows are delivered documents ----------------------------------------------------------------------------


def _judged(subject: Subject) -> Pair:
    """All rows of bronze judged anew, as if they had come at once.

    Which files are kept out whole is found anew too; of a part of their rows it cannot be told, and the note says it.
    """
    table, source = subject.table, subject.table.parents[0]
    bronze, stored, wrong = _input(subject, source), _stored(subject), _stored_wrong(subject)
    engine, counting = subject.place.engine, _counting(subject)
    conf, promise = conf_rows(engine, table.inputs), subject.place.tables[source].contract
    anew = Judge(engine, table, promise, subject.note, counting, conf)
    parsed, some = anew.parsed(bronze), None
    if subject.how != "whole":
        some = _marked(subject, _delivered_units(subject, parsed, stored, wrong))
        stored = _belonging(subject, stored, some)
        # Whether a full dump is believed depends on all documents.
        parsed = parsed if table.contract.removes_vanished else _belonging(subject, parsed, some)
        wrong = None if wrong is None else _belonging(subject, wrong, some)
    judge, out = anew.judged(bronze, parsed), anew.kept_out
    if subject.how == "whole":
        first = judge(replace(out, refused=()))
        out = replace(out, refused=accounting.account(engine, table, first, defaultdict(type(None))).beyond)
    judged = judge(out)
    if table.contract.removes_vanished:
        judged = _without_vanished(subject, judged, out.refused)
        judged = judged if some is None else _belonging(subject, judged, some)
    right, rejected = _right_and_rejected(subject, judged)
    found = rejected.limit(0) if wrong is None else wrong
    return Pair(
        (
            _sides(table.name, table.contract.grain, right, stored),
            _sides(progress.rejected(table.name), OF_A_REJECTED_ROW, rejected, found),
        ),
        retention.words(source, subject.place.taken),
    )


def _without_vanished(subject: Subject, judged: DataFrame, refused: Collection[str]) -> DataFrame:
    delivered = dumps.Delivered(_counting(subject), refused)
    gone = dumps.vanished(subject.place.engine, subject.table, judged, delivered, subject.once).gone
    return judged if gone is None else dumps.without_vanished(subject.table, judged, gone)


def _right_and_rejected(subject: Subject, judged: DataFrame) -> tuple[DataFrame, DataFrame]:
    """The table's rows, without where they stand: a unit that was delivered again unchanged keeps its first place."""
    table, promise = subject.table, subject.table.contract
    needed = (*promise.columns, *EVIDENCE, "_status", "_broken", "_sequence", "_delivered_at")
    kept = judged.where("_status = 'kept'")
    if promise.keeps_lacking:
        accepted = judged.where("_accepted and not _repeat")
        values = lacking.kept_values(subject.place.engine, table, accepted, _counting(subject))
        kept = kept if values is None else lacking.with_kept(table, kept, values)
    rejected = judged.where("_status = 'rejected'")
    both = subject.once(kept.select(*needed).unionByName(rejected.select(*needed)))
    columns = [name for name in promise.stored_columns if name not in EVIDENCE]
    right = units.with_digest(promise, both.where("_status = 'kept'")).select(*columns)
    return right, quarantine.rejected_rows(table, both)


def _delivered_units(subject: Subject, parsed: DataFrame, stored: DataFrame, wrong: DataFrame | None) -> DataFrame:
    """Units with a null among their columns stand for rows that name no unit: they are few, and always compared."""
    unit = list(subject.table.contract.unit)
    delivered = parsed.select(*unit, F.col("_source._batch").alias("_batch"))
    if subject.how == "since":
        is_new = F.col("_batch") > _batch_before(subject, subject.table.parents[0])
        some = delivered.where(is_new | ~parsing.has_key(subject.table)).select(*unit)
        own = _changes(subject, subject.table.name)
        return (some if own is None else some.unionByName(own.select(*unit))).distinct()
    every = delivered.select(*unit).unionByName(stored.select(*unit))
    every = every if wrong is None else every.unionByName(wrong.select(*unit))
    return _sample(subject, every.distinct(), always=~parsing.has_key(subject.table))


def _stored_wrong(subject: Subject) -> DataFrame | None:
    """As it stands, like the table's rows: what somebody else changed in it since the last run is found."""
    name = progress.rejected(subject.table.name)
    state = subject.place.lake.state(name)
    return _read(subject, name, state.version) if state else None


def _counting(subject: Subject) -> list[Entry]:
    """The deliveries that the table includes, without those that were taken back."""
    source = subject.table.parents[0]
    until = subject.note.inputs[source].batch
    taken = [one for one in subject.place.taken if one.delivery.table == source and one.batch <= (until or 0)]
    return [one for one in taken if one.delivery.sequence not in subject.note.retracted]


# Tables whose rows count by themselves --------------------------------------------------------------------------------


def _arrived(subject: Subject) -> Pair:
    """What bronze still has, judged anew upon the rows that it has no longer; of a sample the rows of some ids.

    Rejected rows say no id, so of them a sample are those of some places.
    """
    table, source, engine = subject.table, subject.table.parents[0], subject.place.engine
    read = subject.note.inputs[source]
    bronze = _input(subject, source).where(F.col("_batch") <= (read.batch or 0))
    reach = deduplicate.Reach.of(engine, bronze)
    conf, promise = conf_rows(engine, table.inputs), subject.place.tables[source].contract
    by_hand = (subject.note.retracted, subject.note.accepted)
    rows = judging.judged(table, promise, bronze, dict(bronze.dtypes), conf, *by_hand)
    stored, wrong = _stored(subject), _stored_wrong(subject)
    if subject.how == "sample":
        of_id = F.coalesce(judging.id_of(judging.said_of(table)), F.xxhash64(*EVIDENCE))
        of_place = F.xxhash64(*EVIDENCE)
        rejected = F.col("_status") == judging.REJECTED
        rows = rows.where(_is_drawn(subject, F.when(rejected, of_place).otherwise(of_id)))
        stored = stored.where(_is_drawn(subject, of_id))
        wrong = None if wrong is None else wrong.where(_is_drawn(subject, of_place))
    older = subject.once(stored.where(~reach.has()))
    size = progress.size(subject.place.lake.address(source))
    parts, _ = deduplicate.in_slices(engine, table, size, rows, older, subject.cached)
    kept = units.together(part.kept for part in parts).select(*table.contract.stored_columns)
    rejected_rows = units.together(judging.rejected_rows(part.rows) for part in parts)
    found = rejected_rows.limit(0) if wrong is None else wrong.where(reach.has())
    note = "" if older.isEmpty() else f"{source} has rows since {reach.day}: what came before is not built anew"
    return Pair(
        (
            _sides(table.name, table.contract.grain, kept, stored.where(reach.has())),
            _sides(progress.rejected(table.name), OF_A_REJECTED_ROW, rejected_rows, found),
        ),
        note,
    )


def _is_drawn(subject: Subject, drawn: Column) -> Column:
    """Others for each version of the table."""
    return F.pmod(drawn, F.lit(SHARE)) == subject.version % SHARE


# Bronze ---------------------------------------------------------------------------------------------------------------


def _delivered(subject: Subject) -> Pair:
    """The files that still stand in landing as they were loaded, read again; rows that no file brought are found."""
    if not subject.table.contract.takes_files:
        return _sent(subject)
    until = int(subject.note.inputs[ledger.FILES].version)
    since = _batch_before(subject, ledger.FILES) if subject.how == "since" else -1
    loaded = [one for one in subject.place.taken if one.delivery.table == subject.table.name]
    lake = subject.place.lake
    removed = {one.place for one in accounts.let_go(lake.root, subject.table, lake.state(subject.table.name), loaded)}
    left = [one for one in loaded if one.status != REMOVED and one.place not in removed]
    mine = [one for one in left if since < one.batch <= until]
    standing = _standing(subject.place.landing, mine)
    there = {one.place for one in standing}
    gone = [one for one in mine if one.place not in there]
    some = _sample_of_files(subject, standing) if subject.how == "sample" else standing
    absent = f"{len(gone):,} of {len(mine):,} files no longer stand in landing as they were loaded" if gone else ""
    note = "; ".join(one for one in (absent, retention.words(subject.table.name, loaded)) if one)
    if not some and (gone or subject.how != "whole"):
        return Pair((), note or "no file was loaded")
    stored = _of_files(subject, some, "left_semi") if subject.how != "whole" else _of_files(subject, gone, "left_anti")
    place = subject.place
    read = append.rows(place.engine, subject.table, place.landing, some).rows if some else stored.limit(0)
    columns = dict(stored.dtypes) | dict(read.dtypes)
    rebuilt, stored = _with_columns(read, columns), _with_columns(stored, columns)
    return Pair((_sides(subject.table.name, OF_A_DELIVERY, rebuilt, stored),), note)


def _sent(subject: Subject) -> Pair:
    """Messages read again from what was sent, which stands beside what was read; the topic itself is not asked."""
    stored, columns = _stored(subject), list(subject.table.contract.columns)
    if subject.how == "since":
        stored = stored.where(F.col("_batch") > _batch_before(subject, ledger.TOPIC))
    if subject.how == "sample":
        last, place = ledger.last_batch(subject.note.inputs), subject.version % SHARE
        stored = stored.where((F.col("_batch") == last) | (F.col("_batch") % SHARE == place))
    rebuilt = stored.mapInArrow(partial(messages.read_again, columns), stored.schema)
    return Pair((_sides(subject.table.name, OF_A_DELIVERY, rebuilt, stored),), "")


def _standing(landing: str, entries: Sequence[Entry]) -> list[Entry]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        still = pool.map(lambda one: fetched.is_still(landing, one.delivery), entries)
        return [one for one, is_there in zip(entries, still, strict=True) if is_there]


def _sample_of_files(subject: Subject, entries: Sequence[Entry]) -> list[Entry]:
    def place(one: Entry) -> str:
        return hashlib.sha256(f"{subject.version} {one.place}".encode()).hexdigest()

    return sorted(entries, key=place)[: math.ceil(len(entries) / SHARE)]


def _of_files(subject: Subject, entries: Sequence[Entry], how: str) -> DataFrame:
    stored = _stored(subject)
    files = [(one.delivery.path, one.batch) for one in entries]
    if not files and how == "left_anti":
        return stored
    columns = {"_file": pa.array([path for path, _ in files], pa.string())}
    named = subject.place.engine.frame(pa.table(columns | {"_batch": pa.array([one for _, one in files], pa.int64())}))
    return stored.join(F.broadcast(named), on=["_file", "_batch"], how=how).select(*stored.columns)


def _with_columns(rows: DataFrame, columns: Mapping[str, str]) -> DataFrame:
    """A column that these files do not have is null, as it is where other files brought it."""
    return rows.select(
        *(
            F.col(f"`{name}`") if name in rows.columns else F.lit(None).cast(kind).alias(name)
            for name, kind in columns.items()
        )
    )


# Reading, and choosing a part -----------------------------------------------------------------------------------------


def _stored(subject: Subject) -> DataFrame:
    return _read(subject, subject.table.name, subject.version)


def _input(subject: Subject, name: str) -> DataFrame:
    return _read(subject, name, int(subject.note.inputs[name].version))


def _read(subject: Subject, name: str, version: int) -> DataFrame:
    try:
        return subject.place.lake.read(subject.place.engine, name, version)
    except protocol.errors() as error:
        raise gone(name, version) from error


def gone(name: str, version: int | str) -> LakehouseError:
    """The error for a version of which VACUUM took the files, or which is older than the log."""
    return LakehouseError(
        f"{name} can no longer be read at version {version}: its files or its log were cleaned away. Verify within the "
        "time that they are kept (delta.deletedFileRetentionDuration, a week where nobody changed it); this table can "
        "be verified again when it was next written."
    )


def _changes(subject: Subject, name: str) -> DataFrame | None:
    """Both images of what the last runs changed in an input, or in the table itself; None for nothing."""
    if subject.before is None:
        return None
    since, note = subject.before
    until = subject.version
    if name != subject.table.name:
        since, until = int(note.inputs[name].version), int(subject.note.inputs[name].version)
    address = subject.place.lake.address(name)
    return subject.place.engine.changes(address, since, until) if progress.moved(address, since, until) else None


def _batch_before(subject: Subject, source: str) -> int:
    """The last batch of deliveries that the table included before its last runs."""
    if subject.before is None:
        return -1
    known = subject.before[1].inputs[source]
    return int(known.version) if source in {ledger.FILES, ledger.TOPIC} else int(known.batch or 0)


def _sample(subject: Subject, every: DataFrame, always: Column | None = None) -> DataFrame:
    """About one unit of SHARE, at least LEAST: those of the smallest hashes, others for each version of the table.

    `always`: which are taken beside them.
    """
    is_taken = F.lit(False) if always is None else always  # noqa: FBT003
    drawn = every.withColumn("_drawn", F.xxhash64(F.lit(subject.version), *subject.table.contract.unit))
    is_drawn = is_taken | (F.col("_drawn") < F.lit(-(2**63) + 2**64 // SHARE))
    some = subject.once(drawn.where(is_drawn))
    if some.where(~is_taken).count() < LEAST:
        least = drawn.where(~is_taken).orderBy("_drawn").limit(LEAST)
        some = least.unionByName(drawn.where(is_taken))
    return some.drop("_drawn")


@dataclass(frozen=True)
class _Some:
    """Units of which rows are wanted, and whether they fit into the memory of every worker."""

    units: DataFrame
    are_few: bool


def _marked(subject: Subject, some: DataFrame) -> _Some:
    kept = subject.once(some)
    return _Some(kept, kept.count() <= FEW_ROWS)


def _belonging(subject: Subject, rows: DataFrame, some: _Some) -> DataFrame:
    values = {name: F.col(name) for name in subject.table.contract.unit}
    return semi(rows, _small_side(subject, some, some.units), values)


def _small_side(subject: Subject, some: _Some, keys: DataFrame) -> DataFrame:
    return subject.place.engine.small_side(keys) if some.are_few else keys


def _sides(name: str, key: Sequence[str], rebuilt: DataFrame, stored: DataFrame) -> Sides:
    wanted = dict(rebuilt.dtypes)
    there = {column: kind for column, kind in stored.dtypes if column in wanted}
    if wanted != there:
        missing = {column: there.get(column, "nothing") for column, kind in wanted.items() if there.get(column) != kind}
        promised = {column: wanted[column] for column in missing}
        raise LakehouseError(f"{name} stores {missing} where {promised} is promised. The next run builds it anew.")
    return Sides(name, key, rebuilt, stored.select(*(f"`{column}`" for column in wanted)))
