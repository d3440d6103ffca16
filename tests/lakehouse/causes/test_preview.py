"""What a changed definition would change is shown before anything of the lake is written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakehouse.causes import preview
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.runs.run import Run
from lakehouse.store import minio, storage
from tests.toy import Toy, of_monday

if TYPE_CHECKING:
    from lakehouse.causes.diff import Difference
    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark

pytestmark = pytest.mark.slow
LINES, ORDERS, TOTALS = "silver.order_lines", "silver.orders", "gold.totals"


@pytest.fixture
def toy(tmp_path: Path, engine: Native) -> Toy:
    toy = of_monday(tmp_path, engine)
    toy.deliver("tuesday.csv", "9,C,two,1.00", "8,B,3,5.00")
    toy.run()
    releases.publish(toy.lake.root, toy.tables())
    return toy


def previewed(toy: Toy) -> list[Difference]:
    return preview.preview(toy.lake.root, toy.tables(), toy.engine, lambda _: None)


def files(toy: Toy) -> set[Path]:
    return {path for path in Path(toy.lake.root).rglob("*") if path.is_file()}


def assert_a_rule_is_previewed(toy: Toy) -> None:
    """No order 8, of what was released: what was delivered since does not count."""
    toy.deliver("wednesday.csv", "10,D,9,1.00")
    contract, code = toy.sources[LINES]
    rule = 'rules: {no_eight: {check: "order_id <> 8", severity: reject, why: a test}}\n'
    toy.sources[LINES] = (f"{contract.rstrip()}\n        {rule}", code)
    before = files(toy)
    found = previewed(toy)
    counted = {one.table: (one.added, one.changed, one.removed) for one in found}
    assert counted == {f"{LINES}__rejected": (1, 0, 0), LINES: (0, 0, 1), ORDERS: (0, 0, 1), TOTALS: (0, 1, 0)}
    assert files(toy) == before
    assert found[-1].most


def test_a_changed_definition_is_computed_beside_the_lake(toy: Toy) -> None:
    assert_a_rule_is_previewed(toy)


@pytest.mark.long
@pytest.mark.spark
def test_spark_computes_a_changed_definition_beside_the_lake_as_well(toy: Toy, on_spark: Spark) -> None:
    assert_a_rule_is_previewed(replace(toy, engine=on_spark))


def test_where_nothing_changed_nothing_would(tmp_path: Path, engine: Native) -> None:
    toy = of_monday(tmp_path, engine)
    with pytest.raises(LakehouseError, match=r"has no release to compare with\. Make the first: `lakehouse publish`"):
        previewed(toy)
    releases.publish(toy.lake.root, toy.tables())
    assert previewed(toy) == []


def test_a_rule_that_would_stop_a_table_says_so(toy: Toy) -> None:
    contract, code = toy.sources[TOTALS]
    few = "{agrees_with: silver.orders, this: sum(units), that: sum(units) + 1, severity: stop, why: a test}"
    toy.sources[TOTALS] = (f"{contract.rstrip()}\n        checks: {{few: {few}}}\n", code)
    before = files(toy)
    with pytest.raises(LakehouseError, match="few"):
        previewed(toy)
    assert files(toy) == before


@pytest.mark.usefixtures("as_writer")
def test_on_s3_too(tmp_path: Path, engine: Native) -> None:
    toy, root = Toy(tmp_path, engine), f"s3://{minio.BUCKET}/preview-{os.getpid()}"
    toy.deliver("monday.csv", "7,A,2,10.00")
    Run(root, str(toy.landing), toy.tables(), engine=engine).execute(toy.tables())
    releases.publish(root, toy.tables())
    contract, code = toy.sources[ORDERS]
    toy.sources[ORDERS] = (contract, code.replace('F.sum("quantity")', 'F.sum(F.col("quantity") + 1)'))
    before = {file.path for file in storage.list_files(root)}
    found = preview.preview(root, toy.tables(), engine, lambda _: None)
    assert [(one.table, one.changed) for one in found] == [(ORDERS, 1), (TOTALS, 1)]
    assert {file.path for file in storage.list_files(root)} == before
