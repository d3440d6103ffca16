"""The sample store exports through the tables, day by day: their own truth, a rebuild, and the oracle agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.samples import stores
from lakehouse import graph
from lakehouse.delta.files import feed
from lakehouse.runs.run import Run
from lakehouse.writes.lake import Lake
from tests.oracle.recompute import recompute_all

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table

GOLD = ("store_activity_daily", "store_lifespan", "subscription_revenue_daily")


def test_a_day_depends_on_the_settings_only(tmp_path: Path) -> None:
    one, other = (stores.generate(tmp_path / name, stores=20) for name in ("one", "other"))
    assert [path.read_bytes() for path in one.files] == [path.read_bytes() for path in other.files]
    more = stores.generate(tmp_path / "more", stores=20, seed=8)
    assert one.files[0].read_bytes() != more.files[0].read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, *(pytest.param(one, marks=pytest.mark.long) for one in range(2, 12))])
def test_day_by_day_the_tables_hold_the_truth_and_what_duckdb_makes_of_all_files(
    seed: int, tables: dict[str, Table], engine: Native, tmp_path: Path
) -> None:
    truth = stores.generate(tmp_path / "exports", seed=seed)
    landing, lake = tmp_path / "landing", Lake(str(tmp_path / "lake"))
    chosen = graph.selected(tables, [f"gold.{name}" for name in GOLD])
    for path in truth.files:
        to = landing / path.relative_to(tmp_path / "exports")
        to.parent.mkdir(parents=True, exist_ok=True)
        path.rename(to)
        Run(lake.root, str(landing), tables, engine=engine).execute(chosen)
    rows = {name: feed.read(lake.address(name)).to_pylist() for name in chosen}
    assert len(rows["silver.stores"]) == truth.stores
    assert len(rows["silver.store_installs"]) == truth.installs
    assert len(rows["silver.store_subscriptions"]) == truth.subscriptions
    assert sum(row["cash_revenue"] for row in rows["gold.subscription_revenue_daily"]) == truth.cash
    assert feed.read(lake.address("silver.stores__rejected")).num_rows == truth.rejected_stores
    for name, expected in recompute_all(landing, GOLD).items():
        assert sorted(map(str, rows[f"gold.{name}"])) == sorted(map(str, expected)), name
