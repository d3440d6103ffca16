"""`gold_local.*`: what gold holds, as it is written where its market is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lakehouse import engines, graph, markets
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.serving.questions import answers, local, sql
from tests.regions import LOCAL, MARKETS, ROWS

if TYPE_CHECKING:
    from lakehouse.engines.protocol import Reader
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.graph import Table

STATEMENT = "select market, at, day, amount, n from gold_local.sales order by market"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("lake"))
    kinds = (pa.int32(), pa.timestamp("us", "UTC"), pa.date32(), pa.decimal128(18, 2), pa.int64())
    names = ("market", "at", "day", "amount", "n")
    columns = zip(names, kinds, zip(*ROWS, strict=True), strict=True)
    sales = pa.table({name: pa.array(values, kind) for name, kind, values in columns})
    committer.overwrite(Target(progress.address(folder, "gold.sales"), sales.schema), -1, sales, None)
    days = sales.select(["day"])
    committer.overwrite(Target(progress.address(folder, "gold.days"), days.schema), -1, days, None)
    return folder


@pytest.fixture(autouse=True)
def _abroad(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*graph.conf_file(markets.NAME)[1], *MARKETS]
    monkeypatch.setattr(graph, "conf_file", lambda _: ("", rows))


def answer(reader: Reader, root: str, statement: str) -> list[str]:
    return [" ".join(map(str, row)) for row in sql.query(reader, root, statement).texts()]


def test_each_market_reads_its_own_clock_days_and_numbers(root: str) -> None:
    assert answer(engines.reader(), root, STATEMENT) == LOCAL


@pytest.mark.spark
def test_spark_writes_alike(on_spark: Spark, root: str) -> None:  # noqa: ARG001  which it keeps to itself
    assert answer(engines.reader(engines.SPARK), root, STATEMENT) == LOCAL


def test_local_and_plain_are_read_together(root: str) -> None:
    both = "select a.amount, b.amount from gold.sales a join gold_local.sales b on a.market = b.market"
    assert answer(engines.reader(), root, f"{both} where a.market = 49") == ["1234567.50 1.234.567,50"]
    described = answer(engines.reader(), root, "describe table gold_local.sales")
    assert described[:3] == ["market int ", "at string ", "day string "]
    with pytest.raises(LakehouseError, match=r"gold\.sales has no version 3"):
        answer(engines.reader(), root, "select * from gold_local.sales version as of 3")


def test_what_belongs_to_no_market_has_no_local_form(root: str) -> None:
    with pytest.raises(LakehouseError, match=r"^gold\.days has no column market, so it has no local form\. Read gold"):
        answer(engines.reader(), root, "select * from gold_local.days")
    assert len(answer(engines.reader(), root, "select * from gold.days")) == len(ROWS)


def test_a_table_of_gold_with_a_market_has_a_local_form(tables: dict[str, Table]) -> None:
    assert local.name(tables["gold.daily_sales"]) == "gold_local.daily_sales"
    assert [local.name(tables[one]) for one in ("gold.dim_date", "silver.orders")] == [None, None]


def test_an_answer_that_hangs_on_how_markets_write_is_not_kept() -> None:
    assert not answers.is_kept(STATEMENT)
