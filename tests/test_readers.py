"""Other programs read what both engines wrote, by the lines of `lakehouse connect`, as `lakehouse sql` does."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from lakehouse import Lake, engines, graph
from lakehouse.serving import connect
from tests import duck, real
from tests.alike import assert_alike
from tests.real import OF_EACH_KIND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lakehouse.engines.spark.engine import Spark
    from tests.real import Built, Continued

pytestmark = [pytest.mark.slow, pytest.mark.spark]
GOLD, SILVER = ([name for name in real.filled() if name.startswith(layer)] for layer in ("gold.", "silver."))
TO_ARROW: dict[str, Callable[[Any, pa.Schema], pa.Table]] = {
    "polars": lambda rows, _: rows.to_arrow(),
    "pandas": lambda rows, schema: pa.Table.from_pandas(rows, schema, preserve_index=False),
    "pyarrow": lambda rows, _: rows if isinstance(rows, pa.Table) else pa.table(rows),
    "deltalake": lambda rows, _: pa.table(rows),
    "spark": lambda rows, _: rows.toArrow(),
}


@pytest.fixture(scope="module")
def expected(few_by_native: Built, continued: Continued) -> Iterator[dict[tuple[str, str], pa.Table]]:
    """By lake and table what `lakehouse sql` answers; contracts are read once for all lines."""
    every, by_spark, by_native = (
        Lake.open(one.lake.root, engine=engines.NATIVE)
        for one in (few_by_native, continued.by_spark, continued.by_native)
    )
    wanted = [(every, name) for name in (*GOLD, *SILVER)]
    wanted += [(lake, name) for lake in (by_spark, by_native) for name in OF_EACH_KIND[1:]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "load", cache(graph.load))
        yield {(lake.root, name): lake.sql(f"select * from {name}") for lake, name in wanted}


@pytest.mark.parametrize("program", [one for one in TO_ARROW if one != "spark"])
def test_every_table_of_gold_and_silver(program: str, expected: dict[tuple[str, str], pa.Table]) -> None:
    """Those that hide rows by vectors too: what cannot read them is given rows by `Lake`, alike for all of them."""
    for (root, name), rows in expected.items():
        if name in SILVER[1:] and program in {"pandas", "pyarrow"}:
            continue
        assert_alike(read(program, root, name, rows.schema), rows, f"{program} {name}")


def read(program: str, root: str, name: str, schema: pa.Schema) -> pa.Table:
    scope: dict[str, Any] = {"print": lambda *_, **__: None}
    exec(connect.lines(root, program, name), scope)  # noqa: S102  what one is told to do
    return TO_ARROW[program](scope["rows"], schema)


def test_spark_sql_in_any_session(on_spark: Spark, expected: dict[tuple[str, str], pa.Table]) -> None:
    assert on_spark.spark
    for (root, name), rows in expected.items():
        if name in OF_EACH_KIND and name in GOLD:
            assert_alike(read("spark", root, name, rows.schema), rows, name)


def test_duckdb(expected: dict[tuple[str, str], pa.Table], tmp_path: Path) -> None:
    """In one process of its own environment: each script writes its rows to a file."""
    files = {key: tmp_path / f"{number}.arrow" for number, key in enumerate(expected)}
    subprocess.run([duck.python(), "-c", "\n".join(scripts(files))], check=True, capture_output=True)
    for key, file in files.items():
        assert_alike(pa.ipc.open_file(file).read_all(), expected[key], key[1])


def scripts(files: dict[tuple[str, str], Path]) -> Iterator[str]:
    yield "import pyarrow as pa"
    for (root, name), file in files.items():
        yield connect.lines(root, "duckdb", name)
        yield f"found = rows.to_arrow_table()\nwith pa.ipc.new_file({str(file)!r}, found.schema) as file:"
        yield "    file.write_table(found)"
