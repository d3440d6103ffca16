"""What is known of a lake at a moment, as plans, runs and their measures have it: nothing is computed twice."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.alerts.record import LastRun
from lakehouse.audit import accounts, quality
from lakehouse.audit.history import History
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.runs import topics
from lakehouse.serving.questions import answers
from lakehouse.store import storage
from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from lakehouse.alerts.rules import Alerts, Kind
    from lakehouse.audit.history import Ran
    from lakehouse.audit.quality import Compared
    from lakehouse.intake.deliveries.landing import Found
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.recovery.releases import Unreleased
    from lakehouse.runs.run import Run
    from lakehouse.runs.topics import Lag
    from lakehouse.writes.measures import Measure

SHOWN = 3  # rows of what a condition finds


@dataclass(frozen=True)
class Disk:
    """Bytes of the device on which `path` is."""

    path: str
    free: int
    total: int


@dataclass(frozen=True)
class Answer:
    """Rows that a condition found, and the first of them as `column value` texts; or why it has no answer."""

    rows: int = 0
    first: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Facts:
    """`unknown`: the kinds of problems of which nothing is known, and why not; `unreachable`: why the lake is not.

    `last`: how the last run ended, None where none ever did. `failed`: by table its last turn, where that broke.
    `fresh`: measures of sources' newest deliveries as of `at`, and `promised` hours by source. `unreadable`: files of
    landing. `compared`: what runs measured last, and by table and rule `why` it must hold. `lags`: of partitions, with
    their topic. `unreleased`: None where all that counts is in a release. `answers`: of conditions, by their names.
    """

    root: str
    at: datetime
    unreachable: str = ""
    unknown: Mapping[Kind, str] = field(default_factory=dict)
    last: LastRun | None = None
    failed: Mapping[str, Ran] = field(default_factory=dict)
    fresh: Sequence[Measure] = ()
    promised: Mapping[str, float] = field(default_factory=dict)
    unreadable: Sequence[Entry] = ()
    compared: Sequence[Compared] = ()
    why: Mapping[tuple[str, str], str] = field(default_factory=dict)
    lags: Sequence[tuple[str, Lag]] = ()
    unreleased: Unreleased | None = None
    disks: Sequence[Disk] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)


def gather(
    run: Run, alerts: Alerts, last: LastRun | None, found: Found | None = None, without: Collection[Kind] = ()
) -> Facts:
    """The facts now. `run` names the places and tables, and what computes; its ledger is read where it was not.

    `found`: what landing holds, where a run has looked already. What cannot be asked is `unknown`, and stops nothing;
    nor is anything known of the kinds that the caller does `without`.
    """
    at = datetime.now(UTC)
    known: dict[str, object] = {"disks": disks(run.root, run.landing), "last": last}
    unknown: dict[Kind, str] = dict.fromkeys(without, "nobody asked")
    asking = _asking(run, alerts, at, last, found)
    try:
        storage.check(run.root, role="lake", must_exist=True)
        run.open()
    except LakehouseError as error:
        return Facts(run.root, at, str(error), dict.fromkeys(asking, str(error)), **known)  # type: ignore[arg-type]
    for kind, ask in asking.items():
        if kind in without:
            continue
        try:
            known |= ask()
        except LakehouseError as error:
            unknown[kind] = str(error)
    return Facts(run.root, at, unknown=unknown, **known)  # type: ignore[arg-type]


def _asking(
    run: Run, alerts: Alerts, at: datetime, last: LastRun | None, found: Found | None
) -> dict[Kind, Callable[[], Mapping[str, object]]]:
    """By kind what must be asked of the lake; what was measured tells of several."""
    return {
        "run_failed": lambda: _ran(run, last),
        "source_late": lambda: _freshness(run, at),
        "file_not_taken": lambda: {"unreadable": (found or run.look()).by_status("unreadable")},
        **dict.fromkeys(("volume", "reject_share", "score", "check"), _measured(run)),
        "lag": lambda: {"lags": _lags(run)},
        "not_released": lambda: {
            "unreleased": releases.unreleased(run.root, run.tables, run.ledger, at - alerts.limits.released_within)
        },
        "sql": lambda: {
            "answers": {name: _answer(run, one.sql) for name, one in alerts.conditions.items()},
        },
    }


def _ran(run: Run, last: LastRun | None) -> dict[str, object]:
    """Which tables' last turns broke; when the last run ended, where only they tell it, as of a lake of before."""
    history = History(run.root)  # anew: the run's own was read before it wrote
    turns = [one for name in run.tables for one in history.of(name)[:1]]
    if history.problem:
        raise LakehouseError(history.problem)
    newest = max((one.at for one in turns if one.at), default=None)
    return {
        "failed": {one.table: one for one in turns if one.error},
        "last": last or (LastRun(newest, succeeded_at=newest) if newest else None),
    }


def _freshness(run: Run, at: datetime) -> dict[str, object]:
    files = {name: one.contract for name, one in run.tables.items() if one.contract.takes_files}
    sources = {name: one.source for name, one in files.items() if one.source}
    fresh = [one for name, source in sources.items() for one in accounts.freshness(name, source, run.taken, at)]
    promised = {name: one.fresh_within_hours for name, one in sources.items() if one.fresh_within_hours is not None}
    return {"fresh": fresh, "promised": promised}


def _measured(run: Run) -> Callable[[], Mapping[str, object]]:
    """Asked once for the kinds that it tells of; of tables that there are no more it says nothing."""

    @cache
    def ask() -> Mapping[str, object]:
        compared = [one for one in quality.compared(run.root) if one.noted.measure.table_name in run.tables]
        return {"compared": compared, "why": dict(_why(run, one.noted.measure) for one in compared)}

    return ask


def _why(run: Run, measure: Measure) -> tuple[tuple[str, str], str]:
    contract = run.tables[measure.table_name].contract
    check = contract.checks.get(measure.name)
    why = check.why if check else contract.why(measure.name) if measure.measure == "rule" else ""
    return (measure.table_name, measure.name), why


def _lags(run: Run) -> list[tuple[str, Lag]]:
    lags = list[tuple[str, "Lag"]]()
    for name, offer in topics.offers(run.root, run.tables.values()).items():
        if isinstance(offer, LakehouseError):
            raise offer
        lags += [(offer.topic.name, one) for one in topics.lag(run.tables[name], offer)]
    return lags


def _answer(run: Run, statement: str) -> Answer:
    """By what computes runs; what is wrong with a condition is a problem of its own."""
    try:
        columns, rows = answers.ask(run.engine_name, run.root, statement, "texts", None)
        every = list(rows)
    except LakehouseError as error:
        return Answer(problem=str(error))
    first = (zip(columns, row, strict=True) for row in every[:SHOWN])
    return Answer(len(every), tuple(", ".join(f"{name} {value}" for name, value in row) for row in first))


def disks(*places: str) -> list[Disk]:
    """Of the devices of this machine on which these places and the cache are, each once."""
    found: dict[int, Disk] = {}
    for place in (*(one for one in places if not storage.is_s3(one)), str(cache_folder())):
        there = next((one for one in (Path(place), *Path(place).parents) if one.exists()), None)
        if there is None:
            continue
        device, usage = there.stat().st_dev, shutil.disk_usage(there)
        found.setdefault(device, Disk(place, usage.free, usage.total))
    return [*found.values()]
