"""Parts of a table, read side by side in one snapshot: each row as it was at one moment."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from psycopg import IsolationLevel
from psycopg.sql import SQL, Composed, Identifier, Literal

from lakehouse.sources.database.rows import to_parquet
from lakehouse.store.postgres import only

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from psycopg import Connection

    from lakehouse.sources.database.columns import Column

BLOCKS = 4096  # of a range of the table: 32 MB, as PostgreSQL is built


def begin(connection: Connection[Any], opened: ExitStack) -> None:
    """A transaction that sees one snapshot until `opened` is closed."""
    connection.isolation_level, connection.read_only = IsolationLevel.REPEATABLE_READ, True
    opened.enter_context(connection.transaction())


def share(first: Connection[Any], others: Sequence[Connection[Any]], opened: ExitStack) -> None:
    """The others see the snapshot of the first."""
    (name,) = only(first, "select pg_export_snapshot()") if others else ("",)
    for one in others:
        begin(one, opened)
        one.execute(SQL("set transaction snapshot {}").format(Literal(name)))


def ranges(blocks: int) -> list[Composed]:
    """All rows by where the table's file has them: the server reads each block once, whatever the key is like."""
    begins = [Literal(f"({block},0)") for block in range(0, blocks, BLOCKS)]
    if len(begins) < 2:  # noqa: PLR2004  one range: a view has no blocks at all
        return [SQL("").format()]
    first, *middle = (SQL("where ctid >= {} and ctid < {}").format(*one) for one in pairwise(begins))
    return [first, *middle, SQL("where ctid >= {}").format(begins[-1])]


class Reading:
    """Parts of a table as files below a folder; `columns` are read as text once a value does not fit its type."""

    def __init__(
        self, connections: Sequence[Connection[Any]], table: Identifier, columns: Sequence[Column], folder: Path
    ) -> None:
        self.connections, self.table, self.columns, self.folder = connections, table, columns, folder
        self._free = SimpleQueue[Any]()

    def files(self, parts: Sequence[Composed]) -> Iterator[tuple[Path, int]]:
        """Some for each part, in their order, with their rows; those of few parts are there ahead."""
        for one in self.connections:
            self._free.put(one)
        reading = deque[Any]()
        with ThreadPoolExecutor(len(self.connections)) as pool:
            for place, part in enumerate(parts):
                reading.append(pool.submit(self._read, part, self.folder / str(place)))
                if len(reading) > len(self.connections):
                    yield from reading.popleft().result()
            while reading:
                yield from reading.popleft().result()

    def _read(self, part: Composed, folder: Path) -> list[tuple[Path, int]]:
        connection, behind = self._free.get(), SQL("from {} {}").format(self.table, part)
        folder.mkdir()
        try:
            try:
                return to_parquet(connection, self.columns, behind, folder)
            except pa.ArrowInvalid:
                self.columns = [one.text() if one.is_doubtful else one for one in self.columns]
                return to_parquet(connection, self.columns, behind, folder)
        finally:
            self._free.put(connection)
