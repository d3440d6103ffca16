"""Generations that no reader should be in any more, and their end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.delta.commits import ops
from lakehouse.serving.plain_parquet import plans
from lakehouse.store import storage

if TYPE_CHECKING:
    from datetime import datetime

    from lakehouse.graph import Table

# A plan that goes on with its generation was made once the one before it was done: CURRENT named that generation then.
GOES_ON = "select generation, min(planned_at) as at from t where since >= 0 group by generation"


@dataclass(frozen=True)
class Left:
    """A generation whose `files` were deleted, or would be, and their `bytes`."""

    generation: int
    files: int
    bytes: int


def let_go(root: str, table: Table, before: datetime, *, dry_run: bool = False) -> list[Left]:
    """Delete the generations that CURRENT has named a newer one than since `before`; never that which it names."""
    place = plans.place_of(root, table)
    there = {int(one[1:]) for one in storage.list_folders(place) if plans.is_generation(one)}
    named = str(plans.current(root, table).get("generation"))
    if len(there) < 2 or not plans.is_generation(named):  # noqa: PLR2004  most have one
        return []
    newer = [one["generation"] for one in ops.query(plans.address(root, table), GOES_ON) if one["at"] < before]
    newest = min(max(newer, default=0), int(named[1:]))
    return [_deleted(place, one, dry_run=dry_run) for one in sorted(there) if one < newest]


def _deleted(place: str, generation: int, *, dry_run: bool) -> Left:
    folder = f"{place}/v{generation}"
    files = list(storage.list_files(folder))
    if not dry_run:
        storage.delete_all(folder)
    return Left(generation, len(files), sum(one.size for one in files))
