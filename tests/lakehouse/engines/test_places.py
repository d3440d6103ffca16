"""A lake may lie in a folder of any name; Sail's reader of Delta finds nothing below names that a URL would encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lakehouse.delta import committer
from lakehouse.delta.committer import Target
from lakehouse.engines import native, protocol, sail
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native import Native


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


def test_on_s3_a_name_that_cannot_be_read_is_refused_in_words() -> None:
    with pytest.raises(LakehouseError, match=r"cannot read s3://b/my lake/t: .* Name another prefix"):
        sail.reachable("s3://b/my lake/t")
