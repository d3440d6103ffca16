"""What the definitions and conf of now would make of the last release: computed beside the lake, which stays as it is.

The release's tables are copied to `<root>/_preview-...` (on a folder their files are linked), and a run goes over them.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lakehouse.causes import diff
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.runs.run import Run
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lakehouse.audit.turns import Done
    from lakehouse.causes.diff import Difference
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.recovery.releases import Release

FOLDER = "_preview"


def preview(
    root: str, tables: Mapping[str, Table], engine: Engine | str, say: Callable[[Done], None]
) -> list[Difference]:
    """The tables that would differ from the last release, without anything that was delivered since.

    Raises LakehouseError where there is none, and as a run would where a rule stops a table.
    """
    last = releases.newest(root)
    if last is None:
        raise LakehouseError(f"{root} has no release to compare with. Make the first: `lakehouse publish`.")
    beside = f"{root}/{FOLDER}-{uuid.uuid4().hex[:12]}"
    try:
        for name, version in last.tables.items():
            progress.version_at(root, name, last.point)
            _copy(progress.address(root, name), version, progress.address(beside, name))
        with TemporaryDirectory() as nothing_new:
            Run(beside, nothing_new, dict(tables), engine=engine).execute(tables, say)
        return diff.diff(beside, tables, last, _as_it_stands(beside, tables, last))
    finally:
        storage.delete_all(beside)


def _copy(address: str, version: int, to: str) -> None:
    """A table up to a version, and the rows of that one."""
    then = log.snapshot(address, version)
    files = {storage.located(address, path) for path in then.files} if then else set()
    vectors = [file["deletionVector"] for file in then.files.values() if "deletionVector" in file] if then else []
    files |= {place for one in vectors if (place := log.place_of_vector(address, one))}
    mine = [path for of, path in files if of == address]
    storage.each(lambda path: storage.copy(address, path, to), [*mine, *_log_until(address, version)])


def _log_until(address: str, version: int) -> Iterator[str]:
    """Without `_last_checkpoint`, which may name a later one."""
    for file in storage.list_files(f"{address}/_delta_log"):
        number = file.path.partition(".")[0]
        if file.path.startswith("_sidecars/") or (number.isdigit() and int(number) <= version):
            yield f"_delta_log/{file.path}"


def _as_it_stands(root: str, tables: Mapping[str, Table], last: Release) -> Release:
    names = [one for name in tables for one in (progress.rejected(name), name)]
    there = {name: now for name in names if (now := log.snapshot(progress.address(root, name)))}
    return replace(
        last,
        number=last.number + 1,
        tables={name: one.version for name, one in there.items()},
        ids={name: one.id for name, one in there.items()},
    )
