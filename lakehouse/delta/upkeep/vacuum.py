"""VACUUM of our own: what no kept version of a table names, and is old enough to be of no run in flight, goes.

A version names its files of rows, their deletion vectors, and the change files of its commit. delta-rs's VACUUM either
deletes live vectors (full) or never any (lite).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lakehouse.delta.tables.log import Action, Snapshot
    from lakehouse.store.storage import StoredFile

IN_FLIGHT = timedelta(hours=24)  # a run that needs longer to commit a file that it wrote may lose it
OURS = re.compile(r"(?!_delta_log/)(.+/)?([^/]+\.parquet|deletion_vector_[^/]+\.bin)|_delta_log/\.[^/]+\.tmp")
CHECKSUM = re.compile(r"(.+/)?\.([^/]+)\.crc")  # which Hadoop keeps beside each file that Spark writes into a folder
COMMIT = re.compile(r"(\d{20})\.json")


def unnamed(address: str, since: int, versions: Collection[int]) -> list[StoredFile]:
    """The old files below the table's folder that no version from `since` on names, nor any of these.

    Raises LakehouseError where the log cannot be read, or names what is not there: then nobody knows what may go.
    """
    now, before = log.snapshot(address), datetime.now(UTC) - IN_FLIGHT
    if now is None:
        return []
    named = named_by(now, since, versions)
    listed = {one.path: one for one in storage.list_files(address)}
    if lost := sorted({path for file in now.files.values() for path in places(address, file)} - listed.keys()):
        raise LakehouseError(f"{address}/{lost[0]} is gone, so nothing is deleted there. See `lakehouse check`.")
    files = {path: CHECKSUM.sub(r"\1\2", path) for path in listed}
    candidates = (listed[path] for path, of in files.items() if OURS.fullmatch(of) and of not in named)
    return [one for one in candidates if one.modified_at < before]


def current_at(address: str, moment: datetime) -> int:
    """The table's newest version at that moment, by the times of its log's files; its first where all came later."""
    files = storage.list_files(f"{address}/_delta_log")
    made = {int(found[1]): one.modified_at for one in files if (found := COMMIT.fullmatch(one.path))}
    return max((version for version, at in made.items() if at <= moment), default=min(made, default=0))


def named_by(now: Snapshot, since: int, versions: Collection[int]) -> set[str]:
    """Paths below the table's folder that all versions from `since` to this newest one name, and these older ones.

    In one walk over the log: a file counts where one of the versions lies between its coming and its leaving. Of
    versions that the log no longer reaches nothing can be read, whatever is kept.
    """
    address, wanted = now.address, sorted({one for one in versions if one < since} | {since})
    begin = _first_readable(address, [*wanted, *range(since + 1, now.version)]) or now
    live = {path: (begin.version, file) for path, file in begin.files.items()}
    found = set(_changed(address, begin.version))

    def leaves(path: str, at: int) -> None:
        came, file = live.pop(path, (at, {}))
        if file and (at > since or bisect_left(wanted, came) < bisect_left(wanted, at)):
            found.update(places(address, file))

    for version, done in _commits(address, range(begin.version + 1, now.version + 1)):
        for fact in (one.get("add") or one.get("remove") for one in done):
            if fact:
                leaves(fact["path"], version)
        live |= {one["add"]["path"]: (version, one["add"]) for one in done if "add" in one}
        if version >= since or version in wanted:
            found.update(path for one in done if "cdc" in one for path in places(address, one["cdc"]))
    for path in list(live):
        leaves(path, now.version + 1)
    return found


def _commits(address: str, versions: range) -> Iterator[tuple[int, list[Action]]]:
    """Each request takes as long as many of them at once."""
    for start in range(0, len(versions), log.KEPT_COMMITS):
        some = versions[start : start + log.KEPT_COMMITS]
        yield from zip(some, storage.each(lambda version: log.actions(address, version), some), strict=True)


def _first_readable(address: str, versions: Sequence[int]) -> Snapshot | None:
    for version in versions:
        try:
            if found := log.snapshot(address, version):
                return found
        except log.NoVersionError:
            continue
    return None


def _changed(address: str, version: int) -> Iterator[str]:
    """The change files of one commit; none where the log of before a checkpoint was cleaned away."""
    try:
        done = log.actions(address, version)
    except storage.MissingFileError:
        return
    for action in done:
        if "cdc" in action:
            yield from places(address, action["cdc"])


def places(address: str, file: Mapping[str, Any]) -> Iterator[str]:
    """Of a file of the log, and of the file of its vector, where they are below the table's folder."""
    vector = file.get("deletionVector")
    for place in (storage.located(address, file["path"]), log.place_of_vector(address, vector) if vector else None):
        if place and (full := f"{place[0].rstrip('/')}/{place[1]}").startswith(f"{address}/"):
            yield full.removeprefix(f"{address}/")


def lost(root: str, versions: Mapping[str, Collection[int]]) -> dict[tuple[str, int], str]:
    """Of these versions of tables those that cannot be read any more, and why. Each table is listed once."""
    found: dict[tuple[str, int], str] = {}
    for name, numbers in versions.items():
        address = progress.address(storage.normalise(root), name)
        listed = {one.path: one.size for one in storage.list_files(address)}
        for version in sorted(set(numbers)):
            if why := _lost(address, version, listed):
                found[name, version] = why
    return found


def _lost(address: str, version: int, listed: Mapping[str, int]) -> str:
    try:
        then = log.snapshot(address, version)
    except log.NO_SNAPSHOT as error:
        return str(error)
    if then is None:
        return f"there is no table at {address}"
    gone = {path for file in then.files.values() for path in places(address, file)} - listed.keys()
    return f"{min(gone)} is gone" if gone else ""
