"""Which sources are due, and all that are fetched, one after the other: what stops one stops no other."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from os import environ
from typing import TYPE_CHECKING

from lakehouse import logs
from lakehouse.described.terms import spelled
from lakehouse.errors import LakehouseError
from lakehouse.intake.deliveries import fetched
from lakehouse.readers.records import UnreadableError
from lakehouse.sources import fetch
from lakehouse.sources.fetch import Fetched
from lakehouse.store import storage
from lakehouse.store.storage import MissingFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lakehouse.graph import Table
    from lakehouse.sources.windows import Source


@dataclass(frozen=True)
class Due:
    """Whether a source is to be fetched, and why it is, or is not; it `rests` while nothing says where it is."""

    table: str
    is_due: bool
    why: str
    rests: bool = False


@dataclass(frozen=True)
class Outcome:
    """What was fetched of a source; `problem`: why not all of it."""

    landed: Fetched
    problem: str = ""


def fetched_ones(tables: Mapping[str, Table]) -> list[Table]:
    """The bronze tables whose contract says where they are fetched from."""
    return [one for one in tables.values() if one.contract.source and one.contract.source.fetched]


def chosen(tables: Mapping[str, Table], names: Iterable[str]) -> list[Table]:
    """The fetched tables of these names, with or without their layer. Raises LakehouseError for others."""
    there = {one.name: one for one in fetched_ones(tables)}
    asked = [name if "." in name else f"bronze.{name}" for name in names]
    if unknown := [name for name in asked if name not in there]:
        raise LakehouseError(
            f"{', '.join(unknown)} is fetched from nowhere: say where it is by `api:` or `database:` in the source of "
            f"its contract. Fetched are: {', '.join(there) or 'none'}."
        )
    return [there[name] for name in asked]


def due(landing: str, table: Table, now: datetime | None = None) -> Due:
    """From the names of what landing holds, and its last window."""
    described = table.contract.source.fetched if table.contract.source else None
    if described is None:
        return Due(table.name, is_due=False, why="its files are dropped", rests=True)
    if described.named_by and not environ.get(described.named_by):
        why = f"{described.named_by}, which says where it is, is not set"
        return Due(table.name, is_due=False, why=why, rests=True)
    now = now or datetime.now(UTC)
    last = max(fetched.windows(landing, table.name), default="")
    if not last:
        return Due(table.name, is_due=True, why=_with("was never fetched", described.costs({}, now)))
    try:
        facts = fetched.complete(landing, last)[0].facts
    except MissingFileError:
        return Due(table.name, is_due=True, why="its last fetch is not done")
    except UnreadableError:
        return Due(table.name, is_due=True, why="its last fetch cannot be read")
    at = fetched.started_at(last)
    why = f"was fetched at {at:%Y-%m-%d %H:%M} UTC, and is due every {spelled(described.every)}"
    is_due = now - at >= described.every
    return Due(table.name, is_due, _with(why, described.costs(facts, now) if is_due else ""))


def _with(why: str, costs: str) -> str:
    return f"{why}; {costs}" if costs else why


def fetch_all(
    landing: str,
    tables: Iterable[Table],
    since: datetime | None = None,
    until: datetime | None = None,
    say: Callable[[Fetched], None] = lambda _: None,
) -> Iterator[Outcome]:
    """Fetch these now, one after the other."""
    for table in tables:
        last = Fetched(table.name)

        def told(so_far: Fetched) -> None:
            nonlocal last
            last = so_far
            say(so_far)

        try:
            storage.check(landing, role="landing", must_exist=True)
            landed = fetch.fetch(landing, table.name, source_of(table), definition(table), since, until, told)
            logs.event("source fetched", **asdict(landed))
            yield Outcome(landed)
        except LakehouseError as error:  # what a server says of it may be of a row
            logs.event("source not fetched", logging.ERROR, **asdict(last), kind=type(error).__name__)
            yield Outcome(last, str(error))


def source_of(table: Table) -> Source:
    """What fetches for a table, as its contract describes it."""
    kind = "api" if table.contract.source and table.contract.source.api else "database"
    found: Source = importlib.import_module(f"lakehouse.sources.{kind}").source(table.name, table.contract)
    return found


def definition(table: Table) -> str:
    """Changes with what the contract says of where and how it is fetched: what was begun otherwise is begun anew."""
    described = table.contract.source.fetched if table.contract.source else None
    said = described.model_dump(mode="json", exclude={"every"}) if described else {}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
