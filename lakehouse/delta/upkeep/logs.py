"""Old logs, cleaned: commits and checkpoints go before a whole checkpoint that is not newer than what is still read.

As the Delta protocol has it (Metadata Cleanup): that checkpoint stays, and all from its version on. Here it must also
say what the commits before it do, since these cannot be asked after that. The oldest go first, so that what is left
when it breaks off is a log that begins later.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lakehouse.delta.tables import log
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakehouse.delta.tables.log import Snapshot
    from lakehouse.store.storage import StoredFile

# Commits, their checksums, several commits in one (told by its first), and checkpoints; not what lies beside these.
ENTRY = re.compile(r"(\d{20})\.(json|crc|\d{20}\.compacted\.json|checkpoint(\.[0-9a-f.-]+)?\.(parquet|json))")


def unneeded(address: str, since: int) -> list[StoredFile]:
    """The entries that no version from `since` on needs, the oldest first; none where no checkpoint stands for them."""
    there = {one.path: one for one in storage.list_files(f"{address}/_delta_log")}
    numbered = {path: int(found[1]) for path in there if (found := ENTRY.fullmatch(path))}
    for version, parts in reversed(log.checkpoints(there)):
        if version > since:
            continue
        old = sorted((path for path, number in numbered.items() if number < version), key=_order)
        if not old or _stands(address, version, parts, there):
            return [there[path] for path in old]
    return []


def _order(path: str) -> tuple[int, bool]:
    """A checkpoint goes before the commit of its version: without commits behind it it would say another version."""
    return int(path[:20]), path.endswith(".json")


def _stands(address: str, version: int, parts: list[str], names: Iterable[str]) -> bool:
    try:
        said, done = log.checkpoint(address, version, parts), log.replayed(address, version, names)
    except (LakehouseError, storage.MissingFileError):
        return False
    return done.version == version and _facts(said) == _facts(done)


def _facts(now: Snapshot) -> tuple[Any, ...]:
    files = {path: (one["size"], one.get("deletionVector")) for path, one in now.files.items()}
    protocol = {name: sorted(said) if isinstance(said, list) else said for name, said in now.protocol.items() if said}
    schema = json.loads(now.metadata["schemaString"])
    return now.id, schema, now.partition_by, now.configuration, protocol, files, now.txn
