"""What was written to the tables of a lake since their versions of before, as their logs say; and what it changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from lakehouse import graph
from lakehouse.delta.files import feed

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Written:
    """`rows` and `bytes` of new files, deletion vectors and change files included; `changed` rows by their grain.

    `changed` counts those that came, went or have another value now; None where that is not asked.
    """

    commits: int
    files: int
    rows: int
    bytes: int
    changed: int | None = None


def versions(lake: Path) -> dict[str, int]:
    """The newest version of every table below this folder, by its name."""
    logs = sorted(lake.rglob("_delta_log"))
    return {_name(lake, log): max(int(file.stem) for file in log.glob("*.json")) for log in logs}


def _name(lake: Path, log: Path) -> str:
    return ".".join(log.parent.relative_to(lake).parts)


def since(lake: Path, before: dict[str, int]) -> dict[str, Written]:
    """By table, for each that has a newer version than before, or is new."""
    return {
        name: _written(lake, name, before.get(name, -1))
        for name, version in versions(lake).items()
        if version > before.get(name, -1)
    }


def _written(lake: Path, name: str, before: int) -> Written:
    log = lake.joinpath(*name.split(".")) / "_delta_log"
    commits = [file for file in sorted(log.glob("*.json")) if int(file.stem) > before]
    files, rows, size = set(), 0, 0
    for commit in commits:
        for path, one in _new_files(commit).items():
            files.add(path)
            rows += json.loads(one.get("stats") or "{}").get("numRecords", 0)
            size += one["size"]
        size += _beside_the_data(commit)
    return Written(len(commits), len(files), rows, size, _changed(lake, name, before) if before >= 0 else None)


def _actions(commit: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in commit.read_text("utf-8").splitlines() if line]


def _new_files(commit: Path) -> dict[str, dict[str, Any]]:
    """Added files; not those that only got a deletion vector, whose rows were not written again."""
    actions = _actions(commit)
    removed = {one["remove"]["path"] for one in actions if "remove" in one}
    return {one["add"]["path"]: one["add"] for one in actions if "add" in one and one["add"]["path"] not in removed}


def _beside_the_data(commit: Path) -> int:
    """Bytes of deletion vectors and of change files."""
    actions = _actions(commit)
    vectors = [one["add"].get("deletionVector") or {} for one in actions if "add" in one]
    changes = [int(one["cdc"]["size"]) for one in actions if "cdc" in one]
    return sum(changes) + sum(int(one.get("sizeInBytes", 0)) for one in vectors)


def _changed(lake: Path, name: str, before: int) -> int | None:
    """Rows that are truly different, whatever was written for them: a delete and an insert of the same cancel out."""
    table = graph.load().get(name)
    if table is None or table.contract.write == "append":
        return None
    # By our own reader: delta-rs panics at a vector over a file of several row groups.
    rows = feed.changes(str(lake.joinpath(*name.split("."))), before, versions(lake)[name])
    stored = [name for name in table.contract.columns if name in rows.column_names]  # a peer's table has fewer
    grain, columns = ", ".join(table.contract.grain), ", ".join(stored)
    sign = "case when _change_type in ('insert', 'update_postimage') then 1 else -1 end"
    found = (
        duckdb.connect()
        .execute(f"""
        select count(*) from (
            select {grain} from rows group by {grain} having sum(({sign}) * hash({columns})::hugeint) <> 0
        )""")
        .fetchone()
    )
    return found[0] if found else None
