"""The real exports from empty, then a day more of them: `.venv/bin/python tests/bench/bench_day.py [EXPORTS]`.

The further day is their 16th of February again, as the 18th: other order and task ids, and 20 customers of each market
with other points. It is taken by a fresh process, and then, by a kept engine, four more days like it.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from lakehouse import engines, graph
from lakehouse.runs.run import Run

EXPORTS = Path(__file__).parents[3] / "shared" / "data"
DAY, NEXT = "2022-02-16", "2022-02-17"
TIMES = ("Order Time", "Pickup Time", "Delivery Time")
KEPT_ROUNDS = 4
Table = tuple[list[str], list[list[str]]]


def main() -> None:
    exports = Path(sys.argv[1]) if len(sys.argv) > 1 else EXPORTS
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as scratch:
        landing, lake = Path(scratch, "landing"), Path(scratch, "lake")
        shutil.copytree(exports, landing)
        say("from empty, fresh process", of_a_process(lake, landing))
        deliver_a_day(exports, landing, 0)
        say("a day more, fresh process", of_a_process(lake, landing))
        tables, engine = graph.load(), engines.start(engines.chosen())
        for number in range(1, KEPT_ROUNDS + 1):
            deliver_a_day(exports, landing, number)
            begin = time.monotonic()
            run = Run(str(lake), str(landing), tables, engine=engine, is_kept=True)
            run.execute(tables)
            say(f"a day more, round {number} of a kept engine", time.monotonic() - begin)


def say(what: str, seconds: float) -> None:
    sys.stdout.write(f"{what}: {seconds:.0f} s\n")
    sys.stdout.flush()


def of_a_process(lake: Path, landing: Path) -> float:
    command = [str(Path(sys.executable).with_name("lakehouse")), "run", "--lake", str(lake), "--landing", str(landing)]
    begin = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - begin


def deliver_a_day(exports: Path, landing: Path, number: int) -> None:
    """Day `number` after the exports' end."""
    for market in (1, 2):
        source, folder = exports / f"market_{market}", landing / f"market_{market}" / f"2022-02-{20 + number}"
        folder.mkdir(parents=True)
        header, rows = read(source / f"Market {market} Orders.csv")
        orders = [dict(zip(header, row, strict=True)) for row in rows]
        orders = [order for order in orders if order["Order Time"].startswith(DAY)]
        ids = {order["Order ID"] for order in orders}
        for order in orders:
            order["Order ID"] = f"{5 + number}{order['Order ID']}"
            for name in TIMES:
                order[name] = order[name].replace(NEXT, f"2022-02-{19 + number}").replace(DAY, f"2022-02-{18 + number}")
        write(folder / "Orders day.csv", (header, [list(order.values()) for order in orders]))
        header, rows = read(source / f"Market {market} Deliveries.csv")
        tasks = [row for row in rows if len(row) == len(header) and order_of(row) in ids]
        for row in tasks:
            row[0], row[1] = f"{900 + number}{row[0]}", row[1].replace("YR-", f"YR-{5 + number}")
        write(folder / "Deliveries day.csv", (header, tasks))
        customers = json.loads((source / f"Market {market} Customers.json").read_text(encoding="utf-8"))[:20]
        for customer in customers:
            customer["Loyalty Points"] = (customer["Loyalty Points"] or 0) + 7 + number
        (folder / f"Market {market} Customers.json").write_text(json.dumps(customers), encoding="utf-8")


def order_of(task: list[str]) -> str | None:
    found = re.match(r"YR-(\d+),0", task[1])
    return found[1] if found else None


def read(path: Path) -> Table:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def write(path: Path, table: Table) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([table[0], *table[1]])


if __name__ == "__main__":
    main()
