"""A random history of a toy lake: what a seed draws is delivered, changed, broken off or rewound, day by day.

After each day the tables must hold what `world.expected` says of all deliveries until then, their progress must name
the inputs as they stand, and a further run must make no commit. `told` says what was done, for who must replay it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

import deltalake
import pytest
from delta.tables import DeltaMergeBuilder
from deltalake import DeltaTable
from deltalake.table import TableMerger
from pyspark.sql.readwriter import DataFrameWriter

from lakehouse import engines, graph
from lakehouse.conf import Retention
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.ops import query
from lakehouse.delta.files import parquet, vectors
from lakehouse.delta.tables import progress
from lakehouse.delta.upkeep import compaction, vacuum
from lakehouse.documents.judgement import judging
from lakehouse.errors import LakehouseError
from lakehouse.recovery import maintain
from lakehouse.runs.run import Run
from tests import world
from tests.toy import Toy
from tests.world import CUSTOMERS, ORDERS, File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from lakehouse.engines.protocol import Engine
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.graph import Table

    Cells = tuple[str, ...]
    Event = Callable[["History"], None]

COMPUTED = [name for name in world.SOURCES if not name.startswith("bronze.")]
CHECK_RETENTION = "spark.databricks.delta.retentionDurationCheck.enabled"
WRITES = (
    (parquet, "_write"),  # a file of rows, or of changes
    (vectors, "write"),
    (committer, "land"),
    (TableMerger, "execute"),
    (deltalake, "write_deltalake"),
    (DataFrameWriter, "save"),
    (DeltaMergeBuilder, "execute"),
)


class DiedError(Exception):
    """The process is no more."""


class Somebody(Protocol):
    """Who changes tables without our notes."""

    def restore(self, address: str, version: int) -> None: ...
    def delete(self, address: str, where: str) -> None: ...
    def optimize(self, address: str) -> None: ...
    def vacuum(self, address: str) -> None: ...


class ByDeltaRs:
    def restore(self, address: str, version: int) -> None:
        table = DeltaTable(address)
        if version < table.version():  # it refuses what would change nothing
            table.restore(version)

    def delete(self, address: str, where: str) -> None:
        DeltaTable(address).delete(where)

    def optimize(self, address: str) -> None:
        DeltaTable(address).optimize.compact()

    def vacuum(self, address: str) -> None:
        DeltaTable(address).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)


@dataclass
class BySparkSql:
    engine: Spark

    def restore(self, address: str, version: int) -> None:
        self._sql(f"restore table delta.`{address}` to version as of {version}")

    def delete(self, address: str, where: str) -> None:
        self._sql(f"delete from delta.`{address}` where {where}")

    def optimize(self, address: str) -> None:
        self._sql(f"optimize delta.`{address}`")

    def vacuum(self, address: str) -> None:
        self.engine.spark.conf.set(CHECK_RETENTION, "false")
        self._sql(f"vacuum delta.`{address}` retain 0 hours")
        self.engine.spark.conf.unset(CHECK_RETENTION)

    def _sql(self, statement: str) -> None:
        self.engine.spark.sql(statement)


@dataclass
class History:
    """A lake, all that was delivered to it, and the definitions that hold now."""

    toy: Toy
    random: Random
    files: list[File] = field(default_factory=list)
    changes: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)
    readable_since: Counter[str] = field(default_factory=Counter)
    day: int = 10

    @classmethod
    def begin(cls, folder: Path, engine: Engine, random: Random) -> History:
        """A few orders and customers of two markets, loaded."""
        history = cls(Toy(folder, engine, dict(world.SOURCES)), random)
        for market in (1, 2):
            orders = [row for order_id in (1, 2, 3) for row in history.an_order(order_id)]
            history.deliver(ORDERS, orders, market=market)
            history.deliver(CUSTOMERS, [history.a_customer(one) for one in (1, 2, 3)], market=market)
        history.run()
        return history

    def continued(self, folder: Path, seed: int) -> History:
        """A copy of the lake as it stands, that goes on as the seed says."""
        shutil.copytree(self.toy.folder, folder, dirs_exist_ok=True)
        toy = Toy(folder, self.toy.engine, dict(world.SOURCES), clock=self.toy.clock)
        return History(toy, Random(seed), files=list(self.files), told=list(self.told))  # noqa: S311

    def step(self, events: Iterable[Event], way: Event, engine: str = engines.NATIVE) -> None:
        """The events of a day, and a run that ended well, by this engine."""
        self.day += 1
        self.toy.engine = engines.start(engine)
        self.told.append(f"{self.day - 10}. by {engine}")
        try:
            for event in (*events, way):
                self.told.append(f"{self.day - 10}. {event.__name__}")
                event(self)
        except Exception as error:
            error.add_note(self.story())
            raise

    def story(self) -> str:
        return "\n".join(["What was done:", *self.told])

    def tell(self, words: str) -> None:
        self.told.append(f"    {words}")

    # What is delivered

    def an_order(self, order_id: int) -> list[Cells]:
        """A document of one to three lines, which say the same of customer and time."""
        customer, at = self.random.choice(["1", "2", "3", "4", "-"]), self.a_time()
        lines: list[Cells] = []
        for _ in range(self.random.randint(1, 3)):
            product, quantity = self.random.choice("ABC"), str(self.random.randint(1, 8))
            price = self.random.choice(["0", "0.50", "2.5", "10.00", "-"])
            lines.append((str(order_id), product, quantity, price, customer, at))
        return [*lines, lines[-1]] if self.random.random() < 0.2 else lines  # a repeat is a duplicate

    def a_time(self) -> str:
        if self.random.random() < 0.1:
            return "-"
        return f"2024-01-{self.random.randint(5, 9):02}T{self.random.choice(['00', '03', '12', '23'])}:30:00Z"

    def a_customer(self, customer_id: int) -> Cells:
        return str(customer_id), self.random.choice(["shop", "kiosk", "-"]), self.random.choice(["Ada", "Ben"])

    def some_rows(self, table: str) -> list[Cells]:
        if table == CUSTOMERS:
            return [self.a_customer(one) for one in self.random.sample(range(1, 5), 2)]
        return [row for one in self.random.sample(range(1, 7), 2) for row in self.an_order(one)]

    def a_table(self) -> str:
        return self.random.choice([ORDERS, ORDERS, CUSTOMERS])

    def deliver(
        self,
        table: str,
        rows: list[Cells],
        *,
        day: int | None = None,
        market: int | None = None,
        header: Cells | None = None,
        modified: int | None = None,
    ) -> None:
        """A file of the day, or of another one."""
        folder = f"market_{market or self.random.choice([1, 1, 2])}/2024-01-{day or self.day:02}"
        path = f"{folder}/{table.partition('.')[2]}_{len(self.told)}.csv"
        self.put(File(table, path, modified or self.tick(), header or world.HEADERS[table], tuple(rows)))

    def put(self, file: File) -> None:
        """Write it to landing; what is there already, and is delivered again, is no delivery."""
        path = self.toy.landing / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
        os.utime(path, (file.modified, file.modified))
        self.tell(f"{file.path} [{file.modified}]: {' | '.join(file.text.splitlines())}")
        before = [one for one in self.files if one.path == file.path]
        if not before or (before[-1].header, before[-1].rows) != (file.header, file.rows):
            self.files.append(file)

    def tick(self) -> int:
        self.toy.clock += 1
        return self.toy.clock

    # Runs

    def run(self, *names: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(judging, "MANY", self.random.choice((0, judging.MANY)))
            self.a_run().execute(graph.selected(self.tables(), names))

    def a_run(self) -> Run:
        return Run(self.toy.lake.root, str(self.toy.landing), self.tables(), engine=self.toy.engine)

    def tables(self) -> dict[str, Table]:
        self.toy.sources = world.sources(self.changes)
        return self.toy.tables()

    def address(self, name: str) -> str:
        return progress.address(self.toy.lake.root, name)

    @property
    def somebody(self) -> Somebody:
        """Who writes to the lake beside us: with the libraries of the engine of this step."""
        if self.toy.engine.name == engines.SPARK:
            return BySparkSql(self.toy.engine)  # type: ignore[arg-type]
        return ByDeltaRs()

    # What must hold

    def wrong(self) -> dict[str, object]:
        """Everything that is not as it must be; empty after every run that ended well."""
        expected, tables = world.expected(self.files, self.changes), self.tables()
        found: dict[str, object] = {}
        for name, table in tables.items():
            columns = list(table.contract.columns) if name in COMPUTED else ["_file", "_row"]
            rows = [tuple(row[column] for column in columns) for row in expected.rows[name]]
            found |= self._compared(name, ", ".join(columns), rows)
            if name in expected.wrong:
                unit = table.contract.unit
                rows = [
                    (*(line.values[one] for one in unit), rules, *line.place, line.file.day)
                    for line, rules in expected.wrong[name]
                ]
                columns = [*unit, "rules", "_file", "_row", "cast(since as date)"]
                found |= self._compared(progress.rejected(name), ", ".join(columns), rows)
        return found | self._behind(tables)

    def _compared(self, name: str, columns: str, rows: list[tuple[Any, ...]]) -> dict[str, object]:
        expected = Counter(rows)
        stored = Counter(_plain(row) for row in query(self.address(name), f"select {columns} from t"))
        missing, unexpected = expected - stored, stored - expected
        if not missing and not unexpected:
            return {}
        return {name: {"missing": list(missing.elements()), "unexpected": list(unexpected.elements())}}

    def _behind(self, tables: dict[str, Table]) -> dict[str, object]:
        """Tables whose progress is not that of their inputs as they stand."""
        found: dict[str, object] = {}
        for name, table in tables.items():
            state = progress.state(self.address(name))
            note = state.progress if state else None
            if state is None or note is None or note.fingerprint != table.fingerprint:
                found[f"progress of {name}"] = state
            elif table.contract.source is None:
                behind = {one: (note.inputs[one], now) for one in table.inputs if (now := self._moved(one, note))}
                found |= {f"progress of {name}": behind} if behind else {}
        return found

    def _moved(self, name: str, note: progress.Progress) -> object:
        """The commits with data of an input since the version that a table includes; of a conf file its content."""
        recorded = note.inputs[name]
        if name.startswith("conf."):
            now = graph.conf_file(name)[0]
            return None if recorded.version == now else now
        log = DeltaTable(self.address(name))
        if recorded.id != str(log.metadata().id) or int(recorded.version) > log.version():
            return log.version()
        return [one for one in range(int(recorded.version) + 1, log.version() + 1) if self._has_data(name, one)]

    def _has_data(self, name: str, version: int) -> bool:
        log = self.toy.folder / "lake" / name.replace(".", "/") / "_delta_log" / f"{version:020}.json"
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        return any((one.get("add") or one.get("remove") or {}).get("dataChange") for one in actions)

    def rebuilt(self, folder: Path) -> History:
        """Another lake, of the same bronze and ledger alone; natively, whoever was the last."""
        for part in ("landing", "lake/bronze", "lake/ops/files"):
            shutil.copytree(self.toy.folder / part, folder / part)
        other = replace(self, toy=Toy(folder, engines.start(engines.NATIVE), dict(world.SOURCES)))
        other.run()
        return other

    def content(self) -> dict[str, list[str]]:
        """The rows of every table behind bronze, without where they stand; and of the quarantines with it."""
        names = [*COMPUTED, *(progress.rejected(name) for name in COMPUTED)]
        rows = {name: query(self.address(name), "select * from t") for name in names}
        return {name: sorted(str(_told(row, name)) for row in rows[name]) for name in names}

    def versions(self) -> dict[str, int]:
        """Of every table, quarantine and table of the core."""
        logs = (self.toy.folder / "lake").rglob("_delta_log")
        return {str(log.parent): len(list(log.glob("*.json"))) for log in logs}


def _told(row: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    return sorted((column, value) for column, value in row.items() if column[0] != "_" or name.endswith("__rejected"))


def _plain(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(tuple(sorted(value)) if isinstance(value, list) else value for value in row.values())


# Events: what happens to landing, to the definitions or to tables between two runs


def rows_of_the_day(history: History) -> None:
    table = history.a_table()
    history.deliver(table, history.some_rows(table))


def late_rows(history: History) -> None:
    """In the folder of a day before."""
    table = history.a_table()
    history.deliver(table, history.some_rows(table), day=history.random.randint(1, history.day - 1))


def rows_that_hung_behind(history: History) -> None:
    """In the folder of the newest day, by a time before that of all other files."""
    table = history.a_table()
    history.deliver(table, history.some_rows(table), day=history.day - 1, modified=history.tick() - 1_000_000)


def moved_order(history: History) -> None:
    """The same lines, of another customer or another day."""
    lines = _documents(history)
    order, market = history.random.choice(sorted({(row[0], market) for row, market in lines}))
    at, value = history.random.choice([(4, history.random.choice("1234-")), (5, history.a_time())])
    rows = [(*row[:at], value, *row[at + 1 :]) for row, of in lines if (row[0], of) == (order, market)]
    history.deliver(ORDERS, rows, market=market)


def full_dump(history: History) -> None:
    """All that a market has, of which one order changed."""
    lines = _documents(history)
    order, market = history.random.choice(sorted({(row[0], market) for row, market in lines}))
    rest = [row for row, of in lines if of == market and row[0] != order]
    history.deliver(ORDERS, [*rest, *history.an_order(int(order))], market=market)


def _documents(history: History) -> list[tuple[Cells, int]]:
    """The lines that silver has, as they are delivered, with their markets."""
    lines = world.expected(history.files, history.changes).rows["silver.order_lines"]
    return [(_as_delivered(line), line["market"]) for line in lines]


def _as_delivered(line: world.Row) -> Cells:
    at = line["ordered_at"]
    values = line | {"ordered_at": at and at.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return tuple("-" if values[name] is None else str(values[name]) for name in world.HEADERS[ORDERS])


def changed_customer(history: History) -> None:
    """A dimension: its segment is read through orders, its name by nobody."""
    history.deliver(CUSTOMERS, [history.a_customer(history.random.randint(1, 4))])


def wrong_order(history: History) -> None:
    """With an order behind it that is right."""
    wrong = ("{},A,two,1,1,-", "{},A,0,1,1,-", "{},A,1,1.005,1,-", "{},A,1,1,1,soon", "{},A,-,1,1,-", "{},A,1")
    keyless = (",A,1,1,1,-", "x,A,1,1,1,-")
    order_id = history.random.randint(1, 6)
    rows = [tuple(text.format(order_id).split(",")) for text in history.random.sample((*wrong, *keyless), 2)]
    history.deliver(ORDERS, [*history.an_order(order_id), *rows, *history.an_order(order_id % 6 + 1)])


def customer_twice(history: History) -> None:
    other = history.random.choice([history.a_customer(3), ("x", "shop", "Dan"), ("", "shop", "Dan")])
    history.deliver(CUSTOMERS, [("2", "shop", "Ada"), ("2", "shop", "Cleo"), other])


def corrected_row(history: History) -> None:
    """What waits to be corrected, by its own key or by another; where nothing does, something wrong is delivered."""
    wrong = world.expected(history.files, history.changes).wrong
    waiting = sorted((line for lines in wrong.values() for line, _ in lines), key=lambda line: line.place)
    if not waiting:
        wrong_order(history)
        return
    line = history.random.choice(waiting)
    table, key = line.file.table, line.values[world.HEADERS[line.file.table][0]]
    right = history.an_order(7)[0] if table == ORDERS else history.a_customer(4)
    cells = right if key is None or history.random.random() < 0.3 else (str(key), *right[1:])
    header = (*world.HEADERS[table], "_replaces_file", "_replaces_row")
    row = history.random.choice([f"{line.number}", f"{line.number}@{line.file.content}"])
    history.deliver(table, [(*cells, line.file.path, row)], market=line.file.market, header=header)


def rewritten_file(history: History) -> None:
    """A new version of a file, without one of its rows, or with one of them twice.

    Of one whose content no other name holds: else that other name would be where it was moved to.
    """
    newest = _newest_versions(history)
    times = Counter(file.content for file in newest)
    file = history.random.choice([file for file in newest if times[file.content] == 1])
    rows = list(file.rows)
    row = history.random.choice(rows)
    rows.remove(row) if len(rows) > 1 and history.random.random() < 0.7 else rows.append(row)
    history.put(replace(file, rows=tuple(rows), modified=history.tick()))


def touched_file(history: History) -> None:
    """The same content at a newer time is no delivery."""
    history.put(replace(history.random.choice(_newest_versions(history)), modified=history.tick()))


def repeated_file(history: History) -> None:
    """Under another name the same content is a delivery: A, then B, then A again ends as A."""
    file = history.random.choice(_newest_versions(history))
    history.deliver(file.table, list(file.rows), market=file.market, header=file.header)


def _newest_versions(history: History) -> list[File]:
    return list({file.path: file for file in history.files}.values())


def more_columns(history: History) -> None:
    table = history.a_table()
    rows = [(*row, history.random.choice(["red", "-"])) for row in history.some_rows(table)]
    history.deliver(table, rows, header=(*world.HEADERS[table], "colour"))


def columns_in_another_order(history: History) -> None:
    table = history.a_table()
    history.deliver(table, [row[::-1] for row in history.some_rows(table)], header=world.HEADERS[table][::-1])


def other_definition(history: History) -> None:
    """A rule, a build or a comment changes, or changes back."""
    change = history.random.choice(list(world.CHANGES))
    history.changes ^= {change}
    history.tell(f"{'now' if change in history.changes else 'no more'}: {change}")


def rewound_table(history: History) -> None:
    name = history.random.choice(COMPUTED)
    versions = range(history.readable_since[name], history.toy.versions()[name] + 1)
    version = history.random.choice(versions)
    history.tell(f"restore {name} to version {version}")
    history.somebody.restore(history.address(name), version)


def somebody_elses_change(history: History) -> None:
    name = history.random.choice(COMPUTED)
    history.tell(f"delete from {name} where market = 1")
    history.somebody.delete(history.address(name), "market = 1")


def maintenance(history: History) -> None:
    for name in history.random.sample(list(world.SOURCES), 2):
        history.tell(f"optimize {name}")
        history.somebody.optimize(history.address(name))


def our_maintenance(history: History) -> None:
    """Kept is nothing but what is the newest, and what tables that are behind have not read."""
    history.tell("maintain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vacuum, "IN_FLIGHT", timedelta(0))
        _maintain(history, history.tables(), patch)
    history.readable_since |= Counter(history.toy.versions())


def _maintain(history: History, tables: dict[str, Table], patch: pytest.MonkeyPatch) -> None:
    """Two small files are many, and one hidden row is."""
    patch.setattr(compaction, "PILED_UP", 2)
    patch.setattr(compaction, "MANY_HIDDEN", 1)
    maintain.maintain(history.toy.lake.root, tables, Retention(0, 0), {})


# Ways to run: each ends with a run that went well


def run(history: History) -> None:
    history.run()


def run_readers_later(history: History) -> None:
    """Silver goes ahead alone for a day, so that its readers find several versions at once."""
    name = _run_some(history)
    history.deliver(ORDERS, history.some_rows(ORDERS), market=1)
    history.run(name)
    history.run()


def run_readers_after_vacuum(history: History) -> None:
    """The files that the change feed of a lagging reader needs are gone."""
    name = _run_some(history)
    history.tell(f"vacuum {name}")
    history.somebody.vacuum(history.address(name))
    history.readable_since[name] = history.toy.versions()[name]
    history.run()


def _run_some(history: History) -> str:
    name = history.random.choice(["silver.order_lines", "silver.orders", "silver.sales"])
    history.deliver(ORDERS, history.some_rows(ORDERS), market=1)
    history.tell(f"run {name} alone")
    history.run(name)
    return name


def run_after_death(history: History) -> None:
    """The process dies at one of its writes; then perhaps more comes, and another run takes up the work."""
    writes, is_done = history.random.randint(1, 14), history.random.random() < 0.5
    history.tell(f"dies {'after' if is_done else 'before'} write {writes}")
    with suppress(DiedError), dying(writes, is_done=is_done):
        history.run()
    if history.random.random() < 0.5:
        history.deliver(ORDERS, history.some_rows(ORDERS))
    history.run()


@contextmanager
def dying(writes: int, *, is_done: bool) -> Iterator[None]:
    """The n-th write to the lake, whoever makes it, and all that come after fail; `is_done`: the n-th is there."""
    number = iter(range(1, 1000))

    def mortal(write: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(*args: Any, **options: Any) -> Any:  # noqa: ANN401
            now = next(number)
            if now > writes or (now == writes and not is_done):
                raise DiedError
            done = write(*args, **options)
            if now == writes:
                raise DiedError
            return done

        return attempt

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in WRITES:
            patch.setattr(owner, name, mortal(getattr(owner, name)))
        yield


def run_twice_at_once(history: History) -> None:
    """Either may fail, by name; the next run finds everything in order."""
    with ThreadPoolExecutor(2) as pool:
        failures = list(pool.map(_failure, [history.a_run(), history.a_run()]))
    history.tell(f"failed: {failures}")
    history.run()


def run_beside_maintenance(history: History) -> None:
    """Both go on to their end; the next run finds what the other left."""
    one = history.a_run()
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        beside = pool.submit(_maintain, history, one.tables, patch)
        pool.submit(one.execute, one.tables).result()
        beside.result()


def _failure(one: Run) -> str:
    try:
        one.execute(one.tables)
    except LakehouseError as error:
        return str(error)
    return ""


EVENTS: tuple[Event, ...] = (
    rows_of_the_day,
    late_rows,
    rows_that_hung_behind,
    moved_order,
    full_dump,
    changed_customer,
    wrong_order,
    customer_twice,
    corrected_row,
    rewritten_file,
    touched_file,
    repeated_file,
    more_columns,
    columns_in_another_order,
    other_definition,
    rewound_table,
    somebody_elses_change,
    maintenance,
    our_maintenance,
)
ACCIDENTS: tuple[Event, ...] = (
    run_readers_later,
    run_readers_after_vacuum,
    run_after_death,
    run_twice_at_once,
    run_beside_maintenance,
)
