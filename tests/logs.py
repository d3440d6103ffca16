"""Delta logs written by hand: a test says which operation, which note and which kind of change a commit has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deltalake import DeltaTable

from lakehouse.delta.tables.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lakehouse.delta.tables.progress import Input

SCHEMA = '{"type":"struct","fields":[{"name":"n","type":"long","nullable":true,"metadata":{}}]}'


def rows(
    count: int | None = None, *, data_change: bool = True, path: str = "", hidden: int = 0, size: int = 1
) -> dict[str, object]:
    """A file that joins the table; rearranged rows (OPTIMIZE) are no change of data, `hidden` ones are deleted."""
    facts = {"path": path or f"part-{data_change}.parquet", "partitionValues": {}, "size": size, "modificationTime": 0}
    return {"add": facts | {"dataChange": data_change} | _counted(count, hidden)}


def deleted(count: int | None = None, *, path: str = "part-True.parquet", hidden: int = 0) -> dict[str, object]:
    return {"remove": {"path": path, "dataChange": True, "deletionTimestamp": 0} | _counted(count, hidden)}


def _counted(count: int | None, hidden: int) -> dict[str, object]:
    vector = {"storageType": "u", "pathOrInlineDv": "x", "offset": 1, "sizeInBytes": 1, "cardinality": hidden}
    said = {"stats": json.dumps({"numRecords": count})} if count is not None else {}
    return said | ({"deletionVector": vector} if hidden else {})


def schema(table_id: str = "one", *, column: str = "n", comment: str = "") -> dict[str, object]:
    """What a new schema and a new property both write."""
    said = json.dumps({"comment": comment} if comment else {})
    text = SCHEMA.replace('"n"', f'"{column}"').replace("{}", said)
    facts = {"format": {"provider": "parquet", "options": {}}, "schemaString": text, "partitionColumns": []}
    return {"metaData": {"id": table_id, **facts, "configuration": {}}}


def commit(
    table: Path,
    *actions: dict[str, object],
    operation: str = "WRITE",
    note: Progress | str | None = None,
    table_id: str = "one",
) -> int:
    """Append a commit to the table's log, which begins with its first; its version."""
    log = table / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    version = len(list(log.glob("*.json")))
    said = {"userMetadata": note.to_json() if isinstance(note, Progress) else note} if note else {}
    info = {"commitInfo": {"timestamp": 1_700_000_000_000 + version, "operation": operation, **said}}
    begin = [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, schema(table_id)] if version == 0 else []
    lines = [json.dumps(action) for action in (info, *begin, *actions)]
    (log / f"{version:020}.json").write_text("\n".join(lines), encoding="utf-8")
    return version


def a_note(
    base: int = -1, inputs: Mapping[str, Input] | None = None, *, run: str = "monday", fingerprint: str = "definition"
) -> Progress:
    return Progress("silver.orders", run, fingerprint, base, dict(inputs or {}))


def forget(table: Path, commits: int) -> None:
    """The first commits are cleaned away, as after the time that logs are kept."""
    DeltaTable(str(table)).create_checkpoint()
    for version in range(commits):
        (table / f"_delta_log/{version:020}.json").unlink()
