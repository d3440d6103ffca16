"""The lineage of a table's columns: derived once for each definition, also beside Spark, and kept."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lakehouse import engines
from lakehouse.lineage import columns
from lakehouse.lineage.origins import FILTER, GROUP_BY, SORT, TRANSFORMATION
from tests.toy import Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table

pytestmark = pytest.mark.slow
SOLD = "gold.payment_mix"


@pytest.mark.usefixtures("engine")
def test_beside_spark_a_process_of_its_own_derives_it_and_a_second_time_nobody(
    tables: dict[str, Table], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path))
    monkeypatch.setattr(columns, "_known", {})
    found = columns.of(tables, [SOLD], engines.SPARK)
    assert found == {SOLD: columns.derived(tables[SOLD], tables)}
    monkeypatch.setattr(columns, "_known", {})
    monkeypatch.setattr(subprocess, "run", None)
    monkeypatch.setattr(columns, "derived", None)
    assert columns.of(tables, [SOLD], engines.SPARK) == columns.of(tables, [SOLD]) == found


def test_what_the_rules_of_silver_read_decides_which_of_its_rows_there_are(tmp_path: Path, engine: Native) -> None:
    tables = Toy(tmp_path, engine).tables()
    lineage = columns.derived(tables["silver.order_lines"], tables)
    assert lineage.columns["quantity"]["bronze.orders", "quantity"] >= {TRANSFORMATION}
    assert "line_number" not in lineage.columns  # the core's own: the place of a row among those of its document
    ways = {column: some for (_, column), some in lineage.rows.items()}
    assert ways["quantity"] == ways["_problem"] == {FILTER}
    assert ways["order_id"] == {FILTER, GROUP_BY}
    assert ways["_sequence"] == {SORT}
    assert "product" not in ways


def test_a_table_that_cannot_be_built_is_not_known_and_says_why(tmp_path: Path, engine: Native) -> None:
    toy = Toy(tmp_path, engine)
    promise, code = toy.sources["silver.order_lines"]
    toy.sources["silver.order_lines"] = promise, code.replace('"product",\n', "")
    tables = toy.tables()
    assert "promises {'product': 'string'}" in columns.derived(tables["silver.order_lines"], tables).unknown
