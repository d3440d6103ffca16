"""Which columns name a row, or a document of several rows; and what holds in every row of an export."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from lakehouse.scaffold.words import ALONE, is_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from lakehouse.scaffold.kinds import Kind

MOST_TRIED = 10  # columns, of which two or three together may be the key
MOST_COMPARED = 5_000  # rows, by which a product is told from chance
FEWEST_PRODUCTS = 3  # rows in which it is not trivial


@dataclass(frozen=True)
class Key:
    """`columns` name a document; of several rows where `is_document`, told apart by their position in it.

    `same`: what is the same in all of its rows; `on_first`: what stands on the first of them alone. `others` name a row
    too. `repeats`: rows that say exactly what another one says. `why` is the evidence.
    """

    columns: tuple[str, ...]
    why: str
    is_document: bool = False
    same: tuple[str, ...] = ()
    on_first: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    repeats: int = 0


def different_rows(rows: pa.Table) -> pa.Table:
    """Without those that say exactly what an earlier one says, in the order of the file."""
    names = [name for name in rows.column_names if name != "_row"]
    first = rows.group_by(names).aggregate([("_row", "min")]).sort_by("_row_min")
    return first.rename_columns([*names, "_row"])


def find(rows: pa.Table, kinds: Mapping[str, Kind]) -> Key:
    """The most likely key of the clean rows, which have their place in `_row`."""
    names = list(kinds)
    distinct = different_rows(rows)
    count, repeats = distinct.num_rows, rows.num_rows - distinct.num_rows
    full = [name for name in names if not distinct[name].null_count]
    different = {name: pc.count_distinct(distinct[name]).as_py() for name in full}
    naming = [name for name in full if kinds[name].name in {"integer", "text", "day"} and different[name] > 1]
    unique = [name for name in naming if different[name] == count and kinds[name].name != "day"]
    unique.sort(key=lambda name: (not ALONE.intersection(name.split("_")), not is_id(name)))
    document = _document(distinct, [name for name in naming if different[name] < count], different)
    if unique and (is_id(unique[0]) or document is None):
        others = tuple(unique[1:])
        found = Key(
            (unique[0],), f"{_said(unique[0])} is another one in each of {count:,} different rows", others=others
        )
    elif document:
        found = document
    else:
        found = _together(distinct, naming) or _last_resort(full, different, count, names)
    return Key(tuple(found.columns), found.why, found.is_document, found.same, found.on_first, found.others, repeats)


def _said(*names: str) -> str:
    return " and ".join(names)


def _document(rows: pa.Table, names: Sequence[str], different: Mapping[str, int]) -> Key | None:
    """The column by whose values most other columns are the same, or stand on the first row of each alone."""
    best: tuple[tuple[object, ...], Key] | None = None
    changing = [name for name in rows.column_names if name != "_row" and pc.count_distinct(rows[name]).as_py() > 1]
    for place, name in enumerate(names):
        others = [other for other in changing if other != name]
        counts = rows.group_by(name).aggregate([(other, "count_distinct") for other in others])
        same = [one for one in others if pc.max(counts[f"{one}_count_distinct"]).as_py() <= 1]
        on_first = _on_first(rows, name, different[name], same)
        if not same or not (is_id(name) or on_first):
            continue
        why = f"{different[name]:,} values of {name} in {rows.num_rows:,} different rows"
        repeated = tuple(one for one in same if one not in on_first)
        rank = (len(same), different[name], -place)
        if best is None or rank > best[0]:
            best = rank, Key((name,), why, is_document=True, same=repeated, on_first=tuple(on_first))
    return best[1] if best else None


def _on_first(rows: pa.Table, name: str, different: int, same: Sequence[str]) -> list[str]:
    """Of these columns those that stand on the first row of each value alone; none where its rows lie apart."""
    values = rows[name].combine_chunks()
    begins = pa.concat_arrays([pa.array([True]), pc.not_equal(values.slice(1), values.slice(0, len(values) - 1))])
    if pc.sum(begins).as_py() != different:
        return []
    behind = rows.filter(pc.invert(begins))
    return [one for one in same if behind.num_rows and behind[one].null_count == behind.num_rows]


def _together(rows: pa.Table, names: Sequence[str]) -> Key | None:
    """Two or three columns that name a row together."""
    tried = sorted(names, key=lambda name: not is_id(name))[:MOST_TRIED]
    for size in (2, 3):
        for some in combinations(tried, size):
            if rows.group_by(list(some)).aggregate([]).num_rows == rows.num_rows:
                why = f"{_said(*some)} are together other ones in each of {rows.num_rows:,} different rows"
                return Key(some, why)
    return None


def _last_resort(full: Sequence[str], different: Mapping[str, int], count: int, names: Sequence[str]) -> Key:
    """All rows of one value are a document; its newest delivery holds."""
    name = max(full, key=lambda one: different[one]) if full else names[0]
    why = f"no columns name a row: all rows of one {name} are a document ({different.get(name, 0):,} in {count:,} rows)"
    return Key((name,), why, is_document=True)


def products(
    numbers: Mapping[str, Sequence[Decimal | None]], whole: Sequence[str]
) -> Iterator[tuple[str, str, str, int]]:
    """(a, b, c, rows) where c is a times b in all rows that have the three; a is one of the `whole` numbers."""
    for a, b in ((a, b) for a in whole for b in numbers if a != b):
        for c in numbers:
            if c in {a, b}:
                continue
            rows = list(zip(numbers[a], numbers[b], numbers[c], strict=True))[:MOST_COMPARED]
            if found := _is_product(rows):
                yield a, b, c, found


def _is_product(rows: Sequence[tuple[Decimal | None, Decimal | None, Decimal | None]]) -> int:
    """In how many rows the third is the product of the others; 0 where it is not, or may be by chance."""
    checked = telling = 0
    for a, b, c in rows:
        if a is not None and b is not None and c is not None:
            if a * b != c:
                return 0
            checked += 1
            telling += a not in {0, 1} and b not in {0, 1}
    return checked if telling >= FEWEST_PRODUCTS else 0


def sums(
    rows: pa.Table, key: str, numbers: Mapping[str, Sequence[Decimal | None]], same: Sequence[str]
) -> Iterator[tuple[str, str, int]]:
    """(total, part, documents) where the total of each document is the sum of the part over its rows."""
    documents: dict[object, list[int]] = {}
    for place, value in enumerate(rows[key].to_pylist()):
        documents.setdefault(value, []).append(place)
    several = sum(len(places) > 1 for places in documents.values())
    for total in (one for one in same if one in numbers):
        for part in (one for one in numbers if one not in same):
            if several >= FEWEST_PRODUCTS and all(
                _adds_up(numbers[total], numbers[part], one) for one in documents.values()
            ):
                yield total, part, len(documents)


def _adds_up(totals: Sequence[Decimal | None], parts: Sequence[Decimal | None], places: Sequence[int]) -> bool:
    total = next((totals[place] for place in places if totals[place] is not None), None)
    known = [part for place in places if (part := parts[place]) is not None]
    return total is not None and bool(known) and sum(known) == total
