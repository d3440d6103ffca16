"""OPTIMIZE by our committer: small files become few, and rows that vectors hide leave their files. No row changes.

Rows keep their order of arrival, so that the bounds of a file of bronze stay those of few deliveries. One group of
files is in memory at a time, and becomes one file.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from lakehouse.delta.commits import committer, conflicts
from lakehouse.delta.files import feed, parquet
from lakehouse.delta.tables import features, log, progress
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lakehouse.delta.tables.log import Action, Snapshot

MOST_BYTES = 64 << 20  # of a group as they are stored; in memory about ten times as many
SMALL_ROWS, SMALL_BYTES = parquet.LARGEST // 2, MOST_BYTES // 2
PILED_UP = 8  # small files of one partition: fewer are not worth a commit
HIDDEN, MANY_HIDDEN = 0.05, 1_000  # of a file's rows, and rows: fewer cost a reader less than they cost to copy


@dataclass(frozen=True)
class Compacted:
    """So many `old` files became `new` ones; the bytes of both, and the `hidden` rows that are in no file now."""

    old: int
    new: int
    old_bytes: int
    new_bytes: int
    hidden: int


@dataclass(frozen=True)
class _File:
    action: Action
    rows: int
    hidden: int

    @property
    def left(self) -> int:
        return self.rows - self.hidden

    @property
    def size(self) -> int:
        return int(self.action["size"])

    @property
    def is_thin(self) -> bool:
        return self.hidden >= max(MANY_HIDDEN, HIDDEN * self.rows)

    @property
    def is_small(self) -> bool:
        return self.left < SMALL_ROWS and self.size < SMALL_BYTES


def groups(now: Snapshot) -> list[list[Action]]:
    """What is worth copying, each group to one file: by partition, in the order of arrival."""
    found = storage.each(lambda file: _file(now.address, file), now.files.values(), now.address)
    by_partition = defaultdict[frozenset[tuple[str, str | None]], list[_File]](list)
    for one in sorted(found, key=lambda one: (one.action["modificationTime"], one.action["path"])):
        by_partition[frozenset((one.action.get("partitionValues") or {}).items())].append(one)
    chosen = ([one for one in files if one.is_thin or one in _piled_up(files)] for files in by_partition.values())
    cut = (group for files in chosen for group in _cut(files))
    return [[one.action for one in group] for group in cut if len(group) > 1 or group[0].is_thin]


def _file(address: str, file: Action) -> _File:
    hidden = int((file.get("deletionVector") or {}).get("cardinality", 0))
    return _File(file, parquet.rows_in(address, file), hidden)


def _piled_up(files: Iterable[_File]) -> list[_File]:
    """The small files, where they are many; none that has more rows than all smaller ones together.

    So a row is copied about as often as its table doubles, and not each time that others pile up beside it.
    """
    small = sorted((one for one in files if one.is_small), key=lambda one: one.left)
    while small and small[-1].left > sum(one.left for one in small[:-1]):
        small.pop()
    return small if len(small) >= PILED_UP else []


def _cut(files: Iterable[_File]) -> Iterator[list[_File]]:
    group = list[_File]()
    for one in files:
        together = [*group, one]
        is_full = sum(file.left for file in together) > parquet.LARGEST
        if group and (is_full or sum(file.size for file in together) > MOST_BYTES):
            yield group
            together = [one]
        group = together
    if group:
        yield group


def compact(address: str, most: int | None = None) -> Compacted | None:
    """Copy what is worth it, or the first `most` groups, in one commit with the table's progress; None: nothing is.

    Raises ConflictError where a run was quicker: what it read stays, and nothing is left behind.
    """
    now = log.snapshot(address)
    if now is None or not (chosen := groups(now)[:most]):
        return None
    features.check_writable(now)
    new: list[Action] = []
    note = progress.copied(address, now.version)
    try:
        for group in chosen:
            new += _copy(now, group)
        old = [file for group in chosen for file in group]
        committer.optimize(address, now.version, old, new, note)
    except conflicts.ConflictError:
        for file in new:
            storage.delete(*storage.located(address, file["path"]))
        raise
    return _counted(old, new)


def would(address: str) -> Compacted | None:
    """What `compact` would take, and that each group would become one file; its bytes are not known before."""
    now = log.snapshot(address)
    chosen = groups(now) if now else []
    new = [{"size": 0} for group in chosen if any(progress.live_rows(file) != 0 for file in group)]
    return _counted([file for group in chosen for file in group], new) if chosen else None


def _copy(now: Snapshot, group: Iterable[Action]) -> list[Action]:
    schema = log.schema(now)
    rows = pa.concat_tables(feed.live(now.address, file, schema, schema.names) for file in group)
    return parquet.write(now.address, rows, now.partition_by)


def _counted(old: list[Action], new: list[Action]) -> Compacted:
    hidden = sum(int((file.get("deletionVector") or {}).get("cardinality", 0)) for file in old)
    return Compacted(len(old), len(new), _bytes(old), _bytes(new), hidden)


def _bytes(files: Iterable[Action]) -> int:
    return sum(int(one["size"]) for one in files)
