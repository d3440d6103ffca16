"""Which rows a fetch reads: all of a table, or those that changed since the bound of the fetch before.

A fetch is one snapshot, which ends with it: one that was killed begins again.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from psycopg.sql import SQL, Composed, Identifier, Literal

from lakehouse.sources.credentials import secret
from lakehouse.sources.database.bound import upper
from lakehouse.sources.database.columns import columns_of
from lakehouse.sources.database.snapshot import Reading, begin, ranges, share
from lakehouse.sources.windows import Page, SourceError, Window
from lakehouse.store.postgres import connected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from psycopg import Connection

    from lakehouse.contract import Contract
    from lakehouse.described.database import Database
    from lakehouse.sources.database.columns import Column
    from lakehouse.sources.windows import Landed

APPLICATION = "lakehouse fetch"
MATERIALIZED = "m"  # view, which PostgreSQL locks for nobody
THEN = "Nothing of this fetch counts; the next one begins it again."
SETTINGS = """
select set_config('statement_timeout', %s, false), set_config('TimeZone', 'UTC', false),
  set_config('DateStyle', 'ISO', false), set_config('bytea_output', 'hex', false),
  set_config('extra_float_digits', '1', false)
"""
# A partitioned table has no blocks of its own, and a range of them is that of each of its parts. A view has none.
FOUND = """
select c.relkind, case when c.relkind in ('r', 'm', 'p') then
    greatest(pg_relation_size(c.oid), (select max(pg_relation_size(relid)) from pg_partition_tree(c.oid)))
  else 0 end / current_setting('block_size')::int
from pg_class c where c.oid = to_regclass(%s)
"""


def source(table: str, contract: Contract) -> Rows:
    """As lakehouse.sources.windows.Source says."""
    described = contract.source.database if contract.source else None
    if described is None:
        raise SourceError(f"{table} is fetched from no database: its source has no `database:`.")
    return Rows(described)


@dataclass
class Rows:
    """A table of a database. A window without bounds is all of it.

    What it knows again are the `facts` of its windows: `upper`, the bound of the watermark; `whole`, when all rows were
    read last, and `digest`, what they were, as long as nothing else was delivered since.
    """

    said: Database

    def windows(
        self, done: Sequence[Window], since: datetime | None, until: datetime | None, now: datetime
    ) -> list[Window]:
        """All rows at first and when they are to be compared, else what changed; or what somebody asks for."""
        if (since or until) and self.said.watermark:
            return [Window(since, until, now)]
        newest_first = enumerate(one.facts for one in reversed(done))
        behind, last = next(((place, facts) for place, facts in newest_first if "whole" in facts), (0, {}))
        last = _without_digest(last) if behind else last
        if self.said.reads_all(last, now):
            return [Window(None, None, now, last)]
        return [Window(datetime.fromisoformat(last["upper"]) - self.said.overlap, None, now, last)]

    def pages(self, window: Window, landed: Sequence[Landed]) -> Iterator[Page]:
        """The window's rows as Parquet, typed as the database has them.

        What is landed of it is of another snapshot, and does not count; nor do rows that say nothing new.
        """
        with TemporaryDirectory(prefix="lakehouse-fetch-") as folder, ExitStack() as opened:
            window = replace(window, facts=_without_digest(window.facts)) if landed else window
            yield from self._pages(window, len(landed) + 1, Path(folder), opened)

    def _pages(self, window: Window, number: int, folder: Path, opened: ExitStack) -> Iterator[Page]:
        said = self.said
        first = self._connected(opened)
        bound = {"upper": upper(first, said).isoformat()} if said.watermark else {}
        table = Identifier(*said.table.split("."))
        kind, blocks = self._found(first, table)
        begin(first, opened)
        if kind != MATERIALIZED:
            # Before anything is seen: to who has looked already, a table that is rewritten (alter, truncate) is empty.
            first.execute(SQL("lock table {} in access share mode").format(table))
        columns = columns_of(first, table, said.columns)
        parts = ranges(blocks) if _is_whole(window) else [self._changed(window, columns)]
        others = [self._connected(opened) for _ in range(min(said.connections, len(parts)) - 1)]
        share(first, others, opened)
        files = Reading([first, *others], table, columns, folder).files(parts)
        yield from self._named(files, window, number, bound)

    def _named(
        self, files: Iterator[tuple[Path, int]], window: Window, number: int, bound: Mapping[str, str]
    ) -> Iterator[Page]:
        """Numbered from there on; with the last one stands what is known of all."""
        digest, rows, names, is_whole = hashlib.sha256(), 0, list[str](), _is_whole(window)
        for (path, count), is_last in _up_to_the_last(files):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
            rows, names = rows + count, [*names, f"{number + len(names):06}.parquet"]
            page = Page(names[-1], path, {}, count)
            if is_last:
                whole = {"whole": window.started_at.isoformat(), "digest": digest.hexdigest()} if is_whole else {}
                is_news = whole["digest"] != window.facts.get("digest") if is_whole else rows > 0
                known = _without_digest(window.facts) if is_news else window.facts
                page = replace(page, facts={**known, **bound, **whole, "pages": names if is_news else []})
            yield page
            path.unlink()

    def _connected(self, opened: ExitStack) -> Connection[Any]:
        """One more connection, which writes values as they are read here."""
        connection = opened.enter_context(connected(secret(self.said.url).revealed, APPLICATION, THEN))
        connection.execute(SETTINGS, [f"{self.said.timeout.total_seconds():.0f}s"])
        return connection

    def _found(self, connection: Connection[Any], table: Identifier) -> tuple[str, int]:
        """What it is, and how many blocks it has; the last part is of all those that it has by then."""
        found = connection.execute(FOUND, [table.as_string()]).fetchone()
        if found is None:
            raise SourceError(f"The database has no table {self.said.table}. Change `table:` of its contract.")
        return found  # type: ignore[no-any-return]

    def _changed(self, window: Window, columns: Sequence[Column]) -> Composed:
        """Rows whose watermark is within the window, its end not; and those without one.

        Nothing bounds what a fetch reads that nobody gave a bound: what is there may be told, and is read again from
        the fetch's bound on.
        """
        kind = {one.name: one.type for one in columns}.get(str(self.said.watermark))
        if kind is None or not pa.types.is_timestamp(kind):
            raise SourceError(
                f"{self.said.watermark} is no column of type timestamp. Change `watermark:` of its "
                "contract; without one say how often all rows are compared: `every: 1d`."
            )
        in_zone = SQL("").format() if kind.tz else SQL(" at time zone {}").format(Literal(self.said.zone))
        watermark = Identifier(str(self.said.watermark))
        bounds = [
            SQL("{} {} {}::timestamptz{}").format(watermark, SQL(sign), Literal(at.isoformat()), in_zone)
            for sign, at in ((">=", window.since), ("<", window.until))
            if at
        ]
        return SQL("where ({}) or {} is null").format(SQL(" and ").join(bounds), watermark)


def _is_whole(window: Window) -> bool:
    return window.since is None and window.until is None


def _up_to_the_last(files: Iterator[tuple[Path, int]]) -> Iterator[tuple[tuple[Path, int], bool]]:
    """Each, and whether it is the last; there is one at least."""
    held = next(files)
    for one in files:
        yield held, False
        held = one
    yield held, True


def _without_digest(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: said for key, said in facts.items() if key != "digest"}
