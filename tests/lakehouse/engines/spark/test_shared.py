"""Folders that machines have each for itself: Java's workers here stay in its folder when this process goes to another.

A cluster of which one machine has its own: tests/jobs/test_spark_submit.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse.engines.spark import shared
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.spark.engine import Spark


@pytest.mark.spark
def test_a_folder_that_workers_do_not_see_is_refused_unless_it_is_landings_and_empty(
    on_spark: Spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    context, lake, landing = on_spark.spark.sparkContext, str(tmp_path / "lake"), str(tmp_path / "landing")
    (tmp_path / "landing").mkdir()
    shared.check(context, lake, "landing", frozenset())
    (tmp_path / "landing" / "Orders.csv").touch()
    asked = shared.check(context, lake, landing, frozenset())
    for role, places in {"lake": ("lake", landing), "landing": (lake, "landing")}.items():
        with pytest.raises(LakehouseError, match=f"do not share the {role} folder {role}: what is in it here is not"):
            shared.check(context, *places, frozenset())
        assert shared.check(context, *places, asked) == asked  # who was asked is not asked again
        on_spark.check_shared(*places)  # Java's own process is the only machine
    shared.check(context, "s3://lake", "s3://landing", frozenset())
    assert [*(tmp_path / "lake").iterdir()] == []
