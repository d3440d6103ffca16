"""The gold tables once more, from the raw files with DuckDB: shares no code and no engine with the tables it checks."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import yaml

SQL = Path(__file__).parent
CONF = SQL.parents[1] / "conf"
CONF_FILES = ("areas", "baskets", "events", "markets", "payment_notes", "reporting", "stock_cover", "stores")
STAGING = (  # in the order in which they run
    "staging",
    "staging_deliveries",
    "staging_branches",
    "staging_stores",
    "staging_products",
    "staging_sales",
    "staging_events",
)
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- UTC, and naive like every instant here
FILES = {
    "customers": "*Customers*.json",
    "orders": "*Orders*.csv",
    "deliveries": "*Deliveries*.csv",
    "branches": "*Branches*.csv",
    "branch_transactions": "*Branch Transactions*.csv",
    "conversations": "*Conversations*.json",
    "stock": "*Stock*.csv",
}

OF_NO_MARKET = {
    "api_sales": "api_sales",
    "exchange_rates": "exchange_rates",
    "merchants": "merchants",
    "products": "products",
    "store_exports": "stores",
    "user_events": "events",
}


class Delivery(NamedTuple):
    """Where and when a file lies in the landing; sorts from the oldest delivery to the newest."""

    delivered_at: datetime
    modified_at: datetime
    folder: str
    name: str
    path: Path


class RawFile(NamedTuple):
    """A file's column names and its rows of exact text, in file order."""

    header: list[str]
    rows: list[list[str | None]]


def tables() -> list[str]:
    """The tables that can be recomputed."""
    return sorted({path.stem for path in SQL.glob("*.sql")} - {*STAGING, "numbers"})


def recompute(landing: Path, table: str) -> list[dict[str, object]]:
    """Rows of `table` (one of `tables()`) by key, for all that has been delivered to `landing`."""
    return recompute_all(landing, [table])[table]


def recompute_all(landing: Path, names: Iterable[str]) -> dict[str, list[dict[str, object]]]:
    """As `recompute`, of several tables: the files are read once."""
    with _stage(landing) as connection:
        return {name: _rows_of(connection, name) for name in names}


def types(landing: Path) -> dict[str, dict[str, str]]:
    """DuckDB's type of each column of each of `tables()`."""
    with _stage(landing) as connection:
        described = {name: connection.execute(f"DESCRIBE {_query(name)}").fetchall() for name in tables()}
    return {name: {str(column[0]): str(column[1]) for column in columns} for name, columns in described.items()}


def numbers(landing: Path) -> dict[int, dict[str, object]]:
    """Counts and totals per market; `order_rows` and `delivery_rows` count the newest delivery of each document."""
    with _stage(landing) as connection:
        return {int(str(row.pop("market"))): row for row in _rows_of(connection, "numbers")}


def _rows_of(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, object]]:
    result = connection.execute(_query(query))
    columns = [column[0] for column in result.description or []]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def _query(name: str) -> str:
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


def _stage(landing: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})  # two markets are little, and other work runs beside
    connection.execute(
        "CREATE TABLE raw_rows (kind VARCHAR, market INTEGER, file_number INTEGER,"
        " delivered_at TIMESTAMP, row_number INTEGER, header VARCHAR[], cells VARCHAR[])"
    )
    for kind, market, file_number, (delivered_at, raw) in _deliveries(landing):
        connection.execute(
            "INSERT INTO raw_rows SELECT ?, ?, ?, ?, unnest(range(len(r))), ?::VARCHAR[], unnest(r)"
            " FROM (SELECT ?::VARCHAR[][] AS r)",
            [kind, market, file_number, delivered_at, raw.header, raw.rows],
        )
    for name in STAGING:
        connection.execute(_query(name))
    return connection


def _deliveries(landing: Path) -> Iterator[tuple[str, int | None, int, tuple[datetime | None, RawFile]]]:
    """Kind, market, number and time of the delivery and the file itself, of conf/ and of all that lies in `landing`."""
    conf = {name: _read_conf(name) for name in CONF_FILES}
    for name, rows in conf.items():
        yield name, None, 0, (None, rows)
    at, zone = (conf["markets"].header.index(name) for name in ("market", "time_zone"))
    for market, where in ((int(str(row[at])), ZoneInfo(str(row[zone]))) for row in conf["markets"].rows):
        for kind, pattern in FILES.items():
            for file_number, raw in enumerate(_files(landing / f"market_{market}", pattern, where)):
                yield kind, market, file_number, raw
    for kind, folder in OF_NO_MARKET.items():
        for file_number, raw in enumerate(_files(landing / folder, "*.[cj]s*", ZoneInfo("UTC"))):
            yield kind, None, file_number, raw


def _files(folder: Path, pattern: str, zone: ZoneInfo) -> Iterator[tuple[datetime, RawFile]]:
    """Oldest delivery first: the day decides, then when the file was written, the folder, the file's name."""
    for delivery in sorted(_delivery(folder, path, zone) for path in folder.rglob(pattern)):
        is_json = delivery.path.suffix == ".json"
        yield delivery.delivered_at, _read_json(delivery.path) if is_json else _read_csv(delivery.path)


def _delivery(folder: Path, path: Path, zone: ZoneInfo) -> Delivery:
    """Delivered on the day of the date folder, where `path` has one, else on that on which it was last modified."""
    below = path.relative_to(folder)
    dated = re.fullmatch(r"\d{4}-\d{2}-\d{2}", below.parts[0])
    modified_at = EPOCH + timedelta(microseconds=path.stat().st_mtime_ns // 1000)
    on = below.parts[0] if dated else modified_at.replace(tzinfo=UTC).astimezone(zone).date().isoformat()
    return Delivery(datetime.fromisoformat(on), modified_at, below.parent.as_posix(), path.name, path)


def _read_conf(name: str) -> RawFile:
    """A market's time zone becomes its distance from UTC as well: neither zone ever changes its clock."""
    rows = yaml.safe_load((CONF / f"{name}.yml").read_text(encoding="utf-8"))
    for row in rows:
        if "time_zone" in row:
            offset = ZoneInfo(row["time_zone"]).utcoffset(datetime(2022, 1, 1))  # noqa: DTZ001 -- the zone is given
            row["utc_offset"] = f"{(offset or timedelta()).total_seconds():.0f} seconds"
    return _as_text(rows)


def _read_json(path: Path) -> RawFile:
    """Numbers stay the text they are in the file; a page of an API has its rows under `data`."""
    said = json.loads(path.read_text(encoding="utf-8"), parse_int=str, parse_float=str)
    return _as_text(said["data"] if isinstance(said, dict) else said)


def _as_text(rows: list[dict[str, object]]) -> RawFile:
    """Objects need not all have the same keys."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    texts = [[None if row.get(key) is None else str(row[key]) for key in header] for row in rows]
    return RawFile(header, texts)


def _read_csv(path: Path) -> RawFile:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return RawFile(header, [list(_mend_unquoted_commas(header, row)) for row in rows])


def _mend_unquoted_commas(header: list[str], row: list[str]) -> list[str]:
    """A comma in Notes shifts a delivery row by one cell; on a task's last row Special_Instructions repeats it."""
    mended = row
    for column in ("Notes", "Special_Instructions"):
        if len(mended) > len(header):
            at = header.index(column)
            mended = [*mended[:at], f"{mended[at]},{mended[at + 1]}", *mended[at + 2 :]]
    if len(mended) != len(header):
        message = f"A row has {len(row)} cells under a header of {len(header)}: {row}"
        raise ValueError(message)
    return mended
