"""The real exports from empty, a day more, nothing new, a question: `.venv/bin/python tests/bench/bench_day.py`.

    --engines native spark     native without more words
    --exports FOLDER           others than those of ../shared/data

The further day is their 16th of February again, as the 18th: other order and task ids, and 20 customers of each market
with other points. It is taken by a fresh process, and then, by a kept engine, four more days like it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from lakehouse import engines, graph
from lakehouse.intake.records.ledger import Ledger
from lakehouse.runs.run import Run
from tests.bench.watch import watch

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPORTS = Path(__file__).parents[3] / "shared" / "data"
DAY, NEXT = "2022-02-16", "2022-02-17"
TIMES = ("Order Time", "Pickup Time", "Delivery Time")
KEPT_ROUNDS = 4
QUESTION = "select count(*) from gold.daily_sales"
Table = tuple[list[str], list[list[str]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", default=[engines.NATIVE], choices=engines.NAMES)
    parser.add_argument("--exports", type=Path, default=EXPORTS)
    parser.add_argument("--kept", type=Path, nargs=2, help=argparse.SUPPRESS)  # the process that keeps its engine
    options = parser.parse_args()
    if options.kept:
        keep(options.exports, *options.kept)
        return
    for engine in options.engines:
        with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as scratch:
            measure(engine, options.exports, Path(scratch, "landing"), Path(scratch, "lake"))


def measure(engine: str, exports: Path, landing: Path, lake: Path) -> None:
    env = os.environ | {"LAKEHOUSE_ENGINE": engine}
    program, places = str(Path(sys.executable).with_name("lakehouse")), ["--lake", str(lake), "--landing", str(landing)]
    run = [program, "run", *places]
    shutil.copytree(exports, landing)
    say(engine, "from empty, fresh process", run, env)
    deliver_a_day(exports, landing, 0)
    say(engine, "a day more, fresh process", run, env)
    say(engine, "nothing new, fresh process", run, env)
    say(engine, "a question, fresh process", [program, "sql", QUESTION, "--lake", str(lake)], env)
    module = [sys.executable, "-m", "tests.bench.bench_day", "--exports", str(exports)]
    _, answer, _ = watch([*module, "--kept", str(landing), str(lake)], folder=graph.HOME, env=env)
    sys.stdout.write("".join(f"{engine}: {line}\n" for line in answer.splitlines()))


def say(engine: str, what: str, command: list[str], env: Mapping[str, str]) -> None:
    cost, _, _ = watch(command, folder=graph.HOME, env=env)
    facts = f"{cost.seconds:.2f} s, of the processor {cost.cpu_seconds:.1f} s, peak {cost.peak / 2**30:.2f} GiB"
    sys.stdout.write(f"{engine}: {what}: {facts}\n")
    sys.stdout.flush()


def keep(exports: Path, landing: Path, lake: Path) -> None:
    """Further days by one process that keeps its engine, as `lakehouse run --every` does."""
    tables, engine, known = graph.load(), engines.start(engines.chosen()), Ledger()
    for number in range(1, KEPT_ROUNDS + 1):
        deliver_a_day(exports, landing, number)
        begin = time.monotonic(), time.process_time()
        run = Run(str(lake), str(landing), tables, engine=engine, is_kept=True)
        run.ledger = known
        run.execute(tables)
        known = run.ledger
        seconds, cpu = time.monotonic() - begin[0], time.process_time() - begin[1]
        print(f"a day more, round {number} of a kept engine: {seconds:.2f} s, of this process {cpu:.1f} s")  # noqa: T201


def deliver_a_day(exports: Path, landing: Path, number: int) -> None:
    """Day `number` after the exports' end."""
    for market in (1, 2):
        source, folder = exports / f"market_{market}", landing / f"market_{market}" / f"2022-02-{20 + number}"
        folder.mkdir(parents=True, exist_ok=True)
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
