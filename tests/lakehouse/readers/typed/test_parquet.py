"""Parquet by row groups: every row once, as text, and what a file costs is bounded."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from lakehouse.readers.records import HalfWrittenError, UnreadableError
from lakehouse.readers.typed import parquet

ROWS = 5_000


def stored(table: pa.Table, **settings: int) -> pa.BufferReader:
    content = io.BytesIO()
    pq.write_table(table, content, **settings)
    return pa.BufferReader(content.getvalue())


def test_every_row_of_every_group_comes_once_and_in_order() -> None:
    file = stored(pa.table({"id": range(ROWS), "Text": ["a"] * ROWS}), row_group_size=700)
    header, kinds, rows = parquet.inspect(file)
    assert (header, kinds, rows) == (("id", "Text"), {"id": "integer", "Text": "text"}, ROWS)
    found = list(parquet.batches(file, header))
    assert [text for batch in found for text in batch.columns[0].to_pylist()] == [str(one) for one in range(ROWS)]
    assert max(batch.rows for batch in found) <= parquet.ROWS


def test_a_row_group_that_fits_into_no_memory_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    file = stored(pa.table({"id": range(ROWS)}))
    assert parquet.inspect(file)[2] == ROWS
    monkeypatch.setattr(parquet, "LARGEST_GROUP", 1_000)
    with pytest.raises(UnreadableError, match=r"has a row group of 0 MiB, and at most 0 are read\. Write it with more"):
        parquet.inspect(file)
    monkeypatch.setattr(parquet, "LARGEST_GROUP", 10_000)
    assert parquet.inspect(stored(pa.table({"id": range(ROWS)}), row_group_size=500))[2] == ROWS


def test_a_file_of_other_columns_than_it_was_claimed_with_is_not_loaded() -> None:
    with pytest.raises(HalfWrittenError, match="has other columns than a moment ago"):
        list(parquet.batches(stored(pa.table({"id": [1]})), ("id", "name")))


def test_columns_of_one_name_are_both_there_so_that_they_are_seen() -> None:
    assert parquet.inspect(stored(pa.table([[1], [2]], names=["a", "a"])))[0] == ("a", "a")
