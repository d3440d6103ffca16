"""What an engine can do, and nothing more: whatever else tables and the core need is PySpark's DataFrame API."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lakehouse.delta.tables.log import NoVersionError
from lakehouse.errors import LakehouseError, masked, refusal
from lakehouse.store.storage import MissingFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import ExitStack
    from datetime import date

    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

    from lakehouse.delta.commits.committer import Target
    from lakehouse.delta.tables.progress import Offsets

# Compressed bytes of a turn's inputs, a hundred thousand order lines or so: below, what is fixed is all of the work.
FEW_BYTES = 8 << 20
LOST = re.compile(
    r"FILE_NOT_EXIST|FileNotFound|NoSuchKey|Object at location .* not found|DELTA_VERSION_NOT|TIME_?TRAVEL"
)
OURS = re.compile(r"^(?:\w+: )?lakehouse\.[\w.]+Error: (.+)", re.MULTILINE)
NAME = re.compile(r"\[[\w.]+\] ")
SENTENCE = re.compile(r"(?<=[.;!?])\s+")
SWITCH = re.compile(r"\b(?:spark|datafusion|sail|pipelines)(?:\.\w+)+|\bSQLConf\b|\"LEGACY\"")  # of a setting
FEW_ROWS = 1_000_000  # such as keys, of which a hash table fits into the memory of every worker
SLICE = "_slice"  # a column by which rows that are computed once are kept apart: one slice is read without the others


@dataclass(frozen=True)
class Change:
    """What one commit does with `rows`, of which it takes the target's columns.

    `append`: they come, as the app transaction `txn`; this process may have them, in Arrow. `overwrite`: they come, all
    others go. `units`: what is stored of units goes, and the rows of these units come: of those that are `differing`
    (where they are `_gone`, none comes), or of all units of the rows; rows are told apart by `grain`. Null is a value
    of a unit like any other. `note`: nothing changes.
    """

    how: Literal["append", "overwrite", "units", "note"]
    rows: DataFrame | pa.Table | None = None
    differing: DataFrame | None = None
    unit: tuple[str, ...] = ()
    grain: tuple[str, ...] = ()
    txn: tuple[str, int] | None = None


@dataclass(frozen=True)
class Planned:
    """What was committed to a topic in exactly these ranges of offsets.

    `settings`: of a client, as librdkafka names them. `group`: what the names of its consumers begin with. `patience`:
    so many seconds nothing may come; then it is given up.
    """

    topic: str
    ranges: tuple[Offsets, ...]
    settings: Mapping[str, str] = field(repr=False)
    group: str
    patience: float


class Engine(Protocol):
    """`name` and `version` stand in every note. An engine for one turn (`for_a_turn`) shares its process's session."""

    name: str

    @property
    def version(self) -> str: ...

    @property
    def parallelism(self) -> int:
        """Tasks that it works on at a time."""
        ...

    def check_shared(self, lake: str, landing: str) -> None:
        """Raises LakehouseError where a machine that computes has not the folders of the run, but some of its own."""
        ...

    def for_a_turn(self, size: int) -> Engine:
        """What one table's turn uses; `size`: the bytes that it may have to read."""
        ...

    def read(self, address: str, version: int) -> DataFrame:
        """A table as it was at a version: without one, a frame would move under a foreign commit."""
        ...

    def part(self, address: str, version: int, column: str, least: int | date, most: int | date) -> DataFrame:
        """As `read`, the rows of which the column is within these bounds; files that have none are left alone."""
        ...

    def by_day(
        self, address: str, version: int, day: str, days: tuple[date, date], what: Sequence[Column]
    ) -> DataFrame:
        """`what` is said of each row, from one of the days to the other; the table is partitioned by day.

        An engine may remember what it read, so that a later version costs what came since.
        """
        ...

    def changes(self, address: str, since: int, until: int, columns: Sequence[str] | None = None) -> DataFrame:
        """The rows before and after each change in the versions (since, until], with `_change_type`.

        Of these columns where only they are asked for.
        """
        ...

    def frame(self, rows: pa.Table) -> DataFrame:
        """Rows that this process has, in their Arrow types."""
        ...

    def arrow(self, rows: DataFrame) -> pa.Table:
        """The rows, which are few, in this process."""
        ...

    def delivered(
        self, groups: int, read: Callable[[Iterable[int]], Iterator[pa.RecordBatch]], schema: pa.Schema
    ) -> DataFrame:
        """What `read` gives for the numbers of all groups, some groups side by side; `read` can be pickled."""
        ...

    def sent(self, plan: Callable[[int], Planned]) -> tuple[DataFrame, Planned] | None:
        """Messages as its workers read them, and which: those that are planned for so many tasks at a time.

        Columns messages.OF_A_MESSAGE, headers as pairs of key and value. None: without workers, this process reads.
        """
        ...

    def once(self, rows: DataFrame, until: ExitStack) -> DataFrame:
        """The rows, computed once however often they are used; forgotten at the end of `until`."""
        ...

    def narrow(self, rows: DataFrame, share: Callable[[], float], until: ExitStack) -> DataFrame:
        """Rows of an input that build() may use in several places: computed once where that is worth it.

        `share` says of how many of the table's units they are, at least.
        """
        ...

    def small_side(self, rows: DataFrame) -> DataFrame:
        """The rows as the small side of a join: the other side is neither moved nor sorted."""
        ...

    def few_of(self, rows: DataFrame, keys: DataFrame) -> DataFrame:
        """The rows that the few keys have by all of their columns, of a table, as `read` gave it, or of any frame."""
        ...

    def slices(self, size: int) -> int:
        """In how many parts a table is computed whole whose inputs have so many bytes, so that memory is enough."""
        ...

    def used(
        self, build: Callable[[Mapping[str, DataFrame]], DataFrame], inputs: Mapping[str, DataFrame]
    ) -> Mapping[str, set[str]]:
        """By input the columns that what build() returns depends on; all of them where the plan does not say."""
        ...

    def write(self, target: Target, base: int, change: Change, note: str) -> int:
        """One commit upon the version `base` (-1: the first), which carries the note; its version.

        Raises ConflictError where another writer was quicker.
        """
        ...

    def spent(self) -> str:
        """Why a process that is kept should begin anew; "" where it need not."""
        ...

    def stop(self) -> None:
        """End it, and take away what it kept."""
        ...


class Reader(Protocol):
    """What answers SQL over names that it is given; it need not load the DataFrame API, which takes seconds.

    Raises UnansweredError for what it does not understand or cannot compute.
    """

    def table(self, name: str, address: str, version: int, columns: Sequence[str]) -> None:
        """From now on the name is these columns of a table at a version."""
        ...

    def view(self, name: str, statement: str) -> None:
        """From now on the name is the answer to a statement."""
        ...

    def frame(self, name: str, rows: pa.Table) -> None:
        """From now on the name is these rows."""
        ...

    def schema(self, statement: str) -> pa.Schema:
        """Of the answer, which is not computed."""
        ...

    def rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """The answer row by row; of a large one only a part is in memory."""
        ...

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        """The answer in its types, with its `schema`, part by part."""
        ...

    def arrow(self, statement: str) -> pa.Table:
        """The answer, which is small."""
        ...


class UnansweredError(LakehouseError):
    """A question that its engine does not understand, or cannot compute."""

    def __init__(self, words: str) -> None:
        super().__init__(f"That cannot be answered: {_without_switches(words)}")


def is_about_lost_files(error: BaseException) -> bool:
    """Whether an engine's error says that a file, or a version, is not there any more."""
    return isinstance(error, MissingFileError | NoVersionError) or bool(LOST.search(_said(error)))


def words(error: BaseException) -> str:
    """The line of an engine's error that says what it was, at the bottom of its causes.

    What the machine refused is in our words, what a worker of ours said in its own; how to switch a safety off is not
    told.
    """
    return refusal(error) or masked(_without_switches(_said(error))) or type(error).__name__


def _without_switches(said: str) -> str:
    """The error's name and the sentences that name no setting: those that do say which check not to make."""
    name = NAME.match(said)
    begin = name[0] if name else ""
    return begin + " ".join(one for one in SENTENCE.split(said.removeprefix(begin)) if not SWITCH.search(one))


def said_by_a_worker(error: BaseException) -> str:
    """The sentence of a LakehouseError that a worker of Spark raised, which comes back as a page."""
    found = OURS.findall(str(error))
    return str(found[-1]) if found else ""


def _said(error: BaseException) -> str:
    cause = getattr(error, "java_exception", None)
    while cause is not None and cause.getCause() is not None:
        cause = cause.getCause()
    if ours := said_by_a_worker(error):
        return ours
    lines = [line for line in str(error if cause is None else cause).strip().splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1] if "Traceback" in lines[0] else lines[0]


def errors() -> tuple[type[Exception], ...]:
    """What engines raise when they cannot compute something; whoever turns it into words imports it here."""
    from py4j.protocol import Py4JError  # noqa: PLC0415
    from pyspark.errors import PySparkException  # noqa: PLC0415

    return (PySparkException, Py4JError, MissingFileError, NoVersionError, OSError, MemoryError)
