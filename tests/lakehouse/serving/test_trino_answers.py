"""The real Trino on gold, in a folder and on S3: it answers as `lakehouse sql`, follows releases, nobody writes."""

from __future__ import annotations

import json
import shutil
import socket
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from jobs.samples import daily
from lakehouse import Lake, engines, graph
from lakehouse.delta.commits import committer, ops
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.runs.run import Run
from lakehouse.serving import connect
from lakehouse.serving.trino import schemas, server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from trino.dbapi import Connection

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.protocol import Engine
    from lakehouse.serving.trino.schemas import Trino

pytestmark = [pytest.mark.long, pytest.mark.slow]
DELIVERED = {"bronze.orders", "bronze.customers", "bronze.deliveries"}  # of other tables none comes into being
GOLD = [name.partition(".")[2] for name, one in graph.load().items() if name[:4] == "gold" and one.serves & DELIVERED]
LAST = "2022-01-05"
BY_SPARK = ("gold.daily_sales", "gold.fact_sales", "gold.basket_pairs")  # with all that they are made from
ROWS = pa.table({"market": pa.array([1, 2], pa.int32()), "orders": [417, 528], "_digest": [7, 8]})
WRITES = (
    "insert into {0}.daily_sales select * from gold_live.daily_sales",
    "delete from {0}.daily_sales",
    "update {0}.daily_sales set orders = 0",
    "truncate table {0}.daily_sales",
    "drop table {0}.daily_sales",
    "alter table {0}.daily_sales execute optimize",
    "alter table {0}.daily_sales add column n integer",
    "analyze {0}.daily_sales",
    "comment on table {0}.daily_sales is 'x'",
    "create table {0}.other as select 1 as n",
    "create or replace view {0}.daily_sales as select 1 as n",
    "drop view {0}.daily_sales",
    "create schema other",
    "drop schema {0} cascade",
    "call lake.system.register_table('{0}', 'other', '{1}')",
    "call lake.system.unregister_table('{0}', 'daily_sales')",
    "call lake.system.vacuum('{0}', 'daily_sales', '7d')",
    "grant delete on {0}.daily_sales to user reader",
    "show create schema {0}",
    "select * from publisher.gold.daily_sales",
)


@contextmanager
def running(root: str) -> Iterator[tuple[Trino, Connection]]:
    """A server that shows the lake's releases, and somebody who asks it."""
    dbapi = pytest.importorskip("trino.dbapi", reason="needs trino, of the group readers")
    try:
        server.java()
    except LakehouseError as error:
        pytest.skip(str(error))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with server.running(root, port, print) as (trino, _):
        schemas.follow(trino, root, 30)
        yield trino, dbapi.connect(host="127.0.0.1", port=port, user="reader", catalog="lake", schema="gold")


def asked(of: Connection, statement: str) -> Counter[tuple[str, ...]]:
    cursor = of.cursor()
    cursor.execute(statement)
    return counted(cursor.fetchall())


def counted(rows: Iterable[Iterable[Any]]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(_text(value) for value in row) for row in rows)


def _text(value: Any) -> str:  # noqa: ANN401
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else repr(value)


def done(of: Connection, schema: str, place: str) -> list[str]:
    """The statements that somebody got through; of a view some make no sense, all others he may not."""
    from trino.exceptions import TrinoQueryError  # noqa: PLC0415  of a group that need not be there

    through = []
    for statement in WRITES:
        with suppress(TrinoQueryError):
            asked(of, statement.format(schema, place))
            through.append(statement)
    return through


@pytest.mark.spark
def test_it_answers_as_sql_does_and_follows_what_both_engines_release(
    tmp_path: Path, engine: Native, request: pytest.FixtureRequest
) -> None:
    root, landing, tables = str(tmp_path / "a lake"), tmp_path / "landing", graph.load()
    daily.generate(landing, lines=300, days=3)
    later = [one for one in landing.rglob("*") if one.is_file() and LAST in str(one)]
    for one in later:
        (tmp_path / "later" / one.relative_to(landing)).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(one, tmp_path / "later" / one.relative_to(landing))

    def run(by: Engine, *names: str) -> None:
        Run(root, str(landing), tables, engine=by).execute(graph.selected(tables, names))

    run(engine)
    releases.publish(root, tables)
    with running(root) as (trino, reader):
        then = {name: asked(reader, f"select * from {name}") for name in GOLD}
        for one in later:
            shutil.move(tmp_path / "later" / one.relative_to(landing), one)
        run(request.getfixturevalue("on_spark"), *BY_SPARK)
        run(engines.start(engine.name))
        releases.publish(root, tables)
        assert asked(reader, "select * from gold.daily_sales") == then["daily_sales"]
        schemas.follow(trino, root, 30)
        lake = Lake.open(root, engine=engines.NATIVE)
        for number, schema in ((1, "gold_r1"), (2, "gold_r2"), (2, "gold"), (2, "gold_live")):
            for name in GOLD:
                rows = lake.sql(f"select * from gold.{name}", release=number).to_pylist()
                found = asked(reader, f"select * from {schema}.{name}")
                assert found == counted(row.values() for row in rows), f"{schema}.{name}"
        rows = lake.sql("select * from gold_local.daily_sales", release=2).to_pylist()
        assert asked(reader, "select * from gold_local.daily_sales") == counted(row.values() for row in rows)
        scope: dict[str, Any] = {"print": lambda *_, **__: None}
        script = connect.lines(root, "trino", "gold.fact_sales").replace("8080", str(reader.port))
        exec(script, scope)  # noqa: S102  what one is told to do
        assert counted(scope["rows"]) == asked(reader, "select * from gold.fact_sales")
        for schema in ("gold", "gold_r1", "gold_live", "gold_local"):
            assert done(reader, schema, "local:///lake/gold/agents") == []
        assert asked(reader, "select distinct user from system.runtime.queries") == counted([["reader"]])
        with pytest.raises(LakehouseError, match=r"Trino does not do `select nothing`: .*nothing"):
            trino.ask("select nothing")
        schemas.follow(trino, root, 0)
        assert asked(reader, "show schemas like 'gold%'") == counted(
            [["gold"], ["gold_live"], ["gold_local"], ["gold_r2"]]
        )


@pytest.mark.usefixtures("as_writer")
def test_on_s3_nobody_writes_even_where_its_account_may() -> None:
    root = "s3://lakehouse/shown"
    table = Target(progress.address(root, "gold.daily_sales"), ROWS.schema)
    committer.overwrite(table, -1, ROWS, None)
    stored = log.snapshot(table.address)
    assert stored
    row = {"number": 1, "published_at": datetime.now(UTC), "moved": 1, "tables": json.dumps({"gold.daily_sales": 0})}
    row |= {"ids": json.dumps({"gold.daily_sales": stored.id})} | dict.fromkeys(("run", "engine", "code"), "")
    ops.append(root, releases.RELEASES, releases.TYPES, [row | dict.fromkeys(("quality", "despite"), "{}")])
    committer.overwrite(table, 0, ROWS.slice(1), None)
    with running(root) as (_, reader):
        answers = [asked(reader, f"select orders from {one}.daily_sales") for one in ("gold", "gold_r1", "gold_live")]
        assert answers == [counted([[417], [528]]), counted([[417], [528]]), counted([[528]])]
        for schema in ("gold", "gold_live"):
            assert done(reader, schema, f"{root}/gold/daily_sales") == []
    now = log.snapshot(table.address)
    assert now
    assert now.version == 1
