"""Many small files against one large one: `.venv/bin/python tests/bench/bench_small_files.py [files] [rows]`.

The same order rows (by default 10,000 files of 20 rows) as many files and as one, each from a fresh landing to silver
and gold in a fresh lake, in one process whose engine has run once before. Issue 4 allows three times the time. Each
line: what was loaded, its seconds, and the seconds of each table; then the ratio.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from lakehouse import engines, graph
from lakehouse.runs.run import Run

if TYPE_CHECKING:
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

ALLOWED = 3
FOLDER = "market_1/2022-01-03"
CELLS = {
    "Order ID": "",
    "Order Status": "COMPLETED",
    "Category Name": "Flour & Sugar",
    "SKU": "",
    "Quantity": "2",
    "Unit Price": "10.5",
    "Cost Price": "8",
    "Total Cost Price": "16",
    "Total Price": "21",
    "Order Total": "42",
    "Sub Total": "42",
    "Payment Method": "CASH",
    "Currency Symbol": "KSh",
    "Customer ID": "42",
    "Description": "null",
    "Order Time": "2022-01-03T10:15:00.000Z",
    "Pickup Time": "2022-01-03T10:16:00.000Z",
    "Delivery Time": "2022-01-04T08:00:00.000Z",
    "Ratings": "",
    "Reviews": "",
    "Redeemed Loyalty Points": "-",
    "Consumed Loyalty Points": "-",
}


def a_row(number: int) -> str:
    """Every order has two lines."""
    return ",".join((CELLS | {"Order ID": str(number // 2 + 1), "SKU": f"KK{number % 2}"}).values())


def write(landing: Path, files: int, rows: int) -> None:
    folder = landing / FOLDER
    folder.mkdir(parents=True)
    for file in range(files):
        lines = [",".join(CELLS), *(a_row(number) for number in range(file * rows, (file + 1) * rows))]
        (folder / f"Orders {file}.csv").write_bytes(("\r\n".join(lines) + "\r\n").encode())


def load(folder: Path, engine: Engine, files: int, rows: int) -> float:
    write(folder / "landing", files, rows)
    tables = wanted()
    begin = time.monotonic()
    done = Run(str(folder / "lake"), str(folder / "landing"), tables, engine=engine).execute(tables).done
    seconds = time.monotonic() - begin
    kept = next(sum(one.counts["rows"].values()) for one in done if one.decision.table == "silver.order_lines")
    assert kept == files * rows, kept
    of_tables = ", ".join(f"{one.decision.table} {one.seconds:.1f}" for one in done)
    print(f"{files:>6,} files of {rows:>7,} rows: {seconds:6.1f} s ({of_tables})", flush=True)  # noqa: T201
    return seconds


def wanted() -> dict[str, Table]:
    """The orders, to gold."""
    return graph.selected(graph.load(), ["gold.daily_sales"])


def main(files: int, rows: int) -> None:
    engine = engines.start(engines.chosen())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        load(folder / "warm", engine, 2, rows)
        one = load(folder / "one", engine, 1, files * rows)
        many = load(folder / "many", engine, files, rows)
    print(f"ratio {many / one:.2f}, allowed {ALLOWED}")  # noqa: T201
    engine.stop()


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    main(*(numbers or [10_000]), *([20] if len(numbers) < 2 else []))
