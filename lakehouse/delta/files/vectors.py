"""Deletion vectors (Delta protocol, "Deletion Vectors"): which rows of a file are hidden, by their positions in it."""

from __future__ import annotations

import struct
import uuid
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap64

from lakehouse.delta.tables import log
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAGIC = struct.pack("<i", 1681511377)  # the portable format
FILE_FORMAT = b"\x01"
LARGEST = 64 * 1024 - 1  # a larger vector breaks readers of change feeds: delta-io/delta, issue 5662


def encode(rows: BitMap64) -> bytes:
    """Runs of rows are stored as runs: a vector over all rows of a file has a hundred bytes."""
    packed = BitMap64(rows)
    packed.run_optimize()
    return MAGIC + bytes(packed.serialize())


def decode(data: bytes) -> BitMap64:
    if data[: len(MAGIC)] != MAGIC:
        raise LakehouseError("A deletion vector has an unknown format. Rewrite the table's files (OPTIMIZE).")
    return BitMap64.deserialize(data[len(MAGIC) :])


def is_too_large(rows: BitMap64) -> bool:
    """Whether the file is better copied than given this vector; files of at most 400,000 rows never are."""
    return len(encode(rows)) > LARGEST


@storage.asked_again
def read(address: str, descriptor: Mapping[str, Any] | None) -> BitMap64:
    """The hidden rows; none where a file has no vector. Raises LakehouseError where the stored one is damaged."""
    if not descriptor:
        return BitMap64()
    size, place = descriptor["sizeInBytes"], log.place_of_vector(address, descriptor)
    if place is None:
        return decode(log.from_z85(descriptor["pathOrInlineDv"])[:size])
    root, path = place
    with storage.random_access(root, path) as file:
        file.seek(descriptor.get("offset") or 0)
        stored = file.read(size + 8)
    data, length, checksum = stored[4:-4], stored[:4], stored[-4:]
    if length != struct.pack(">i", size) or checksum != struct.pack(">I", zlib.crc32(data)):
        raise LakehouseError(f"The deletion vector {root}/{path} is damaged. Bring that file back from a copy.")
    return decode(data)


def write(address: str, vectors: Iterable[BitMap64]) -> list[dict[str, Any]]:
    """One file for all vectors of a commit; their descriptors, in the same order."""
    name, content, descriptors = uuid.uuid4(), bytearray(FILE_FORMAT), []
    for rows in vectors:
        data = encode(rows)
        descriptors.append(
            {
                "storageType": "u",
                "pathOrInlineDv": log.to_z85(name.bytes),
                "offset": len(content),
                "sizeInBytes": len(data),
                "cardinality": len(rows),
            }
        )
        content += struct.pack(">i", len(data)) + data + struct.pack(">I", zlib.crc32(data))
    if descriptors:
        storage.put(address, f"deletion_vector_{name}.bin", bytes(content))
    return descriptors


def positions(rows: BitMap64) -> np.ndarray[Any, Any]:
    """The rows for Arrow, in order."""
    return np.asarray(rows.to_array(), dtype=np.uint64)
