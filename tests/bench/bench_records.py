"""How fast the readers are, beside pyarrow's and Python's own: `.venv/bin/python tests/bench/bench_records.py [rows]`.

Seconds of the processor, so that neighbours on the machine do not matter. Files of the shape of the orders (45 columns,
about 180 bytes a row), made in memory: plain, two cells of each row quoted, every cell quoted, one broken row in a
thousand, every row broken, UTF-16, gzip, and JSON lines. One line per file and reader.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import csv as arrow_csv

sys.path.insert(0, str(Path(__file__).parents[2]))

from lakehouse.readers import csv_records, json_records
from lakehouse.readers.records import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = 45


def a_row(number: int) -> list[str]:
    few = [
        str(number),
        "2022-01-03T10:15:00.000Z",
        "COMPLETED",
        f"{number % 997}.50",
        "Sugar 2KG",
        "Nairobi",
        "₦ 104250.00",
    ]
    return few + ["-", "", "0", f"{number % 13}.00"] * 9 + ["Pay Later", "x"]


def csv_file(rows: int, quoted: int, broken: int = 0) -> bytes:
    lines = [",".join(f"Column {place}" for place in range(COLUMNS))]
    for number in range(rows):
        cells = [f'"{cell}"' if place < quoted else cell for place, cell in enumerate(a_row(number))]
        lines.append(",".join(cells[:-1] if broken and number % broken == 0 else cells))
    return "\r\n".join(lines).encode()


def json_file(rows: int, *, nested: bool) -> bytes:
    objects = ({f"Column {place}": cell for place, cell in enumerate(a_row(number))} for number in range(rows))
    more = {"items": [{"sku": "A", "quantity": 1}]} if nested else {}
    return "\n".join(json.dumps(one | more) for one in objects).encode()


def measure(name: str, data: bytes, read: Callable[[], int]) -> None:
    begin = time.process_time()
    rows = read()
    seconds = time.process_time() - begin
    print(f"{name:42} {rows:8,} rows {rows / seconds:10,.0f} rows/s {len(data) / 1e6 / seconds:7.1f} MB/s")  # noqa: T201


def measure_csv(name: str, data: bytes, layout: Layout | None = None) -> None:
    layout = layout or Layout("csv")
    header = csv_records.csv_header(data[:262_144], layout)

    def ours() -> int:
        return sum(batch.rows for batch in csv_records.csv_batches(io.BytesIO(data), layout, header))

    measure(f"{name}: csv_batches", data, ours)
    if layout == Layout("csv"):
        measure(
            f"{name}: read_csv", data, lambda: sum(1 for _ in csv_records.read_csv(io.BytesIO(data), layout, header))
        )
        measure(f"{name}: csv.reader", data, lambda: sum(1 for _ in csv.reader(io.StringIO(data.decode()))) - 1)
        measure(f"{name}: pyarrow.csv", data, lambda: read_by_arrow(data, header))


def read_by_arrow(data: bytes, header: tuple[str, ...]) -> int:
    convert = arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
    parse = arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip")
    table: pa.Table = arrow_csv.read_csv(io.BytesIO(data), arrow_csv.ReadOptions(use_threads=False), parse, convert)
    return len(table)


def measure_json(name: str, data: bytes) -> None:
    layout = Layout("json")
    keys = json_records.inspect_json(io.BytesIO(data), layout)[0]
    names = dict(zip(keys, keys, strict=True))
    measure(f"{name}: inspect_json", data, lambda: json_records.inspect_json(io.BytesIO(data), layout)[2])
    measure(
        f"{name}: json_batches",
        data,
        lambda: sum(b.rows for b in json_records.json_batches(io.BytesIO(data), layout, names)),
    )
    measure(f"{name}: json.loads", data, lambda: sum(1 for line in data.split(b"\n") if json.loads(line)))


def main(rows: int) -> None:
    plain = csv_file(rows, 0)
    measure_csv("plain", plain)
    measure_csv("two cells quoted", csv_file(rows, 2))
    measure_csv("all cells quoted", csv_file(rows, COLUMNS))
    measure_csv("one row in 1,000 broken", csv_file(rows, 0, 1000))
    measure_csv("every row broken", csv_file(rows // 4, 0, 1))
    measure_csv("UTF-16", plain.decode().encode("utf-16"), Layout("csv", encoding="utf-16-le"))
    measure_csv("gzip", gzip.compress(plain, 1), Layout("csv", "gzip"))
    measure_json("JSON lines", json_file(rows // 4, nested=False))
    measure_json("JSON lines, nested", json_file(rows // 4, nested=True))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
