"""Random histories of branches and stores under the real contracts, whose steps are done by an engine drawn at random.

After each step gold is what DuckDB computes of all right documents that were delivered, and a further run commits
nothing; at the end all tables are as a rebuild from bronze. A small one is in the suite, all tables behind `-m long`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from jobs.samples import branches
from lakehouse import engines, graph
from lakehouse.delta.files import feed
from lakehouse.delta.tables import progress
from lakehouse.runs.run import Run
from tests.histories import ByDeltaRs, DiedError, dying
from tests.oracle.recompute import recompute_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lakehouse.graph import Table

    Event = Callable[["Branches"], None]

pytestmark = pytest.mark.slow
GOLD = (
    "branch_performance", "conversation_daily", "stock_cover",
    "store_lifespan", "store_activity_daily", "subscription_revenue_daily",
)  # fmt: skip
LISTS = ("silver.branch_customers", "silver.branch_prices")  # which no gold table reads
START, SEEDS, LONGER = date(2022, 2, 1), 12, 5  # the first seed, in the suite, has few tables; steps of others beyond 3
HEADERS = {
    "Branches": branches.BRANCHES,
    "Branch Customers": branches.CUSTOMERS,
    "Branch Prices": branches.PRICES,
    "Branch Transactions": branches.TRANSACTIONS,
    "Stock": branches.STOCK,
    "stores": "store_id,installHistory,subscriptionHistory",
}


@dataclass
class Branches:
    """A lake and its landing; `right` has the same deliveries, each under its own name, without wrong documents."""

    folder: Path
    random: Random
    tables: dict[str, Table]
    told: list[str] = field(default_factory=list)
    files: list[tuple[str, list[str]]] = field(default_factory=list)  # the path and rows of each delivery
    day: int = 0

    @property
    def root(self) -> str:
        return str(self.folder / "lake")

    @property
    def kinds(self) -> list[str]:
        """Of files that the tables are made from."""
        return [kind for kind in MADE if f"bronze.{kind.lower().replace(' ', '_')}" in self.tables]

    def step(self, events: Sequence[Event], engine: str) -> None:
        self.day += 1
        self.told.append(f"{self.day}. by {engine}")
        try:
            for event in events:
                self.told.append(f"  {event.__name__}")
                event(self)
            self.run(engine)
            check(self)
        except Exception as error:
            error.add_note("\n".join(["What was done:", *self.told]))
            raise

    def run(self, engine: str = engines.NATIVE) -> None:
        Run(self.root, str(self.folder / "landing"), self.tables, engine=engines.start(engine)).execute(self.tables)

    # What is delivered

    def deliver(self, kind: str, documents: Sequence[str], day: int | None = None) -> None:
        """A file of the day, or of another one; a document that holds `wrong` breaks a rule."""
        where = "stores" if kind == "stores" else f"market_{self.random.choice([1, 1, 2])}"
        ending = "json" if kind == "Conversations" else "csv"
        path = f"{where}/{START + timedelta(days=day or self.day)}/{kind} {len(self.files)}.{ending}"
        self.put(path, list(documents))

    def put(self, path: str, documents: list[str]) -> None:
        kind, ending = kind_of(path), path.rpartition(".")[2]
        right = [one for one in documents if "wrong" not in one]
        twin = f"{path.rpartition('/')[0]}/{kind} of {len(self.files):04}.{ending}"
        at = datetime(2022, 6, 1, tzinfo=UTC).timestamp() + len(self.files)
        for to, some in (("landing/" + path, documents), ("right/" + twin, right)):
            (self.folder / to).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / to).write_text(self.text(path, some), encoding="utf-8")
            os.utime(self.folder / to, (at, at))
        self.files.append((path, documents))
        self.told.append(f"    {path}: {' | '.join(documents)}")

    def text(self, path: str, documents: list[str]) -> str:
        if path.endswith(".json"):
            return f"[{', '.join(documents)}]"
        return "\n".join([HEADERS[kind_of(path)], *documents, ""])

    def some(self, kind: str) -> list[str]:
        """A few documents, each of another key; now and then one is wrong."""
        keys = self.random.sample(range(1, 7), 3)
        return [self.spoiled(MADE[kind](self, key), kind) for key in keys]

    def spoiled(self, document: str, kind: str) -> str:
        """With a word where a number stands, or an object that breaks off."""
        if self.random.random() > 0.15:
            return document
        if kind in {"stores", "Conversations"}:
            return document.replace("2022-", "wrong-")
        first, *rows = document.split("\n")
        return "\n".join([",".join([*first.split(",")[:-1], "wrong"]), *rows])

    def moment(self) -> str:
        clock = self.random.choice(["00:30:00", "03:00:01", "12:00:00", "23:59:59"])
        return f"{self.a_day()}T{clock}+0{self.random.choice('13')}:00"

    def a_day(self) -> date:
        """In the ten weeks before the first file, late ones too."""
        return START - timedelta(days=self.random.randint(7, 77))


def kind_of(path: str) -> str:
    """Files are named by their kind, and a number."""
    return path.rpartition("/")[2].rpartition(" ")[0]


def a_branch(history: Branches, key: int) -> str:
    """Listed under one name or several."""
    opened, closed = history.a_day(), history.random.choice(["-", "-", START + timedelta(days=history.day)])
    names = history.random.sample(["Mall", "mall", "New", "Old", "Shop"], history.random.randint(1, 3))
    return "\n".join(f"{key},{name},Town,{opened},{closed},{history.moment()}" for name in names)


def a_customer(history: Branches, key: int) -> str:
    return f"{key % 3 + 1},{key},{history.random.choice(branches.SEGMENTS)},{history.a_day()},{history.moment()}"


def a_price(history: Branches, key: int) -> str:
    return f"{key % 3 + 1},{'ABC'[key // 3]},{history.a_day()},{history.random.randint(1, 99)}"


def a_receipt(history: Branches, key: int) -> str:
    """Of one line to three, now and then repeated; one branch is in no list."""
    branch = history.random.choice([1, 2, 3, 4, branches.UNLISTED])
    lines = [
        (sku, history.random.randint(1, 9), history.random.randint(1, 99)) for sku in history.random.sample("ABC", 2)
    ]
    total, at = sum(n * price for _, n, price in lines), history.moment()
    before = f"{branch},{key},{at},{history.random.choice(['-', '7', '8'])}"
    rows = [f"{before},{sku},{n},{price},{n * price},{total}" for sku, n, price in lines]
    return "\n".join([*rows, rows[-1]] if history.random.random() < 0.2 else rows)


def a_conversation(history: Branches, key: int) -> str:
    """It may be resolved, after any while."""
    opened = datetime.fromisoformat(history.moment())
    resolved = history.random.choice([None, opened + timedelta(seconds=history.random.randint(0, 90_000))])
    said: dict[str, object] = {"Conversation ID": key, "Branch ID": history.random.randint(1, 4), "Customer ID": 7}
    said |= {"Topic": history.random.choice(["price", "PRICE", "-"]), "Channel": "chat"}
    return json.dumps(said | {"Opened At": opened.isoformat(), "Resolved At": resolved and resolved.isoformat()})


def a_count(history: Branches, key: int) -> str:
    return f"{key % 4 + 1},{'ABC'[key // 3]},{history.a_day()},{history.random.choice([0, 5, 900])},10"


def a_store(history: Branches, key: int) -> str:
    """Installs that touch, or do not; subscriptions that go on with the same plan, or with another one."""
    installs, subscriptions, day = list[dict[str, Any]](), list[dict[str, Any]](), history.a_day()
    for _ in range(history.random.randint(1, 3)):
        end = day + timedelta(days=history.random.randint(0, 9))
        times = {"fromDate": f"{day} 00:00:00.000000", "toDate": f"{end} 23:59:59.999000"}
        installs.append(
            {"toNow": False, "startType": None, **times, "endType": history.random.choice([None, "uninstall"])}
        )
        price = history.random.choice([19.0, 29.99])
        terms = {"fromDate": f"{day} 08:00:00.000", "toDate": f"{end} 10:00:00.000", "billingOnDate": None}
        subscriptions.append({"price": price, "planName": "regular_1", **terms})
        day = end + timedelta(days=history.random.choice([0, 1, 5]))
    if history.random.random() < 0.5:
        installs[-1] |= {"toNow": True, "toDate": None, "endType": None}
    cells = (json.dumps(one).replace('"', '""') for one in (installs, history.random.sample(subscriptions, 1)))
    return f"Store_{key}," + ",".join(f'"{cell}"' for cell in cells)


MADE: dict[str, Callable[[Branches, int], str]] = {
    "Branches": a_branch,
    "Branch Customers": a_customer,
    "Branch Prices": a_price,
    "Branch Transactions": a_receipt,
    "Conversations": a_conversation,
    "Stock": a_count,
    "stores": a_store,
}


# Events


def files_of_the_day(history: Branches) -> None:
    for kind in history.random.choices(history.kinds, k=3):
        history.deliver(kind, history.some(kind))


def late_files(history: Branches) -> None:
    """In the folder of a day before the first one."""
    for kind in history.random.choices(history.kinds, k=2):
        history.deliver(kind, history.some(kind), day=-history.random.randint(1, 5))


def repeated_file(history: Branches) -> None:
    """A, then B, then A again ends as A."""
    path, documents = history.random.choice(history.files)
    folder = f"{path.partition('/')[0]}/{START + timedelta(days=history.day)}"
    history.put(f"{folder}/{kind_of(path)} {len(history.files)}.{path.rpartition('.')[2]}", documents)


def rewritten_file(history: Branches) -> None:
    """Of which some documents are told otherwise; of a content that no other name holds."""
    newest = dict(history.files)
    held = Counter(map(str, newest.values()))
    path = history.random.choice([path for path, documents in newest.items() if held[str(documents)] == 1])
    history.put(path, history.some(kind_of(path)))


def rewound_table(history: Branches) -> None:
    name = history.random.choice([name for name in history.tables if not name.startswith("bronze.")])
    if state := progress.state(address(history, name)):
        version = history.random.randint(0, state.version)
        history.told.append(f"    {name} to {version}")
        ByDeltaRs().restore(address(history, name), version)


def death(history: Branches) -> None:
    """At one of its writes; the next run takes up the work."""
    files_of_the_day(history)
    with suppress(DiedError), dying(history.random.randint(1, 14), is_done=history.random.random() < 0.5):
        history.run()


EVENTS: tuple[Event, ...] = (late_files, repeated_file, rewritten_file, rewound_table, death)


# What must hold


def check(history: Branches) -> None:
    gold = [name for name in GOLD if f"gold.{name}" in history.tables]
    for name, expected in recompute_all(history.folder / "right", gold).items():
        rows = feed.read(address(history, f"gold.{name}")).to_pylist()
        found = [{column: row[column] for column in expected[0]} for row in rows]
        assert sorted(map(str, found)) == sorted(map(str, expected)), name
    before = versions(history)
    history.run()
    assert versions(history) == before


def address(history: Branches, name: str) -> str:
    return progress.address(history.root, name)


def versions(history: Branches) -> dict[str, int]:
    states = {name: progress.state(address(history, name)) for name in history.tables}
    return {name: state.version for name, state in states.items() if state}


def content(history: Branches) -> dict[str, list[str]]:
    """The rows of every table behind bronze; of quarantines, which need not be there, with where they stand."""
    tables = [name for name in history.tables if not name.startswith("bronze.")]
    names = [*tables, *(name for name in map(progress.rejected, tables) if progress.state(address(history, name)))]
    found = {}
    for name in names:
        rows = feed.read(address(history, name)).to_pylist()
        told = [{one: row[one] for one in row if one[0] != "_" or name not in tables} for row in rows]
        found[name] = sorted(str(sorted(row.items())) for row in told)
    return {name: rows for name, rows in found.items() if rows}


def rebuilt(history: Branches, folder: Path) -> Branches:
    """Another lake, of the same bronze and ledger alone."""
    for part in ("landing", "lake/bronze", "lake/ops/files"):
        shutil.copytree(history.folder / part, folder / part)
    other = Branches(folder, Random(0), history.tables)  # noqa: S311
    other.run()
    return other


@pytest.mark.spark
@pytest.mark.usefixtures("on_spark")
@pytest.mark.parametrize(
    ("seed", "names"),
    [(0, ["conversation_daily"]), *(pytest.param(seed, GOLD, marks=pytest.mark.long) for seed in range(1, SEEDS))],
)
def test_gold_of_branches_and_stores_is_as_duckdb_says_after_every_step_of_either_engine(
    seed: int, names: Sequence[str], tables: dict[str, Table], tmp_path: Path
) -> None:
    random = Random(f"branches {seed}")  # noqa: S311  not a secret
    wanted = graph.selected(tables, [*(f"gold.{name}" for name in names), *(LISTS if seed else ())])
    history = Branches(tmp_path / "one", random, wanted)
    for kind in history.kinds * 2:
        history.deliver(kind, [MADE[kind](history, key) for key in (1, 2, 3)])
    history.step([], engines.NATIVE)
    more = random.choices([engines.NATIVE, engines.SPARK], k=LONGER if seed else 0)
    for engine in (engines.SPARK, engines.NATIVE, *more):
        history.step([files_of_the_day, *random.sample(EVENTS, 2)], engine)
    assert content(rebuilt(history, tmp_path / "rebuilt")) == content(history), "\n".join(history.told)
