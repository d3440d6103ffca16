r"""A table of a PostgreSQL into landing: `.venv/bin/python tests/bench/bench_database.py [rows] [times]`.

So many rows (by default 1,000,000) by `psql \copy` and by a fetch in a process of its own, of several times the best;
what memory that process had; then a fetch of 1,000 changed rows. Issue 17 allows 1.5 times, 500 MB and 2 seconds.
Needs PostgreSQL, with psql.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import psycopg

from lakehouse.described.database import Database
from lakehouse.serving.postgres import server
from lakehouse.sources import fetch
from lakehouse.sources.database.fetch import Rows

PLACE = "BENCH_DATABASE"
TABLE = "bronze.products"
SAID = Database(url=PLACE, table="public.products", watermark="updated_at", connections=2)
ALLOWED, MOST_MEMORY, CHANGED, MOST_SECONDS = 1.5, 500, 1000, 2.0
MADE = """
create table products as select n as id, (n % 2 + 1)::int as market, 'SKU-' || n as sku, 'Product number ' || n as name,
  'Category ' || n % 50 as category, ((n % 10000) / 100.0)::numeric(18,2) as price, n % 3 = 0 as is_active,
  timestamptz '2024-01-01' + n * interval '1 second' as updated_at, null::text as note, date '2024-01-01' as first_sold
from generate_series(1, {}) as n
"""


def fetched(landing: str) -> None:
    """In a process of its own, whose memory is then that of a fetch."""
    begin = time.monotonic()
    done = fetch.fetch(landing, TABLE, Rows(SAID), "bench")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(done.rows, time.monotonic() - begin, peak)  # noqa: T201


def fetch_of_its_own(landing: Path) -> tuple[int, float, int]:
    """Rows, seconds without Python's own start, and megabytes."""
    command = [sys.executable, __file__, "--into", str(landing)]
    rows, seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(rows), float(seconds), int(peak)


def copied(url: str, to: Path) -> float:
    begin = time.monotonic()
    subprocess.run([shutil.which("psql") or "psql", url, "-qc", f"\\copy products to '{to}'"], check=True)
    return time.monotonic() - begin


def main(size: int, times: int) -> int:
    with tempfile.TemporaryDirectory() as folder, server.running() as url:
        os.environ[PLACE] = url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(MADE.format(size))
            connection.execute("create index on products (updated_at)")
            connection.execute("vacuum analyze products")
            by_psql = min(copied(url, Path(folder, "copied")) for _ in range(times))
            landings = [Path(folder, f"landing {number}") for number in range(times)]
            whole = [fetch_of_its_own(one) for one in landings]
            connection.execute(f"update products set updated_at = now() where id <= {CHANGED}")
            changed = fetch_of_its_own(landings[-1])
    seconds, peak = min(one[1] for one in whole), max(one[2] for one in whole)
    print(f"{size:,} rows by psql {by_psql:.1f} s, fetched {seconds:.1f} s: {seconds / by_psql:.2f} times; {peak} MB")  # noqa: T201
    print(f"{changed[0]:,} changed rows fetched in {changed[1]:.2f} s")  # noqa: T201
    is_right = {one[0] for one in whole} == {size} and changed[0] == CHANGED
    is_within = seconds <= ALLOWED * by_psql and peak <= MOST_MEMORY and changed[1] <= MOST_SECONDS
    return 0 if is_right and is_within else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--into"]:
        fetched(sys.argv[2])
    else:
        sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000, int(sys.argv[2]) if sys.argv[2:] else 3))
