"""How `lakehouse serve` looks: what PostgreSQL holds after it, and what was written for that."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from jobs.places import POSTGRES
from lakehouse import graph
from lakehouse.errors import LakehouseError
from lakehouse.serving.postgres import connection, sync

if TYPE_CHECKING:
    from rich.console import Console

    from lakehouse.serving.postgres.sync import Synced


def address(asked: str | None) -> str:
    """The URL that --to gives, which holds no password, else that of the variable, which may."""
    if asked:
        return connection.check_argument(asked)
    if url := os.environ.get(POSTGRES):
        return url
    raise LakehouseError(f"Which PostgreSQL? Say --to postgresql://user@host:5432/database, or set {POSTGRES}.")


def into_postgres(messages: Console, url: str, root: str) -> None:
    begin = time.monotonic()
    with connection.connected(url) as postgres:
        done = sync.sync(postgres, root, graph.load())
    messages.print(f"{words(done)}  [dim]{time.monotonic() - begin:.1f} s[/]")


def words(done: Synced) -> str:
    came, went = sum(done.came.values()), sum(done.went.values())
    if done.anew:
        why = "which it did not hold yet" if done.before is None else "whose shape is another one"
        return f"[bold]PostgreSQL holds release {done.release}[/]: {done.tables} tables, {why}, {came:,} rows."
    moved = sum(bool(done.came[name] or done.went[name]) for name in done.came)
    if not moved:
        return f"[bold]PostgreSQL holds release {done.release}[/]: no row differed."
    return (
        f"[bold]PostgreSQL holds release {done.release}[/], after {done.before}: of {done.tables} tables {moved} "
        f"changed, {came:,} rows were written and {went:,} deleted."
    )
