"""Rows a second of silver's turn: rounds of new events, each on a day of its own, beside all that came before.

No broker: messages of 300 bytes become bronze by our own Arrow function, and what that takes is told apart.

.venv/bin/python -m tests.bench.bench_events [--rows 1000000] [--days 11] [--same-day] [--engine native]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse import engines
from lakehouse.delta.tables import progress
from lakehouse.delta.tables.progress import Offsets
from lakehouse.delta.tables.types import arrow_schema
from lakehouse.intake.rows import messages
from lakehouse.writes.append import Round
from tests.events import BRONZE, SILVER, Events, append_round

PARTITIONS = 4
REPEATED, LATE, WRONG = 0.01, 0.02, 0.001
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def ids(numbers: np.ndarray) -> pa.Array:
    """Texts like UUIDs: mixed, so that they do not compress better than real ones."""
    mixed = (numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).astype(">u8")
    other = (numbers.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)).astype(">u8")
    whole = np.stack([mixed, other], axis=1).tobytes().hex()
    text = np.frombuffer(whole.encode(), "S32")
    return pc.cast(pa.array(text, pa.binary()), pa.string())


def values(chance: np.random.Generator, first: int, count: int, day: datetime) -> pa.Array:
    """Messages of about 300 bytes; some say again what came before, some are late, some are wrong."""
    numbers = np.arange(first, first + count)
    again = chance.random(count) < REPEATED
    numbers = np.where(again & (numbers > count), numbers - chance.integers(1, count, count), numbers)
    seconds = chance.integers(0, 86_400, count) - np.where(chance.random(count) < LATE, 86_400, 0)
    at = np.datetime64(day.replace(tzinfo=None), "s") + seconds.astype("timedelta64[s]")
    names = np.where(chance.random(count) < WRONG, 3, chance.choice(3, count, p=[0.8, 0.17, 0.03]))

    def some(of: int, text: str) -> pa.Array:
        return _all(of, text).take(pa.array(chance.integers(0, of, count)))

    clock = pc.strftime(pa.array(at), format="%Y-%m-%dT%H:%M:%SZ")
    parts = [
        '{"event_id": "', ids(numbers), '", "event_datetime": "', clock,
        '", "event_name": "', pa.array(["view", "click", "purchase", "buy"]).take(pa.array(names)),
        '", "user_id": "', some(200_000, "user-{}"), '", "platform": "', pa.array(["web", "ios", "android"]).take(
            pa.array(chance.integers(0, 3, count))
        ),
        '", "product_name": "', some(2_000, "Product number {}"), '", "sku": "', some(2_000, "SKU-{:06}"),
        '", "page": "https://shop.example/landing/page", "session": "', some(50_000, "s-{:08}"), '", "ab": "control"}',
    ]  # fmt: skip
    joined = pc.binary_join_element_wise(*parts, "")
    return joined.cast(pa.binary())


@cache
def _all(of: int, text: str) -> pa.Array:
    return pa.array([text.format(one) for one in range(of)])


def arrive(lake: Events, chance: np.random.Generator, first: int, count: int, day: datetime) -> float:
    """A round in bronze; the seconds that it took."""
    schema, each = arrow_schema(dict(messages.OF_A_MESSAGE)), count // PARTITIONS
    told = values(chance, first, each * PARTITIONS, day)
    at, parts, offsets = day + timedelta(days=1), [], []
    for one in range(PARTITIONS):
        start = lake.ends.get(one, 0)
        lake.ends[one] = start + each
        offsets.append(Offsets(one, start, start + each))
        columns = {
            "partition": pa.repeat(pa.scalar(one, pa.int32()), each),
            "offset": pa.array(np.arange(start, start + each)),
            "time": pa.repeat(pa.scalar(at, pa.timestamp("us", "UTC")), each),
            "value": told.slice(one * each, each),
        }
        empty = {field.name: pa.nulls(each, field.type) for field in schema if field.name not in columns}
        parts.append(pa.table({field.name: (columns | empty)[field.name] for field in schema}, schema))
    begin = time.monotonic()
    given = pa.concat_tables(parts)
    append_round(lake.lake, lake.engine, lake.tables[BRONZE], Round("events", "t", tuple(offsets), at), given, "b")
    return time.monotonic() - begin


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--days", type=int, default=11)
    asked.add_argument("--same-day", action="store_true", help="all rounds on one day, which then has all rows")
    asked.add_argument("--engine", default="native")
    said = asked.parse_args()
    chance = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        lake = Events(Path(folder), engines.start(said.engine))
        for one in range(said.days):
            day = BEGIN + timedelta(days=0 if said.same_day else one)
            bronze = arrive(lake, chance, 1 + one * said.rows, said.rows, day)
            begin, worked = time.monotonic(), time.process_time()
            done = lake.run()
            took, worked = time.monotonic() - begin, time.process_time() - worked
            rows = progress.rows(lake.lake.address(SILVER), done.version or 0)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            sys.stdout.write(
                f"{one + 1:>3} {done.decision.path:5} {said.rows / took:>9,.0f} rows/s ({took:.1f} s, {worked:.1f} s "
                f"of cores, commits {done.phases['writing']:.1f} s), bronze {said.rows / bronze:,.0f} rows/s, {rows:,} "
                f"rows then, {memory:,} MB; {dict(done.counts['rows'])}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
