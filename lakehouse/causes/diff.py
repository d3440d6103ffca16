"""What is other in one release than in another: rows of each table, and the numbers that moved most, with their causes.

From the logs and the files of rows that differ; no engine starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.causes import changes, moved
from lakehouse.causes.moved import UnknownFilesError, Walk
from lakehouse.delta.commits.leaving import places_of
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Input
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.readers.columns import OF_CORRECTIONS
from lakehouse.runs import plan

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from lakehouse.causes.changes import Includes
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.recovery.releases import Release

NUMBERS = ("int", "bigint", "decimal", "double")
RULES, PLACE = "rules", ("_file", "_row", "_sequence")
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

    None where that is not known: `note` says why. Of a quarantine those `changed` that broke other rules; `rules` says
    by rule how many came to be wrong and how many no longer are. `rows`: those that differ.
    """

    table: str
    added: int | None = 0
    changed: int | None = 0
    removed: int | None = 0
    note: str = ""
    rules: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    most: Number | None = field(default=None, compare=False)
    rows: moved.Rows | None = field(default=None, compare=False, repr=False)


def diff(root: str, tables: Mapping[str, Table], old: Release, new: Release) -> list[Difference]:
    """The tables that differ, parents before children, each with its quarantine before it."""
    found = []
    for name, table in tables.items():
        of_both = ((progress.rejected(name), _quarantined), (name, partial(_counted, tables)))
        parts = (_of_table(root, one, old, new, partial(how, table)) for one, how in of_both)
        found += [one for one in parts if one]
    includes, taken = cache(changes.reader(root)), ledger.read(root).taken()
    walk = Walk(root, tables, new.tables, {one.table: one.rows for one in found})

    def explained(one: Number) -> Number:
        past, now = (includes(one.table, release.tables[one.table]) for release in (old, new))
        return replace(one, causes=tuple(_causes(past, now, one, taken, walk)))

    causes = {one.table: explained(one) for one in numbers(found)}
    return [replace(one, most=causes.get(one.table)) for one in found]


def numbers(found: Sequence[Difference]) -> list[Number]:
    """Of each table of gold the one that moved most, first those that moved by most of what there is."""
    every = [one.most for one in found if one.most and one.table.startswith("gold.")]
    return sorted(every, key=lambda one: (-one.share, one.table))[:MOST]


def _of_table(
    root: str, name: str, old: Release, new: Release, compare: Callable[[str, int, int], Difference | None]
) -> Difference | None:
    """None where it holds what it held."""
    if name not in old.tables and name not in new.tables:
        return None
    address = progress.address(root, name)
    try:
        for one in (old, new):
            progress.version_at(root, name, one.point)
        is_new = name not in old.tables
        if name not in new.tables or (is_new and not progress.is_quarantine(name)):  # which was empty before
            return _alone(name, address, old, new)
        since, until = -1 if is_new else old.tables[name], new.tables[name]
        return compare(address, since, until) if progress.moved(address, since, until) else None
    except LakehouseError as error:
        return Difference(name, None, None, None, note=f"not compared: {error}")


def _alone(name: str, address: str, old: Release, new: Release) -> Difference:
    """A table that one of the releases has."""
    is_new = name in new.tables
    there = new if is_new else old
    rows = progress.rows(address, there.tables[name])
    added, removed = (rows, 0) if is_new else (0, rows)
    return Difference(name, added, 0, removed, f"it is in release {there.number} alone")


def _counted(tables: Mapping[str, Table], table: Table, address: str, since: int, until: int) -> Difference | None:
    promise = table.contract
    if promise.source and not progress.was_restored(address, since, until):  # then rows of bronze only come
        did = feed.written(address, since, until)
        if did is None:
            return Difference(table.name, None, None, None, "its log no longer reaches back")
        return Difference(table.name, did.rows, 0, did.deleted)
    columns = _in_both(PLACE if promise.source else promise.columns, address, since, until)
    files = [moved.FILE] if promise.write == "latest" else []
    signed = _signed(address, since, until, [*columns, *files])
    before, after = _net(signed, columns)
    if not before.num_rows and not after.num_rows:
        return None
    old, new = _pairs(table, before, after)
    added, removed = after.num_rows - new.num_rows, before.num_rows - old.num_rows
    found = Difference(table.name, added, new.num_rows, removed, most=_most(table, old, new))
    names = moved.columns_of(tables, table.name)
    if promise.source or not {*names} <= {*columns}:
        return found
    came = (
        signed.filter(pc.greater(signed[feed.SIGN], 0)).select([*promise.unit, *files, feed.VERSION]) if files else None
    )
    return replace(found, rows=moved.Rows(pa.concat_tables([before, after]).select(names), came))


def _quarantined(table: Table, address: str, since: int, until: int) -> Difference | None:
    """By rows of files, each with the rules that it breaks."""
    place = _in_both(PLACE, address, since, until)
    signed = _signed(address, since, until, [*place, RULES])
    rules = signed[RULES].combine_chunks()
    by_rule = signed.take(pc.list_parent_indices(rules)).drop_columns([RULES])
    sides = _net(by_rule.append_column(RULES, pc.list_flatten(rules)), [*place, RULES])
    before, after = ({row["values"]: row["counts"] for row in pc.value_counts(one[RULES]).to_pylist()} for one in sides)
    if not before and not after:
        return None
    left, came = _net(signed, place)
    others = pa.concat_tables(sides).group_by(place).aggregate([]).num_rows
    named = {rule: (after.get(rule, 0), before.get(rule, 0)) for rule in sorted({*before, *after})}
    name = progress.rejected(table.name)
    return Difference(name, came.num_rows, others - came.num_rows - left.num_rows, left.num_rows, rules=named)


def _in_both(promised: Iterable[str], address: str, since: int, until: int) -> list[str]:
    """The columns that both versions have with the same type; before version 0 is nothing."""
    schemas = [log.schema(found) for at in (since, until) if at >= 0 and (found := log.snapshot(address, at))]
    types = [{one.name: one.type for one in schema} for schema in schemas]
    return [name for name in promised if all(name in one and one[name] == types[0][name] for one in types)]


def _signed(address: str, since: int, until: int, columns: Sequence[str]) -> pa.Table:
    """The rows that came (1) and went (-1), with the versions in which they did."""
    try:
        return feed.signed(address, since, until, columns)
    except feed.UnreadableChangesError:
        sides = [(feed.read(address, at, columns), at, sign) for at, sign in ((since, -1), (until, 1))]
        return pa.concat_tables(
            rows.append_column(feed.VERSION, pa.repeat(pa.scalar(at), rows.num_rows)).append_column(
                feed.SIGN, pa.repeat(pa.scalar(sign), rows.num_rows)
            )
            for rows, at, sign in sides
        )


def _net(rows: pa.Table, columns: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """The rows that only one of the versions has, as they are there: what came and went again is in neither."""
    return feed.apart(rows.select(list(columns)), rows[feed.SIGN])


def _pairs(table: Table, before: pa.Table, after: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows that both have by the grain, in one order."""
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
    before, after = (one.cast("double") for one in (old, new))
    moves = pc.abs(pc.subtract(after, before))
    size = max((abs(one) for side in (before, after) for one in pc.min_max(side).as_py().values() if one), default=0.0)
    most = pc.max(moves).as_py()
    if not size or not most:
        return 0.0, 0
    return most / size, pc.index(moves, most).as_py()


# Causes ---------------------------------------------------------------------------------------------------------------


def _causes(past: Includes, now: Includes, number: Number, taken: Sequence[Entry], walk: Walk) -> Iterator[str]:
    """What changed beside the data, and the files, by what they are: those that brought the rows that moved it.

    Where these do not tell, all that came between and are about the row.
    """
    yield from (f"{DEFINITION}: {words}" for words in changes.reasons(past, now))
    try:
        rows = walk.files(number.table, number.key)
    except UnknownFilesError:
        rows = None
    spans = {name: (past.get(name, -1), one) for name, one in now.items() if isinstance(one, int)}
    files: dict[str, dict[str, int]] = {}
    for source, (since, until) in spans.items():
        if not isinstance(since, int) or since == until:
            continue
        mine = [one for one in taken if one.delivery.table == source and one.batch <= until]
        late = plan.late_files(source, Input(since, batch=since), Input(until, batch=until), mine) or ()
        kind = _kinds(mine, since, late)
        for one in mine:
            path, is_new = one.delivery.path, one.batch > since and not one.retracted
            if is_new and changes.is_about(one, dict(number.key)) and (rows is None or (source, path) in rows):
                files.setdefault(kind(one), {})[path] = rows[source, path] if rows else 0
    for name in (CORRECTED, LATE, NEW):
        if paths := sorted(files.get(name, {}).items(), key=lambda one: (-one[1], one[0])):
            more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
            yield f"{name}: {', '.join(path for path, _ in paths[:NAMED])}{more}"


def _kinds(mine: Sequence[Entry], since: int, late: Container[str]) -> Callable[[Entry], str]:
    """What a file is to those that came before it."""
    before = {one.delivery.path for one in mine if one.batch <= since}

    def kind(one: Entry) -> str:
        is_correction = one.delivery.path in before or set(OF_CORRECTIONS) & set(one.delivery.columns.values())
        return CORRECTED if is_correction else LATE if one.delivery.path in late else NEW

    return kind
