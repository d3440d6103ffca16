"""Where a number comes from: the rows it was made of, step by step down to the files, and what changed it of late.

Every step reads the version that the commit above it recorded, so the answer is about the number as it stands, whatever
has arrived since.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse import graph
from lakehouse.causes import changes
from lakehouse.causes.changes import History, Place
from lakehouse.causes.excerpt import EVIDENCE, PLACE, Excerpt, Use, Values, excerpt, shown, uses
from lakehouse.delta.tables import log, progress
from lakehouse.documents.judgement import judging, parsing
from lakehouse.engines import protocol
from lakehouse.errors import LakehouseError
from lakehouse.intake.deliveries import fetched
from lakehouse.intake.records import ledger, retracted
from lakehouse.proof.judged import Judge
from lakehouse.serving.questions import allowed
from lakehouse.transforms import whole_sum
from lakehouse.writes import units
from lakehouse.writes.lake import conf_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import DataFrame

    from lakehouse.delta.tables.progress import Input, Progress, State
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.deliveries.fetched import OnPage
    from lakehouse.proof.judged import Kept
    from lakehouse.writes.lake import Lake

MOST_UNITS = 5
MOST_RANGES = 8
FEW_FILES = 100  # a longer list costs Parquet more than it saves
AGAIN = "the same rows as above"


@dataclass(frozen=True)
class Question:
    """A table as it stands, and a condition over its columns; both are checked."""

    table: Table
    state: State
    where: str


@dataclass(frozen=True)
class File:
    """Rows of one delivered version of a file: how many, the first `ranges` (from, to), and how many ranges `more`.

    Rows are counted from 1, without the header. `delivery` is (2, 3) for the second of three versions of the file.
    `retracted`: why it is taken back, where it is. `pages`: where the ranges of a window stand,
    as far as landing tells.
    """

    path: str
    batch: int
    rows: int
    ranges: tuple[tuple[int, int], ...]
    more: int = 0
    delivery: tuple[int, int] = (1, 1)
    retracted: str = ""
    pages: tuple[OnPage, ...] = ()


@dataclass(frozen=True)
class Step:
    """Rows of one table in the version that was read, and in `inputs` the rows that they were made from.

    `through` is the other input by which these rows were reached, `conf` the files of conf/ that were read beside
    inputs, `kept` what the rows keep of deliveries before that which they stand in; `note` says why the way does not go
    on.
    """

    table: str
    version: int
    rows: Excerpt
    through: str = ""
    note: str = ""
    conf: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    inputs: tuple[Step, ...] = ()
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True)
class Removed:
    """A unit that was there, and the full dump that does not have it."""

    unit: Values
    dump: str


@dataclass(frozen=True)
class Answer:
    """`step` has the rows that were asked for; `behind` says what moved since they were made.

    `removed`: where there are none any more, since dumps lack them.
    """

    where: str
    step: Step
    history: History
    behind: tuple[str, ...] = ()
    removed: tuple[Removed, ...] = ()


def ask(lake: Lake, tables: Mapping[str, Table], name: str, where: str = "true") -> Question:
    """The question, checked without a JVM.

    Raises LakehouseError for a table that is not there, and for a condition that is not one over its columns.
    """
    table = graph.selected(dict(tables), [name])[name]
    state = lake.state(name)
    then = log.snapshot(lake.address(name), state.version) if state else None
    if then is None or state is None:
        raise LakehouseError(f"{name} is not there yet. Build it: `lakehouse run {name}`.")
    return Question(table, state, allowed.condition(where, name, log.schema(then).names))


def answer(
    engine: Engine, lake: Lake, tables: Mapping[str, Table], asked: Question, examples: int = 5, landing: str = ""
) -> Answer:
    """The rows, what they were made from down to files, and their history; `examples` rows are shown of each table.

    Pages of windows are named where `landing` still has them.

    Raises LakehouseError where the condition is true of more than MOST_UNITS units, and where a version is gone.
    """
    table, version = asked.table, asked.state.version
    with ExitStack() as cached:
        walk = _Walk(engine, lake, tables, examples, landing, cached)
        with _in_words(table.name, version):
            rows = walk.cache(walk.read(table.name, version).where(asked.where))
            keys = _keys(table, rows)
        removed: tuple[Removed, ...] = ()
        if not keys and (last := _last_rows(walk, asked)):
            keys, removed = _keys(table, last), walk.removed(table, version, last)
        step = walk.step(table, version, rows)
        history = changes.of(lake.root, table, version, keys, walk.taken, walk.today) if keys else History()
        return Answer(asked.where, step, history, tuple(walk.behind.values()), removed)


def _keys(table: Table, rows: DataFrame) -> tuple[Values, ...]:
    """The different units, or grains of a table without units; none of a bronze table, whose rows never change."""
    if table.contract.source:
        return ()
    key = table.contract.unit or table.contract.grain
    found = shown(table, rows.select(*key).distinct().limit(MOST_UNITS + 1), key)
    if len(found) > MOST_UNITS:
        some = "; ".join(", ".join(f"{name} {value}" for name, value in one.items()) for one in found[:2])
        raise LakehouseError(
            f"That is true of more than {MOST_UNITS} units of {table.name}, e.g. {some}. Name fewer by --where, which "
            f"may use all columns, first of all {', '.join(key)}."
        )
    return found


def _last_rows(walk: _Walk, asked: Question) -> DataFrame | None:
    """Of rows that are not there now: what they were when they were there last, as far as the last runs tell."""
    name = asked.table.name
    last = [] if asked.table.contract.source else changes.versions(walk.lake.address(name), asked.state.version)[1:]
    for version in last:
        try:
            with _in_words(name, version):
                rows = walk.read(name, version).where(asked.where)
                if _keys(asked.table, rows):
                    return rows
        except LakehouseError:  # it is gone, had other columns, or had too many such rows: nothing to tell
            return None
    return None


class _Walk:
    """From rows to the rows that they were made from, and what was met on the way."""

    def __init__(
        self,
        engine: Engine,
        lake: Lake,
        tables: Mapping[str, Table],
        examples: int,
        landing: str,
        cached: ExitStack,
    ) -> None:
        self.engine, self.lake, self.tables, self.examples, self.cached = engine, lake, tables, examples, cached
        self.landing = landing
        self.taken = retracted.marked(ledger.read(lake.root).taken(), retracted.read())
        self.today: dict[Place, int] = {}
        self.behind: dict[str, str] = {}
        self._met: set[tuple[str, int, int, str]] = set()

    def read(self, name: str, version: int) -> DataFrame:
        with _in_words(name, version):
            return self.lake.read(self.engine, name, version)

    def step(self, table: Table, version: int, rows: DataFrame, use: Use | None = None) -> Step:
        """Rows of one table, and below them what they were made from; rows that were met before are not followed."""
        with _in_words(table.name, version):
            kept = self.cache(rows)
            step = Step(table.name, version, excerpt(table, kept, use, self.examples))
            files = self._files(table.name, kept) if table.contract.source else ()
        met = (table.name, version, step.rows.rows, step.rows.hash)
        if met in self._met:
            return replace(step, rows=Excerpt(step.rows.rows, step.rows.hash), note=AGAIN)
        self._met.add(met)
        if table.contract.source or not step.rows.rows:
            return replace(step, files=files)
        return self._with_inputs(step, table, kept)

    def _with_inputs(self, step: Step, table: Table, rows: DataFrame) -> Step:
        state = progress.state(self.lake.address(table.name), step.version)
        if state is None or state.progress is None:
            return replace(step, note=f"what it was made from is not known: {state.doubt if state else 'it is gone'}")
        read = state.progress.inputs
        conf = tuple(f"{name.replace('.', '/')}.yml" for name in read if name.startswith("conf."))
        if gone := [name for name, one in read.items() if self._is_gone(table, name, one)]:
            note = f"{', '.join(gone)} was made anew or rewound since, so what it was made from is gone"
            return replace(step, conf=conf, note=note)
        kept: tuple[Kept, ...] = ()
        if table.contract.keeps_lacking:
            with _in_words(table.name, step.version):
                kept = self._judge(table, state.progress).kept(self._bronze(table, state.progress), rows)
        return replace(step, conf=conf, inputs=tuple(self._inputs(table, state.progress, rows)), kept=kept)

    def removed(self, table: Table, version: int, last: DataFrame) -> tuple[Removed, ...]:
        """Of rows that were there those whose units a dump removed."""
        state = progress.state(self.lake.address(table.name), version)
        if not table.contract.removes_vanished or state is None or state.progress is None:
            return ()
        keys = self.cache(last.select(*table.contract.unit).distinct())
        with _in_words(table.name, version):
            found = self._judge(table, state.progress).removed(self._bronze(table, state.progress), keys, self.cache)
        return tuple(Removed(unit, path) for unit, path in found)

    def _judge(self, table: Table, made: Progress) -> Judge:
        source = table.parents[0]
        until = made.inputs[source].batch or 0
        taken = [one for one in self.taken if one.delivery.table == source and one.batch <= until]
        counting = [one for one in taken if one.delivery.sequence not in made.retracted]
        conf = conf_rows(self.engine, made.inputs)
        return Judge(self.engine, table, self.tables[source].contract, made, counting, conf)

    def _bronze(self, table: Table, made: Progress) -> DataFrame:
        source = table.parents[0]
        return self.read(source, int(made.inputs[source].version))

    def _is_gone(self, table: Table, name: str, read: Input) -> bool:
        """Whether the version that was read is of another table than is there now; notes what has only moved."""
        if read.id is None:
            if graph.conf_file(name)[0] != read.version:
                self.behind[name] = f"{name.replace('.', '/')}.yml changed since {table.name} was made"
            return False
        now = self.lake.state(name)
        if now is None or now.id != read.id or now.version < int(read.version):
            return True
        # Of an older version of a table it goes without saying that its inputs moved.
        if table.name not in self.behind and progress.moved(self.lake.address(name), int(read.version), now.version):
            self.behind[name] = f"{name} moved {read.version} -> {now.version} since {table.name} was made"
        return False

    def _inputs(self, table: Table, made: Progress, rows: DataFrame) -> Iterator[Step]:
        """Of each input the rows that belong to the units of these rows; of a table that is computed whole, all."""
        read = made.inputs
        versions = {name: int(read[name].version) for name in table.parents}
        every = {name: self.read(name, version) for name, version in versions.items()}
        if table.contract.write == "replace":
            note = f"all of them, since {table.name} is computed as a whole; to go on, explain rows of"
            yield from (
                Step(name, versions[name], Excerpt(every[name].count()), note=f"{note} {name}") for name in every
            )
            return
        conf = conf_rows(self.engine, read)
        used = uses(self.engine, table, every | conf)
        if table.contract.judges:
            counting = {name: judging.in_force(bronze, made.retracted) for name, bronze in every.items()}
            mine = {name: self._delivered(table, bronze, rows, conf) for name, bronze in counting.items()}
        else:
            mine = units.narrowed(table, every, rows.select(*table.contract.unit).distinct())
        for name, version in versions.items():
            reach = table.contract.inputs.get(name)
            step = self.step(self.tables[name], version, mine[name], used[name])
            gone = f"{name} no longer has them, by its contract's retention"
            note = gone if table.contract.deduplicate and not step.rows.rows else step.note
            yield replace(step, through=reach.through or "" if reach else "", note=note)

    def _delivered(self, table: Table, bronze: DataFrame, rows: DataFrame, conf: Mapping[str, DataFrame]) -> DataFrame:
        """The rows as they were delivered, by where they stand."""
        files = [row["_file"] for row in rows.select("_file").distinct().limit(FEW_FILES + 1).collect()]
        mine = bronze.where(F.col("_file").isin(files)) if len(files) <= FEW_FILES else bronze
        places = F.broadcast(rows.select(*EVIDENCE))
        found = self.cache(mine.join(places, on=list(EVIDENCE), how="left_semi"))
        if found.groupBy(*EVIDENCE).count().where("count > 1").isEmpty():
            return found
        return self._that_say_so(table, found, rows, conf)

    def _that_say_so(self, table: Table, found: DataFrame, rows: DataFrame, conf: Mapping[str, DataFrame]) -> DataFrame:
        """Of a file's several deliveries the newest that says what is stored: another may have another row there."""
        bronze = self.tables[table.parents[0]].contract
        columns = [name for name in table.contract.columns if name != table.contract.position]
        place = [F.col(f"_source.{name}").alias(name) for name in (*PLACE, "_sequence")]
        said = parsing.parse(table, bronze, found, dict(found.dtypes), conf).select(
            *place, units.row_hash(columns).alias("_said")
        )
        both = said.join(rows.select(*EVIDENCE, units.row_hash(columns).alias("_held")), on=list(EVIDENCE), how="inner")
        best = Window.partitionBy(*EVIDENCE).orderBy(F.expr("_said = _held").desc(), F.desc("_sequence"))
        chosen = both.withColumn("_place", F.row_number().over(best)).where("_place = 1").select(*PLACE)
        return found.join(chosen, on=list(PLACE), how="left_semi")

    def _files(self, name: str, rows: DataFrame) -> tuple[File, ...]:
        """The files that hold these rows, those with most of them first."""
        deliveries = defaultdict(list)
        for one in self.taken:
            deliveries[one.delivery.table, one.delivery.path].append(one.batch)
        taken_back = {one.place: one.retracted for one in self.taken if one.retracted}
        found = []
        for row in _ranges(rows).collect():
            path, batch = row["_file"], row["_batch"]
            batches = sorted({*deliveries[name, path], batch})
            ranges = tuple((one["from"], one["to"]) for one in row["ranges"])
            delivery = (batches.index(batch) + 1, len(batches))
            why = taken_back.get((name, path, batch), "")
            pages = (page for one in ranges for page in fetched.on_pages(self.landing, path, *one))
            more = row["all"] - len(ranges)
            found.append(File(path, batch, row["rows"], ranges, more, delivery, why, tuple(islice(pages, MOST_RANGES))))
            self.today[name, path, batch] = row["rows"]
        return tuple(found)

    def cache(self, rows: DataFrame) -> DataFrame:
        """Until the answer is there."""
        return self.engine.once(rows, self.cached)


def _ranges(rows: DataFrame) -> DataFrame:
    """Per file and delivery its `rows`, the first `ranges` of rows without a gap, and how many there are in `all`."""
    place = F.row_number().over(Window.partitionBy("_file", "_batch").orderBy("_row"))
    islands = rows.select(*PLACE, (F.col("_row") - place).alias("_gap")).groupBy("_file", "_batch", "_gap")
    ranges = islands.agg(F.min("_row").alias("from"), F.max("_row").alias("to"), F.count("*").alias("n"))
    per_file = ranges.groupBy("_file", "_batch").agg(
        whole_sum("n").alias("rows"),
        F.slice(F.array_sort(F.collect_list(F.struct("from", "to"))), 1, MOST_RANGES).alias("ranges"),
        F.count("*").alias("all"),
    )
    return per_file.orderBy(F.desc("rows"), "_file", "_batch")


@contextmanager
def _in_words(name: str, version: int) -> Iterator[None]:
    """Of a version whose files are gone that; of whatever else Spark cannot do its own first line."""
    try:
        yield
    except protocol.errors() as error:
        if protocol.is_about_lost_files(error):
            raise LakehouseError(
                f"{name} can no longer be read in version {version}: its files or its log were cleaned away. What is "
                "made anew from now on can be explained: `lakehouse run`."
            ) from error
        words = protocol.words(error)
        raise LakehouseError(f"{name} cannot be read in version {version}. The engine says: {words}") from error
