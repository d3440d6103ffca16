"""Files that are small on the way and huge when read, or made to be slow: bounded memory, and judged in seconds.

Each file is looked at by landing and then read to its end, as an engine does it, by a process of its own: this
module run as a program. What it says of its own peak of memory is what the system says.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse.graph import HOME
from lakehouse.intake.deliveries import landing
from lakehouse.intake.records.ledger import Ledger
from lakehouse.readers import csv_records, json_records, records
from lakehouse.store import storage
from tests import promises

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Delivery
    from lakehouse.readers.records import Batch

PROCESS = Path("/proc/self/status")
MB = 1 << 20
MOST_MEMORY = 260 * MB  # at most 226; 275 where what is unpacked were held once, and decoded
MOST_SECONDS = 60
UNPACKED = 100 * MB


@dataclass(frozen=True)
class Bomb:
    """`parts`: the bytes, piece by piece. `rows`: how many rows there are by their problem, "" for none."""

    name: str
    file: str
    parts: Callable[[], Iterable[bytes]]
    status: str = "claimed"
    reason: str = ""
    rows: tuple[tuple[str, int], ...] = ()
    most_memory: int = MOST_MEMORY


def times(piece: bytes, size: int, begin: bytes = b"", end: bytes = b"") -> Iterator[bytes]:
    """The piece again and again until it makes so many bytes."""
    block = piece * max(1, MB // len(piece))
    yield begin
    for _ in range(size // len(block)):
        yield block
    yield end


def texts(*parts: str) -> Callable[[], Iterable[bytes]]:
    return lambda: [part.encode() for part in parts]


A_ROW = b"7," + b"A" * 1021 + b"\n"  # 1 KiB
A_LONG_ROW = b"7," + b"A" * (64 * 1024 - 3) + b"\n"  # gzip makes a thousandth only of long repetitions
AN_OBJECT = b'{"order_id": 7, "product": "' + b"A" * 993 + b'"}\n'  # 1 KiB
A_LONG_OBJECT = b'{"order_id": 7, "product": "' + b"A" * (64 * 1024 - 31) + b'"}\n'
COLUMNS = [f"column_{place}" for place in range(10_000)]
DEEP = 100_000
BOMBS = (
    Bomb(
        "gzip_of_rows",
        "Bomb.csv.gz",
        lambda: times(A_LONG_ROW, UNPACKED, b"order_id,product\n"),
        rows=(("", UNPACKED // len(A_LONG_ROW)),),
    ),
    Bomb(
        "gzip_of_one_row_without_end",
        "Bomb.csv.gz",
        lambda: times(b"A", UNPACKED, b"order_id,product\n7,B\n8,", b"\n9,C\n"),
        rows=(("", 2), ("row_is_too_large", 1)),
    ),
    Bomb(
        "gzip_of_a_header_without_end",
        "Bomb.csv.gz",
        lambda: times(b"A", UNPACKED),
        status="unreadable",
        reason="has no header: its first row has no end within 256 KB",
    ),
    Bomb(
        "gzip_of_line_breaks",
        "Bomb.csv.gz",
        lambda: times(b"\n", UNPACKED // 16, b"order_id,product\n", b"7,B\n"),
        rows=(("", 1),),
        most_memory=160 * MB,  # 130, and 50 more where each line were remembered
    ),
    Bomb(
        "gzip_of_objects",
        "Bomb.json.gz",
        lambda: times(A_LONG_OBJECT, UNPACKED),
        rows=(("", UNPACKED // len(A_LONG_OBJECT)),),
    ),
    Bomb(
        "gzip_of_one_text_without_end",
        "Bomb.json.gz",
        lambda: times(b"A", UNPACKED, b'{"order_id": 7}\n{"order_id": "', b'"}\n{"order_id": 9}\n'),
        rows=(("", 2), ("row_is_too_large", 1)),
    ),
    Bomb(
        "gzip_of_blanks",
        "Bomb.json.gz",
        lambda: times(b" ", UNPACKED, b'[{"order_id": 7},', b'{"order_id": 8}]'),
        rows=(("", 2),),
    ),
    Bomb(
        "gzip_of_digits",
        "Bomb.json.gz",
        lambda: times(b"1", UNPACKED // 4, b'[{"order_id": 7}, {"order_id": ', b"}]"),
        rows=(("", 1), ("row_is_too_large", 1)),
    ),
    Bomb("field_of_10_mb", "Bomb.csv", texts("order_id,product\n7,", "A" * 10 * MB, "\n8,B\n"), rows=(("", 2),)),
    Bomb(
        "quoted_field_of_10_mb_of_lines",
        "Bomb.csv",
        texts('order_id,product\n7,"', "A\n" * 5 * MB, '"\n8,B\n'),
        rows=(("", 2),),
    ),
    Bomb(
        "json_field_of_10_mb",
        "Bomb.json",
        texts('[{"order_id": 7, "product": "', "A" * 10 * MB, '"}, {"order_id": 8}]'),
        rows=(("", 2),),
    ),
    Bomb(
        "10_000_columns",
        "Bomb.csv",
        texts(",".join(COLUMNS), "\n", ",".join("1" for _ in COLUMNS), "\n"),
        status="unreadable",
        reason="has 10,000 columns; at most 1,000 are read",
    ),
    Bomb(
        "10_000_keys",
        "Bomb.json",
        texts(json.dumps([dict.fromkeys(COLUMNS, 1)])),
        status="unreadable",
        reason="more than 1,000 different keys",
    ),
    Bomb(
        "10_000_keys_in_as_many_objects",
        "Bomb.json",
        texts(json.dumps([{name: 1} for name in COLUMNS])),
        status="unreadable",
        reason="more than 1,000 different keys",
    ),
    Bomb(
        "100_000_objects_in_each_other",
        "Bomb.json",
        texts('[{"order_id": 7},\n', '{"a":' * DEEP, "1", "}" * DEEP, ',\n{"order_id": 8}]'),
        rows=(("", 2), ("object_is_too_deep", 1)),
    ),
    Bomb(
        "100_000_arrays_in_each_other",
        "Bomb.json",
        texts('{"order_id": 7}\n{"a": ', "[" * DEEP, "]" * DEEP, '}\n{"order_id": 8}\n'),
        rows=(("", 2), ("object_is_too_deep", 1)),
    ),
    Bomb(
        "100_000_arrays_around_everything",
        "Bomb.json",
        texts("[" * DEEP, "]" * DEEP),
        status="unreadable",
        reason="has no object",
    ),
    Bomb(
        "100_000_arrays_that_are_never_closed",
        "Bomb.json",
        texts("[" * DEEP),
        status="waiting",
        reason="is a JSON array without its end",
    ),
    Bomb(
        "quote_opened_in_the_first_row_of_50_mb",
        "Bomb.csv",
        lambda: times(A_ROW, 50 * MB, b'order_id,product\n"6,A\n'),
        rows=(("", 50 * 1024), ("row_has_an_open_quote", 1)),
    ),
    Bomb(
        "quote_opened_in_the_header_of_50_mb",
        "Bomb.csv",
        lambda: times(A_ROW, 50 * MB, b'"order_id,product\n'),
        status="unreadable",
        reason="has no header",
    ),
    Bomb(
        "quote_opened_in_every_row_of_50_mb",
        "Bomb.csv",
        lambda: times(b'7,"' + A_ROW[3:], 50 * MB, b"order_id,product\n"),
        rows=(("row_has_an_open_quote", 50 * 1024),),
    ),
    Bomb(
        "json_quote_opened_in_the_first_line_of_50_mb",
        "Bomb.json",
        lambda: times(AN_OBJECT, 50 * MB, b'{"order_id": "6}\n'),
        rows=(("", 50 * 1024), ("object_is_not_json", 1)),
    ),
)


@pytest.mark.slow
@pytest.mark.skipif(not PROCESS.exists(), reason="needs Linux, which says a process's peak of memory")
@pytest.mark.parametrize("bomb", BOMBS, ids=[bomb.name for bomb in BOMBS])
def test_a_bomb_is_judged_in_seconds_and_in_little_memory(bomb: Bomb, tmp_path: Path) -> None:
    write(tmp_path / "market_1" / bomb.file, bomb.parts())
    program = [sys.executable, "-m", "tests.test_bombs", str(tmp_path)]
    done = subprocess.run(program, cwd=HOME, capture_output=True, text=True, timeout=10 * MOST_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["status"], found["rows"]) == (bomb.status, dict(bomb.rows)), found["reason"]
    assert bomb.reason in found["reason"]
    assert found["seconds"] < MOST_SECONDS
    assert found["peak"] < bomb.most_memory


def write(path: Path, parts: Iterable[bytes]) -> None:
    path.parent.mkdir()
    is_packed = path.suffix == ".gz"
    with gzip.open(path, "wb", compresslevel=9) if is_packed else path.open("wb") as file:
        size = sum(file.write(part) for part in parts)
    if is_packed:
        assert size / path.stat().st_size > 750  # gzip never gives more than 1030


# The program that looks at one file and reads it


def main(root: str) -> dict[str, Any]:
    (entry,) = landing.find(root, [a_table("csv"), a_table("json")], Ledger()).entries
    rows: Counter[str] = Counter()
    for batch in read(root, entry.delivery) if entry.status == "claimed" else ():
        rows.update(problem or "" for problem in batch.problem.to_pylist())
    peak = next(line for line in PROCESS.read_text().splitlines() if line.startswith("VmHWM"))
    return {
        "status": entry.status,
        "reason": entry.reason,
        "rows": rows,
        "seconds": time.process_time(),  # whatever else the machine does
        "peak": int(peak.split()[1]) * 1024,
    }


def a_table(kind: str) -> Table:
    where = {"files": [f"market_{{market:int}}/*.{kind}"], "format": kind}
    return promises.a_table(f"bronze.{kind}", "append", "landing", source=where, columns={"order_id": "string"})


def read(root: str, delivery: Delivery) -> Iterator[Batch]:
    assert delivery.layout is not None
    names = dict(zip(delivery.header, delivery.columns.values(), strict=True))
    with storage.open_file(root, delivery.path) as stream:
        if delivery.layout.format == records.CSV:
            yield from csv_records.csv_batches(stream, delivery.layout, delivery.header)
        else:
            yield from json_records.json_batches(stream, delivery.layout, names)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))  # noqa: T201  the answer
