"""The native engine: Sail computes in this process, without a JVM; what is written is committed by our own committer.

Few rows travel by Arrow, many as Parquet files, in a scratch folder of this process or beside the table.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
import weakref
from collections import OrderedDict
from contextlib import ExitStack
from datetime import timedelta
from functools import cache, reduce
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from lakehouse.delta.commits import committer, conflicts, leaving
from lakehouse.delta.files import feed, parquet
from lakehouse.delta.files.parquet import NULL_FOLDER
from lakehouse.delta.tables import log
from lakehouse.engines import NATIVE
from lakehouse.engines.joins import semi
from lakehouse.engines.native import channel, reading, sail
from lakehouse.engines.protocol import FEW_BYTES, FEW_ROWS, SLICE
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from pyspark.sql import Column, DataFrame, SparkSession

    from lakehouse.delta.commits.committer import Rows, Target
    from lakehouse.delta.tables.log import Snapshot
    from lakehouse.engines.native.scratch import Scratch
    from lakehouse.engines.protocol import Change, Planned

    Held = OrderedDict[tuple[str, str, int], DataFrame]
    # By a table's address and id, what is said and a day: of which files it is known, and the folder that says it.
    Remembered = OrderedDict[tuple[str, str, str, str], tuple[frozenset[str], Path]]

# Bytes of rows: fewer are read here before other processes would have begun; of so much in a lake nobody tries.
FEW_DELIVERED, MUCH = 128 << 20, 1 << 30
AT_A_TIME = 3  # turns, which share it
# A row that is judged or grouped takes so many times the bytes that it has compressed (measured on order lines).
EXPANDED = 16
MOST_ROWS_OF_A_FILE, OF_PLAIN_ONES = parquet.LARGEST, 4  # and so many times as many where no vector hides any
MOST_SLICES = 64
MOST = 0.1  # of a table's units: with a copy of so many rows nothing is gained (measured: 7.4 s without one, 3.8)
MOST_HELD = 256  # small tables at a version
MOST_REMEMBERED, MOST_PIECES = 64, 32  # days of a table, and files of each
T = TypeVar("T")
ROWS, FILES, STORED, SOME = "_lakehouse_rows", "_lakehouse_files", "_lakehouse_stored", "_some"


class Native:
    """One server and one session in this process, which threads share; `size`: bytes that a turn may have to read."""

    name = NATIVE
    version = version("pysail")
    parallelism = os.cpu_count() or 1

    def __init__(
        self,
        spark: SparkSession,
        scratch: Scratch,
        held: Held | None = None,
        known: feed.Known | None = None,
        size: int = 0,
        remembered: Remembered | None = None,
    ) -> None:
        self.spark, self.scratch, self.size = spark, scratch, size
        self.remembered: Remembered = OrderedDict() if remembered is None else remembered
        self.held: Held = OrderedDict() if held is None else held
        self.known = known or feed.Known()

    @classmethod
    def start(cls) -> Native:
        """The process's engine, started where it is not; from now on `pyspark.sql.functions` are those of Connect."""
        os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
        with _starting:
            return _started()

    def check_shared(self, lake: str, landing: str) -> None:
        """Nothing is to be asked: this process alone computes."""

    def for_a_turn(self, size: int) -> Native:
        return Native(self.spark, self.scratch, self.held, self.known, size, self.remembered)

    @property
    def is_small(self) -> bool:
        return self.size <= FEW_BYTES

    # Reading

    def read(self, address: str, version: int) -> DataFrame:
        """A small table once, by our own reader, as long as it is used: Sail looks at the whole log for each scan."""
        found = log.snapshot(address, version)
        if found is not None and sum(int(one["size"]) for one in found.files.values()) <= FEW_BYTES:
            return self._held(found)
        if found is not None and (folder := sail.copied(address, version)):
            made = self._of_files(str(folder))
            weakref.finalize(made._plan, self.scratch.forget, folder)  # noqa: SLF001  as in _unnamed
            return _known(made, log.schema(found))
        made = self.spark.read.format("delta").option("versionAsOf", version).load(sail.reachable(address))
        return _of_table(_not_constant(made), found) if found else _not_constant(made)

    def part(self, address: str, version: int, column: str, least: int | date, most: int | date) -> DataFrame:
        """By a scan of the files alone, which the log names: Sail looks at the whole log, however little is wanted."""
        found = log.snapshot(address, version)
        within = F.col(column).between(least, most)
        is_small = found is not None and sum(int(one["size"]) for one in found.files.values()) <= FEW_BYTES
        if found is None or is_small or any(one.get("deletionVector") for one in found.files.values()):
            return self.read(address, version).where(within)
        schema = log.schema(found)
        kind = schema.field(column).type
        of_folder: dict[frozenset[tuple[str, str | None]], list[str]] = {}
        for path, file in found.files.items():
            if leaving.may_be_within(file, column, kind, least, most):
                folder = frozenset((file.get("partitionValues") or {}).items())
                of_folder.setdefault(folder, []).append(path)
        parts = [self._of_folder(paths, dict(folder), found) for folder, paths in sorted(of_folder.items(), key=str)]
        if not parts:
            return self.frame(schema.empty_table())
        return _known(reduce(lambda some, more: some.union(more), parts), schema).where(within)

    def _of_folder(self, paths: Iterable[str], values: Mapping[str, str | None], found: Snapshot) -> DataFrame:
        """The rows of files of one partition, whose columns the files do not have, in the columns of the table."""
        schema, root = log.schema(found), sail.reachable(found.address)
        inside = pa.schema([one for one in schema if one.name not in found.partition_by])
        files = ("/".join(storage.located(root, path)) for path in paths)
        scan = _not_constant(self.spark.read.schema(from_arrow_schema(inside)).parquet(*files))
        types = {one.name: one.dataType for one in from_arrow_schema(schema)}
        return scan.select(
            *(F.lit(values[one]).cast(types[one]).alias(one) if one in values else F.col(f"`{one}`") for one in types)
        )

    def by_day(
        self, address: str, version: int, day: str, days: tuple[date, date], what: Sequence[Column]
    ) -> DataFrame:
        """In files of scratch, by day: what a day's new files say is added; where one has gone, all is read again."""
        found = log.snapshot(address, version)
        if found is None or any(one.get("deletionVector") for one in found.files.values()):
            return self.part(address, version, day, *days).select(*what)
        first, last = days
        of_days: dict[str, list[str]] = {str(first + timedelta(one)): [] for one in range((last - first).days + 1)}
        for path, file in found.files.items():
            if (of := file["partitionValues"][day]) in of_days:
                of_days[of].append(path)
        folders = [self._remembered(found, day, of, paths, what) for of, paths in of_days.items() if paths]
        if not folders:
            return self.part(address, version, day, *days).select(*what)
        return _not_constant(self._of_files(*map(str, folders)))

    def _remembered(self, found: Snapshot, day: str, of: str, paths: list[str], what: Sequence[Column]) -> Path:
        key, there = (found.address, found.id, str(what), of), frozenset(paths)
        had, folder = self.remembered.pop(key, (frozenset(), None))
        if folder and not had <= there:
            self.scratch.forget(folder)
            had, folder = frozenset(), None
        folder = folder or self.scratch.folder()
        if new := sorted(there - had):
            pieces = self._computed(self._of_folder(new, {day: of}, found).select(*what), folder)
            if len(pieces) > MOST_PIECES:
                before, folder = folder, self.scratch.folder()
                self._computed(self._of_files(str(before)), folder)
                self.scratch.forget(before)
        self.remembered[key] = there, folder
        while len(self.remembered) > MOST_REMEMBERED:
            self.scratch.forget(self.remembered.popitem(last=False)[1][1])
        return folder

    def few_of(self, rows: DataFrame, keys: DataFrame) -> DataFrame:
        """By a scan that decodes of a column only what the keys want, where files alone say which rows there are.

        Slower for many rows, and where conditions are computed (measured: 0.6 for 2.5 s, 5 for 1). Of computed rows the
        keys are made so that no condition on them can be moved into the scan, where it computes them again.
        """
        stored: Snapshot | None = vars(rows).get(STORED)
        if stored and not stored.partition_by and not any(one.get("deletionVector") for one in stored.files.values()):
            files = ("/".join(storage.located(sail.reachable(stored.address), path)) for path in stored.files)
            scan = self.spark.read.options(pushdown_filters=True, reorder_filters=True).schema(rows.schema)
            rows = _known(_not_constant(scan.parquet(*files)), log.schema(stored))
        elif not stored:
            rows = rows.withColumns({name: F.when(F.rand() >= 0, F.col(name)) for name in keys.columns})
        return rows.join(self.small_side(keys), on=keys.columns, how="left_semi")

    def _held(self, found: Snapshot) -> DataFrame:
        key = (found.address, found.id, found.version)
        with _holding:
            held = self.held.get(key)
            if held is not None:
                self.held.move_to_end(key)
                return held
        made = self._unnamed(feed.read(found.address, found.version))
        with _holding:
            self.held[key] = made
            while len(self.held) > MOST_HELD:
                self.held.popitem(last=False)
        return made

    def changes(self, address: str, since: int, until: int, columns: Sequence[str] | None = None) -> DataFrame:
        return self.frame(self.known.changes(address, since, until, columns).drop_columns([feed.VERSION]))

    def frame(self, rows: pa.Table) -> DataFrame:
        return _with(self._unnamed(rows), **{ROWS: rows})

    def _unnamed(self, rows: pa.Table) -> DataFrame:
        """The rows as a file of scratch, which goes with the last plan that reads it."""
        path = self.scratch.write(rows)
        made = self._of_files(str(path))
        weakref.finalize(made._plan, path.unlink, missing_ok=True)  # noqa: SLF001  what is made of it holds its plan
        return _known(made, rows.schema)

    def arrow(self, rows: DataFrame) -> pa.Table:
        return _arrow(rows)

    def delivered(
        self, groups: int, read: Callable[[Iterable[int]], Iterator[pa.RecordBatch]], schema: pa.Schema
    ) -> DataFrame:
        few = reading.few(groups, read, schema, FEW_DELIVERED if self.size <= MUCH else 0)
        if few is not None:
            return self.frame(few)
        folder = self.scratch.folder()
        try:
            files = reading.side_by_side(groups, read, schema, folder, MOST_ROWS_OF_A_FILE)
        except BaseException:
            self.scratch.forget(folder)
            raise
        if not files:
            return self.frame(schema.empty_table())
        made = _not_constant(self._of_files(*files))
        weakref.finalize(made._plan, self.scratch.forget, folder)  # noqa: SLF001  as in _unnamed
        return _known(_made_of(made, files), schema)

    def sent(self, plan: Callable[[int], Planned]) -> tuple[DataFrame, Planned] | None:  # noqa: ARG002
        return None

    def _of_files(self, *files: str) -> DataFrame:
        return self.spark.read.parquet(*files)

    # Computing

    def once(self, rows: DataFrame, until: ExitStack) -> DataFrame:
        """As files of scratch where the turn is not small; rows that are kept by SLICE are read slice by slice."""
        if ROWS in vars(rows) or _files(rows):
            return rows
        if self.is_small:
            return self.frame(_arrow(rows))
        folder = self.scratch.folder()
        until.callback(self.scratch.forget, folder)
        by_slice = (SLICE,) if SLICE in rows.columns else ()
        files = self._computed(rows, folder, by_slice)
        if not files:
            return self.frame(_arrow(rows.limit(0)))
        if by_slice:
            return _not_constant(self._of_files(str(folder)))
        return _made_of(_not_constant(self._of_files(*files)), files)

    def _computed(self, rows: DataFrame, folder: Path, partition_by: Sequence[str] = ()) -> list[str]:
        """The rows as Parquet files below the folder, in folders of the partitions."""
        (rows.write.partitionBy(*partition_by) if partition_by else rows.write).parquet(str(folder), mode="append")
        return [str(one) for one in sorted(folder.rglob("*.parquet"))]

    def narrow(self, rows: DataFrame, share: Callable[[], float], until: ExitStack) -> DataFrame:
        """Not where most are wanted: to read a copy of most of a table costs what to read the table does."""
        return rows if self.is_small or share() > MOST else self.once(rows, until)

    def small_side(self, rows: DataFrame) -> DataFrame:
        return rows.hint("broadcast")

    def slices(self, size: int) -> int:
        return min(MOST_SLICES, max(1, -(-size * EXPANDED * AT_A_TIME // sail.memory())))

    def used(
        self, build: Callable[[Mapping[str, DataFrame]], DataFrame], inputs: Mapping[str, DataFrame]
    ) -> Mapping[str, set[str]]:
        """From the physical plan, which names each file that it scans, and the columns of it.

        Over files of one row of nulls, without statistics: what is largest in an empty file is known without a scan.
        """
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        folder = self.scratch.folder()
        places = {name: folder / f"{place}.parquet" for place, name in enumerate(inputs)}
        for name, rows in inputs.items():
            schema = pa.schema([one.with_nullable(True) for one in to_arrow_schema(rows.schema, timezone="UTC")])  # noqa: FBT003
            pq.write_table(pa.Table.from_pylist([{}], schema), places[name], write_statistics=False)
        frames = {name: self._of_files(str(place)) for name, place in places.items()}
        plan = _connect(build(frames))._explain_string(extended=True)  # noqa: SLF001
        self.scratch.forget(folder)
        return {name: _scanned(plan, places[name], rows.columns) for name, rows in inputs.items()}

    # Writing

    def write(self, target: Target, base: int, change: Change, note: str) -> int:
        rows = None if change.rows is None or change.how == "units" else self._ready(target, change.rows)
        changed = self._changed(target, change) if change.how == "units" else (None, None)

        def upon(version: int) -> int:
            match change.how:
                case "append":
                    return committer.append(target, version, rows, note, change.txn)
                case "overwrite":
                    return committer.overwrite(target, version, rows, note)
                case "units":
                    return committer.replace_units(target, version, list(change.unit), *changed, note)
            return committer.note_only(target, version, note)

        return conflicts.beside_maintenance(target.address, base, upon)

    def _changed(
        self, target: Target, change: Change
    ) -> tuple[pa.Table | list[dict[str, Any]] | None, pa.Table | None]:
        """The rows of the units that differ, and the units that are gone; None for none."""
        if change.differing is None:
            return (None if change.rows is None else self._ready(target, change.rows)), None
        differing, unit = _arrow(change.differing), list(change.unit)
        gone = differing.filter(differing["_gone"]).select(unit)
        some = differing.filter(pc.invert(differing["_gone"])).select(unit)
        if not some.num_rows or change.rows is None:
            rows = None
        elif _is_here(change.rows):
            here = _arrow(change.rows).select(target.schema.names)
            rows = here.take(leaving.places_of(some, here))
        else:
            keys = self.small_side(self.frame(some)) if some.num_rows <= FEW_ROWS else self.frame(some)
            rows = self._ready(target, semi(change.rows, keys))
        return rows, gone if gone.num_rows else None

    def _ready(self, target: Target, rows: DataFrame | pa.Table) -> Rows:
        """Few rows as Arrow; many as files beside the table, which a commit only has to name."""
        names = target.schema.names
        if isinstance(rows, pa.Table):
            return rows.select(names)
        if _is_here(rows) or self.is_small:
            return _arrow(rows if _is_here(rows) else rows.select(*names)).select(names)
        files = _files(rows)
        if files and not target.partition_by and set(reading.columns(files[0])) == set(names):
            return self._adopted(target, files)
        with ExitStack() as until:
            if target.partition_by:
                folder = self.scratch.folder()
                until.callback(self.scratch.forget, folder)
                # Where Sail partitions by a computed column, it puts a null to the value that stands below it.
                texts = {one: F.coalesce(F.col(one).cast("string"), F.lit(NULL_FOLDER)) for one in target.partition_by}
                placed = rows.select(*names).withColumns(texts)
                return self._adopted(target, self._computed(placed, folder, target.partition_by))
            computed = self.once(rows.select(*names), until)
            if _is_here(computed):
                return _arrow(computed).select(names)
            return self._adopted(target, _files(computed))

    def _adopted(self, target: Target, files: list[str]) -> Rows:
        """A file of a table that has vectors must not be so large that one of its vectors is."""
        most = MOST_ROWS_OF_A_FILE * (1 if target.vectors else OF_PLAIN_ONES)
        cut = {file: reading.cut(file, most) for file in files}
        pieces = {piece: parquet.of_folders(file) for file, some in cut.items() for piece in some}
        return parquet.adopt(target.address, pieces, target.schema)

    def spent(self) -> str:
        """Without its session, or with too much memory: Sail keeps 20 KB of each condition in SQL for ever."""
        try:
            self.spark.conf.get("spark.sql.session.timeZone")
        except Exception as error:  # noqa: BLE001  whatever it is, nothing can be computed
            return f"The engine's session is gone, as after minutes in which this process stood still ({error})."
        held, most = sail.held(), sail.memory() + sail.MORE
        if held <= most:
            return ""
        return (
            f"This process holds {held >> 20:,} MB of memory, and may {most >> 20:,} (LAKEHOUSE_MEMORY and 1 GiB; with "
            "more it lasts longer)."
        )

    def stop(self) -> None:
        self.scratch.remove()


_starting, _holding = threading.Lock(), threading.Lock()


@cache
def _started() -> Native:
    scratch = sail.scratch()
    from pysail.spark import SparkConnectServer  # noqa: PLC0415
    from pyspark.sql.connect.session import SparkSession  # noqa: PLC0415

    with sail.own_interrupts():
        way_in, why_not = channel.start(SparkConnectServer("127.0.0.1", 0))
    sail.warn(why_not)
    spark = SparkSession.builder.channelBuilder(way_in).create()
    spark.client.set_retry_policies([])  # the server is this process: what does not answer now never will
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    # Plans in this process are not worth compressing; where nothing is said, the client asks anew for every frame.
    spark.conf.set("spark.connect.session.planCompression.threshold", "-1")
    spark.conf.set("spark.connect.session.planCompression.defaultAlgorithm", "NONE")
    # What the client could ask for again if its connection broke takes two thirds of a small query's time.
    spark.client.disable_reattachable_execute()
    way_in.keep(spark, sail.SILENCE / 5)
    atexit.register(way_in.end)
    return Native(spark, scratch)  # type: ignore[arg-type]


def _not_constant(rows: DataFrame) -> DataFrame:
    """The rows, behind a filter that lets all pass, so that no expression is moved into the scan.

    There Sail takes a column for a constant whose bounds in a file are equal, and where all that is hashed is constant
    its xxhash64 ends in a panic. Conditions are moved below it all the same. Files of our own in scratch say no bounds.
    """
    return rows.withColumn(SOME, F.rand()).where(F.col(SOME) >= 0).drop(SOME)


def _of_table(rows: DataFrame, stored: Snapshot) -> DataFrame:
    """The frame, which remembers which rows of which table it has, and need not ask for its schema."""
    return _with(_known(rows, log.schema(stored)), **{STORED: stored})


def _made_of(rows: DataFrame, files: list[str]) -> DataFrame:
    """The frame, whose plan remembers the files that hold its rows: no others, and no others hold some."""
    _with(rows._plan, **{FILES: files})  # noqa: SLF001
    return rows


def _with(rows: T, **facts: object) -> T:
    """The frame, which remembers what this process knows of its rows."""
    vars(rows).update(facts)
    return rows


def plan(rows: DataFrame) -> Any:  # noqa: ANN401  a message of Spark Connect
    """The relation as the client would send it: what was asked for, with no name resolved; of files the paths."""
    connected = _connect(rows)
    return connected._plan.to_proto(connected._session.client).root  # noqa: SLF001


def _files(rows: DataFrame) -> list[str]:
    """The files that hold these rows and no others, also those of a union; none where rows are to be computed."""
    return _of_plan(_connect(rows)._plan)  # noqa: SLF001


def _of_plan(plan: Any) -> list[str]:  # noqa: ANN401
    if getattr(plan, "set_op", "") == "union" and plan.is_all and plan.by_name:
        sides = [_of_plan(side) for side in (plan._child, plan.other)]  # noqa: SLF001
        return [file for side in sides for file in side] if all(sides) else []
    return list(vars(plan).get(FILES, ()))


def _is_here(rows: DataFrame) -> bool:
    """Whether this process has them, or reads them sooner than it could ask for them."""
    files = _files(rows)
    return ROWS in vars(rows) or (bool(files) and sum(Path(one).stat().st_size for one in files) <= FEW_BYTES)


def _arrow(rows: DataFrame) -> pa.Table:
    """Not by `toArrow`, which asks for the schema first, one more call; types that Arrow has twice become the plain."""
    if ROWS in vars(rows):
        return vars(rows)[ROWS]
    found = reading.together(files) if (files := _files(rows)) else _answer(rows)
    return found.cast(pa.schema([pa.field(one.name, _plain(one.type)) for one in found.schema]))


def _answer(rows: DataFrame) -> pa.Table:
    """Asked once more where no answer came: gRPC says so of a message that it failed to parse (grpc/grpc 34670)."""
    try:
        return _connect(rows)._to_table()[0]  # noqa: SLF001
    except AssertionError:
        return _connect(rows)._to_table()[0]  # noqa: SLF001


def _connect(rows: DataFrame) -> Any:  # noqa: ANN401  the frame as Connect has it, whose own names Spark's types lack
    return rows


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(one.name, _plain(one.type)) for one in kind])
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz and "UTC")
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def _known(rows: DataFrame, schema: pa.Schema) -> DataFrame:
    """The frame, which need not ask the server for its schema."""
    return _with(rows, _cached_schema=from_arrow_schema(schema))


def _scanned(plan: str, place: Path, columns: list[str]) -> set[str]:
    """The columns that the plan's scans of the file read; all where a scan does not say."""
    scans = [line for line in plan.splitlines() if place.name in line and "DataSourceExec" in line]
    used: set[str] = set()
    for scan in scans:
        found = re.search(r"projection=\[([^\]]*)\]", scan)
        if found is None:
            return set(columns)
        words = set(re.findall(r"[^\s,()=><]+", f"{found[1]} {scan.partition('predicate=')[2]}"))
        used |= {name for name in columns if name in {word.partition("@")[0] for word in words}}
    return used
