"""`lakehouse demo`: from nothing to gold in a few seconds, then a day later, then again with nothing new."""

from __future__ import annotations

import csv
import os
import shutil
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from jobs import printed
from jobs.places import engine_name
from jobs.recovery import published
from jobs.runs import ran
from jobs.samples import daily
from jobs.serving import kept_out
from lakehouse import engines, graph
from lakehouse.runs.run import Run
from lakehouse.serving.questions import sql
from lakehouse.sources import due
from lakehouse.store import minio, storage

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from jobs.demo.shop import Shop
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

LINES, DAYS = 6_000, 8
RATES, WITHOUT_RATE = {"KES": "0.00882", "NGN": "0.00241"}, 2
FOLDER = graph.HOME / ".lake" / "demo"
PREFIX = f"s3://{minio.BUCKET}/demo"
QUESTIONS = {
    "Revenue by day, each market in its own currency": (
        "select market, order_date, currency, orders, completed_orders, revenue, placed_value "
        "from gold.daily_sales order by order_date desc, market limit 6"
    ),
    "New and repeat business, by week": (
        "select market, week_start, currency, revenue, new_revenue, repeat_revenue, average_order_value "
        "from gold.weekly_sales order by market, week_start"
    ),
    "Both markets in one currency; for one day no rate was delivered": (
        "select order_date, sum(reporting_revenue) as revenue, any_value(reporting_currency) as currency, "
        "count_if(is_rate_missing) as markets_without_rate from gold.market_comparison "
        "group by order_date order by order_date limit 4"
    ),
    "Which customers to call": (
        "select market, segment, count(*) as customers, sum(revenue) as revenue, min(recency_days) as days_silent "
        "from gold.customer_rfm where segment in ('champions', 'cannot_lose', 'at_risk') group by all order by all"
    ),
    "What the day later and the late file changed: numbers before and after": (
        "select market, order_date, before.orders as orders_before, after.orders as orders_after, "
        "before.placed_value as value_before, after.placed_value as value_after "
        "from gold.daily_sales version as of 0 before join gold.daily_sales after using (market, order_date) "
        "where before.placed_value <> after.placed_value order by 1, 2"
    ),
}
OF_POSTGRES = {
    "The release that it holds": "select release, published_at, synced_at from gold.release",
    "By weekday, Monday first, through the star": (
        "select f.market, d.weekday, f.currency, count(distinct f.order_id) as orders, "
        "sum(f.line_total) as gross_revenue "
        "from gold.fact_sales f join gold.dim_date d using (date_key) where f.is_completed "
        "group by 1, 2, 3 order by 1, 2 limit 7"
    ),
    "The published view": (
        'select "Customer_ID", "Total_Order_Amount", "Order_Count", start_timestamp, end_timestamp, market, currency '
        "from gold.ecommerce order by 2 desc nulls last limit 3"
    ),
}


OF_SOURCES = {
    "Whose word counts: what the exports and the API both have is taken from the exports": (
        "select market, taken_from, is_in_both, currency, count(distinct order_id) as orders, count(*) as lines, "
        "sum(line_total) as gross_value from silver.sold_lines group by all order by all"
    ),
    "What merchants of the shop's database owe": "select * from gold.merchants order by 1, 2 limit 4",
}


def demo(messages: Console, *, on_minio: bool, postgres: str = "", shop: Shop | None = None) -> None:
    """Fresh sample exports and a fresh lake, in .lake/demo or on MinIO, which is left running.

    `postgres`: the URL of one that follows the releases. `shop`: what else is fetched from.
    """
    folder = FOLDER.with_name("demo_on_minio") if on_minio else FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    exports = folder / "landing"
    lake, landing = (str(folder / "tables"), str(exports))
    if on_minio:
        lake, landing = _on_minio(messages)
    tables = graph.load()

    messages.rule(f"1. Exports of {DAYS - 1} days from two markets")
    written = daily.generate(exports, lines=LINES, days=DAYS, deliver=range(DAYS - 1))
    rates = _exchange_rates(written.files[0])
    if shop:
        from jobs.demo.shop import zipped  # noqa: PLC0415  with what the demo alone does not need

        shop.open(written.files, DAYS - 1)
        rates = zipped(rates)
    files = [*written.files, rates]
    _delivered(files, exports, landing)
    _fetch(messages, landing, tables, shop)
    engine = _run(messages, Run(lake, landing, tables, engine=engine_name(None)))
    _serve(messages, postgres, lake)

    messages.rule("2. A day later: changes, a late file, a mistake, and half a file")
    written = daily.generate(exports, lines=LINES, days=DAYS, deliver=[DAYS - 1])
    late = daily.late_file(exports, lines=LINES, days=DAYS)
    orders = next(file for file in written.files if "Orders" in file.name)
    files = [*written.files, *late.files, typed_by_hand(orders), _half_written(orders)]
    _delivered(files, exports, landing)
    if shop:
        shop.a_day_later()
    _fetch(messages, landing, tables, shop)
    _run(messages, Run(lake, landing, tables, engine=engine))
    _serve(messages, postgres, lake)

    messages.rule("3. Again, with nothing new")
    _run(messages, Run(lake, landing, tables, engine=engine))
    _serve(messages, postgres, lake)

    messages.rule("4. Gold")
    reader = engines.reader(engine_name(None))
    for title, question in (QUESTIONS | (OF_SOURCES if shop else {})).items():
        messages.print(f"\n[bold]{title}[/]")
        answer = sql.query(reader, lake, question)
        printed.grid(answer.columns, answer.texts(), messages)
    messages.print("\n[bold]What is in quarantine, and why[/]")
    kept_out.rejected(messages, storage.normalise(lake), tables["silver.order_lines"], 1, storage.normalise(landing))
    if postgres:
        _ask_postgres(messages, postgres)
    _what_next(messages, lake, on_minio=on_minio, has_sources=shop is not None)


def _exchange_rates(export: Path) -> Path:
    """Rates of all days but the third, delivered beside the markets' folders on the day of this export."""
    first = date.fromisoformat(export.parent.name)
    days = [first + timedelta(days=number) for number in range(DAYS) if number != WITHOUT_RATE]
    path = export.parents[2] / "exchange_rates" / first.isoformat() / "rates.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["rate_date", "currency", "reporting_currency", "rate"])
        writer.writerows([day, currency, "USD", rate] for day in days for currency, rate in RATES.items())
    return path


def typed_by_hand(orders: Path) -> Path:
    """An order delivered beside the day's export: the quantity is written as a word, and all else is right."""
    with orders.open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    total, cost = (str(2 * Decimal(first[of])) for of in ("Unit Price", "Cost Price"))
    first |= {"Order ID": "99000001", "Quantity": "two", "Total Price": total, "Total Cost Price": cost}
    first |= {"Sub Total": total, "Order Total": total, "Payment Method": "CASH", "Redeemed Loyalty Points": "0"}
    path = orders.with_name("Orders typed by hand.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, first)
        writer.writeheader()
        writer.writerow(first)
    return path


def _half_written(orders: Path) -> Path:
    """What a transfer that is not done looks like: it waits, and no half order gets in."""
    whole = orders.read_bytes()
    path = orders.with_name("Orders still arriving.csv")
    path.write_bytes(whole[: len(whole) // 2])
    return path


def _run(messages: Console, run: Run) -> Engine:
    with ran.run(messages, run, run.tables) as say:
        report = run.execute(run.tables, say)
    ran.summary(messages, report)
    published.after(messages, run, report)
    return run.started()


def _fetch(messages: Console, landing: str, tables: dict[str, Table], shop: Shop | None) -> None:
    """All that the shop has, at once: `lakehouse run` waits until a source is due."""
    if shop:
        from jobs.runs import fetched  # noqa: PLC0415  as above

        fetched.fetch(messages, landing, due.fetched_ones(tables))


def _serve(messages: Console, postgres: str, lake: str) -> None:
    """Bring the release that a run made to PostgreSQL, where there is one."""
    if postgres:
        from jobs.serving.postgres import into_postgres  # noqa: PLC0415  with psycopg, which the demo alone does not need

        into_postgres(messages, postgres, storage.normalise(lake))


def _ask_postgres(messages: Console, postgres: str) -> None:
    from lakehouse.serving.postgres.connection import connected  # noqa: PLC0415  as above

    messages.rule("5. The same in PostgreSQL")
    with connected(postgres) as connection:
        for title, question in OF_POSTGRES.items():
            messages.print(f"\n[bold]{title}[/]")
            answer = connection.execute(question)
            columns = [one.name for one in answer.description or ()]
            printed.grid(columns, (tuple(None if one is None else str(one) for one in row) for row in answer), messages)


def _delivered(files: list[Path], exports: Path, landing: str) -> None:
    """Bring the files to landing, where that is not the folder they were written to."""
    if storage.is_s3(landing):
        bucket, prefix = minio.BUCKET, landing.removeprefix(f"s3://{minio.BUCKET}/")
        for file in files:
            storage.client().upload_file(str(file), bucket, f"{prefix}/{file.relative_to(exports).as_posix()}")


def _on_minio(messages: Console) -> tuple[str, str]:
    """Start it, become its lakehouse user, and clear away the last demo."""
    server = minio.start(minio.FOLDER, say=messages.print)
    minio.ensure_bucket(server)
    _, writer = minio.reader_and_writer(server)
    os.environ.update(writer.environment())
    keys = [{"Key": f"demo/{file.path}"} for file in storage.list_files(PREFIX)]
    for start in range(0, len(keys), 1000):
        storage.client().delete_objects(Bucket=minio.BUCKET, Delete={"Objects": keys[start : start + 1000]})
    messages.print(f"MinIO is running at {server.endpoint}; this demo is in {PREFIX}")
    return f"{PREFIX}/tables", f"{PREFIX}/landing"


def _what_next(messages: Console, lake: str, *, on_minio: bool, has_sources: bool) -> None:
    messages.rule("What next")
    if on_minio:
        messages.print("MinIO stays running (stop it with `lakehouse minio stop`). To ask this lake from this shell:")
        messages.print(
            f'  eval "$(lakehouse minio status --env)"; export LAKEHOUSE_ROOT={lake} LAKEHOUSE_LANDING={PREFIX}/landing'
        )
    else:
        messages.print(f"This lake is a local folder, {lake}; `lakehouse demo --minio` does the same on S3.")
    messages.print("  lakehouse status")
    messages.print("  lakehouse docs                         [dim]# docs.html: what every table and column means[/]")
    messages.print('  lakehouse sql "describe table gold.customer_metrics"')
    messages.print("  lakehouse rejected silver.order_lines")
    messages.print("  lakehouse releases; lakehouse diff 1 2  [dim]# what the second day changed, and why[/]")
    messages.print("  lakehouse alerts                       [dim]# what is wrong; docs/how-to/alerts.md[/]")
    if has_sources:
        messages.print("  lakehouse fetch --dry-run              [dim]# what would be fetched, and what it needs[/]")
        messages.print("  lakehouse sql \"select * from ops.files where path like 'fetched/%'\"")
    messages.print("  LAKEHOUSE_ROOT=/data/lake LAKEHOUSE_LANDING=/data/exports lakehouse run      [dim]# your own[/]")
