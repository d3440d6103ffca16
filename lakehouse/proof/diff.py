"""What is other in one release than in another: rows of each table, and the numbers that moved most, with their causes.

From the logs and the files of rows that differ; no engine starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from lakehouse.delta import feed, log, progress
from lakehouse.delta.progress import Input
from lakehouse.errors import LakehouseError
from lakehouse.intake import ledger
from lakehouse.proof import changes
from lakehouse.readers.columns import OF_CORRECTIONS
from lakehouse.runs import plan

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence

    import pyarrow as pa

    from lakehouse.graph import Table
    from lakehouse.intake.ledger import Entry
    from lakehouse.proof.changes import Includes
    from lakehouse.recovery.releases import Release

NUMBERS = ("int", "bigint", "decimal", "double")
PLACE = ("_file", "_row", "_sequence")
MOST = 10  # numbers
NAMED = 3  # files of one cause
NEW, LATE, CORRECTED, DEFINITION = "new", "late", "corrected", "definition changed"


@dataclass(frozen=True)
class Number:
    """The value of a row that both releases have, and what came between that may have moved it.

    `share`: by how much, of the largest value of its column among the rows that changed.
    """

    table: str
    column: str
    key: Mapping[str, Any]
    before: Any
    after: Any
    share: float
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """Rows of one table that only the later release has, that both have with other values, and only the earlier has.

    None where that is not known: `note` says why.
    """

    table: str
    added: int | None = 0
    changed: int | None = 0
    removed: int | None = 0
    note: str = ""
    most: Number | None = field(default=None, compare=False)


def diff(root: str, tables: Mapping[str, Table], old: Release, new: Release) -> list[Difference]:
    """The tables that differ, parents before children."""
    includes, taken = cache(changes.reader(root)), ledger.read(root).taken()
    found = []
    for name, table in tables.items():
        if name not in new.tables and name not in old.tables:
            continue
        one = _of_table(root, table, old, new)
        if one and one.most:
            causes = _causes(includes(name, old.tables[name]), includes(name, new.tables[name]), one.most, taken)
            one = replace(one, most=replace(one.most, causes=tuple(causes)))
        found += [one] if one else []
    return found


def numbers(found: Sequence[Difference]) -> list[Number]:
    """Of each table of gold the one that moved most, first those that moved by most of what there is."""
    every = [one.most for one in found if one.most and one.table.startswith("gold.")]
    return sorted(every, key=lambda one: (-one.share, one.table))[:MOST]


def _of_table(root: str, table: Table, old: Release, new: Release) -> Difference | None:
    """None where it holds what it held."""
    name, address = table.name, progress.address(root, table.name)
    try:
        for one in (old, new):
            progress.version_at(root, name, one.point)
        if name not in old.tables or name not in new.tables:
            return _alone(name, address, old, new)
        since, until = old.tables[name], new.tables[name]
        return _counted(table, address, since, until) if progress.moved(address, since, until) else None
    except LakehouseError as error:
        return Difference(name, None, None, None, note=f"not compared: {error}")


def _alone(name: str, address: str, old: Release, new: Release) -> Difference:
    """A table that one of the releases has."""
    is_new = name in new.tables
    there = new if is_new else old
    rows = progress.rows(address, there.tables[name])
    added, removed = (rows, 0) if is_new else (0, rows)
    return Difference(name, added, 0, removed, f"it is in release {there.number} alone")


def _counted(table: Table, address: str, since: int, until: int) -> Difference | None:
    if table.contract.source and not progress.was_restored(address, since, until):  # then rows of bronze only come
        did = feed.written(address, since, until)
        if did is None:
            return Difference(table.name, None, None, None, "its log no longer reaches back")
        return Difference(table.name, did.rows, 0, did.deleted)
    before, after = _sides(table, address, since, until)
    if not before.num_rows and not after.num_rows:
        return None
    old, new = _pairs(table, before, after)
    added, removed = after.num_rows - new.num_rows, before.num_rows - old.num_rows
    return Difference(table.name, added, new.num_rows, removed, most=_most(table, old, new))


def _sides(table: Table, address: str, since: int, until: int) -> tuple[pa.Table, pa.Table]:
    """The rows that only one of the versions has, as they are there: what came and went again is in neither."""
    import pyarrow as pa  # noqa: PLC0415

    schemas = [log.schema(found) for at in (since, until) if (found := log.snapshot(address, at))]
    then, now = ({one.name: one.type for one in schema} for schema in schemas)
    promised = PLACE if table.contract.source else table.contract.columns  # a row of a file says one thing for ever
    columns = [name for name in promised if name in now and then.get(name) == now[name]]
    try:
        return feed.difference(address, since, until, columns)
    except feed.UnreadableChangesError:
        before, after = (feed.read(address, at, columns) for at in (since, until))
        signs = [pa.repeat(pa.scalar(sign), side.num_rows) for side, sign in ((before, -1), (after, 1))]
        return feed.apart(pa.concat_tables([before, after]), pa.chunked_array(signs))


def _pairs(table: Table, before: pa.Table, after: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows that both have by the grain, in one order."""
    from lakehouse.delta.leaving import places_of  # noqa: PLC0415

    grain = [name for name in table.contract.grain if name in before.column_names]
    both = [one.take(places_of(other.select(grain), one)) for one, other in ((before, after), (after, before))]
    order = [(name, "ascending") for name in grain]
    old, new = (one.sort_by(order) for one in both)
    return old, new


def _most(table: Table, old: pa.Table, new: pa.Table) -> Number | None:
    """The number that moved by the largest share of its column."""
    best: Number | None = None
    for name in new.column_names:
        promise = table.contract.columns.get(name)
        if promise is None or name in table.contract.grain or name.endswith("_id"):
            continue
        if not promise.type.startswith(NUMBERS):
            continue
        share, place = _largest(old[name], new[name])
        if share > (best.share if best else 0.0):
            key = {one: new[one][place].as_py() for one in table.contract.grain if one in new.column_names}
            best = Number(table.name, name, key, old[name][place].as_py(), new[name][place].as_py(), share)
    return best


def _largest(old: pa.ChunkedArray, new: pa.ChunkedArray) -> tuple[float, int]:
    """The largest move of a column, as a share of its largest value, and where it is; unknown values do not move."""
    import pyarrow.compute as pc  # noqa: PLC0415

    before, after = (one.cast("double") for one in (old, new))
    moves = pc.abs(pc.subtract(after, before))
    size = max((abs(one) for side in (before, after) for one in pc.min_max(side).as_py().values() if one), default=0.0)
    most = pc.max(moves).as_py()
    if not size or not most:
        return 0.0, 0
    return most / size, pc.index(moves, most).as_py()


# Causes ---------------------------------------------------------------------------------------------------------------


def _causes(past: Includes, now: Includes, number: Number, taken: Sequence[Entry]) -> Iterator[str]:
    """All that came between and is about the row: what changed beside the data, and the files, by what they are."""
    yield from (f"{DEFINITION}: {words}" for words in changes.reasons(past, now))
    spans = {name: (past.get(name, -1), one) for name, one in now.items() if isinstance(one, int)}
    files: dict[str, list[str]] = {}
    for source, (since, until) in spans.items():
        if not isinstance(since, int) or since == until:
            continue
        mine = [one for one in taken if one.delivery.table == source and one.batch <= until]
        late = plan.late_files(source, Input(since, batch=since), Input(until, batch=until), mine) or ()
        kind = _kinds(mine, since, late)
        for one in mine:
            if one.batch > since and not one.retracted and changes.is_about(one, dict(number.key)):
                files.setdefault(kind(one), []).append(one.delivery.path)
    for name in (CORRECTED, LATE, NEW):
        if paths := sorted(files.get(name, [])):
            more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
            yield f"{name}: {', '.join(paths[:NAMED])}{more}"


def _kinds(mine: Sequence[Entry], since: int, late: Container[str]) -> Callable[[Entry], str]:
    """What a file is to those that came before it."""
    before = {one.delivery.path for one in mine if one.batch <= since}

    def kind(one: Entry) -> str:
        is_correction = one.delivery.path in before or set(OF_CORRECTIONS) & set(one.delivery.columns.values())
        return CORRECTED if is_correction else LATE if one.delivery.path in late else NEW

    return kind
