"""What a rewind would do, table by table and file by file, from the logs alone; and doing it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakehouse import contract
from lakehouse.audit import accounts, history
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Input
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger, retracted
from lakehouse.store import storage
from lakehouse.writes import rewind
from lakehouse.writes.rewind import NOT_THERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.writes.rewind import Restored

NAMED = 5
BRONZE = contract.LAYERS[0]


@dataclass(frozen=True)
class Step:
    """One table: its version `now`, and `then`, where NOT_THERE is before its first. `rows` are those of both.

    `lost` are the rows that commits since then brought, `back` those that they took away; None: a log does not say.
    """

    table: str
    now: int
    then: int
    rows: tuple[int | None, int | None]
    lost: int | None = 0
    back: int | None = 0


@dataclass(frozen=True)
class Prospect:
    """What would be done. `again`: the deliveries since then, which the next run takes from what is `below`.

    `missing`: those of them that landing must hold and does not, as they were, unless they are taken back and so `lost`
    without harm; `touched`: what has another time there.
    """

    where: str
    layer: str
    point: Mapping[str, Input]
    steps: tuple[Step, ...]
    again: tuple[Entry, ...] = ()
    missing: tuple[Entry, ...] = ()
    lost: tuple[Entry, ...] = ()
    touched: tuple[Entry, ...] = ()
    unfinished: bool = False

    @property
    def below(self) -> str:
        """From where the next run takes what came since."""
        return ("landing", *contract.LAYERS)[contract.LAYERS.index(self.layer)]


def look(
    root: str,
    landing: str,
    tables: Mapping[str, Table],
    where: str,
    then: Mapping[str, Input],
    layer: str = BRONZE,
) -> Prospect:
    """What it would be to restore all tables of the layer, and of those that are made from it, to this point."""
    layers = contract.LAYERS[contract.LAYERS.index(layer) :]
    wanted = [name for name in tables if name.partition(".")[0] in layers]
    point = _point(root, wanted, then)
    if layer == BRONZE and ledger.FILES in then:
        point[ledger.FILES] = then[ledger.FILES]
    rewind.check(root, point)
    steps = storage.each(
        lambda name: _step(root, name, int(point[name].version)), [one for one in wanted if one in point]
    )
    files, held = ledger.read(root), _held(root, then)
    again = [one for one in retracted.marked(files.taken(), retracted.read()) if one.place not in held]
    prospect = Prospect(where, layer, point, tuple(steps), tuple(again), unfinished=files.rewind is not None)
    if layer != BRONZE:
        return prospect
    found = accounts.as_they_were(landing, again)
    touched = tuple(one for one in again if (now := found[one.place]) and now.delivery != one.delivery)
    gone = [one for one in again if not found[one.place]]
    missing, lost = (tuple(one for one in gone if bool(one.retracted) is is_lost) for is_lost in (False, True))
    back = tuple(one for one in again if one not in lost)
    lost += tuple(_lost_before(root, files, then))
    return replace(prospect, again=back, missing=missing, lost=lost, touched=touched)


def _lost_before(root: str, files: ledger.Ledger, then: Mapping[str, Input]) -> list[Entry]:
    """What a rewind before this one lost like that, and the ledger did not know yet at the point."""
    if not (lost := [one for one in files.entries if one.status == ledger.LOST]):
        return []
    known = ledger.read(root, version=int(then[ledger.FILES].version)).entries if ledger.FILES in then else ()
    places = {one.place for one in known}
    return [one for one in retracted.marked(lost, retracted.read()) if one.retracted and one.place not in places]


def go(root: str, prospect: Prospect) -> list[Restored]:
    """Do it. Raises LakehouseError where that would lose rows of files for good."""
    if prospect.missing:
        paths = sorted({one.delivery.path for one in prospect.missing})
        more = f" (and {len(paths) - NAMED} more)" if paths[NAMED:] else ""
        raise LakehouseError(
            f"Nothing was rewound: the rows of {', '.join(paths[:NAMED])}{more} would be lost, since landing does not "
            "hold these files as they were delivered. Put them back (their content tells them), or keep bronze as it "
            "is: --layer silver, and the next run judges again what bronze holds."
        )
    rewind.begin(root, prospect.where, prospect.point, prospect.lost)
    done = rewind.finish(root)
    if done is None:  # a run was quicker
        return []
    history.rewound(root, *done)
    return done[1]


def _point(root: str, tables: Iterable[str], then: Mapping[str, Input]) -> dict[str, Input]:
    """The tables with their quarantines; what is there now and was not then had no rows."""
    names = [name for table in tables for name in (progress.rejected(table), table)]
    now = dict(storage.each(lambda name: (name, log.snapshot(progress.address(root, name))), names))
    new = {name: Input(NOT_THERE, found.id) for name, found in now.items() if found}
    return {name: then.get(name) or new[name] for name in names if name in then or name in new}


def _step(root: str, name: str, then: int) -> Step:
    address = progress.address(root, name)
    stored = log.snapshot(address)
    now = stored.version if stored else NOT_THERE
    rows = (progress.rows(address, now), 0 if then == NOT_THERE else progress.rows(address, then))
    if then == NOT_THERE:
        return Step(name, now, then, rows, lost=rows[0])
    did = feed.written(address, then, now)
    return Step(name, now, then, rows, did.rows if did else None, did.deleted if did else None)


def _held(root: str, then: Mapping[str, Input]) -> set[tuple[str, str, int]]:
    """The deliveries that bronze had at the point."""
    now = log.snapshot(progress.address(root, ledger.FILES))
    if now is None or ledger.FILES not in then or now.id != then[ledger.FILES].id:
        return set()
    taken = ledger.read(root, version=int(then[ledger.FILES].version)).taken()
    sources = {one.delivery.table for one in taken} & then.keys()
    states = {name: progress.state(progress.address(root, name), int(then[name].version)) for name in sources}
    included = {name: accounts.included_batch(state) for name, state in states.items()}
    return {one.place for one in taken if one.batch <= included.get(one.delivery.table, -1)}
