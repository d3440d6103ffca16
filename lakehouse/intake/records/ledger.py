"""`ops.files`, the ledger: one row per delivered version of a file, claimed by one commit before it is loaded.

No second planner can make the same commit, so that batches are numbered by one after the other. A bronze table's
progress is the last batch that it includes. What became of the rows is noted when the run ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log, progress
from lakehouse.formula import PLACES
from lakehouse.readers.columns import column_names
from lakehouse.readers.records import Layout
from lakehouse.store import archives, storage
from lakehouse.store.storage import StoredFile

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from lakehouse.delta.tables.log import Action, Snapshot
    from lakehouse.delta.tables.progress import Input

FILES = "ops.files"
TOPIC = "topic"  # the input of a table whose rows are messages: of it rounds are counted as batches, and no file is
LOST = "lost"  # claimed, and never loaded; or, of what was taken back, rewound without a file in landing
# Transactions of a rewind, by the version of the ledger whose commit says what is to be rewound: begun, and done.
REWIND, REWOUND = "lakehouse.rewind", "lakehouse.rewound"
REMOVED = "removed"  # loaded once; by its contract's retention bronze has its rows no more
TAKEN = ("claimed", "loaded", "empty", REMOVED)
MISDATED = "misdated"  # rows that a rule rejects which looks at the file's day
COUNTS = ("rows", *PLACES, MISDATED)
PLACE_OF_A_COUNT = {name: place for place, name in enumerate(COUNTS)}
SHARED = 4096  # headers, layouts and days that are kept once for all the files that have them
TYPES: Mapping[str, ops.Kind] = {
    **dict.fromkeys(("table_name", "path"), "text"),
    "size": "whole",
    "modified_at": "moment",
    "content": "text",
    "delivered_at": "moment",
    "written_at": "moment",
    **dict.fromkeys(("parts", "header", "kinds", "layout"), "text"),
    **dict.fromkeys(("records", "batch"), "whole"),
    **dict.fromkeys(("status", "reason"), "text"),
    **dict.fromkeys(COUNTS, "whole"),
    **dict.fromkeys(("is_gone", "is_part"), "truth"),
}
HALF_A_DAY_ANYWHERE = timedelta(hours=26)  # zones reach 14 hours ahead of UTC, and 12 behind
CONTENT = 12  # letters
PLACE = ("table_name", "path", "batch")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One version of one file. `sequence` orders deliveries: by day, by when they were written, path, content.

    `delivered_at` is the midnight, labelled UTC, of its day: of the date that the path holds, else that of `written_at`
    where the market is. `written_at` is the modification time, but never before that of an older version of the same
    path; None in ledgers of before, where `delivered_at` of a path without a date is its modification time.
    `header` has the texts of its columns as delivered, `kinds` what their first values are (number, time, text);
    `records` counts the elements of a JSON file, which is read whole before it is claimed. `is_part`: it was fetched,
    and asked for was not all that there is.
    """

    table: str
    path: str
    size: int
    modified_at: datetime
    content: str
    delivered_at: datetime
    parts: dict[str, int]
    header: tuple[str, ...] = ()
    kinds: dict[str, str] = field(default_factory=dict)
    layout: Layout | None = None
    records: int | None = None
    written_at: datetime | None = None
    is_part: bool = False

    @property
    def version(self) -> tuple[object, ...]:
        """What tells it from other versions of the file."""
        return self.table, self.path, self.size, self.modified_at, self.content

    @property
    def stored(self) -> StoredFile:
        """The file as it was listed."""
        tag = self.content.removeprefix(storage.ETAG) if self.content.startswith(storage.ETAG) else None
        return StoredFile(self.path, self.size, self.modified_at, tag)

    @property
    def market(self) -> int | None:
        """The market that its path names; None where a source has none."""
        return self.parts.get("market")

    @property
    def columns(self) -> dict[str, str]:
        """Header text -> column name in bronze."""
        return column_names(self.header, self.parts)

    @property
    def short_content(self) -> str:
        """Enough of it to tell the versions of a file apart."""
        return self.content[:CONTENT]

    @property
    def sequence(self) -> str:
        written_at = self.written_at or self.modified_at
        return f"{_instant(self.delivered_at)} {_instant(written_at)} {self.path} {self.short_content}"

    def is_older(self, days: int | None, now: datetime) -> bool:
        """Whether its day, and when it was written, are both further back; None: for ever is never over."""
        since = max(self.delivered_at, self.written_at or self.modified_at)
        return days is not None and since < now - timedelta(days=days)

    @property
    def as_of(self) -> datetime:
        """How fresh it is: when it was written, where that may have been on its day; else the day's beginning."""
        if self.written_at and abs(self.written_at - self.delivered_at - timedelta(hours=12)) <= HALF_A_DAY_ANYWHERE:
            return self.written_at
        return self.delivered_at


class Said(NamedTuple):
    """What a `sequence` is made of."""

    delivered_at: datetime
    written_at: datetime
    path: str
    short_content: str


def said_by(sequence: str) -> Said:
    day, at, rest = sequence.split(" ", 2)
    path, _, content = rest.rpartition(" ")
    return Said(datetime.fromisoformat(day), datetime.fromisoformat(at), path, content)


def last_batch(inputs: Mapping[str, Input]) -> int:
    """The last batch of deliveries, or round of a topic, that a bronze table's progress includes."""
    return int((inputs.get(FILES) or inputs[TOPIC]).version)


class _Counts(Mapping[str, int]):
    """Numbers of rows by what became of them: those of COUNTS that are known."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: tuple[int | None, ...]) -> None:
        self._numbers = numbers

    def __getitem__(self, name: str) -> int:
        number = self._numbers[PLACE_OF_A_COUNT[name]]
        if number is None:
            raise KeyError(name)
        return number

    def __iter__(self) -> Iterator[str]:
        return (name for name, number in zip(COUNTS, self._numbers, strict=True) if number is not None)

    def __len__(self) -> int:
        return sum(number is not None for number in self._numbers)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger: claimed (then loaded, empty or lost), duplicate, unreadable or waiting; `reason` says why.

    What was loaded may be removed from bronze later. `counts` say where its rows went when they were judged last; a
    count that is not there is not known. `is_gone`:
    its path was not there any more when the ledger was written last. `retracted`: why it is taken back, which
    conf/retracted.yml says and not the ledger.
    """

    delivery: Delivery
    batch: int
    status: str
    reason: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    is_gone: bool = False
    retracted: str = ""

    @property
    def is_taken(self) -> bool:
        return self.status in TAKEN

    @property
    def rows_in_bronze(self) -> int:
        return 0 if self.status == REMOVED else self.counts.get("rows", 0)

    @property
    def place(self) -> tuple[str, str, int]:
        return self.delivery.table, self.delivery.path, self.batch


@dataclass(frozen=True)
class Ledger:
    """The ledger at one version, -1 where there is none yet.

    `id` is Delta's for the table, empty for one that this process made. `rewind`: the version whose commit says of a
    rewind that broke off what it does; None where there is none.
    """

    version: int = -1
    entries: tuple[Entry, ...] = ()
    id: str = field(default="", compare=False)
    rewind: int | None = None

    @property
    def next_batch(self) -> int:
        """Of the next claim: its version, unless the ledger was made anew, and knows of later batches."""
        return max((self.version, *(one.batch for one in self.entries))) + 1

    def taken(self) -> list[Entry]:
        """The deliveries: what was loaded, or is about to be."""
        return [one for one in self.entries if one.is_taken]

    def held(self) -> dict[tuple[str, str], Entry]:
        """By table and path what each file held when it was seen last: the entry that says so."""
        seen = [one for one in self.entries if one.is_taken or one.status == "duplicate"]
        in_order = sorted(seen, key=lambda one: (one.batch, one.delivery.sequence))
        return {(one.delivery.table, one.delivery.path): one for one in in_order}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(root: str, known: Ledger | None = None, version: int | None = None) -> Ledger:
    """The ledger as it stands, or stood at a version, its rows in no order; `known` itself where it is that."""
    address = progress.address(root, FILES)
    now = log.snapshot(address, version)
    if now is None:
        return Ledger()
    if known and (known.id, known.version) == (now.id, now.version):
        return known
    rows = ops.each(address, "select * from t", version=now.version)
    return Ledger(now.version, tuple(_entry(row) for row in rows), now.id, unfinished_rewind(now))


def unfinished_rewind(now: Snapshot) -> int | None:
    """As `Ledger.rewind`: it is in what every look at the ledger reads."""
    begun = now.txn.get(REWIND, -1)
    return begun if begun > now.txn.get(REWOUND, -1) else None


def _entry(row: Mapping[str, Any]) -> Entry:
    """Small, since there is one for each version of a file that ever came: what they share they have together."""
    written_at = row.get("written_at")
    delivery = Delivery(
        table=sys.intern(row["table_name"]),
        path=row["path"],
        size=row["size"],
        modified_at=row["modified_at"],
        content=row["content"],
        delivered_at=_same(row["delivered_at"]),
        parts=_mapping(row["parts"]),
        header=_texts(row["header"]),
        kinds=_mapping(row["kinds"]),
        layout=_layout(row["layout"]) if row["layout"] else None,
        records=row["records"],
        written_at=row["modified_at"] if written_at == row["modified_at"] else written_at,
        is_part=bool(row.get("is_part")),
    )
    counts = _Counts(tuple(row.get(name) for name in COUNTS))
    said = (sys.intern(row["status"]), sys.intern(row["reason"]))
    return Entry(delivery, row["batch"], *said, counts, bool(row.get("is_gone")))


@lru_cache(SHARED)
def _same(day: datetime) -> datetime:
    return day


@lru_cache(SHARED)
def _mapping(text: str) -> dict[str, Any]:
    return json.loads(text)  # type: ignore[no-any-return]


@lru_cache(SHARED)
def _texts(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


@lru_cache(SHARED)
def _layout(text: str) -> Layout:
    return Layout.from_json(json.loads(text))


def claim(root: str, ledger: Ledger, found: Sequence[Entry], after: int = -1) -> Ledger:
    """Write the found file versions into the ledger, in one commit, as its next batch, which comes `after` another.

    One that has a batch keeps it: bronze holds it already. Of a file that waited or could not be read the row is
    what it is now. Raises ConflictError when another run wrote the ledger since it was read.
    """
    batch = max(ledger.next_batch, after + 1)
    entries = [replace(one, batch=batch) if one.batch < 0 else one for one in found]
    rows = [_row(one) for one in entries]
    again = {one.delivery.version for one in entries}
    files = [(one.delivery.table, one.delivery.path) for one in entries]
    paths = {*files, *((table, archives.split(path)[0]) for table, path in files)}
    seen = [one for one in ledger.entries if _is_seen_again(one, again, paths)]
    if ledger.version < 0:
        ops.create(root, FILES, TYPES, rows)
    else:
        ops.replace(root, FILES, TYPES, rows, ledger.version, PLACE, [_row(one) for one in seen])
    left = {one.place for one in seen}
    others = [one for one in ledger.entries if one.place not in left]
    return replace(ledger, version=ledger.version + 1, entries=(*others, *map(_entry, rows)))


def _is_seen_again(one: Entry, versions: Container[object], paths: Container[object]) -> bool:
    """A file that grows, or that is not what it should be, has one row until it is taken, and not one for each look."""
    if one.status in {"waiting", "unreadable"}:
        return (one.delivery.table, one.delivery.path) in paths
    return not one.is_taken and one.delivery.version in versions


def settle(root: str, ledger: Ledger, outcomes: Iterable[Entry]) -> Ledger:
    """Note what became of deliveries that were taken. Raises ConflictError as `claim` does."""
    rows = [_row(one) for one in {one.place: one for one in outcomes}.values()]
    if not rows:
        return ledger
    ops.replace(root, FILES, TYPES, rows, ledger.version, PLACE)
    settled = {one.place: one for one in map(_entry, rows)}
    entries = tuple(settled.get(one.place, one) for one in ledger.entries)
    return replace(ledger, version=ledger.version + 1, entries=entries)


def rows_of_lost(root: str, entries: Iterable[Entry], version: int) -> list[Action]:
    """Files for the ledger as it was at a version, with these deliveries: they were there, and cannot be loaded."""
    why = "was taken back, and landing did not hold it when a rewind took its rows out of bronze"
    rows = [_row(replace(one, status=LOST, reason=why, counts={}, is_gone=True)) for one in entries]
    return ops.stored(root, FILES, TYPES, rows, version) if rows else []


def _row(entry: Entry) -> dict[str, object]:
    one = entry.delivery
    facts = {"table_name": one.table, "path": one.path, "size": one.size, "content": one.content}
    times = {"modified_at": one.modified_at, "delivered_at": one.delivered_at, "written_at": one.written_at}
    texts = {name: json.dumps(getattr(one, name), ensure_ascii=False) for name in ("parts", "header", "kinds")}
    layout = {"layout": json.dumps(one.layout.to_json()) if one.layout else None, "records": one.records}
    layout |= {"is_part": one.is_part}
    counts = {name: entry.counts.get(name) for name in COUNTS}
    said = {"batch": entry.batch, "status": entry.status, "reason": entry.reason, "is_gone": entry.is_gone}
    return facts | times | texts | layout | said | counts
