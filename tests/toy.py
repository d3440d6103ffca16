"""A small real lake in a folder: one delivered source, its silver documents, and what is made from them."""

from __future__ import annotations

import atexit
import importlib.util
import os
import re
import shutil
import tempfile
import textwrap
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from deltalake import DeltaTable

from lakehouse import conf, graph
from lakehouse.contract import Contract
from lakehouse.delta.tables import log, progress
from lakehouse.delta.tables.progress import Input
from lakehouse.intake.records import ledger
from lakehouse.runs.run import Run
from lakehouse.writes.lake import Lake

if TYPE_CHECKING:
    from lakehouse.audit.turns import Done
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

SOURCES = {
    "bronze.orders": (
        """
        owner: tests
        description: order rows as delivered
        write: append
        grain: [_file, _row]
        source: {files: ["market_{market:int}/{date}/*.csv", "market_{market:int}/*.csv"], format: csv, blank: ["-"]}
        columns:
          market: {type: int, meaning: of the folder}
          order_id: {type: string, meaning: the order}
          product: {type: string, meaning: what}
          quantity: {type: string, meaning: how many}
          price: {type: string, meaning: of one}
        """,
        "def build(landing):\n    return landing\n",
    ),
    "silver.order_lines": (
        """
        owner: tests
        description: lines of orders
        write: latest
        grain: [market, order_id, line_number]
        unit: [market, order_id]
        position: line_number
        columns:
          market: {type: int, meaning: of the folder}
          order_id: {type: bigint, from: order_id, meaning: the order}
          line_number: {type: int, meaning: place in the order}
          product: {type: string, meaning: what}
          quantity: {type: int, from: quantity, required: true, meaning: how many}
          price: {type: "decimal(18,2)", from: price, meaning: of one}
        """,
        """
        from lakehouse.transforms import exact_decimal, whole_number

        def build(bronze_orders):
            return bronze_orders.select(
                "market",
                whole_number("order_id").alias("order_id"),
                "product",
                whole_number("quantity", "int").alias("quantity"),
                exact_decimal("price", 18, 2).alias("price"),
                "_source",
            )
        """,
    ),
    "silver.orders": (
        """
        owner: tests
        description: orders
        write: refresh
        grain: [market, order_id]
        unit: [market, order_id]
        columns:
          market: {type: int, meaning: of the folder}
          order_id: {type: bigint, meaning: the order}
          units: {type: bigint, meaning: how many}
        """,
        """
        from pyspark.sql import functions as F

        def build(silver_order_lines):
            return silver_order_lines.groupBy("market", "order_id").agg(F.sum("quantity").alias("units"))
        """,
    ),
    "gold.totals": (
        """
        owner: tests
        description: one row per market
        write: replace
        grain: [market]
        columns:
          market: {type: int, meaning: of the folder}
          units: {type: bigint, meaning: how many}
        """,
        """
        from pyspark.sql import functions as F

        def build(silver_orders):
            return silver_orders.groupBy("market").agg(F.sum("units").alias("units"))
        """,
    ),
}
HEADER = "order_id,product,quantity,price"


def with_vectors(sources: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """The same tables, of which replaced rows are hidden by deletion vectors instead of copying their files."""
    promised = {
        name: re.sub(r"( *)owner: tests\n", r"\g<0>\1vectors: true\n", text) for name, (text, _) in sources.items()
    }
    return {
        name: (text if name.startswith("bronze.") else promised[name], code) for name, (text, code) in sources.items()
    }


@dataclass
class Toy:
    """`deliver` files, `run`, and look; `sources` may be changed between runs, as a developer would.

    `accepted`: the files that conf/accepted.yml would name for the lines.
    """

    folder: Path
    engine: Engine
    sources: dict[str, tuple[str, str]] = field(default_factory=lambda: dict(SOURCES))
    clock: int = 1_700_000_000
    accepted: tuple[str, ...] = ()

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"))

    def tables(self) -> dict[str, Table]:
        """The tables as their sources now say; each definition is a module of its own."""
        found: dict[str, Table] = {}
        contracts = {name: Contract.model_validate(conf.parse(text)) for name, (text, _) in self.sources.items()}
        for name, (_, code) in self.sources.items():
            path = self.folder / f"{name.replace('.', '_')}_{abs(hash(code))}.py"
            path.write_text(textwrap.dedent(code), encoding="utf-8")
            spec = importlib.util.spec_from_file_location(path.stem, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            accepted = self.accepted if name == "silver.order_lines" else ()
            found[name] = graph.table(name, contracts[name], contracts, module, accepted)
        return found

    def deliver(self, name: str, *rows: str, day: int | None = None, market: int = 1, header: str = HEADER) -> Path:
        """A file of the market, in the folder of its day or without one; each is one second newer than the last."""
        folder = self.landing / f"market_{market}" / (f"2024-01-{day:02}" if day else "")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_text("\n".join([header, *rows]), encoding="utf-8")
        self.clock += 1
        os.utime(path, (self.clock, self.clock))
        return path

    def run(self, *names: str) -> dict[str, Done]:
        tables = self.tables()
        run = Run(str(self.folder / "lake"), str(self.landing), tables, engine=self.engine)
        report = run.execute(graph.selected(tables, names))
        return {done.decision.table: done for done in report.done}

    def copied(self, folder: Path) -> Toy:
        """The same lake elsewhere, and its landing with the times of its files."""
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder, sources=dict(self.sources))

    def opened(self, name: str) -> DeltaTable:
        """The table, as somebody else's writer has it."""
        return DeltaTable(self.lake.address(name))

    def versions(self) -> dict[str, int]:
        states = {name: self.lake.state(name) for name in self.sources}
        return {name: state.version for name, state in states.items() if state}

    def point(self) -> dict[str, Input]:
        """Every table that there is, its quarantine and the ledger, as they stand: what a release says."""
        names = [one for name in self.sources for one in (name, progress.rejected(name))]
        found = {name: log.snapshot(self.lake.address(name)) for name in (*names, ledger.FILES)}
        return {name: Input(one.version, one.id) for name, one in found.items() if one}

    def rows(self, name: str, *columns: str) -> list[tuple[object, ...]]:
        """The table's rows, sorted; without the evidence columns."""
        state = self.lake.state(name)
        assert state is not None
        frame = self.lake.read(self.engine, name, state.version)
        wanted = columns or [column for column in frame.columns if not column.startswith("_")]
        return sorted((tuple(row) for row in frame.select(*wanted).collect()), key=str)

    def rejected(self) -> list[tuple[object, ...]]:
        return self.rows("silver.order_lines__rejected", "order_id", "rules", "_file", "_row")

    def changes(self, name: str, since: int) -> list[tuple[object, ...]]:
        """The change feed of the versions after `since`, as (kind, key...)."""
        state = self.lake.state(name)
        assert state is not None
        feed = self.engine.changes(self.lake.address(name), since, state.version)
        keys = [column for column in feed.columns if column in {"market", "order_id", "line_number"}]
        return sorted({tuple(row) for row in feed.select("_change_type", *keys).collect()}, key=str)


def of_monday(folder: Path, engine: Engine) -> Toy:
    """After its first run: the orders 7, of two lines, and 8."""
    made = _of_monday(engine)  # type: ignore[arg-type]
    shutil.copytree(made.folder, folder, dirs_exist_ok=True)
    return replace(made, folder=folder, sources=dict(made.sources))


@cache
def _of_monday(engine: Engine) -> Toy:
    """Run once by a process: a copy is there in a tenth of the time."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    toy = Toy(Path(folder), engine)
    toy.deliver("monday.csv", "7,A,2,10.00", "7,B,1,1.00", "8,B,1,5.00")
    toy.run()
    return toy
