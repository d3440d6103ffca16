"""One changed day into PostgreSQL: `.venv/bin/python tests/bench/bench_postgres.py [lines] [readers]`.

A star of so many order lines (by default 1,000,000 of 90 days) is released, loaded, and then a day later again: new
orders, some of the week before with another status, some new customers. Meanwhile readers ask. Each line: what was
done, its seconds, and the rows that PostgreSQL itself counted. Issue 16 allows 3 seconds for the day. Needs PostgreSQL.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import psycopg
import pyarrow as pa

from lakehouse import graph
from lakehouse.delta.files import feed
from lakehouse.serving.postgres import server, sync
from lakehouse.serving.postgres.connection import connected
from tests.served import Served

FIRST, DAYS, LINES_OF_AN_ORDER = date(2022, 1, 3), 90, 3
PRODUCTS, CUSTOMERS_PER_LINE = 5_000, 0.05
ALLOWED = 3.0
COUNTED = "select sum(n_tup_ins), sum(n_tup_del) from pg_stat_user_tables where schemaname = 'gold'"


def key(kind: str, numbers: np.ndarray[Any, Any]) -> pa.Array:
    """32 letters, as md5 has them."""
    return pa.array([f"{kind}{number:031}" for number in numbers.tolist()], pa.string())


def day_key(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def dates() -> dict[str, Any]:
    days = [FIRST + timedelta(days=one) for one in range(DAYS + 31)]
    return {"date_key": [day_key(one) for one in days], "calendar_date": days, "year": [one.year for one in days]}


def products() -> dict[str, Any]:
    numbers = np.arange(PRODUCTS)
    facts = {"market": numbers % 2, "sku": key("s", numbers), "version": np.ones(PRODUCTS)}
    return {"product_key": key("p", numbers), **facts}


def customers(first: int, last: int) -> dict[str, Any]:
    numbers = np.arange(first, last)
    return {
        "customer_key": key("c", numbers),
        "market": numbers % 2,
        "customer_id": numbers,
        "valid_from": pa.array([datetime(2022, 1, 3, tzinfo=UTC)] * len(numbers), pa.timestamp("us", "UTC")),
        "version": np.ones(len(numbers)),
        "language": ["en"] * len(numbers),
    }


def lines(first: int, last: int, days: np.ndarray[Any, Any], known: int, status: str = "COMPLETED") -> dict[str, Any]:
    numbers = np.arange(first, last)
    keys = np.array([day_key(FIRST + timedelta(days=one)) for one in range(DAYS + 31)])
    price = pa.array([f"{number % 900}.{number % 100:02}" for number in numbers.tolist()])
    return {
        "sales_key": key("l", numbers),
        "date_key": keys[days],
        "product_key": key("p", numbers * 7 % PRODUCTS),
        "customer_key": key("c", numbers // LINES_OF_AN_ORDER % known),
        "market": numbers // LINES_OF_AN_ORDER % 2,
        "order_id": numbers // LINES_OF_AN_ORDER,
        "line_number": numbers % LINES_OF_AN_ORDER,
        "order_status": [status] * len(numbers),
        "is_completed": [status == "COMPLETED"] * len(numbers),
        "payment_method": ["CASH"] * len(numbers),
        "currency": ["KES"] * len(numbers),
        "quantity": numbers % 5 + 1,
        **dict.fromkeys(("unit_price", "line_total", "line_cost"), price),
    }


def ask(url: str, ended: Event, seconds: list[float]) -> None:
    """What a report asks, again and again; the longest time is what a reader may have waited for us."""
    question = "select market, sum(line_total) from gold.fact_sales where date_key between %s and %s group by 1"
    days = (day_key(FIRST), day_key(FIRST + timedelta(days=6)))
    with psycopg.connect(url, autocommit=True) as connection:
        while not ended.is_set():
            begin = time.monotonic()
            connection.execute(question, days).fetchall()
            seconds.append(time.monotonic() - begin)


def synced(url: str, lake: Served, what: str) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        before = connection.execute(COUNTED).fetchone() or (0, 0)
        begin = time.monotonic()
        with connected(url) as own:
            done = sync.sync(own, lake.root, lake.tables)
        seconds = time.monotonic() - begin
        connection.execute("select pg_stat_clear_snapshot()")
        after = connection.execute(COUNTED).fetchone() or (0, 0)
    counted = ", ".join(f"{int(now or 0) - int(then or 0):,}" for now, then in zip(after, before, strict=True))
    wrote = f"{sum(done.came.values()):,} came, {sum(done.went.values()):,} went; PostgreSQL counted {counted}"
    print(f"{what:<40} {seconds:6.1f} s  {wrote}", flush=True)  # noqa: T201
    return seconds


def main(size: int, readers: int) -> int:
    rng = np.random.default_rng(7)
    known = int(size * CUSTOMERS_PER_LINE)
    with tempfile.TemporaryDirectory() as folder, server.running({"max_connections": str(readers + 10)}) as url:
        lake = Served(folder, graph.load())
        lake.write("gold.dim_date", dates())
        lake.write("gold.dim_product", products())
        lake.write("gold.dim_customer", customers(0, known))
        lake.write("gold.fact_sales", lines(0, size, np.sort(rng.integers(0, DAYS, size)), known))
        lake.release()
        synced(url, lake, f"{size:,} lines, from nothing")
        of_a_day = size // DAYS
        changed = rng.choice(np.arange(size - 7 * of_a_day, size), of_a_day // 2, replace=False) // LINES_OF_AN_ORDER
        first = np.unique(changed) * LINES_OF_AN_ORDER
        old = np.sort(np.concatenate([first + one for one in range(LINES_OF_AN_ORDER)]))
        lake.write("gold.dim_customer", customers(known, known + of_a_day // 20), ("market", "customer_id"))
        unit = ("market", "order_id")
        stored = feed.read(lake.target("gold.fact_sales").address, columns=["order_id", "line_number", "date_key"])
        days = np.array(stored["date_key"].to_pylist())
        places = np.argsort(np.array(stored["order_id"].to_pylist()) * 10 + np.array(stored["line_number"].to_pylist()))
        corrected = lines(0, size, np.zeros(size, int), known, "CANCELLED")
        corrected = {name: pa.array(one).take(pa.array(old)) for name, one in corrected.items()}
        corrected["date_key"] = days[places][old]
        lake.write("gold.fact_sales", corrected, unit)
        new = lines(size + 1, size + 1 + of_a_day, np.full(of_a_day, DAYS), known + of_a_day // 20)
        lake.write("gold.fact_sales", new, unit)
        lake.release()
        ended, seconds = Event(), list[float]()
        asking = [Thread(target=ask, args=(url, ended, seconds)) for _ in range(readers)]
        for one in asking:
            one.start()
        took = synced(url, lake, f"a day of {of_a_day:,} lines, {readers} readers")
        ended.set()
        for one in asking:
            one.join()
        if seconds:
            print(f"{len(seconds):,} questions meanwhile, the longest {max(seconds):.3f} s")  # noqa: T201
    return int(took > ALLOWED)


if __name__ == "__main__":
    sys.exit(main(*(int(one) for one in (*sys.argv[1:], "1000000", "0")[:2])))
