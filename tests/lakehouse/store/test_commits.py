"""How much a table changed: from logs written by hand, and beside Spark's own answer for every kind of commit."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse.contract import Contract
from lakehouse.graph import Table
from lakehouse.store import commits
from lakehouse.store.commits import Written
from lakehouse.store.progress import Input
from lakehouse.writes import units
from lakehouse.writes.lake import PROPERTIES, Lake
from tests.logs import commit, deleted, forget, rows, schema

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


def test_rows_files_and_bytes_of_new_files_are_counted(tmp_path: Path) -> None:
    commit(tmp_path, rows(10, path="first"))
    commit(tmp_path, rows(3, path="a", size=100), rows(4, path="b", size=20))
    commit(tmp_path, rows(5, path="c", size=3))
    assert commits.written(str(tmp_path), 0, 2) == Written(12, 0, 12, 3, 123, 2)
    assert commits.written(str(tmp_path), 1, 2) == Written(5, 0, 5, 1, 3, 1)


def test_a_deletion_vector_deletes_rows_and_writes_none(tmp_path: Path) -> None:
    commit(tmp_path, rows(10, path="first"))
    commit(tmp_path, rows(10, path="first", hidden=4), deleted(10, path="first"))
    commit(tmp_path, rows(10, path="first", hidden=7), deleted(10, path="first", hidden=4), rows(2, path="new"))
    assert commits.written(str(tmp_path), 0, 1) == Written(0, 4, 4, 0, 0, 1)
    assert commits.written(str(tmp_path), 1, 2) == Written(2, 3, 3, 1, 1, 1)


def test_an_overwrite_writes_and_deletes_all(tmp_path: Path) -> None:
    commit(tmp_path, rows(10, path="first", hidden=1))
    commit(tmp_path, rows(11, path="second"), deleted(10, path="first", hidden=1))
    assert commits.written(str(tmp_path), 0, 1) == Written(11, 9, 11, 1, 1, 1)


def test_optimize_properties_and_progress_are_no_change(tmp_path: Path) -> None:
    commit(tmp_path, rows(10, path="first"))
    commit(tmp_path, rows(10, path="second", data_change=False), operation="OPTIMIZE")
    commit(tmp_path, schema(), operation="SET TBLPROPERTIES")
    commit(tmp_path)
    assert commits.written(str(tmp_path), 0, 3) == Written(commits=3)


def test_what_a_log_does_not_say_is_not_known(tmp_path: Path) -> None:
    commit(tmp_path, rows(10, path="first"))
    commit(tmp_path, rows(path="uncounted"), rows(1, path="counted"))
    assert commits.written(str(tmp_path), 0, 1) == Written(None, 0, None, 2, 2, 1)
    forget(tmp_path, commits=2)
    assert commits.written(str(tmp_path), 0, 1) is None


def test_the_rows_of_the_inputs_are_those_of_their_versions(tmp_path: Path) -> None:
    for count in (10, 5):
        commit(tmp_path / "silver/orders", rows(count, path=str(count)))
    commit(tmp_path / "silver/agents", rows(7))
    inputs = {"silver.orders": Input(0, "one"), "silver.agents": Input(0, "one"), "conf.markets": Input("hash")}
    assert commits.rows_of(str(tmp_path), inputs) == 17
    commit(tmp_path / "silver/agents", rows(path="uncounted"))
    assert commits.rows_of(str(tmp_path), inputs | {"silver.agents": Input(1, "one")}) is None


# beside Spark

KEYS = "market int, order_id bigint, customer_id bigint, ordered_at timestamp"
OF_UNIT: dict[str, dict[str, Any]] = {
    "carried": {"unit": ["market", "order_id"]},
    "derived": {
        "unit": ["market", "order_date"],
        "inputs": {"silver.orders": {"unit": {"order_date": "to_date(ordered_at)"}}},
    },
    "through": {
        "unit": ["market", "order_id"],
        "inputs": {"silver.customers": {"through": "silver.orders", "on": ["market", "customer_id"]}},
    },
}


def a_table(kind: str) -> Table:
    types = {"market": "int", "order_id": "bigint", "order_date": "date"}
    promise = {
        "owner": "tests",
        "description": "units",
        "write": "refresh",
        "grain": OF_UNIT[kind]["unit"],
        "columns": {name: {"type": type_, "meaning": "a unit"} for name, type_ in types.items()},
    }
    parents = ("silver.customers", "silver.orders") if kind == "through" else ("silver.orders",)
    return Table("gold.sales", Contract.model_validate(promise | OF_UNIT[kind]), ModuleType("gold"), parents, "one")


class Orders:
    """silver.orders and silver.customers as Spark writes them, with every kind of commit that a run makes."""

    def __init__(self, root: Path, spark: SparkSession) -> None:
        self.root, self.spark, self.lake = str(root), spark, Lake(str(root))
        hours = "timestamp'2024-01-01' + make_interval(0, 0, 0, 0, cast(id as int))"
        self.write(
            "silver.orders", spark.range(100).selectExpr(*self.columns("id", "id % 10", hours)), mode="overwrite"
        )
        customers = spark.range(10).selectExpr("1 as market", "id as customer_id", "'WEB' as platform")
        self.write("silver.customers", customers, mode="overwrite")

    def columns(self, order: str, customer: str, at: str) -> list[str]:
        values = zip(("1", order, customer, at), KEYS.split(", "), strict=True)
        return [f"cast({value} as {column.split()[1]}) as {column.split()[0]}" for value, column in values]

    def write(self, name: str, frame: Any, **how: str) -> None:  # noqa: ANN401
        mode = how.pop("mode", "overwrite")
        frame.coalesce(1).write.format("delta").options(**PROPERTIES, **how).mode(mode).save(
            self.lake.spark_address(name)
        )

    def sql(self, statement: str, name: str = "silver.orders") -> None:
        self.spark.sql(statement.replace("TABLE", f"delta.`{self.lake.spark_address(name)}`"))

    def change(self) -> None:
        moved = self.spark.range(5).selectExpr(*self.columns("id", "3", "timestamp'2024-02-01'"))
        self.write("silver.orders", moved, replaceUsing="market,order_id")
        self.sql("delete from TABLE where order_id in (50, 51)")
        self.sql("optimize TABLE")
        self.sql(
            "merge into TABLE t using (select 60L as id) s on t.order_id = s.id "
            "when matched then update set customer_id = null"
        )
        more = self.spark.range(200, 203).selectExpr(*self.columns("id", "id % 10", "timestamp'2024-03-01'"))
        self.write("silver.orders", more, mode="append")
        self.sql("update TABLE set platform = 'IOS' where customer_id = 7", "silver.customers")

    def moved(self, table: Table) -> dict[str, tuple[int, int]]:
        states = {name: self.lake.state(name) for name in table.parents}
        return {name: (0, state.version) for name, state in states.items() if state}

    def units(self, table: Table) -> tuple[int | None, int]:
        """Without a JVM, and by Spark."""
        moved = self.moved(table)
        inputs = {name: Input(until, "one") for name, (_, until) in moved.items()}
        feeds = {name: self.lake.changes(self.spark, name, *span) for name, span in moved.items()}
        frames = {name: self.lake.read(self.spark, name) for name in moved}
        return commits.units(self.root, table, inputs, moved), units.touched(table, feeds, frames).count()


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Orders:
    made = Orders(tmp_path_factory.mktemp("orders"), spark)
    made.change()
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "expected"), [("carried", 11), ("derived", 4), ("through", 21)])
def test_units_are_counted_as_spark_counts_them(orders: Orders, kind: str, expected: int) -> None:
    assert orders.units(a_table(kind)) == (expected, expected)


@pytest.mark.slow
def test_the_rows_that_came_and_went_are_those_of_the_change_feed(orders: Orders) -> None:
    until = orders.moved(a_table("carried"))["silver.orders"][1]
    feed = orders.lake.changes(orders.spark, "silver.orders", 0, until)
    kinds = {row["_change_type"]: row["count"] for row in feed.groupBy("_change_type").count().collect()}
    written = commits.written(f"{orders.root}/silver/orders", 0, until)
    assert written
    assert (written.rows, written.deleted) == (
        kinds["insert"] + kinds["update_postimage"],
        kinds["delete"] + kinds["update_preimage"],
    )
    assert (written.rows, written.deleted, written.changed) == (9, 8, 11)


@pytest.mark.slow
def test_sql_that_only_spark_knows_leaves_the_units_unknown(orders: Orders) -> None:
    table = a_table("derived")
    reach = {"silver.orders": {"unit": {"order_date": "make_dt_interval(1)"}}}
    promise = table.contract.model_copy(
        update={"inputs": Contract.model_validate(table.contract.model_dump(by_alias=True) | {"inputs": reach}).inputs}
    )
    changed = Table(table.name, promise, table.module, table.inputs, table.fingerprint)
    assert commits.units(orders.root, changed, {"silver.orders": Input(1, "one")}, {"silver.orders": (0, 1)}) is None
