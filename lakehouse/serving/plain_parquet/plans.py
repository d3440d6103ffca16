"""What is to be written of a table, and up to where it has been: all that is known without its rows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lakehouse.contract import Published
    from lakehouse.delta.commits.ops import Kind
    from lakehouse.delta.tables.log import Action, Snapshot
    from lakehouse.graph import Table

FOLDER, CURRENT, NOTE = "published", "CURRENT", "plan"
TYPES: Mapping[str, Kind] = {
    "planned_at": "moment",
    "generation": "whole",
    "source_id": "text",
    "since": "whole",
    "version": "whole",
    "closed_from": "moment",
    "closed_until": "moment",
    "layout": "text",
    "why": "text",
}


@dataclass(frozen=True)
class Plan:
    """What comes into a generation: rows of the hours [closed_from, closed_until) as of `version` of the table.

    And of the hours before `closed_from`, rows that came in the versions (since, version]. The first plan of a
    generation has no `closed_from`, and `since` -1. `layout`: the columns, and what the hours and folders go by. `why`
    it begins a generation, where it does.
    """

    planned_at: datetime
    generation: int
    source_id: str
    since: int
    version: int
    closed_from: datetime | None
    closed_until: datetime
    layout: str
    why: str

    def current(self) -> dict[str, Any]:
        """What CURRENT says once all of it is there."""
        closed = f"{self.closed_until:%Y-%m-%dT%H:%M:%SZ}"
        return {"generation": f"v{self.generation}", "closed_until": closed, "source_version": self.version}


class AnewError(LakehouseError):
    """What the generation holds is not a part of the table any more."""


def name_of(table: Table) -> str:
    """`events_parquet` of silver.events."""
    return f"{table.name.partition('.')[2]}_parquet"


def place_of(root: str, table: Table) -> str:
    return f"{storage.normalise(root)}/{FOLDER}/{name_of(table)}"


def published(table: Table) -> Published:
    """Of a table that has it: no other comes here."""
    return cast("Published", table.contract.published)


def closed_until(table: Table, now: datetime) -> datetime:
    """The hours before it are closed."""
    after = (now - published(table).closes_after).astimezone(UTC)
    return after.replace(minute=0, second=0, microsecond=0)


def layout(table: Table) -> str:
    columns = {name: column.type for name, column in table.contract.columns.items()}
    said = {"columns": columns, "time": published(table).time, "partition_by": table.contract.partition_by}
    return json.dumps(said, separators=(",", ":"))


# What is there --------------------------------------------------------------------------------------------------------


def is_due(root: str, table: Table, now: datetime) -> bool:
    """Whether a plan is to be finished, or hours were closed since the last; a look at few files, without Arrow."""
    snapshot = log.snapshot(progress.address(root, table.name))
    if snapshot is None:
        return False
    last = newest(root, table)
    if last is None:
        return bool(snapshot.files)
    return current(root, table) != last.current() or has_news(table, last, snapshot, closed_until(table, now))


def has_news(table: Table, last: Plan, snapshot: Snapshot, until: datetime) -> bool:
    """Whether hours were closed, and there may be rows for them or for earlier ones, or other columns."""
    if until <= last.closed_until:
        return False
    if snapshot.id != last.source_id or layout(table) != last.layout:
        return True
    is_moved = snapshot.version < last.version or progress.moved(snapshot.address, last.version, snapshot.version)
    return is_moved or next(files_of(table, snapshot, last.closed_until, until), None) is not None


def newest(root: str, table: Table) -> Plan | None:
    """The last plan: its commit's note tells it, unless somebody's OPTIMIZE came after it. None before the first."""
    place = address(root, table)
    if not (commits := log.history(place, 1)):
        return None
    row = json.loads(commits[0].user_metadata or "{}").get(NOTE)
    if row is None:
        (row,) = ops.query(place, "select * from t order by planned_at desc limit 1")
    texts = [name for name, kind in TYPES.items() if kind == "moment" and isinstance(row[name], str)]
    times = {name: datetime.fromisoformat(row[name]) for name in texts}
    return Plan(**{one.name: (row | times)[one.name] for one in fields(Plan)})


def current(root: str, table: Table) -> dict[str, Any]:
    """What CURRENT says: the plan that was done last; empty before the first."""
    place = place_of(root, table)
    try:
        return json.loads(storage.read_bytes(place, CURRENT))  # type: ignore[no-any-return]
    except storage.MissingFileError:
        return {}
    except ValueError as error:
        raise LakehouseError(
            f"{place}/{CURRENT} is no JSON: somebody else wrote it. Delete it, and it is written again."
        ) from error


def newest_folder(place: str) -> int:
    """0 where there is none: what a lake's `ops` do not know any more is not written into again."""
    folders = {one.path.partition("/")[0] for one in storage.list_files(place)}
    return max((int(one[1:]) for one in folders if is_generation(one)), default=0)


def is_generation(folder: str) -> bool:
    return folder[:1] == "v" and folder[1:].isdecimal()


def add(root: str, table: Table, plan: Plan, version: int) -> None:
    """The commit that follows the version of the plans' table. Raises ConflictError where another one does."""
    said = {name: one.isoformat() if isinstance(one, datetime) else one for name, one in asdict(plan).items()}
    note = json.dumps({NOTE: said}, separators=(",", ":"))
    ops.follow(root, f"ops.{name_of(table)}", TYPES, [asdict(plan)], version, note)


def address(root: str, table: Table) -> str:
    return progress.address(root, f"ops.{name_of(table)}")


# Files of the table ---------------------------------------------------------------------------------------------------


def files_of(table: Table, snapshot: Snapshot, since: datetime | None, until: datetime) -> Iterator[Action]:
    """Those that may hold rows of the time [since, until), in an order that only depends on them."""
    for path in sorted(snapshot.files):
        file = snapshot.files[path]
        first, last = bound(table, file, "minValues"), bound(table, file, "maxValues")
        if (first is None or first < until) and (last is None or since is None or last >= since):
            yield file


def bound(table: Table, file: Action, which: str) -> datetime | None:
    """The first or last moment that a file holds, to the millisecond outwards; None where the log does not say."""
    said = (json.loads(file.get("stats") or "{}").get(which) or {}).get(published(table).time)
    return datetime.fromisoformat(said) if said else None
