"""A lake may lie in a folder of any name; Sail's reader of Delta finds nothing below names that a URL would encode."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.engines import protocol
from lakehouse.engines.native import engine as native
from lakehouse.engines.native import sail
from lakehouse.errors import LakehouseError
from lakehouse.graph import HOME

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.store.minio import Account


@pytest.mark.parametrize("name", ["my lake", "größe", "a+b=c", "a#b", "what?", "[a]%20b|^\\c\n'\"d"])
def test_a_table_is_read_wherever_it_lies(
    name: str, tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(str(tmp_path / name), pa.schema({"a": pa.int64()}))
    committer.overwrite(target, -1, pa.table({"a": [1, 2]}), None)
    committer.overwrite(target, 0, pa.table({"a": [3]}), None)
    for size in (protocol.FEW_BYTES, -1):  # as a small and as a large one
        monkeypatch.setattr(native, "FEW_BYTES", size)
        found = [engine.read(target.address, version).toArrow().column("a").to_pylist() for version in (0, 1)]
        assert [sorted(one) for one in found] == [[1, 2], [3]]


FEW_OF = """
import sys
import pyarrow as pa
from lakehouse import engines
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.engines.native import engine as native
from pyspark.sql import functions as F
native.FEW_BYTES = -1
address, old, new = sys.argv[1], {"place": pa.int64(), "a": pa.string()}, {"b": pa.string()}
rows = [{"place": 1, "a": "x"}, {"place": 2, "a": "y"}], [{"place": 1, "a": "z", "b": "w"}]
for base, some, schema in ((-1, rows[0], old), (0, rows[1], old | new)):
    schema = pa.schema(schema)
    committer.append(Target(address, schema), base, pa.Table.from_pylist(some, schema), None)
engine = engines.start(engines.NATIVE)
table, keys = engine.read(address, 1), engine.frame(pa.table({"place": [1, 7]}))
assert native.STORED in vars(table)
computed = engine.few_of(table.withColumn("place", F.col("place") + 1 - 1), keys)
assert "DynamicFilter" not in computed._explain_string(extended=True)  # in the scan it would compute the keys again
for found in (engine.few_of(table, keys), computed):
    print(sorted(found.toArrow().to_pylist(), key=str))
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_on_s3", [False, True], ids=["folder", "S3"])
def test_few_rows_of_a_table_are_found_past_all_others(
    tmp_path: Path, reader_and_writer: tuple[Account, Account], *, is_on_s3: bool
) -> None:
    """Also where a file is older than a column. By a process of its own, since Sail learns of S3 at its start."""
    address = "s3://lakehouse/places/t" if is_on_s3 else str(tmp_path / "[a] lake" / "t")
    environment = os.environ | (reader_and_writer[1].environment() if is_on_s3 else {})
    asked = [sys.executable, "-c", FEW_OF, address]
    answer = subprocess.run(asked, env=environment, cwd=HOME, capture_output=True, text=True, check=False)
    expected = str([{"place": 1, "a": "x", "b": None}, {"place": 1, "a": "z", "b": "w"}])
    assert answer.stdout.splitlines() == [expected, expected], answer.stderr[-2000:]


def test_on_s3_a_name_that_cannot_be_read_is_refused_in_words() -> None:
    with pytest.raises(LakehouseError, match=r"cannot read s3://b/my lake/t: .* Name another prefix"):
        sail.reachable("s3://b/my lake/t")
