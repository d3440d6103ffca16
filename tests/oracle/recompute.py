"""The gold tables once more, from the raw files with DuckDB: shares no code and no engine with the tables it checks."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb

SQL = Path(__file__).parent
MARKETS = (1, 2)
FILES = {"customers": "*Customers*.json", "orders": "*Orders*.csv", "deliveries": "*Deliveries*.csv"}


class RawFile(NamedTuple):
    """A file's column names and its rows of exact text, in file order."""

    header: list[str]
    rows: list[list[str | None]]


def recompute(landing: Path, table: str) -> list[dict[str, object]]:
    """Rows of `table` (`customer_metrics`, `daily_sales`) by key, for all that has been delivered to `landing`."""
    return _rows_of(_stage(landing), table)


def numbers(landing: Path) -> dict[int, dict[str, object]]:
    """Counts and totals per market; `order_rows` and `delivery_rows` count the newest delivery of each document."""
    return {int(str(row.pop("market"))): row for row in _rows_of(_stage(landing), "numbers")}


def _rows_of(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, object]]:
    with connection:
        result = connection.execute((SQL / f"{query}.sql").read_text(encoding="utf-8"))
        columns = [column[0] for column in result.description or []]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def _stage(landing: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE raw_rows (kind VARCHAR, market INTEGER, file_number INTEGER,"
        " row_number INTEGER, header VARCHAR[], cells VARCHAR[])"
    )
    for kind in FILES:
        for market in MARKETS:
            for file_number, raw in enumerate(_files(landing / f"market_{market}", kind)):
                connection.execute(
                    "INSERT INTO raw_rows SELECT ?, ?, ?, unnest(range(len(r))), ?::VARCHAR[], unnest(r)"
                    " FROM (SELECT ?::VARCHAR[][] AS r)",
                    [kind, market, file_number, raw.header, raw.rows],
                )
    connection.execute((SQL / "staging.sql").read_text(encoding="utf-8"))
    return connection


def _files(folder: Path, kind: str) -> Iterator[RawFile]:
    """Oldest delivery first: the date folder decides, then the file's name."""
    paths = sorted(folder.rglob(FILES[kind]), key=lambda path: (path.parent.relative_to(folder).as_posix(), path.name))
    for path in paths:
        yield _read_json(path) if path.suffix == ".json" else _read_csv(path)


def _read_json(path: Path) -> RawFile:
    """Numbers stay the text they are in the file; only the customer's id is needed."""
    customers = json.loads(path.read_text(encoding="utf-8"), parse_int=str, parse_float=str)
    return RawFile(["Customer ID"], [[customer["Customer ID"]] for customer in customers])


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
