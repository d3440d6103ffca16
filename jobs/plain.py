"""After a run, and how it looks: the plain Parquet files of tables whose contract says `published:`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.markup import escape

from jobs.printed import visible
from lakehouse.serving.plain_parquet import plans

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from lakehouse.graph import Table
    from lakehouse.serving.plain_parquet.files import Done


def after(messages: Console, root: str, tables: Mapping[str, Table], looked: dict[str, datetime] | None = None) -> None:
    """Write the hours that were closed; `looked`: up to which hour rounds before this one found nothing left."""
    looked = {} if looked is None else looked
    for name, table in tables.items():
        now = datetime.now(UTC)
        if table.contract.published is None or looked.get(name) == plans.closed_until(table, now):
            continue
        if plans.is_due(root, table, now):
            from lakehouse.serving.plain_parquet import files  # noqa: PLC0415  Arrow, for which idle runs have no use

            if done := files.bring(root, table, now):
                messages.print(words(table, done))
        looked[name] = plans.closed_until(table, now)


def words(table: Table, done: Done) -> str:
    plan = done.plan
    files = f"{done.files:,} file{'' if done.files == 1 else 's'}"
    anew = f", begun because of {plan.why}" if plan.since < 0 and plan.generation > 1 else ""
    return (
        f"[bold]published/{plans.name_of(table)}[/] v{plan.generation}: {done.rows:,} rows in {files}, hours before "
        f"{plan.closed_until:%Y-%m-%d %H:%M} UTC are closed[dim]{escape(visible(anew))}[/]"
    )
