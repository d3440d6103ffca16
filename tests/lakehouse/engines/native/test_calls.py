"""What a turn costs natively, as far as it can be counted: calls of the server, most of a small turn's time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from pyspark.sql.connect.client.core import SparkConnectClient

from tests.toy import Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

MOST_ANALYZED, MOST_EXECUTED = 12, 4  # of a turn that computes some units
MOST_OF_A_LATEST = 8  # executed: it also judges, accounts for rows, and looks at the quarantine


@pytest.mark.slow
def test_a_small_turn_asks_the_server_a_few_times(
    tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = Toy(tmp_path, engine)
    contract, code = toy.sources["silver.order_lines"]
    identity = "identity: {columns: [product]}\n        position:"
    toy.sources["silver.order_lines"] = (contract.replace("position:", identity), code)
    toy.deliver("many.csv", *(f"{order},A,1,1.00" for order in range(100)), day=1)
    toy.run()
    toy.deliver("change.csv", "50,A,7,1.00", day=2)
    toy.run("bronze.orders")
    calls: Counter[str] = Counter()

    def counted(name: str) -> None:
        plain = getattr(SparkConnectClient, name)

        def count(*arguments: object, **named: object) -> object:
            calls[name] += 1
            return plain(*arguments, **named)

        monkeypatch.setattr(SparkConnectClient, name, count)

    for name in ("_analyze", "_execute_and_fetch_as_iterator", "config"):
        counted(name)
    executed = {}
    for table in ("silver.order_lines", "silver.orders", "gold.totals"):
        calls.clear()
        assert toy.run(table)[table].decision.does_something
        executed[table] = calls["_execute_and_fetch_as_iterator"]
        assert calls["_analyze"] <= MOST_ANALYZED, table
        assert calls["config"] <= 1, table
    assert executed["silver.order_lines"] <= MOST_OF_A_LATEST
    assert executed["silver.orders"] <= MOST_EXECUTED
    assert executed["gold.totals"] <= MOST_EXECUTED
