"""Seconds of processor of each table of user events: for a day of events beside the days before it, and for a bit.

Events are laid down as silver.events, without a broker or bronze: sessions of a few events each, of users of whom some
come on many days. `whole` is a table from all days but the last, `day` its turn when the last day has come, `bit` when
so many more events of that day have.

.venv/bin/python -m tests.bench.bench_clicks [--rows 1000000] [--days 30] [--before ROWS] [--bit 10000]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lakehouse import engines, graph
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import progress
from lakehouse.delta.tables.progress import Input, Progress
from lakehouse.delta.tables.types import arrow_schema
from lakehouse.writes import refresh
from lakehouse.writes.lake import Lake, Writer, conf_rows

if TYPE_CHECKING:
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

EVENTS = "silver.events"
BEGIN = date(2026, 1, 1)
USERS, PRODUCTS, OF_A_SESSION, OF_A_PRODUCT = 500_000, 5_000, 8, 3
KNOWN = 0.9  # of the sessions, by their users
MADE = [
    "silver.user_days", "silver.event_users", "gold.event_volume", "gold.sessions", "gold.session_products",
    "gold.funnel", "gold.product_conversion", "gold.active_users", "gold.touches",
]  # fmt: skip


def events(chance: np.random.Generator, day: date, rows: int) -> pa.Table:
    """Sessions of one user on one platform, ten seconds to ten minutes between events; few users do much."""
    sessions = np.repeat(np.arange(-(-rows // OF_A_SESSION)), OF_A_SESSION)[:rows]
    many = sessions[-1] + 1
    users = (USERS * chance.random(many) ** 2).astype(int)
    is_known = chance.random(many) < KNOWN
    begins = chance.integers(0, 86_400, many)
    steps = chance.integers(10, 600, rows).cumsum()
    first = np.flatnonzero(np.r_[True, np.diff(sessions) > 0])
    seconds = np.minimum(begins[sessions] + steps - steps[first][sessions], 86_399)
    at = np.datetime64(day, "us") + (seconds * 1_000_000 + chance.integers(0, 1_000_000, rows)).astype(
        "timedelta64[us]"
    )
    looks = np.arange(rows) // OF_A_PRODUCT  # so many events in a row are about one product
    products = (PRODUCTS * chance.random(looks[-1] + 1) ** 2).astype(int)[looks]

    def text(pattern: str, numbers: np.ndarray, of: int, where: np.ndarray | None = None) -> pa.Array:
        values = pa.array([pattern.format(one) for one in range(of)])
        return values.take(pa.array(numbers, mask=None if where is None else ~where))

    names = pa.array(["view", "click", "purchase"]).take(pa.array(chance.choice(3, rows, p=[0.75, 0.22, 0.03])))
    platforms = pa.array(["web", "ios", "android"]).take(pa.array((users % 3)[sessions]))
    return pa.table(
        {
            "event_id": pa.nulls(rows, pa.string()),
            "user_id": text("user-{:08}", users[sessions], USERS, is_known[sessions]),
            "sku": text("SKU-{:05}", products, PRODUCTS),
            "event_name": names,
            "platform": platforms,
            "product_name": text("product number {}", products, PRODUCTS),
            "event_datetime": pa.array(at, pa.timestamp("us", "UTC")),
            "event_date": pa.array([day] * rows, pa.date32()),
        }
    )


def lay_down(lake: Lake, asked: argparse.Namespace) -> None:
    promise = graph.load()[EVENTS].contract
    schema = arrow_schema({name: column.type for name, column in promise.columns.items()})
    target = Target(lake.address(EVENTS), schema, {}, promise.partition_by, vectors=False)
    days = asked.days
    for number, rows in enumerate([*[asked.before or asked.rows] * (days - 1), asked.rows, asked.bit]):
        chance = np.random.default_rng(number)
        made = events(chance, BEGIN + timedelta(min(number, days - 1)), rows)
        note = Progress(EVENTS, "bench", "bench", number - 1, {}).to_json()
        if number:
            committer.append(target, number - 1, made.select(schema.names).cast(schema), note, None)
        else:
            committer.overwrite(target, -1, made.select(schema.names).cast(schema), note)


def turn(engine: Engine, lake: Lake, table: Table, before: dict[str, int], now: dict[str, int]) -> str:
    """One turn of a table, whole where it is not there; what it took, and what it did."""
    states = {name: lake.state(name) for name in table.parents}
    size = sum(progress.size(lake.address(name)) for name in (table.name, *table.parents) if lake.state(name))
    own = engine.for_a_turn(size)
    stored = lake.state(table.name)
    inputs = {name: lake.read(own, name, now[name]) for name in table.parents} | conf_rows(own, table.inputs)
    versions = {name: Input(now[name], state.id) for name, state in states.items() if state}
    note = Progress(table.name, "bench", table.fingerprint, stored.version if stored else -1, versions)
    writer = Writer(lake, own, table, note, stored.progress if stored else None, size)
    begin, used = time.monotonic(), time.process_time()
    if stored is None:
        outcome = refresh.rebuild(writer, inputs, size)
    else:
        moved = {name: (before[name], now[name]) for name in table.parents if before[name] != now[name]}
        outcome = refresh.update(writer, inputs, moved, None)
    took = f"{time.process_time() - used:7.1f} s of processor {time.monotonic() - begin:7.1f} s"
    return (
        f"{took}  {outcome.rows:>9,} rows, {outcome.touched or 0:>9,} touched, {outcome.differing or 0:>9,} differing"
    )


def main() -> None:
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--rows", type=int, default=1_000_000)
    wanted.add_argument("--days", type=int, default=30)
    wanted.add_argument("--before", type=int, help="events of each of the days before, where they are fewer")
    wanted.add_argument("--bit", type=int, default=10_000)
    wanted.add_argument("--folder")
    asked = wanted.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        lake, engine, tables = Lake(str(Path(folder) / "lake")), engines.start(), graph.load()
        lay_down(lake, asked)
        known: dict[str, int] = {}
        for step, version in (("whole", asked.days - 2), ("day", asked.days - 1), ("bit", asked.days)):
            before = dict(known)
            known[EVENTS] = version
            for name in MADE:
                said = turn(engine, lake, tables[name], before, known)
                state = lake.state(name)
                known[name] = state.version if state else -1
                print(f"{step:6} {name:24} {said}", flush=True)  # noqa: T201
        print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10:,} MB at most")  # noqa: T201


if __name__ == "__main__":
    main()
