"""What silver must hold of any deliveries, by the design's row protocol: a model that shares no code with the core.

It is told what a person does to files. It never looks at a path by a pattern, at a ledger or at a frame of rows.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Row(NamedTuple):
    """A line as it is delivered; `total` is the whole document's, on any of its rows."""

    order_id: str
    product: str
    quantity: str
    total: str = ""
    customer: str = ""


class Told(NamedTuple):
    """A delivery, in the order in which deliveries count."""

    day: date
    written_at: datetime
    path: str
    rows: tuple[Row, ...]


@dataclass
class Model:
    """One market's files as a person sees them, what each name held when somebody looked last, and what that told."""

    zone: str
    least: float | None = None  # the share of known orders that each file, a full dump of its market, must hold
    files: dict[str, tuple[tuple[Row, ...], datetime, date | None]] = field(default_factory=dict)
    seen: dict[str, tuple[tuple[Row, ...], datetime]] = field(default_factory=dict)
    written: dict[str, datetime] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)  # at the last look
    deliveries: list[Told] = field(default_factory=list)
    retracted: set[tuple[str, tuple[Row, ...] | None]] = field(default_factory=set)  # a path, and what a version says

    def look(self) -> None:
        """Files that are seen at one look are told apart by what was there before it; one that finds news anywhere."""
        held = {path: rows for path, (rows, _) in self.seen.items()}
        changed = [path for path, (*now, _) in self.files.items() if self.seen.get(path) != tuple(now)]
        for path in changed:
            rows, modified, named = self.files[path]
            least = self.written[path] + timedelta(microseconds=1) if path in self.written else modified
            written = self.written[path] = max(modified, least)
            self.seen[path] = (rows, modified)
            had_it = [name for name in self.there if held[name] == rows and name != path]
            is_move = any(self.files.get(name, ((),))[0] != rows for name in had_it)
            if held.get(path) != rows and not is_move:
                day = named or written.astimezone(ZoneInfo(self.zone)).date()
                self.deliveries.append(Told(day, written, path, rows))
        self.there = set(self.files)

    def silver(self) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        """The rows to keep (order, line, product, quantity, total), and those to reject (order, rules, path, row)."""
        documents = defaultdict[int, Document](Document)
        newest = {told.path: told for told in self.counting()}
        for told in self.counting():
            known = {order_id for order_id, one in documents.items() if one.accepted}
            delivered = defaultdict[int, list[tuple[int, Row]]](list)
            for place, row in enumerate(told.rows, 1):
                if row.order_id:
                    delivered[int(row.order_id)].append((place, row))
            for order_id, rows in delivered.items():
                documents[order_id].take(told, rows)
            if self._is_believed_without(known - delivered.keys(), known, told):
                for order_id in known - delivered.keys():
                    documents[order_id].vanish()
        kept = [
            (order_id, line, row.product, int(row.quantity), row.total)
            for order_id, one in documents.items()
            for line, row in enumerate(one.accepted, 1)
        ]
        wrong: list[tuple[object, ...]] = [
            (order_id, *reason) for order_id, one in documents.items() for reason in one.refused
        ]
        for told in newest.values():
            without = [(place, row) for place, row in enumerate(told.rows, 1) if not row.order_id]
            wrong += [(None, ("order_id_is_present", *unreadable(row)), told.path, place) for place, row in without]
        return sorted(kept), sorted(wrong, key=str)

    def counting(self) -> list[Told]:
        """The deliveries that nobody took back, in their order."""
        return sorted(one for one in self.deliveries if not {(one.path, None), (one.path, one.rows)} & self.retracted)

    def _is_believed_without(self, gone: set[int], known: set[int], told: Told) -> bool:
        """Whether a full dump may lack these: it holds enough of what is known, and says of each row whose it is."""
        if self.least is None or not all(row.order_id for row in told.rows):
            return False
        return len(known - gone) >= self.least * len(known)


@dataclass
class Identity:
    """Whose a document is: as it was, until another is said on three days in a row. Who is nobody changes nothing."""

    is_of: str = ""
    said: str = ""  # last
    days: set[date] = field(default_factory=set)  # on which that was said without a break
    is_first: bool = True  # nothing else was ever said

    def takes(self, day: date, customers: set[str]) -> bool:
        (customer,) = customers
        if not customer:
            return True
        if customer != self.said:
            self.is_first, self.said, self.days = not self.said, customer, set()
        self.days.add(day)
        is_believed = self.is_first or len(self.days) >= 3
        if is_believed:
            self.is_of = customer
        return is_believed or customer == self.is_of


@dataclass
class Document:
    """What an order is after each of its deliveries: the accepted one, and the newest where that is not accepted."""

    accepted: list[Row] = field(default_factory=list)
    refused: list[tuple[tuple[str, ...], str, int]] = field(default_factory=list)
    has_totals: bool = False
    identity: Identity = field(default_factory=Identity)

    def take(self, told: Told, rows: Sequence[tuple[int, Row]]) -> None:
        lines, reasons = judged(rows)
        totals = any(row.total for _, row in rows)
        if self.has_totals and not totals:
            reasons = {place: [*why, "document_keeps_its_totals"] for place, why in reasons.items()}
        is_right = not any(reasons.values())
        self.has_totals = self.has_totals or (is_right and totals)
        if is_right and not self.identity.takes(told.day, {row.customer for _, row in rows}):
            reasons = {place: ["identity_is_kept"] for place in reasons}
        if any(reasons.values()):
            other = ("another_row_of_its_document",)
            self.refused = [(tuple(sorted(why)) or other, told.path, place) for place, why in reasons.items()]
        else:
            self.accepted, self.refused = lines, []

    def vanish(self) -> None:
        """It is gone; what it was is remembered."""
        self.accepted, self.refused = [], []


def unreadable(row: Row) -> list[str]:
    return [] if row.quantity.isdigit() else ["quantity_is_readable"]


def judged(rows: Sequence[tuple[int, Row]]) -> tuple[list[Row], dict[int, list[str]]]:
    """The document's lines, and why each of its rows is wrong.

    A repeated row does not count, unless the total holds only with it. Where it holds neither way, both are said.
    """
    first: dict[Row, int] = {}
    for place, row in rows:
        first.setdefault(row, place)
    again = {place for place, row in rows if first[row] != place}
    once = [(place, row) for place, row in rows if place not in again]
    fails, fails_with_all = (dict(_against_total(some)) for some in (once, rows))
    is_with_all = bool(fails) and not fails_with_all
    doubted = again if fails and fails_with_all else set()
    reasons = {place: unreadable(row) for place, row in rows}
    for place, _ in [] if is_with_all else once:
        reasons[place] += fails.get(place, [])
    for place in doubted:
        reasons[place].append("row_is_not_repeated")
    return [row for _, row in (rows if is_with_all else once)], reasons


def _against_total(rows: Sequence[tuple[int, Row]]) -> Iterator[tuple[int, list[str]]]:
    """What cannot be read is in no sum; a row without the total says nothing of it."""
    total = sum(int(row.quantity) for _, row in rows if row.quantity.isdigit())
    for place, row in rows:
        if row.total and int(row.total) != total:
            yield place, ["sub_total_is_the_sum_of_lines"]
