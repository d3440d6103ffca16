"""What a table's protocol asks of its readers and writers: what we give our own, and what we refuse of others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lakehouse.delta.tables.log import Action, Snapshot

VECTORS = "deletionVectors"
READER_FEATURES = {VECTORS, "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
WRITER_FEATURES = READER_FEATURES | {"appendOnly", "invariants", "changeDataFeed"}
LEGACY_READER, LEGACY_WRITER = 2, 4
TABLE_FEATURES = (3, 7)  # from these versions on, a protocol lists its features
OURS = ("changeDataFeed", "invariants", "appendOnly")  # what delta-spark 4.4 gives a table with our properties


def protocol(stored: Snapshot | None, *, has_vectors: bool) -> Action:
    """What delta-spark gives such a table. Only a table with vectors asks something of its readers.

    So plain readers take the others as they are; features that a stored table has besides stay.
    """
    readers = (stored.features("reader") if stored else set()) - {VECTORS}
    writers = (stored.features("writer") if stored else set()) - {VECTORS} | set(OURS)
    if has_vectors:
        readers, writers = readers | {VECTORS}, writers | {VECTORS}
    asked = {"readerFeatures": sorted(readers)} if readers else {}
    return {"minReaderVersion": 3 if readers else 1, "minWriterVersion": 7, **asked, "writerFeatures": sorted(writers)}


def has_vectors(table: Snapshot) -> bool:
    return VECTORS in table.features("writer")


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return _comparable(one) == _comparable(other)


def _comparable(protocol: Mapping[str, Any]) -> Action:
    return {name: sorted(value) if isinstance(value, list) else value for name, value in protocol.items()}


def check_readable(snapshot: Snapshot) -> None:
    """Refuse a table that asks of its readers what we do not do, rather than read it wrongly."""
    version = snapshot.protocol.get("minReaderVersion", 1)
    unknown = snapshot.features("reader") - READER_FEATURES
    if LEGACY_READER < version < TABLE_FEATURES[0] or version > TABLE_FEATURES[0]:
        unknown |= {f"reader version {version}"}
    if snapshot.configuration.get("delta.columnMapping.mode", "none") != "none":
        unknown |= {"columnMapping"}
    _refuse(snapshot, "read", unknown)


def check_writable(snapshot: Snapshot) -> None:
    """Refuse a table whose promises we would not keep: constraints, generated columns, features that we do not know."""
    check_readable(snapshot)
    version = snapshot.protocol.get("minWriterVersion", 1)
    unknown = snapshot.features("writer") - WRITER_FEATURES
    if LEGACY_WRITER < version < TABLE_FEATURES[1] or version > TABLE_FEATURES[1]:
        unknown |= {f"writer version {version}"}
    if snapshot.configuration.get("delta.appendOnly") == "true":
        unknown |= {"appendOnly"}
    unknown |= {f"check constraint {one}" for one in snapshot.configuration if one.startswith("delta.constraints.")}
    keys = set(_keys_of_columns(json.loads(snapshot.metadata["schemaString"])))
    unknown |= keys & {"delta.invariants", "delta.generationExpression", "delta.identity.start"}
    _refuse(snapshot, "write to", unknown)


def _keys_of_columns(said: Any) -> Iterator[str]:  # noqa: ANN401
    """The keys of all columns' metadata, nested ones too."""
    for part in said.values() if isinstance(said, dict) else said if isinstance(said, list) else ():
        yield from _keys_of_columns(part)
    if isinstance(said, dict):
        yield from said.get("metadata") or ()


def _refuse(snapshot: Snapshot, what: str, unknown: set[str]) -> None:
    if unknown:
        raise LakehouseError(
            f"We do not {what} {snapshot.address}: version {snapshot.version} asks for {', '.join(sorted(unknown))}, "
            "which the lake does not know. Use the engine that set it, or drop it there (ALTER TABLE ... DROP FEATURE)."
        )
