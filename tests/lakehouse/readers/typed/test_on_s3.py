"""In a bucket a member of an archive, Parquet and a workbook are read as in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse.intake.deliveries import landing
from lakehouse.intake.records import ledger
from lakehouse.readers import rows
from lakehouse.store import archives, storage
from tests import promises
from tests.corpus import made

if TYPE_CHECKING:
    from pathlib import Path


ROOT, TEXT = "s3://lakehouse/typed", "order_id,product\n7,A\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "content"), [("parquet", made.parquet), ("spreadsheet", made.xlsx)], ids=["parquet", "spreadsheet"]
)
@pytest.mark.usefixtures("as_writer")
def test_a_file_by_itself_and_in_an_archive_is_read_from_a_bucket(
    tmp_path: Path,
    kind: str,
    content: object,
) -> None:
    pytest.importorskip("python_calamine", reason="workbooks are read by the extra [sources]")
    root, bytes_of = f"{ROOT}/{kind}", content(TEXT)  # type: ignore[operator]
    made.pack(tmp_path / "a.zip", "inside", bytes_of, None)
    storage.put(root, "alone", bytes_of)
    storage.put(root, "a.zip", (tmp_path / "a.zip").read_bytes())
    source = {"files": ["**/*"], "format": kind}
    table = promises.a_table("bronze.orders", "append", "landing", source=source, columns={"order_id": "string"})
    found = sorted(landing.find(root, [table], ledger.Ledger()).new, key=lambda one: one.path)
    assert [one.path for one in found] == ["a.zip/inside", "alone"]
    for one in found:
        assert one.layout
        assert archives.is_still(root, one.stored)
        with archives.unpacked(root, one.path, one.content) as (place, path):
            (batch,) = rows.batches(place, path, one.layout, one.header, one.header, one.content)
        assert [column.to_pylist() for column in batch.columns] == [["7"], ["A"]]
    storage.delete(root, "a.zip")
    assert not archives.is_still(root, found[0].stored)
