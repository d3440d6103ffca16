"""The same dated files end as the same tables, however they arrive: at once, one by one, shuffled, twice, newest first.

Which delivery is newer is said by date, modification time, path and content, so a file keeps its modification time in
every history. `_file` and `_row` of silver may differ: a row that is delivered again unchanged stays where it was found
first. The files are a toy's, in which every kind of trouble is one line, and small exports under the real contracts.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest

from jobs.samples import branches, daily, stores
from lakehouse import graph
from lakehouse.delta.commits import ops
from lakehouse.intake.records import ledger
from lakehouse.runs.run import Run
from lakehouse.writes.lake import Lake
from tests.real import OF_EACH_KIND
from tests.toy import HEADER, Toy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

    Tables = dict[str, Table]
    Content = dict[str, list[str]]
    Batches = Sequence[Sequence[Path]]
    Arrange = Callable[[Sequence[Path]], Batches]

pytestmark = pytest.mark.slow
MODIFIED_AT = int(datetime(2022, 2, 1, tzinfo=UTC).timestamp())
LINES = "silver.order_lines"


def seeds(in_the_suite: int, in_all: int) -> list[object]:
    """The numbers of the shuffles; those that only `-m long` wants are marked."""
    more = [pytest.param(seed, marks=pytest.mark.long) for seed in range(in_the_suite, in_all)]
    return [*range(in_the_suite), *more]


# Histories


@dataclass(frozen=True)
class Histories:
    """`play` delivers batches of the files one after the other to a fresh lake, with a run behind each."""

    files: Path
    folder: Path
    tables: Tables
    engine: Engine

    def in_order(self) -> list[Path]:
        """By date, then by market and name."""
        return sorted(self.files.rglob("*.*"), key=lambda path: (path.parent.name, path))

    def play(self, name: str, batches: Batches) -> Lake:
        for batch in batches:
            for path in batch:
                to = self.folder / name / "landing" / path.relative_to(self.files)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, to)
            self.run(name)
        return Lake(str(self.folder / name / "lake"))

    def run(self, name: str) -> None:
        folder = self.folder / name
        Run(str(folder / "lake"), str(folder / "landing"), self.tables, engine=self.engine).execute(self.tables)

    def content(self, lake: Lake) -> Content:
        """The rows of every table and quarantine behind bronze."""
        names = [name for name in self.tables if not name.startswith("bronze.")]
        names += [f"{name}__rejected" for name in names]
        return {name: self.rows(lake, name) for name in names if lake.state(name)}

    def rows(self, lake: Lake, name: str) -> list[str]:
        state = lake.state(name)
        assert state
        frame = lake.read(self.engine, name, state.version)
        wanted = [column for column in frame.columns if name.endswith("__rejected") or column[0] != "_"]
        return sorted(str(tuple(row)) for row in frame.select(*wanted).collect())

    def versions(self, lake: Lake) -> dict[str, int]:
        states = {name: lake.state(name) for name in self.tables}
        return {name: state.version for name, state in states.items() if state}


def one_by_one(files: Sequence[Path]) -> Batches:
    return [[path] for path in files]


def newest_first(files: Sequence[Path]) -> Batches:
    return [files[::-1][start : start + 4] for start in range(0, len(files), 4)]


def every_other_late(files: Sequence[Path]) -> Batches:
    return [files[1::2], files[0::2]]


def corrections_first(files: Sequence[Path]) -> Batches:
    """What they correct is not there yet."""
    fixed = [one for one in files if one.stem == "fixed"]
    return [fixed, [one for one in files if one not in fixed]]


def shuffled(files: Sequence[Path], seed: int) -> Batches:
    """Any order, in two batches of any size."""
    random = Random(seed)  # noqa: S311  not a secret
    mixed, cut = random.sample(files, len(files)), random.randrange(1, len(files))
    return [mixed[:cut], mixed[cut:]]


def set_times(files: Sequence[Path]) -> None:
    for second, path in enumerate(files):
        os.utime(path, (MODIFIED_AT + second, MODIFIED_AT + second))


# A toy's files: nine of one market, one of another


CORRECTING = f"{HEADER},_replaces_file,_replaces_row"
FILES = {
    "market_1/2024-01-01/a.csv": (HEADER, "7,A,2,10.00", "7,A,2,10.00", "8,B,1,5.00", "9,C,two,3.00", ",D,1,1.00"),
    "market_1/2024-01-02/b.csv": (HEADER, "8,B,4,5.00", "10,E,one,1.00", "-,F,1,2.00"),
    "market_1/2024-01-02/c.csv": (HEADER, "7,A,1,10.00", "7,G,1,2.00", "11,H,1,x"),  # of the same day, behind b
    "market_1/2024-01-03/again.csv": (HEADER, "7,A,2,10.00", "7,A,2,10.00", "8,B,1,5.00", "9,C,two,3.00", ",D,1,1.00"),
    "market_1/2024-01-03/repeated.csv": (HEADER, "12,I,1,1.00", "12,J,2,1.00"),
    "market_1/2024-01-04/wrong.csv": (HEADER, "12,I,zero,1.00", "12,J,2,1.00", "13,K,1"),
    "market_1/2024-01-04/fixed.csv": (CORRECTING, "14,F,1,2.00,market_1/2024-01-02/b.csv,3"),
    "market_1/2024-01-05/d.csv": (HEADER, "10,E,1,1.00", "8,B,9,5.00"),
    "market_1/2024-01-05/more.csv": (f"{HEADER},colour", "15,L,1,1.00,red"),
    "market_2/2024-01-01/a.csv": (HEADER, "7,Z,5,1.00"),
}
AT_THE_END = {
    "silver.order_lines": [
        "(1, 10, 1, 'E', 1, Decimal('1.00'))",
        "(1, 12, 1, 'I', 1, Decimal('1.00'))",
        "(1, 12, 2, 'J', 2, Decimal('1.00'))",
        "(1, 14, 1, 'F', 1, Decimal('2.00'))",
        "(1, 15, 1, 'L', 1, Decimal('1.00'))",
        "(1, 7, 1, 'A', 2, Decimal('10.00'))",
        "(1, 8, 1, 'B', 9, Decimal('5.00'))",
        "(2, 7, 1, 'Z', 5, Decimal('1.00'))",
    ],
    "gold.totals": ["(1, 17)", "(2, 5)"],
}
WRONG_AT_THE_END = [
    (9, "again.csv", 4, "quantity_is_readable"),
    (11, "c.csv", 3, "price_is_readable"),
    (12, "wrong.csv", 1, "quantity_is_readable"),
    (12, "wrong.csv", 2, "another_row_of_its_document"),
    (13, "wrong.csv", 3, "row_is_too_short"),
    (None, "a.csv", 5, "order_id_is_present"),
    (None, "again.csv", 5, "order_id_is_present"),
]


@pytest.fixture(scope="module")
def toys(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Histories:
    folder = tmp_path_factory.mktemp("toys")
    for path, lines in FILES.items():
        (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "files" / path).write_text("\n".join([*lines, ""]), encoding="utf-8")
    found = Histories(folder / "files", folder, Toy(folder, engine).tables(), engine)
    set_times(found.in_order())
    return found


@pytest.fixture(scope="module")
def toy_at_once(toys: Histories) -> Content:
    return toys.content(toys.play("at once", [toys.in_order()]))


def test_files_that_come_at_once_end_as_their_dates_say(toys: Histories, toy_at_once: Content) -> None:
    assert {name: toy_at_once[name] for name in AT_THE_END} == AT_THE_END
    lake = toys.play("to look at", [toys.in_order()])
    wrong = ops.query(lake.address(f"{LINES}__rejected"), "select * from t")
    rows = [(row["order_id"], row["_file"].rsplit("/", 1)[1], row["_row"], *row["rules"]) for row in wrong]
    assert sorted(rows, key=str) == sorted(WRONG_AT_THE_END, key=str)


def test_the_same_files_twice_change_nothing(toys: Histories, toy_at_once: Content) -> None:
    lake = toys.play("twice", [toys.in_order()])
    versions = toys.versions(lake)
    for path in (toys.folder / "twice" / "landing").rglob("*.csv"):
        os.utime(path, (MODIFIED_AT + 999, MODIFIED_AT + 999))  # they are delivered again, so the clock is later
    toys.run("twice")
    assert (toys.versions(lake), toys.content(lake)) == (versions, toy_at_once)
    assert Counter(one.status for one in ledger.read(lake.root).entries) == {"loaded": 10, "duplicate": 10}


@pytest.mark.parametrize(
    "arrange",
    [
        pytest.param(one_by_one, marks=pytest.mark.long),
        pytest.param(newest_first, marks=pytest.mark.long),
        every_other_late,
        corrections_first,
    ],
)
def test_the_order_of_deliveries_does_not_matter(arrange: Arrange, toys: Histories, toy_at_once: Content) -> None:
    assert toys.content(toys.play(arrange.__name__, arrange(toys.in_order()))) == toy_at_once


@pytest.mark.parametrize("seed", seeds(1, 50))
def test_shuffled_deliveries_end_as_those_in_order(seed: int, toys: Histories, toy_at_once: Content) -> None:
    assert toys.content(toys.play(f"shuffle {seed}", shuffled(toys.in_order(), seed))) == toy_at_once


# Exports under the real contracts


@pytest.fixture(scope="module")
def exports(tables: Tables, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Histories:
    """Orders of 70 days, a late file, files repeated under other names and dates, orders typed wrong and corrected."""
    folder = tmp_path_factory.mktemp("exports")
    files = folder / "files"
    daily.generate(files, lines=60, days=3)
    daily.late_file(files, lines=60, days=3)
    for orders in files.rglob("*Orders*.csv"):
        stretch(orders)
    first, second, third = sorted((files / "market_1").iterdir())
    shutil.copyfile(first / "Market 1 Orders.csv", third / "Orders again.csv")  # A, then B, then A: ends as A
    shutil.copyfile(second / "Market 1 Deliveries.csv", third / "Deliveries again.csv")
    row = first_row(first / "Market 1 Orders.csv")
    alone = row | {"Order ID": "99000001", "Sub Total": row["Total Price"]}
    by_hand, keyless = second / "Orders typed by hand.csv", alone | {"Order ID": " "}
    write(by_hand, alone | {"Quantity": "two"}, keyless, keyless, alone | {"Order ID": "99000002", "Quantity": "two"})
    place = {"_replaces_file": by_hand.relative_to(files).as_posix(), "_replaces_row": "2"}
    twice = {name: str(2 * Decimal(row[name])) for name in ("Unit Price", "Total Price")}
    dearer = alone | twice | {"Order ID": "99000003", "Sub Total": twice["Total Price"]}
    write(third / "Orders corrected.csv", alone | place, dearer | place)
    pair = row | {"Order Status": "COMPLETED", "Sub Total": twice["Total Price"]}
    lines = [pair | {"Order ID": str(98000000 + order), "SKU": sku} for order in range(5) for sku in ("A1", "B1")]
    write(second / "Orders of one pair.csv", *lines)
    for day, platforms in ((first, ["WEB"]), (second, ["ANDROID", "IOS"]), (third, ["WEB"])):
        for number, platform in enumerate(platforms):
            customer = {"Customer ID": int(row["Customer ID"]), "Last Used Platform": platform, "Is Blocked": 1}
            text = json.dumps([customer | {"Created At": "2021-12-01T00:00:00.000Z", "Language": "en"}])
            (day / f"Some Customers {number}.json").write_text(text, encoding="utf-8")
    branches.generate(files, days=16, every=8, receipts=0.3)
    stores.generate(files, stores=12, start=date.fromisoformat(first.name))
    for day, rate in ((first, "0.0088"), (third, "0.0087")):
        (files / "exchange_rates" / day.name).mkdir(parents=True)
        rates = {"rate_date": row["Order Time"][:10], "currency": "KES", "reporting_currency": "USD", "rate": rate}
        write(files / "exchange_rates" / day.name / "rates.csv", rates)
    lifted = {name: without_limit(table) for name, table in tables.items()}
    found = Histories(files, folder, lifted, engine)
    set_times(found.in_order())
    return found


def stretch(orders: Path) -> None:
    """Orders of many days, so that they stand in several weeks, windows and months, and units move between them."""
    with orders.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        before = timedelta(days=11 * int(row["Order ID"]) % 70)
        for name in ("Order Time", "Pickup Time", "Delivery Time"):
            if row[name] not in {"", "-"}:
                row[name] = f"{date.fromisoformat(row[name][:10]) - before}{row[name][10:]}"
    write(orders, *rows)


def first_row(orders: Path) -> dict[str, str]:
    with orders.open(encoding="utf-8", newline="") as file:
        return next(csv.DictReader(file))


def write(path: Path, *rows: dict[str, str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def without_limit(table: Table) -> Table:
    """A batch of wrong rows alone stops a run; here it must only not matter."""
    return replace(table, contract=table.contract.model_copy(update={"reject_limit": 1.0}))


@pytest.fixture(scope="module")
def exports_at_once(exports: Histories) -> Content:
    return exports.content(exports.play("at once", [exports.in_order()]))


def test_exports_that_come_at_once_end_as_their_dates_say(exports: Histories, exports_at_once: Content) -> None:
    lines = "\n".join(exports_at_once[LINES])
    assert [order in lines for order in ("99000001", "99000002", "99000003")] == [True, False, True]
    assert len(exports_at_once[f"{LINES}__rejected"]) == 2  # one typed wrong, one without an id
    assert len(exports_at_once["silver.stores__rejected"]) == 1  # breaks off
    filled = [name for name, one in exports.tables.items() if "bronze.events" not in one.serves]  # of no topic
    empty = {name for name in filled if not name.startswith("bronze.") and not exports_at_once[name]}
    fetched = {"products", "product_versions", "product_states", "merchants", "api_sales"}  # of which none is a file
    assert empty == {f"silver.{name}" for name in fetched}
    assert len(exports_at_once["gold.weekly_sales"]) > 10, "orders stand in several units"
    assert sum("'IOS'" in row for row in exports_at_once["gold.dim_customer"]) == 1
    assert sum("'ANDROID'" in row for row in exports_at_once["gold.dim_customer"]) == 0


@pytest.mark.parametrize("seed", seeds(1, 10))
def test_shuffled_exports_end_as_those_in_order(seed: int, exports: Histories, exports_at_once: Content) -> None:
    """The seed in the suite by a table of each kind."""
    some = exports if seed else replace(exports, tables=graph.selected(exports.tables, OF_EACH_KIND))
    found = some.content(some.play(f"shuffle {seed}", shuffled(exports.in_order(), seed)))
    assert found == {name: rows for name, rows in exports_at_once.items() if name.split("__")[0] in some.tables}
