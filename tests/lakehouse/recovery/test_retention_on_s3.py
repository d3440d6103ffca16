"""On S3 what was loaded leaves landing, and what was replaced bronze; the next run has nothing to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse.delta.files import feed
from lakehouse.delta.tables import log, progress
from lakehouse.intake.records.ledger import Delivery
from lakehouse.recovery import retention
from lakehouse.runs.run import Run
from lakehouse.store import storage
from tests.test_retention import BRONZE, sources
from tests.toy import HEADER, Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("as_writer")
def test_what_is_older_leaves_a_bucket_and_what_was_written_over_stays(
    tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Delivery, "is_older", lambda _, days, __: days is not None)  # a store's times are its own
    root, landing = (f"s3://lakehouse/let_go/{name}" for name in ("lake", "landing"))
    tables = Toy(tmp_path, engine, sources()).tables()

    def put(name: str, *rows: str) -> None:
        storage.put(landing, f"market_1/2024-01-0{name}.csv", "\n".join([HEADER, *rows]).encode())

    def run() -> list[str]:
        return [one.decision.path for one in Run(root, landing, tables, engine=engine).execute(tables).done]

    put("1/first", "7,A,1,1.00")
    put("2/newest", "7,A,2,1.00")
    run()
    put("2/newest", "7,A,2,1.00", "8,A,2,1.00")
    done = retention.remove(root, landing, tables, {}, lambda: engine)
    assert [(one.rows, one.deliveries, one.files, one.problem) for one in done] == [(1, 1, 0, ""), (0, 0, 1, "")]
    assert [one.path for one in storage.list_files(landing)] == ["market_1/2024-01-02/newest.csv"]
    assert "load" in run()
    assert run() == ["nothing"] * len(tables)
    assert feed.read(progress.address(root, BRONZE)).num_rows == 3
    assert log.harm(progress.address(root, BRONZE)) == ""
