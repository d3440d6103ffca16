"""A lake's numbers, from its logs and the tables of the core alone: no engine starts, and no landing is listed.

They come from the facts of `lakehouse alerts` and the lines of `lakehouse status`: nothing is computed a second way.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lakehouse.alerts import facts, problems, record
from lakehouse.alerts.record import Record
from lakehouse.audit.history import History
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.errors import LackingExtraError, LakehouseError
from lakehouse.proof.verify import CERTIFICATES
from lakehouse.recovery import releases
from lakehouse.runs import status, topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from lakehouse.alerts.facts import Facts
    from lakehouse.alerts.rules import Alerts, Kind
    from lakehouse.runs.run import Run
    from lakehouse.runs.status import Line

# What a scrape does not ask for: an engine's answers, all of landing, and brokers. `lakehouse alerts` does.
NOT_ASKED: frozenset[Kind] = frozenset({"sql", "file_not_taken", "lag"})
# By name what it is, and its labels; a name that ends in _total only grows. Times are seconds since 1970, UTC.
FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "lakehouse_up": ("1 where the lake can be read", ()),
    "lakehouse_looked_timestamp": ("When these numbers were looked up", ()),
    "lakehouse_look_seconds": ("How long that took", ()),
    "lakehouse_part_unknown": ("1 where this part of the numbers could not be had", ("part",)),
    "lakehouse_last_success_timestamp": ("When the last run that succeeded ended; nothing where none did", ()),
    "lakehouse_last_run_timestamp": ("When the last run ended, well or not", ()),
    "lakehouse_last_run_failed": ("1 where the last run ended with an error", ()),
    "lakehouse_problems": ("Problems by kind, as `lakehouse alerts` finds them", ("kind", "severity")),
    "lakehouse_disk_free_bytes": ("Bytes that are free where the lake, landing or cache is", ("path",)),
    "lakehouse_disk_size_bytes": ("Bytes of that device", ("path",)),
    "lakehouse_release": ("Number of the newest release", ()),
    "lakehouse_release_timestamp": ("When it was published", ()),
    "lakehouse_table_version": ("Version of the table", ("table",)),
    "lakehouse_table_rows": ("Rows of the table", ("table",)),
    "lakehouse_table_rejected_rows": ("Rows in its quarantine", ("table",)),
    "lakehouse_table_bytes": ("Bytes of its newest version", ("table",)),
    "lakehouse_table_files": ("Files of its newest version", ("table",)),
    "lakehouse_table_changed_timestamp": ("When it was written last", ("table",)),
    "lakehouse_table_behind": ("1 where a run would write it, as far as the lake itself tells", ("table",)),
    "lakehouse_run_timestamp": ("When the last run that had work on the table began", ("table",)),
    "lakehouse_run_seconds": ("Seconds of its turn in that run", ("table",)),
    "lakehouse_run_phase_seconds": ("Seconds of a phase of that turn", ("table", "phase")),
    "lakehouse_run_rows": ("Rows that came in, were written and deleted in that turn", ("table", "rows")),
    "lakehouse_run_failed": ("1 where that turn ended with an error", ("table",)),
    "lakehouse_source_files": ("Versions of delivered files by what became of them", ("table", "status")),
    "lakehouse_source_rows": ("Delivered rows by where they went", ("table", "status")),
    "lakehouse_source_delivered_timestamp": ("As of when the newest delivery is", ("table", "market")),
    "lakehouse_source_promised_seconds": ("How old it may be at most (fresh_within_hours)", ("table",)),
    "lakehouse_score": ("Score of the last deliveries, 0 to 100", ("table", "market")),
    "lakehouse_broken": (
        "Rows, groups or files that broke a rule, check, volume or sum when it was measured last",
        ("table", "market", "measure", "name"),
    ),
    "lakehouse_lag_offsets": ("Offsets that waited after the last round", ("table", "topic", "partition")),
    "lakehouse_lag_seconds": ("How old the last message taken was then", ("table", "topic", "partition")),
    "lakehouse_lag_timestamp": ("When that round was", ("table", "topic", "partition")),
    "lakehouse_verified_timestamp": ("When `lakehouse verify` compared the table last", ("table",)),
    "lakehouse_verified_version": ("Which version", ("table",)),
    "lakehouse_verified_equal": ("1 where it equalled its rebuild", ("table",)),
    "lakehouse_postgres_active_seconds_total": ("Seconds that PostgreSQL spent on queries of the database", ()),
    "lakehouse_postgres_transactions_total": ("Transactions that it ended there", ()),
    "lakehouse_postgres_queries": ("Queries that run there now", ()),
    "lakehouse_postgres_longest_query_seconds": ("For how long the oldest of them does", ()),
}


class Sample(NamedTuple):
    """One number of a family, with the values of its labels in their order."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looked:
    """What a look found; by part why it could not be had, "lake" where nothing could."""

    samples: tuple[Sample, ...]
    unknown: Mapping[str, str] = field(default_factory=dict)


def look(run: Run, alerts: Alerts, postgres: str = "") -> Looked:
    """The numbers now, whatever of the lake is there. `run` names it; its ledger is read where it was not.

    `postgres`: the URL of who serves gold, where he is to be asked too.
    """
    begun, last = time.monotonic(), Record(run.root, is_there=record.is_there(run.root)).last_run()
    found = facts.gather(run, alerts, last, without=NOT_ASKED)
    samples = [Sample("lakehouse_up", float(not found.unreachable)), *_of_last_run(found), *_of_disks(found)]
    unknown = {"lake": found.unreachable} if found.unreachable else dict[str, str]()
    if not found.unreachable:
        unknown |= {kind: why for kind, why in found.unknown.items() if kind not in NOT_ASKED}
        samples += _of_facts(found, alerts)
        for part, ask in _parts(run, postgres).items():
            try:
                samples += ask()
            except LakehouseError as error:
                unknown[part] = str(error)
            samples.append(Sample("lakehouse_part_unknown", float(part in unknown), (part,)))
        samples += [Sample("lakehouse_part_unknown", 1, (kind,)) for kind in unknown if kind in found.unknown]
    samples.append(Sample("lakehouse_looked_timestamp", found.at.timestamp()))
    samples.append(Sample("lakehouse_look_seconds", time.monotonic() - begun))
    return Looked(tuple(samples), unknown)


def _parts(run: Run, postgres: str) -> dict[str, Callable[[], list[Sample]]]:
    parts: dict[str, Callable[[], list[Sample]]] = {
        "tables": lambda: [*_of_tables(run)],
        "sources": lambda: [*_of_sources(run)],
        "releases": lambda: [*_of_releases(run.root)],
        "rounds": lambda: [*_of_rounds(run.root)],
        "certificates": lambda: [*_of_certificates(run.root)],
    }
    if postgres:
        parts["postgres"] = lambda: [*_of_postgres(postgres)]
    return parts


def _of_last_run(found: Facts) -> Iterator[Sample]:
    if last := found.last:
        yield from _at("lakehouse_last_run_timestamp", last.ended_at)
        yield from _at("lakehouse_last_success_timestamp", last.succeeded_at)
        yield Sample("lakehouse_last_run_failed", float(bool(last.error)))


def _of_disks(found: Facts) -> Iterator[Sample]:
    for one in found.disks:
        yield Sample("lakehouse_disk_free_bytes", one.free, (one.path,))
        yield Sample("lakehouse_disk_size_bytes", one.total, (one.path,))


def _of_facts(found: Facts, alerts: Alerts) -> Iterator[Sample]:
    """Every kind that is judged is there, so that a rule sees a problem begin and end."""
    counted = Counter(one.kind for one in problems.found(found, alerts))
    for kind in problems.OF_A_KIND:
        if kind not in found.unknown:
            severity = "critical" if kind in problems.CRITICAL else "warning"
            yield Sample("lakehouse_problems", counted[kind], (kind, severity))
    for fresh in found.fresh:
        if fresh.value is not None:
            newest = found.at.timestamp() - 3600 * fresh.value
            yield Sample("lakehouse_source_delivered_timestamp", newest, (fresh.table_name, _market(fresh.market)))
    for table, hours in found.promised.items():
        yield Sample("lakehouse_source_promised_seconds", 3600 * hours, (table,))
    for measure in (one.noted.measure for one in found.compared):
        place = (measure.table_name, _market(measure.market))
        if measure.measure == "score" and measure.value is not None:
            yield Sample("lakehouse_score", measure.value, place)
        elif measure.is_broken:
            yield Sample("lakehouse_broken", measure.broken or 0, (*place, measure.measure, measure.name))


def _of_tables(run: Run) -> Iterator[Sample]:
    for line in status.lines(run.root, run.tables, run.taken, History(run.root, run.engine_name)):
        table = (line.table,)
        numbers = {"version": line.version, "rows": line.rows, "rejected_rows": line.rejected}
        for name, number in (numbers | {"bytes": line.bytes, "files": line.files}).items():
            if number is not None:
                yield Sample(f"lakehouse_table_{name}", number, table)
        yield from _at("lakehouse_table_changed_timestamp", line.changed_at, *table)
        yield Sample("lakehouse_table_behind", float(bool(line.behind)), table)
        yield from _of_turn(line)


def _of_turn(line: Line) -> Iterator[Sample]:
    if (last := line.last) is None:
        return
    table = (line.table,)
    yield from _at("lakehouse_run_timestamp", last.at, *table)
    yield Sample("lakehouse_run_seconds", last.seconds, table)
    yield Sample("lakehouse_run_failed", float(bool(last.error)), table)
    for phase, seconds in last.phases.items():
        yield Sample("lakehouse_run_phase_seconds", seconds, (*table, phase))
    for rows, number in {"in": last.rows_in, "written": last.rows_written, "deleted": last.rows_deleted}.items():
        if number is not None:
            yield Sample("lakehouse_run_rows", number, (*table, rows))


def _of_sources(run: Run) -> Iterator[Sample]:
    files, rows = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for entry in run.ledger.entries:
        files[entry.delivery.table, entry.status] += 1
        rows.update({(entry.delivery.table, name): number for name, number in entry.counts.items() if name != "rows"})
    yield from (Sample("lakehouse_source_files", number, place) for place, number in sorted(files.items()))
    yield from (Sample("lakehouse_source_rows", number, place) for place, number in sorted(rows.items()))


def _of_releases(root: str) -> Iterator[Sample]:
    if newest := releases.newest(root):
        yield Sample("lakehouse_release", newest.number)
        yield from _at("lakehouse_release_timestamp", newest.published_at)


def _of_rounds(root: str) -> Iterator[Sample]:
    for row in ops.newest(progress.address(root, topics.LAG), "table_name, topic, partition"):
        place = (row["table_name"], row["topic"], str(row["partition"]))
        yield Sample("lakehouse_lag_offsets", row["behind"], place)
        yield Sample("lakehouse_lag_seconds", row["seconds"], place)
        yield from _at("lakehouse_lag_timestamp", row["at"], *place)


def _of_certificates(root: str) -> Iterator[Sample]:
    for row in ops.newest(progress.address(root, CERTIFICATES), "table_name"):
        table = (row["table_name"],)
        yield from _at("lakehouse_verified_timestamp", row["at"], *table)
        yield Sample("lakehouse_verified_version", row["version"], table)
        yield Sample("lakehouse_verified_equal", float(row["equal"]), table)


def _of_postgres(url: str) -> Iterator[Sample]:
    """What the server tells of the database that is served, which any account of it may ask."""
    try:
        from lakehouse.store import postgres  # noqa: PLC0415  psycopg, which an extra has
    except ImportError:
        raise LackingExtraError("PostgreSQL is asked by psycopg", "postgres") from None
    with postgres.connected(url, "lakehouse metrics", "The other numbers are told all the same.") as connection:
        active, ended = postgres.only(
            connection,
            "select active_time / 1000, xact_commit + xact_rollback from pg_stat_database "
            "where datname = current_database()",
        )
        queries, longest = postgres.only(
            connection,
            "select count(*), coalesce(extract(epoch from max(clock_timestamp() - query_start)), 0) "
            "from pg_stat_activity where state = 'active' and datname = current_database() and pid <> pg_backend_pid()",
        )
    yield Sample("lakehouse_postgres_active_seconds_total", float(active))
    yield Sample("lakehouse_postgres_transactions_total", float(ended))
    yield Sample("lakehouse_postgres_queries", float(queries))
    yield Sample("lakehouse_postgres_longest_query_seconds", float(longest))


def _at(name: str, moment: datetime | None, *labels: str) -> Iterator[Sample]:
    if moment is not None:
        yield Sample(name, moment.timestamp(), labels)


def _market(market: int | None) -> str:
    return "" if market is None else str(market)
