"""Deletion vectors are those of the Delta protocol: what Spark wrote is read, what is written has its bytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from pyroaring import BitMap, BitMap64

from lakehouse.delta.files import vectors
from lakehouse.delta.tables import log
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from pathlib import Path

# As delta-spark 4.4 wrote it for the rows 3 and 4: magic, one bitmap of 32 bits, its key, the bitmap.
GOLDEN = bytes.fromhex("d1d339640100000000000000000000003a30000001000000000001001000000003000400")


def inline(data: bytes) -> dict[str, object]:
    padded = data + b"\0" * (-len(data) % 4)
    text = log.to_z85(padded)
    return {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(data), "cardinality": 2}


def test_the_bytes_are_those_that_spark_writes() -> None:
    assert vectors.encode(BitMap64([3, 4])) == GOLDEN
    assert list(vectors.decode(GOLDEN)) == [3, 4]


def test_a_vector_in_the_log_itself_is_read() -> None:
    assert list(vectors.read("/nowhere", inline(GOLDEN))) == [3, 4]


def test_rows_beyond_32_bits_are_in_buckets_of_their_own_and_a_bucket_may_be_empty() -> None:
    buckets = [(0, [1]), (1, []), (2, [5])]
    content = b"".join(struct.pack("<i", key) + BitMap(rows).serialize() for key, rows in buckets)
    assert list(vectors.decode(vectors.MAGIC + struct.pack("<q", 3) + content)) == [1, 2 * 2**32 + 5]


def test_the_vectors_of_a_commit_share_one_file(tmp_path: Path) -> None:
    written = vectors.write(str(tmp_path), [BitMap64([1]), BitMap64(range(1000)), BitMap64([2**33])])
    assert len(list(tmp_path.iterdir())) == 1
    read = [vectors.read(str(tmp_path), one) for one in written]
    assert [(len(rows), rows.max()) for rows in read] == [(1, 1), (1000, 999), (1, 2**33)]
    assert [one["cardinality"] for one in written] == [1, 1000, 1]


def test_a_vector_at_a_whole_path_is_read(tmp_path: Path) -> None:
    (one,) = vectors.write(str(tmp_path), [BitMap64([7])])
    (file,) = tmp_path.iterdir()
    assert list(vectors.read("/elsewhere", one | {"storageType": "p", "pathOrInlineDv": file.as_uri()})) == [7]


def test_a_vector_below_a_prefix_is_read(tmp_path: Path) -> None:
    (one,) = vectors.write(str(tmp_path / "ab"), [BitMap64([7])])
    assert list(vectors.read(str(tmp_path), one | {"pathOrInlineDv": "ab" + one["pathOrInlineDv"]})) == [7]


def test_a_file_without_a_vector_hides_nothing() -> None:
    assert not vectors.read("/nowhere", None)


def test_a_damaged_vector_is_an_error(tmp_path: Path) -> None:
    (one,) = vectors.write(str(tmp_path), [BitMap64([1, 2])])
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[-6] ^= 1
    file.write_bytes(content)
    with pytest.raises(LakehouseError, match="damaged"):
        vectors.read(str(tmp_path), one)


def test_a_vector_that_is_gone_is_a_missing_file(tmp_path: Path) -> None:
    (one,) = vectors.write(str(tmp_path), [BitMap64([1])])
    next(tmp_path.iterdir()).unlink()
    with pytest.raises(storage.MissingFileError):
        vectors.read(str(tmp_path), one)


def test_a_format_that_nobody_promised_is_refused() -> None:
    with pytest.raises(LakehouseError, match="unknown format"):
        vectors.decode(b"\0\0\0\0" + GOLDEN[4:])


def test_a_vector_over_all_rows_of_the_largest_file_is_small_and_none_of_its_vectors_is_too_large() -> None:
    assert len(vectors.encode(BitMap64(range(400_000)))) < 200
    assert not vectors.is_too_large(BitMap64(range(0, 400_000, 2)))
    assert vectors.is_too_large(BitMap64(range(0, 1_000_000, 2)))
