"""Whether two lakes hold the same: tables as sums over their rows, read without Spark and without holding them.

.venv/bin/python -m tests.bench.answers LAKE OTHER
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
from deltalake import DeltaTable, QueryBuilder

from lakehouse import graph
from lakehouse.delta.tables import progress
from lakehouse.transforms import TEN_MEASURES

if TYPE_CHECKING:
    from jobs.samples.daily import Truth

COMPARED = ("silver.sales", "gold.customer_metrics", "gold.daily_sales")
# What the peers compute of a table, where that is not all of it.
OF_THE_PEERS = {
    "gold.daily_sales": (
        "market", "order_date", "order_month", "currency", "orders", "completed_orders", "revenue", "placed_value",
        "lines", "units",
    ),
    "gold.customer_metrics": ("market", "customer_id", *TEN_MEASURES),
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """Of a table: its rows, the sum of a hash of every row, and the sums of its numbers, as text."""

    rows: int
    hashes: int
    sums: dict[str, str]


def answer(lake: str, name: str) -> Answer:
    """Every column that the peers have counts, as its contract's type: they may have other integers."""
    promised = graph.load()[name].contract.columns
    types = {column: promised[column].type for column in OF_THE_PEERS.get(name, promised)}
    table = DeltaTable(progress.address(lake, name))
    # DataFusion sees deletion vectors, and gives its rows as they come.
    rows = QueryBuilder().register("t", table).execute(f"select {', '.join(types)} from t")  # noqa: F841  by name
    typed = [f"cast({column} as {_sql_type(kind)})" for column, kind in types.items()]
    numbers = {column: kind for column, kind in types.items() if kind in {"int", "bigint"} or "decimal" in kind}
    sums = ", ".join(f"sum({column})::varchar" for column in numbers)
    connection = duckdb.connect(config={"memory_limit": "2GB"})
    connection.execute("set timezone = 'UTC'")
    found = connection.execute(f"select count(*), sum(hash({', '.join(typed)})::hugeint), {sums} from rows").fetchone()
    assert found is not None
    return Answer(found[0], int(found[1] or 0), dict(zip(numbers, found[2:], strict=True)))


def _sql_type(kind: str) -> str:
    return {"string": "varchar", "timestamp": "timestamptz"}.get(kind, kind)


def differences(one: str, other: str) -> list[str]:
    """What is not the same in the tables that are compared; empty where nothing is."""
    return [f"{name}: {what}" for name in COMPARED for what in _different(answer(one, name), answer(other, name))]


def _different(one: Answer, other: Answer) -> list[str]:
    if one == other:
        return []
    wrong = [f"{one.rows} rows, {other.rows} there"] if one.rows != other.rows else []
    wrong += [
        f"{name} {value}, {other.sums[name]} there" for name, value in one.sums.items() if value != other.sums[name]
    ]
    return wrong or ["the same sums, but other rows"]


def against(truth: dict[int, Truth], lake: str) -> list[str]:
    """What the lake says else than the generator of the exports, which never reads them back."""
    statement = "select market, sum(orders), sum(lines), sum(completed_orders), sum(revenue) from t group by market"
    table = DeltaTable(progress.address(lake, "gold.daily_sales"))
    rows = QueryBuilder().register("t", table).execute(statement)  # noqa: F841
    found = {row[0]: row[1:] for row in duckdb.connect().execute("from rows").fetchall()}
    said = {
        market: (one.orders, one.order_lines, one.completed_orders, one.completed_order_total)
        for market, one in truth.items()
    }
    return [
        f"market {market}: {found.get(market)} instead of {said[market]}"
        for market in said
        if found.get(market) != said[market]
    ]


if __name__ == "__main__":
    print("\n".join(differences(*sys.argv[1:])) or "the same")  # noqa: T201
